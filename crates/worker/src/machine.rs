//! What a worker asks of the machine it runs on, so that it can also run on one that is simulated.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread;

use rpc::message::Failure;
use rpc::{AddressError, Client};
use store::{Roots, Store};
use tokio::sync::oneshot;

use crate::attempt;
use crate::config::Config;
use crate::desk::Order;

/// Makes the client that calls the driver.
pub(crate) type Connect = Box<dyn Fn(&Config) -> Result<Client, AddressError> + Send>;

/// Fills a buffer with random bytes.
pub(crate) type Random = Arc<dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync>;

/// Opens the results folder, if it lies below the roots.
pub(crate) type OpenStore =
    Arc<dyn Fn(&Roots, &Path) -> Result<Arc<dyn Store>, Failure> + Send + Sync>;

/// Has work done that may wait for a disk; ready when it is done.
pub(crate) type Elsewhere =
    Arc<dyn Fn(Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Starts a text thread, which executes what comes until nothing more can.
pub(crate) type TextThread = Arc<dyn Fn(mpsc::Receiver<Order>) -> io::Result<()> + Send + Sync>;

/// Chance, network, disk and threads.
pub(crate) struct Machine {
    pub(crate) connect: Connect,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) open_store: OpenStore,
    pub(crate) random: Random,
    pub(crate) text_thread: TextThread,
}

impl Machine {
    /// The one that this process runs on.
    pub(crate) fn this() -> Self {
        Self {
            connect: Box::new(|config| Client::new(&config.driver, &config.credentials)),
            elsewhere: Arc::new(|work| Box::pin(on_a_thread(work))),
            open_store: Arc::new(attempt::open_store),
            random: random(),
            text_thread: Arc::new(start_text_thread),
        }
    }

    /// Does what may wait for a disk somewhere else: the heartbeats are here.
    pub(crate) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, result) = oneshot::channel();
        (self.elsewhere)(Box::new(move || {
            // Nobody waits if the registration has ended meanwhile.
            let _ = sender.send(work());
        }))
        .await;
        result.await.expect("work that was done has sent what it made")
    }
}

/// The operating system's.
pub(crate) fn random() -> Random {
    Arc::new(|bytes| getrandom::fill(bytes).map_err(io::Error::other))
}

fn start_text_thread(orders: mpsc::Receiver<Order>) -> io::Result<()> {
    let execute_all = move || orders.into_iter().for_each(Order::execute);
    thread::Builder::new().name("text".to_owned()).spawn(execute_all).map(drop)
}

async fn on_a_thread(work: Box<dyn FnOnce() + Send>) {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
}
