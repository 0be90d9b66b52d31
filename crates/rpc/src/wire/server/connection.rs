//! One connection at the driver: its peer, and how long it may stay idle before its first admitted
//! call.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tonic::transport::server::Connected;

use super::refusals::{Cause, Refusals};
use crate::certs::RoleError;
use crate::limits;
use crate::peer::Role;
use crate::wire::socket::Socket;

/// What every call on a connection knows about it. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection(Arc<About>);

#[derive(Debug, Default)]
struct About {
    address: Option<SocketAddr>,
    /// The identity in the certificate that was presented, if any was.
    certified: Option<Result<(Role, String), RoleError>>,
    has_admitted_call: AtomicBool,
}

impl Connection {
    pub(super) fn new(
        address: SocketAddr,
        certified: Option<Result<(Role, String), RoleError>>,
    ) -> Self {
        let address = Some(address);
        Self(Arc::new(About { address, certified, has_admitted_call: AtomicBool::new(false) }))
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    pub(super) fn certified(&self) -> Option<&Result<(Role, String), RoleError>> {
        self.0.certified.as_ref()
    }

    /// A call on it was admitted.
    pub(super) fn set_admitted(&self) {
        self.0.has_admitted_call.store(true, Ordering::Relaxed);
    }

    fn has_admitted_call(&self) -> bool {
        self.0.has_admitted_call.load(Ordering::Relaxed)
    }
}

/// A connection that was accepted. It ends when no call is admitted on it in time, and when its
/// first byte is of another protocol: hyper itself would wait for more without a limit.
pub(super) struct Accepted {
    socket: Socket,
    connection: Connection,
    /// What ends it before its first admitted call; `None` from then on.
    end: Option<Pin<Box<dyn Future<Output = End> + Send>>>,
    /// Whether its first byte was received.
    has_begun: bool,
    refusals: Arc<Refusals>,
    /// One of [`limits::CONNECTIONS_MAX`].
    _permit: OwnedSemaphorePermit,
}

/// Evicts a connection when it is dropped.
pub(super) type Evict = oneshot::Sender<Infallible>;

/// Ready when too many others have connected since. A connection without an admitted call is then
/// evicted.
pub(super) type Eviction = oneshot::Receiver<Infallible>;

/// Why a connection without an admitted call ends.
enum End {
    /// The driver has ended.
    Driver,
    Evicted,
    TimedOut,
}

impl Accepted {
    /// A connection that ends before its first admitted call when the driver has `ended`, on
    /// `eviction`, and after [`limits::FIRST_CALL_DEADLINE`].
    pub(super) fn new(
        socket: Socket,
        connection: Connection,
        refusals: Arc<Refusals>,
        permit: OwnedSemaphorePermit,
        eviction: Eviction,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let end = Box::pin(async {
            // Cancel safe: nothing else waits for any of them.
            tokio::select! {
                biased;
                () = ended => End::Driver,
                _ = eviction => End::Evicted,
                () = tokio::time::sleep(limits::FIRST_CALL_DEADLINE) => End::TimedOut,
            }
        });
        Self { socket, connection, end: Some(end), has_begun: false, refusals, _permit: permit }
    }

    /// An error as soon as this connection has to end.
    fn check_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(end) = &mut self.end else {
            return Ok(());
        };
        if self.connection.has_admitted_call() {
            self.end = None;
            return Ok(());
        }
        match end.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(end) => {
                self.end = None;
                Err(self.refusal(&end))
            }
        }
    }

    fn refusal(&self, end: &End) -> io::Error {
        match end {
            End::Driver => io::ErrorKind::ConnectionAborted.into(),
            End::Evicted => {
                self.refusals.log_eviction(self.connection.address());
                io::ErrorKind::ConnectionAborted.into()
            }
            End::TimedOut => {
                let seconds = limits::FIRST_CALL_DEADLINE.as_secs();
                let what =
                    format_args!("a connection without a call that may be made within {seconds} s");
                self.refusals.log(Cause::Timeout, self.connection.address(), what);
                io::ErrorKind::TimedOut.into()
            }
        }
    }

    /// Whether this can be the first byte of HTTP/2, which is the same for every caller.
    fn check_protocol(&self, first: u8) -> io::Result<()> {
        let what = if first == b'P' {
            return Ok(());
        } else if first == TLS_HANDSHAKE {
            "a connection with TLS, which this driver was not started with"
        } else {
            "a connection of another protocol than gRPC"
        };
        self.refusals.log(Cause::Handshake, self.connection.address(), format_args!("{what}"));
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

impl Connected for Accepted {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_end(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if !self.has_begun
            && let Some(&first) = buffer.filled().get(before)
        {
            self.has_begun = true;
            self.check_protocol(first)?;
        }
        read
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Here too: a write to a peer that never reads would wait without a limit.
        self.check_end(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_end(context)?;
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_end(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_end(context)?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// The first byte of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
