//! A driver that does not run on a machine: what a simulation of one puts in the place of disk,
//! network, threads and chance.
//!
//! Everything else is what runs in a real process: the loop, the scheduler, the journal, recovery,
//! the committer, the calls. Left out are the checks of [`prepare`](crate::prepare) that look at a
//! real folder, and the lock.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use journal::FileLog;
pub use journal::{Disk, DiskFile};
use store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admission::IdSource;
use crate::committer::{Committer, Errand};
use crate::driver::Shutdown;
use crate::job::{BegunJob, Closing, EVENTS_MAX, JobError};
use crate::plan::plan;
use crate::start::{self, Beginning, Config, StartError};
use crate::status::{Snapshot, Summary};

/// Work that may wait for a disk.
pub type Work = Box<dyn FnOnce() + Send>;

/// Has work done, wherever; ready when it is.
pub type Elsewhere = Arc<dyn Fn(Work) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What a driver runs on.
pub struct Surroundings {
    /// Keeps the objects.
    pub store: Arc<dyn Store>,
    /// Keeps the journal.
    pub disk: Arc<dyn Disk>,
    /// Does what takes time, instead of threads.
    pub elsewhere: Elsewhere,
    /// Of a job that begins, instead of randomness.
    pub job_id: String,
}

/// Why a life of a driver came to no good end.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// While the job ran.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Before it ran.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// One life of a driver, with workers that connect through `connections`.
///
/// # Errors
///
/// When the job cannot begin, or fails.
pub async fn run<IO>(
    config: Config,
    surroundings: Surroundings,
    connections: mpsc::Receiver<IO>,
    snapshots: watch::Sender<Snapshot>,
) -> Result<Summary, LifeError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Surroundings { store, disk, elsewhere, job_id } = surroundings;
    let inputs = store::list_inputs(&config.inputs).map_err(start::unusable_input)?;
    let plan = plan(inputs, config.map_tasks);
    let begin = {
        let (store, config, plan) = (Arc::clone(&store), config.clone(), plan.clone());
        let log = Box::new(FileLog::on(disk, &config.files));
        move || start::begin(log, &*store, &config, &plan, &config.files, || Ok(job_id))
    };
    let Beginning { session, journal, recovered } = done(&elsewhere, begin).await?;
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
        recovered,
        events,
        inbox,
    };
    let serve = |service, ended: Closing| async {
        let last_answers = async {
            ended.await;
            tokio::time::sleep(FAREWELL).await;
        };
        // Cancel safe: calls that are still open are not answered any more.
        tokio::select! {
            biased;
            () = last_answers => Ok(()),
            served = rpc::serve_on(connections, service, rpc::Credentials::default()) => served,
        }
    };
    let commit = |committer, orders| {
        let committing = tokio::spawn(carry_out(elsewhere, committer, orders));
        Ok(async { committing.await.expect("the committer does not panic") })
    };
    Ok(begun.run(serve, commit, snapshots, std::future::pending()).await?)
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

/// As [`Committer::run`], without a thread.
async fn carry_out(elsewhere: Elsewhere, mut committer: Committer, mut errands: Receiver<Errand>) {
    committer = done(&elsewhere, move || {
        committer.arrive();
        committer
    })
    .await;
    loop {
        match errands.try_recv() {
            Ok(errand) => {
                (committer, errands) = done(&elsewhere, move || {
                    committer.work_off_waiting(errand, &errands);
                    (committer, errands)
                })
                .await;
            }
            Err(TryRecvError::Empty) => tokio::time::sleep(LOOK_EVERY).await,
            Err(TryRecvError::Disconnected) => {
                return done(&elsewhere, move || committer.leave()).await;
            }
        }
    }
}

async fn done<T: Send + 'static>(
    elsewhere: &Elsewhere,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, result) = oneshot::channel();
    elsewhere(Box::new(move || {
        // Nobody waits if the driver was crashed meanwhile.
        let _ = sender.send(work());
    }))
    .await;
    result.await.expect("work that was done has sent what it made")
}

/// How long calls are answered after the end.
const FAREWELL: Duration = Duration::from_millis(100);

/// How often the committer looks for errands: a channel to a thread does not wake a task.
const LOOK_EVERY: Duration = Duration::from_millis(10);
