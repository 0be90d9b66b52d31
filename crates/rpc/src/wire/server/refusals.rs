//! The driver's log of what it refuses, which must not fill a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// Why a connection or a call is refused. One that comes often leaves room for the others.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cause {
    Certificate,
    Crowd,
    Handshake,
    Path,
    Role,
    Silence,
    Strangers,
    Token,
}

/// What was refused lately, and how much of it was logged.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Cause, Lately>>);

#[derive(Debug)]
struct Lately {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Refusals {
    /// Logs that `peer` was refused, unless the same was logged too often in this second.
    pub(super) fn log(&self, cause: Cause, peer: Option<SocketAddr>, what: fmt::Arguments<'_>) {
        if let Some(left_out) = self.count(cause) {
            let peer = peer.map(tracing::field::display);
            let left_out = (left_out > 0).then_some(left_out);
            tracing::warn!(peer, left_out, "refused {what}");
        }
    }

    /// Whether to log it; and if so, how many were not since the last.
    fn count(&self, cause: Cause) -> Option<u64> {
        let now = Instant::now();
        // Nothing can panic while it is held.
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = lately.entry(cause).or_insert(Lately { since: now, logged: 0, left_out: 0 });
        if now - lately.since >= Duration::from_secs(1) {
            (lately.since, lately.logged) = (now, 0);
        }
        if lately.logged == limits::REFUSALS_LOGGED_MAX {
            lately.left_out += 1;
            return None;
        }
        lately.logged += 1;
        Some(std::mem::take(&mut lately.left_out))
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        let lately = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (cause, Lately { left_out, .. }) in lately.iter().filter(|(_, it)| it.left_out > 0) {
            tracing::warn!(?cause, left_out, "refused more than was logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_when_there_are_too_many_to_log() {
        let refusals = Refusals::default();
        let logged = |count| (0..count).filter(|_| refusals.count(Cause::Token).is_some()).count();

        assert_eq!(logged(5_000), 3);
        // Another cause is not drowned by it.
        assert_eq!(refusals.count(Cause::Role), Some(0));
        tokio::time::advance(Duration::from_secs(1)).await;

        assert_eq!(refusals.count(Cause::Token), Some(4_997));
        assert_eq!(refusals.count(Cause::Token), Some(0));
        assert_eq!(logged(10), 1);
    }
}
