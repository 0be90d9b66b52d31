//! The workers that ever registered: what they are called, and whether they know that the job is
//! over.
//!
//! The scheduler knows workers by number alone and forgets those that fall silent. Here nobody is
//! forgotten: a worker that was taken for dead and comes back gets its old number again.

use std::collections::BTreeMap;

use scheduler::{Time, WorkerId};

use crate::story::Death;

/// Every worker of this session.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    by_instance: BTreeMap<[u8; 16], WorkerId>,
    /// Indexed by worker id.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// When it called last.
    heard: Time,
    /// How it died, if somebody saw it.
    death: Option<Death>,
    /// An answer that says so was given to it. That it arrived is likely, not certain.
    knows_end: bool,
}

impl Crew {
    /// The id of the worker process `instance`: a new one if it was never seen.
    pub(crate) fn enroll(&mut self, instance: [u8; 16], name: String) -> WorkerId {
        let next = WorkerId(self.members.len() as u64);
        let worker = *self.by_instance.entry(instance).or_insert(next);
        if worker == next {
            self.members.push(Member {
                name,
                heard: Time::default(),
                death: None,
                knows_end: false,
            });
        }
        worker
    }

    /// The worker of number `worker`, if there is one.
    pub(crate) fn member(&self, worker: u64) -> Option<WorkerId> {
        ((worker as usize) < self.members.len()).then_some(WorkerId(worker))
    }

    /// For people: `w3 (host:pid)`.
    pub(crate) fn describe(&self, worker: WorkerId) -> String {
        format!("{worker} ({})", self.members[worker.0 as usize].name)
    }

    /// `worker` has called.
    pub(crate) fn hear(&mut self, now: Time, worker: WorkerId) {
        self.members[worker.0 as usize].heard = now;
    }

    /// When `worker` called last.
    pub(crate) fn heard(&self, worker: WorkerId) -> Time {
        self.members[worker.0 as usize].heard
    }

    /// The worker called `name` has died: the latest, if several had that name. Returns its number,
    /// if it ever came.
    pub(crate) fn bury(&mut self, name: &str, death: Death) -> Option<WorkerId> {
        let index = self.members.iter().rposition(|member| member.name == name)?;
        self.members[index].death.get_or_insert(death);
        Some(WorkerId(index as u64))
    }

    /// How `worker` died, if somebody saw it.
    pub(crate) fn death(&self, worker: WorkerId) -> Option<Death> {
        self.members[worker.0 as usize].death
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// `worker` was told that the job is over.
    pub(crate) fn tell_end(&mut self, worker: WorkerId) {
        self.members[worker.0 as usize].knows_end = true;
    }

    /// Workers that were not told.
    pub(crate) fn untold(&self) -> impl Iterator<Item = WorkerId> {
        let untold = |(index, member): (usize, &Member)| {
            (!member.knows_end).then_some(WorkerId(index as u64))
        };
        self.members.iter().enumerate().filter_map(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_that_registers_again_keeps_its_id() {
        let mut crew = Crew::default();
        let one = crew.enroll([1; 16], "a".to_owned());
        let other = crew.enroll([2; 16], "b".to_owned());

        assert_ne!(one, other);
        assert_eq!(crew.enroll([1; 16], "a".to_owned()), one);
        assert_eq!(crew.len(), 2);
        assert_eq!(crew.member(1), Some(other));
        assert_eq!(crew.member(2), None);
        assert_eq!(crew.describe(other), "w1 (b)");
    }

    #[test]
    fn workers_that_were_told_of_the_end_are_not_waited_for() {
        let mut crew = Crew::default();
        let one = crew.enroll([1; 16], "a".to_owned());
        let other = crew.enroll([2; 16], "b".to_owned());

        crew.tell_end(one);

        assert_eq!(crew.untold().collect::<Vec<_>>(), [other]);
    }
}
