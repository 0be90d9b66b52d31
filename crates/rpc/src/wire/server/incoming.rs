//! Accepts connections from the network, and makes each ready for calls.
//!
//! Our own rather than tonic's, which loads no new certificate while it runs, sets no limit on the
//! number of connections, and does not report why a handshake failed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Accepted, Connection, Evict, Eviction};
use super::refusals::{Cause, Refusals};
use crate::certs::role_of;
use crate::limits;
use crate::tls::{Tls, handshake};
use crate::wire::socket::Socket;

/// How a driver accepts connections.
pub(super) struct Acceptor {
    pub(super) tls: Option<Tls>,
    /// Whether callers may connect without a certificate, as they may have a token.
    pub(super) is_certificate_optional: bool,
    pub(super) refusals: Arc<Refusals>,
}

/// The quotas of connections: of all, and of idle ones.
struct Quota {
    all: Arc<Semaphore>,
    /// One entry for each of the latest connections, with an admitted call or without. Above
    /// [`limits::IDLE_CONNECTIONS_MAX`] the oldest leaves the queue, and if it has had no admitted
    /// call it is evicted: a worker makes a call at once, and idle connections must not displace
    /// active ones.
    latest: VecDeque<Evict>,
}

/// One connection's place in the quota.
struct Place {
    permit: OwnedSemaphorePermit,
    eviction: Eviction,
}

/// Accepts connections until the server stops.
pub(super) async fn accept(
    listeners: Vec<TcpListener>,
    acceptor: Acceptor,
    ready: mpsc::Sender<io::Result<Accepted>>,
) {
    let listeners = Listeners::new(listeners);
    let acceptor = Arc::new(acceptor);
    let mut quota = Quota {
        all: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
        latest: VecDeque::with_capacity(limits::IDLE_CONNECTIONS_MAX + 1),
    };
    let mut handshakes = JoinSet::new();
    loop {
        // All branches are cancel safe: a lost race loses no connection.
        let (stream, address) = tokio::select! {
            () = ready.closed() => return,
            Some(_) = handshakes.join_next() => continue,
            accepted = next(|| listeners.accept()) => accepted,
        };
        let Some(place) = quota.take(address, &acceptor.refusals) else {
            continue;
        };
        let (acceptor, ready) = (Arc::clone(&acceptor), ready.clone());
        handshakes.spawn(async move {
            if let Some(accepted) = acceptor.receive(stream, address, place, &ready).await {
                // The receiver is gone when the driver ends.
                let _ = ready.send(Ok(accepted)).await;
            }
        });
    }
}

/// The addresses of one driver.
struct Listeners {
    all: Vec<TcpListener>,
    /// Which one is asked first; a number that grows.
    turn: AtomicUsize,
}

impl Listeners {
    fn new(all: Vec<TcpListener>) -> Self {
        Self { all, turn: AtomicUsize::new(0) }
    }

    /// The next connection to any of them. One that always has connections does not keep the others
    /// waiting: after each connection the next listener is asked first. Cancel safe.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            let turn = self.turn.load(Ordering::Relaxed);
            for index in turn..turn.wrapping_add(self.all.len()) {
                if let Poll::Ready(it) = self.all[index % self.all.len()].poll_accept(context) {
                    self.turn.store(index + 1, Ordering::Relaxed);
                    return Poll::Ready(it);
                }
            }
            Poll::Pending
        })
        .await
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

impl Quota {
    /// A place for one more connection, unless there are too many.
    fn take(&mut self, address: SocketAddr, refusals: &Refusals) -> Option<Place> {
        let Ok(permit) = Arc::clone(&self.all).try_acquire_owned() else {
            let most = limits::CONNECTIONS_MAX;
            let what = format_args!("a connection: there are {most}, and no more are accepted");
            refusals.log(Cause::TooMany, Some(address), what);
            return None;
        };
        let (evict, eviction) = oneshot::channel();
        self.latest.push_back(evict);
        if self.latest.len() > limits::IDLE_CONNECTIONS_MAX {
            self.latest.pop_front();
        }
        Some(Place { permit, eviction })
    }
}

impl Acceptor {
    /// Performs the handshake. `None`: it failed, or was refused.
    async fn receive(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        mut place: Place,
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
                    _ = &mut place.eviction => {
                        self.refusals.log_eviction(Some(address));
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
        let Place { permit, eviction } = place;
        Some(Accepted::new(socket, connection, refusals, permit, eviction, ended))
    }

    async fn encrypt(
        &self,
        tls: &Tls,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            let loaded = tls.current().await;
            let config =
                if self.is_certificate_optional { &loaded.server_for_all } else { &loaded.server };
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
                self.refuse(Cause::Timeout, address, &format!("it took longer than {seconds} s"));
            }
        }
        None
    }

    fn refuse(&self, cause: Cause, address: SocketAddr, why: &str) {
        self.refusals.log(cause, Some(address), format_args!("a handshake: {why}"));
    }
}

/// Reads on for a while, so that the refusal reaches the peer.
async fn linger(mut stream: TcpStream) {
    let listening = async {
        if stream.shutdown().await.is_ok() {
            let mut unread = [0; 1 << 10];
            while stream.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    // The connection is closed either way.
    let _ = timeout(limits::LINGER, listening).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listener_with_many_connections_does_not_keep_the_others_waiting() {
        let all = [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.2:0").await];
        let all: Vec<_> = all.map(Result::unwrap).into();
        let [busy, other] = [0, 1].map(|index| all[index].local_addr().unwrap());
        let connect = |to| TcpStream::connect(to);
        let mut waiting = Vec::new();
        for to in [busy, busy, busy, other] {
            waiting.push(connect(to).await.unwrap());
        }

        let listeners = Listeners::new(all);
        let mut accepted = Vec::new();
        for _ in 0..waiting.len() {
            accepted.push(listeners.accept().await.unwrap().0.local_addr().unwrap());
        }

        assert_eq!(accepted, [busy, other, busy, busy]);
    }

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
