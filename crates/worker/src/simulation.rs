//! A worker that does not run on a machine: what a simulation of one puts in the place of store,
//! network, threads and chance.
//!
//! Everything else is what runs in a real process: the conversation, heartbeats, patience,
//! attempts. Input files are real.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::Client;
use store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

pub use crate::budget::FLOOR_BYTES;
use crate::config::{Config, WorkerError};
use crate::desk::Order;
use crate::machine::{Elsewhere, Machine};
use crate::worker;

/// Fills a buffer with bytes that look random.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What a worker runs on.
pub struct Surroundings<Connect> {
    /// Keeps the objects, whatever the folder is called.
    pub store: Arc<dyn Store>,
    /// Makes a connection to an address.
    pub connect: Connect,
    /// Does what takes time, text work included, instead of threads.
    pub elsewhere: Elsewhere,
    /// Instead of the operating system's.
    pub random: Random,
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
    let Surroundings { store, connect, elsewhere, random } = surroundings;
    // What they do ends when the worker does, as in a process.
    let text_threads = Arc::new(Mutex::new(JoinSet::new()));
    let machine = Machine {
        connect: Box::new(move |config| {
            Client::connected_by(&config.driver, &config.credentials, connect.clone())
        }),
        elsewhere: Arc::clone(&elsewhere),
        open_store: Arc::new(move |_, _| Ok(Arc::clone(&store))),
        random: Arc::new(move |bytes| {
            random(bytes);
            Ok(())
        }),
        text_thread: {
            let text_threads = Arc::downgrade(&text_threads);
            Arc::new(move |orders| {
                if let Some(threads) = text_threads.upgrade() {
                    let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
                    threads.spawn(execute_all(Arc::clone(&elsewhere), orders));
                }
                Ok(())
            })
        },
    };
    let ended = worker::drive(config, machine).await;
    drop(text_threads);
    ended
}

/// As a text thread, without being one.
async fn execute_all(elsewhere: Elsewhere, orders: Receiver<Order>) {
    loop {
        match orders.try_recv() {
            Ok(order) => elsewhere(Box::new(|| order.execute())).await,
            Err(TryRecvError::Empty) => tokio::time::sleep(LOOK_EVERY).await,
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// How often a text thread looks for an order: a channel to a thread does not wake a task.
const LOOK_EVERY: Duration = Duration::from_millis(10);
