//! The connections of a host, which can be cut all at once.
//!
//! A runtime that is dropped drops its tasks in an order that depends on how many tasks there ever
//! were in the process, and each of them closes its connection properly: the same seed would not
//! give the same packets. So before a host crashes it cuts its connections itself, in the order in
//! which they were made, or drops them silently, as a machine without power does.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use turmoil::net::TcpStream;

use crate::freezer::Freezer;

/// How a host crashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Crash {
    /// Its process is killed, and the system closes every connection.
    Closing,
    /// Its machine loses power, and its peers receive nothing.
    Silent,
}

/// The connections of a host, from its start to its crash.
#[derive(Clone, Debug)]
pub struct Connections {
    crash: watch::Sender<Option<Crash>>,
    made: Arc<Mutex<Vec<Weak<Inner>>>>,
    machine: Freezer,
}

type Inner = Mutex<Option<TcpStream>>;

/// One connection. Shared with [`Connections`], which can cut it.
#[derive(Debug)]
pub struct Connection {
    inner: Arc<Inner>,
    machine: Freezer,
}

impl Default for Connections {
    fn default() -> Self {
        Self::of(Freezer::default())
    }
}

impl Connections {
    /// Of a host on a machine that can be frozen.
    pub fn of(machine: Freezer) -> Self {
        Self { crash: watch::Sender::new(None), made: Arc::default(), machine }
    }

    /// The host will crash before its next step is over.
    pub fn request(&self, crash: Crash) {
        self.crash.send_replace(Some(crash));
    }

    /// Runs `process` until the host is to crash; then cuts all connections and stays pending.
    pub async fn run_until_crash<T>(&self, process: impl Future<Output = T>) -> T {
        let mut crash = self.crash.subscribe();
        // Cancel safe: `process` is meant to be cut off.
        let crash = tokio::select! {
            biased;
            crash = crash.wait_for(Option::is_some) => *crash.expect("its sender is `self`"),
            result = process => return result,
        };
        for stream in self.take_all() {
            if crash == Some(Crash::Silent) {
                std::mem::forget(stream);
            }
        }
        std::future::pending().await
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.take_all().for_each(drop);
    }

    /// In the order in which they were made.
    fn take_all(&self) -> impl Iterator<Item = TcpStream> {
        let made = std::mem::take(&mut *lock(&self.made));
        made.into_iter().filter_map(|made| lock(&*made.upgrade()?).take())
    }

    /// Makes a connection that can be cut.
    pub fn track(&self, stream: TcpStream) -> Connection {
        let is_crashing = self.crash.borrow().is_some();
        let inner = Arc::new(Mutex::new((!is_crashing).then_some(stream)));
        let mut made = lock(&self.made);
        made.retain(|connection| connection.strong_count() > 0);
        made.push(Arc::downgrade(&inner));
        Connection { inner, machine: self.machine.clone() }
    }

    pub async fn connect(&self, address: String) -> io::Result<Connection> {
        if self.crash.borrow().is_some() {
            std::future::pending::<()>().await;
        }
        Ok(self.track(TcpStream::connect(address).await?))
    }
}

impl Connection {
    fn with<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.machine.poll_thawed(context).is_pending() {
            return Poll::Pending;
        }
        match lock(&self.inner).as_mut() {
            Some(stream) => poll(Pin::new(stream), context),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, TcpStream::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, TcpStream::poll_shutdown)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
