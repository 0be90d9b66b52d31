//! Backup attempts: which attempt is so far behind that another should race it.
//!
//! One slow machine must not hold the job up. When a worker is idle and no task waits that an idle
//! one could do, the attempt expected to end last, the *straggler*, gets a second, *speculative*
//! attempt elsewhere, if that is expected to end sooner; the first to report wins. Dean and
//! Ghemawat (2004) do so with all attempts left at the end of a phase. To do it for stragglers only
//! follows LATE (Zaharia, Konwinski, Joseph, Katz and Stoica, "Improving MapReduce performance in
//! heterogeneous environments", 2008): what counts is when an attempt will end, judged by its rate
//! so far; and a machine that is slow itself does not help.
//!
//! Everything is weighed by bytes, or a large task would look slow. The usual pace is the median of
//! the attempts reported in the phase. Before the first report it is that of the live attempts:
//! enough to see one of two fall behind. With nothing to compare with, no attempt is slow.
//!
//! An attempt deserves a backup when all of these hold ([`Progress::due`]):
//!
//! * It has run for `AGE_MIN`, and one and a half times as long as its task should take.
//! * A heartbeat after `AGE_MIN` says how far it is; an earlier one says more of opening files than
//!   of reading them. Or its worker has been silent for half of its timeout: until then an attempt
//!   is assumed to continue at its rate, and from then on to make no progress.
//! * At its rate it needs longer than an attempt that begins now. Together with the first
//!   condition: an attempt that takes up to twice the usual time gets no backup.
//!
//! The backup starts on a worker that is idle, in good standing, can do the task and has not failed
//! it, and was not slow itself in its latest attempt that could be measured.
//!
//! # Invariants
//!
//! * `maps` and `reduces` hold the pace of every attempt that was reported, unless its task is
//!   empty.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::abilities::Abilities;
use crate::id::{AttemptId, Phase, TaskId, WorkerId};
use crate::pace::{Pace, Paces};
use crate::progress::{AGE_MIN, Progress};
use crate::task::Task;
use crate::tasks::Tasks;
use crate::time::Time;
use crate::workers::Workers;

#[derive(Debug)]
pub(crate) struct Backups {
    /// Whether backups may start.
    enabled: bool,
    /// How long after a heartbeat an attempt is assumed to continue at its rate.
    silence_max: Duration,
    maps: Paces,
    reduces: Paces,
    /// Workers that were slow in their latest attempt that could be measured.
    slow: BTreeSet<WorkerId>,
    /// Whether something has changed since the last look.
    changed: bool,
    /// When all running tasks were last looked at.
    looked: Option<Time>,
    /// When to look again, if nothing changes before.
    look_at: Option<Time>,
}

/// What to do next about stragglers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Look again at this time, if nothing changes before.
    At(Time),
    /// Nothing, until something changes.
    Never,
    /// Start a backup of each of these tasks, on this worker. At least one.
    Start(Vec<(TaskId, WorkerId)>),
}

impl Backups {
    pub(crate) fn new(enabled: bool, worker_timeout: Duration) -> Self {
        Self {
            enabled,
            silence_max: worker_timeout / 2,
            maps: Paces::default(),
            reduces: Paces::default(),
            slow: BTreeSet::new(),
            changed: false,
            looked: None,
            look_at: None,
        }
    }

    /// The job is over: no backup starts any more.
    pub(crate) fn stop(&mut self) {
        self.enabled = false;
        self.look_at = None;
    }

    /// An attempt was started or ended, or a worker is idle: look at everything.
    pub(crate) fn reconsider(&mut self) {
        self.changed = true;
    }

    /// A heartbeat named an attempt of `task`. Only that task is looked at, unless it is behind:
    /// there is such a heartbeat from every worker every second.
    pub(crate) fn hear(&mut self, now: Time, task: TaskId, tasks: &Tasks, workers: &Workers) {
        if self.changed || !self.may_start(tasks, workers) || task.phase != tasks.present_phase() {
            return;
        }
        let Some(due) = tasks.find(task).and_then(|task| self.due(now, task)) else { return };
        if due <= now {
            self.changed = true;
        } else {
            self.look_by(due);
        }
    }

    /// `attempt` of `task` is reported, which supersedes the task's other live attempt: now it is
    /// known how fast their workers are.
    pub(crate) fn learn(&mut self, now: Time, task: &Task, attempt: AttemptId) {
        let usual = self.paces(attempt.task.phase).median();
        for progress in task.progress() {
            let is_reported = progress.attempt == attempt;
            let took = if is_reported { progress.age(now) } else { progress.total() };
            if let Some(usual) = usual.filter(|_| is_reported || progress.is_measured()) {
                if took <= usual.over(progress.bytes).saturating_mul(SLOW) {
                    self.slow.remove(&progress.worker);
                } else if took >= AGE_MIN {
                    self.slow.insert(progress.worker);
                }
            }
            if let Some(pace) = Pace::of(took, progress.bytes).filter(|_| is_reported) {
                match attempt.task.phase {
                    Phase::Map => self.maps.add(pace, progress.bytes),
                    Phase::Reduce => self.reduces.add(pace, progress.bytes),
                }
            }
        }
    }

    /// What to do now. Ask until it is not [`Next::Start`], after every event.
    ///
    /// An index of the next attempt to deserve a backup would have to move with the median, which
    /// every report moves. Instead all running tasks of the phase are looked at, and all stragglers
    /// are raced at once. Of more than [`FEW`] tasks that happens only every [`PAUSE`]: each sends
    /// a heartbeat about once a second, so looking costs a few steps an event however many there
    /// are, and a backup that starts so much later still ends long before the attempt it races.
    pub(crate) fn poll(&mut self, now: Time, tasks: &Tasks, workers: &Workers) -> Next {
        if self.look_at.take_if(|time| *time <= now).is_some() {
            self.changed = true;
        }
        if self.changed && self.may_start(tasks, workers) {
            if let Some(until) = self.rests_until(now, tasks) {
                self.look_by(until);
            } else {
                self.looked = Some(now);
                let next = self.look(now, tasks, workers);
                self.look_at = match next {
                    Next::At(time) => Some(time),
                    Next::Never => None,
                    Next::Start(_) => return next,
                };
                self.changed = false;
            }
        }
        self.look_at.map_or(Next::Never, Next::At)
    }

    /// When to [`poll`](Self::poll) if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.look_at
    }

    /// Look at every running task of the phase. Changes nothing, so that
    /// [`assert_consistent`](Self::assert_consistent) can compare what looking less often found.
    fn look(&self, now: Time, tasks: &Tasks, workers: &Workers) -> Next {
        let phase = tasks.present_phase();
        let running =
            || tasks.running(phase).filter_map(|task| Some((task, task.sole_progress()?)));
        let so_far = || median_so_far(running().map(|(_, progress)| progress));
        let Some(usual) = self.paces(phase).median().or_else(so_far) else { return Next::Never };
        let idle = workers.idle_in_good_standing();
        let mut helpers: VecDeque<(WorkerId, Abilities)> =
            idle.filter(|(worker, _)| !self.slow.contains(worker)).collect();
        let helps = |task: &Task, (worker, abilities): (WorkerId, Abilities)| {
            abilities.cover(task.needs()) && !task.has_failed_on(worker)
        };
        let mut behind = Vec::new();
        let mut soonest: Option<Time> = None;
        for (task, progress) in running() {
            // A worker that becomes idle, or is no longer slow, is considered then.
            if !helpers.iter().any(|&helper| helps(task, helper)) {
                continue;
            }
            let expected = usual.over(progress.bytes);
            let Some(due) = progress.due(now, expected, self.silence_max) else { continue };
            if due > now {
                soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
            } else {
                behind.push((Reverse(progress.remaining(now, self.silence_max)), task));
            }
        }
        // The last to end comes first, and gets the worker that has waited longest.
        behind.sort_unstable_by_key(|&(remaining, task)| (remaining, task.id()));
        let mut starts = Vec::new();
        for (_, task) in behind {
            let place = helpers.iter().position(|&helper| helps(task, helper));
            if let Some((worker, _)) = place.and_then(|place| helpers.remove(place)) {
                starts.push((task.id(), worker));
            }
        }
        if starts.is_empty() { soonest.map_or(Next::Never, Next::At) } else { Next::Start(starts) }
    }

    /// Check that no straggler is missed, and that the next look is in time.
    pub(crate) fn assert_consistent(&self, now: Time, tasks: &Tasks, workers: &Workers) {
        if !self.may_start(tasks, workers) {
            return;
        }
        let rest = self.rests_until(now, tasks).filter(|_| self.changed);
        match rest.map_or_else(|| self.look(now, tasks, workers), Next::At) {
            Next::At(time) => {
                let in_time = self.look_at.is_some_and(|look_at| look_at <= time);
                assert!(in_time, "an attempt is behind at {time}, and nothing looks until then");
            }
            Next::Never => {}
            Next::Start(missed) => panic!("far behind, with idle workers: {missed:?}"),
        }
    }

    fn may_start(&self, tasks: &Tasks, workers: &Workers) -> bool {
        let mut waits = tasks.startable().map(|(needs, _)| needs);
        self.enabled
            && workers.has_idle_in_good_standing()
            && !waits.any(|needs| workers.first_eligible(needs).is_some())
    }

    /// Until when nothing is looked at, because so much runs and was looked at a moment ago.
    fn rests_until(&self, now: Time, tasks: &Tasks) -> Option<Time> {
        let running = tasks.counts(tasks.present_phase()).running;
        let until = self.looked.filter(|_| running > FEW)? + PAUSE;
        Some(until).filter(|&until| now < until)
    }

    fn look_by(&mut self, time: Time) {
        self.look_at = Some(self.look_at.map_or(time, |before| before.min(time)));
    }

    /// When `task` may deserve a backup if nothing more is heard; never, if `None`.
    fn due(&self, now: Time, task: &Task) -> Option<Time> {
        let progress = task.sole_progress()?;
        match self.paces(progress.attempt.task.phase).median() {
            Some(usual) => progress.due(now, usual.over(progress.bytes), self.silence_max),
            // It is compared with the other live attempts, and they with it.
            None => Some(now),
        }
    }

    fn paces(&self, phase: Phase) -> &Paces {
        match phase {
            Phase::Map => &self.maps,
            Phase::Reduce => &self.reduces,
        }
    }
}

/// The median pace of live attempts.
fn median_so_far(live: impl Iterator<Item = Progress>) -> Option<Pace> {
    let mut paces = Paces::default();
    for progress in live.filter(Progress::is_measured) {
        if let Some(pace) = Pace::of(progress.age(progress.heard), progress.bytes_read) {
            paces.add(pace, progress.bytes_read);
        }
    }
    paces.median()
}

/// A worker that takes so many times as long as usual, unless it is done in no time, does not help.
/// Chosen by eye: above any jitter, and below what gives its own attempts a backup.
const SLOW: u32 = 2;

/// So many tasks are looked at whenever something changes: the cost is not noticed.
const FEW: u32 = 32;

/// How often more are looked at. Heartbeats, which show that an attempt is slow, come once a
/// second.
const PAUSE: Duration = Duration::from_millis(200);
