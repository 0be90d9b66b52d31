//! The workers that are alive: what each holds, its deadlines, and the queue of idle workers.
//!
//! # Invariants
//!
//! * A worker holds at most one live attempt, and is idle only while it holds none.
//! * `queue` holds exactly the idle workers. Those in good standing come first, in the order they
//!   asked; the excluded follow.
//! * `deadlines` holds the soonest deadline of every worker in `alive`.
//! * `excluded_alive` counts the workers in `alive` that are excluded: those with `failures_max`
//!   failures or more.
//! * `failures` also counts for workers that were forgotten: registering again clears nothing.
//! * [`Workers::change`] is the one place that changes a worker, and keeps the indexes in step.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::deadlines::Deadlines;
use crate::id::{AttemptId, WorkerId};
use crate::snapshot::WorkerCounts;
use crate::time::Time;

#[derive(Debug)]
pub(crate) struct Workers {
    /// Failed attempts that exclude a worker.
    failures_max: u32,
    alive: BTreeMap<WorkerId, Worker>,
    /// How many attempts each worker failed. Without an entry: none.
    failures: BTreeMap<WorkerId, u32>,
    excluded_alive: u32,
    queue: BTreeSet<Place>,
    /// The ticket for the next worker that asks for work.
    next_ticket: u64,
    deadlines: Deadlines,
}

/// A place in the queue: whether the worker is excluded, its ticket, and its name.
type Place = (bool, u64, WorkerId);

#[derive(Clone, Copy, Debug)]
struct Worker {
    activity: Activity,
    excluded: bool,
    /// By when the worker must be heard from.
    heard_by: Time,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Activity {
    /// Neither works nor has asked for work.
    Away,
    /// Asked for work, and got this ticket.
    Idle { ticket: u64 },
    /// Holds a live attempt, which must make progress by then.
    Busy { attempt: AttemptId, progress_by: Time },
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// The worker has not been heard from.
    Worker(WorkerId),
    /// The attempt of this worker has made no progress.
    Progress(WorkerId, AttemptId),
}

impl Workers {
    pub(crate) fn new(failures_max: u32) -> Self {
        Self {
            failures_max,
            alive: BTreeMap::new(),
            failures: BTreeMap::new(),
            excluded_alive: 0,
            queue: BTreeSet::new(),
            next_ticket: 0,
            deadlines: Deadlines::default(),
        }
    }

    /// `worker` is alive, and must be heard from by `heard_by`.
    pub(crate) fn add(&mut self, worker: WorkerId, heard_by: Time) {
        if self.hear(worker, heard_by) {
            return;
        }
        let excluded = self.has_failed_too_often(worker);
        self.alive.insert(worker, Worker { activity: Activity::Away, excluded, heard_by });
        self.excluded_alive += u32::from(excluded);
        self.deadlines.insert(heard_by, worker);
    }

    /// Forget `worker`; returns the live attempt it held.
    pub(crate) fn forget(&mut self, worker: WorkerId) -> Option<AttemptId> {
        let gone = self.alive.remove(&worker)?;
        self.excluded_alive -= u32::from(gone.excluded);
        if let Some(place) = gone.place(worker) {
            self.queue.remove(&place);
        }
        self.deadlines.remove(gone.deadline(), worker);
        gone.attempt()
    }

    /// `worker` was heard from, and must be again by `heard_by`. Returns whether it is alive.
    pub(crate) fn hear(&mut self, worker: WorkerId, heard_by: Time) -> bool {
        self.change(worker, |record| record.heard_by = heard_by).is_some()
    }

    /// `attempt`, which `worker` holds, must make progress by `time`.
    pub(crate) fn expect_progress(&mut self, worker: WorkerId, attempt: AttemptId, time: Time) {
        let held = self.change(worker, |record| match &mut record.activity {
            Activity::Busy { attempt: held, progress_by } if *held == attempt => {
                *progress_by = time;
                true
            }
            Activity::Away | Activity::Busy { .. } | Activity::Idle { .. } => false,
        });
        assert_eq!(held, Some(true), "{worker} does not hold {attempt}");
    }

    /// `worker`, which is alive, asks for work. It keeps its place if it asked before, and is not
    /// queued if it holds an attempt, which is returned.
    pub(crate) fn ask(&mut self, worker: WorkerId) -> Option<AttemptId> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let held = self.change(worker, |record| match record.activity {
            Activity::Away => {
                record.activity = Activity::Idle { ticket };
                None
            }
            Activity::Idle { .. } => None,
            Activity::Busy { attempt, .. } => Some(attempt),
        });
        held.unwrap_or_else(|| panic!("{worker} asked for work while it is not alive"))
    }

    /// The worker that should work next; not `avoid`, if there is another. While any worker in good
    /// standing is alive, excluded workers get nothing, even if all others are busy.
    pub(crate) fn next(&self, avoid: Option<WorkerId>) -> Option<WorkerId> {
        let good_standing = self.counts().alive > self.excluded_alive;
        let mut eligible = self
            .queue
            .iter()
            .take_while(|&&(excluded, _, _)| !(excluded && good_standing))
            .map(|&(_, _, worker)| worker);
        let first = eligible.next()?;
        if Some(first) == avoid { eligible.next().or(Some(first)) } else { Some(first) }
    }

    /// The idle workers that may run a backup, in the order they asked.
    pub(crate) fn idle_in_good_standing(&self) -> impl Iterator<Item = WorkerId> {
        self.queue.iter().take_while(|&&(excluded, _, _)| !excluded).map(|&(_, _, worker)| worker)
    }

    /// Remove all idle workers from the queue, and return them in its order.
    pub(crate) fn dismiss(&mut self) -> Vec<WorkerId> {
        let idle: Vec<WorkerId> = self.queue.iter().map(|&(_, _, worker)| worker).collect();
        for &worker in &idle {
            self.change(worker, |record| record.activity = Activity::Away);
        }
        idle
    }

    /// `worker`, which asked for work, holds `attempt` now, which must make progress by
    /// `progress_by`.
    pub(crate) fn occupy(&mut self, worker: WorkerId, attempt: AttemptId, progress_by: Time) {
        let before = self.change(worker, |record| {
            mem::replace(&mut record.activity, Activity::Busy { attempt, progress_by })
        });
        let was_idle = matches!(before, Some(Activity::Idle { .. }));
        assert!(was_idle, "{attempt} started on {worker}, which did not ask for work");
    }

    /// `worker` no longer holds `attempt`, if it did and is still alive.
    pub(crate) fn release(&mut self, worker: WorkerId, attempt: AttemptId) {
        self.change(worker, |record| {
            if record.attempt() == Some(attempt) {
                record.activity = Activity::Away;
            }
        });
    }

    /// `worker` failed an attempt, alive or not.
    pub(crate) fn count_failure(&mut self, worker: WorkerId) {
        *self.failures.entry(worker).or_default() += 1;
        if self.has_failed_too_often(worker) {
            let was_excluded =
                self.change(worker, |record| mem::replace(&mut record.excluded, true));
            self.excluded_alive += u32::from(was_excluded == Some(false));
        }
    }

    /// Registered and not forgotten.
    pub(crate) fn knows(&self, worker: WorkerId) -> bool {
        self.alive.contains_key(&worker)
    }

    /// The live attempt that `worker` holds.
    pub(crate) fn attempt(&self, worker: WorkerId) -> Option<AttemptId> {
        self.alive.get(&worker)?.attempt()
    }

    /// All live attempts.
    pub(crate) fn attempts(&self) -> Vec<AttemptId> {
        self.alive.values().filter_map(Worker::attempt).collect()
    }

    /// By when `worker` must be heard from.
    pub(crate) fn heard_by(&self, worker: WorkerId) -> Option<Time> {
        self.alive.get(&worker).map(|record| record.heard_by)
    }

    /// When the next deadline is.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(time, _)| time)
    }

    /// The soonest deadline that has passed: at the moment itself, it has. It is returned again
    /// until the worker is forgotten or the attempt released.
    pub(crate) fn due(&self, now: Time) -> Option<(Time, Due)> {
        let (time, worker) = self.deadlines.first().filter(|&(time, _)| time <= now)?;
        let record = self.alive.get(&worker).expect("only live workers have deadlines");
        let due = match record.activity {
            // If both have passed, the worker has: its attempt is lost, not stuck.
            Activity::Busy { attempt, progress_by } if progress_by < record.heard_by => {
                Due::Progress(worker, attempt)
            }
            Activity::Away | Activity::Busy { .. } | Activity::Idle { .. } => Due::Worker(worker),
        };
        Some((time, due))
    }

    pub(crate) fn counts(&self) -> WorkerCounts {
        let alive = u32::try_from(self.alive.len()).expect("there are fewer than 2^32 workers");
        WorkerCounts { alive, excluded: self.excluded_alive }
    }

    /// Recompute the indexes from the workers and compare.
    pub(crate) fn assert_consistent(&self) {
        let mut queue = BTreeSet::new();
        let mut excluded_alive = 0;
        for (&worker, record) in &self.alive {
            assert_eq!(record.excluded, self.has_failed_too_often(worker), "{worker}");
            excluded_alive += u32::from(record.excluded);
            queue.extend(record.place(worker));
        }
        assert_eq!(self.queue, queue, "the wrong workers are in the queue");
        assert_eq!(self.excluded_alive, excluded_alive, "the excluded are counted wrongly");
        let deadlines = self.alive.iter().map(|(&worker, record)| (record.deadline(), worker));
        assert_eq!(self.deadlines, deadlines.collect(), "the wrong deadlines are queued");
    }

    /// Apply `transition` to a worker, if it is alive, and keep the indexes in step with it.
    fn change<R>(
        &mut self,
        worker: WorkerId,
        transition: impl FnOnce(&mut Worker) -> R,
    ) -> Option<R> {
        let record = self.alive.get_mut(&worker)?;
        let before = *record;
        let result = transition(record);
        let after = *record;
        if before.place(worker) != after.place(worker) {
            if let Some(place) = before.place(worker) {
                self.queue.remove(&place);
            }
            self.queue.extend(after.place(worker));
        }
        if before.deadline() != after.deadline() {
            self.deadlines.remove(before.deadline(), worker);
            self.deadlines.insert(after.deadline(), worker);
        }
        Some(result)
    }

    fn has_failed_too_often(&self, worker: WorkerId) -> bool {
        self.failures.get(&worker).is_some_and(|&failures| failures >= self.failures_max)
    }
}

impl Worker {
    fn attempt(&self) -> Option<AttemptId> {
        match self.activity {
            Activity::Busy { attempt, .. } => Some(attempt),
            Activity::Away | Activity::Idle { .. } => None,
        }
    }

    /// Its place in the queue, if it is idle.
    fn place(&self, worker: WorkerId) -> Option<Place> {
        match self.activity {
            Activity::Idle { ticket } => Some((self.excluded, ticket, worker)),
            Activity::Away | Activity::Busy { .. } => None,
        }
    }

    /// The soonest of its deadlines.
    fn deadline(&self) -> Time {
        match self.activity {
            Activity::Busy { progress_by, .. } => self.heard_by.min(progress_by),
            Activity::Away | Activity::Idle { .. } => self.heard_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::TaskId;

    #[test]
    fn each_attempt_may_have_a_timeout_of_its_own() {
        let mut workers = Workers::new(1);
        for (worker, timeout) in [(1, 30), (2, 5), (3, 20)] {
            start(&mut workers, WorkerId(worker), at(60), at(timeout));
        }
        assert_eq!(workers.next_deadline(), Some(at(5)));
        workers.expect_progress(WorkerId(2), attempt(2), at(25));
        assert_eq!(workers.next_deadline(), Some(at(20)));
        assert_eq!(workers.due(at(20)), Some((at(20), Due::Progress(WorkerId(3), attempt(3)))));
        workers.release(WorkerId(3), attempt(3));
        assert_eq!(workers.next_deadline(), Some(at(25)));
        workers.assert_consistent();
    }

    #[test]
    fn a_worker_that_is_silent_for_as_long_as_its_attempt_makes_no_progress_is_due_itself() {
        let mut workers = Workers::new(1);
        start(&mut workers, WorkerId(1), at(10), at(10));
        assert_eq!(workers.due(at(10)), Some((at(10), Due::Worker(WorkerId(1)))));
        assert_eq!(workers.forget(WorkerId(1)), Some(attempt(1)));
        assert_eq!((workers.next_deadline(), workers.due(at(99))), (None, None));
        workers.assert_consistent();
    }

    fn start(workers: &mut Workers, worker: WorkerId, heard_by: Time, progress_by: Time) {
        workers.add(worker, heard_by);
        assert_eq!(workers.ask(worker), None);
        workers.occupy(worker, attempt(worker.0 as u32), progress_by);
    }

    fn attempt(index: u32) -> AttemptId {
        AttemptId { task: TaskId::map(index), number: 0 }
    }

    fn at(seconds: u64) -> Time {
        Time(Duration::from_secs(seconds))
    }
}
