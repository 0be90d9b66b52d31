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
    /// A connection was idle and too many others have connected since.
    Evicted,
    Handshake,
    /// By the rule that is broken, of which there are not many.
    Malformed(Malformed),
    Path,
    Role,
    /// A handshake, or the first admitted call of a connection, took too long.
    Timeout,
    Token,
    /// More connections than a driver accepts.
    TooMany,
}

/// What was refused since the start, and how much of it was logged.
#[derive(Debug)]
pub(super) struct Refusals {
    began: Instant,
    log_limits: Mutex<BTreeMap<Cause, LogLimit>>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), log_limits: Mutex::default() }
    }

    /// Logs that `peer` was refused, unless the same was logged too often in this second.
    pub(super) fn log(&self, cause: Cause, peer: Option<SocketAddr>, what: fmt::Arguments<'_>) {
        if let Some(suppressed) = self.say(cause) {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(peer, "refused {what}{suppressed}");
        }
    }

    /// Logs that an idle connection was evicted.
    pub(super) fn log_eviction(&self, peer: Option<SocketAddr>) {
        let most = limits::IDLE_CONNECTIONS_MAX;
        let what = format_args!("a connection without a call: {most} others came after it");
        self.log(Cause::Evicted, peer, what);
    }

    fn say(&self, cause: Cause) -> Option<Suppressed> {
        // Nothing can panic while it is held.
        let mut log_limits = self.log_limits.lock().unwrap_or_else(PoisonError::into_inner);
        log_limits.entry(cause).or_default().say(self.began.elapsed())
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        let log_limits = self.log_limits.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (cause, log_limit) in
            log_limits.iter().filter(|(_, log_limit)| log_limit.suppressed() > 0)
        {
            tracing::warn!(?cause, "refused {} times more than was logged", log_limit.suppressed());
        }
    }
}
