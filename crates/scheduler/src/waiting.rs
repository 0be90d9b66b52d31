//! The map tasks that wait, by what they need of a worker.
//!
//! Most jobs have one kind of file and so one group; no job has more groups than kinds of files.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::abilities::Abilities;
use crate::task::Task;

/// When a waiting task of a phase is started: the largest first, then the lowest index.
pub(crate) type Turn = (Reverse<u64>, u32);

pub(crate) fn turn(task: &Task) -> Turn {
    (Reverse(task.bytes()), task.id().index)
}

/// Groups of map tasks that need the same. A group may be empty.
#[derive(Debug)]
pub(crate) struct WaitingMaps(Vec<(Abilities, BTreeSet<Turn>)>);

impl WaitingMaps {
    pub(crate) fn new(maps: &[Task]) -> Self {
        let needs: BTreeSet<Abilities> = maps.iter().map(Task::needs).collect();
        let group = |needs| {
            let all = maps.iter().filter(|task| task.needs() == needs);
            (needs, all.map(turn).collect())
        };
        Self(needs.into_iter().map(group).collect())
    }

    pub(crate) fn insert(&mut self, task: &Task) {
        self.group(task.needs()).insert(turn(task));
    }

    pub(crate) fn remove(&mut self, task: &Task) {
        self.group(task.needs()).remove(&turn(task));
    }

    /// Each group in which a task waits.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Abilities, &BTreeSet<Turn>)> {
        let groups = self.0.iter().filter(|(_, turns)| !turns.is_empty());
        groups.map(|(needs, turns)| (*needs, turns))
    }

    fn group(&mut self, needs: Abilities) -> &mut BTreeSet<Turn> {
        let group = self.0.iter_mut().find(|(group, _)| *group == needs);
        &mut group.expect("every map task has a group from the start").1
    }
}
