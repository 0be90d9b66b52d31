//! A worker on a simulated machine: replacements for the store, the network, the threads and random
//! numbers.
//!
//! The conversation, heartbeats, timeouts and attempts are those of a real process. Input files are
//! real.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::Client;
use store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::assignment::Assignment;
pub use crate::budget::FLOOR_BYTES;
use crate::config::{Config, WorkerError};
use crate::machine::{self, Machine, RunBlocking};
use crate::map::Buffers;
use crate::worker;

/// Fills a buffer with bytes that look random.
pub type FillRandom = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What a worker runs on.
pub struct Surroundings<Connect> {
    /// Keeps the objects, whatever the folder is called.
    pub store: Arc<dyn Store>,
    /// Makes a connection to an address.
    pub connect: Connect,
    /// Runs blocking work, text work included, in place of threads.
    pub run_blocking: RunBlocking,
    /// Replaces the random numbers of the operating system.
    pub random: FillRandom,
}

/// As [`run`](crate::run), on a machine that is simulated.
///
/// # Errors
///
/// As [`run`](crate::run).
pub async fn run<IO, Connect, Connecting>(
    config: Config,
    surroundings: Surroundings<Connect>,
) -> Result<(), WorkerError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    Connect: Fn(String) -> Connecting + Clone + Send + 'static,
    Connecting: Future<Output = io::Result<IO>> + Send + 'static,
{
    let Surroundings { store, connect, run_blocking, random } = surroundings;
    // Dropped when the worker ends, as the threads of a process end with it.
    let text_threads = Arc::new(Mutex::new(JoinSet::new()));
    let machine = Machine {
        connect: Box::new(move |config| {
            let driver = &config.driver.all()[0];
            Client::connected_by(driver, &config.credentials, connect.clone())
        }),
        has_ended: None,
        run_blocking: Arc::clone(&run_blocking),
        open_store: Arc::new(move |_, _| Ok(Arc::clone(&store))),
        random: Arc::new(move |bytes| {
            random(bytes);
            Ok(())
        }),
        start_text_thread: {
            let text_threads = Arc::downgrade(&text_threads);
            Arc::new(move |errands| {
                if let Some(threads) = text_threads.upgrade() {
                    let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
                    threads.spawn(execute_all(Arc::clone(&run_blocking), errands));
                }
                Ok(())
            })
        },
    };
    let ended = worker::drive(config, machine).await;
    drop(text_threads);
    ended
}

/// Executes assignments as a text thread does, in an asynchronous task.
async fn execute_all(run_blocking: RunBlocking, errands: Receiver<Assignment>) {
    let mut buffers = Buffers::default();
    loop {
        match errands.try_recv() {
            Ok(assignment) => {
                let execute = move || {
                    assignment.execute(&mut buffers);
                    buffers
                };
                buffers = machine::run_blocking(&run_blocking, execute).await;
            }
            Err(TryRecvError::Empty) => tokio::time::sleep(POLL_EVERY).await,
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// How often a text thread looks for an assignment: a channel to a thread does not wake a task.
const POLL_EVERY: Duration = Duration::from_millis(10);
