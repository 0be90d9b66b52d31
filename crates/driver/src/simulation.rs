//! A whole driver without a machine: a simulation puts its own in place of disk, network,
//! threads, clock and randomness.
//!
//! Everything else is what runs in a real process: the claim, the loop, the scheduler, the journal,
//! recovery, the committer, the calls. Left out are the checks of [`prepare`](crate::prepare) that
//! look at a real folder, and the lock of the operating system.

use std::borrow::Borrow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::mpsc::{self as std_mpsc, Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use journal::{Disk, DiskFile};
use journal::{FileLog, Format, Outcome};
use store::{Claims, Holder, Store};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::IdSource;
use crate::claim::{self, Ask, BlockingClock, Hold, OnConflict, RENEW_EVERY};
use crate::committer::{Committer, Errand, Errands};
use crate::driver::Shutdown;
use crate::job::{BegunJob, Closing, EVENTS_MAX, JobError};
use crate::plan::plan;
use crate::start::{self, Begin, Beginning, Config, StartError, Taking, Unclaimed};
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
    /// What this driver writes into its claim.
    pub holder: Holder,
    /// Whether it waits while another driver is alive, as [`stand_by`](crate::stand_by) does.
    pub stands_by: bool,
    /// Of a job that begins, instead of randomness.
    pub job_id: String,
}

/// How the start of a driver has ended.
pub enum Started {
    /// With an epoch.
    Begun(Box<Epoch>),
    /// It stood by, and the journal says how the job has ended meanwhile.
    Over(Outcome),
}

/// An epoch that has begun, of a driver that does not listen yet.
pub struct Epoch {
    begun: BegunJob,
    renewals: Renewals,
    run_blocking: RunBlocking,
    clock: SimulatedClock,
}

/// Claims the results folder of `config`, and begins an epoch.
///
/// # Errors
///
/// When the job cannot begin.
pub async fn start(config: Config, surroundings: Surroundings) -> Result<Started, StartError> {
    let Surroundings { store, disk, claims, run_blocking, block_on, holder, stands_by, job_id } =
        surroundings;
    let listing = config.inputs.list(None).map_err(start::unusable_input)?;
    let inputs = listing.inputs.into_iter().map(|input| (input, Format::default())).collect();
    let plan = plan(inputs, config.map_tasks);
    let clock = SimulatedClock { block_on };
    let renewals = Renewals::begin(&run_blocking, &clock);
    let begin = {
        let (store, config, plan, clock) =
            (Arc::clone(&store), config.clone(), plan.clone(), clock.clone());
        let renewed = Arc::clone(&renewals.renewed);
        move || {
            let (files, store) = (&*config.files, &*store);
            let log = FileLog::on(disk, files);
            let folder = Unclaimed { files, claims, store, log, clock: &clock };
            let mut patient = |_: &_| ControlFlow::Continue(());
            let on_conflict = if stands_by { OnConflict::StandBy } else { OnConflict::Refuse };
            let ask = Ask { waiting: &mut patient, is_wanted: &mut |_| Ok(()) };
            let taking = Taking { holder, on_conflict, ask };
            let opened = taking.open(folder, &config, |hold| Ok(Kept::new(hold, &renewed)))?;
            if stands_by && let Some(outcome) = opened.ended_meanwhile(&config, &plan) {
                return Ok(Err(outcome));
            }
            let hold = opened.claimed.borrow();
            let begin = Begin { config: &config, plan: &plan, files, hold };
            let begun = begin.begin(Box::new(opened.log), opened.recorded, store, || Ok(job_id))?;
            Ok(Ok((begun, opened.claimed.into_hold())))
        }
    };
    let began: Result<_, StartError> = run_to_end(&run_blocking, begin).await;
    let (Beginning { session, journal, recovered }, hold) = match began? {
        Ok(begun) => begun,
        Err(outcome) => return Ok(Started::Over(outcome)),
    };
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let begun = BegunJob {
        ids: ids(&session.0),
        shutdown: Shutdown::new(Vec::new(), config.worker_wait, Duration::ZERO),
        spec: start::spec(&config, plan, config.files.clone(), session),
        limits: config.limits.clone(),
        store,
        journal,
        drop_intermediates: config.drop_intermediates,
        hold,
        recovered,
        events,
        inbox,
    };
    Ok(Started::Begun(Box::new(Epoch { begun, renewals, run_blocking, clock })))
}

impl Epoch {
    /// Higher than that of every driver before.
    pub fn number(&self) -> u64 {
        self.begun.hold.epoch()
    }

    /// Runs the job to its end, with workers that connect through `connections`.
    ///
    /// # Errors
    ///
    /// When the job fails, or another driver has taken over.
    pub async fn run<IO>(
        self,
        connections: mpsc::Receiver<IO>,
        snapshots: watch::Sender<Snapshot>,
    ) -> Result<Summary, JobError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { begun, renewals, run_blocking, clock } = self;
        let hold = Arc::clone(&begun.hold);
        let keeping = {
            let hold = Arc::clone(&hold);
            claim::keep(move || std::future::ready(hold.is_lost()))
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
            let errands = PolledErrands { errands: Arc::new(Mutex::new(errands)), clock };
            let committing = tokio::spawn(run_blocking(Box::new(move || committer.run(errands))));
            Ok(async { committing.await.expect("the committer does not panic") })
        };
        let ended = begun.run(serve, commit, keeping, snapshots, std::future::pending()).await;
        renewals.end().await;
        // Not when it is dropped: a crashed driver releases nothing.
        run_to_end(&run_blocking, move || hold.release()).await;
        ended
    }
}

/// Renews a claim, in place of the thread of a real driver.
struct Renewals {
    renewed: Renewed,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The claim that is renewed, if the driver holds one.
type Renewed = Arc<Mutex<Option<Arc<Hold>>>>;

impl Renewals {
    fn begin(run_blocking: &RunBlocking, clock: &SimulatedClock) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let renewed = Renewed::default();
        let (run_blocking, clock) = (Arc::clone(run_blocking), clock.clone());
        let current = Arc::clone(&renewed);
        let task = tokio::spawn(async move {
            while tokio::time::timeout(RENEW_EVERY, &mut stopped).await.is_err() {
                let hold = lock(&current).clone();
                if let Some(hold) = hold {
                    let clock = clock.clone();
                    // What is lost is kept in `hold`.
                    let _ = run_to_end(&run_blocking, move || hold.renew(&clock)).await;
                }
            }
        });
        Self { renewed, stop, task }
    }

    /// Ready when no renewal is in progress.
    async fn end(self) {
        drop(self.stop);
        self.task.await.expect("renewals do not panic");
    }
}

/// A claim that is renewed, and released when this value is dropped.
struct Kept {
    hold: Option<Arc<Hold>>,
    renewed: Renewed,
}

impl Kept {
    fn new(hold: Hold, renewed: &Renewed) -> Self {
        let hold = Some(Arc::new(hold));
        lock(renewed).clone_from(&hold);
        Self { hold, renewed: Arc::clone(renewed) }
    }

    /// The claim, which is still renewed, but no longer released.
    fn into_hold(mut self) -> Arc<Hold> {
        self.hold.take().expect("it is taken here alone")
    }
}

impl Borrow<Hold> for Kept {
    fn borrow(&self) -> &Hold {
        self.hold.as_ref().expect("it is taken with this value alone")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        *lock(&self.renewed) = None;
        // A thread of a crashed driver unwinds, and releases nothing.
        if !std::thread::panicking() {
            hold.release();
        }
    }
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
    lock(errands).try_recv()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
