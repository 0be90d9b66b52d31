//! What one side of a connection shows to the other, and wants to be shown.

use std::net::IpAddr;

use crate::auth::Token;
use crate::tls::Tls;

/// What a driver asks of its callers, or a worker shows to its driver. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The secret that goes with every call.
    pub token: Option<Token>,
    /// Certificate, key and authority: connections are encrypted, and both ends are known.
    pub tls: Option<Tls>,
    /// The token may be shown to another machine over a connection that anybody on the way can
    /// read. For callers; what a driver listens on is not decided here.
    pub insecure: bool,
}

impl From<Option<Token>> for Credentials {
    fn from(token: Option<Token>) -> Self {
        Self { token, ..Self::default() }
    }
}

/// Whether `ip` is reached from this machine alone, so that nothing need be shown in secret.
pub fn is_loopback(ip: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is `127.0.0.1`.
    ip.to_canonical().is_loopback()
}
