//! From what the user asked for to a job that runs, and from its end to what the user is told.
//!
//! Everything that can be wrong with a job is found in [`prepare`], in this order: inputs, numbers,
//! files folder, address. Only when all of it is right the disk is touched for the first time.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rpc::message::{Session, WordRule, WordRules};
use rpc::{ServeError, Token};
use scheduler::{End, Job, JobFailure, Limits, Outcome, Phase, Scheduler};
use store::{FolderLock, Input, InputError, Local, LockError, Store, StoreError, layout};
use tokio::sync::{mpsc, oneshot, watch};

use crate::book::Cause;
use crate::committer::Committer;
use crate::driver::{Driver, Ended, Terms};
use crate::journal::{self, Journal, JournalError, Record};
use crate::plan::Plan;
use crate::service::Service;
use crate::status::{AttemptStory, Snapshot, Summary};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Files and folders.
    pub inputs: Vec<PathBuf>,
    /// The folder that receives the results.
    pub files: PathBuf,
    /// `N`; `None` for [`default_map_tasks`](crate::default_map_tasks).
    pub map_tasks: Option<NonZeroU32>,
    /// `M`.
    pub reduce_tasks: NonZeroU32,
    /// How text becomes words.
    pub rules: WordRules,
    /// When attempts and workers are given up.
    pub limits: Limits,
    /// `HOST:PORT` to listen on; port 0 for any that is free.
    pub listen: String,
    /// What every call must show, if anything.
    pub token: Option<Token>,
    /// Listen where others can reach us, although nothing is encrypted.
    pub insecure: bool,
}

/// The job could not start. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not ours.
    #[error("cannot listen on {address}{}", bind_hint(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The results folder cannot be looked at or written.
    #[error("cannot use {} for the results (choose another folder with --files)", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The results folder is a file.
    #[error("{} is a file; --files wants a folder, which may not exist yet", path.display())]
    FilesIsAFile {
        /// The path.
        path: PathBuf,
    },
    /// The results folder holds something that is not ours.
    #[error(
        "{} is not a result of mapmill{}; move it away, or choose another folder with --files",
        path.display(), and_more(*others)
    )]
    Foreign {
        /// The first such file.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// An input is not there or cannot be read.
    #[error(transparent)]
    Input(UnusableInput),
    /// An input lies in the folder that receives the results.
    #[error(
        "input {} lies in the results folder {}; choose another folder with --files",
        input.display(), files.display()
    )]
    InputInFiles {
        /// The input.
        input: PathBuf,
        /// The results folder.
        files: PathBuf,
    },
    /// The journal of an earlier job cannot be read, or a new one not be written.
    #[error("cannot begin the journal")]
    Journal(#[source] JournalError),
    /// Another driver uses the results folder.
    #[error("cannot lock the results folder ({})", lock_hint(.0))]
    Lock(#[source] LockError),
    /// The address is reachable by others, and nothing protects it.
    #[error(
        "{address} can be reached from other machines, and this version does not encrypt; \
         listen on 127.0.0.1 (and use an SSH tunnel), or accept the risk with --insecure"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system has no random numbers.
    #[error("no random numbers from the operating system")]
    Randomness(#[source] getrandom::Error),
    /// The host to listen on is not known.
    #[error(
        "`{address}` does not resolve to an address (check the name, or use an IP address, such as \
         127.0.0.1:50051)"
    )]
    Resolve {
        /// What was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Too many map tasks, or reduce tasks.
    #[error("{given} {kind} tasks are too many; at most {max} are possible")]
    TooManyTasks {
        /// Which.
        kind: &'static str,
        /// How many were asked for.
        given: u32,
        /// How many may be.
        max: u32,
    },
    /// Too many intermediates.
    #[error(
        "{map_tasks} map tasks times {reduce_tasks} reduce tasks make more than {} intermediates; \
         use fewer of either: -n, -m",
        rpc::limits::INTERMEDIATES_MAX
    )]
    TooManyIntermediates {
        /// `N`.
        map_tasks: u32,
        /// `M`.
        reduce_tasks: u32,
    },
    /// The description of one map task would be larger than a message may be.
    #[error(
        "map task {task} would read too many files: their names take {bytes} bytes, and a task has room for \
         {}; use more map tasks: -n",
        rpc::limits::RESPONSE_BYTES_MAX
    )]
    TaskTooLarge {
        /// The task.
        task: u32,
        /// The size of its description.
        bytes: usize,
    },
}

fn bind_hint(source: &io::Error) -> &'static str {
    let kind = source.kind();
    if kind == io::ErrorKind::AddrInUse {
        " (another driver or program listens there: stop it, or choose another port with --listen)"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        " (this machine does not have that address: choose one of its own with --listen)"
    } else if kind == io::ErrorKind::PermissionDenied {
        " (ports below 1024 need privileges: choose a higher one with --listen)"
    } else {
        ""
    }
}

fn lock_hint(error: &LockError) -> &'static str {
    match error {
        LockError::Held { .. } => "wait for the other job, or choose another folder with --files",
        LockError::Io { .. } => "choose another folder with --files",
    }
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

/// An input that no job can be made of. Says what is wrong with it, and the way out.
#[derive(Debug)]
pub struct UnusableInput(InputError);

impl UnusableInput {
    fn way_out(&self) -> &'static str {
        match &self.0 {
            InputError::Dangling { .. } => "; repair the link, or remove it",
            InputError::Missing { .. } => "; name the files and folders to read",
            InputError::NoFiles { .. } => {
                " (hidden files are skipped); name the files and folders to read"
            }
            InputError::NotAFile { .. } => "; save what it gives in a file, or leave it out",
            InputError::Unreadable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                " (allow reading it, or leave it out)"
            }
            InputError::Unreadable { .. } => " (repair it, or leave it out)",
            // Only later, when its content is read.
            InputError::Changed { .. } | InputError::Read { .. } => "",
        }
    }
}

impl fmt::Display for UnusableInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.way_out())
    }
}

impl Error for UnusableInput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The job ran and did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The user ended it.
    #[error("interrupted")]
    Cancelled,
    /// A task could not be done.
    #[error("{}", FailureText(.failure, .work, .attempts))]
    Failed {
        /// Which, and what was wrong with it.
        failure: JobFailure,
        /// What the task was to do.
        work: String,
        /// Every attempt at it.
        attempts: Vec<AttemptStory>,
    },
    /// The job is done, but its journal could not say so.
    #[error("the results are complete, but the journal is not")]
    Journal(#[source] JournalError),
    /// The server broke.
    #[error(transparent)]
    Serve(ServeError),
    /// The operating system refused something that every process needs.
    #[error("cannot {operation}")]
    System {
        /// What.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

struct FailureText<'a>(&'a JobFailure, &'a str, &'a [AttemptStory]);

impl fmt::Display for FailureText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(failure, work, attempts) = self;
        let JobFailure { task, .. } = failure;
        write!(f, "{} task {} ({work}) ended the job: {failure}", task.phase, task.index)?;
        for story in *attempts {
            let started = story.started.as_secs_f64();
            let cause = rpc::message::sentence(&story.ended);
            write!(
                f,
                "\n  {} on {}, started at {started:.1} s: {cause}",
                story.attempt, story.worker
            )?;
        }
        Ok(())
    }
}

/// A job that listens for workers and has not begun.
pub struct Prepared {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    plan: Plan,
    terms: Terms,
    limits: Limits,
    store: Arc<dyn Store>,
    journal: Journal,
    journal_path: PathBuf,
    /// Held until the job is over.
    lock: FolderLock,
    replaces_results: bool,
    /// How long the driver answers at least.
    stay: Duration,
}

/// Checks everything, then takes the results folder and begins the journal.
///
/// # Errors
///
/// Whatever is wrong with the job. Unless the folder itself could not be written, nothing on disk
/// was touched.
pub fn prepare(config: Config) -> Result<Prepared, StartError> {
    let inputs = store::list_inputs(&config.inputs).map_err(unusable_input)?;
    let inputs = inputs.into_iter().map(real_path).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(inputs, config.map_tasks);
    check_numbers(&plan, config.reduce_tasks.get())?;

    let files = absolute(&config.files)?;
    inspect_files(&files, plan.inputs())?;
    let (listener, address) = listen(&config)?;

    let in_files = |source| StartError::Files { path: files.clone(), source };
    let store = Local::create(&files).map_err(in_files)?;
    let lock = FolderLock::acquire(&files).map_err(StartError::Lock)?;
    // Once more: while the folder was not ours yet, another driver may have come to its end here.
    let survey = inspect_files(&files, plan.inputs())?;

    let (map_tasks, reduce_tasks) = (plan.map_tasks().get(), config.reduce_tasks.get());
    let journal_path = files.join(layout::journal().as_str());
    let earlier = journal::read(&journal_path).map_err(StartError::Journal)?;
    store.sweep().map_err(in_files)?;
    let epoch = 1 + earlier.iter().filter_map(epoch_of).max().unwrap_or(0);
    let mut job = [0; 16];
    getrandom::fill(&mut job).map_err(StartError::Randomness)?;
    let job: String = job.iter().map(|byte| format!("{byte:02x}")).collect();
    let records = beginning(epoch, &job, &plan, reduce_tasks, config.rules);
    let journal = Journal::create(&journal_path, &records).map_err(StartError::Journal)?;

    let terms = Terms {
        session: Session(format!("{job}-e{epoch}")),
        rules: config.rules,
        reduce_tasks,
        folders: folders(&files, &config.inputs, plan.inputs()),
        files,
        heartbeat: heartbeat(&config.limits),
        leftovers: survey.outside(map_tasks, reduce_tasks),
    };
    Ok(Prepared {
        listener,
        address,
        token: config.token,
        plan,
        terms,
        limits: config.limits,
        store: Arc::new(store),
        journal,
        journal_path,
        lock,
        replaces_results: survey.has_results(),
        stay: Duration::ZERO,
    })
}

fn check_numbers(plan: &Plan, reduce_tasks: u32) -> Result<(), StartError> {
    use rpc::limits::{INTERMEDIATES_MAX, MAP_TASKS_MAX, REDUCE_TASKS_MAX, RESPONSE_BYTES_MAX};
    let map_tasks = plan.map_tasks().get();
    for (kind, given, max) in
        [("map", map_tasks, MAP_TASKS_MAX), ("reduce", reduce_tasks, REDUCE_TASKS_MAX)]
    {
        if given > max {
            return Err(StartError::TooManyTasks { kind, given, max });
        }
    }
    if u64::from(map_tasks) * u64::from(reduce_tasks) > INTERMEDIATES_MAX {
        return Err(StartError::TooManyIntermediates { map_tasks, reduce_tasks });
    }
    let (task, bytes) = plan.largest_description();
    if bytes > RESPONSE_BYTES_MAX {
        return Err(StartError::TaskTooLarge { task, bytes });
    }
    Ok(())
}

/// Links in the path are resolved now, once: where they lead later is of no interest to the job.
fn real_path(input: Input) -> Result<Input, StartError> {
    match std::fs::canonicalize(&input.path) {
        Ok(path) => Ok(Input { path, ..input }),
        Err(source) => Err(unusable_input(InputError::Unreadable { path: input.path, source })),
    }
}

fn unusable_input(error: InputError) -> StartError {
    StartError::Input(UnusableInput(error))
}

/// The real path of a folder that may not exist yet.
fn absolute(files: &Path) -> Result<PathBuf, StartError> {
    let unusable = |source| {
        let path = files.to_owned();
        let error =
            StoreError::Io { operation: store::Operation::Open, path: path.clone(), source };
        StartError::Files { path, source: error }
    };
    let mut real = std::path::absolute(files).map_err(unusable)?;
    let mut missing = Vec::new();
    loop {
        match std::fs::canonicalize(&real) {
            Ok(mut path) => {
                path.extend(missing.iter().rev());
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && real.file_name().is_some() => {
                missing.extend(real.file_name().map(ToOwned::to_owned));
                real.pop();
            }
            // Something on the way is a file.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let file = real.ancestors().find(|path| path.exists() && !path.is_dir());
                let file = file.map(|path| StartError::FilesIsAFile { path: path.to_owned() });
                return Err(file.unwrap_or_else(|| unusable(error)));
            }
            Err(error) => return Err(unusable(error)),
        }
    }
}

fn inspect_files(files: &Path, inputs: &[Input]) -> Result<store::Survey, StartError> {
    if files.exists() && !files.is_dir() {
        return Err(StartError::FilesIsAFile { path: files.to_owned() });
    }
    if let Some(input) = inputs.iter().find(|input| input.path.starts_with(files)) {
        let (input, files) = (input.path.clone(), files.to_owned());
        return Err(StartError::InputInFiles { input, files });
    }
    let survey = store::survey(files)
        .map_err(|source| StartError::Files { path: files.to_owned(), source })?;
    match survey.foreign.as_slice() {
        [] => Ok(survey),
        [path, others @ ..] => {
            Err(StartError::Foreign { path: path.clone(), others: others.len() })
        }
    }
}

fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), StartError> {
    let unresolved = |source| StartError::Resolve { address: config.listen.clone(), source };
    let mut addresses = config.listen.to_socket_addrs().map_err(unresolved)?;
    let address = addresses
        .next()
        .ok_or_else(|| unresolved(io::Error::new(io::ErrorKind::NotFound, "no address")))?;
    if !address.ip().is_loopback() && !config.insecure {
        return Err(StartError::NotLoopback { address });
    }
    let bound = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(bound)?;
    listener.set_nonblocking(true).map_err(bound)?;
    let address = listener.local_addr().map_err(bound)?;
    Ok((listener, address))
}

fn epoch_of(record: &Record) -> Option<u64> {
    match record {
        Record::Begin { epoch, .. } => Some(*epoch),
        Record::End { .. } | Record::Input { .. } | Record::Map { .. } | Record::Reduce { .. } => {
            None
        }
    }
}

fn beginning(
    epoch: u64,
    job: &str,
    plan: &Plan,
    reduce_tasks: u32,
    rules: WordRules,
) -> Vec<Record> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let begin = Record::Begin {
        epoch,
        job: job.to_owned(),
        build: rpc::BUILD.to_owned(),
        started_unix_seconds: since.as_secs(),
        map_tasks: plan.map_tasks().get(),
        reduce_tasks,
        words: match rules.rule {
            WordRule::Letters => "letters".to_owned(),
            WordRule::Whitespace => "whitespace".to_owned(),
        },
        ignore_case: rules.ignore_case,
    };
    let input = |input: &Input| Record::Input {
        path: journal::escape(&input.path),
        bytes: input.bytes,
        modified_seconds: input.modified.seconds,
        modified_nanos: input.modified.nanoseconds,
    };
    std::iter::once(begin).chain(plan.inputs().iter().map(input)).collect()
}

/// The folders that hold all inputs and the results, without those that lie in another of them:
/// what the user named, and wherever links lead.
fn folders(files: &Path, arguments: &[PathBuf], inputs: &[Input]) -> Vec<PathBuf> {
    let named = arguments.iter().filter_map(|path| std::fs::canonicalize(path).ok());
    let named = named.filter(|path| path.is_dir());
    let parents = inputs.iter().filter_map(|input| input.path.parent().map(ToOwned::to_owned));
    let sorted: BTreeSet<PathBuf> = named.chain(parents).chain([files.to_owned()]).collect();
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in sorted {
        // In the order of paths a folder comes before everything in it.
        if !folders.last().is_some_and(|last| folder.starts_with(last)) {
            folders.push(folder);
        }
    }
    folders
}

/// Often enough that four may be lost before a worker is taken for dead, and that orders reach it
/// within a second.
fn heartbeat(limits: &Limits) -> Duration {
    let shortest = limits.worker_timeout.min(limits.task_timeout);
    (shortest / 5).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

impl Prepared {
    /// Where the driver listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `N`.
    pub fn map_tasks(&self) -> u32 {
        self.plan.map_tasks().get()
    }

    /// `M`.
    pub fn reduce_tasks(&self) -> u32 {
        self.terms.reduce_tasks
    }

    /// How many files will be read.
    pub fn input_files(&self) -> usize {
        self.plan.inputs().len()
    }

    /// How many bytes they have.
    pub fn input_bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// The real path of the results folder.
    pub fn files(&self) -> &Path {
        &self.terms.files
    }

    /// Every folder that a worker must be allowed to use.
    pub fn folders(&self) -> &[PathBuf] {
        &self.terms.folders
    }

    /// Whether the folder holds the results of an earlier job, which this one will replace file by
    /// file.
    pub fn replaces_results(&self) -> bool {
        self.replaces_results
    }

    /// Workers may have been started first: they look for the driver now and then, and a small job
    /// is over before all of them have looked. Those who come late are told so for a second, or
    /// they would wait for a driver that has come and gone.
    pub fn expecting_workers(self) -> Self {
        /// Twice the longest time between two looks of a worker.
        const STAY: Duration = Duration::from_secs(1);
        Self { stay: STAY, ..self }
    }

    /// Runs the job to its end. `snapshots` shows how far it is; `interrupted` ends it early.
    ///
    /// Returns when the results are complete and durable, and the workers have been told.
    ///
    /// # Errors
    ///
    /// When the job failed or was interrupted. What was committed until then stays.
    pub async fn run(
        self,
        snapshots: watch::Sender<Snapshot>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Summary, JobError> {
        let system = |operation| move |source| JobError::System { operation, source };
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(system("listen on the address that was bound"))?;
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let (errands, orders) = std_mpsc::channel();
        let committer = Committer {
            store: self.store,
            journal: self.journal,
            journal_path: self.journal_path,
            events: events.clone(),
        };
        let committer = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run(&orders))
            .map_err(system("start a thread"))?;

        let (end, ended) = oneshot::channel::<()>();
        let (serving, served) = oneshot::channel::<Infallible>();
        let service = Arc::new(Service { events });
        let server = tokio::spawn(async move {
            let _serving = serving;
            let ended = async {
                // An error means that the sender is gone, which is the end as well.
                let _ = ended.await;
            };
            rpc::serve(listener, service, self.token, ended).await
        });
        // Without a server no worker can report, and the loop would wait for ever.
        let interrupted = async {
            // Cancel safe: both are waited for once.
            tokio::select! {
                () = interrupted => {}
                Err(_) = served => tracing::error!("the server ended before the job"),
            }
        };

        let plan = Arc::new(self.plan);
        let map_bytes = (0..plan.map_tasks().get()).map(|task| plan.task_bytes(task)).collect();
        let job = Job { map_bytes, reduce_tasks: self.terms.reduce_tasks };
        let files = self.terms.files.clone();
        let sched = Scheduler::new(&job, self.limits);
        let driver =
            Driver::new(sched, Arc::clone(&plan), self.terms, errands, snapshots).stay(self.stay);
        let ended = driver.drive(inbox, interrupted).await;

        // The receiver is gone if the server has broken.
        let _ = end.send(());
        let served = stop(server).await;
        if let Err(panic) = committer.join() {
            std::panic::resume_unwind(panic);
        }
        drop(self.lock);
        match (conclude(ended, &plan, files), served) {
            // That is why.
            (Err(JobError::Cancelled), Err(broken)) => Err(broken),
            (result, _) => result,
        }
    }
}

/// Lets the server finish the calls in flight, but not wait for a client that holds its connection
/// open in its sleep.
async fn stop(mut server: tokio::task::JoinHandle<Result<(), ServeError>>) -> Result<(), JobError> {
    match tokio::time::timeout(FAREWELL_MAX, &mut server).await {
        Ok(Ok(result)) => result.map_err(JobError::Serve),
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        Err(_elapsed) => {
            server.abort();
            Ok(())
        }
    }
}

fn conclude(mut ended: Ended, plan: &Plan, files: PathBuf) -> Result<Summary, JobError> {
    let outcome = ended.sched.outcome().expect("the loop ends when the scheduler has decided");
    match *outcome {
        Outcome::Cancelled => return Err(JobError::Cancelled),
        Outcome::Failed(failure) => {
            let work = describe(failure.task, plan);
            let attempts = stories(&mut ended, failure.task);
            return Err(JobError::Failed { failure, work, attempts });
        }
        Outcome::Done => ended.finished.map_err(JobError::Journal)?,
    }
    let totals = ended.book.totals();
    let output = |bucket| files.join(layout::output(bucket).as_str());
    Ok(Summary {
        input_files: plan.inputs().len(),
        invalid_bytes: totals.invalid_bytes,
        distinct_words: totals.distinct_words,
        output_bytes: totals.output_bytes,
        workers: ended.crew.len(),
        elapsed: ended.elapsed,
        outputs: (0..ended.snapshot.reduce.tasks).map(output).collect(),
        snapshot: ended.snapshot,
        files,
    })
}

/// What a task was to do, for people.
fn describe(task: scheduler::TaskId, plan: &Plan) -> String {
    match task.phase {
        Phase::Map => {
            let mut splits = plan.splits(task.index);
            let Some(first) = splits.next() else { return "no bytes".to_owned() };
            let path = first.input.path.display();
            let others = match splits.count() {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            format!("bytes {} to {} of {path}{others}", first.start, first.end)
        }
        Phase::Reduce => format!("bucket {}", task.index),
    }
}

fn stories(ended: &mut Ended, task: scheduler::TaskId) -> Vec<AttemptStory> {
    let records = ended.sched.attempts(task).to_vec();
    let mut stories = Vec::new();
    for (number, record) in (0..).zip(records) {
        let attempt = scheduler::AttemptId { task, number };
        let known = ended.book.take_cause(attempt);
        let cause = known.unwrap_or(match record.ended.map(|(_, end)| end) {
            None => Cause::Running,
            // With these two the book knows more; without it, no more than this can be said.
            Some(End::Abandoned | End::Failed | End::Rejected) => Cause::Abandoned,
            Some(End::Committed) => Cause::Committed,
            Some(End::Left) => Cause::Left,
            Some(End::Lost) => Cause::Lost,
            Some(End::Stuck) => Cause::Stuck,
        });
        stories.push(AttemptStory {
            attempt: attempt.to_string(),
            worker: ended.crew.describe(record.worker),
            started: record.started.0,
            ended: cause,
        });
    }
    stories
}

/// Calls that wait to be heard by the loop. A worker has at most two in flight; the others wait in
/// its connection.
const EVENTS_MAX: usize = 1024;

/// How long the server may take to finish its last answers.
const FAREWELL_MAX: Duration = Duration::from_millis(300);
