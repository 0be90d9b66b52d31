//! A hostile driver: the paths it sends lead elsewhere, are not what it says, or are off limits.
//!
//! Each violation is refused for its own reason; the honest task behind it is executed correctly;
//! and nothing outside the roots is read, written or waited for.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::collections::VecDeque;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rpc::message::{
    Attempt, Caller, Digest, Failure, Format, Order, Outcome, Phase, Register, RegisterAnswer,
    Registered, Running, Session, Split, Status, Task, TaskAnswer, Verdict, WordRule, WordRules,
    Work,
};
use rpc::{Peer, Refusal};
use store::{Local, layout};
use worker::{Config, Patience, Shutdown, WorkerError};

#[test]
fn inputs_outside_the_roots_are_not_read_whatever_leads_there() {
    let bench = Bench::new();
    let secret = bench.outside("secret");
    symlink(&secret, bench.inside("link")).unwrap();
    symlink(bench.outside(""), bench.inside("folder")).unwrap();
    symlink("..", bench.inside("up")).unwrap();
    symlink(bench.inside("real"), bench.inside("alias")).unwrap();
    let (outside, linked) = ("is outside the worker's roots", "a symbolic link on the way");
    let violations = [
        (secret.clone(), outside),
        (bench.inside("../outside/secret"), outside),
        (bench.inside("real/../../outside/secret"), outside),
        ("input".into(), outside),
        ("".into(), outside),
        ("/".into(), outside),
        (bench.inside("link"), linked),
        (bench.inside("folder/secret"), linked),
        (bench.inside("up/outside/secret"), linked),
        (bench.inside("alias/input"), linked),
        (bench.inside("missing"), "disappeared"),
        (bench.inside("real/input/more"), "cannot open"),
        (bench.inside(""), "it has become a folder"),
        (bench.inside("real"), "it has become a folder"),
        (bench.inside("real/input\0.txt"), "its name has a zero byte"),
        (bench.inside("\0"), "its name has a zero byte"),
    ];
    bench.check(violations.map(|(path, cause)| {
        // With the size and modification time of the secret.
        let split = Split { path, ..Bench::split(&secret) };
        (bench.map(vec![split]), cause)
    }));
}

#[test]
fn anything_but_a_regular_file_is_neither_waited_for_nor_touched() {
    let mut bench = Bench::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.inside("fifo"), mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.inside("socket")).unwrap();
    let mut violations = vec![
        (bench.inside("fifo"), "it has become a FIFO"),
        (bench.inside("socket"), "it has become a socket"),
    ];
    let devices = ["/dev/zero", "/dev/full", "/dev/null", "/dev/tty", "/dev/random", "/dev/ptmx"];
    let devices = devices.map(PathBuf::from).into_iter().filter(|device| device.exists());
    violations.extend(devices.map(|device| (device, "it has become a device")));
    // A file of the kernel: it has no length, and no end.
    let memory = format!("/proc/{}/mem", std::process::id());
    violations.push((memory.into(), "changed size during the job"));
    violations.push(("/proc/self/fd/0".into(), "a symbolic link on the way"));
    assert!(violations.len() > 4, "no devices here: {violations:?}");
    bench.roots = vec!["/".into()];
    bench.check(violations.into_iter().map(|(path, cause)| {
        let split = Split { path, ..Bench::split(&bench.inside("real/input")) };
        (bench.map(vec![split]), cause)
    }));
}

#[test]
fn wrong_file_metadata_and_endless_lists_are_refused_at_once() {
    let bench = Bench::new();
    let honest = Bench::split(&bench.inside("real/input"));
    let changed = "during the job";
    let endless = u64::MAX;
    let outside = Split { path: bench.outside("secret"), ..honest.clone() };
    let mut violations: Vec<(Task, &str)> = [
        Split { file_bytes: honest.file_bytes + 1, ..honest.clone() },
        Split { file_bytes: honest.file_bytes - 1, end: 1, ..honest.clone() },
        Split { start: endless - 1, end: endless, file_bytes: endless, ..honest.clone() },
        Split { start: 0, end: endless, file_bytes: endless, ..honest.clone() },
        Split { modified_seconds: i64::MIN, ..honest.clone() },
        Split { modified_nanos: 999_999_999, ..honest },
    ]
    .map(|split| (bench.map(vec![split]), changed))
    .into();
    violations.push((bench.map(vec![outside; 400_000]), "is outside the worker's roots"));
    let nothing = Digest { bytes: 7, crc32: 7 };
    violations
        .push((bench.reduce(1, vec![nothing; 100_000]), "intermediate of map task 0 is missing"));
    let huge = Digest { bytes: u64::MAX, crc32: 0 };
    fs::write(bench.path("files/intermediate/mr-0-0"), "one\n").unwrap();
    violations.push((bench.reduce(0, vec![huge]), "intermediate of map task 0 is damaged"));
    bench.check(violations);
}

#[test]
fn intermediates_that_lead_elsewhere_are_not_read() {
    let bench = Bench::new();
    let name = |bucket: u32| bench.path("files").join(layout::intermediate(0, bucket).as_str());
    let secret = store::Digest::of(&fs::read(bench.outside("secret")).unwrap());
    let secret = Digest { bytes: secret.bytes, crc32: secret.crc32 };
    symlink(bench.outside("secret"), name(0)).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, name(1), mode).unwrap();
    let violations = [bench.reduce(0, vec![secret]), bench.reduce(1, vec![secret])];
    bench.check(violations.map(|violation| (violation, "is not a regular file")));
}

#[test]
fn only_the_attempts_own_staging_folder_is_used() {
    let bench = Bench::new();
    let of_another = layout::staging("s", layout::Phase::Map, 7, 7).to_string();
    let of_another_job = layout::staging("t", layout::Phase::Map, 0, 0).to_string();
    let within = format!("{}/a", layout::staging("s", layout::Phase::Map, 0, 0));
    let absolute = bench.outside("new").to_str().unwrap().to_owned();
    let climbing =
        format!("{}/../../../../outside/new", layout::staging("s", layout::Phase::Map, 0, 0));
    // Longer than a name may be, and as long as a path in a report may be.
    let long = format!(".mapmill/staging/s/{}", "a".repeat(4_000));
    let violations = [
        "",
        ".",
        "..",
        "/",
        "../outside/new",
        ".mapmill/staging",
        ".mapmill/staging/s",
        ".mapmill/staging//m0.a0",
        ".mapmill/staging/../m0.a0",
        ".mapmill/staging/s/..",
        ".mapmill/staging/s/m0.a0\0",
        ".mapmill/journal.jsonl",
        layout::output(0).as_str(),
        layout::intermediate(0, 0).as_str(),
        &of_another,
        &of_another_job,
        &within,
        &absolute,
        &climbing,
        &long,
    ]
    .map(|staging| {
        (
            Task { staging: staging.to_owned(), ..bench.map(Vec::new()) },
            "is not the staging folder of this attempt",
        )
    });
    fs::create_dir_all(bench.path("files").join(&of_another_job)).unwrap();
    bench.check(violations);
    assert!(!bench.path("files").join(&of_another).exists());
    assert_eq!(fs::read_dir(bench.path("files").join(&of_another_job)).unwrap().count(), 0);
}

#[test]
fn an_attempt_is_executed_once_however_often_it_is_assigned() {
    let bench = Bench::new();
    let task = bench.honest(0);
    let (ended, reports) = bench.work(bench.registered(), vec![task; 50]);

    ended.unwrap();
    assert_eq!(words(&reports[0].1), Some(2));
    let again = &reports[1..];
    assert_eq!(again.len(), 49);
    assert!(again.iter().all(|(_, outcome)| *outcome == Outcome::Failed(Failure::StagingExists)));
    let staged = bench.path("files").join(layout::staging("s", layout::Phase::Map, 0, 0).as_str());
    assert_eq!(fs::read_to_string(staged.join("mr-0-0")).unwrap(), "one\ntwo\n");
    // The folder is private; a published file has the mode of any new file.
    assert_eq!(fs::metadata(&staged).unwrap().permissions().mode() & 0o777, 0o700);
    let plain = bench.inside("real/input");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&staged.join("mr-0-0")), mode(&plain));
}

/// No task has failed here: no driver that implements the protocol sends this.
#[test]
fn a_breach_of_the_protocol_ends_the_worker_with_a_sentence() {
    let bench = Bench::new();
    let split = Bench::split(&bench.inside("real/input"));
    let (bytes, endless) = (split.file_bytes, u64::MAX);
    let splits = [
        Split { start: 5, end: 3, ..split.clone() },
        Split { start: 3, end: 3, ..split.clone() },
        Split { end: bytes + 1, ..split.clone() },
        Split { start: endless, end: endless, ..split.clone() },
        Split { modified_nanos: 1_000_000_000, ..split },
    ];
    for split in splits {
        let (ended, reports) = bench.work(bench.registered(), vec![bench.map(vec![split])]);
        assert!(reports.is_empty());
        check_breach(ended, &["a split that is not a part", "a second has fewer"]);
    }
    for buckets in [0, 10_001, u32::MAX] {
        let registered = Registered { buckets, ..bench.registered() };
        check_breach(bench.work(registered, Vec::new()).0, &["buckets outside 1 to 10,000"]);
    }
    let registered = Registered { heartbeat: Duration::ZERO, ..bench.registered() };
    check_breach(bench.work(registered, Vec::new()).0, &["no heartbeat interval"]);
    // It would have to be sent with every call.
    let registered = Registered { session: Session("s".repeat(2 << 20)), ..bench.registered() };
    check_breach(bench.work(registered, Vec::new()).0, &["at most 1048576 are taken"]);
    bench.check_untouched();
}

#[test]
fn results_folder_outside_the_roots_is_not_entered() {
    let bench = Bench::new();
    let outside = bench.outside("files");
    Local::create(&outside).unwrap();
    for files in
        [outside.clone(), bench.path("inside/../outside/files"), "files".into(), "/".into()]
    {
        let registered = Registered { files, ..bench.registered() };
        let (ended, reports) = bench.work(registered, vec![bench.honest(0)]);
        let error = ended.unwrap_err();
        assert!(matches!(error, WorkerError::OutsideRoots { .. }), "{error}");
        assert!(error.to_string().contains("in none of this worker's roots"), "{error}");
        assert!(reports.is_empty());
    }
    symlink(&outside, bench.inside("files-link")).unwrap();
    symlink(bench.outside(""), bench.inside("outside-link")).unwrap();
    let violations = [
        ("inside/files-link", "behind a symbolic link"),
        ("inside/outside-link/files", "behind a symbolic link"),
        ("inside/real", "cannot open"),
        ("inside/real/input", "Not a directory"),
        ("inside/missing", "cannot open"),
        ("inside/a\0b", "its name has a zero byte"),
    ];
    for (files, cause) in violations {
        let registered = Registered { files: bench.path(files), ..bench.registered() };
        let (ended, reports) = bench.work(registered, vec![bench.honest(0)]);
        ended.unwrap();
        let Outcome::Failed(failure) = &reports[0].1 else { panic!("{reports:?}") };
        assert!(failure.to_string().contains(cause), "{files:?}: {failure}");
    }
    assert_eq!(fs::read_dir(outside.join(".mapmill/staging")).unwrap().count(), 0);
}

/// While attempts read `real/input`, `real` alternates between a folder and a link to another one,
/// which holds a file of the same name, size and modification time.
#[test]
fn no_file_is_read_behind_a_link_swapped_for_an_input_folder() {
    let bench = Bench::new();
    let (good, evil) = ("good ".repeat(2000), "evil ".repeat(2000));
    fs::write(bench.inside("real/input"), &good).unwrap();
    fs::write(bench.outside("input"), &evil).unwrap();
    let planned = Bench::split(&bench.inside("real/input"));
    let modified = fs::metadata(bench.inside("real/input")).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(bench.outside("input")).unwrap();
    file.set_modified(modified).unwrap();
    symlink(bench.outside(""), bench.inside("swap")).unwrap();
    let swapping = Swapping::start(&bench.inside("real"), &bench.inside("swap"));

    let read = bench.attempts_while_swapping(vec![planned], ENOUGH);

    assert!(swapping.end() > 0);
    for attempt in &read {
        let text = bench.staged(*attempt);
        assert!(!text.contains("evil"), "the file behind the link was read");
        assert_eq!(text, good.replace(' ', "\n"));
    }
}

/// The same with each folder on the path to the staged files.
#[test]
fn nothing_is_staged_behind_a_link_swapped_for_a_staging_folder() {
    for (swapped, refused) in [
        // The worker holds it open: its path no longer matters.
        ("files", 0),
        ("files/.mapmill", ENOUGH),
        ("files/.mapmill/staging", ENOUGH),
        ("files/.mapmill/staging/s", ENOUGH),
    ] {
        let bench = Bench::new();
        // The target of the link looks the same.
        let store = Local::create(&bench.outside("files")).unwrap();
        let other = bench.outside("").join(swapped);
        fs::create_dir_all(&other).unwrap();
        fs::create_dir_all(bench.path(swapped)).unwrap();
        let link = bench.path(swapped).with_file_name("swap");
        symlink(other, &link).unwrap();
        let swapping = Swapping::start(&bench.path(swapped), &link);

        let staged = bench.attempts_while_swapping(Vec::new(), refused);

        let swaps = swapping.end();
        assert!(swaps > 2 * staged.len() as u64, "{swaps} swaps, {} attempts", staged.len());
        assert!(staged.iter().all(|attempt| bench.staged(*attempt).is_empty()));
        let outside = store.root().join(".mapmill/staging");
        let jobs: Vec<_> = fs::read_dir(&outside).unwrap().map(|job| job.unwrap()).collect();
        let attempts = jobs.iter().map(|job| fs::read_dir(job.path()).unwrap().count());
        assert_eq!(attempts.sum::<usize>(), 0, "something was staged behind the link {swapped}");
        let planted = usize::from(swapped.ends_with("/s"));
        assert_eq!(jobs.len(), planted, "something was staged behind the link {swapped}");
    }
}

/// Sends its tasks, and accepts every report.
struct Hostile {
    registered: Registered,
    tasks: Mutex<Tasks>,
    reports: Mutex<Vec<(Attempt, Outcome)>>,
}

/// The next task, given the reports so far; none is the end of the job.
type Tasks = Box<dyn FnMut(&[(Attempt, Outcome)]) -> Option<Task> + Send>;

impl rpc::Driver for Hostile {
    async fn register(&self, _: Peer, _: Register) -> Result<RegisterAnswer, Refusal> {
        Ok(RegisterAnswer::Registered(self.registered.clone()))
    }

    async fn next_task(&self, _: Peer, _: Caller) -> Result<TaskAnswer, Refusal> {
        let reports = self.reports.lock().unwrap();
        let task = (self.tasks.lock().unwrap())(&reports);
        Ok(task.map_or(TaskAnswer::Exit, TaskAnswer::Task))
    }

    async fn heartbeat(&self, _: Peer, _: Caller, _: Option<Running>) -> Result<Order, Refusal> {
        Ok(Order::Continue)
    }

    async fn report(
        &self,
        _: Peer,
        _: Caller,
        of: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Refusal> {
        self.reports.lock().unwrap().push((of, outcome));
        Ok(Verdict::Accepted)
    }

    async fn leave(&self, _: Peer, _: Caller) -> Result<(), Refusal> {
        Ok(())
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        Err(Refusal::Gone)
    }
}

/// ```text
/// inside/real/input    "one two", below the worker's root
/// files                the results folder, which is the other root
/// outside/secret       must not be read, in a folder that must not be written to
/// ```
struct Bench {
    folder: tempfile::TempDir,
    roots: Vec<PathBuf>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(real.join("inside/real")).unwrap();
        fs::create_dir(real.join("outside")).unwrap();
        fs::write(real.join("inside/real/input"), "one two").unwrap();
        fs::write(real.join("outside/secret"), "secret ").unwrap();
        Local::create(&real.join("files")).unwrap();
        Self { roots: vec![real.join("inside"), real.join("files")], folder }
    }

    fn path(&self, below: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(below)
    }

    fn inside(&self, below: &str) -> PathBuf {
        self.path("inside").join(below)
    }

    fn outside(&self, below: &str) -> PathBuf {
        self.path("outside").join(below)
    }

    /// All of a file.
    fn split(path: &Path) -> Split {
        let metadata = fs::metadata(path).unwrap();
        Split {
            path: path.to_owned(),
            start: 0,
            end: metadata.len(),
            file_bytes: metadata.len(),
            modified_seconds: metadata.mtime(),
            modified_nanos: metadata.mtime_nsec().try_into().unwrap(),
            format: Format::default(),
        }
    }

    fn map(&self, splits: Vec<Split>) -> Task {
        task(Attempt { phase: Phase::Map, task: 0, number: 0 }, Work::Map { splits })
    }

    fn reduce(&self, bucket: u32, intermediates: Vec<Digest>) -> Task {
        let attempt = Attempt { phase: Phase::Reduce, task: bucket, number: 0 };
        task(attempt, Work::Reduce { intermediates })
    }

    fn honest(&self, number: u32) -> Task {
        let splits = vec![Self::split(&self.inside("real/input"))];
        task(Attempt { phase: Phase::Map, task: 0, number }, Work::Map { splits })
    }

    fn registered(&self) -> Registered {
        Registered {
            session: Session("s".to_owned()),
            worker: 9,
            number: 0,
            heartbeat: Duration::from_millis(20),
            files: self.path("files"),
            rules: WordRules { rule: WordRule::Letters, ignore_case: false },
            buckets: 1,
            skip_bad_records: false,
        }
    }

    /// Sends all violations to one worker, each with an honest task behind it. Each is refused for
    /// its cause, each honest task is executed, and nothing outside is touched.
    #[track_caller]
    fn check<'cause>(&self, violations: impl IntoIterator<Item = (Task, &'cause str)>) {
        let (violations, causes): (Vec<Task>, Vec<&str>) = violations.into_iter().unzip();
        let honest = (1..).map(|number| self.honest(number));
        let tasks =
            violations.into_iter().zip(honest).flat_map(|(violation, honest)| [violation, honest]);
        let (ended, reports) = self.work(self.registered(), tasks.collect());

        ended.unwrap();
        assert_eq!(reports.len(), 2 * causes.len());
        for (pair, cause) in reports.chunks(2).zip(causes) {
            let Outcome::Failed(failure) = &pair[0].1 else { panic!("{cause}: {:?}", pair[0]) };
            assert!(failure.to_string().contains(cause), "{failure}, expected {cause}");
            assert_eq!(words(&pair[1].1), Some(2), "after {failure}");
            assert_eq!(self.staged(pair[1].0), "one\ntwo\n", "after {failure}");
        }
        self.check_untouched();
    }

    #[track_caller]
    fn check_untouched(&self) {
        let outside: Vec<_> = fs::read_dir(self.outside("")).unwrap().collect();
        assert_eq!(outside.len(), 1, "something was created outside: {outside:?}");
        assert_eq!(fs::read(self.outside("secret")).unwrap(), b"secret ");
    }

    /// Assigns map attempts while a thread swaps paths, until enough of them met the link and
    /// enough did not. Returns those that succeeded.
    #[track_caller]
    fn attempts_while_swapping(&self, splits: Vec<Split>, refused_min: usize) -> Vec<Attempt> {
        let mut number = 0;
        let tasks = move |reports: &[(Attempt, Outcome)]| {
            let done = reports.iter().filter(|(_, outcome)| words(outcome).is_some()).count();
            let is_enough = done >= ENOUGH && reports.len() - done >= refused_min;
            number += 1;
            let attempt = Attempt { phase: Phase::Map, task: 0, number };
            let next = task(attempt, Work::Map { splits: splits.clone() });
            (!is_enough && number < ATTEMPTS_MAX).then_some(next)
        };
        let (ended, reports) = self.work_with(self.registered(), Box::new(tasks));

        ended.unwrap();
        let (done, refused): (Vec<_>, Vec<_>) =
            reports.into_iter().partition(|(_, outcome)| words(outcome).is_some());
        assert!(done.len() >= ENOUGH, "{} of {} were done", done.len(), refused.len());
        assert!(refused.len() >= refused_min, "{} of {} met the link", refused.len(), done.len());
        for (attempt, outcome) in &refused {
            let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
            let failure = failure.to_string();
            let is_known = ["symbolic link", "links are not followed"];
            assert!(is_known.iter().any(|it| failure.contains(it)), "{attempt:?}: {failure}");
        }
        done.into_iter().map(|(attempt, _)| attempt).collect()
    }

    /// What an attempt has staged for the one bucket.
    fn staged(&self, attempt: Attempt) -> String {
        let staging = task(attempt, Work::Map { splits: Vec::new() }).staging;
        let name = layout::intermediate(attempt.task, 0);
        fs::read_to_string(self.path("files").join(staging).join(name.file())).unwrap()
    }

    fn work(
        &self,
        registered: Registered,
        tasks: Vec<Task>,
    ) -> (Result<(), WorkerError>, Vec<(Attempt, Outcome)>) {
        let mut tasks = VecDeque::from(tasks);
        self.work_with(registered, Box::new(move |_| tasks.pop_front()))
    }

    /// Runs a worker until this driver ends the job.
    fn work_with(
        &self,
        registered: Registered,
        tasks: Tasks,
    ) -> (Result<(), WorkerError>, Vec<(Attempt, Outcome)>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reports = Mutex::default();
        let driver = Arc::new(Hostile { registered, tasks: Mutex::new(tasks), reports });
        let serving = Arc::clone(&driver);
        runtime.spawn(rpc::serve(vec![listener], serving, None.into(), std::future::pending()));
        let config = Config {
            driver: address.into(),
            roots: self.roots.clone(),
            name: "me".to_owned(),
            instance: None,
            patience: Patience { first: None, later: Duration::from_secs(30), stays: false },
            credentials: None.into(),
            throttle: None,
            memory_bytes: 256 << 20,
            notify: Arc::new(|_| ()),
            shutdown: Shutdown::default(),
        };
        let ended = in_time(thread::spawn(|| worker::run(config, Arc::new(|_, _| false))));
        runtime.shutdown_background();
        let reports = driver.reports.lock().unwrap().clone();
        (ended, reports)
    }
}

fn task(attempt: Attempt, work: Work) -> Task {
    let phase = match attempt.phase {
        Phase::Map => layout::Phase::Map,
        Phase::Reduce => layout::Phase::Reduce,
    };
    let staging = layout::staging("s", phase, attempt.task, attempt.number);
    Task { attempt, staging: staging.to_string(), work }
}

/// How many words a map attempt has found, if it succeeded.
fn words(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Mapped { buckets, .. } => Some(buckets.iter().map(|bucket| bucket.words).sum()),
        Outcome::Failed(_) | Outcome::Reduced { .. } => None,
    }
}

#[track_caller]
fn check_breach(ended: Result<(), WorkerError>, causes: &[&str]) {
    let error = ended.unwrap_err();
    assert!(matches!(error, WorkerError::Protocol { .. }), "{error}");
    let error = error.to_string();
    assert!(causes.iter().any(|cause| error.contains(cause)), "{error}");
}

/// Exchanges two paths, again and again, until it is ended.
struct Swapping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Swapping {
    fn start(a: &Path, b: &Path) -> Self {
        let (a, b) = (a.to_owned(), b.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut swaps = 0_u64;
            // An even number: both are in their own places again.
            while !stopped.load(Ordering::Relaxed) || !swaps.is_multiple_of(2) {
                let (here, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                rustix::fs::renameat_with(here, &a, here, &b, exchange).unwrap();
                swaps += 1;
            }
            swaps
        });
        Self { stop, thread }
    }

    /// Returns the number of exchanges.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
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

/// So many attempts show that the swapping has an effect, and not always.
const ENOUGH: usize = 20;

/// A hundred times as many as it takes on an idle machine.
const ATTEMPTS_MAX: u32 = 10_000;

/// Ten times what the slowest test takes on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);
