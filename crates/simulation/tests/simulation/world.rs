//! One simulated job: drivers, workers, a network, a folder, and a seed that decides what happens.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use worker::Notice;

use crate::check;
use crate::claims::SimulatedClaims;
use crate::connections::{Connection, Connections};
use crate::disk::{SimulatedDisk, Sync};
use crate::drivers::{self, BegunEpoch, Drivers};
use crate::faults::Faults;
use crate::freezer::Freezer;
use crate::plan::{HEALED_AFTER, Plan};
use crate::random::Random;
use crate::report::{Fault, Report, Strikes};
use crate::shared_store::{Mistakes, SharedStore, User};
use crate::trace::{self, Trace};
use crate::{lockstep, panics};

/// What to simulate, beside the seed.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Faults that may strike.
    pub faults: Vec<Fault>,
    /// Syncs of the journal that are left out.
    pub left_out: BTreeSet<Sync>,
    /// Mistakes of driver and workers.
    pub mistakes: Mistakes,
}

/// What all hosts and the simulation share.
pub struct World {
    pub plan: Plan,
    pub shared_store: SharedStore,
    pub disk: SimulatedDisk,
    pub claims: SimulatedClaims,
    /// Of the drivers.
    pub machines: Vec<Freezer>,
    pub random: Random,
    inputs: tempfile::TempDir,
    progress: Mutex<Progress>,
}

/// How far the job is.
#[derive(Default)]
pub struct Progress {
    /// Whether the job is done.
    pub done: bool,
    /// Stops a worker: one for each.
    pub shutdowns: Vec<worker::Shutdown>,
    /// The connections of each driver's host and of each worker's.
    pub driver_connections: Vec<Connections>,
    pub worker_connections: Vec<Connections>,
    /// Which workers have nothing left to do.
    resting: Vec<bool>,
    pub drivers: Drivers,
    commits: Commits,
    findings: Vec<String>,
}

/// How many tasks are committed, by the last snapshot.
#[derive(Default)]
struct Commits {
    tasks: u32,
    /// All tasks are.
    is_complete: bool,
    /// How many epochs were checked.
    epochs_checked: usize,
}

impl Progress {
    /// A driver begins with all that the one before it had committed when its epoch was claimed,
    /// unless a fault has removed it. `claimed` is the highest epoch.
    fn check_commits(&mut self, can_be_lost: bool, claimed: u64) {
        let Some(BegunEpoch { number, snapshot, .. }) = self.drivers.epochs.last() else { return };
        let (map, reduce) = (snapshot.borrow().map.counts, snapshot.borrow().reduce.counts);
        let committed = map.committed + reduce.committed;
        if map.tasks == 0 {
            // The driver has not begun.
        } else if self.commits.epochs_checked < self.drivers.epochs.len() {
            self.commits.epochs_checked = self.drivers.epochs.len();
            // A job that is done is not resumed: it begins anew.
            let before = self.commits.tasks;
            if committed < before && !self.commits.is_complete && !can_be_lost {
                self.findings
                    .push(format!("{before} tasks were committed, and {committed} are left"));
            }
            self.commits.tasks = committed;
        } else if *number == claimed {
            self.commits.tasks = committed;
            self.commits.is_complete = committed == map.tasks + reduce.tasks;
        }
    }
}

impl World {
    fn new(plan: Plan, random: &Random, setting: &Setting) -> Self {
        let inputs = tempfile::tempdir().expect("the machine has a folder for temporary files");
        for (index, text) in plan.texts.iter().enumerate() {
            let path = inputs.path().join(format!("{index}.txt"));
            std::fs::write(&path, text).expect("the folder for temporary files can be written");
            let file = std::fs::File::options().write(true).open(&path).expect("it is there");
            // The journal keeps it: the same seed has the same journal.
            file.set_modified(EPOCH).expect("the time of an own file can be set");
        }
        let (workers, drivers) = (plan.workers, plan.drivers.len());
        Self {
            shared_store: SharedStore::new(random, plan.call_millis_max, setting.mistakes),
            disk: SimulatedDisk::new(random, setting.left_out.clone()),
            claims: SimulatedClaims::new(&random.aside(), drivers),
            machines: vec![(); drivers].into_iter().map(|()| Freezer::default()).collect(),
            random: random.fork(),
            progress: Mutex::new(Progress {
                driver_connections: vec![Connections::default(); drivers],
                drivers: Drivers::new(drivers),
                shutdowns: vec![worker::Shutdown::default(); workers],
                worker_connections: vec![Connections::default(); workers],
                resting: vec![false; workers],
                ..Progress::default()
            }),
            plan,
            inputs,
        }
    }

    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn driver_config(&self) -> driver::Config {
        let inputs = std::fs::canonicalize(self.inputs.path()).expect("the folder is there");
        driver::Config {
            inputs: vec![inputs].into(),
            files: PathBuf::from(FILES),
            map_tasks: Some(self.plan.map_tasks),
            reduce_tasks: self.plan.reduce_tasks,
            rules: self.plan.rules,
            limits: self.plan.limits.clone(),
            listen: driver::Listen::default(),
            worker_wait: None,
            fresh: false,
            drop_intermediates: false,
            reading: driver::Reading::default(),
        }
    }

    fn worker_config(self: &Arc<Self>, index: usize) -> worker::Config {
        let inputs = std::fs::canonicalize(self.inputs.path()).expect("the folder is there");
        let shutdown = worker::Shutdown::default();
        self.progress().shutdowns[index] = shutdown.clone();
        let world = Arc::clone(self);
        worker::Config {
            driver: format!("{}:{PORT}", driver_name(0)).into(),
            roots: vec![inputs, PathBuf::from(FILES)],
            name: worker_name(index),
            instance: None,
            patience: worker::Patience {
                first: None,
                later: Duration::from_secs(30),
                stays: false,
            },
            credentials: rpc::Credentials::default(),
            throttle: None,
            memory_bytes: self.plan.memory_bytes,
            notify: Arc::new(move |notice| world.noticed(index, &notice)),
            shutdown,
        }
    }
}

impl World {
    fn noticed(&self, worker: usize, notice: &Notice) {
        trace::tell(&format!("w{worker}: {notice:?}"));
        // A worker that waits for its first driver does so without a limit, and none comes now.
        let mut progress = self.progress();
        progress.resting[worker] = progress.done && matches!(notice, Notice::Waiting { .. });
    }
}

/// Runs the simulation of `seed`. The report's findings are all that is wrong.
pub fn simulate(seed: u64, setting: &Setting) -> Report {
    panics::set_seed(seed);
    let trace = Trace::begin();
    let random = Random::new(seed);
    let plan = Plan::new(&random, &setting.faults);
    let world = Arc::new(World::new(plan, &random, setting));
    let mut strikes = Strikes::default();

    let mut network = turmoil::Builder::new();
    network
        .rng_seed(random.next())
        .epoch(EPOCH)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(100_000))
        .min_message_latency(TICK)
        .max_message_latency(TICK)
        .tcp_capacity(4096)
        .enable_random_order();
    let mut sim = network.build();
    for machine in 0..world.plan.drivers.len() {
        let shared = Arc::clone(&world);
        sim.host(driver_name(machine), move || {
            let freezer = shared.machines[machine].clone();
            let (world, connections) = (Arc::clone(&shared), Connections::of(freezer.clone()));
            world.progress().driver_connections[machine] = connections.clone();
            async move {
                let host = freezer.run(drivers::host(world, machine, connections.clone()));
                connections.run_until_crash(host).await
            }
        });
    }
    for index in 0..world.plan.workers {
        let shared = Arc::clone(&world);
        sim.host(worker_name(index), move || {
            let (world, connections) = (Arc::clone(&shared), Connections::default());
            world.progress().worker_connections[index] = connections.clone();
            async move {
                connections.run_until_crash(worker_host(world, index, connections.clone())).await
            }
        });
    }

    let mut faults = Faults::new(&world);
    let can_be_lost = world.plan.events.iter().any(|event| LOSSES.contains(&event.fault));
    let ended = loop {
        let now = sim.elapsed();
        trace.borrow_mut().begin_step(now);
        faults.strike(&mut sim, &world, &mut strikes);
        faults.vary_latency(&sim, &world);
        if let Err(error) = sim.step() {
            break Err(format!("a host ended with {error}"));
        }
        let mut progress = world.progress();
        progress.check_commits(can_be_lost, world.claims.highest());
        let mut resting = progress.drivers.resting.iter().chain(&progress.resting);
        if progress.done && resting.all(|&resting| resting) {
            break Ok(());
        }
        if now > HEALED_AFTER + LIVENESS && !progress.done {
            break Err("the job does not end".to_owned());
        }
        if now > HEALED_AFTER + LIVENESS + REST {
            break Err("the drivers or workers do not end".to_owned());
        }
    };
    conclude(seed, &world, &trace, strikes, sim.elapsed(), ended)
}

fn conclude(
    seed: u64,
    world: &World,
    trace: &Rc<RefCell<Trace>>,
    mut strikes: Strikes,
    virtual_time: Duration,
    ended: Result<(), String>,
) -> Report {
    let mut findings = panics::take(seed);
    findings.extend(world.shared_store.findings());
    findings.extend(check::attempts(world));
    findings.extend(world.disk.findings());
    findings.extend(world.claims.findings());
    findings.extend(world.progress().findings.clone());
    findings.extend(world.progress().drivers.findings());
    match ended {
        Ok(()) => findings.extend(check::results(world)),
        Err(finding) => findings.push(finding),
    }
    strikes.add_all(&world.shared_store.strikes());
    strikes.add(Fault::FailingJournal, world.disk.failed());
    let progress = world.progress();
    let snapshots = || progress.drivers.epochs.iter().map(|epoch| epoch.snapshot.borrow());
    // Its workers are honest, and whatever happens to them, no call of theirs is a violation.
    let violations: u64 = snapshots().map(|snapshot| snapshot.violations).sum();
    if violations > 0 {
        findings.push(format!("honest workers violated the protocol {violations} times"));
    }
    Report {
        seed,
        trace: trace.borrow().hash(),
        virtual_time,
        runs_read: world.shared_store.read_again(),
        drivers: progress.drivers.counts,
        attempts: snapshots().map(|snapshot| snapshot.attempts.started).sum(),
        stale_reports: snapshots().map(|snapshot| snapshot.stale_reports).sum(),
        strikes,
        findings,
        log: trace.borrow().log(),
    }
}

/// A worker's host: starts the worker again until the job is done.
async fn worker_host(world: Arc<World>, index: usize, connections: Connections) -> turmoil::Result {
    world.progress().resting[index] = false;
    loop {
        let (random, connections) = (world.random.fork(), connections.clone());
        let surroundings = worker::simulation::Surroundings {
            store: world.shared_store.seen_by(User::Worker),
            connect: connector(world.plan.drivers.len(), connections),
            run_blocking: Arc::new(lockstep::run),
            random: Arc::new(move |bytes| random.fill(bytes)),
        };
        let ended = worker::simulation::run(world.worker_config(index), surroundings).await;
        trace::tell(&format!("w{index} ended: {ended:?}"));
        // A job that failed is started again, and so are its workers.
        if world.progress().done {
            world.progress().resting[index] = true;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Connects to the drivers in turn, as if their addresses had one name.
fn connector(
    drivers: usize,
    connections: Connections,
) -> impl Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>> + Clone {
    let calls = Arc::new(AtomicUsize::new(0));
    move |_| {
        let driver = driver_name(calls.fetch_add(1, Ordering::Relaxed) % drivers);
        let connections = connections.clone();
        Box::pin(async move { connections.connect(format!("{driver}:{PORT}")).await })
    }
}

pub fn worker_name(index: usize) -> String {
    format!("worker{index}")
}

pub fn driver_name(machine: usize) -> String {
    format!("driver{machine}")
}

pub const PORT: u16 = 50_051;
pub const FILES: &str = "/simulated/files";
const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

/// Faults that can remove what is committed. A crashed driver may find an output gone.
const LOSSES: [Fault; 4] =
    [Fault::CrashedDriver, Fault::CutFile, Fault::LostFile, Fault::PowerFailure];

/// What happens on one host within this time comes before what happens on the next.
const TICK: Duration = Duration::from_millis(10);

/// How long the job may take after all faults are healed. A reduce task of hundreds of calls takes
/// 40 s, and may run three times: if its commit is not recorded, and if an intermediate is short.
const LIVENESS: Duration = Duration::from_secs(120);

/// How long a worker may take to notice the end of the job, or to give up.
const REST: Duration = Duration::from_secs(90);
