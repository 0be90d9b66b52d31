//! The workers that ever registered: what they are called, and whether they know that the job is
//! over.
//!
//! The scheduler knows workers by number alone and forgets those that fall silent. Here those who
//! have worked are not forgotten, for the story of their attempts names them. Who has not, and is
//! gone, is forgotten when there are too many of them.

use std::collections::BTreeMap;

use scheduler::{Time, WorkerId};

use crate::story::Death;

/// The workers of this session.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<WorkerId, Member>,
    /// All that ever came.
    enrolled: usize,
    /// With so many members it is time to see who can be forgotten.
    crowd: usize,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// An attempt was given to it at some time.
    has_worked: bool,
    /// When it called last.
    heard: Time,
    /// How it died, if somebody saw it.
    death: Option<Death>,
    /// An answer that says so was given to it. That it arrived is likely, not certain.
    knows_end: bool,
}

impl Roster {
    /// `worker` has registered, perhaps again.
    pub(crate) fn enroll(&mut self, worker: WorkerId, name: String) {
        self.members.entry(worker).or_insert_with(|| {
            self.enrolled += 1;
            let heard = Time::default();
            Member { name, has_worked: false, heard, death: None, knows_end: false }
        });
    }

    /// An attempt is given to `worker`: it is not forgotten from now on.
    pub(crate) fn employ(&mut self, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.has_worked = true;
        }
    }

    /// Forgets who is not `alive` and has not worked, when there are many.
    pub(crate) fn forget_strangers(&mut self, alive: impl Fn(WorkerId) -> bool) {
        if self.members.len() >= self.crowd.max(CROWD_MIN) {
            self.members.retain(|&worker, member| member.has_worked || alive(worker));
            // As many must come again before it is worth another look.
            self.crowd = 2 * self.members.len();
        }
    }

    /// For people: `w3 (host:pid)`.
    pub(crate) fn describe(&self, worker: WorkerId) -> String {
        match self.members.get(&worker) {
            Some(member) => format!("{worker} ({})", member.name),
            None => worker.to_string(),
        }
    }

    /// `worker` has called.
    pub(crate) fn hear(&mut self, now: Time, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.heard = now;
        }
    }

    /// When `worker` called last.
    pub(crate) fn heard(&self, worker: WorkerId) -> Time {
        self.members.get(&worker).map_or(Time::default(), |member| member.heard)
    }

    /// The worker called `name` has died: the latest, if several had that name. Returns its number,
    /// if it ever came.
    pub(crate) fn bury(&mut self, name: &str, death: Death) -> Option<WorkerId> {
        let (&worker, member) =
            self.members.iter_mut().rev().find(|(_, member)| member.name == name)?;
        member.death.get_or_insert(death);
        Some(worker)
    }

    /// How `worker` died, if somebody saw it.
    pub(crate) fn death(&self, worker: WorkerId) -> Option<Death> {
        self.members.get(&worker)?.death
    }

    /// How many ever came.
    pub(crate) fn enrolled(&self) -> usize {
        self.enrolled
    }

    /// `worker` was told that the job is over, or is not to be told.
    pub(crate) fn tell_end(&mut self, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.knows_end = true;
        }
    }

    /// Workers that were not told.
    pub(crate) fn untold(&self) -> impl Iterator<Item = WorkerId> {
        self.members.iter().filter(|(_, member)| !member.knows_end).map(|(&worker, _)| worker)
    }
}

/// Fewer are not worth a look: as many as one identity may have at the gate.
const CROWD_MIN: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WorkerId = WorkerId(0);
    const OTHER: WorkerId = WorkerId(1);

    #[test]
    fn worker_that_registers_again_is_one_worker() {
        let mut roster = Roster::default();
        roster.enroll(ONE, "a".to_owned());
        roster.enroll(OTHER, "b".to_owned());
        roster.enroll(ONE, "a".to_owned());

        assert_eq!(roster.enrolled(), 2);
        assert_eq!(roster.describe(OTHER), "w1 (b)");
    }

    #[test]
    fn workers_that_were_told_of_the_end_are_not_waited_for() {
        let mut roster = Roster::default();
        roster.enroll(ONE, "a".to_owned());
        roster.enroll(OTHER, "b".to_owned());

        roster.tell_end(ONE);

        assert_eq!(roster.untold().collect::<Vec<_>>(), [OTHER]);
    }

    #[test]
    fn of_a_crowd_those_are_forgotten_who_are_gone_and_never_worked() {
        let mut roster = Roster::default();
        let alive = |worker: WorkerId| worker.0 % 1000 == 7;
        let mut most = 0;
        for number in 0..10 * CROWD_MIN as u64 {
            roster.enroll(WorkerId(number), format!("host:{number}"));
            if number % 1000 == 3 {
                roster.employ(WorkerId(number));
            }
            roster.forget_strangers(alive);
            most = most.max(roster.members.len());
        }

        assert!(most <= CROWD_MIN, "{most}");
        assert_eq!(roster.enrolled(), 10 * CROWD_MIN);
        assert_eq!(roster.describe(WorkerId(1003)), "w1003 (host:1003)");
        assert_eq!(roster.describe(WorkerId(1007)), "w1007 (host:1007)");
        assert_eq!(roster.describe(WorkerId(1004)), "w1004");
    }
}
