//! Progress of the live attempts, as their last heartbeats reported it.
//!
//! For display, and to say when an attempt last made progress. No value is checked, and none has to
//! be: an attempt's numbers leave the sums with it.

use std::collections::BTreeMap;

use rpc::message::Running;
use scheduler::{AttemptId, Phase, TaskId, Time};

/// # Invariants
///
/// * `map` and `reduce` are the sums over `last`: of two attempts at a task, the one that has read
///   more.
#[derive(Debug, Default)]
pub(crate) struct LiveProgress {
    /// The last heartbeat of each live attempt.
    last: BTreeMap<AttemptId, Heartbeat>,
    map: LiveSum,
    reduce: LiveSum,
}

/// What the live attempts of a phase have done, in total. Sums wrap around, so that an absurd
/// number that was added can be subtracted again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LiveSum {
    pub(crate) bytes: u64,
    pub(crate) words: u64,
}

#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    running: Running,
    /// When its progress last grew.
    advanced: Option<Time>,
}

impl LiveProgress {
    pub(crate) fn sum(&self, phase: Phase) -> LiveSum {
        match phase {
            Phase::Map => self.map,
            Phase::Reduce => self.reduce,
        }
    }

    /// A heartbeat of a live attempt.
    pub(crate) fn note(&mut self, now: Time, attempt: AttemptId, running: Running) {
        let before = self.last.get(&attempt).copied();
        let advanced = match before {
            Some(before) if running.progress <= before.running.progress => before.advanced,
            None if running.progress == 0 => None,
            Some(_) | None => Some(now),
        };
        self.replace(attempt, Some(Heartbeat { running, advanced }));
    }

    /// When a live attempt was last seen to make progress, if it ever was.
    pub(crate) fn advanced(&self, attempt: AttemptId) -> Option<Time> {
        self.last.get(&attempt)?.advanced
    }

    /// `attempt` is not live any more. Returns how many bytes it had read, if it ever reported
    /// that.
    pub(crate) fn remove(&mut self, attempt: AttemptId) -> Option<u64> {
        let last = self.replace(attempt, None)?;
        Some(last.running.bytes)
    }

    /// Returns the heartbeat before.
    fn replace(&mut self, attempt: AttemptId, heartbeat: Option<Heartbeat>) -> Option<Heartbeat> {
        let before = self.furthest(attempt.task);
        let last = match heartbeat {
            Some(heartbeat) => self.last.insert(attempt, heartbeat),
            None => self.last.remove(&attempt),
        };
        let after = self.furthest(attempt.task);
        let sum = match attempt.task.phase {
            Phase::Map => &mut self.map,
            Phase::Reduce => &mut self.reduce,
        };
        sum.bytes = sum.bytes.wrapping_sub(before.bytes).wrapping_add(after.bytes);
        sum.words = sum.words.wrapping_sub(before.words).wrapping_add(after.words);
        last
    }

    /// Of the live attempts at `task`, the one that has read most.
    fn furthest(&self, task: TaskId) -> LiveSum {
        let all = AttemptId { task, number: 0 }..=AttemptId { task, number: u32::MAX };
        let furthest = self.last.range(all).map(|(_, heartbeat)| heartbeat.running);
        let furthest = furthest.max_by_key(|running| running.bytes);
        furthest.map_or(LiveSum::default(), |Running { bytes, words, .. }| LiveSum { bytes, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;

    #[test]
    fn of_two_attempts_at_a_task_the_one_that_has_read_more_counts() {
        let mut progress = LiveProgress::default();
        let attempt = |index, number| AttemptId { task: TaskId::map(index), number };
        let running = |attempt: AttemptId, bytes| Running {
            attempt: ids::wire_attempt(attempt),
            progress: bytes,
            bytes,
            words: bytes / 10,
        };
        let (first, backup, other) = (attempt(0, 0), attempt(0, 1), attempt(1, 0));
        for (attempt, bytes, sum) in
            [(other, 1000, 1000), (first, 50, 1050), (backup, 20, 1050), (backup, 70, 1070)]
        {
            progress.note(Time::default(), attempt, running(attempt, bytes));
            let expected = LiveSum { bytes: sum, words: sum / 10 };
            assert_eq!(progress.sum(Phase::Map), expected, "{attempt}");
        }
        for (attempt, bytes) in [(backup, 1050), (first, 1000), (first, 1000), (other, 0)] {
            progress.remove(attempt);
            let expected = LiveSum { bytes, words: bytes / 10 };
            assert_eq!(progress.sum(Phase::Map), expected, "{attempt}");
        }
    }
}
