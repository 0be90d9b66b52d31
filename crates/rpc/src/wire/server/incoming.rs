//! Accepts connections from the network, and makes each ready for calls.
//!
//! Our own rather than tonic's, which loads no new certificate while it runs, sets no limit on the
//! number of connections, and does not report why a handshake failed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Accepted, Connection};
use super::refusals::{Cause, Refusals};
use crate::certs::role_of;
use crate::limits;
use crate::tls::{Tls, handshake};
use crate::wire::socket::Socket;

/// How a driver accepts connections.
pub(super) struct Reception {
    pub(super) tls: Option<Tls>,
    /// Whether callers may connect without a certificate, as they may have a token.
    pub(super) is_open: bool,
    pub(super) refusals: Arc<Refusals>,
}

/// Quotas of connections.
struct Room {
    all: Arc<Semaphore>,
    /// Of the latest connections, with an admitted call or without. Above the quota the oldest
    /// leaves the queue, and if it has had no admitted call it is evicted: a worker makes a call at
    /// once, and idle connections must not displace active ones.
    last: VecDeque<oneshot::Sender<Infallible>>,
}

/// The places that a connection takes up.
struct Places {
    among_all: OwnedSemaphorePermit,
    among_last: Stay,
}

/// Ready when too many others have connected since.
pub(super) type Stay = oneshot::Receiver<Infallible>;

/// Accepts connections until the server stops.
pub(super) async fn accept(
    listener: TcpListener,
    reception: Reception,
    ready: mpsc::Sender<io::Result<Accepted>>,
) {
    let reception = Arc::new(reception);
    let mut room = Room {
        all: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
        last: VecDeque::with_capacity(limits::STRANGERS_MAX + 1),
    };
    let mut handshakes = JoinSet::new();
    loop {
        // All branches are cancel safe: a lost race loses no connection.
        let (stream, address) = tokio::select! {
            () = ready.closed() => return,
            Some(_) = handshakes.join_next() => continue,
            accepted = next(|| listener.accept()) => accepted,
        };
        let Some(places) = room.take(address, &reception.refusals) else {
            continue;
        };
        let (reception, ready) = (Arc::clone(&reception), ready.clone());
        handshakes.spawn(async move {
            if let Some(accepted) = reception.receive(stream, address, places, &ready).await {
                // The receiver is gone when the driver ends.
                let _ = ready.send(Ok(accepted)).await;
            }
        });
    }
}

/// The next connection. Pauses after one that could not be accepted: without free file handles the
/// next one fails as well, and retrying at once would only burn a core.
async fn next<T, Accepting>(mut accept: impl FnMut() -> Accepting) -> T
where
    Accepting: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => tracing::debug!("cannot accept a connection: {error}"),
        }
        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
    }
}

impl Room {
    /// Places for one more, unless there are too many.
    fn take(&mut self, address: SocketAddr, refusals: &Refusals) -> Option<Places> {
        let Ok(among_all) = Arc::clone(&self.all).try_acquire_owned() else {
            let most = limits::CONNECTIONS_MAX;
            let what = format_args!("a connection: there are {most}, and no more are accepted");
            refusals.log(Cause::Crowd, Some(address), what);
            return None;
        };
        let (place, among_last) = oneshot::channel();
        self.last.push_back(place);
        if self.last.len() > limits::STRANGERS_MAX {
            self.last.pop_front();
        }
        Some(Places { among_all, among_last })
    }
}

impl Reception {
    /// Performs the handshake. `None`: it failed, or was refused.
    async fn receive(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        mut places: Places,
        ready: &mpsc::Sender<io::Result<Accepted>>,
    ) -> Option<Accepted> {
        // Without it a small answer is delayed (Nagle). The connection is dead if it fails.
        stream.set_nodelay(true).ok()?;
        let (socket, certified) = match &self.tls {
            None => (Socket::Plain(stream), None),
            Some(tls) => {
                // Cancel safe: what is cancelled is no longer needed.
                let stream = tokio::select! {
                    stream = self.encrypt(tls, stream, address) => stream?,
                    _ = &mut places.among_last => {
                        self.refusals.crowded_out(Some(address));
                        return None;
                    }
                };
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certified = certificate.map(|der| role_of(der));
                (Socket::Encrypted(Box::new(stream.into())), certified)
            }
        };
        let connection = Connection::new(address, certified);
        let ready = ready.clone();
        // When the receiver is gone the driver has ended.
        let ended = async move { ready.closed().await };
        let refusals = Arc::clone(&self.refusals);
        let Places { among_all, among_last } = places;
        Some(Accepted::new(socket, connection, refusals, among_all, among_last, ended))
    }

    async fn encrypt(
        &self,
        tls: &Tls,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            let loaded = tls.current().await;
            let config = if self.is_open { &loaded.server_for_all } else { &loaded.server };
            TlsAcceptor::from(Arc::clone(config)).accept(stream).into_fallible().await
        };
        match timeout(limits::HANDSHAKE_DEADLINE, handshake).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err((error, stream))) => {
                let why = handshake::refused_by_driver(&error);
                self.refuse(Cause::Handshake, address, &why);
                linger(stream).await;
            }
            Err(_elapsed) => {
                let seconds = limits::HANDSHAKE_DEADLINE.as_secs();
                self.refuse(Cause::Silence, address, &format!("it took longer than {seconds} s"));
            }
        }
        None
    }

    fn refuse(&self, cause: Cause, address: SocketAddr, why: &str) {
        self.refusals.log(cause, Some(address), format_args!("a handshake: {why}"));
    }
}

/// Lets the refusal reach the other end.
async fn linger(mut stream: TcpStream) {
    let listening = async {
        if stream.shutdown().await.is_ok() {
            let mut unread = [0; 1 << 10];
            while stream.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    // Its time is over.
    let _ = timeout(limits::LINGER, listening).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failing_to_accept_does_not_spin() {
        let began = tokio::time::Instant::now();
        let mut failures = 0..10;

        next(|| {
            let failed = failures.next().map_or(Ok(()), |_| Err(io::Error::from_raw_os_error(24)));
            std::future::ready(failed)
        })
        .await;

        assert_eq!(began.elapsed(), 10 * limits::ACCEPT_PAUSE);
    }
}
