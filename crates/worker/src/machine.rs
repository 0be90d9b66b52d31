//! What a worker needs of the machine it runs on, so that it can also run on a simulated one.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread;

use rpc::message::Failure;
use rpc::{AddressError, Client};
use store::{Roots, Store};
use tokio::sync::oneshot;

use crate::assignment::Assignment;
use crate::config::Config;
use crate::failure::store_failure;
use crate::job_end::HasEnded;
use crate::map::Buffers;

/// Makes the client that calls the driver.
pub(crate) type Connect = Box<dyn Fn(&Config) -> Result<Client, AddressError> + Send>;

/// Fills a buffer with random bytes.
pub(crate) type Random = Arc<dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync>;

/// Opens the results folder, if it is below the roots.
pub(crate) type OpenStore =
    Arc<dyn Fn(&Roots, &Path) -> Result<Arc<dyn Store>, Failure> + Send + Sync>;

/// Runs work that may wait for a disk on another thread; ready when it is done.
pub(crate) type RunBlocking =
    Arc<dyn Fn(Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Starts a text thread, which executes assignments until their channel is closed.
pub(crate) type StartTextThread =
    Arc<dyn Fn(mpsc::Receiver<Assignment>) -> io::Result<()> + Send + Sync>;

/// Network, disk, random numbers and threads.
pub(crate) struct Machine {
    pub(crate) connect: Connect,
    /// `None` where there are no journals.
    pub(crate) has_ended: Option<HasEnded>,
    pub(crate) open_store: OpenStore,
    pub(crate) random: Random,
    pub(crate) run_blocking: RunBlocking,
    pub(crate) start_text_thread: StartTextThread,
}

impl Machine {
    /// The one that this process runs on.
    pub(crate) fn this(has_ended: HasEnded) -> Self {
        Self {
            connect: Box::new(|config| Client::to_any(&config.driver, &config.credentials)),
            has_ended: Some(has_ended),
            open_store: Arc::new(open_store),
            random: random(),
            run_blocking: Arc::new(|work| Box::pin(run_on_pool(work))),
            start_text_thread: Arc::new(start_text_thread),
        }
    }
}

/// Has `run` run work, and returns its result.
pub(crate) async fn run_blocking<T: Send + 'static>(
    run: &RunBlocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, result) = oneshot::channel();
    run(Box::new(move || {
        // The receiver is gone if the registration has ended meanwhile.
        let _ = sender.send(work());
    }))
    .await;
    result.await.expect("finished work has sent its result")
}

/// Opens the results folder, if it is below the roots.
pub(crate) fn open_store(roots: &Roots, files: &Path) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(roots.open_store(files).map_err(store_failure)?))
}

/// The operating system's random numbers.
pub(crate) fn random() -> Random {
    Arc::new(|bytes| getrandom::fill(bytes).map_err(io::Error::other))
}

fn start_text_thread(errands: mpsc::Receiver<Assignment>) -> io::Result<()> {
    let execute_all = move || {
        let mut buffers = Buffers::default();
        errands.into_iter().for_each(|assignment| assignment.execute(&mut buffers));
    };
    thread::Builder::new().name("text".to_owned()).spawn(execute_all).map(drop)
}

async fn run_on_pool(work: Box<dyn FnOnce() + Send>) {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
}
