//! Speaks: the messages between a driver and its workers, and nothing about what they do.
//!
//! The wire format is `proto/mapmill/v1/mapmill.proto`. Generated types stay inside [`wire`]:
//! all other code sees the plain types of [`message`], so that a field can be renamed on either
//! side alone. The two ends are [`Client`], which makes one call at a time and says whether a retry
//! can help, and [`serve`], which turns calls into calls of a [`Driver`].
//!
//! Each presents its [`Credentials`] to the other, as far as it has some: a certificate ([`Tls`]),
//! a [`Token`]. What a caller may do follows from its [`Identity`], and is decided in one place, in
//! front of all services, before a call is read.
//!
//! Deliberately absent: retries (the worker knows how long to wait), and any decision.

mod ability;
mod addresses;
mod auth;
pub mod certs;
mod credentials;
mod denial;
pub mod limits;
mod log_limit;
pub mod message;
mod other_server;
mod peer;
#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
mod secrecy;
pub mod text;
mod tls;
mod wire;

pub use ability::Ability;
pub use addresses::Addresses;
pub use auth::{Token, TokenError};
pub use credentials::{Credentials, is_loopback};
pub use denial::Denial;
pub use log_limit::{LogLimit, Suppressed};
pub use other_server::OtherServer;
pub use peer::{Identity, Peer, Refusal, Role};
pub use secrecy::too_open;
pub use tls::{Tls, TlsError, TlsFiles};
pub use wire::client::{AddressError, CallError, Client};
#[cfg(fuzzing)]
pub use wire::fuzz;
pub use wire::server::{Driver, ServeError, serve, serve_on};

/// The version of the protocol that this build speaks. Driver and worker must agree on it exactly.
pub const PROTOCOL: u32 = 1;

/// Program and version, as exchanged in `Register` and shown to people.
pub const BUILD: &str = concat!("mapmill ", env!("CARGO_PKG_VERSION"));
