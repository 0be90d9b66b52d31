//! The caller's identity, as far as it is proven, and why a call is refused.

use std::fmt;
use std::net::SocketAddr;

/// What a certificate lets its holder do in a job.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Assigns the tasks.
    Driver,
    /// Reads the job's status, and does nothing else.
    Viewer,
    /// Asks for tasks, and reports their outcomes.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Viewer => "viewer",
            Self::Worker => "worker",
        })
    }
}

/// What a caller has proven.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Identity {
    /// Nothing: this driver requires no credentials.
    Anyone,
    /// That it has the token.
    Bearer,
    /// That it has a certificate of our authority.
    Certified {
        /// The role that the certificate grants.
        role: Role,
        /// The name in the certificate.
        name: String,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Bearer => f.write_str("a bearer of the token"),
            Self::Certified { role, name } => write!(f, "the {role} {name}"),
        }
    }
}

/// The other end of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// What it has proven.
    pub identity: Identity,
    /// Its address, if connections have addresses.
    pub address: Option<SocketAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)?;
        self.address.map_or(Ok(()), |address| write!(f, " at {address}"))
    }
}

/// Why a call is not answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A limit is reached. The caller may try again later.
    Busy {
        /// For the caller.
        reason: String,
    },
    /// The caller is not permitted to do that. Trying again does not help.
    Denied {
        /// For the caller; it discloses nothing that the caller may not know.
        reason: String,
    },
    /// The driver has ended and no longer answers. The caller is told that it is unavailable.
    Gone,
}
