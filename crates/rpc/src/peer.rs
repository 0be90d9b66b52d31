//! Who is calling, as far as it has shown that, and what it may be told instead of an answer.

use std::fmt;
use std::net::SocketAddr;

/// What somebody is in a job.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Hands out the tasks.
    Driver,
    /// Looks at how the job stands, and does nothing.
    Viewer,
    /// Asks for tasks, and reports what became of them.
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

/// Who a caller has shown to be.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Identity {
    /// Nobody in particular: this driver asks for nothing.
    Anyone,
    /// Somebody who has the token.
    Bearer,
    /// Somebody with a certificate of our authority.
    Certified {
        /// What the authority says that it is.
        role: Role,
        /// And what it is called.
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
    /// Who it is.
    pub identity: Identity,
    /// Where it calls from, if connections have addresses.
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
    /// Not now. The caller is told that the driver has run out of something, and may try again.
    Busy {
        /// A sentence for the caller.
        reason: String,
    },
    /// The caller may not do that. Trying again does not help.
    Denied {
        /// A sentence for the caller; nothing in it that it does not know or may not know.
        reason: String,
    },
    /// The driver has ended and answers no more. The caller is told that it is unavailable.
    Gone,
}
