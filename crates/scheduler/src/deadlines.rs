//! Who must be heard from, and by when.
//!
//! # Invariants
//!
//! * `by_time` and `by_due` hold the same pairs: one deadline for each thing that has one.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{AttemptId, WorkerId};
use crate::time::Time;

/// What a deadline is for.
///
/// The order decides what happens first when both fall on the same moment: a worker that fell
/// silent takes its attempt along as lost, before anyone can call that attempt stuck.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Due {
    /// The worker must be heard from.
    Worker(WorkerId),
    /// The attempt must have made progress.
    Progress(AttemptId),
    /// An attempt may be so late by then that another should race it.
    Backup,
}

/// All deadlines of the job, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(Time, Due)>,
    by_due: BTreeMap<Due, Time>,
}

impl Deadlines {
    /// `due` has until `time`, whatever it had before.
    pub(crate) fn set(&mut self, due: Due, time: Time) {
        if let Some(before) = self.by_due.insert(due, time) {
            self.by_time.remove(&(before, due));
        }
        self.by_time.insert((time, due));
    }

    /// `due` has no deadline any more, if it had one.
    pub(crate) fn clear(&mut self, due: Due) {
        if let Some(before) = self.by_due.remove(&due) {
            self.by_time.remove(&(before, due));
        }
    }

    /// Take the soonest deadline that has come by `now`: at the moment itself, it has.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Time, Due)> {
        let (time, due) = self.by_time.first().copied().filter(|&(time, _)| time <= now)?;
        self.clear(due);
        Some((time, due))
    }

    /// The soonest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|&(time, _)| time)
    }

    /// Until when `due` has.
    pub(crate) fn of(&self, due: Due) -> Option<Time> {
        self.by_due.get(&due).copied()
    }

    /// Everything that has a deadline.
    pub(crate) fn all(&self) -> impl Iterator<Item = Due> {
        self.by_due.keys().copied()
    }

    /// Recompute one index from the other and compare.
    pub(crate) fn assert_consistent(&self) {
        let expected: BTreeSet<_> = self.by_due.iter().map(|(&due, &time)| (time, due)).collect();
        assert_eq!(self.by_time, expected, "deadlines by time and by what they are for differ");
    }
}
