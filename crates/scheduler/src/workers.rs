//! Who can work: the workers that are alive, what each holds, and who asked first.
//!
//! # Invariants
//!
//! * A worker holds at most one live attempt, and is idle only while it holds none.
//! * `queue` holds exactly the idle workers. Those in good standing come first, in the order they
//!   asked; the excluded follow.
//! * `excluded_alive` counts the workers in `alive` with `failures_max` failures or more.
//! * `failures` also remembers workers that were forgotten: coming back clears nobody's name.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{AttemptId, WorkerId};
use crate::snapshot::WorkerCounts;

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
}

/// A place in the queue: whether it is an excluded worker's, and when that asked.
type Place = (bool, u64, WorkerId);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Worker {
    /// Neither works nor has asked for work.
    Away,
    /// Asked for work, and got this ticket.
    Idle { ticket: u64 },
    /// Holds a live attempt.
    Busy { attempt: AttemptId },
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
        }
    }

    /// `worker` is alive. Changes nothing if it was.
    pub(crate) fn add(&mut self, worker: WorkerId) {
        if self.knows(worker) {
            return;
        }
        self.alive.insert(worker, Worker::Away);
        self.excluded_alive += u32::from(self.is_excluded(worker));
    }

    /// `worker` is gone; hands back the live attempt it held.
    pub(crate) fn forget(&mut self, worker: WorkerId) -> Option<AttemptId> {
        let attempt = self.attempt(worker);
        self.set(worker, Worker::Away);
        if self.alive.remove(&worker).is_some() {
            self.excluded_alive -= u32::from(self.is_excluded(worker));
        }
        attempt
    }

    /// `worker` asks for work. It keeps its place if it asked before.
    pub(crate) fn enqueue(&mut self, worker: WorkerId) {
        match self.alive.get(&worker) {
            Some(Worker::Away) => {
                self.set(worker, Worker::Idle { ticket: self.next_ticket });
                self.next_ticket += 1;
            }
            Some(Worker::Idle { .. }) => {}
            Some(Worker::Busy { attempt }) => panic!("{worker} queued while it holds {attempt}"),
            None => panic!("{worker} queued while it is not alive"),
        }
    }

    /// Who should work next; not `avoid`, if there is a choice. While anyone in good standing is
    /// alive, only those are asked, even if all of them are busy.
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

    /// Who is idle and may be given more than must be done, in the order they asked.
    pub(crate) fn idle_in_good_standing(&self) -> impl Iterator<Item = WorkerId> {
        self.queue.iter().take_while(|&&(excluded, _, _)| !excluded).map(|&(_, _, worker)| worker)
    }

    /// Everybody who is idle leaves the queue.
    pub(crate) fn dismiss(&mut self) -> Vec<WorkerId> {
        let idle: Vec<WorkerId> = self.queue.iter().map(|&(_, _, worker)| worker).collect();
        for &worker in &idle {
            self.set(worker, Worker::Away);
        }
        idle
    }

    /// `worker` holds `attempt` now.
    pub(crate) fn occupy(&mut self, worker: WorkerId, attempt: AttemptId) {
        assert!(self.is_idle(worker), "{attempt} started on {worker}, which did not ask for work");
        self.set(worker, Worker::Busy { attempt });
    }

    /// `worker` no longer holds `attempt`, if it did and is still alive.
    pub(crate) fn release(&mut self, worker: WorkerId, attempt: AttemptId) {
        if self.attempt(worker) == Some(attempt) {
            self.set(worker, Worker::Away);
        }
    }

    /// `worker` failed an attempt, alive or not.
    pub(crate) fn blame(&mut self, worker: WorkerId) {
        let was_excluded = self.is_excluded(worker);
        let before = self.alive.get(&worker).copied();
        // An idle worker that is excluded by this moves back in the queue: leave, and return.
        self.set(worker, Worker::Away);
        *self.failures.entry(worker).or_default() += 1;
        if let Some(before) = before {
            self.set(worker, before);
            self.excluded_alive += u32::from(self.is_excluded(worker) && !was_excluded);
        }
    }

    /// Registered and not forgotten.
    pub(crate) fn knows(&self, worker: WorkerId) -> bool {
        self.alive.contains_key(&worker)
    }

    /// Waiting for work.
    pub(crate) fn is_idle(&self, worker: WorkerId) -> bool {
        matches!(self.alive.get(&worker), Some(Worker::Idle { .. }))
    }

    /// The live attempt that `worker` holds.
    pub(crate) fn attempt(&self, worker: WorkerId) -> Option<AttemptId> {
        match self.alive.get(&worker)? {
            Worker::Busy { attempt } => Some(*attempt),
            Worker::Away | Worker::Idle { .. } => None,
        }
    }

    /// All live attempts.
    pub(crate) fn attempts(&self) -> Vec<AttemptId> {
        self.alive.keys().filter_map(|&worker| self.attempt(worker)).collect()
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = WorkerId> {
        self.alive.keys().copied()
    }

    pub(crate) fn counts(&self) -> WorkerCounts {
        let alive = u32::try_from(self.alive.len()).expect("there are fewer than 2^32 workers");
        WorkerCounts { alive, excluded: self.excluded_alive }
    }

    /// Recompute the queue and the count from the workers and compare.
    pub(crate) fn assert_consistent(&self) {
        let queue: BTreeSet<Place> = self.alive().filter_map(|worker| self.place(worker)).collect();
        assert_eq!(self.queue, queue, "the wrong workers are in the queue");
        let excluded = self.alive().filter(|&worker| self.is_excluded(worker)).count();
        assert_eq!(self.excluded_alive as usize, excluded, "the excluded are counted wrongly");
    }

    /// Change what an alive worker does, and the queue with it. Changes nothing if it is gone.
    fn set(&mut self, worker: WorkerId, to: Worker) {
        let excluded = self.is_excluded(worker);
        let Some(state) = self.alive.get_mut(&worker) else { return };
        if let Worker::Idle { ticket } = *state {
            self.queue.remove(&(excluded, ticket, worker));
        }
        *state = to;
        if let Worker::Idle { ticket } = to {
            self.queue.insert((excluded, ticket, worker));
        }
    }

    /// Where `worker` belongs in the queue, if it does.
    fn place(&self, worker: WorkerId) -> Option<Place> {
        match *self.alive.get(&worker)? {
            Worker::Idle { ticket } => Some((self.is_excluded(worker), ticket, worker)),
            Worker::Away | Worker::Busy { .. } => None,
        }
    }

    fn is_excluded(&self, worker: WorkerId) -> bool {
        self.failures.get(&worker).is_some_and(|&failures| failures >= self.failures_max)
    }
}
