//! Turns a [`Config`] into a job that is ready to run.
//!
//! [`prepare`] checks the inputs, the numbers, the results folder and the address, in this order.
//! Nothing on disk is changed before all checks have passed.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::{Commits, FileLog, JournalError, Log, Opening, Plan, Record, Recorded};
use rpc::message::{Session, WordRules};
use rpc::{Credentials, is_loopback};
use scheduler::Limits;
use store::{FolderLock, Input, Local, Store};
use tokio::sync::mpsc;

use crate::driver::Shutdown;
use crate::job::{BegunJob, EVENTS_MAX, Prepared};
use crate::plan;
use crate::recovery::{self, AskedJob};
use crate::spec::JobSpec;

mod check;
mod error;

pub(crate) use error::unusable_input;
pub use error::{Differences, StartError};

use check::{check_numbers, inspect_files, resolve_folder, resolve_input};
use error::lock_error;

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
    /// Timeouts of attempts and workers, and how often a task may fail.
    pub limits: Limits,
    /// Where to listen.
    pub listen: Listen,
    /// End the job when no worker was connected for this long; `None` for never.
    pub worker_wait: Option<Duration>,
    /// Start over even if the folder holds this job, unfinished.
    pub fresh: bool,
    /// Remove the intermediates when the job is done.
    pub drop_intermediates: bool,
}

/// Where to listen, and which callers are accepted.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// `HOST:PORT`; port 0 for any that is free.
    pub address: String,
    /// What every call must present: a certificate, a token, or nothing.
    pub credentials: Credentials,
    /// Allow an address that other machines can reach, without TLS.
    pub unprotected: bool,
}

/// Checks everything, then takes the results folder and begins the journal.
///
/// # Errors
///
/// When the job cannot start. Nothing on disk was changed, unless the results folder itself could
/// not be written.
pub fn prepare(config: Config) -> Result<Prepared, StartError> {
    faults::arm();
    let files = resolve_folder(&config.files);
    let listing = store::list_inputs(&config.inputs, files.as_deref().ok());
    let listing = listing.map_err(unusable_input)?;
    let inputs = listing.inputs.into_iter().map(resolve_input).collect::<Result<Vec<_>, _>>()?;
    let plan = plan::plan(inputs, config.map_tasks);
    check_numbers(&plan, config.reduce_tasks.get())?;

    let files = files?;
    inspect_files(&files, plan.inputs())?;
    let (listener, address) = bind(&config.listen)?;

    let in_files = |source| StartError::Files { path: files.clone(), source };
    let store = Local::create(&files).map_err(in_files)?;
    let lock = FolderLock::acquire(&files).map_err(lock_error)?;
    faults::reach("driver::locked", "");
    // Again: before the lock was held, another driver may have finished a job in this folder.
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
        announcement: None,
        lock,
        notes: listing.notes,
        replaces_results: survey.has_results() && recovered.is_none(),
        begun: BegunJob {
            spec,
            shutdown: Shutdown::new(leftovers, config.worker_wait, Duration::ZERO),
            ids: Box::new(|| getrandom::u64().ok()),
            limits: config.limits,
            store: Arc::new(store),
            journal,
            drop_intermediates: config.drop_intermediates,
            recovered,
            events,
            inbox,
        },
    })
}

/// An epoch that is recorded in the journal.
pub(crate) struct Beginning {
    pub(crate) session: Session,
    /// Open for the records of this epoch.
    pub(crate) journal: Box<dyn Log>,
    /// What earlier epochs have committed, if the job is resumed.
    pub(crate) recovered: Option<Commits>,
}

/// Resumes the unfinished job that the log describes, or begins a new one. An unfinished job that
/// is not the one asked for is an error: it is not discarded by mistake.
pub(crate) fn begin(
    mut log: Box<dyn Log>,
    store: &dyn Store,
    config: &Config,
    plan: &Plan,
    files: &Path,
    random_id: impl FnOnce() -> Result<String, StartError>,
) -> Result<Beginning, StartError> {
    let recorded = match log.read_valid() {
        // The random id of the new job is enough to keep its attempts apart from earlier ones.
        Err(JournalError::Damaged { .. }) if config.fresh => Recorded::default(),
        recorded => recorded.map_err(StartError::Journal)?,
    };
    let asked = AskedJob { plan, reduce_tasks: config.reduce_tasks.get(), rules: config.rules };
    let unfinished = if config.fresh {
        None
    } else {
        asked.find_unfinished(&recorded.records).map_err(|differences| StartError::OtherJob {
            files: files.to_owned(),
            differences: Differences(differences),
        })?
    };
    let in_files = |source| StartError::Files { path: files.to_owned(), source };
    store.sweep().map_err(in_files)?;
    faults::reach("driver::swept", "");
    let epoch = recorded.last_epoch() + 1;
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

/// For people to read; no lease depends on it.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn bind(listen: &Listen) -> Result<(TcpListener, SocketAddr), StartError> {
    let unresolved = |source| StartError::Resolve { address: listen.address.clone(), source };
    let mut addresses = listen.address.to_socket_addrs().map_err(unresolved)?;
    let address = addresses
        .next()
        .ok_or_else(|| unresolved(io::Error::new(io::ErrorKind::NotFound, "no address")))?;
    // TLS alone is enough: it requires a certificate or the token of every caller.
    let is_protected = listen.credentials.tls.is_some() || listen.unprotected;
    if !is_loopback(address.ip()) && !is_protected {
        return Err(StartError::NotLoopback { address });
    }
    let cannot_bind = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(cannot_bind)?;
    listener.set_nonblocking(true).map_err(cannot_bind)?;
    let address = listener.local_addr().map_err(cannot_bind)?;
    Ok((listener, address))
}

/// The folders that hold the inputs and the results, as the user named them, with links resolved.
/// A folder inside another of them is left out.
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

/// The interval of heartbeats: four may be lost before a worker is considered dead, and orders
/// reach it within a second.
fn heartbeat(limits: &Limits) -> Duration {
    let shortest = limits.worker_timeout.min(limits.task_timeout);
    (shortest / 5).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
