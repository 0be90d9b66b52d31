//! The workers that are alive: what each holds, its deadlines, and the queue of idle workers.
//!
//! Each failed or lost attempt is a *strike* of its worker. A worker with too many is *set aside*:
//! it gets tasks only while no worker in good standing could take them. And a worker rests after
//! each strike (exponential backoff), for a time that doubles until it commits, while a healthy
//! worker could take the task. Neither makes a task wait for a worker that does not ask: a worker
//! that has neither worked nor asked for work for a while is *absent*, and does not count.
//!
//! All of that is judged for each task among the workers that can do it: `pools.rs`.
//!
//! # Invariants
//!
//! * A worker holds at most one live attempt, and is idle only while it holds none.
//! * The queues of `pools` hold exactly the idle workers, each in the pool of its abilities. Those
//!   in good standing come first, and among them those that do not rest, in the order they asked.
//! * `pools` count the workers in `alive` that are not absent, by their standing.
//! * A worker's abilities are among `needed`, so that a job that needs none has one pool.
//! * `deadlines` holds the soonest deadline of every worker in `alive`.
//! * `set_aside_alive` counts the workers in `alive` that are set aside: those with `strikes_max`
//!   strikes or more.
//! * `records` also counts for workers that were forgotten: registering again clears nothing. It
//!   has an entry for each worker with a strike, or with an ability that it turned out to lack, and
//!   so fewer than there are attempts.
//! * [`Workers::change`] is the one place that changes a worker, and keeps the indexes in step.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use crate::abilities::Abilities;
use crate::attempt::End;
use crate::deadlines::Deadlines;
use crate::id::{AttemptId, WorkerId};
use crate::pools::{ASIDE, Pools, RESTS, Standing};
use crate::snapshot::{Strikes, WorkerCounts};
use crate::time::Time;

#[derive(Debug)]
pub(crate) struct Workers {
    /// Strikes that set a worker aside.
    strikes_max: u32,
    /// What any task of the job needs.
    needed: Abilities,
    alive: BTreeMap<WorkerId, Worker>,
    /// Of every worker with a strike. Without an entry: none.
    records: BTreeMap<WorkerId, Record>,
    set_aside_alive: u32,
    pools: Pools,
    /// The ticket for the next worker that asks for work.
    next_ticket: u64,
    deadlines: Deadlines,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    activity: Activity,
    abilities: Abilities,
    set_aside: bool,
    /// It has had no strike since its last commit.
    healthy: bool,
    /// It rests after a strike until then, if a healthy worker could work instead.
    rests_until: Option<Time>,
    /// By when the worker must be heard from.
    heard_by: Time,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Activity {
    /// Neither works nor has asked for work, for so long that no task waits for it.
    Absent,
    /// Neither works nor has asked for work, but should by then.
    Away { asks_by: Time },
    /// Asked for work, and got this ticket.
    Idle { ticket: u64 },
    /// Holds a live attempt, which must make progress by then.
    Busy { attempt: AttemptId, progress_by: Time },
}

/// What a worker has failed, lost and turned out to lack in this job.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    strikes: Strikes,
    lacks: Abilities,
    /// Strikes since its last commit.
    in_a_row: u32,
    rests_until: Option<Time>,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// The worker has neither worked nor asked for work.
    Absent(WorkerId),
    /// The attempt of this worker has made no progress.
    Progress(WorkerId, AttemptId),
    /// The worker has rested.
    Rested(WorkerId),
    /// The worker has not been heard from.
    Worker(WorkerId),
}

impl Workers {
    pub(crate) fn new(strikes_max: u32, needed: Abilities) -> Self {
        Self {
            strikes_max,
            needed,
            alive: BTreeMap::new(),
            records: BTreeMap::new(),
            set_aside_alive: 0,
            pools: Pools::default(),
            next_ticket: 0,
            deadlines: Deadlines::default(),
        }
    }

    /// `worker` is alive, says what it can do, and must be heard from by `heard_by`.
    pub(crate) fn add(
        &mut self,
        now: Time,
        worker: WorkerId,
        abilities: Abilities,
        heard_by: Time,
    ) {
        let record = self.records.get(&worker).copied().unwrap_or_default();
        let abilities = abilities.intersection(self.needed).without(record.lacks);
        if self.hear(worker, heard_by) {
            self.change(worker, |worker| worker.abilities = abilities);
            return;
        }
        let added = Worker {
            activity: Activity::Away { asks_by: heard_by },
            abilities,
            set_aside: self.is_set_aside(&record),
            healthy: record.in_a_row == 0,
            rests_until: record.rests_until.filter(|&until| now < until),
            heard_by,
        };
        self.alive.insert(worker, added);
        self.set_aside_alive += u32::from(added.set_aside);
        self.pools.of(abilities).add(added.standing());
        self.deadlines.insert(added.deadline(), worker);
    }

    /// Forget `worker`; returns the live attempt it held.
    pub(crate) fn forget(&mut self, worker: WorkerId) -> Option<AttemptId> {
        let gone = self.alive.remove(&worker)?;
        self.set_aside_alive -= u32::from(gone.set_aside);
        let pool = self.pools.of(gone.abilities);
        pool.remove(gone.standing());
        pool.dequeue(gone.rank(), worker);
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
            Activity::Absent
            | Activity::Away { .. }
            | Activity::Busy { .. }
            | Activity::Idle { .. } => false,
        });
        assert_eq!(held, Some(true), "{worker} does not hold {attempt}");
    }

    /// `worker`, which is alive, asks for work. It keeps its place if it asked before, and is not
    /// queued if it holds an attempt, which is returned.
    pub(crate) fn ask(&mut self, worker: WorkerId) -> Option<AttemptId> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let held = self.change(worker, |record| match record.activity {
            Activity::Absent | Activity::Away { .. } => {
                record.activity = Activity::Idle { ticket };
                None
            }
            Activity::Idle { .. } => None,
            Activity::Busy { attempt, .. } => Some(attempt),
        });
        held.unwrap_or_else(|| panic!("{worker} asked for work while it is not alive"))
    }

    /// The idle workers that may be given a task that needs `needs`, in the order they asked. While
    /// a worker in good standing that could do it is present, those that are set aside get nothing,
    /// even if all others are busy; and while a healthy one is, those that rest get nothing.
    pub(crate) fn eligible(&self, needs: Abilities) -> impl Iterator<Item = WorkerId> {
        let end = self.pools.end_of_eligible(needs);
        self.pools.idle(needs, end).map(|(worker, _)| worker)
    }

    /// The first of them.
    pub(crate) fn first_eligible(&self, needs: Abilities) -> Option<WorkerId> {
        let (rank, worker) = self.pools.first(needs)?;
        (rank < self.pools.end_of_eligible(needs)).then_some(worker)
    }

    /// Whether any worker is idle, whatever it can do.
    pub(crate) fn has_idle(&self) -> bool {
        self.pools.first(Abilities::NONE).is_some()
    }

    /// The idle workers that may run a backup, in the order they asked, and what each can do.
    pub(crate) fn idle_in_good_standing(&self) -> impl Iterator<Item = (WorkerId, Abilities)> {
        let end = self.pools.end_of_eligible(Abilities::NONE).min(ASIDE);
        self.pools.idle(Abilities::NONE, end)
    }

    /// Whether there is one.
    pub(crate) fn has_idle_in_good_standing(&self) -> bool {
        let first = self.pools.first(Abilities::NONE);
        first.is_some_and(|(rank, _)| rank < self.pools.end_of_eligible(Abilities::NONE).min(ASIDE))
    }

    /// Whether a worker that gets tasks that need `needs`, now or when it is idle, is none of
    /// `others`.
    pub(crate) fn has_candidate_besides(
        &self,
        others: &BTreeSet<WorkerId>,
        needs: Abilities,
    ) -> bool {
        let (set_aside, count) = self.pools.candidates(needs);
        let is_candidate = |worker: &&WorkerId| {
            let candidate = self.alive.get(worker).filter(|worker| worker.is_present());
            candidate.is_some_and(|worker| {
                worker.set_aside == set_aside && worker.abilities.cover(needs)
            })
        };
        count.all > others.iter().filter(is_candidate).count()
    }

    /// Whether any worker that is present can do a task that needs `needs`.
    pub(crate) fn has_able(&self, needs: Abilities) -> bool {
        self.pools.candidates(needs).1.all > 0
    }

    /// `worker`, alive or not, turned out to lack one of these abilities.
    pub(crate) fn note_unable(&mut self, worker: WorkerId, needs: Abilities) {
        let record = self.records.entry(worker).or_default();
        record.lacks = record.lacks.union(needs);
        self.change(worker, |worker| worker.abilities = worker.abilities.without(needs));
    }

    /// Remove all idle workers from the queues, and return them in their order.
    pub(crate) fn dismiss(&mut self) -> Vec<WorkerId> {
        let idle = self.pools.idle(Abilities::NONE, u64::MAX);
        let idle: Vec<WorkerId> = idle.map(|(worker, _)| worker).collect();
        for &worker in &idle {
            self.change(worker, |record| record.activity = Activity::Absent);
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

    /// `worker` no longer holds `attempt`, if it did and is still alive. It should ask for work by
    /// `asks_by`.
    pub(crate) fn release(&mut self, worker: WorkerId, attempt: AttemptId, asks_by: Time) {
        self.change(worker, |record| {
            if record.attempt() == Some(attempt) {
                record.activity = Activity::Away { asks_by };
            }
        });
    }

    /// `worker`, alive or not, failed or lost an attempt. Returns its strikes if this one sets it
    /// aside.
    pub(crate) fn strike(&mut self, now: Time, worker: WorkerId, end: End) -> Option<Strikes> {
        let record = self.records.entry(worker).or_default();
        if end == End::Lost {
            record.strikes.lost += 1;
        } else {
            record.strikes.failed += 1;
        }
        let doubled = PAUSE_MIN.saturating_mul(1 << record.in_a_row.min(16));
        record.in_a_row += 1;
        record.rests_until = Some(now + doubled.min(PAUSE_MAX));
        let record = *record;
        let set_aside = self.is_set_aside(&record);
        let before = self.change(worker, |worker| {
            worker.healthy = false;
            worker.rests_until = record.rests_until;
            mem::replace(&mut worker.set_aside, set_aside)
        });
        self.set_aside_alive += u32::from(set_aside && before == Some(false));
        Some(record.strikes).filter(|strikes| strikes.all() == self.strikes_max)
    }

    /// An attempt of `worker` is committed: it does not rest, and its next pause is the shortest.
    pub(crate) fn note_commit(&mut self, worker: WorkerId) {
        if let Some(record) = self.records.get_mut(&worker) {
            (record.in_a_row, record.rests_until) = (0, None);
            self.change(worker, |worker| {
                (worker.healthy, worker.rests_until) = (true, None);
            });
        }
    }

    /// `worker` has rested.
    pub(crate) fn rest_ends(&mut self, worker: WorkerId) {
        self.change(worker, |worker| worker.rests_until = None);
    }

    /// `worker` has neither worked nor asked for work for long.
    pub(crate) fn note_absent(&mut self, worker: WorkerId) {
        self.change(worker, |worker| worker.activity = Activity::Absent);
    }

    /// The workers that were ever set aside, and why.
    pub(crate) fn set_aside(&self) -> impl Iterator<Item = (WorkerId, Strikes)> {
        let set_aside = self.records.iter().filter(|(_, record)| self.is_set_aside(record));
        set_aside.map(|(&worker, record)| (worker, record.strikes))
    }

    pub(crate) fn strikes_if_set_aside(&self, worker: WorkerId) -> Option<Strikes> {
        let record = self.records.get(&worker).filter(|record| self.is_set_aside(record));
        record.map(|record| record.strikes)
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
        // If all have passed, the worker has: its attempt is lost, not stuck.
        let due = if record.heard_by <= time {
            Due::Worker(worker)
        } else if record.rests_until.is_some_and(|until| until <= time) {
            Due::Rested(worker)
        } else {
            match record.activity {
                Activity::Busy { attempt, .. } => Due::Progress(worker, attempt),
                Activity::Away { .. } => Due::Absent(worker),
                Activity::Absent | Activity::Idle { .. } => {
                    unreachable!("{worker} has no deadline")
                }
            }
        };
        Some((time, due))
    }

    pub(crate) fn counts(&self) -> WorkerCounts {
        let alive = u32::try_from(self.alive.len()).expect("there are fewer than 2^32 workers");
        WorkerCounts { alive, set_aside: self.set_aside_alive }
    }

    /// Recompute the indexes from the workers and compare.
    pub(crate) fn assert_consistent(&self) {
        let mut pools = Pools::default();
        let mut set_aside_alive = 0;
        for (worker, record) in &self.alive {
            let before = self.records.get(worker).copied().unwrap_or_default();
            assert_eq!(record.set_aside, self.is_set_aside(&before), "{worker}");
            assert_eq!(record.healthy, before.in_a_row == 0, "{worker}");
            set_aside_alive += u32::from(record.set_aside);
            assert!(self.needed.cover(record.abilities.union(before.lacks)), "{worker}");
            assert_eq!(record.abilities.intersection(before.lacks), Abilities::NONE, "{worker}");
            let pool = pools.of(record.abilities);
            pool.add(record.standing());
            pool.enqueue(record.rank(), *worker);
        }
        let (kept, computed) = (self.pools.inhabited(), pools.inhabited());
        assert_eq!(kept, computed, "the wrong workers are counted or in a queue");
        assert_eq!(self.set_aside_alive, set_aside_alive, "those set aside are counted wrongly");
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
        let state = |record: &Worker| (record.abilities, record.rank(), record.standing());
        let (before, deadline_before) = (state(record), record.deadline());
        let result = transition(record);
        let (after, deadline) = (state(record), record.deadline());
        if before != after {
            let (abilities_before, rank, standing) = before;
            let mut pool = self.pools.of(abilities_before);
            pool.dequeue(rank, worker);
            pool.remove(standing);
            let (abilities, rank, standing) = after;
            if abilities != abilities_before {
                pool = self.pools.of(abilities);
            }
            pool.enqueue(rank, worker);
            pool.add(standing);
        }
        if deadline_before != deadline {
            self.deadlines.remove(deadline_before, worker);
            self.deadlines.insert(deadline, worker);
        }
        Some(result)
    }

    fn is_set_aside(&self, record: &Record) -> bool {
        record.strikes.all() >= self.strikes_max
    }
}

impl Worker {
    fn attempt(&self) -> Option<AttemptId> {
        match self.activity {
            Activity::Busy { attempt, .. } => Some(attempt),
            Activity::Absent | Activity::Away { .. } | Activity::Idle { .. } => None,
        }
    }

    fn is_present(&self) -> bool {
        self.activity != Activity::Absent
    }

    fn standing(&self) -> Standing {
        self.is_present().then_some((self.set_aside, self.healthy))
    }

    /// Its rank in the queue, if it is idle.
    fn rank(&self) -> Option<u64> {
        match self.activity {
            Activity::Idle { ticket } => {
                let aside = if self.set_aside { ASIDE } else { 0 };
                let rests = if self.rests_until.is_some() { RESTS } else { 0 };
                Some(ticket | aside | rests)
            }
            Activity::Absent | Activity::Away { .. } | Activity::Busy { .. } => None,
        }
    }

    /// The soonest of its deadlines.
    fn deadline(&self) -> Time {
        let heard_by = self.rests_until.map_or(self.heard_by, |until| until.min(self.heard_by));
        match self.activity {
            Activity::Busy { progress_by: by, .. } | Activity::Away { asks_by: by } => {
                heard_by.min(by)
            }
            Activity::Absent | Activity::Idle { .. } => heard_by,
        }
    }
}

/// How long a worker rests after its first strike: long enough that a worker that fails at once is
/// not the first to ask for the task again.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How long it rests at most. Chosen by eye: as long as a worker may be silent.
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::TaskId;

    #[test]
    fn each_attempt_may_have_a_timeout_of_its_own() {
        let mut workers = Workers::new(1, Abilities::NONE);
        for (worker, timeout) in [(1, 30), (2, 5), (3, 20)] {
            start(&mut workers, WorkerId(worker), at(60), at(timeout));
        }
        assert_eq!(workers.next_deadline(), Some(at(5)));
        workers.expect_progress(WorkerId(2), attempt(2), at(25));
        assert_eq!(workers.next_deadline(), Some(at(20)));
        assert_eq!(workers.due(at(20)), Some((at(20), Due::Progress(WorkerId(3), attempt(3)))));
        workers.release(WorkerId(3), attempt(3), at(70));
        assert_eq!(workers.next_deadline(), Some(at(25)));
        workers.assert_consistent();
    }

    #[test]
    fn a_worker_that_is_silent_for_as_long_as_its_attempt_makes_no_progress_is_due_itself() {
        let mut workers = Workers::new(1, Abilities::NONE);
        start(&mut workers, WorkerId(1), at(10), at(10));
        assert_eq!(workers.due(at(10)), Some((at(10), Due::Worker(WorkerId(1)))));
        assert_eq!(workers.forget(WorkerId(1)), Some(attempt(1)));
        assert_eq!((workers.next_deadline(), workers.due(at(99))), (None, None));
        workers.assert_consistent();
    }

    fn start(workers: &mut Workers, worker: WorkerId, heard_by: Time, progress_by: Time) {
        workers.add(Time::default(), worker, Abilities::NONE, heard_by);
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
