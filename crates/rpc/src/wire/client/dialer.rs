//! Opens a socket to one of the addresses at which a driver may be.
//!
//! Several names may be given, and a name may have several addresses. One of them has the driver;
//! the others are those of standbys, which do not listen yet, of machines that are off, or of a
//! driver that is frozen. The kernel accepts connections for a frozen process too, and so a
//! connector that takes the first address that accepts (as hyper's) never leaves it: a connection
//! over which no call was answered makes the next one begin with the address after it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tonic::codegen::http::uri::Authority;

use crate::limits;

/// A host and a port, as the user named them.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As the user wrote both.
    named: Arc<str>,
    /// A name or an IP address; for IPv6 without brackets.
    host: Arc<str>,
    port: u16,
}

impl Place {
    /// `None` if there is no port.
    pub(super) fn of(authority: &Authority) -> Option<Self> {
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        let named = authority.as_str().into();
        Some(Self { named, host: host.into(), port: authority.port_u16()? })
    }

    /// Its addresses, in the order of the system's resolver.
    async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        let resolving = lookup_host((&*self.host, self.port));
        match timeout(limits::RESOLVE_DEADLINE, resolving).await {
            Ok(resolved) => resolved.map(Iterator::collect),
            Err(_elapsed) => {
                Err(io::Error::other(format!("{} is not resolved in time", self.host)))
            }
        }
    }
}

/// A socket, and the host that its address belongs to.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) host: Arc<str>,
}

/// Opens sockets. Clones share what is known of the last one.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    places: Arc<[Place]>,
    last: Arc<Last>,
}

/// What is known of the last connection.
#[derive(Debug, Default)]
pub(super) struct Last(Mutex<Option<Connected>>);

#[derive(Debug)]
struct Connected {
    address: SocketAddr,
    /// Its `HOST:PORT`, as the user wrote it.
    named: Arc<str>,
    /// Whether a call was answered over it.
    has_answered: bool,
}

impl Last {
    /// A call was answered over it.
    pub(super) fn set_answered(&self) {
        if let Some(connected) = &mut *self.lock() {
            connected.has_answered = true;
        }
    }

    /// The `HOST:PORT` that was connected to last, as the user wrote it.
    pub(super) fn named(&self) -> Option<Arc<str>> {
        self.lock().as_ref().map(|connected| Arc::clone(&connected.named))
    }

    fn connected_to(&self, address: SocketAddr, named: Arc<str>) {
        *self.lock() = Some(Connected { address, named, has_answered: false });
    }

    /// Puts the address that is to be tried first at the front; the order stays, as of a ring.
    fn turn<T>(&self, addresses: &mut [(SocketAddr, T)]) {
        let last = self.lock();
        let Some(Connected { address: last, has_answered, .. }) = &*last else { return };
        let Some(index) = addresses.iter().position(|(address, _)| address == last) else {
            return;
        };
        let first = if *has_answered { index } else { index + 1 };
        addresses.rotate_left(first % addresses.len());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Connected>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialer {
    pub(super) fn new(places: Vec<Place>, last: Arc<Last>) -> Self {
        Self { places: places.into(), last }
    }

    /// The first address that accepts a connection; each is tried.
    ///
    /// # Errors
    ///
    /// Why the last one that was tried did not accept. It takes at most
    /// [`limits::RESOLVE_DEADLINE`] and [`limits::CONNECT_DEADLINE`].
    pub(super) async fn dial(&self) -> io::Result<Dialed> {
        let (mut addresses, mut refusal) = self.resolve().await;
        self.last.turn(&mut addresses);
        let share = share(addresses.len());
        for (address, Place { named, host, .. }) in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.last.connected_to(address, named);
                    // Without it a small call is delayed (Nagle).
                    stream.set_nodelay(true)?;
                    return Ok(Dialed { stream, host });
                }
                Ok(Err(error)) => refusal = Some(error),
                Err(_elapsed) => refusal = Some(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(refusal.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    /// The addresses of all places, in their order, and why one has none. The names are resolved
    /// at the same time: that one of them is unknown to a slow server does not hide the others.
    async fn resolve(&self) -> (Vec<(SocketAddr, Place)>, Option<io::Error>) {
        let resolving = self.places.iter().map(|place| tokio::spawn(place.clone().resolve()));
        // All begin before the first is waited for.
        let resolving: Vec<_> = resolving.collect();
        let (mut addresses, mut refusal) = (Vec::new(), None);
        for (place, resolved) in self.places.iter().zip(resolving) {
            match resolved.await.map_err(io::Error::other).flatten() {
                Ok(found) => addresses.extend(found.into_iter().map(|it| (it, place.clone()))),
                Err(error) => refusal = Some(error),
            }
        }
        (addresses, refusal)
    }
}

/// How long one of so many addresses may take to accept.
fn share(addresses: usize) -> Duration {
    limits::CONNECT_DEADLINE / u32::try_from(addresses).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_did_not_answer_comes_last_and_one_that_did_comes_first() {
        let last = Last::default();
        let connect = |port| last.connected_to(([127, 0, 0, 1], port).into(), "host:1".into());
        let check = |expected: [u16; 3]| {
            let mut addresses =
                [1, 2, 3].map(|port| (SocketAddr::from(([127, 0, 0, 1], port)), ()));
            last.turn(&mut addresses);
            assert_eq!(addresses.map(|(address, ())| address.port()), expected);
        };
        check([1, 2, 3]);
        connect(2);
        check([3, 1, 2]);
        last.set_answered();
        check([2, 3, 1]);
        connect(3);
        check([1, 2, 3]);
        // The name has other addresses now.
        connect(9);
        check([1, 2, 3]);
    }
}
