//! The driver's log of refusals, rate-limited so that it does not fill a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits;
use crate::log_limit::{LogLimit, Suppressed};
use crate::wire::Malformed;

/// Why a connection or a call is refused. Each kind has a rate limit of its own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cause {
    Certificate,
    Crowd,
    Handshake,
    /// By the rule that is broken, of which there are not many.
    Malformed(Malformed),
    Path,
    Role,
    Silence,
    Strangers,
    Token,
}

/// What was refused since the start, and how much of it was logged.
#[derive(Debug)]
pub(super) struct Refusals {
    began: Instant,
    hushes: Mutex<BTreeMap<Cause, LogLimit>>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), hushes: Mutex::default() }
    }

    /// Logs that `peer` was refused, unless the same was logged too often in this second.
    pub(super) fn log(&self, cause: Cause, peer: Option<SocketAddr>, what: fmt::Arguments<'_>) {
        if let Some(suppressed) = self.say(cause) {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(peer, "refused {what}{suppressed}");
        }
    }

    /// Logs that an idle connection was evicted.
    pub(super) fn crowded_out(&self, peer: Option<SocketAddr>) {
        let most = limits::STRANGERS_MAX;
        let what = format_args!("a connection without a call: {most} others came after it");
        self.log(Cause::Strangers, peer, what);
    }

    fn say(&self, cause: Cause) -> Option<Suppressed> {
        // Nothing can panic while it is held.
        let mut hushes = self.hushes.lock().unwrap_or_else(PoisonError::into_inner);
        hushes.entry(cause).or_default().say(self.began.elapsed())
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        let hushes = self.hushes.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (cause, log_limit) in hushes.iter().filter(|(_, log_limit)| log_limit.suppressed() > 0)
        {
            tracing::warn!(?cause, "refused {} times more than was logged", log_limit.suppressed());
        }
    }
}
