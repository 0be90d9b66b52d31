//! The credentials that one side of a connection presents, and those that it requires.

use std::net::IpAddr;

use crate::auth::Token;
use crate::tls::Tls;

/// What a driver requires of its callers, or a worker presents to its driver. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The secret that is sent with every call.
    pub token: Option<Token>,
    /// Certificate, key and authority: connections are encrypted, and both ends authenticated.
    pub tls: Option<Tls>,
    /// The token may be sent to another machine unencrypted. For callers alone.
    pub send_token_unencrypted: bool,
}

impl From<Option<Token>> for Credentials {
    fn from(token: Option<Token>) -> Self {
        Self { token, ..Self::default() }
    }
}

/// Whether `ip` is reached from this machine alone, so that nothing has to be encrypted.
pub fn is_loopback(ip: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is `127.0.0.1`.
    ip.to_canonical().is_loopback()
}
