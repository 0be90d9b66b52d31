//! Runs a prepared job: from the first call of a worker to the summary for the user.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use journal::{AttemptHistory, Commits, Death, DiskFault, JournalError, Log, Plan};
use rpc::{Credentials, ServeError};
use scheduler::{AttemptId, JobFailure, Limits, Outcome, Scheduler};
use store::{FolderLock, Store, layout};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admission::IdSource;
use crate::committer::{Committer, Errand, GROUP_COMMIT_WAIT, Tell};
use crate::driver::{Driver, Ended, Event, Shutdown};
use crate::ids;
use crate::service::Service;
use crate::spec::JobSpec;
use crate::status::{Snapshot, Summary};

/// A job that listens for workers and has not begun.
pub struct Prepared {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) credentials: Credentials,
    /// Held until the job is over.
    pub(crate) lock: FolderLock,
    pub(crate) replaces_results: bool,
    pub(crate) begun: BegunJob,
}

/// A job that has begun in its journal, whatever it runs on: a machine, or a simulation of one.
pub(crate) struct BegunJob {
    pub(crate) spec: JobSpec,
    pub(crate) shutdown: Shutdown,
    /// For the workers.
    pub(crate) ids: IdSource,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Box<dyn Log>,
    /// What earlier epochs of the same job have committed.
    pub(crate) recovered: Option<Commits>,
    /// Where the loop will hear of what happens.
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) inbox: mpsc::Receiver<Event>,
}

/// Reports the deaths of worker processes: for their parent process, which sees them at once.
#[derive(Clone)]
pub struct Witness {
    events: mpsc::Sender<Event>,
}

impl Witness {
    /// The worker process that registered as `instance` is dead. Its task is reassigned, and the
    /// story of its attempt says how it died.
    pub async fn died(&self, instance: [u8; 16], death: Death) {
        // A job that is over ignores it.
        let _ = self.events.send(Event::Died { instance, death }).await;
    }
}

/// Ready when the server has nothing more to do.
pub(crate) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Prepared {
    /// Where the driver listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `N`.
    pub fn map_tasks(&self) -> u32 {
        self.begun.spec.plan.map_tasks().get()
    }

    /// `M`.
    pub fn reduce_tasks(&self) -> u32 {
        self.begun.spec.reduce_tasks
    }

    /// How many files will be read.
    pub fn input_files(&self) -> usize {
        self.begun.spec.plan.inputs().len()
    }

    /// How many bytes they have.
    pub fn input_bytes(&self) -> u64 {
        self.begun.spec.plan.bytes()
    }

    /// The real path of the results folder.
    pub fn files(&self) -> &Path {
        &self.begun.spec.files
    }

    /// Every folder that a worker must be allowed to use.
    pub fn folders(&self) -> &[PathBuf] {
        &self.begun.spec.folders
    }

    /// Whether the folder holds the results of an earlier job, which this one will replace file by
    /// file.
    pub fn replaces_results(&self) -> bool {
        self.replaces_results
    }

    /// How many map and reduce tasks earlier epochs of this job have committed, if it is resumed.
    pub fn resumes(&self) -> Option<(u32, u32)> {
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let recovered = self.begun.recovered.as_ref()?;
        Some((count(recovered.maps.len()), count(recovered.reduces.len())))
    }

    /// For a parent process of workers of this job.
    pub fn witness(&self) -> Witness {
        Witness { events: self.begun.events.clone() }
    }

    /// Workers may have been started first: they try to connect now and then, and a small job is
    /// over before all of them have. The driver answers late ones for a second, or they would wait
    /// for a driver that has ended.
    pub fn expecting_workers(self) -> Self {
        /// Twice the longest time between two attempts of a worker to connect.
        const STAY: Duration = Duration::from_secs(1);
        let shutdown = self.begun.shutdown.staying(STAY);
        Self { begun: BegunJob { shutdown, ..self.begun }, ..self }
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
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(system("listen on the address that was bound"))?;
        let credentials = self.credentials;
        let serve = |service, ended| rpc::serve(listener, service, credentials, ended);
        let result = self.begun.run(serve, on_a_thread, snapshots, interrupted).await;
        drop(self.lock);
        result
    }
}

impl BegunJob {
    /// Runs the job to its end: `serve` answers calls, `commit` has the committer carry out what it
    /// is sent and is ready when nothing more can come.
    pub(crate) async fn run<Serving, Committing>(
        self,
        serve: impl FnOnce(Arc<Service>, Closing) -> Serving,
        commit: impl FnOnce(Committer, std_mpsc::Receiver<Errand>) -> Result<Committing, JobError>,
        snapshots: watch::Sender<Snapshot>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Summary, JobError>
    where
        Serving: Future<Output = Result<(), ServeError>> + Send + 'static,
        Committing: Future<Output = ()>,
    {
        let (events, inbox) = (self.events, self.inbox);
        let (errands_sender, errands) = std_mpsc::channel();
        let committer = Committer {
            store: self.store,
            journal: self.journal,
            is_new_job: self.recovered.is_none(),
            tell: tell_loop(events.clone()),
            group_commit_wait: GROUP_COMMIT_WAIT,
            deferred_discards: Vec::new(),
        };
        let committing = commit(committer, errands)?;

        let (end, ended) = oneshot::channel::<()>();
        let (serving, served) = oneshot::channel::<Infallible>();
        let ended = async {
            // An error means that the sender is gone, which is the end as well.
            let _ = ended.await;
        };
        let answering = serve(Arc::new(Service { events }), Box::pin(ended));
        let server = tokio::spawn(async move {
            let _serving = serving;
            answering.await
        });
        // Without a server no worker can report, and the loop would wait for ever.
        let interrupted = async {
            // Cancel safe: both are waited for once.
            tokio::select! {
                biased;
                () = interrupted => {}
                Err(_) = served => tracing::error!("the server ended before the job"),
            }
        };

        let (plan, files) = (Arc::clone(&self.spec.plan), self.spec.files.clone());
        let sched = Scheduler::new(&self.spec.for_scheduler(), self.limits);
        let driver =
            Driver::new(sched, self.spec, self.shutdown, self.ids, errands_sender, snapshots)
                .restore(self.recovered.unwrap_or_default());
        let ended = driver.drive(inbox, interrupted).await;

        // The receiver is gone if the server has broken.
        let _ = end.send(());
        let served = stop(server).await;
        committing.await;
        match (conclude(ended, &plan, files), served) {
            // That is why.
            (Err(JobError::Cancelled), Err(broken)) => Err(broken),
            (result, _) => result,
        }
    }
}

fn tell_loop(events: mpsc::Sender<Event>) -> Tell {
    Arc::new(move |told| {
        // If the loop is gone it needs to know nothing.
        let _ = events.blocking_send(Event::from(told));
    })
}

/// Disks may take their time, and the loop has none: the committer works on a thread of its own.
fn on_a_thread(
    committer: Committer,
    errands: std_mpsc::Receiver<Errand>,
) -> Result<impl Future<Output = ()>, JobError> {
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
        /// Every attempt at it in this life.
        attempts: Vec<AttemptHistory>,
        /// The folder with the job's journal.
        files: PathBuf,
    },
    /// The job is done, but its journal could not say so.
    #[error("the results are complete, but the journal is not")]
    Journal(#[source] JournalError),
    /// No worker came, or all of them left.
    #[error("no worker was connected for {} s", waited.as_secs())]
    NoWorkers {
        /// For how long.
        waited: Duration,
    },
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

impl JobError {
    /// What was wrong with the disk, if that ended the job. When it is mended the job goes on.
    pub fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Failed { attempts, .. } => {
                attempts.iter().find_map(|attempt| attempt.fate.disk())
            }
            Self::Journal(error) => error.disk(),
            Self::Cancelled | Self::NoWorkers { .. } | Self::Serve(_) | Self::System { .. } => None,
        }
    }
}

struct FailureText<'a>(&'a JobFailure, &'a str, &'a [AttemptHistory]);

impl fmt::Display for FailureText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(failure, work, attempts) = self;
        let JobFailure { task, .. } = failure;
        write!(f, "{} task {} ({work}) ended the job: {failure}", task.phase, task.index)?;
        for one in *attempts {
            let AttemptHistory { number, worker, fate, .. } = one;
            let attempt = AttemptId { task: *task, number: *number };
            let started = one.started.unwrap_or_default().as_secs_f64();
            write!(
                f,
                "
  {attempt} on {worker}, started at {started:.1} s: {fate}"
            )?;
        }
        Ok(())
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

fn conclude(ended: Ended, plan: &Plan, files: PathBuf) -> Result<Summary, JobError> {
    let outcome = ended.sched.outcome().expect("the loop ends when the scheduler has decided");
    match *outcome {
        Outcome::Cancelled => {
            return Err(match ended.deserted {
                Some(waited) => JobError::NoWorkers { waited },
                None => JobError::Cancelled,
            });
        }
        Outcome::Failed(failure) => {
            let work = plan.describe(ids::recorded_task(failure.task));
            let attempts = ended.attempts(failure.task);
            return Err(JobError::Failed { failure, work, attempts, files });
        }
        Outcome::Done => ended.finished.map_err(JobError::Journal)?,
    }
    let totals = ended.reports.totals();
    let output = |bucket| files.join(layout::output(bucket).as_str());
    Ok(Summary {
        input_files: plan.inputs().len(),
        invalid_bytes: totals.invalid_bytes,
        distinct_words: totals.distinct_words,
        output_bytes: totals.output_bytes,
        workers: ended.roster.added(),
        elapsed: ended.elapsed,
        outputs: (0..ended.snapshot.reduce.counts.tasks).map(output).collect(),
        snapshot: ended.snapshot,
        files,
    })
}

/// Calls that wait to be heard by the loop. A worker has at most two in flight; the others wait in
/// its connection.
pub(crate) const EVENTS_MAX: usize = 1024;

/// How long the server may take to finish its last answers.
const FAREWELL_MAX: Duration = Duration::from_millis(300);
