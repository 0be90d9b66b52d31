//! Makes and reads the certificates by which driver, workers and viewers authenticate each other.
//!
//! An *authority* is a key that signs certificates, and its own certificate, which all of them
//! trust and nothing else has to. [`role_of`] reads the bearer's role: a URI among the alternative
//! names, `urn:mapmill:worker:w7`, because common names have no rules, and a host's name says where
//! a process runs and not what it may do. The extended key usages repeat it for software that does
//! not know Mapmill: a driver's certificate is valid for a server only, all others for a client
//! only.
//!
//! Keys are ECDSA over P-256: the libraries of gRPC in other languages take no Ed25519.
//!
//! Deliberately absent: files (`mapmill certs` writes them), the clock (callers pass the time), and
//! revocation lists: certificates are short-lived, and a new authority is quickly made.

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

/// The prefix of the URI that names a role.
const URN: &str = "urn:mapmill:";

/// The bearer that a certificate is made for.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the bearer may do.
    pub role: Role,
    /// The bearer's name.
    pub name: Name,
    /// Names and addresses at which callers reach the bearer, if any.
    pub hosts: Vec<Host>,
}

/// The name of a certificate's bearer.
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

/// The text is not a valid name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")]
pub struct NameError;

/// The address or name of a driver's host.
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
        // A last label of digits alone is a mistyped address.
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

/// The text is not a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the name or the address of a host, without a port")]
pub struct HostError;
