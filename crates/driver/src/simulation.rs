//! A whole driver without a machine: a simulation puts its own in place of disk, network,
//! threads, clock and randomness.
//!
//! Everything else is what runs in a real process: the loop, the scheduler, the journal, recovery,
//! the committer, the calls. Left out are the checks of [`prepare`](crate::prepare) that look at a
//! real folder, and the lock of the operating system.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::mpsc::{self as std_mpsc, Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use journal::{Disk, DiskFile};
use journal::{FileLog, Plan};
use store::{Claims, Holder, Store};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admission::IdSource;
use crate::claim::{self, BlockingClock, Hold, Patience};
use crate::committer::{Committer, Errand, Errands};
use crate::driver::Shutdown;
use crate::job::{BegunJob, Closing, EVENTS_MAX, JobError};
use crate::plan::plan;
use crate::start::{self, Begin, Beginning, Config, StartError};
use crate::status::{Snapshot, Summary};

/// Work that may wait for a disk.
pub type Work = Box<dyn FnOnce() + Send>;

/// Something to wait for.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs work on another thread; ready when it is done.
pub type RunBlocking = Arc<dyn Fn(Work) -> Wait + Send + Sync>;

/// Blocks a thread of [`RunBlocking`] until something is ready.
pub type BlockOn = Arc<dyn Fn(Wait) + Send + Sync>;

/// What a driver runs on.
pub struct Surroundings {
    /// Keeps the objects.
    pub store: Arc<dyn Store>,
    /// Keeps the journal.
    pub disk: Arc<dyn Disk>,
    /// Of the store.
    pub claims: Arc<dyn Claims>,
    /// Instead of threads.
    pub run_blocking: RunBlocking,
    /// How such a thread waits.
    pub block_on: BlockOn,
    /// Of a job that begins, instead of randomness.
    pub job_id: String,
}

/// Why one epoch of a driver failed.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// While the job ran.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Before it ran.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs a driver from its start to its end, with workers that connect through `connections`.
///
/// # Errors
///
/// When the job cannot begin, or fails.
pub async fn run<IO>(
    config: Config,
    surroundings: Surroundings,
    connections: mpsc::Receiver<IO>,
    snapshots: watch::Sender<Snapshot>,
) -> Result<Summary, EpochError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Surroundings { store, disk, claims, run_blocking, block_on, job_id } = surroundings;
    let listing = store::list_inputs(&config.inputs, None).map_err(start::unusable_input)?;
    let plan = plan(listing.inputs, config.map_tasks);
    let clock = SimulatedClock { block_on: Arc::clone(&block_on) };
    let begin = {
        let (store, config, plan) = (Arc::clone(&store), config.clone(), plan.clone());
        let (log, clock) = (FileLog::on(disk, &config.files), clock.clone());
        move || begin(&config, &plan, log, &*store, &claims, &clock, job_id)
    };
    let (Beginning { session, journal, recovered }, hold) =
        run_to_end(&run_blocking, begin).await?;
    let hold = Arc::new(hold);
    let keeping = {
        let (hold, run_blocking, clock) = (Arc::clone(&hold), Arc::clone(&run_blocking), clock);
        claim::keep(move || {
            let (hold, run_blocking, clock) =
                (Arc::clone(&hold), Arc::clone(&run_blocking), clock.clone());
            async move { run_to_end(&run_blocking, move || hold.renew(&clock)).await }
        })
    };
    let ids = ids(&session.0);
    let shutdown = Shutdown::new(Vec::new(), config.worker_wait, Duration::ZERO);
    let spec = start::spec(&config, plan, config.files.clone(), session);
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let begun = BegunJob {
        spec,
        shutdown,
        ids,
        limits: config.limits,
        store,
        journal,
        drop_intermediates: config.drop_intermediates,
        hold: Arc::clone(&hold),
        recovered,
        events,
        inbox,
    };
    let serve = |service, ended: Closing| async {
        let last_answers = async {
            ended.await;
            tokio::time::sleep(FAREWELL).await;
        };
        // Cancel safe: calls that are still open are no longer answered.
        tokio::select! {
            biased;
            () = last_answers => Ok(()),
            served = rpc::serve_on(connections, service, rpc::Credentials::default()) => served,
        }
    };
    let commit = |committer: Committer, errands| {
        let clock = SimulatedClock { block_on };
        let errands = PolledErrands { errands: Arc::new(Mutex::new(errands)), clock };
        let committing = tokio::spawn(run_blocking(Box::new(move || committer.run(errands))));
        Ok(async { committing.await.expect("the committer does not panic") })
    };
    let ended = begun.run(serve, commit, keeping, snapshots, std::future::pending()).await;
    // Not when it is dropped: a crashed driver releases nothing.
    run_to_end(&run_blocking, move || hold.release()).await;
    Ok(ended?)
}

/// Claims the next epoch, and begins it.
fn begin(
    config: &Config,
    plan: &Plan,
    log: FileLog,
    store: &dyn Store,
    claims: &Arc<dyn Claims>,
    clock: &SimulatedClock,
    job_id: String,
) -> Result<(Beginning, Hold), StartError> {
    let in_files = |source| StartError::Files { path: config.files.clone(), source };
    let mut patient = |_: &_| ControlFlow::Continue(());
    let taking = (&Holder::default(), 0);
    let taken = claim::take(claims, taking, Patience::StandBy, clock, &mut patient);
    let hold = taken.map_err(|error| start::claim_error(error, &config.files))?.hold;
    start::fence(&hold, store).map_err(in_files)?;
    let recorded = start::read(&log, config)?;
    let begin = Begin { config, plan, files: &config.files, hold: &hold };
    let begun = begin.begin(Box::new(log), recorded, store, || Ok(job_id))?;
    Ok((begun, hold))
}

/// Numbers that are the same for the same session.
fn ids(session: &str) -> IdSource {
    let mut state = DefaultHasher::new();
    session.hash(&mut state);
    Box::new(move || {
        state.write_u8(0);
        Some(state.finish())
    })
}

/// A queue that the simulation looks into now and then: a channel to a thread wakes no task.
struct PolledErrands {
    errands: Arc<Mutex<Receiver<Errand>>>,
    clock: SimulatedClock,
}

/// The clock of the simulated machine, for code that blocks its thread.
#[derive(Clone)]
struct SimulatedClock {
    block_on: BlockOn,
}

impl SimulatedClock {
    fn block_on<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, result) = std_mpsc::sync_channel(1);
        (self.block_on)(Box::pin(async move {
            let _ = sender.send(work.await);
        }));
        result.recv().expect("what was waited for has sent its result")
    }
}

impl BlockingClock for SimulatedClock {
    fn now(&self) -> Instant {
        self.block_on(async { tokio::time::Instant::now().into_std() })
    }

    fn sleep(&self, duration: Duration) {
        self.block_on(async move { tokio::time::sleep(duration).await });
    }
}

impl BlockingClock for PolledErrands {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }
}

impl Errands for PolledErrands {
    fn try_next(&mut self) -> Result<Errand, TryRecvError> {
        try_next(&self.errands)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Errand> {
        let errands = Arc::clone(&self.errands);
        self.clock.block_on(async move {
            loop {
                let now = tokio::time::Instant::now().into_std();
                match try_next(&errands) {
                    Err(TryRecvError::Empty) if deadline.is_none_or(|deadline| now < deadline) => {
                        tokio::time::sleep(POLL_EVERY).await;
                    }
                    errand => return errand.ok(),
                }
            }
        })
    }
}

fn try_next(errands: &Mutex<Receiver<Errand>>) -> Result<Errand, TryRecvError> {
    errands.lock().unwrap_or_else(PoisonError::into_inner).try_recv()
}

async fn run_to_end<T: Send + 'static>(
    run_blocking: &RunBlocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, result) = oneshot::channel();
    run_blocking(Box::new(move || {
        // The receiver is gone if the driver was crashed meanwhile.
        let _ = sender.send(work());
    }))
    .await;
    result.await.expect("work that was done has sent its result")
}

/// How long calls are answered after the end.
const FAREWELL: Duration = Duration::from_millis(100);

const POLL_EVERY: Duration = Duration::from_millis(10);
