//! What a worker says and does when a scripted driver answers, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rpc::message::{
    Attempt, Caller, Failure, Format, Order, Outcome, Phase, Register, RegisterAnswer, Registered,
    Running, Session, Split, Status, Task, TaskAnswer, Verdict, WordRule, WordRules, Work,
};
use rpc::{Peer, Refusal, Token};
use store::{Local, layout};
use worker::{Config, Notice, Patience, Shutdown, WorkerError};

#[test]
fn worker_registers_executes_its_tasks_and_ends_with_the_job() {
    let bench = Bench::new(b"one two");
    let script = Script::new([bench.task(0), bench.task(1)]);
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    let received = server.received();
    assert_eq!(received.registrations.len(), 1);
    let registration = &received.registrations[0];
    assert_eq!((registration.protocol, &registration.roots), (rpc::PROTOCOL, &bench.roots()));
    let reported: Vec<u32> = received.reports.iter().map(|(attempt, _)| attempt.task).collect();
    assert_eq!(reported, [0, 1]);
    assert!(received.reports.iter().all(|(_, outcome)| matches!(outcome, Outcome::Mapped { .. })));
    assert!(received.beats > 0);
}

/// After `Accepted` the driver has published it, or is about to.
#[test]
fn accepted_staging_is_left_alone_and_stale_staging_is_removed() {
    let bench = Bench::new(b"one two");
    let mut script = Script::new([bench.task(0), bench.task(1)]);
    script.verdicts = [Ok(Verdict::Accepted), Ok(Verdict::Stale)].into();
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    assert_eq!((bench.is_staged(0), bench.is_staged(1)), (true, false));
}

/// The assignment arrives again while the files of the first execution are being published: they
/// must stay where the committer expects them.
#[test]
fn staging_of_an_earlier_execution_is_left_alone() {
    let bench = Bench::new(b"word");
    let mut script = Script::new([bench.task(0), bench.task(0)]);
    script.verdicts = [Ok(Verdict::Accepted), Ok(Verdict::Stale)].into();
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    let reports = server.received().reports;
    assert_eq!(reports[1].1, Outcome::Failed(Failure::StagingExists));
    assert!(bench.is_staged(0));
}

#[test]
fn report_is_repeated_until_it_is_answered() {
    let bench = Bench::new(b"one two");
    let mut script = Script::new([bench.task(0)]);
    script.verdicts = [Err(Refusal::Gone), Err(Refusal::Gone), Ok(Verdict::Accepted)].into();
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    let reports = server.received().reports;
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| *report == reports[0]));
}

/// The attempt has staged, and its report was never answered: only this worker may know of it.
#[test]
fn staging_of_an_unanswered_report_is_removed_when_the_registration_ends() {
    for order in [Some(Order::Exit), Some(Order::Register), None] {
        let mut bench = Bench::new(b"one two");
        bench.patience.later = Duration::from_millis(300);
        let mut script = Script::new([bench.task(0)]);
        script.answers_no_report = true;
        script.order_when_reported = order;
        let server = Server::start(&bench, script, None);
        let worker = bench.start(&server.address);
        while server.received().reports.is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        if order.is_none() {
            assert!(bench.is_staged(0));
            drop(server);
        }

        let ended = in_time(worker);

        assert_eq!(ended.is_ok(), order.is_some(), "{ended:?}");
        assert!(!bench.is_staged(0), "after {order:?}");
    }
}

/// A driver that receives `Leave` knows what was reported, and may be publishing it.
#[test]
fn worker_that_is_told_to_stop_leaves_what_it_has_reported_to_the_driver() {
    let bench = Bench::new(b"one two");
    let mut script = Script::new([bench.task(0)]);
    script.answers_no_report = true;
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    while server.received().reports.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    bench.shutdown.request();

    let ended = in_time(worker);
    assert!(matches!(ended, Err(WorkerError::Stopped { had_task: false })), "{ended:?}");
    assert_eq!(server.received().leaves, 1);
    assert!(bench.is_staged(0));
}

#[test]
fn failure_is_reported_and_the_worker_continues() {
    let bench = Bench::new(b"one two");
    let missing = TaskAnswer::Task(Task {
        work: Work::Reduce { intermediates: vec![rpc::message::Digest { bytes: 1, crc32: 1 }] },
        ..bench.plain_task(7)
    });
    let server = Server::start(&bench, Script::new([missing, bench.task(0)]), None);

    bench.work(&server.address).unwrap();

    let reports = server.received().reports;
    assert_eq!(reports[0].1, Outcome::Failed(Failure::IntermediateMissing { map: 0 }));
    assert!(matches!(reports[1].1, Outcome::Mapped { .. }));
    assert!(bench.notices().iter().any(|notice| matches!(notice, Notice::Failed { .. })));
}

/// As long as the answer to the report waits for the next task, heartbeats name the attempt.
#[test]
fn failed_attempt_is_not_said_to_be_abandoned_too() {
    let bench = Bench::new(b"one two");
    let missing = TaskAnswer::Task(Task {
        work: Work::Reduce { intermediates: vec![rpc::message::Digest { bytes: 1, crc32: 1 }] },
        ..bench.plain_task(7)
    });
    let mut script = Script::new([missing]);
    script.answers_no_report = true;
    script.order_when_reported = Some(Order::Abandon);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    while server.received().reports.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    let before = server.received().running.len();
    while server.received().running.len() < before + 3 {
        thread::sleep(Duration::from_millis(1));
    }
    bench.shutdown.request();
    let _ = in_time(worker);

    let notices = bench.notices();
    assert!(notices.iter().any(|notice| matches!(notice, Notice::Failed { .. })), "{notices:?}");
    let abandoned = |notice: &Notice| matches!(notice, Notice::Abandoned { .. });
    assert!(!notices.iter().any(abandoned), "{notices:?}");
}

#[test]
fn worker_waits_for_a_driver_that_starts_later() {
    let bench = Bench::new(b"");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let worker = bench.start(&address);
    // The notice comes after two seconds.
    let notice = bench.notices.recv_timeout(DEADLINE).unwrap();
    assert!(
        matches!(&notice, Notice::Waiting { driver, error }
        if *driver == address && error.contains("refused")),
        "{notice:?}"
    );

    let server = Server::start_at(&address, &bench, Script::new([bench.task(0)]), None);

    in_time(worker).unwrap();
    assert_eq!(server.received().reports.len(), 1);
}

/// The attempt is abandoned, its staging removed, and the driver told.
#[test]
fn worker_that_is_told_to_stop_abandons_its_attempt_and_leaves() {
    let mut bench = Bench::new(&b"word ".repeat(1000));
    bench.throttle = NonZeroU64::new(1000);
    let server = Server::start(&bench, Script::new([bench.task(0)]), None);
    let worker = bench.start(&server.address);
    while server.received().running.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    let asked = Instant::now();
    bench.shutdown.request();

    let ended = in_time(worker);
    assert!(matches!(ended, Err(WorkerError::Stopped { had_task: true })), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!((server.received().leaves, server.received().reports.len()), (1, 0));
    assert!(!bench.is_staged(0));
}

/// It says what it has done before; it has no task that could be reassigned.
#[test]
fn idle_worker_that_is_told_to_stop_had_no_task() {
    let bench = Bench::new(b"one two");
    let mut script = Script::new([bench.task(0), bench.task(1)]);
    script.is_idle_after_registration = Some(1);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    while server.received().idle == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    bench.shutdown.request();

    let ended = in_time(worker);
    assert!(matches!(ended, Err(WorkerError::Stopped { had_task: false })), "{ended:?}");
    let notices = bench.notices();
    let Some(Notice::Ended { map_tasks: 2, reduce_tasks: 0, bytes: 14, .. }) = notices.last()
    else {
        panic!("{notices:?}")
    };
}

#[test]
fn worker_that_waits_for_a_driver_can_be_told_to_stop() {
    let bench = Bench::new(b"word");
    let worker = bench.start("127.0.0.1:1");
    bench.shutdown.request();

    let ended = in_time(worker);
    assert!(matches!(ended, Err(WorkerError::Stopped { had_task: false })), "{ended:?}");
    // It has done nothing.
    assert!(!bench.notices().iter().any(|notice| matches!(notice, Notice::Ended { .. })));
}

#[test]
fn forgotten_worker_drops_its_attempt_and_registers_again_as_the_same() {
    for by_heartbeat in [true, false] {
        let mut bench = Bench::new(&b"word ".repeat(1000));
        let mut script = Script::new([bench.task(0)]);
        if by_heartbeat {
            // The attempt is under way then.
            bench.throttle = NonZeroU64::new(1000);
            script.orders = [Order::Continue, Order::Register].into();
            script.is_idle_after_registration = Some(2);
        } else {
            script.answers.push_front(TaskAnswer::Register);
        }
        let server = Server::start(&bench, script, None);

        bench.work(&server.address).unwrap();

        let registrations = server.received().registrations;
        assert_eq!(registrations.len(), 2);
        assert_eq!(registrations[0], registrations[1]);
        assert_eq!(server.received().reports.len(), usize::from(!by_heartbeat));
        assert_eq!(bench.is_staged(0), !by_heartbeat);
    }
}

#[test]
fn worker_leaves_at_once_when_the_job_ends_in_the_middle_of_its_attempt() {
    let mut bench = Bench::new(&b"word ".repeat(10_000));
    bench.throttle = NonZeroU64::new(1000);
    let mut script = Script::new([bench.task(0)]);
    script.orders = [Order::Continue, Order::Continue, Order::Exit].into();
    let server = Server::start(&bench, script, None);
    let began = Instant::now();

    bench.work(&server.address).unwrap();

    assert!(began.elapsed() < Duration::from_secs(5), "the attempt takes 50");
    assert!(!bench.is_staged(0));
    assert!(server.received().reports.is_empty());
    assert!(bench.notices().contains(&Notice::JobOver));
}

#[test]
fn abandoned_attempt_is_not_reported_and_the_next_task_is_asked_for() {
    let mut bench = Bench::new(&b"word ".repeat(400));
    bench.throttle = NonZeroU64::new(4000);
    let mut script = Script::new([bench.task(0), TaskAnswer::Wait, bench.empty_task(1)]);
    script.orders = [Order::Continue, Order::Abandon].into();
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    let reported: Vec<u32> =
        server.received().reports.iter().map(|(attempt, _)| attempt.task).collect();
    assert_eq!(reported, [1]);
    assert!(!bench.is_staged(0));
    let attempt = Attempt { phase: Phase::Map, task: 0, number: 0 };
    assert_eq!(attempt.to_string(), "map task 0, attempt 0");
    assert!(bench.notices().contains(&Notice::Abandoned { attempt }));
}

#[test]
fn heartbeats_report_how_far_the_attempt_is() {
    let mut bench = Bench::new(&b"word ".repeat(200));
    bench.throttle = NonZeroU64::new(2000);
    let server = Server::start(&bench, Script::new([bench.task(0)]), None);

    bench.work(&server.address).unwrap();

    // Half a second of work, and a heartbeat every 20 ms.
    let progress: Vec<u64> =
        server.received().running.iter().map(|running| running.progress).collect();
    assert!(progress.is_sorted(), "{progress:?}");
    assert!(progress.first() < progress.last(), "{progress:?}");
}

#[test]
fn worker_leaves_a_driver_that_stops_answering() {
    let mut bench = Bench::new(b"");
    bench.patience.later = Duration::from_millis(300);
    let mut script = Script::new([]);
    script.is_idle_after_registration = Some(1);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    let registered = bench.notices.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(registered, Notice::Registered { worker: 9, .. }), "{registered:?}");
    drop(server);

    let error = in_time(worker).unwrap_err();

    assert!(matches!(error, WorkerError::DriverLost { .. }), "{error}");
    assert!(!error.is_about_start());
}

#[test]
fn worker_of_a_silent_driver_ends_with_the_job_when_the_journal_has_its_end() {
    let mut bench = Bench::new(b"");
    bench.has_ended = true;
    let mut script = Script::new([]);
    script.is_idle_after_registration = Some(1);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    let registered = bench.notices.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(registered, Notice::Registered { worker: 9, .. }), "{registered:?}");
    // As long as the driver answers, the journal has no effect.
    thread::sleep(Duration::from_millis(300));
    assert!(!worker.is_finished());
    drop(server);
    let began = Instant::now();

    in_time(worker).unwrap();

    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(bench.notices().contains(&Notice::JobOver));
}

/// The wait is for the first answer alone: it does not end a worker that has one.
#[test]
fn wait_for_a_driver_ends_with_its_first_answer() {
    let mut bench = Bench::new(b"one two");
    bench.patience.first = Some(Duration::from_millis(300));
    bench.throttle = NonZeroU64::new(8);
    let server = Server::start(&bench, Script::new([bench.task(0)]), None);

    bench.work(&server.address).unwrap();

    assert_eq!(server.received().reports.len(), 1);
}

#[test]
fn worker_without_the_right_token_ends_at_once() {
    let mut bench = Bench::new(b"");
    let token = Token::random().unwrap();
    let server = Server::start(&bench, Script::new([]), Some(token.clone()));
    for shown in [None, Some(Token::random().unwrap())] {
        bench.token = shown;
        let error = bench.work(&server.address).unwrap_err();
        assert!(matches!(error, WorkerError::Denied { .. }), "{error}");
        assert!(error.is_about_start());
    }
    assert!(server.received().registrations.is_empty());

    bench.token = Some(token);
    bench.work(&server.address).unwrap();
}

#[test]
fn worker_that_is_refused_ends_and_says_why() {
    let bench = Bench::new(b"");
    let (protocol, build) = (2, "mapmill 9".to_owned());
    let error = bench.refused(RegisterAnswer::VersionMismatch { protocol, build });
    assert!(error.contains("the driver is mapmill 9 (protocol 2)"), "{error}");

    let error =
        bench.refused(RegisterAnswer::OutsideRoots { folder: "/srv".into(), more: Vec::new() });
    assert!(error.contains("uses /srv, which is in none of"), "{error}");
}

/// The worker checks the results folder itself, whatever the driver did.
#[test]
fn job_outside_the_roots_is_refused_by_the_worker() {
    let bench = Bench::new(b"");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut script = Script::new([]);
    script.files = Some(elsewhere.path().to_owned());
    let server = Server::start(&bench, script, None);

    let error = bench.work(&server.address).unwrap_err();

    assert!(matches!(error, WorkerError::OutsideRoots { .. }), "{error}");
}

#[test]
fn job_that_is_over_ends_the_worker_without_an_error() {
    let bench = Bench::new(b"");
    let mut script = Script::new([]);
    script.refusal = Some(RegisterAnswer::Exit);
    let server = Server::start(&bench, script, None);

    bench.work(&server.address).unwrap();

    assert_eq!(bench.notices(), [Notice::JobOver]);
}

/// A driver whose job is over answers for a moment. The worker says so once, and asks now and then.
#[test]
fn staying_worker_does_not_hammer_a_driver_whose_job_is_over() {
    let mut bench = Bench::new(b"");
    bench.patience.stays = true;
    let mut script = Script::new([]);
    script.refusal = Some(RegisterAnswer::Exit);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);

    // The passing of time is what is tried.
    thread::sleep(Duration::from_millis(1500));

    let registrations = server.received().registrations.len();
    assert!((2..=4).contains(&registrations), "{registrations}");
    assert!(!worker.is_finished());
    let staying = Notice::Staying { driver: server.address.clone(), silent: None };
    assert_eq!(bench.notices(), [Notice::JobOver, staying]);
    bench.shutdown.request();
    let ended = in_time(worker);
    assert!(matches!(ended, Err(WorkerError::Stopped { had_task: false })), "{ended:?}");
}

#[test]
fn staying_worker_waits_for_the_driver_after_one_that_is_lost_as_long_as_for_its_first() {
    let mut bench = Bench::new(b"");
    bench.patience.first = Some(Duration::from_secs(1));
    bench.patience.later = Duration::from_millis(300);
    bench.patience.stays = true;
    let mut script = Script::new([]);
    script.is_idle_after_registration = Some(1);
    let server = Server::start(&bench, script, None);
    let worker = bench.start(&server.address);
    let registered = bench.notices.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(registered, Notice::Registered { worker: 9, .. }), "{registered:?}");
    drop(server);

    let ended = in_time(worker);

    assert!(matches!(ended, Err(WorkerError::NoDriver { .. })), "{ended:?}");
    let staying = |notice: &Notice| matches!(notice, Notice::Staying { silent: Some(_), .. });
    assert_eq!(bench.notices().iter().filter(|&notice| staying(notice)).count(), 1);
}

#[test]
fn malformed_address_is_an_error() {
    let bench = Bench::new(b"");
    let error = bench.work("nowhere").unwrap_err();
    assert!(matches!(error, WorkerError::Address(_)), "{error}");
}

/// What the driver answers. Beyond the script it accepts reports, has the worker continue, and
/// answers "exit" when no task is left.
#[derive(Default)]
struct Script {
    answers: VecDeque<TaskAnswer>,
    /// To heartbeats that name an attempt.
    orders: VecDeque<Order>,
    verdicts: VecDeque<Result<Verdict, Refusal>>,
    answers_no_report: bool,
    /// To heartbeats, once there was a report.
    order_when_reported: Option<Order>,
    refusal: Option<RegisterAnswer>,
    /// Instead of the real folder.
    files: Option<PathBuf>,
    /// Up to this registration the job does not end: a worker that asks for more tasks waits.
    is_idle_after_registration: Option<usize>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = TaskAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::default() }
    }
}

/// What the worker has sent.
#[derive(Clone, Default)]
struct Received {
    /// Calls for a task that wait for one.
    idle: usize,
    registrations: Vec<Register>,
    reports: Vec<(Attempt, Outcome)>,
    running: Vec<Running>,
    beats: usize,
    leaves: usize,
}

struct Scripted {
    script: Mutex<Script>,
    received: Arc<Mutex<Received>>,
    files: PathBuf,
}

impl rpc::Driver for Scripted {
    async fn register(&self, _: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        self.received.lock().unwrap().registrations.push(register);
        let script = self.script.lock().unwrap();
        let welcome = || {
            RegisterAnswer::Registered(Registered {
                session: Session("s".to_owned()),
                worker: 0x9E37_79B9_7F4A_7C15,
                number: 9,
                heartbeat: Duration::from_millis(20),
                files: script.files.clone().unwrap_or_else(|| self.files.clone()),
                rules: WordRules { rule: WordRule::Letters, ignore_case: false },
                buckets: 2,
                skip_bad_records: false,
            })
        };
        Ok(script.refusal.clone().unwrap_or_else(welcome))
    }

    async fn next_task(&self, _: Peer, _: Caller) -> Result<TaskAnswer, Refusal> {
        let registrations = self.received.lock().unwrap().registrations.len();
        let is_idle = {
            let mut script = self.script.lock().unwrap();
            if let Some(answer) = script.answers.pop_front() {
                return Ok(answer);
            }
            script.is_idle_after_registration.is_some_and(|last| registrations < last)
                || script.is_idle_after_registration == Some(1)
        };
        if is_idle {
            self.received.lock().unwrap().idle += 1;
            std::future::pending::<()>().await;
        }
        Ok(TaskAnswer::Exit)
    }

    async fn heartbeat(
        &self,
        _: Peer,
        _: Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        let mut received = self.received.lock().unwrap();
        received.beats += 1;
        received.running.extend(running);
        let mut script = self.script.lock().unwrap();
        let order = running.and_then(|_| script.orders.pop_front());
        let is_reported = !received.reports.is_empty();
        let order = order.or(script.order_when_reported.filter(|_| is_reported));
        Ok(order.unwrap_or(Order::Continue))
    }

    async fn report(
        &self,
        _: Peer,
        _: Caller,
        of: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Refusal> {
        self.received.lock().unwrap().reports.push((of, outcome));
        let (verdict, is_silent) = {
            let mut script = self.script.lock().unwrap();
            (script.verdicts.pop_front(), script.answers_no_report)
        };
        if is_silent {
            std::future::pending::<()>().await;
        }
        verdict.unwrap_or(Ok(Verdict::Accepted))
    }

    async fn leave(&self, _: Peer, _: Caller) -> Result<(), Refusal> {
        self.received.lock().unwrap().leaves += 1;
        Ok(())
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        Err(Refusal::Gone)
    }
}

/// A scripted driver on a runtime of its own. Dropping it is like `kill -9`.
struct Server {
    address: String,
    received: Arc<Mutex<Received>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    fn start(bench: &Bench, script: Script, token: Option<Token>) -> Self {
        Self::start_at("127.0.0.1:0", bench, script, token)
    }

    fn start_at(address: &str, bench: &Bench, script: Script, token: Option<Token>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::default();
        let files = bench.path("files");
        let driver =
            Scripted { script: Mutex::new(script), received: Arc::clone(&received), files };
        runtime.spawn(rpc::serve(
            vec![listener],
            Arc::new(driver),
            token.into(),
            std::future::pending(),
        ));
        Self { address, received, runtime: Some(runtime) }
    }

    fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().expect("dropped once").shutdown_background();
    }
}

/// A folder with one input and a results folder, and what a worker is started with.
struct Bench {
    folder: tempfile::TempDir,
    throttle: Option<NonZeroU64>,
    patience: Patience,
    token: Option<Token>,
    shutdown: Shutdown,
    /// What the journal says.
    has_ended: bool,
    notify: mpsc::Sender<Notice>,
    notices: mpsc::Receiver<Notice>,
}

impl Bench {
    fn new(text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("input"), text).unwrap();
        Local::create(&folder.path().join("files")).unwrap();
        let (notify, notices) = mpsc::channel();
        let patience = Patience { first: None, later: Duration::from_secs(30), stays: false };
        let shutdown = Shutdown::default();
        let (throttle, token, has_ended) = (None, None, false);
        Self { folder, throttle, patience, token, shutdown, has_ended, notify, notices }
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    fn roots(&self) -> Vec<PathBuf> {
        worker::real_roots(&[self.folder.path().to_owned()]).unwrap()
    }

    fn start(&self, address: &str) -> JoinHandle<Result<(), WorkerError>> {
        let notify = self.notify.clone();
        let config = Config {
            driver: address.into(),
            roots: self.roots(),
            name: "me".to_owned(),
            instance: None,
            patience: self.patience,
            credentials: self.token.clone().into(),
            throttle: self.throttle,
            memory_bytes: 256 << 20,
            notify: Arc::new(move |notice| {
                // Not every test looks at them.
                let _ = notify.send(notice);
            }),
            shutdown: self.shutdown.clone(),
        };
        let has_ended = self.has_ended;
        thread::spawn(move || worker::run(config, Arc::new(move |_, _| has_ended)))
    }

    fn work(&self, address: &str) -> Result<(), WorkerError> {
        in_time(self.start(address))
    }

    fn refused(&self, refusal: RegisterAnswer) -> String {
        let mut script = Script::new([]);
        script.refusal = Some(refusal);
        let server = Server::start(self, script, None);
        let error = self.work(&server.address).unwrap_err();
        assert!(error.is_about_start());
        error.to_string()
    }

    fn notices(&self) -> Vec<Notice> {
        self.notices.try_iter().collect()
    }

    /// Map task `task`, over the whole input.
    fn task(&self, task: u32) -> TaskAnswer {
        let path = self.path("input");
        let input = store::list_inputs(std::slice::from_ref(&path), None).unwrap().inputs.remove(0);
        let split = Split {
            path,
            start: 0,
            end: input.bytes,
            file_bytes: input.bytes,
            modified_seconds: input.modified.seconds,
            modified_nanos: input.modified.nanoseconds,
            format: Format::default(),
        };
        let splits = if input.bytes == 0 { Vec::new() } else { vec![split] };
        TaskAnswer::Task(Task { work: Work::Map { splits }, ..self.plain_task(task) })
    }

    fn empty_task(&self, task: u32) -> TaskAnswer {
        TaskAnswer::Task(self.plain_task(task))
    }

    fn plain_task(&self, task: u32) -> Task {
        Task {
            attempt: Attempt { phase: Phase::Map, task, number: 0 },
            staging: layout::staging("s", layout::Phase::Map, task, 0).to_string(),
            work: Work::Map { splits: Vec::new() },
        }
    }

    fn is_staged(&self, task: u32) -> bool {
        let staging = layout::staging("s", layout::Phase::Map, task, 0).to_string();
        Path::new(&self.path("files")).join(staging).exists()
    }
}

/// A test that would hang fails instead.
#[track_caller]
fn in_time<T: Send + 'static>(work: JoinHandle<T>) -> T {
    let began = Instant::now();
    while !work.is_finished() {
        assert!(began.elapsed() < DEADLINE, "the worker waits forever");
        thread::sleep(Duration::from_millis(1));
    }
    work.join().unwrap()
}

/// Ten times what the slowest test takes on an idle machine.
const DEADLINE: Duration = Duration::from_secs(30);
