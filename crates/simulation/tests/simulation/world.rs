//! One simulated job: a driver, workers, a network, a folder, and a seed that decides what happens.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use driver::Snapshot;
use tokio::sync::{mpsc, watch};
use turmoil::net::TcpListener;
use worker::Notice;

use crate::check;
use crate::claims::SimulatedClaims;
use crate::connections::Connections;
use crate::disk::{SimulatedDisk, Sync};
use crate::faults::Faults;
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
    pub random: Random,
    inputs: tempfile::TempDir,
    progress: Mutex<Progress>,
}

/// How far the job is.
#[derive(Default)]
pub struct Progress {
    pub driver_starts: u64,
    /// Whether a driver has completed the job.
    pub done: bool,
    /// Of each start of the driver.
    pub snapshots: Vec<watch::Receiver<Snapshot>>,
    /// Stops a worker: one for each.
    pub shutdowns: Vec<worker::Shutdown>,
    /// The connections of the driver's host and of each worker's.
    pub driver_connections: Connections,
    pub worker_connections: Vec<Connections>,
    /// Which workers have nothing left to do.
    pub resting: Vec<bool>,
    commits: Commits,
    findings: Vec<String>,
}

/// How many tasks are committed, by the last snapshot.
#[derive(Default)]
struct Commits {
    tasks: u32,
    /// All tasks are.
    is_complete: bool,
    /// How many starts of the driver were checked.
    starts_checked: usize,
}

impl Progress {
    /// A driver begins with all that the one before it had committed, unless a fault has removed
    /// it.
    fn check_commits(&mut self, can_be_lost: bool) {
        let Some(snapshot) = self.snapshots.last() else { return };
        let (map, reduce) = (snapshot.borrow().map.counts, snapshot.borrow().reduce.counts);
        let committed = map.committed + reduce.committed;
        if map.tasks == 0 {
            // The driver has not begun.
        } else if self.commits.starts_checked < self.snapshots.len() {
            self.commits.starts_checked = self.snapshots.len();
            // A job that is done is not resumed: it begins anew.
            let before = self.commits.tasks;
            if committed < before && !self.commits.is_complete && !can_be_lost {
                self.findings
                    .push(format!("{before} tasks were committed, and {committed} are left"));
            }
            self.commits.tasks = committed;
        } else {
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
        let workers = plan.workers;
        Self {
            shared_store: SharedStore::new(random, plan.call_millis_max, setting.mistakes),
            disk: SimulatedDisk::new(random, setting.left_out.clone()),
            claims: SimulatedClaims::default(),
            random: random.fork(),
            progress: Mutex::new(Progress {
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

    fn driver_config(&self) -> driver::Config {
        let inputs = std::fs::canonicalize(self.inputs.path()).expect("the folder is there");
        driver::Config {
            inputs: vec![inputs],
            files: PathBuf::from(FILES),
            map_tasks: Some(self.plan.map_tasks),
            reduce_tasks: self.plan.reduce_tasks,
            rules: self.plan.rules,
            limits: self.plan.limits.clone(),
            listen: driver::Listen::default(),
            worker_wait: None,
            fresh: false,
            drop_intermediates: false,
        }
    }

    fn worker_config(self: &Arc<Self>, index: usize) -> worker::Config {
        let inputs = std::fs::canonicalize(self.inputs.path()).expect("the folder is there");
        let shutdown = worker::Shutdown::default();
        self.progress().shutdowns[index] = shutdown.clone();
        let world = Arc::clone(self);
        worker::Config {
            driver: format!("{DRIVER}:{PORT}").into(),
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
    let shared = Arc::clone(&world);
    sim.host(DRIVER, move || {
        let (world, connections) = (Arc::clone(&shared), Connections::default());
        world.progress().driver_connections = connections.clone();
        async move { connections.run_until_crash(driver_host(world, connections.clone())).await }
    });
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
        progress.check_commits(can_be_lost);
        if progress.done && progress.resting.iter().all(|&resting| resting) {
            break Ok(());
        }
        if now > HEALED_AFTER + LIVENESS && !progress.done {
            break Err("the job does not end".to_owned());
        }
        if now > HEALED_AFTER + LIVENESS + REST {
            break Err("the workers do not end".to_owned());
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
    findings.extend(world.disk.findings());
    findings.extend(world.progress().findings.clone());
    match ended {
        Ok(()) => findings.extend(check::results(world)),
        Err(finding) => findings.push(finding),
    }
    strikes.add_all(&world.shared_store.strikes());
    strikes.add(Fault::FailingJournal, world.disk.failed());
    let progress = world.progress();
    let snapshots = || progress.snapshots.iter().map(|snapshot| snapshot.borrow());
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
        driver_starts: progress.driver_starts,
        attempts: snapshots().map(|snapshot| snapshot.attempts_started).sum(),
        stale_reports: snapshots().map(|snapshot| snapshot.stale_reports).sum(),
        strikes,
        findings,
        log: trace.borrow().log(),
    }
}

/// The driver's host: starts the driver again until the job is done.
async fn driver_host(world: Arc<World>, connections: Connections) -> turmoil::Result {
    loop {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        let (sender, accepted) = mpsc::channel(16);
        let own_connections = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(own_connections.track(stream)).await.is_err() {
                    return;
                }
            }
        });
        let (snapshots, seen) = watch::channel(Snapshot::default());
        let surroundings = {
            let mut progress = world.progress();
            progress.driver_starts += 1;
            progress.snapshots.push(seen);
            driver::simulation::Surroundings {
                store: world.shared_store.seen_by(User::Driver),
                disk: Arc::new(world.disk.clone()),
                claims: Arc::new(world.claims.clone()),
                run_blocking: Arc::new(lockstep::run),
                block_on: Arc::new(lockstep::block_on),
                job_id: format!("{:016x}", world.random.next()),
            }
        };
        let config = world.driver_config();
        let ended = driver::simulation::run(config, surroundings, accepted, snapshots).await;
        accepting.abort();
        connections.cut();
        match ended {
            Ok(_) => {
                trace::tell("the job is done");
                world.progress().done = true;
                return Ok(());
            }
            // The user reads why, and starts it again.
            Err(error) => trace::remark(&format!("the driver ended: {error}")),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A worker's host: starts the worker again until the job is done.
async fn worker_host(world: Arc<World>, index: usize, connections: Connections) -> turmoil::Result {
    world.progress().resting[index] = false;
    loop {
        let (random, connections) = (world.random.fork(), connections.clone());
        let surroundings = worker::simulation::Surroundings {
            store: world.shared_store.seen_by(User::Worker),
            connect: move |address| {
                let connections = connections.clone();
                async move { connections.connect(address).await }
            },
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

pub fn worker_name(index: usize) -> String {
    format!("worker{index}")
}

pub const DRIVER: &str = "driver";
const PORT: u16 = 50_051;
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
