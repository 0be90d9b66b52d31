//! Binds the addresses at which a driver listens.
//!
//! All of a name: a worker on this machine that calls `localhost` may be given `127.0.0.1` or `::1`
//! by its resolver, and must find the driver at either.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::ControlFlow;

use rpc::is_loopback;

use super::{Listen, StartError};
use crate::claim::{LOOK_EVERY, Waiting};

/// Where a driver listens: at one address, or more.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<TcpListener>,
    /// One of each.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        f.write_str(&addresses.join(" and "))
    }
}

/// Binds every address of the host, all at one port.
pub(super) fn bind(listen: &Listen) -> Result<Bound, StartError> {
    let unresolved = |source| StartError::Resolve { address: listen.address.clone(), source };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in listen.address.to_socket_addrs().map_err(unresolved)? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // TLS alone is enough: it requires a certificate or the token of every caller.
    let is_protected = listen.credentials.tls.is_some() || listen.unprotected;
    let exposed = addresses.iter().find(|address| !is_loopback(address.ip()));
    if let Some(&address) = exposed.filter(|_| !is_protected) {
        return Err(StartError::NotLoopback { address });
    }
    let listeners = bind_all(&addresses, |address| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    let bound = listeners.map_err(|(address, source)| {
        let name = Some(listen.address.clone()).filter(|_| addresses.len() > 1);
        StartError::Bind { address, name, source }
    })?;
    if bound.is_empty() {
        return Err(unresolved(io::Error::new(ErrorKind::NotFound, "no address")));
    }
    let (addresses, listeners) = bound.into_iter().unzip();
    Ok(Bound { listeners, addresses })
}

/// As [`bind`], but waits as long as another process has the address.
pub(super) fn bind_when_free(
    listen: &Listen,
    waiting: &mut dyn FnMut(&Waiting) -> ControlFlow<()>,
) -> Result<Bound, StartError> {
    loop {
        match bind(listen) {
            Err(StartError::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {}
            bound => return bound,
        }
        if waiting(&Waiting::Address { address: listen.address.clone() }).is_break() {
            return Err(StartError::Stopped);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What was bound, at which address; or which address could not be, and why.
type BoundAll<T> = Result<Vec<(SocketAddr, T)>, (SocketAddr, io::Error)>;

/// Binds all `addresses`. Where the port is 0, the first gets one that is free there, and the
/// others the same.
fn bind_all<T>(
    addresses: &[SocketAddr],
    mut bind: impl FnMut(SocketAddr) -> io::Result<(SocketAddr, T)>,
) -> BoundAll<T> {
    let is_any_port = addresses.iter().all(|address| address.port() == 0);
    for _ in 1..PORTS_TRIED {
        match bind_once(addresses, &mut bind) {
            Err((_, error)) if is_any_port && error.kind() == ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    bind_once(addresses, &mut bind)
}

fn bind_once<T>(
    addresses: &[SocketAddr],
    bind: &mut impl FnMut(SocketAddr) -> io::Result<(SocketAddr, T)>,
) -> BoundAll<T> {
    let mut bound: Vec<(SocketAddr, T)> = Vec::new();
    let mut missing = None;
    for &address in addresses {
        let port = bound.first().map_or(address.port(), |(first, _)| first.port());
        let address = SocketAddr::new(address.ip(), port);
        match bind(address) {
            Ok(one) => bound.push(one),
            Err(error) if is_loopback(address.ip()) && is_missing(&error) => {
                missing.get_or_insert((address, error));
            }
            Err(error) => return Err((address, error)),
        }
    }
    match missing {
        Some(missing) if bound.is_empty() => Err(missing),
        Some(_) | None => Ok(bound),
    }
}

/// Whether this machine lacks the address, or all of its kind. It may have no IPv6, and a hosts
/// file that gives `localhost` the address `::1` all the same; no worker can call it there.
fn is_missing(error: &io::Error) -> bool {
    let is_unknown_kind = error.raw_os_error() == Some(EAFNOSUPPORT);
    is_unknown_kind || error.kind() == ErrorKind::AddrNotAvailable
}

/// The system knows no addresses of this kind. Linux, on all CPUs; Rust has no name for it.
const EAFNOSUPPORT: i32 = 97;

/// How many ports are tried before another program is to blame, and not chance.
const PORTS_TRIED: u32 = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_addresses_of_a_name_are_bound_at_one_free_port() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"].map(address);
        let bound = bind_all(&addresses, |address| {
            let listener = TcpListener::bind(address)?;
            Ok((listener.local_addr()?, listener))
        })
        .unwrap();

        let ports: BTreeSet<u16> = bound.iter().map(|(address, _)| address.port()).collect();
        assert_eq!((bound.len(), ports.len()), (3, 1), "{bound:?}");
        for (address, _) in &bound {
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn port_that_is_taken_at_the_second_address_is_not_used_at_the_first() {
        let mut free = 4000;
        let bound = bind_all(&["127.0.0.1:0", "[::1]:0"].map(address), |mut address| {
            if address.port() == 0 {
                free += 1;
                address.set_port(free);
            }
            match (address.is_ipv6(), address.port()) {
                (true, ..4003) => Err(ErrorKind::AddrInUse.into()),
                (true | false, _) => Ok((address, ())),
            }
        });
        let expected = ["127.0.0.1:4003", "[::1]:4003"].map(|text| (address(text), ()));
        assert_eq!(bound.unwrap(), expected);
    }

    #[test]
    fn port_that_the_user_chose_is_not_replaced() {
        let both = ["127.0.0.1:5", "[::1]:5"].map(address);
        let bound = bind_all(&both, |address| match address.is_ipv6() {
            true => Err(ErrorKind::AddrInUse.into()),
            false => Ok((address, ())),
        });
        let (refused, error) = bound.unwrap_err();
        assert_eq!((refused, error.kind()), (both[1], ErrorKind::AddrInUse));
    }

    #[test]
    fn loopback_address_of_a_kind_that_the_machine_lacks_is_left_out() {
        for lacking in
            [io::Error::from_raw_os_error(EAFNOSUPPORT), ErrorKind::AddrNotAvailable.into()]
        {
            let both = ["[::1]:5", "127.0.0.1:5"].map(address);
            let mut lacking = Some(lacking);
            let bound = bind_all(&both, |address| match address.is_ipv6() {
                true => Err(lacking.take().expect("it is tried once")),
                false => Ok((address, ())),
            });
            assert_eq!(bound.unwrap(), [(both[1], ())]);
        }
    }

    #[test]
    fn address_of_another_machine_is_an_error() {
        let both = ["127.0.0.1:5", "192.0.2.1:5"].map(address);
        let bound = bind_all(&both, |address| match is_loopback(address.ip()) {
            true => Ok((address, ())),
            false => Err(ErrorKind::AddrNotAvailable.into()),
        });
        assert_eq!(bound.unwrap_err().0, both[1]);
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
