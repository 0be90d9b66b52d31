//! Why a driver and its caller cannot work together as they are configured.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::peer::Role;

/// Trying again does not help: the credentials of one side, or the address, have to change.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denial {
    /// The driver's certificate does not name the host that was called.
    #[error("the driver's certificate is for {names}, not for {host}")]
    DriverHost {
        /// The hosts that it names.
        names: String,
        /// The host that was called.
        host: String,
    },
    /// The certificate of the other end is not a driver's.
    #[error("the server there shows the certificate of the {role} {name}, not a driver's")]
    DriverRole {
        /// The role that it grants.
        role: Role,
        /// The name in it.
        name: String,
    },
    /// The server speaks no TLS, and this side does.
    #[error("the server there does not speak TLS, and this side does")]
    DriverWithoutTls,
    /// The driver finds our certificate expired, or not yet valid.
    #[error(
        "the driver says that {} has expired or is not yet valid; it is valid from {from} until \
         {until}, and here it is {now}",
        path.display()
    )]
    OwnTime {
        /// Of the certificate.
        path: PathBuf,
        /// Its first second.
        from: String,
        /// Its last second.
        until: String,
        /// What the clock here says.
        now: String,
    },
    /// The driver does not accept our certificate from a caller.
    #[error("the driver says that {} is not a certificate for callers", path.display())]
    OwnUsage {
        /// Of the certificate.
        path: PathBuf,
    },
    /// The driver refused the call.
    #[error("{message}")]
    Refused {
        /// Its message.
        message: String,
    },
    /// TLS between the two failed otherwise.
    #[error("{message}")]
    Tls {
        /// What is wrong.
        message: String,
    },
    /// This side speaks no TLS, and the server does.
    #[error("the server there requires TLS")]
    TlsRequired,
    /// The token would be sent unencrypted to another machine.
    #[error("the token would go to {address} unencrypted, for anyone on the way to read")]
    TokenExposed {
        /// The driver's address.
        address: SocketAddr,
    },
}
