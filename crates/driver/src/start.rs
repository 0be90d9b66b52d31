//! From what the user asked for to a job that is ready to run.
//!
//! Everything that can be wrong with a job is found in [`prepare`], in this order: inputs, numbers,
//! files folder, address. Only when all of it is right the disk is touched for the first time.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::{Commits, DiskFault, FileLog, JournalError, Log, Opening, Plan, Record, Recorded};
use rpc::message::{Session, WordRules};
use rpc::{Credentials, is_loopback};
use scheduler::Limits;
use store::{FolderLock, Input, InputError, Local, LockError, OwnerError, Store, StoreError};
use tokio::sync::mpsc;

use crate::driver::Shutdown;
use crate::job::{BegunJob, EVENTS_MAX, Prepared};
use crate::plan::{self, largest_description};
use crate::recovery::{self, AskedJob};
use crate::spec::JobSpec;

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
    /// Where to listen.
    pub listen: Listen,
    /// End the job when no worker was connected for so long; `None` for never.
    pub worker_wait: Option<Duration>,
    /// Start over, although the folder holds this very job, unfinished.
    pub fresh: bool,
}

/// Where to listen, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// `HOST:PORT`; port 0 for any that is free.
    pub address: String,
    /// What every call must present, if anything.
    pub credentials: Credentials,
    /// Accept an address that other machines can reach, without TLS.
    pub unprotected: bool,
}

/// The job could not start. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The results folder cannot be looked at or written.
    #[error("cannot use {} for the results", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The results folder is a file.
    #[error("{} is a file, where the results need a folder", path.display())]
    FilesIsAFile {
        /// The path.
        path: PathBuf,
    },
    /// The results folder holds something that is not ours.
    #[error("{} is not a result of mapmill{}", path.display(), and_more(*others))]
    Foreign {
        /// The first such file.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// The results folder, or one in it, can be changed by somebody who is not us.
    #[error("{0}; {hint}", hint = owner_hint(.0))]
    FilesNotOurs(OwnerError),
    /// An input is not there or cannot be read.
    #[error(transparent)]
    Input(UnusableInput),
    /// An input is in the folder that receives the results.
    #[error("input {} is in the results folder {}", input.display(), files.display())]
    InputInFiles {
        /// The input.
        input: PathBuf,
        /// The results folder.
        files: PathBuf,
    },
    /// The journal of an earlier job cannot be read, or a new one not be written.
    #[error("cannot begin the journal")]
    Journal(#[source] JournalError),
    /// The results folder cannot be locked.
    #[error("cannot lock the results folder")]
    Lock(#[source] LockError),
    /// Another driver uses the results folder.
    #[error("cannot lock the results folder")]
    Locked(#[source] LockError),
    /// The address is reachable by others, and nothing protects it.
    #[error(
        "{address} can be reached from other machines, which could read everything and take part"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system has no random numbers.
    #[error("no random numbers from the operating system")]
    Randomness(#[source] getrandom::Error),
    /// The host to listen on is not known.
    #[error("`{address}` does not resolve to an address")]
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
        "{map_tasks} map tasks times {reduce_tasks} reduce tasks make more than {} intermediates",
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
        "map task {task} would read too many files: their names take {bytes} bytes, and a task has room for {}",
        rpc::limits::RESPONSE_BYTES_MAX
    )]
    TaskTooLarge {
        /// The task.
        task: u32,
        /// The size of its description.
        bytes: usize,
    },
}

impl StartError {
    /// What was wrong with the disk, if it was that and the message does not say what to do.
    pub fn disk(&self) -> Option<DiskFault> {
        if let Self::Files { source: StoreError::Full { .. }, .. } = self {
            Some(DiskFault::Full)
        } else if let Self::Journal(error) = self {
            error.disk()
        } else {
            None
        }
    }
}

fn owner_hint(error: &OwnerError) -> &'static str {
    match error {
        OwnerError::WorldWritable { .. } => "close it with `chmod o-w`",
        OwnerError::Foreign { .. } | OwnerError::Unreadable(_) => "run the driver as that user",
    }
}

fn lock_error(error: LockError) -> StartError {
    match error {
        LockError::Held { .. } => StartError::Locked(error),
        LockError::Io { .. } => StartError::Lock(error),
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
            // Only later, when its content is read; and below its roots by a worker.
            InputError::Changed { .. }
            | InputError::Linked { .. }
            | InputError::OutsideRoots { .. }
            | InputError::Read { .. } => "",
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

/// Checks everything, then takes the results folder and begins the journal.
///
/// # Errors
///
/// Whatever is wrong with the job. Unless the folder itself could not be written, nothing on disk
/// was touched.
pub fn prepare(config: Config) -> Result<Prepared, StartError> {
    faults::arm();
    let inputs = store::list_inputs(&config.inputs).map_err(unusable_input)?;
    let inputs = inputs.into_iter().map(real_path).collect::<Result<Vec<_>, _>>()?;
    let plan = plan::plan(inputs, config.map_tasks);
    check_numbers(&plan, config.reduce_tasks.get())?;

    let files = absolute(&config.files)?;
    inspect_files(&files, plan.inputs())?;
    let (listener, address) = bind(&config.listen)?;

    let in_files = |source| StartError::Files { path: files.clone(), source };
    let store = Local::create(&files).map_err(in_files)?;
    let lock = FolderLock::acquire(&files).map_err(lock_error)?;
    faults::reach("driver::locked", "");
    // Once more: while the folder was not ours yet, another driver may have come to its end here.
    let survey = inspect_files(&files, plan.inputs())?;

    let Beginning { session, journal, recovered } =
        begin(Box::new(FileLog::in_folder(&files)), &store, &config, &plan, &files, random_id)?;

    let (map_tasks, reduce_tasks) = (plan.map_tasks().get(), config.reduce_tasks.get());
    let leftovers = survey.outside(map_tasks, reduce_tasks);
    let spec = spec(&config, plan, files, session);
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    Ok(Prepared {
        listener,
        address,
        credentials: config.listen.credentials,
        lock,
        replaces_results: survey.has_results() && recovered.is_none(),
        begun: BegunJob {
            spec,
            shutdown: Shutdown::new(leftovers, config.worker_wait, Duration::ZERO),
            ids: Box::new(|| getrandom::u64().ok()),
            limits: config.limits,
            store: Arc::new(store),
            journal,
            recovered,
            events,
            inbox,
        },
    })
}

/// What earlier epochs have committed, and the log that is open for this one.
pub(crate) struct Beginning {
    pub(crate) session: Session,
    pub(crate) journal: Box<dyn Log>,
    pub(crate) recovered: Option<Commits>,
}

/// Resumes the job that the log describes, if it is this one, or begins a new one.
pub(crate) fn begin(
    mut log: Box<dyn Log>,
    store: &dyn Store,
    config: &Config,
    plan: &Plan,
    files: &Path,
    random_id: impl FnOnce() -> Result<String, StartError>,
) -> Result<Beginning, StartError> {
    let recorded = match log.read_valid() {
        // The new job's random id alone keeps its attempts apart from whatever there was.
        Err(JournalError::Damaged { .. }) if config.fresh => Recorded::default(),
        recorded => recorded.map_err(StartError::Journal)?,
    };
    let in_files = |source| StartError::Files { path: files.to_owned(), source };
    store.sweep().map_err(in_files)?;
    faults::reach("driver::swept", "");
    let epoch = recorded.last_epoch() + 1;
    let asked = AskedJob { plan, reduce_tasks: config.reduce_tasks.get(), rules: config.rules };
    let unfinished = asked.find_unfinished(&recorded.records).filter(|_| !config.fresh);
    let (job, recovered, opened) = match unfinished {
        Some(job) => {
            let recovered = recovery::recover(&recorded.records, store).map_err(in_files)?;
            let build = rpc::BUILD.to_owned();
            let resume = Record::Resume { epoch, build, started_unix_seconds: unix_seconds() };
            let opened = log.open(Opening::Resume { recorded: &recorded, resume: &resume });
            (job.to_owned(), Some(recovered), opened)
        }
        None => {
            let job = random_id()?;
            let opened = log.open(Opening::Begin(&asked.describe(epoch, &job, unix_seconds())));
            (job, None, opened)
        }
    };
    opened.map_err(StartError::Journal)?;
    let session = Session(format!("{job}-e{epoch}"));
    Ok(Beginning { session, journal: log, recovered })
}

pub(crate) fn spec(config: &Config, plan: Plan, files: PathBuf, session: Session) -> JobSpec {
    JobSpec {
        session,
        rules: config.rules,
        reduce_tasks: config.reduce_tasks.get(),
        folders: folders(&files, &config.inputs, plan.inputs()),
        plan: Arc::new(plan),
        files,
        heartbeat: heartbeat(&config.limits),
    }
}

fn random_id() -> Result<String, StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(StartError::Randomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// For people only: no lease depends on it.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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
    let (task, bytes) = largest_description(plan);
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

pub(crate) fn unusable_input(error: InputError) -> StartError {
    StartError::Input(UnusableInput(error))
}

/// The real path of a folder that may not exist yet.
fn absolute(files: &Path) -> Result<PathBuf, StartError> {
    let unusable = |source| {
        let path = files.to_owned();
        let error =
            StoreError::Refused { operation: store::Operation::Open, place: path.clone(), source };
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
    store::require_ownership(files).map_err(|error| match error {
        OwnerError::Unreadable(source) => StartError::Files { path: files.to_owned(), source },
        OwnerError::Foreign { .. } | OwnerError::WorldWritable { .. } => {
            StartError::FilesNotOurs(error)
        }
    })?;
    let survey = store::survey(files)
        .map_err(|source| StartError::Files { path: files.to_owned(), source })?;
    match survey.foreign.as_slice() {
        [] => Ok(survey),
        [path, others @ ..] => {
            Err(StartError::Foreign { path: path.clone(), others: others.len() })
        }
    }
}

fn bind(listen: &Listen) -> Result<(TcpListener, SocketAddr), StartError> {
    let unresolved = |source| StartError::Resolve { address: listen.address.clone(), source };
    let mut addresses = listen.address.to_socket_addrs().map_err(unresolved)?;
    let address = addresses
        .next()
        .ok_or_else(|| unresolved(io::Error::new(io::ErrorKind::NotFound, "no address")))?;
    // TLS alone is enough: every caller must have a certificate then, or the token.
    let is_protected = listen.credentials.tls.is_some() || listen.unprotected;
    if !is_loopback(address.ip()) && !is_protected {
        return Err(StartError::NotLoopback { address });
    }
    let bound = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(bound)?;
    listener.set_nonblocking(true).map_err(bound)?;
    let address = listener.local_addr().map_err(bound)?;
    Ok((listener, address))
}

/// The folders that hold all inputs and the results, without those inside another of them:
/// what the user named, with links resolved.
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

/// Often enough that four may be lost before a worker is considered dead, and that orders reach it
/// within a second.
fn heartbeat(limits: &Limits) -> Duration {
    let shortest = limits.worker_timeout.min(limits.task_timeout);
    (shortest / 5).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
