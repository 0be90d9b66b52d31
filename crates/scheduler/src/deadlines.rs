//! Who must be heard from, and by when.
//!
//! # Invariants
//!
//! * A worker with a deadline has a seat, of which `holders` and the two lines know more: `workers`
//!   until when it must be heard from, `attempts` until when its attempt must make progress. All
//!   other seats are in `free`.

use std::collections::BTreeMap;

use crate::id::{AttemptId, WorkerId};
use crate::line::Line;
use crate::time::Time;

/// What a deadline is for.
///
/// They happen in this order when they fall on the same moment: a worker that fell silent takes its
/// attempt along as lost, before anyone can call that attempt stuck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// The worker must be heard from.
    Worker(WorkerId),
    /// The attempt of this worker must have made progress.
    Progress(WorkerId, AttemptId),
    /// An attempt may be so late by then that another should race it.
    Backup,
}

/// All deadlines of the job. Of those of workers, and of those of attempts, none may be set to a
/// time before one that was set earlier.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// The number of each worker that has a deadline.
    seats: BTreeMap<WorkerId, u32>,
    /// By number, who sits there and which of its attempts has a deadline.
    holders: Vec<(WorkerId, Option<AttemptId>)>,
    free: Vec<u32>,
    workers: Line,
    attempts: Line,
    backup: Option<Time>,
}

impl Deadlines {
    /// `worker` has until `time`, whatever it had before.
    pub(crate) fn expect(&mut self, worker: WorkerId, time: Time) {
        if self.renew(worker, time) {
            return;
        }
        let seat = self.free.pop().unwrap_or_else(|| {
            self.holders.push((worker, None));
            u32::try_from(self.holders.len() - 1).expect("there are fewer than 2^32 workers")
        });
        self.holders[seat as usize] = (worker, None);
        self.seats.insert(worker, seat);
        self.workers.set(seat, time);
    }

    /// `worker` has until `time`, if it has a deadline at all; says whether it has.
    pub(crate) fn renew(&mut self, worker: WorkerId, time: Time) -> bool {
        let Some(&seat) = self.seats.get(&worker) else { return false };
        self.workers.set(seat, time);
        true
    }

    /// `worker` has no deadline any more, if it had one, and neither has its attempt.
    pub(crate) fn forget(&mut self, worker: WorkerId) {
        if let Some(seat) = self.seats.remove(&worker) {
            self.workers.clear(seat);
            self.attempts.clear(seat);
            self.free.push(seat);
        }
    }

    /// `attempt` of `worker`, which must have a deadline and no other attempt that has one, has
    /// until `time` to make progress.
    pub(crate) fn expect_progress(&mut self, worker: WorkerId, attempt: AttemptId, time: Time) {
        let seat = *self.seats.get(&worker).expect("who holds an attempt is alive");
        let held = self.holders[seat as usize].1.replace(attempt);
        assert!(held.is_none_or(|held| held == attempt), "{worker} holds {held:?} and {attempt}");
        self.attempts.set(seat, time);
    }

    /// `attempt` of `worker` has no deadline any more, if it had one.
    pub(crate) fn release(&mut self, worker: WorkerId, attempt: AttemptId) {
        if let Some(&seat) = self.seats.get(&worker)
            && self.holders[seat as usize].1 == Some(attempt)
        {
            self.holders[seat as usize].1 = None;
            self.attempts.clear(seat);
        }
    }

    /// When to look for attempts that are far behind; never, if `None`.
    pub(crate) fn set_backup(&mut self, time: Option<Time>) {
        self.backup = time;
    }

    /// When to look for attempts that are far behind.
    pub(crate) fn backup(&self) -> Option<Time> {
        self.backup
    }

    /// Take the soonest deadline that has come by `now`: at the moment itself, it has. With that of
    /// a worker goes that of its attempt.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Time, Due)> {
        let (time, due) = self.first().filter(|&(time, _)| time <= now)?;
        match due {
            Due::Worker(worker) => self.forget(worker),
            Due::Progress(worker, attempt) => self.release(worker, attempt),
            Due::Backup => self.backup = None,
        }
        Some((time, due))
    }

    /// The soonest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        let worker = self.workers.first().map(|(time, _)| time);
        let attempt = self.attempts.first().map(|(time, _)| time);
        sooner(sooner(worker, attempt), self.backup)
    }

    /// Until when `worker` has.
    pub(crate) fn of(&self, worker: WorkerId) -> Option<Time> {
        self.workers.of(*self.seats.get(&worker)?)
    }

    /// Every worker that has a deadline, and which of its attempts has one.
    pub(crate) fn all(&self) -> impl Iterator<Item = (WorkerId, Option<AttemptId>)> {
        self.seats.values().map(|&seat| self.holders[seat as usize])
    }

    /// Compare what is kept with each other.
    pub(crate) fn assert_consistent(&self) {
        self.workers.assert_consistent();
        self.attempts.assert_consistent();
        for (&worker, &seat) in &self.seats {
            let (holder, attempt) = self.holders[seat as usize];
            assert_eq!(holder, worker, "somebody else sits there");
            assert!(self.workers.of(seat).is_some(), "{worker} does not stand in line");
            let timed = self.attempts.of(seat).is_some();
            assert_eq!(attempt.is_some(), timed, "{worker} holds {attempt:?}");
        }
        for &seat in &self.free {
            let time = self.workers.of(seat).or(self.attempts.of(seat));
            assert_eq!(time, None, "nobody sits there, and has a deadline");
        }
        assert_eq!(self.seats.len() + self.free.len(), self.holders.len(), "a seat is lost");
    }

    fn first(&self) -> Option<(Time, Due)> {
        let time = self.next()?;
        let sits = |seat: u32| self.holders[seat as usize];
        if let Some((_, seat)) = self.workers.first().filter(|&(first, _)| first == time) {
            Some((time, Due::Worker(sits(seat).0)))
        } else if let Some((_, seat)) = self.attempts.first().filter(|&(first, _)| first == time) {
            let (worker, attempt) = sits(seat);
            Some((time, Due::Progress(worker, attempt?)))
        } else {
            Some((time, Due::Backup))
        }
    }
}

fn sooner(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (time, None) | (None, time) => time,
    }
}
