//! Every task of the job, and which is next.
//!
//! Largest first: the task that starts last decides when the phase ends, so it should be a small
//! one. A first-in-first-out queue would be simpler and, with one large task at its end, nearly
//! twice as slow on two workers.
//!
//! # Invariants
//!
//! * `waiting_maps` holds exactly the map tasks that wait, each with those that need the same of a
//!   worker. `waiting_reduces` is empty until every map task has been committed once, and holds
//!   exactly the reduce tasks that wait from then on; they start while no recalled map task has to
//!   run again.
//! * `running` holds exactly the tasks that run.
//! * `map_counts` and `reduce_counts` count the tasks by their status, `maps_recalled` the recalls
//!   of all. [`Tasks::change`] is the one place that changes a task, and keeps the indexes in step.
//! * The size of a reduce task is the sum of its buckets over all map tasks, each when it was
//!   committed first. Until all were, that sum grows in `bucket_bytes`, which is empty then. A map
//!   task that runs again leaves the same words, which are not added twice.

use std::collections::BTreeSet;
use std::iter;
use std::mem;

use crate::abilities::Abilities;
use crate::attempt::AttemptRecord;
use crate::id::{AttemptId, Phase, TaskId, WorkerId};
use crate::job::Job;
use crate::snapshot::PhaseCounts;
use crate::task::{AttemptStatus, Task, TaskStatus};
use crate::waiting::{Turn, WaitingMaps, turn};

#[derive(Debug)]
pub(crate) struct Tasks {
    maps: Vec<Task>,
    reduces: Vec<Task>,
    map_counts: PhaseCounts,
    reduce_counts: PhaseCounts,
    waiting_maps: WaitingMaps,
    waiting_reduces: BTreeSet<Turn>,
    /// By reduce task, the size of its buckets so far, until every map task has been committed.
    bucket_bytes: Vec<u64>,
    running: BTreeSet<TaskId>,
    maps_recalled: u64,
}

impl Tasks {
    pub(crate) fn new(job: &Job) -> Self {
        let map_tasks = u32::try_from(job.map_bytes.len()).expect("a job has fewer than 2^32 maps");
        assert!(map_tasks > 0, "a job has at least one map task");
        assert!(job.reduce_tasks > 0, "a job has at least one reduce task");

        assert!(job.map_needs.len() <= job.map_bytes.len(), "needs of map tasks that do not exist");
        let needs = job.map_needs.iter().copied().chain(iter::repeat(Abilities::NONE));
        let map = |((index, &bytes), needs)| Task::new(TaskId::map(index), bytes, needs);
        let maps: Vec<Task> = (0..).zip(&job.map_bytes).zip(needs).map(map).collect();
        let reduce = |index| Task::new(TaskId::reduce(index), 0, Abilities::NONE);
        let all_waiting = |tasks| PhaseCounts { tasks, waiting: tasks, ..PhaseCounts::default() };
        Self {
            waiting_maps: WaitingMaps::new(&maps),
            waiting_reduces: BTreeSet::new(),
            bucket_bytes: vec![0; job.reduce_tasks as usize],
            maps,
            reduces: (0..job.reduce_tasks).map(reduce).collect(),
            map_counts: all_waiting(map_tasks),
            reduce_counts: all_waiting(job.reduce_tasks),
            running: BTreeSet::new(),
            maps_recalled: 0,
        }
    }

    /// The tasks that may start, in groups that need the same, each in the order in which its tasks
    /// should. No group is empty.
    pub(crate) fn startable(
        &self,
    ) -> impl Iterator<Item = (Abilities, impl Iterator<Item = &Task>)> {
        let maps = self.waiting_maps.groups().map(|(needs, turns)| (needs, &*self.maps, turns));
        let may_reduce = !self.waiting_reduces.is_empty() && self.may_start(Phase::Reduce);
        let reduces = (Abilities::NONE, &*self.reduces, &self.waiting_reduces);
        let groups = maps.chain(Some(reduces).filter(|_| may_reduce));
        groups.map(|(needs, tasks, turns)| {
            (needs, turns.iter().map(|&(_, index)| &tasks[index as usize]))
        })
    }

    /// The map tasks that wait: how many need what.
    pub(crate) fn waiting_maps(&self) -> impl Iterator<Item = (Abilities, u32)> {
        let count = |turns: &BTreeSet<Turn>| u32::try_from(turns.len());
        let groups = self.waiting_maps.groups();
        groups.map(move |(needs, turns)| {
            (needs, count(turns).expect("a job has fewer than 2^32 maps"))
        })
    }

    /// Apply `transition` to a task and keep the indexes in step with it.
    pub(crate) fn change<R>(&mut self, id: TaskId, transition: impl FnOnce(&mut Task) -> R) -> R {
        let has_size = id.phase == Phase::Map || self.bucket_bytes.is_empty();
        let (tasks, counts) = match id.phase {
            Phase::Map => (&mut self.maps, &mut self.map_counts),
            Phase::Reduce => (&mut self.reduces, &mut self.reduce_counts),
        };
        let task = &mut tasks[id.index as usize];
        let before = task.status();
        let result = transition(task);
        let after = task.status();
        if before == after {
            return result;
        }
        *count_mut(counts, before) -= 1;
        *count_mut(counts, after) += 1;
        // A transition changes no size, and so no turn.
        if before == TaskStatus::Waiting {
            match id.phase {
                Phase::Map => self.waiting_maps.remove(task),
                Phase::Reduce => drop(self.waiting_reduces.remove(&turn(task))),
            }
        } else if before == TaskStatus::Running {
            self.running.remove(&id);
        }
        if after == TaskStatus::Waiting && has_size {
            match id.phase {
                Phase::Map => self.waiting_maps.insert(task),
                Phase::Reduce => drop(self.waiting_reduces.insert(turn(task))),
            }
        } else if after == TaskStatus::Running {
            self.running.insert(id);
        }
        result
    }

    /// A map task is committed by `transition`, with a bucket of this size for each reduce task.
    /// With the last map task, the sizes of the reduce tasks are known.
    pub(crate) fn commit_map(
        &mut self,
        id: TaskId,
        bucket_bytes: &[u64],
        transition: impl FnOnce(&mut Task),
    ) {
        let (buckets, reduces) = (bucket_bytes.len(), self.reduces.len());
        assert_eq!(buckets, reduces, "{id} left {buckets} buckets for {reduces} reduce tasks");
        for (sum, &bytes) in self.bucket_bytes.iter_mut().zip(bucket_bytes) {
            // A hint, and never worth a panic.
            *sum = sum.saturating_add(bytes);
        }
        self.change(id, transition);
        if self.may_start(Phase::Reduce) {
            for (reduce, bytes) in self.reduces.iter_mut().zip(mem::take(&mut self.bucket_bytes)) {
                reduce.grow(bytes);
                if reduce.status() == TaskStatus::Waiting {
                    self.waiting_reduces.insert(turn(reduce));
                }
            }
        }
    }

    /// The intermediates of a committed map task are lost: it waits again, and the waiting reduce
    /// tasks wait for it.
    pub(crate) fn recall(&mut self, id: TaskId) {
        self.change(id, Task::recall);
        self.maps_recalled += 1;
    }

    /// The state of `attempt`, if it ever existed.
    pub(crate) fn attempt_status(&self, attempt: AttemptId) -> Option<AttemptStatus> {
        self.find(attempt.task)?.attempt_status(attempt)
    }

    /// The state of `attempt`, if it ever existed and is `worker`'s.
    pub(crate) fn attempt_status_for(
        &self,
        worker: WorkerId,
        attempt: AttemptId,
    ) -> Option<AttemptStatus> {
        self.attempt_status(attempt).filter(|_| self.worker(attempt) == worker)
    }

    /// The worker that runs `attempt`, or ran it. It must have existed.
    pub(crate) fn worker(&self, attempt: AttemptId) -> WorkerId {
        self.record(attempt).worker
    }

    /// What became of `attempt`. It must have existed.
    pub(crate) fn record(&self, attempt: AttemptId) -> &AttemptRecord {
        let record = self.find(attempt.task).and_then(|task| task.record(attempt));
        record.unwrap_or_else(|| panic!("{attempt} never existed"))
    }

    pub(crate) fn find(&self, id: TaskId) -> Option<&Task> {
        match id.phase {
            Phase::Map => self.maps.get(id.index as usize),
            Phase::Reduce => self.reduces.get(id.index as usize),
        }
    }

    /// The phase whose tasks start now: the map phase while any map task is uncommitted, including
    /// one that was recalled.
    pub(crate) fn present_phase(&self) -> Phase {
        if self.may_start(Phase::Reduce) { Phase::Reduce } else { Phase::Map }
    }

    /// The tasks of a phase that run.
    pub(crate) fn running(&self, phase: Phase) -> impl Iterator<Item = &Task> {
        let all = TaskId { phase, index: 0 }..=TaskId { phase, index: u32::MAX };
        self.running.range(all).filter_map(|&id| self.find(id))
    }

    pub(crate) fn counts(&self, phase: Phase) -> PhaseCounts {
        match phase {
            Phase::Map => self.map_counts,
            Phase::Reduce => self.reduce_counts,
        }
    }

    pub(crate) fn are_committed(&self, phase: Phase) -> bool {
        self.counts(phase).committed == self.counts(phase).tasks
    }

    /// How often a map task had to run again, over all of them.
    pub(crate) fn maps_recalled(&self) -> u64 {
        self.maps_recalled
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Task> {
        self.maps.iter().chain(&self.reduces)
    }

    /// Recompute the indexes from the tasks and compare.
    pub(crate) fn assert_consistent(&self) {
        let mut waiting_maps = BTreeSet::new();
        let mut waiting_reduces = BTreeSet::new();
        let mut running = BTreeSet::new();
        let mut map_counts = PhaseCounts::default();
        let mut reduce_counts = PhaseCounts::default();
        let mut recalls = 0;
        for task in self.all() {
            task.assert_consistent();
            let counts = match task.id().phase {
                Phase::Map => &mut map_counts,
                Phase::Reduce => &mut reduce_counts,
            };
            counts.tasks += 1;
            recalls += u64::from(task.recalls());
            *count_mut(counts, task.status()) += 1;
            if task.status() == TaskStatus::Waiting {
                match task.id().phase {
                    Phase::Map => waiting_maps.insert((task.needs(), turn(task))),
                    Phase::Reduce => {
                        self.bucket_bytes.is_empty() && waiting_reduces.insert(turn(task))
                    }
                };
            }
            if task.status() == TaskStatus::Running {
                running.insert(task.id());
            }
        }
        assert_eq!(self.map_counts, map_counts, "the map tasks are counted wrongly");
        assert_eq!(self.reduce_counts, reduce_counts, "the reduce tasks are counted wrongly");
        assert_eq!(self.maps_recalled, recalls, "the recalls are counted wrongly");
        let groups = self.waiting_maps.groups();
        let listed = groups.flat_map(|(needs, turns)| turns.iter().map(move |&turn| (needs, turn)));
        assert_eq!(listed.collect::<BTreeSet<_>>(), waiting_maps, "the wrong map tasks wait");
        assert_eq!(self.waiting_reduces, waiting_reduces, "the wrong reduce tasks wait");
        let opened = recalls > 0 || self.may_start(Phase::Reduce);
        assert_eq!(
            self.bucket_bytes.is_empty(),
            opened,
            "the sizes of reduce tasks are known too early, or never"
        );
        assert_eq!(self.running, running, "the wrong tasks are listed as running");
    }

    fn may_start(&self, phase: Phase) -> bool {
        match phase {
            Phase::Map => true,
            Phase::Reduce => self.are_committed(Phase::Map),
        }
    }
}

fn count_mut(counts: &mut PhaseCounts, status: TaskStatus) -> &mut u32 {
    match status {
        TaskStatus::Waiting => &mut counts.waiting,
        TaskStatus::Running => &mut counts.running,
        TaskStatus::Publishing => &mut counts.publishing,
        TaskStatus::Committed => &mut counts.committed,
    }
}
