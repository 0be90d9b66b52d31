//! Runs a prepared job, from the first call of a worker to the summary for the user.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use journal::{
    Announcement, AttemptHistory, Commits, Contact, Death, DiskFault, JournalError, Log, Plan,
};
use rpc::message::Stranded;
use rpc::text::escaped;
use rpc::{Credentials, ServeError};
use scheduler::{AttemptId, JobFailure, Limits, Outcome, Scheduler};
use store::{ListingNotes, Store, duration, layout};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admission::IdSource;
use crate::claim::{self, ClaimLost, Claimed, Hold, MachineClock};
use crate::committer::{
    Committer, DISCARDS_MAX, Discards, EndError, Errand, GROUP_COMMIT_WAIT, Notify, Outputs,
};
use crate::driver::{Deserted, Driver, Ended, Event, Shutdown, Unrecorded};
use crate::ids;
use crate::service::Service;
use crate::spec::JobSpec;
use crate::start::{Bound, Copies};
use crate::status::{Snapshot, Summary};

/// A job that listens for workers and has not begun.
pub struct Prepared {
    pub(crate) bound: Bound,
    pub(crate) credentials: Credentials,
    /// How to call this driver, in its folder. Before the claim: it is dropped first.
    pub(crate) announcement: Option<Announcement>,
    /// Of inputs that can be read only once. Before the claim, which they are in.
    pub(crate) copies: Copies,
    /// Held until the job is over.
    pub(crate) claimed: Claimed,
    pub(crate) notes: ListingNotes,
    pub(crate) replaces_results: bool,
    pub(crate) begun: BegunJob,
}

/// A job whose journal has begun. It runs on a machine, or on a simulation of one.
pub(crate) struct BegunJob {
    pub(crate) spec: JobSpec,
    pub(crate) shutdown: Shutdown,
    /// Ids for workers.
    pub(crate) ids: IdSource,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Box<dyn Log>,
    pub(crate) drop_intermediates: bool,
    pub(crate) hold: Arc<Hold>,
    /// What earlier epochs of the same job have committed.
    pub(crate) recovered: Option<Commits>,
    /// To the driver loop.
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) inbox: mpsc::Receiver<Event>,
}

/// Reports the death of a worker process. Its parent process sees the death at once, where the
/// driver would wait for heartbeats.
#[derive(Clone)]
pub struct Witness {
    events: mpsc::Sender<Event>,
}

impl Witness {
    /// The worker process that registered as `instance` is dead. Its task is reassigned, and the
    /// history of its attempt says how it died.
    pub async fn died(&self, instance: [u8; 16], death: Death) {
        // The receiver is gone if the job is over.
        let _ = self.events.send(Event::Died { instance, death }).await;
    }
}

/// Ready when the server is to close.
pub(crate) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Prepared {
    /// Where the driver listens: the first address of the host.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// Where the driver listens: all addresses of the host, at one port.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.bound.addresses
    }

    /// The same for a message: `127.0.0.1:50051 and [::1]:50051`.
    pub fn listens_on(&self) -> String {
        self.bound.to_string()
    }

    /// The number of map tasks, `N`.
    pub fn map_tasks(&self) -> u32 {
        self.begun.spec.plan.map_tasks().get()
    }

    /// The number of reduce tasks, `M`.
    pub fn reduce_tasks(&self) -> u32 {
        self.begun.spec.reduce_tasks
    }

    /// How many files the job reads.
    pub fn input_files(&self) -> usize {
        self.begun.spec.plan.inputs().len()
    }

    /// How many bytes they have.
    pub fn input_bytes(&self) -> u64 {
        self.begun.spec.plan.bytes()
    }

    /// How many inputs have each format, in words; empty if all are plain text.
    pub fn formats(&self) -> BTreeMap<String, usize> {
        self.begun.spec.plan.formats()
    }

    /// The largest input that cannot be cut, if it is larger than an equal share, and how many
    /// hundredths of all bytes it has.
    pub fn larger_than_a_share(&self) -> Option<(Cow<'_, Path>, u64)> {
        let plan = &self.begun.spec.plan;
        let input = plan.larger_than_a_share()?;
        let hundredths = u128::from(input.bytes) * 100 / u128::from(plan.bytes().max(1));
        let hundredths = u64::try_from(hundredths).expect("at most 100");
        (input.bytes >= LARGE_BYTES).then(|| (store::shown_input(&input.path), hundredths))
    }

    /// Whether the job can be resumed if it ends early. One that reads a copy of an input that can
    /// be read only once cannot.
    pub fn is_resumable(&self) -> bool {
        self.begun.spec.plan.is_resumable()
    }

    /// What the user may not have intended with the inputs.
    pub fn notes(&self) -> &ListingNotes {
        &self.notes
    }

    /// The real path of the results folder.
    pub fn files(&self) -> &Path {
        &self.begun.spec.files
    }

    /// Every folder that a worker must be allowed to read or write.
    pub fn folders(&self) -> &[PathBuf] {
        &self.begun.spec.folders
    }

    /// Whether the results folder holds results of an earlier job, which this one replaces file by
    /// file.
    pub fn replaces_results(&self) -> bool {
        self.replaces_results
    }

    /// If the job is resumed: how many map and reduce tasks its earlier epochs have committed.
    pub fn resumes(&self) -> Option<(u32, u32)> {
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let recovered = self.begun.recovered.as_ref()?;
        Some((count(recovered.maps.len()), count(recovered.reduces.len())))
    }

    /// For the parent process of workers of this job.
    pub fn witness(&self) -> Witness {
        Witness { events: self.begun.events.clone() }
    }

    /// Answers calls for at least a second, even if the job is over earlier. A worker that was
    /// started before the driver retries at intervals, and a small job may be over before it
    /// connects; without an answer it would wait for a driver that has ended.
    pub fn expecting_workers(self) -> Self {
        /// Twice the longest time between two attempts of a worker to connect.
        const STAY: Duration = Duration::from_secs(1);
        let shutdown = self.begun.shutdown.staying(STAY);
        Self { begun: BegunJob { shutdown, ..self.begun }, ..self }
    }

    /// Writes into the results folder how to call this driver, at `address` on the machine `host`.
    /// The job does not need that, so an error is only logged.
    pub fn announced(self, address: String, host: String) -> Self {
        let (tls, token) = match &self.credentials {
            Credentials { tls: Some(_), .. } => (true, None),
            Credentials { token, .. } => (false, token.as_ref().map(|it| it.expose().to_owned())),
        };
        let announced = journal::announce(self.files(), &Contact { address, host, tls, token });
        let announcement = announced.inspect_err(|error| {
            tracing::warn!("this driver cannot be found by its folder: {error}");
        });
        Self { announcement: announcement.ok(), ..self }
    }

    /// Runs the job to its end. `snapshots` receives its progress; `ended_early` cancels it.
    ///
    /// Returns when the results are complete and durable, and the workers know that the job is
    /// over.
    ///
    /// # Errors
    ///
    /// When the job failed or was interrupted. Tasks that were committed until then stay committed.
    pub async fn run(
        self,
        snapshots: watch::Sender<Snapshot>,
        ended_early: impl Future<Output = EarlyEnd>,
    ) -> Result<Summary, JobError> {
        let (files, session) = (self.files().to_owned(), self.begun.spec.session.clone());
        let listeners = self.bound.listeners.into_iter().map(tokio::net::TcpListener::from_std);
        let listeners: Vec<_> = listeners
            .collect::<Result<_, _>>()
            .map_err(system("listen on the address that was bound"))?;
        let credentials = self.credentials;
        let serve = |service, ended| rpc::serve(listeners, service, credentials, ended);
        let hold = Arc::clone(&self.begun.hold);
        // Its thread renews it.
        let keeping = claim::keep(move || std::future::ready(hold.is_lost()));
        let result = self.begun.run(serve, on_a_thread, keeping, snapshots, ended_early).await;
        let result = match result {
            Err(JobError::Superseded(lost)) => {
                Err(JobError::Superseded(self.claimed.hold.named(lost, &MachineClock)))
            }
            result => result,
        };
        // Another folder may be there now, with another job.
        let is_in_place = journal::has_ended(&files, &session.0);
        drop(self.announcement);
        drop(self.copies);
        drop(self.claimed);
        match result {
            Ok(_) if !is_in_place => Err(JobError::FilesMoved { files }),
            Ok(summary) => Ok(summary),
            Err(error) => Err(if_moved(error, files)),
        }
    }
}

impl BegunJob {
    /// Runs the job to its end: `serve` answers calls; `commit` runs the committer, and is ready
    /// when the committer has carried out its last errand; `keeping` renews the claim, and is ready
    /// when it is lost.
    pub(crate) async fn run<Serving, Committing>(
        self,
        serve: impl FnOnce(Arc<Service>, Closing) -> Serving,
        commit: impl FnOnce(Committer, std_mpsc::Receiver<Errand>) -> Result<Committing, JobError>,
        keeping: impl Future<Output = ClaimLost> + Send + 'static,
        snapshots: watch::Sender<Snapshot>,
        ended_early: impl Future<Output = EarlyEnd>,
    ) -> Result<Summary, JobError>
    where
        Serving: Future<Output = Result<(), ServeError>> + Send + 'static,
        Committing: Future<Output = ()>,
    {
        let (events, inbox) = (self.events, self.inbox);
        let (errands_sender, errands) = std_mpsc::channel();
        let committer = Committer {
            discards: Discards::new(Arc::clone(&self.store), DISCARDS_MAX),
            store: self.store,
            journal: self.journal,
            is_new_job: self.recovered.is_none(),
            drop_intermediates: self.drop_intermediates,
            notify: notify_loop(events.clone()),
            group_commit_wait: GROUP_COMMIT_WAIT,
            outputs: self.recovered.as_ref().map(Outputs::of).unwrap_or_default(),
            is_superseded: false,
            hold: self.hold,
        };
        let committing = commit(committer, errands)?;
        let superseded = events.clone();
        let keeping = tokio::spawn(async move {
            let lost = keeping.await;
            // The receiver is gone if the loop has ended.
            let _ = superseded.send(Event::Superseded(lost)).await;
        });

        let (end, ended) = oneshot::channel::<()>();
        let (serving, served) = oneshot::channel::<Infallible>();
        let ended = async {
            // An error means that the sender was dropped, which is the end too.
            let _ = ended.await;
        };
        let answering = serve(Arc::new(Service { events }), Box::pin(ended));
        let server = tokio::spawn(async move {
            let _serving = serving;
            answering.await
        });
        // Without a server no worker can report, and the loop would wait forever.
        let ended_early = async {
            // Cancel safe: both are waited for once.
            tokio::select! {
                biased;
                end = ended_early => end,
                Err(_) = served => {
                    tracing::error!("the server ended before the job");
                    EarlyEnd::Interrupted
                }
            }
        };

        let (plan, files) = (Arc::clone(&self.spec.plan), self.spec.files.clone());
        let sched = Scheduler::new(&self.spec.for_scheduler(), self.limits);
        let driver =
            Driver::new(sched, self.spec, self.shutdown, self.ids, errands_sender, snapshots)
                .restore(self.recovered.unwrap_or_default());
        let ended = driver.drive(inbox, ended_early).await;

        // The receiver is gone if the server has failed.
        let _ = end.send(());
        let served = stop(server).await;
        // A committer that may no longer commit has nothing to do, and its disk may not answer.
        let is_superseded = matches!(ended.finished, Err(Unrecorded::Superseded(_)));
        if !is_superseded {
            committing.await;
        }
        keeping.abort();
        match (conclude(ended, &plan, files), served) {
            // The failure of the server is what interrupted the job.
            (Err(JobError::Cancelled), Err(broken)) => Err(broken),
            (result, _) => result,
        }
    }
}

/// What ended a job whose results folder is gone: that, whichever operation found it first.
fn if_moved(error: JobError, files: PathBuf) -> JobError {
    match error {
        JobError::Failed { .. }
        | JobError::Journal(_)
        | JobError::Replaced { .. }
        | JobError::Superseded(_)
            if files.try_exists().is_ok_and(|exists| !exists) =>
        {
            JobError::FilesMoved { files }
        }
        JobError::Cancelled
        | JobError::Failed { .. }
        | JobError::FilesMoved { .. }
        | JobError::Journal(_)
        | JobError::NoWorkers { .. }
        | JobError::Replaced { .. }
        | JobError::Serve(_)
        | JobError::Superseded(_)
        | JobError::System { .. } => error,
    }
}

fn notify_loop(events: mpsc::Sender<Event>) -> Notify {
    Arc::new(move |told| {
        // The receiver is gone if the loop has ended.
        let _ = events.blocking_send(Event::from(told));
    })
}

/// Runs the committer on a thread of its own: a disk may be slow, and the loop never waits for one.
fn on_a_thread(
    mut committer: Committer,
    errands: std_mpsc::Receiver<Errand>,
) -> Result<impl Future<Output = ()>, JobError> {
    committer.discards.use_a_thread().map_err(system("start a thread"))?;
    let thread = std::thread::Builder::new()
        .name("committer".to_owned())
        .spawn(move || committer.run(errands))
        .map_err(system("start a thread"))?;
    Ok(async {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    })
}

fn system(operation: &'static str) -> impl FnOnce(io::Error) -> JobError {
    move |source| JobError::System { operation, source }
}

/// Why a job is to end before it is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EarlyEnd {
    /// The user interrupts it.
    Interrupted,
    /// No worker can be kept alive.
    NoWorkers,
}

/// For how long there was no worker that could do what is left: `0.3 s`, `2 s`, `1 min 5 s`.
struct LackText<'error>(Option<Duration>, &'error [Stranded]);

impl fmt::Display for LackText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Some(waited), stranded) = *self else {
            return f.write_str("no worker can be kept alive");
        };
        for one in stranded {
            write!(f, "{one}; ")?;
        }
        let such = if stranded.is_empty() { "" } else { "such " };
        write!(f, "no {such}worker was connected for ")?;
        if waited.as_secs() < 60 {
            let seconds = (waited.as_secs_f64() * 10.0).round() / 10.0;
            write!(f, "{seconds} s")
        } else {
            write!(f, "{}", duration::whole(waited))
        }
    }
}

/// Why a job that ran is not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The user interrupted it.
    #[error("interrupted")]
    Cancelled,
    /// The results folder is no longer where it was when the job began.
    #[error("the results folder {} was moved or removed while the job ran", files.display())]
    FilesMoved {
        /// Where it was.
        files: PathBuf,
    },
    /// A task cannot be completed.
    #[error("{}", FailureText(.failure, .work, .attempts))]
    Failed {
        /// Which task, and why.
        failure: JobFailure,
        /// What the task was to read.
        work: String,
        /// Every attempt at the task in this epoch.
        attempts: Vec<AttemptHistory>,
        /// The folder with the job's journal.
        files: PathBuf,
    },
    /// All tasks are committed, but the journal cannot record that the job is done.
    #[error("the results are complete, but the journal is not")]
    Journal(#[source] JournalError),
    /// No worker connected that can do what is left, or all have disconnected.
    #[error("{}: the job stops", LackText(*waited, stranded))]
    NoWorkers {
        /// How long the driver has waited; `None` if no worker can be kept alive.
        waited: Option<Duration>,
        /// The map tasks that the connected workers cannot do; empty if none is connected.
        stranded: Vec<Stranded>,
    },
    /// An output was replaced by another file after its commit.
    #[error("{} was replaced after it was committed", output.display())]
    Replaced {
        /// The output.
        output: PathBuf,
    },
    /// The server failed.
    #[error(transparent)]
    Serve(ServeError),
    /// Another driver has taken over the job, or may have.
    #[error(transparent)]
    Superseded(ClaimLost),
    /// The operating system refused an operation that every job needs.
    #[error("cannot {operation}")]
    System {
        /// Which one, as a verb and its object.
        operation: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

impl JobError {
    /// What is wrong with the disk, if that ended the job. Once it is repaired, the job can be
    /// resumed.
    pub fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Failed { attempts, .. } => {
                attempts.iter().find_map(|attempt| attempt.fate.disk())
            }
            Self::Journal(error) => error.disk(),
            Self::Cancelled
            | Self::FilesMoved { .. }
            | Self::NoWorkers { .. }
            | Self::Replaced { .. }
            | Self::Serve(_)
            | Self::Superseded(_)
            | Self::System { .. } => None,
        }
    }
}

struct FailureText<'a>(&'a JobFailure, &'a str, &'a [AttemptHistory]);

impl fmt::Display for FailureText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(failure, work, attempts) = self;
        let JobFailure { task, .. } = failure;
        // Names are escaped here: a line feed in one must not look like the end of a line of ours.
        let work = escaped(work);
        write!(f, "{} task {} ({work}) ended the job: {failure}", task.phase, task.index)?;
        for one in *attempts {
            let AttemptHistory { number, worker, fate, .. } = one;
            let attempt = AttemptId { task: *task, number: *number };
            let started = duration::measured(one.started.unwrap_or_default());
            let (worker, fate) = (escaped(worker), fate.to_string());
            let fate = escaped(&fate);
            write!(
                f,
                "
  {attempt} on {worker}, started at {started}: {fate}"
            )?;
        }
        Ok(())
    }
}

/// Lets the server finish the calls in flight, but does not wait for a stopped client that keeps
/// its connection open.
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
    let finished = match std::mem::replace(&mut ended.finished, Ok(())) {
        Err(Unrecorded::Superseded(lost)) => return Err(JobError::Superseded(lost)),
        Err(Unrecorded::End(EndError::Journal(error))) => Err(JobError::Journal(error)),
        Err(Unrecorded::End(EndError::Replaced(name))) => {
            Err(JobError::Replaced { output: files.join(name.as_str()) })
        }
        Ok(()) => Ok(()),
    };
    let set_aside = ended.set_aside();
    let outcome = ended.sched.outcome().expect("the loop ends when the scheduler has decided");
    match *outcome {
        Outcome::Cancelled => {
            return Err(match ended.deserted {
                Some(Deserted { waited, stranded }) => JobError::NoWorkers { waited, stranded },
                None => JobError::Cancelled,
            });
        }
        Outcome::Failed(failure) => {
            let work = plan.describe(ids::recorded_task(failure.task));
            let attempts = ended.attempts(failure.task);
            return Err(JobError::Failed { failure, work, attempts, files });
        }
        Outcome::Done => finished?,
    }
    let totals = ended.reports.totals();
    let output = |bucket| files.join(layout::output(bucket).as_str());
    Ok(Summary {
        input_files: plan.inputs().len(),
        findings: ended.reports.findings(plan),
        distinct_words: totals.distinct_words,
        output_bytes: totals.output_bytes,
        workers: ended.roster.added(),
        set_aside,
        elapsed: ended.elapsed,
        outputs: (0..ended.snapshot.reduce.counts.tasks).map(output).collect(),
        snapshot: ended.snapshot,
        files,
    })
}

/// An input that is read in less than about a tenth of a second keeps no worker waiting.
const LARGE_BYTES: u64 = 16 << 20;

/// Calls that are queued for the loop. A worker has at most two in flight; further ones wait in its
/// connection (backpressure).
pub(crate) const EVENTS_MAX: usize = 1024;

/// How long the server may take to finish its last answers.
const FAREWELL_MAX: Duration = Duration::from_millis(300);
