//! Connections to a driver over the network, and why one could not be made, as far as it is known.
//!
//! Our own rather than tonic's: with TLS 1.3 the alert of a driver that refuses our certificate
//! arrives when the handshake seems done, and hyper reports it as a broken connection.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use super::CallError;
use super::dialer::{Dialed, Dialer, Last, Place};
use crate::certs::role_of;
use crate::credentials::{Credentials, is_loopback};
use crate::denial::Denial;
use crate::limits;
use crate::other_server::OtherServer;
use crate::peer::Role;
use crate::tls::{Loaded, Tls};
use crate::wire::socket::Socket;

/// What is known of the connections to the driver. Shared by the client and its connections.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Why the last attempt to connect failed, if it is known.
    denial: Mutex<Option<Denial>>,
    /// What seems to be at the other end of the last connection instead of a driver.
    other: Mutex<Option<OtherServer>>,
    has_answered: AtomicBool,
    last: Arc<Last>,
}

impl Link {
    /// The driver has answered a call.
    pub(super) fn set_answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.last.set_answered();
    }

    /// The `HOST:PORT` that was connected to last, if any was.
    pub(super) fn connected_to(&self) -> Option<Arc<str>> {
        self.last.named()
    }

    /// Whether the driver has answered a call.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// A driver that has answered may be silent later: its network fails, or it is paused.
    pub(super) fn other_server(&self) -> Option<OtherServer> {
        let other = *self.other.lock().unwrap_or_else(PoisonError::into_inner);
        let sends_nothing = [OtherServer::Closing, OtherServer::Silent];
        other.filter(|other| !sends_nothing.contains(other) || !self.has_answered())
    }

    fn set_other(&self, other: Option<OtherServer>) {
        *self.other.lock().unwrap_or_else(PoisonError::into_inner) = other;
    }

    /// Why a call has no answer, as far as it is known. Waiting is pointless for a driver that has
    /// never answered and cannot with these credentials. One that has answered may do so again: new
    /// certificates do not reach all sides at once.
    pub(super) fn explain(&self, error: CallError) -> CallError {
        match self.denial().clone() {
            None => self.other_server().map_or(error, CallError::OtherServer),
            Some(denial) if self.has_answered() => {
                CallError::Unreachable { message: denial.to_string() }
            }
            Some(denial) => CallError::Denied(denial),
        }
    }

    /// Inspects the first bytes from the server, and leaves them unread.
    fn inspect(&self, stream: &TcpStream, context: &mut Context<'_>) {
        let mut bytes = [0; 8];
        let mut bytes = ReadBuf::new(&mut bytes);
        if let Poll::Ready(Ok(_)) = stream.poll_peek(context, &mut bytes)
            && self.is_silent()
        {
            let other = match bytes.filled() {
                [] => Some(OtherServer::Closing),
                bytes => OtherServer::of_first_bytes(bytes),
            };
            self.set_other(other);
        }
    }

    /// Whether the server has sent nothing over the last connection.
    fn is_silent(&self) -> bool {
        *self.other.lock().unwrap_or_else(PoisonError::into_inner) == Some(OtherServer::Silent)
    }

    fn set(&self, denial: Option<Denial>) {
        *self.denial() = denial;
    }

    fn denial(&self) -> std::sync::MutexGuard<'_, Option<Denial>> {
        // Nothing can panic while it is held.
        self.denial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers why there is no connection.
    fn fail(&self, denial: Denial) -> io::Error {
        let error = io::Error::other(denial.clone());
        self.set(Some(denial));
        error
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes a connection whenever there is none.
#[derive(Clone)]
pub(super) struct Network {
    dialer: Dialer,
    credentials: Credentials,
    link: Arc<Link>,
}

impl Network {
    pub(super) fn new(places: Vec<Place>, credentials: Credentials, link: Arc<Link>) -> Self {
        let dialer = Dialer::new(places, Arc::clone(&link.last));
        Self { dialer, credentials, link }
    }

    async fn connect(self) -> Result<Watched, BoxError> {
        self.link.set(None);
        self.link.set_other(None);
        let Dialed { stream, host } = self.dialer.dial().await?;
        self.link.set_other(Some(OtherServer::Silent));
        let link = Arc::clone(&self.link);
        let Some(tls) = &self.credentials.tls else {
            self.check_token(&stream)?;
            return Ok(Watched { socket: Socket::Plain(stream), link, first: Some(First::Plain) });
        };
        let own = tls.current().await;
        let socket = self.encrypt(tls, &own, stream, &host).await?;
        // What it has sent was the handshake alone.
        self.link.set_other(Some(OtherServer::Silent));
        let first = First::Encrypted { tls: tls.clone(), own, host };
        Ok(Watched { socket, link, first: Some(first) })
    }

    async fn encrypt(
        &self,
        tls: &Tls,
        own: &Loaded,
        stream: TcpStream,
        host: &str,
    ) -> Result<Socket, BoxError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| self.link.fail(Denial::tls(format!("{host:?} names no host"))))?;
        let mut connecting = TlsConnector::from(Arc::clone(&own.client)).connect(name, stream);
        let handshake = poll_fn(|context| {
            // TLS consumes bytes that it cannot parse.
            if let Some(stream) = connecting.get_ref() {
                self.link.inspect(stream, context);
            }
            Pin::new(&mut connecting).poll(context)
        });
        let stream = timeout(limits::HANDSHAKE_DEADLINE, handshake)
            .await
            .map_err(|_elapsed| "the driver does not answer the handshake of TLS")?
            .map_err(|error| {
                if self.link.other_server().is_some() {
                    return error;
                }
                match Denial::of_handshake(&error, host, tls.files(), own) {
                    Some(denial) => self.link.fail(denial),
                    None => error,
                }
            })?;
        // Name and authority are verified; that the certificate is a driver's is not.
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        match certificate.map(|der| role_of(der)) {
            Some(Ok((Role::Driver, _))) => Ok(Socket::Encrypted(Box::new(stream.into()))),
            Some(Ok((role, name))) => Err(self.link.fail(Denial::DriverRole { role, name }).into()),
            Some(Err(error)) => {
                let message = format!("the server there is no driver of Mapmill: {error}");
                Err(self.link.fail(Denial::tls(message)).into())
            }
            None => Err("the server there shows no certificate".into()),
        }
    }

    /// A token sent unencrypted can be read and used by anyone on the way.
    fn check_token(&self, stream: &TcpStream) -> Result<(), BoxError> {
        let address = stream.peer_addr()?;
        let is_shown = self.credentials.token.is_some();
        if !is_shown || self.credentials.send_token_unencrypted || is_loopback(address.ip()) {
            return Ok(());
        }
        Err(self.link.fail(Denial::TokenExposed { address }).into())
    }
}

impl Service<Uri> for Network {
    type Response = TokioIo<Watched>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// The address in `uri` is the first of those that the dialer knows.
    fn call(&mut self, _uri: Uri) -> Self::Future {
        let network = self.clone();
        Box::pin(async { Ok(TokioIo::new(network.connect().await?)) })
    }
}

/// A connection whose first bytes are inspected.
pub(super) struct Watched {
    socket: Socket,
    link: Arc<Link>,
    first: Option<First>,
}

/// What the first bytes from the driver can show.
enum First {
    /// That it refuses our certificate.
    Encrypted { tls: Tls, own: Arc<Loaded>, host: Arc<str> },
    /// That it uses TLS.
    Plain,
}

impl First {
    fn denial(&self, read: &io::Result<()>, bytes: &[u8]) -> Option<Denial> {
        match (self, read) {
            (Self::Encrypted { tls, own, host }, Err(error)) => {
                Denial::of_handshake(error, host, tls.files(), own)
            }
            // The first frame of HTTP/2 is never so long.
            (Self::Plain, Ok(())) if bytes.first() == Some(&TLS_ALERT) => Some(Denial::TlsRequired),
            (Self::Encrypted { .. } | Self::Plain, _) => None,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if let Poll::Ready(_) = &read
            && self.first.is_some()
            && self.link.is_silent()
        {
            let bytes = &buffer.filled()[before..];
            let other = match bytes {
                [] => Some(OtherServer::Closing),
                bytes => OtherServer::of_first_bytes(bytes),
            };
            self.link.set_other(other);
        }
        if let Poll::Ready(read) = &read
            && let Some(first) = self.first.take()
            && let Some(denial) = first.denial(read, &buffer.filled()[before..])
        {
            return Poll::Ready(Err(self.link.fail(denial)));
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// The first byte of a TLS record that refuses what was sent.
const TLS_ALERT: u8 = 0x15;
