//! One connection at the driver: the peer at its other end, and how long it may stay idle before
//! its first admitted call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use super::incoming::Stay;
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
    is_known: AtomicBool,
}

impl Connection {
    pub(super) fn new(
        address: SocketAddr,
        certified: Option<Result<(Role, String), RoleError>>,
    ) -> Self {
        let address = Some(address);
        Self(Arc::new(About { address, certified, is_known: AtomicBool::new(false) }))
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    pub(super) fn certified(&self) -> Option<&Result<(Role, String), RoleError>> {
        self.0.certified.as_ref()
    }

    /// A call on it was admitted.
    pub(super) fn set_known(&self) {
        self.0.is_known.store(true, Ordering::Relaxed);
    }

    fn is_known(&self) -> bool {
        self.0.is_known.load(Ordering::Relaxed)
    }
}

/// A connection that was accepted. It breaks when no admitted call arrives in time, and when the
/// first bytes are of another protocol: hyper itself waits for ever for them.
pub(super) struct Accepted {
    socket: Socket,
    connection: Connection,
    /// Until a call was admitted.
    patience: Option<Pin<Box<dyn Future<Output = Over> + Send>>>,
    has_spoken: bool,
    refusals: Arc<Refusals>,
    /// Its place among all connections.
    _place: OwnedSemaphorePermit,
}

/// What ends a connection that has never had an admitted call.
enum Over {
    /// Its place among the latest connections.
    Crowd,
    /// The driver itself.
    Driver,
    Time,
}

impl Accepted {
    /// A connection without an admitted call breaks when the driver has `ended`, or its `stay` is
    /// over.
    pub(super) fn new(
        socket: Socket,
        connection: Connection,
        refusals: Arc<Refusals>,
        place: OwnedSemaphorePermit,
        stay: Stay,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let patience = Box::pin(async {
            // Cancel safe: nothing else waits for any of them.
            tokio::select! {
                biased;
                () = ended => Over::Driver,
                _ = stay => Over::Crowd,
                () = tokio::time::sleep(limits::FIRST_CALL_DEADLINE) => Over::Time,
            }
        });
        Self {
            socket,
            connection,
            patience: Some(patience),
            has_spoken: false,
            refusals,
            _place: place,
        }
    }

    /// An error as soon as this connection has been without an admitted call for too long.
    fn check_patience(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(patience) = &mut self.patience else {
            return Ok(());
        };
        if self.connection.is_known() {
            self.patience = None;
            return Ok(());
        }
        match patience.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(over) => {
                self.patience = None;
                Err(self.end(&over))
            }
        }
    }

    fn end(&self, over: &Over) -> io::Error {
        match over {
            Over::Crowd => {
                self.refusals.crowded_out(self.connection.address());
                io::ErrorKind::ConnectionAborted.into()
            }
            Over::Driver => io::ErrorKind::ConnectionAborted.into(),
            Over::Time => {
                let seconds = limits::FIRST_CALL_DEADLINE.as_secs();
                let what =
                    format_args!("a connection without a call that may be made within {seconds} s");
                self.refusals.log(Cause::Silence, self.connection.address(), what);
                io::ErrorKind::TimedOut.into()
            }
        }
    }

    /// Whether these can be the first bytes of HTTP/2, which are the same for every caller.
    fn check_first(&self, first: u8) -> io::Result<()> {
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
        self.check_patience(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if !self.has_spoken
            && let Some(&first) = buffer.filled().get(before)
        {
            self.has_spoken = true;
            self.check_first(first)?;
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
        // Here too: a peer that never reads would be waited for without end.
        self.check_patience(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_patience(context)?;
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_patience(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_patience(context)?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// The first byte of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
