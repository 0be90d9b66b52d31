//! Whole jobs over real sockets, with workers that make the calls of real ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use driver::{Config, EarlyEnd, JobError, Snapshot, Summary};
use journal::{Log, Record};
use rpc::message::{
    Bucket, Caller, Digest, Failure, Findings, JobState, Order, Outcome, Register, RegisterAnswer,
    Task, TaskAnswer, Verdict, Work,
};
use rpc::{Client, Credentials};
use store::{Durability, Local, Staging, Store, layout};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

mod folder;

use folder::{Folder, prepare};

#[tokio::test]
async fn job_leaves_its_results_and_nothing_else() {
    let folder = Folder::without_words();
    // Files of a larger job that ran earlier.
    for path in ["files/intermediate", "files/out"] {
        fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    for path in ["files/intermediate/mr-9-0", "files/intermediate/mr-0-2", "files/out/out-2"] {
        fs::write(folder.path().join(path), "old").unwrap();
    }
    let job = folder.start(2, 2);
    let mut worker = Worker::register(&job.address, 1, &folder.files()).await;

    worker.work_to_the_end().await;

    let summary = job.ended().await.unwrap();
    assert_eq!((summary.workers, summary.snapshot.attempts.started), (1, 4));
    let expected = ["mr-0-0", "mr-0-1", "mr-1-0", "mr-1-1"];
    assert_eq!(folder.names("files/intermediate"), expected);
    assert_eq!(folder.names("files/out"), ["out-0", "out-1"]);
    assert_eq!(folder.names("files/.mapmill"), ["claims", "journal.jsonl", "lock", "staging"]);
    assert!(folder.names("files/.mapmill/staging").is_empty());
    assert_eq!(folder.recorded(), "begin input map map reduce reduce end(done)");
}

#[tokio::test]
async fn failed_job_keeps_files_it_does_not_replace_and_lists_every_attempt() {
    let folder = Folder::without_words();
    fs::create_dir_all(folder.path().join("files/out")).unwrap();
    fs::write(folder.path().join("files/out/out-7"), "old").unwrap();
    let job = folder.start(1, 1);
    let mut worker = Worker::register(&job.address, 1, &folder.files()).await;
    let task = worker.task().await;
    let failure = Failure::InputMissing { path: "/gone".into() };

    let verdict = worker.report(&task, Outcome::Failed(failure)).await;

    assert_eq!(verdict, Verdict::Accepted);
    assert_eq!(worker.beat().await, Order::Exit);
    let error = job.ended().await.unwrap_err().to_string();
    assert!(error.contains("input /gone disappeared during the job"), "{error}");
    assert!(error.contains("m0.a0 on w0 (host:1)"), "{error}");
    assert_eq!(folder.names("files/out"), ["out-7"]);
    assert_eq!(folder.recorded(), "begin input end(failed)");
}

#[tokio::test]
async fn interrupted_job_answers_waiting_workers_and_ends() {
    let folder = Folder::without_words();
    let mut job = folder.start(1, 1);
    let mut busy = Worker::register(&job.address, 1, &folder.files()).await;
    let mut idle = Worker::register(&job.address, 2, &folder.files()).await;
    let task = busy.task().await;
    busy.store.stage(&Staging::parse(&task.staging).unwrap()).unwrap();
    let waiting = tokio::spawn(async move { idle.next().await });
    let mut status = Client::new(&job.address, &Credentials::default()).unwrap();
    assert_eq!(status.status().await.unwrap().state, JobState::Running);

    job.interrupt();

    assert_eq!(waiting.await.unwrap(), TaskAnswer::Exit);
    assert_eq!(busy.beat().await, Order::Exit);
    assert!(matches!(job.ended().await, Err(JobError::Cancelled)));
    assert!(folder.names("files/.mapmill/staging").is_empty());
    assert_eq!(folder.recorded(), "begin input end(cancelled)");
}

/// No task reads the intermediates of another job, and replacing them is slow. The next epoch of
/// the same job depends on its own.
#[tokio::test]
async fn old_intermediates_are_removed_by_another_job_and_kept_by_the_same() {
    let folder = Folder::without_words();
    fs::create_dir_all(folder.path().join("files/intermediate")).unwrap();
    fs::write(folder.path().join("files/intermediate/mr-9-0"), "old").unwrap();
    let mut job = folder.start(2, 1);
    let mut worker = Worker::register(&job.address, 1, &folder.files()).await;
    let task = worker.task().await;
    assert_eq!(worker.stage_and_report(&task).await, Verdict::Accepted);
    job.interrupt();
    assert!(matches!(job.ended().await, Err(JobError::Cancelled)));
    let made = [format!("mr-{}-0", task.attempt.task)];
    assert_eq!(folder.names("files/intermediate"), made);

    let mut job = folder.start(2, 1);
    let mut worker = Worker::register(&job.address, 1, &folder.files()).await;
    assert_ne!(worker.task().await.attempt.task, task.attempt.task);
    job.interrupt();
    assert!(matches!(job.ended().await, Err(JobError::Cancelled)));
    assert_eq!(folder.names("files/intermediate"), made);
}

#[tokio::test]
async fn job_in_the_same_folder_at_the_same_address_does_not_know_the_old_workers() {
    let folder = Folder::without_words();
    let mut first = folder.start(1, 1);
    let address = first.address.clone();
    let mut worker = Worker::register(&address, 1, &folder.files()).await;
    let task = worker.task().await;
    first.interrupt();
    assert_eq!(worker.beat().await, Order::Exit);
    first.ended().await.unwrap_err();

    let mut config = folder.job(1, 1);
    config.listen.address = address.clone();
    let second = Job::start(config);
    // The worker made no call meanwhile, so it does not know of the second driver.
    assert_eq!(worker.stage_and_report(&task).await, Verdict::Stale);
    assert_eq!(worker.beat().await, Order::Register);
    assert_eq!(worker.next().await, TaskAnswer::Register);

    let mut worker = Worker::register(&address, 1, &folder.files()).await;
    worker.work_to_the_end().await;
    second.ended().await.unwrap();
    assert!(folder.names("files/.mapmill/staging").is_empty());
}

/// A foreign worker that reports files which it has not staged.
#[tokio::test]
async fn report_of_missing_files_does_not_count() {
    let folder = Folder::without_words();
    let job = folder.start(1, 1);
    let mut worker = Worker::register(&job.address, 1, &folder.files()).await;
    let task = worker.task().await;
    let digest = Digest { bytes: 4, crc32: 7 };
    let buckets = vec![Bucket { digest, words: 1 }];

    let verdict =
        worker.report(&task, Outcome::Mapped { buckets, findings: Findings::default() }).await;

    assert_eq!(verdict, Verdict::Stale);
    worker.work_to_the_end().await;
    assert_eq!(job.ended().await.unwrap().snapshot.attempts.failed, 1);
}

struct Job {
    address: String,
    interrupt: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<Summary, JobError>>,
}

impl Job {
    fn start(config: Config) -> Self {
        let prepared = prepare(config).unwrap();
        let address = prepared.address().to_string();
        let (interrupt, interrupted) = oneshot::channel::<()>();
        let (snapshots, _) = watch::channel(Snapshot::default());
        let ended = tokio::spawn(prepared.run(snapshots, async {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
            EarlyEnd::Interrupted
        }));
        Self { address, interrupt: Some(interrupt), ended }
    }

    fn interrupt(&mut self) {
        self.interrupt.take().unwrap().send(()).unwrap();
    }

    async fn ended(self) -> Result<Summary, JobError> {
        in_time(self.ended).await.unwrap()
    }
}

/// Executes tasks over an input without words: every file that it stages is empty.
struct Worker {
    client: Client,
    caller: Caller,
    store: Local,
    buckets: u32,
}

impl Worker {
    async fn register(address: &str, instance: u8, files: &Path) -> Self {
        let mut client = Client::new(address, &Credentials::default()).unwrap();
        let register = Register {
            protocol: rpc::PROTOCOL,
            build: rpc::BUILD.to_owned(),
            instance: [instance; 16],
            name: format!("host:{instance}"),
            roots: Vec::new(),
            abilities: BTreeSet::new(),
        };
        let answer = in_time(client.register(&register)).await.unwrap();
        let RegisterAnswer::Registered(registered) = answer else { panic!("{answer:?}") };
        assert_eq!(registered.files, files);
        let caller = Caller { session: registered.session, worker: registered.worker };
        let store = Local::open(files).unwrap();
        Self { client, caller, store, buckets: registered.buckets }
    }

    async fn next(&mut self) -> TaskAnswer {
        in_time(self.client.next_task(&self.caller)).await.unwrap()
    }

    async fn task(&mut self) -> Task {
        match self.next().await {
            TaskAnswer::Task(task) => task,
            answer @ (TaskAnswer::Exit | TaskAnswer::Register | TaskAnswer::Wait) => {
                panic!("{answer:?}")
            }
        }
    }

    async fn beat(&mut self) -> Order {
        in_time(self.client.heartbeat(&self.caller, None)).await.unwrap()
    }

    async fn report(&mut self, task: &Task, outcome: Outcome) -> Verdict {
        in_time(self.client.report(&self.caller, task.attempt, outcome)).await.unwrap()
    }

    async fn stage_and_report(&mut self, task: &Task) -> Verdict {
        const EMPTY: Digest = Digest { bytes: 0, crc32: 0 };
        let staging = Staging::parse(&task.staging).unwrap();
        self.store.stage(&staging).unwrap();
        let create = |name| {
            self.store.create(&staging, &name, Durability::Verified).unwrap().finish().unwrap();
        };
        let outcome = match &task.work {
            Work::Map { .. } => {
                let names = |bucket| layout::intermediate(task.attempt.task, bucket);
                (0..self.buckets).map(names).for_each(create);
                let empty = Bucket { digest: EMPTY, words: 0 };
                Outcome::Mapped {
                    buckets: vec![empty; self.buckets as usize],
                    findings: Findings::default(),
                }
            }
            Work::Reduce { intermediates } => {
                assert!(intermediates.iter().all(|&digest| digest == EMPTY));
                create(layout::output(task.attempt.task));
                Outcome::Reduced { output: EMPTY, words: 0, distinct_words: 0 }
            }
        };
        self.report(task, outcome).await
    }

    async fn work_to_the_end(&mut self) {
        loop {
            match self.next().await {
                TaskAnswer::Exit => return,
                TaskAnswer::Register => panic!("forgotten"),
                TaskAnswer::Task(task) => {
                    assert_eq!(self.stage_and_report(&task).await, Verdict::Accepted);
                }
                TaskAnswer::Wait => {}
            }
        }
    }
}

impl Folder {
    /// The input has no words.
    fn without_words() -> Self {
        Self::new("1234\n")
    }

    fn job(&self, map_tasks: u32, reduce_tasks: u32) -> Config {
        Config {
            map_tasks: NonZeroU32::new(map_tasks),
            reduce_tasks: NonZeroU32::new(reduce_tasks).unwrap(),
            ..self.config()
        }
    }

    fn start(&self, map_tasks: u32, reduce_tasks: u32) -> Job {
        Job::start(self.job(map_tasks, reduce_tasks))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(folder)).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn recorded(&self) -> String {
        let records = self.log().read().unwrap().records;
        let describe = |record: Record| match record {
            Record::Begin { .. } => Some("begin".to_owned()),
            Record::End { outcome } => Some(format!("end({outcome})")),
            // Notes.
            Record::Ended { .. } | Record::Recalled { .. } | Record::Started { .. } => None,
            Record::Input { .. } => Some("input".to_owned()),
            Record::IntermediatesRemoved => Some("removed".to_owned()),
            Record::Map { .. } => Some("map".to_owned()),
            Record::Reduce { .. } => Some("reduce".to_owned()),
            Record::Resume { .. } => Some("resume".to_owned()),
        };
        records.into_iter().filter_map(describe).collect::<Vec<_>>().join(" ")
    }
}

/// Fails a test that would hang.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("a call takes no 20 seconds")
}
