//! Turns a [`Config`] into a job that is ready to run.
//!
//! [`prepare`] checks the inputs, the numbers, the results folder and the address, in this order.
//! Nothing on disk is changed before all checks have passed. Only then is an input read that can be
//! read only once ([`copies`]).

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use inputs::Choice;
use journal::{
    Commits, FileLog, JournalError, Log, Opening, Outcome, Plan, PlannedInput, Record, Recorded,
};
use rpc::Credentials;
use rpc::message::{Session, WordRules};
use scheduler::Limits;
use store::{
    Arguments, Claims, Holder, Listing, ListingNotes, Local, LocalClaims, Store, StoreError, Stream,
};
use tokio::sync::mpsc;

use crate::claim::{
    self, Ask, BlockingClock, Claimed, Hold, LookError, MachineClock, OnConflict, Taken, Waiting,
};
use crate::driver::Shutdown;
use crate::job::{BegunJob, EVENTS_MAX, Prepared};
use crate::plan;
use crate::recovery::{self, AskedJob, Difference, InputChange};
use crate::spec::JobSpec;

mod bind;
mod check;
mod copies;
mod error;
mod formats;
#[cfg(test)]
mod tests;

pub(crate) use error::unusable_input;
pub use error::{Differences, StartError};

pub(crate) use bind::Bound;
use bind::{bind, bind_when_free};
use check::{check_numbers, inspect_files, resolve_folder, resolve_input};
pub(crate) use copies::Copies;
use error::{claim_error, lock_error, lost_error};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to read: files and folders, FIFOs, and `-` for standard input.
    pub inputs: Arguments,
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
    /// How the inputs are read.
    pub reading: Reading,
}

/// How inputs are read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What the inputs are, as far as the user has chosen.
    pub choice: Choice,
    /// How many bad records may be skipped in the whole job; `None`: the first one fails it. No
    /// part of what the job is: a job that fails because of it can be resumed with more.
    pub bad_records_max: Option<u64>,
}

/// Where to listen, and which callers are accepted.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// `HOST:PORT`; port 0 for any that is free. All addresses of the host are bound.
    pub address: String,
    /// What every call must present: a certificate, a token, or nothing.
    pub credentials: Credentials,
    /// Allow an address that other machines can reach, without TLS.
    pub unprotected: bool,
}

/// Checks everything, then claims the results folder and begins the journal.
///
/// If a driver that may be alive on another machine holds the claim, this takes up to 10 s. Inputs
/// that can be read only once are copied, which takes as long as their writers do. `waiting` is
/// called several times a second meanwhile, and may break off.
///
/// # Errors
///
/// When the job cannot start. Nothing on disk was changed, unless the results folder itself could
/// not be written.
pub fn prepare(
    mut config: Config,
    mut waiting: impl FnMut(&Waiting) -> ControlFlow<()>,
) -> Result<Prepared, StartError> {
    faults::arm();
    let streams = config.inputs.take_streams().map_err(unusable_input)?;
    let checked = Checked::of(&config, streams, Copies::default())?;
    let bound = bind(&config.listen)?;
    let (store, claims) = claimable(&checked.files)?;
    claims.lock().map_err(lock_error)?;
    let holder = Holder::this_process(Some(bound.to_string()));
    let is_wanted = &mut |_| checked.compare(&config, None);
    let ask = Ask { waiting: &mut waiting, is_wanted };
    let taking = Taking { holder, on_conflict: OnConflict::Refuse, ask };
    let folder = Unclaimed::here(&checked.files, claims, &store);
    let opened = taking.open(folder, &config, Claimed::new)?;
    faults::reach("driver::locked", "");
    let checked = checked.with_copies(&config, &store, &opened.claimed.hold, &mut waiting)?;
    begin_here(config, checked, bound, store, opened)
}

/// How the wait of a standby has ended.
pub enum StoodBy {
    /// The other driver has ended, and the journal says so: there is nothing to take over.
    Over {
        /// How the job ended.
        outcome: Outcome,
        /// The results folder.
        files: PathBuf,
    },
    /// The other driver is dead, or was interrupted; or there was none.
    TookOver(Box<Prepared>),
}

/// As [`prepare`], but waits as long as another driver is alive, and binds the address only then.
///
/// # Errors
///
/// As of [`prepare`]. The inputs and the results folder are checked before the wait, and again
/// after it. An input that can be read only once is not possible: the other driver has read
/// another.
pub fn stand_by(
    mut config: Config,
    mut waiting: impl FnMut(&Waiting) -> ControlFlow<()>,
) -> Result<StoodBy, StartError> {
    faults::arm();
    if let Some(stream) = config.inputs.take_streams().map_err(unusable_input)?.first() {
        return Err(StartError::StandbyStream { input: stream.name().display().to_string() });
    }
    let check = || Checked::of(&config, Vec::new(), Copies::default());
    let mut checked = check()?;
    checked.compare(&config, None)?;
    let files = checked.files.clone();
    let (store, claims) = claimable(&files)?;
    let holder = Holder::this_process(Some(config.listen.address.clone()));
    let is_wanted = &mut |epoch| {
        checked = check()?;
        checked.compare(&config, Some(epoch))
    };
    let ask = Ask { waiting: &mut waiting, is_wanted };
    let taking = Taking { holder, on_conflict: OnConflict::StandBy, ask };
    let opened = taking.open(Unclaimed::here(&files, claims, &store), &config, Claimed::new)?;
    if let Some(outcome) = opened.ended_meanwhile(&config, &checked.plan) {
        return Ok(StoodBy::Over { outcome, files });
    }
    let bound = match opened.has_waited {
        true => bind_when_free(&config.listen, &mut waiting)?,
        false => bind(&config.listen)?,
    };
    begin_here(config, checked, bound, store, opened)
        .map(|prepared| StoodBy::TookOver(Box::new(prepared)))
}

/// How a driver gets the claim of its results folder.
pub(crate) struct Taking<'a> {
    pub(crate) holder: Holder,
    pub(crate) on_conflict: OnConflict,
    pub(crate) ask: Ask<'a, StartError>,
}

/// A results folder that is to be claimed.
pub(crate) struct Unclaimed<'a> {
    pub(crate) files: &'a Path,
    pub(crate) claims: Arc<dyn Claims>,
    pub(crate) store: &'a dyn Store,
    pub(crate) log: FileLog,
    /// Of the machine that the driver runs on.
    pub(crate) clock: &'a dyn BlockingClock,
}

/// A claimed results folder, and what its journal has recorded.
pub(crate) struct Opened<Kept> {
    pub(crate) claimed: Kept,
    has_waited: bool,
    pub(crate) log: FileLog,
    pub(crate) recorded: Recorded,
}

impl<'a> Unclaimed<'a> {
    /// On this machine.
    fn here(files: &'a Path, claims: LocalClaims, store: &'a Local) -> Self {
        let (claims, log) = (Arc::new(claims), FileLog::in_folder(files));
        Self { files, claims, store, log, clock: &MachineClock }
    }
}

impl<Kept> Opened<Kept> {
    /// How the job that is asked for has ended, if another driver has run it to its end meanwhile.
    pub(crate) fn ended_meanwhile(&self, config: &Config, plan: &Plan) -> Option<Outcome> {
        let recorded_end = || asked(config, plan).recorded_end(&self.recorded.records);
        self.has_waited.then(recorded_end).flatten()
    }
}

impl Taking<'_> {
    /// In this order: when the journal is read, no earlier driver can change it, nor give a final
    /// name to what it has staged. `keep` renews a claim, and releases it when it is dropped.
    pub(crate) fn open<Kept: Borrow<Hold>>(
        self,
        folder: Unclaimed<'_>,
        config: &Config,
        keep: impl Fn(Hold) -> io::Result<Kept>,
    ) -> Result<Opened<Kept>, StartError> {
        let Unclaimed { files, claims, store, mut log, clock } = folder;
        let in_files = |source| StartError::Files { path: files.to_owned(), source };
        let Self { holder, on_conflict, ask: Ask { waiting, is_wanted } } = self;
        let (mut above, mut has_waited) = (0, false);
        loop {
            let ask = Ask { waiting, is_wanted };
            let taken = claim::take(&claims, (&holder, above), on_conflict, clock, ask);
            let Taken { hold, has_waited: waited } =
                taken.map_err(|error| claim_error(error, files))?;
            has_waited |= waited;
            let claimed = keep(hold).map_err(StartError::Thread)?;
            let epoch = claimed.borrow().epoch();
            fence(claimed.borrow(), store).map_err(in_files)?;
            log = log.drafted_in(epoch);
            let recorded = read(&log, config)?;
            if epoch > recorded.last_epoch() {
                return Ok(Opened { claimed, has_waited, log, recorded });
            }
            // This driver was frozen, and another has taken over meanwhile. Or the claims were
            // removed, or the journal is of a version that had none.
            has_waited |= claimed.borrow().is_taken_over();
            above = recorded.last_epoch();
        }
    }
}

/// Takes from earlier drivers, which may be frozen, what they could still change: the journal in
/// their claim, and what was staged for them.
fn fence(hold: &Hold, store: &dyn Store) -> Result<(), StoreError> {
    hold.remove_earlier()?;
    store.sweep()?;
    faults::reach("driver::swept", "");
    Ok(())
}

/// What the journal has recorded. One that is damaged counts as empty if the job starts over.
fn read(log: &dyn Log, config: &Config) -> Result<Recorded, StartError> {
    match log.read_valid() {
        // The random id of the new job is enough to keep its attempts apart from earlier ones.
        Err(JournalError::Damaged { .. }) if config.fresh => Ok(Recorded::default()),
        recorded => recorded.map_err(StartError::Journal),
    }
}

/// The id of the unfinished job in `files`, unless it is to start over.
///
/// # Errors
///
/// When that is not the job asked for: it is not discarded by mistake.
fn find_unfinished<'recorded>(
    config: &Config,
    plan: &Plan,
    files: &Path,
    recorded: &'recorded Recorded,
) -> Result<Option<&'recorded str>, StartError> {
    if config.fresh {
        return Ok(None);
    }
    let unfinished = asked(config, plan).find_unfinished(&recorded.records);
    unfinished.map_err(|differences| StartError::OtherJob {
        files: files.to_owned(),
        differences: Differences(differences),
    })
}

fn asked<'plan>(config: &Config, plan: &'plan Plan) -> AskedJob<'plan> {
    AskedJob { plan, reduce_tasks: config.reduce_tasks.get(), rules: config.rules }
}

/// What was checked without a change on disk.
struct Checked {
    plan: Plan,
    notes: ListingNotes,
    files: PathBuf,
    /// Inputs that are not in the plan until they are copied.
    streams: Vec<Stream>,
    copies: Copies,
}

impl Checked {
    fn of(config: &Config, streams: Vec<Stream>, copies: Copies) -> Result<Self, StartError> {
        let files = resolve_folder(&config.files);
        let may_have_none = !streams.is_empty() || !copies.inputs.is_empty();
        let listing = match config.inputs.paths.is_empty() && may_have_none {
            true => Listing::default(),
            false => config.inputs.list(files.as_deref().ok()).map_err(unusable_input)?,
        };
        let mut inputs =
            listing.inputs.into_iter().map(resolve_input).collect::<Result<Vec<_>, _>>()?;
        inputs.extend(copies.inputs.iter().cloned());
        let formats = formats::examine(&inputs, &config.reading.choice)?;
        let inputs = inputs.into_iter().zip(formats).collect();
        let plan = plan::plan(inputs, config.map_tasks);
        check_numbers(&plan, config.reduce_tasks.get())?;
        let files = files?;
        inspect_files(&files, plan.inputs(), &copies)?;
        Ok(Self { plan, notes: listing.notes, files, streams, copies })
    }

    /// Compares this job with the one that the folder holds, before a driver that may be only
    /// paused is stopped by a claim. `stood_by_for` is the epoch of the driver that a standby has
    /// waited for. A job that is to start over is compared with nothing.
    ///
    /// # Errors
    ///
    /// When an unfinished job is not this one, or that driver has run another. What cannot be read
    /// is judged with the claim.
    fn compare(&self, config: &Config, stood_by_for: Option<u64>) -> Result<(), StartError> {
        if config.fresh {
            return Ok(());
        }
        let Ok(recorded) = read(&FileLog::in_folder(&self.files), config) else { return Ok(()) };
        let unfinished = find_unfinished(config, &self.plan, &self.files, &recorded);
        if let Some(first) = self.streams.first()
            && !matches!(unfinished, Ok(None))
        {
            // No job has the copies that will be made.
            let path = first.name().display().to_string();
            let (change, more) = (InputChange::Added, self.streams.len() - 1);
            let differences = Differences(vec![Difference::Inputs { change, path, more }]);
            return Err(StartError::OtherJob { files: self.files.clone(), differences });
        }
        unfinished?;
        let has_begun = |epoch| epoch <= recorded.last_epoch();
        let differences = asked(config, &self.plan).differences(&recorded.records);
        match stood_by_for.is_some_and(has_begun) && !differences.is_empty() {
            true => Err(StartError::OtherJobRan {
                files: self.files.clone(),
                differences: Differences(differences),
            }),
            false => Ok(()),
        }
    }
}

/// The store in `files`, which is created if it does not exist.
fn claimable(files: &Path) -> Result<(Local, LocalClaims), StartError> {
    let in_files = |source| StartError::Files { path: files.to_owned(), source };
    let store = Local::create(files).map_err(in_files)?;
    let claims = store.claims();
    Ok((store, claims))
}

/// Begins the journal of the job whose results folder is claimed.
fn begin_here(
    config: Config,
    Checked { plan, notes, files, copies, streams: _ }: Checked,
    bound: Bound,
    store: Local,
    Opened { claimed, log, recorded, .. }: Opened<Claimed>,
) -> Result<Prepared, StartError> {
    // Again: before the folder was claimed, another driver may have finished a job in it.
    let survey = inspect_files(&files, plan.inputs(), &copies)?;
    let begin = Begin { config: &config, plan: &plan, files: &files, hold: &claimed.hold };
    let Beginning { session, journal, recovered } =
        begin.begin(Box::new(log), recorded, &store, random_id)?;

    let (map_tasks, reduce_tasks) = (plan.map_tasks().get(), config.reduce_tasks.get());
    let leftovers = survey.outside(map_tasks, reduce_tasks);
    let spec = spec(&config, plan, files, session);
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    Ok(Prepared {
        bound,
        credentials: config.listen.credentials,
        announcement: None,
        copies,
        notes,
        replaces_results: survey.has_results() && recovered.is_none(),
        begun: BegunJob {
            spec,
            shutdown: Shutdown::new(leftovers, config.worker_wait, Duration::ZERO),
            ids: Box::new(|| getrandom::u64().ok()),
            limits: config.limits,
            store: Arc::new(store),
            journal,
            drop_intermediates: config.drop_intermediates,
            hold: Arc::clone(&claimed.hold),
            recovered,
            events,
            inbox,
        },
        claimed,
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

/// What it takes to begin an epoch.
pub(crate) struct Begin<'a> {
    pub(crate) config: &'a Config,
    pub(crate) plan: &'a Plan,
    pub(crate) files: &'a Path,
    pub(crate) hold: &'a Hold,
}

impl Begin<'_> {
    /// Resumes the unfinished job that the log describes, or begins a new one.
    pub(crate) fn begin(
        &self,
        mut log: Box<dyn Log>,
        recorded: Recorded,
        store: &dyn Store,
        random_id: impl FnOnce() -> Result<String, StartError>,
    ) -> Result<Beginning, StartError> {
        let Self { config, plan, files, hold } = *self;
        let asked = asked(config, plan);
        let unfinished = find_unfinished(config, plan, files, &recorded)?;
        let in_files = |source| StartError::Files { path: files.to_owned(), source };
        let epoch = hold.epoch();
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
        opened.map_err(|error| match hold.look() {
            Err(LookError::Lost(lost)) => lost_error(lost, files),
            Ok(()) | Err(LookError::Store(_)) => StartError::Journal(error),
        })?;
        let session = Session(format!("{job}-e{epoch}"));
        Ok(Beginning { session, journal: log, recovered })
    }
}

pub(crate) fn spec(config: &Config, plan: Plan, files: PathBuf, session: Session) -> JobSpec {
    JobSpec {
        session,
        rules: config.rules,
        reduce_tasks: config.reduce_tasks.get(),
        folders: folders(&files, &config.inputs.paths, plan.inputs()),
        plan: Arc::new(plan),
        files,
        heartbeat: heartbeat(&config.limits),
        bad_records_max: config.reading.bad_records_max,
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

/// The folders that hold the inputs and the results, as the user named them, with links resolved.
/// A folder inside another of them is left out.
fn folders(files: &Path, arguments: &[PathBuf], inputs: &[PlannedInput]) -> Vec<PathBuf> {
    let named = arguments.iter().filter_map(|path| std::fs::canonicalize(path).ok());
    let named = named.filter(|path| path.is_dir());
    let parents =
        inputs.iter().filter_map(|planned| planned.input.path.parent().map(ToOwned::to_owned));
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
