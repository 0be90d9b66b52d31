//! How many tasks a second a driver assigns, commits and records. The driver is the real one, with
//! its journal and its results folder on a disk; the clients only make calls.
//!
//! `cargo bench -p driver -- TASKS CLIENTS [FOLDER]` runs a job of TASKS empty map tasks; without
//! arguments a small one, so that a test run over all targets stays short. The files of the map
//! tasks are staged before the clock starts. Every client has a connection of its own; the clients
//! share one runtime, and the driver has another.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, io};

use driver::{Config, JobError, Limits, Listen, Snapshot, Summary};
use rpc::message::{
    Bucket, Caller, Digest, Findings, Outcome, Register, RegisterAnswer, Registered, TaskAnswer,
    Work,
};
use rpc::message::{WordRule, WordRules};
use rpc::{Client, Credentials};
use store::{Durability, Local, Staging, Store, layout};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (tasks, clients) = (number(256)?, number(64)?);
    let folder = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    for (name, asks_with_report) in
        [("a call to ask, a call to report", false), ("reports that ask as well", true)]
    {
        let (took, processor) = job(tasks, clients, &folder, asks_with_report)?;
        let each = |time: Duration| time.as_secs_f64() / f64::from(tasks);
        writeln!(
            io::stdout(),
            "{name:<32} {clients} clients, {tasks} tasks: {:.0} tasks/s, {:.0} µs of processor a task",
            1.0 / each(took),
            1e6 * each(processor)
        )?;
    }
    Ok(())
}

/// Runs one job. Returns the time from the first call for a task until the last map task is
/// recorded, and the processor time of this process, which other load on the machine changes less.
fn job(
    tasks: u32,
    clients: u32,
    folder: &Path,
    asks_with_report: bool,
) -> Result<(Duration, Duration), Failed> {
    let folder = tempfile::tempdir_in(folder)?;
    let input = folder.path().join("input");
    // Without words every task is empty, and so is every file that it stages.
    fs::write(&input, ".")?;
    let files = folder.path().join("files");
    let (address, driver) = start(Config {
        inputs: vec![input].into(),
        files: files.clone(),
        map_tasks: NonZeroU32::new(tasks),
        reduce_tasks: NonZeroU32::MIN,
        rules: WordRules { rule: WordRule::Letters, ignore_case: false },
        limits: Limits::default(),
        listen: Listen { address: "127.0.0.1:0".to_owned(), ..Listen::default() },
        fresh: false,
        drop_intermediates: false,
        reading: driver::Reading::default(),
        worker_wait: None,
    })?;
    let store = Arc::new(Local::open(&files)?);
    let took = runtime()?.block_on(async {
        // This worker stages everything. It makes no further call, so the driver may evict it.
        let client = Client::new(&address, &Credentials::default())?;
        let worker = Worker::register(client, clients, Arc::clone(&store), false).await?;
        worker.stage_all(tasks)?;
        // The disk writes the staged files now, not during the measurement.
        File::open(&files)?.sync_all()?;

        let start = Arc::new(Barrier::new(clients as usize + 1));
        let mut crowd = JoinSet::new();
        for number in 0..clients {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            let client = Client::new(&address, &Credentials::default())?;
            crowd.spawn(async move {
                let worker = Worker::register(client, number, store, asks_with_report).await?;
                start.wait().await;
                worker.work().await
            });
        }
        start.wait().await;
        let (began, used) = (Instant::now(), processor_time()?);
        let mut took = (Duration::ZERO, Duration::ZERO);
        while let Some(worked) = crowd.join_next().await {
            if let Some((reduced, used_then)) = worked?? {
                took = (reduced.duration_since(began), used_then.saturating_sub(used));
            }
        }
        Ok::<_, Failed>(took)
    })?;
    driver.join().map_err(|_panic| "the driver panicked")??;
    Ok(took)
}

/// Starts a driver with a thread and a runtime of its own.
fn start(config: Config) -> Result<(String, JoinHandle<Result<Summary, JobError>>), Failed> {
    let runtime = runtime()?;
    let prepared = driver::prepare(config, |_| ControlFlow::Break(()))?;
    let address = prepared.address().to_string();
    let thread = std::thread::spawn(move || {
        let (snapshots, _) = watch::channel(Snapshot::default());
        runtime.block_on(prepared.run(snapshots, std::future::pending()))
    });
    Ok((address, thread))
}

/// The processor time of this process so far, which Linux counts in hundredths of a second.
fn processor_time() -> Result<Duration, Failed> {
    let statistics = fs::read_to_string("/proc/self/stat")?;
    // The name of the program may contain any character, parentheses included.
    let (_, fields) = statistics.rsplit_once(')').ok_or("a strange /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}

/// The same runtime as in `mapmill`.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

struct Worker {
    client: Client,
    caller: Caller,
    store: Arc<Local>,
    asks_with_report: bool,
}

impl Worker {
    async fn register(
        mut client: Client,
        number: u32,
        store: Arc<Local>,
        asks_with_report: bool,
    ) -> Result<Self, Failed> {
        let mut instance = [0; 16];
        instance[..4].copy_from_slice(&number.to_le_bytes());
        let register = Register {
            protocol: rpc::PROTOCOL,
            build: rpc::BUILD.to_owned(),
            instance,
            name: format!("client:{number}"),
            roots: Vec::new(),
            abilities: BTreeSet::new(),
        };
        match client.register(&register).await? {
            RegisterAnswer::Registered(Registered { session, worker, .. }) => {
                Ok(Self { client, caller: Caller { session, worker }, store, asks_with_report })
            }
            answer @ (RegisterAnswer::Exit
            | RegisterAnswer::OutsideRoots { .. }
            | RegisterAnswer::VersionMismatch { .. }) => Err(format!("{answer:?}").into()),
        }
    }

    /// Stages the files of the first attempt at each map task.
    fn stage_all(&self, tasks: u32) -> Result<(), Failed> {
        for task in 0..tasks {
            let staging = layout::staging(&self.caller.session.0, layout::Phase::Map, task, 0);
            self.stage(&staging, &layout::intermediate(task, 0))?;
        }
        Ok(())
    }

    fn stage(&self, staging: &Staging, name: &store::Name) -> Result<(), Failed> {
        self.store.stage(staging)?;
        self.store.create(staging, name, Durability::Verified)?.finish()?;
        Ok(())
    }

    /// Works until the job is over. Returns when the reduce task was assigned, if it was assigned
    /// to this worker.
    async fn work(mut self) -> Result<Option<(Instant, Duration)>, Failed> {
        const EMPTY: Digest = Digest { bytes: 0, crc32: 0 };
        let mut reduced = None;
        let mut next = None;
        loop {
            let answer = match next.take() {
                Some(answer) => answer,
                None => self.client.next_task(&self.caller).await?,
            };
            let task = match answer {
                TaskAnswer::Task(task) => task,
                TaskAnswer::Wait => continue,
                TaskAnswer::Exit => return Ok(reduced),
                TaskAnswer::Register => return Err("the driver does not know this worker".into()),
            };
            let outcome = match task.work {
                Work::Map { .. } => Outcome::Mapped {
                    buckets: vec![Bucket { digest: EMPTY, words: 0 }],
                    findings: Findings::default(),
                },
                Work::Reduce { .. } => {
                    reduced = Some((Instant::now(), processor_time()?));
                    self.stage(&Staging::parse(&task.staging)?, &layout::output(0))?;
                    Outcome::Reduced { output: EMPTY, words: 0, distinct_words: 0 }
                }
            };
            if self.asks_with_report {
                let answer = self.client.report_and_ask(&self.caller, task.attempt, outcome);
                (_, next) = answer.await?;
            } else {
                self.client.report(&self.caller, task.attempt, outcome).await?;
            }
        }
    }
}
