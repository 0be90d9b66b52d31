//! The hosts of drivers: one, or two on two machines of which one stands by.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use driver::simulation::{Epoch, Started, Surroundings};
use driver::{Holder, JobError, Outcome, Snapshot, StartError, Summary};
use tokio::sync::{mpsc, watch};
use turmoil::net::TcpListener;

use crate::claims::{DriverClaims, DriverProcess};
use crate::connections::Connections;
use crate::disk::DriverDisk;
use crate::freezer::Freezer;
use crate::lockstep;
use crate::report::DriverCounts;
use crate::trace;
use crate::world::{PORT, World, driver_name};

/// What the drivers have done.
#[derive(Default)]
pub struct Drivers {
    /// Which of them have nothing left to do.
    pub resting: Vec<bool>,
    pub epochs: Vec<BegunEpoch>,
    pub counts: DriverCounts,
    /// How many have run the job to its end.
    successes: u64,
}

/// An epoch that a driver has begun.
pub struct BegunEpoch {
    pub number: u64,
    pub machine: usize,
    pub snapshot: watch::Receiver<Snapshot>,
}

impl Drivers {
    pub fn new(machines: usize) -> Self {
        Self { resting: vec![false; machines], ..Self::default() }
    }

    pub fn findings(&self) -> Option<String> {
        let Self { successes, .. } = self;
        (*successes > 1).then(|| format!("{successes} drivers have ended with success"))
    }
}

/// How a driver has ended, in this epoch or before one.
enum DriverEnd {
    /// It has run the job to its end.
    Done,
    /// Another driver has.
    NotNeeded,
    /// Another driver has taken over, or may have.
    Superseded(String),
    Failed(String),
}

impl DriverEnd {
    fn of_start(error: &StartError) -> Self {
        let text = error.to_string();
        let is_superseded = matches!(error, StartError::InUse { .. });
        if is_superseded { Self::Superseded(text) } else { Self::Failed(text) }
    }

    fn of_job(ended: Result<Summary, JobError>) -> Self {
        match ended {
            Ok(_) => Self::Done,
            Err(error @ (JobError::Superseded(_) | JobError::Replaced { .. })) => {
                Self::Superseded(error.to_string())
            }
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl World {
    /// A driver on `machine` has begun an epoch.
    fn begun(&self, number: u64, machine: usize, snapshot: watch::Receiver<Snapshot>) {
        let mut progress = self.progress();
        let drivers = &mut progress.drivers;
        let is_takeover = drivers.epochs.last().is_some_and(|last| last.machine != machine);
        drivers.counts.takeovers += u64::from(is_takeover);
        drivers.epochs.push(BegunEpoch { number, machine, snapshot });
    }

    /// A driver on `machine` has ended.
    fn ended(&self, machine: usize, end: DriverEnd) {
        self.claims.end(machine);
        let mut progress = self.progress();
        match end {
            DriverEnd::Done => {
                trace::tell("the job is done");
                progress.drivers.successes += 1;
                progress.done = true;
            }
            DriverEnd::NotNeeded => {
                trace::tell("another driver has done the job");
                progress.drivers.counts.not_needed += 1;
                progress.done = true;
            }
            DriverEnd::Superseded(error) => {
                trace::remark(&format!("driver {machine} was superseded: {error}"));
                progress.drivers.counts.superseded += 1;
            }
            // The user reads why, and starts it again.
            DriverEnd::Failed(error) => trace::remark(&format!("driver {machine} ended: {error}")),
        }
        if progress.done {
            self.claims.finish();
        }
    }
}

/// A driver's host: starts the driver again until the job is done.
pub async fn host(world: Arc<World>, machine: usize, connections: Connections) -> turmoil::Result {
    world.progress().drivers.resting[machine] = false;
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    tokio::time::sleep(world.plan.drivers[machine].saturating_sub(elapsed)).await;
    while !world.progress().done {
        let end = run_driver(&world, machine, &connections).await?;
        connections.cut();
        world.ended(machine, end);
        if !world.progress().done {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    world.progress().drivers.resting[machine] = true;
    Ok(())
}

/// Runs a driver, which listens as soon as it has begun an epoch.
async fn run_driver(
    world: &Arc<World>,
    machine: usize,
    connections: &Connections,
) -> io::Result<DriverEnd> {
    world.progress().drivers.counts.starts += 1;
    let process = world.claims.start(machine, &world.shared_store, &world.disk);
    let surroundings = surroundings(world, &process);
    let epoch = match driver::simulation::start(world.driver_config(), surroundings).await {
        Ok(Started::Begun(epoch)) => epoch,
        Ok(Started::Over(Outcome::Done)) => return Ok(DriverEnd::NotNeeded),
        Ok(Started::Over(outcome)) => return Ok(DriverEnd::Failed(format!("job {outcome:?}"))),
        Err(error) => return Ok(DriverEnd::of_start(&error)),
    };
    let (snapshots, seen) = watch::channel(Snapshot::default());
    world.begun(epoch.number(), machine, seen);
    serve(*epoch, snapshots, &world.machines[machine], connections).await
}

fn surroundings(world: &World, process: &Arc<DriverProcess>) -> Surroundings {
    let machine = world.machines[process.machine()].clone();
    let host = driver_name(process.machine());
    Surroundings {
        store: world.shared_store.seen_by_driver(process),
        disk: Arc::new(DriverDisk(world.disk.clone(), Arc::clone(process))),
        claims: Arc::new(DriverClaims(Arc::clone(process))),
        run_blocking: Arc::new(move |work| lockstep::run_on(machine.clone(), work)),
        block_on: Arc::new(lockstep::block_on),
        holder: Holder { host, ..Holder::default() },
        stands_by: world.machines.len() > 1,
        job_id: format!("{:016x}", world.random.next()),
    }
}

async fn serve(
    epoch: Epoch,
    snapshots: watch::Sender<Snapshot>,
    machine: &Freezer,
    connections: &Connections,
) -> io::Result<DriverEnd> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (sender, accepted) = mpsc::channel(16);
    let (machine, connections) = (machine.clone(), connections.clone());
    let accepting = tokio::spawn(async move {
        let accept = async {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(connections.track(stream)).await.is_err() {
                    return;
                }
            }
        };
        machine.run(accept).await;
    });
    let ended = epoch.run(accepted, snapshots).await;
    accepting.abort();
    Ok(DriverEnd::of_job(ended))
}
