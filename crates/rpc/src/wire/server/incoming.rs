//! Takes connections from the network, and makes of each what calls can be made on.
//!
//! Our own rather than tonic's, which takes no new certificate while it runs, sets no limit on
//! how many there are, and tells nobody why a handshake failed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
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

/// How a driver receives those who connect.
pub(super) struct Reception {
    pub(super) tls: Option<Tls>,
    /// Whether callers may come without certificate, as they may have a token.
    pub(super) is_open: bool,
    pub(super) refusals: Arc<Refusals>,
}

/// Where there is room for how many.
struct Room {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// What a connection takes up.
struct Places {
    among_all: OwnedSemaphorePermit,
    among_strangers: OwnedSemaphorePermit,
}

/// Accepts connections until nobody wants them any more.
pub(super) async fn accept(
    listener: TcpListener,
    reception: Reception,
    ready: mpsc::Sender<io::Result<Accepted>>,
) {
    let reception = Arc::new(reception);
    let room = Room {
        all: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
        strangers: Arc::new(Semaphore::new(limits::STRANGERS_MAX)),
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
                // Nobody wants it when the driver ends.
                let _ = ready.send(Ok(accepted)).await;
            }
        });
    }
}

/// The next connection. Pauses after one that could not be accepted: when there are no file handles
/// left the next one cannot either, and asking at once again and again is all that a processor
/// would do.
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
    fn take(&self, address: SocketAddr, refusals: &Refusals) -> Option<Places> {
        let Ok(among_all) = Arc::clone(&self.all).try_acquire_owned() else {
            let most = limits::CONNECTIONS_MAX;
            let what = format_args!("a connection: there are {most}, and no more are taken");
            refusals.log(Cause::Crowd, Some(address), what);
            return None;
        };
        let Ok(among_strangers) = Arc::clone(&self.strangers).try_acquire_owned() else {
            let most = limits::STRANGERS_MAX;
            let what = format_args!("a connection: {most} others have not made their first call");
            refusals.log(Cause::Strangers, Some(address), what);
            return None;
        };
        Some(Places { among_all, among_strangers })
    }
}

impl Reception {
    /// Finds out who it is. `None`: it does not want to say, or is not wanted.
    async fn receive(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        places: Places,
        ready: &mpsc::Sender<io::Result<Accepted>>,
    ) -> Option<Accepted> {
        // Without it a small answer waits for more. The connection is as good as dead if it fails.
        stream.set_nodelay(true).ok()?;
        let (socket, certified) = match &self.tls {
            None => (Socket::Plain(stream), None),
            Some(tls) => {
                let stream = self.encrypt(tls, stream, address).await?;
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certified = certificate.map(|der| role_of(der));
                (Socket::Encrypted(Box::new(stream.into())), certified)
            }
        };
        let connection = Connection::new(address, certified, places.among_strangers);
        let ready = ready.clone();
        // When nobody takes connections any more the driver has ended.
        let ended = async move { ready.closed().await };
        let refusals = Arc::clone(&self.refusals);
        Some(Accepted::new(socket, connection, refusals, places.among_all, ended))
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

/// Lets the other end hear why it was refused.
async fn linger(mut stream: TcpStream) {
    let listening = async {
        if stream.shutdown().await.is_ok() {
            let mut unread = [0; 1 << 10];
            while stream.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    // It had its time.
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
