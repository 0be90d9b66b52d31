//! The roster of workers that were ever admitted: their names, and whether they know that the job
//! is over.
//!
//! The scheduler knows workers by number alone and forgets those that fall silent. The roster keeps
//! all that were assigned an attempt, for the history of the attempt names its worker. Departed
//! workers without one are evicted when there are too many.

use std::collections::BTreeMap;

use journal::Death;
use scheduler::{Time, WorkerId};

/// The workers of this session.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    entries: BTreeMap<WorkerId, Entry>,
    /// All workers that were ever added.
    added: usize,
    /// At this many entries departed workers are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// An attempt was assigned to it at some time.
    was_assigned: bool,
    last_call: Time,
    /// How it died, if its parent process saw it.
    death: Option<Death>,
    /// The answer that the job is over was sent to it. That it arrived is likely, not certain.
    knows_end: bool,
}

impl Roster {
    /// `worker` has registered, perhaps again.
    pub(crate) fn add(&mut self, worker: WorkerId, name: String) {
        self.entries.entry(worker).or_insert_with(|| {
            self.added += 1;
            let last_call = Time::default();
            Entry { name, was_assigned: false, last_call, death: None, knows_end: false }
        });
    }

    /// An attempt is assigned to `worker`: it is never evicted from now on.
    pub(crate) fn note_assigned(&mut self, worker: WorkerId) {
        if let Some(entry) = self.entries.get_mut(&worker) {
            entry.was_assigned = true;
        }
    }

    /// Evicts workers that are not `alive` and were never assigned an attempt, when there are many.
    pub(crate) fn evict_idle(&mut self, is_alive: impl Fn(WorkerId) -> bool) {
        if self.entries.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.entries.retain(|&worker, entry| entry.was_assigned || is_alive(worker));
            // The roster must double before another look is worth it.
            self.sweep_at = 2 * self.entries.len();
        }
    }

    /// For people: `w3 (host:pid)`.
    pub(crate) fn describe(&self, worker: WorkerId) -> String {
        match self.entries.get(&worker) {
            Some(entry) => format!("{worker} ({})", entry.name),
            None => worker.to_string(),
        }
    }

    /// `worker` has called.
    pub(crate) fn note_call(&mut self, now: Time, worker: WorkerId) {
        if let Some(entry) = self.entries.get_mut(&worker) {
            entry.last_call = now;
        }
    }

    /// When `worker` called last.
    pub(crate) fn last_call(&self, worker: WorkerId) -> Time {
        self.entries.get(&worker).map_or(Time::default(), |entry| entry.last_call)
    }

    /// The process of `worker` has died.
    pub(crate) fn note_death(&mut self, worker: WorkerId, death: Death) {
        if let Some(entry) = self.entries.get_mut(&worker) {
            entry.death.get_or_insert(death);
        }
    }

    /// How `worker` died, if its parent process saw it.
    pub(crate) fn death(&self, worker: WorkerId) -> Option<Death> {
        self.entries.get(&worker)?.death
    }

    /// How many workers were ever added.
    pub(crate) fn added(&self) -> usize {
        self.added
    }

    /// `worker` was told that the job is over, or need not be told.
    pub(crate) fn note_knows_end(&mut self, worker: WorkerId) {
        if let Some(entry) = self.entries.get_mut(&worker) {
            entry.knows_end = true;
        }
    }

    /// The workers that were not told that the job is over.
    pub(crate) fn unaware_of_end(&self) -> impl Iterator<Item = WorkerId> {
        self.entries.iter().filter(|(_, entry)| !entry.knows_end).map(|(&worker, _)| worker)
    }
}

/// Fewer are not worth a look: as many as may register with one identity.
const SWEEP_MIN: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WorkerId = WorkerId(0);
    const OTHER: WorkerId = WorkerId(1);

    #[test]
    fn repeated_registration_adds_no_worker() {
        let mut roster = Roster::default();
        roster.add(ONE, "a".to_owned());
        roster.add(OTHER, "b".to_owned());
        roster.add(ONE, "a".to_owned());

        assert_eq!(roster.added(), 2);
        assert_eq!(roster.describe(OTHER), "w1 (b)");
    }

    #[test]
    fn workers_that_know_of_the_end_are_not_waited_for() {
        let mut roster = Roster::default();
        roster.add(ONE, "a".to_owned());
        roster.add(OTHER, "b".to_owned());

        roster.note_knows_end(ONE);

        assert_eq!(roster.unaware_of_end().collect::<Vec<_>>(), [OTHER]);
    }

    #[test]
    fn departed_workers_without_an_attempt_are_evicted_from_a_crowd() {
        let mut roster = Roster::default();
        let is_alive = |worker: WorkerId| worker.0 % 1000 == 7;
        let mut most = 0;
        for number in 0..10 * SWEEP_MIN as u64 {
            roster.add(WorkerId(number), format!("host:{number}"));
            if number % 1000 == 3 {
                roster.note_assigned(WorkerId(number));
            }
            roster.evict_idle(is_alive);
            most = most.max(roster.entries.len());
        }

        assert!(most <= SWEEP_MIN, "{most}");
        assert_eq!(roster.added(), 10 * SWEEP_MIN);
        assert_eq!(roster.describe(WorkerId(1003)), "w1003 (host:1003)");
        assert_eq!(roster.describe(WorkerId(1007)), "w1007 (host:1007)");
        assert_eq!(roster.describe(WorkerId(1004)), "w1004");
    }
}
