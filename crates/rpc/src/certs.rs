//! Makes and reads the certificates by which driver, workers and viewers know each other.
//!
//! An *authority* is a key that signs certificates, and its own certificate, which all of them
//! trust and nobody else has to. What a certificate says its bearer is, [`role_of`] reads out of
//! it: a URI among its alternative names, `urn:mapmill:worker:w7`, because common names have no
//! rules, and a host's name says where something runs and not what it may do. The usages say it
//! again, for whoever knows nothing of Mapmill: a driver's certificate is good for a server alone,
//! all others are good for a client alone.
//!
//! Keys are ECDSA over P-256: the libraries of gRPC in other languages take no Ed25519.
//!
//! Deliberately absent: files (`mapmill certs` writes them), the clock (callers say what time it
//! is), and lists of what was revoked: certificates are short-lived, and an authority is soon made.

#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod make;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use crate::peer::Role;
pub use make::{Authority, AuthorityError, MakeError, Pair};
pub use read::{Certificate, KeyError, ReadError, RoleError, Usage, role_of};

/// Our certificate, in a credentials folder or an authority's.
pub const CERTIFICATE_FILE: &str = "cert.pem";

/// The private key of our certificate, in the same folder.
pub const KEY_FILE: &str = "key.pem";

/// The certificate of the authority, in a credentials folder.
pub const AUTHORITY_FILE: &str = "ca.pem";

/// What the URI that names a role begins with.
const URN: &str = "urn:mapmill:";

/// For whom a certificate is made.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the bearer may do.
    pub role: Role,
    /// What the bearer is called.
    pub name: Name,
    /// Names and addresses by which others connect to the bearer, if they do.
    pub hosts: Vec<Host>,
}

/// What somebody with a certificate is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name(String);

impl Name {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(is_plain) {
            return Err(NameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")]
pub struct NameError;

/// Where a driver is found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name that resolves to one.
    Name(String),
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(is_inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // What ends in a number is an address with a slip in it.
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > 253 || is_number || !text.split('.').all(is_label) {
            return Err(HostError);
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The text names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the name or the address of a host, without a port")]
pub struct HostError;
