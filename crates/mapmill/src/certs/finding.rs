//! What is wrong with a certificate, or with the key or the authority beside it.
//!
//! This module is below the messages, which print a finding, and the commands, which make it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rpc::certs::{AUTHORITY_FILE, CERTIFICATE_FILE, KeyError, ReadError, RoleError};

use crate::numbers::{plural, unix_seconds, utc};

/// A problem, present or near.
#[derive(Debug)]
pub(crate) enum Finding {
    BadKey { path: PathBuf, source: KeyError },
    Expired { path: PathBuf, at: SystemTime },
    ExpiresSoon { path: PathBuf, left: Duration },
    KeyOpen { path: PathBuf, mode: u32 },
    Missing { path: PathBuf },
    NoRole { path: PathBuf, source: RoleError },
    NotYet { path: PathBuf, from: SystemTime },
    OtherAuthority { path: PathBuf },
    OtherKey { path: PathBuf },
    Unreadable { path: PathBuf, source: ReadError },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::BadKey { path, .. }
        | Self::Expired { path, .. }
        | Self::ExpiresSoon { path, .. }
        | Self::KeyOpen { path, .. }
        | Self::Missing { path }
        | Self::NoRole { path, .. }
        | Self::NotYet { path, .. }
        | Self::OtherAuthority { path }
        | Self::OtherKey { path }
        | Self::Unreadable { path, .. }) = self;
        let path = path.display();
        match self {
            Self::BadKey { source, .. } => write!(f, "cannot use {path}: {source}"),
            Self::Unreadable { source, .. } => write!(f, "cannot use {path}: {source}"),
            Self::Expired { at, .. } => {
                write!(f, "{path} expired on {}", utc(unix_seconds(*at)))
            }
            Self::ExpiresSoon { left, .. } => {
                let days = plural(left.as_secs() / 86_400, "day", "days");
                write!(f, "{path} expires in {days}")
            }
            Self::KeyOpen { mode, .. } => write!(
                f,
                "{path} can be read by other users (mode {mode:04o}); if none has read it: chmod \
                 600 {path} (640 if root owns it)"
            ),
            Self::Missing { .. } => write!(f, "{path} is missing"),
            Self::NoRole { source, .. } => write!(f, "{path} grants no role: {source}"),
            Self::NotYet { from, .. } => {
                let from = utc(unix_seconds(*from));
                write!(f, "{path} is not valid before {from}: are the clocks right?")
            }
            Self::OtherAuthority { .. } => {
                write!(
                    f,
                    "{path} was not issued by the authority in the {AUTHORITY_FILE} beside it"
                )
            }
            Self::OtherKey { .. } => {
                write!(f, "{path} does not belong to the {CERTIFICATE_FILE} beside it")
            }
        }
    }
}

/// The cause is in the text: what a library says below it means nothing to a user.
impl Error for Finding {}
