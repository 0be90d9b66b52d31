//! The deadline queue: which worker has the soonest deadline.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::id::WorkerId;
use crate::time::Time;

/// Deadlines in the order in which they pass, those of the same moment in the order of workers.
/// Each is set to whatever time it needs: none depends on when another was set, or how far ahead.
///
/// The latest is the first of the set. A tree searches its nodes from the front, and most deadlines
/// are set to a later time than all others: in the other order a heartbeat takes twice the
/// instructions.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Deadlines(BTreeSet<Reverse<(Time, WorkerId)>>);

impl Deadlines {
    /// The soonest deadline.
    pub(crate) fn first(&self) -> Option<(Time, WorkerId)> {
        self.0.last().map(|&Reverse(first)| first)
    }

    pub(crate) fn insert(&mut self, time: Time, worker: WorkerId) {
        assert!(self.0.insert(Reverse((time, worker))), "{worker} has two deadlines at {time}");
    }

    pub(crate) fn remove(&mut self, time: Time, worker: WorkerId) {
        // A worker that sends heartbeats as often as the others has the soonest deadline by its
        // next one, which needs no search.
        let removed = if self.first() == Some((time, worker)) {
            self.0.pop_last().is_some()
        } else {
            self.0.remove(&Reverse((time, worker)))
        };
        assert!(removed, "{worker} has no deadline at {time}");
    }
}

impl FromIterator<(Time, WorkerId)> for Deadlines {
    fn from_iter<I: IntoIterator<Item = (Time, WorkerId)>>(deadlines: I) -> Self {
        Self(deadlines.into_iter().map(Reverse).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_pass_in_the_order_of_their_times_however_they_were_set() {
        let mut deadlines = Deadlines::default();
        for (time, worker) in [(30, 1), (10, 2), (20, 3), (20, 1), (5, 4)] {
            deadlines.insert(at(time), WorkerId(worker));
        }
        deadlines.remove(at(5), WorkerId(4));
        deadlines.remove(at(30), WorkerId(1));
        deadlines.insert(at(15), WorkerId(4));
        let mut passed = Vec::new();
        while let Some((time, worker)) = deadlines.first() {
            passed.push((time.0.as_secs(), worker.0));
            deadlines.remove(time, worker);
        }
        assert_eq!(passed, [(10, 2), (15, 4), (20, 1), (20, 3)]);
    }

    fn at(seconds: u64) -> Time {
        Time(Duration::from_secs(seconds))
    }
}
