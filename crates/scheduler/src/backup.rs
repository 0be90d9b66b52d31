//! Decides which attempt is so far behind that another should race it: backup attempts.
//!
//! One slow machine must not hold the job up. When nothing waits and somebody is idle, the attempt
//! that would end last is begun once more elsewhere, if that is expected to end sooner; the first
//! to report wins. Dean and Ghemawat (2004) do so with whatever is left at the end of a phase. To
//! do it only for what is slow follows LATE (Zaharia, Konwinski, Joseph, Katz and Stoica,
//! "Improving MapReduce performance in heterogeneous environments", 2008): what counts is when an
//! attempt will end, told by how fast it got on so far; and a machine that is slow itself is no
//! help.
//!
//! Everything is weighed by bytes, or a large task would pass for a slow one. What is usual is the
//! median pace of what was reported in the phase. Before anything was, it is that of the attempts
//! under way: enough to see one of two fall behind. With nothing to compare with, nobody is slow.
//!
//! An attempt deserves a backup when all of these hold:
//!
//! * It has run for [`AGE_MIN`], and one and a half times as long as its task should take.
//! * A heartbeat from after `AGE_MIN` says how far it is; what is heard earlier says more of files
//!   that were opened than of reading them. Or its worker has been silent for half of its timeout:
//!   for so long an attempt is believed to go on as it did, and from then on to stand still.
//! * As it goes, it needs longer than another would that begins now. With the first of these, a
//!   jitter of twice the usual time is no reason.
//!
//! It is begun on a worker that is idle, in good standing, has not failed the task, and was not
//! slow itself with the latest attempt by which it could be measured.
//!
//! # What it costs
//!
//! An index of who deserves one next would have to move with the median, which every report moves.
//! Instead all attempts of the phase that run are looked at, and all that are far behind are raced
//! at once. Of more than [`FEW`] that is done only every [`PAUSE`]: each of them is heard from
//! about once a second, so that looking comes to a few steps an event however many there are, and
//! a backup that begins so much later still ends long before what it races.
//!
//! # Invariants
//!
//! * `maps` and `reduces` hold the pace of every attempt that was reported, unless its task is
//!   empty.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::id::{AttemptId, Phase, TaskId, WorkerId};
use crate::pace::{Pace, Paces};
use crate::progress::{AGE_MIN, Progress};
use crate::task::Task;
use crate::tasks::Tasks;
use crate::time::Time;
use crate::workers::Workers;

/// What is known of who is slow.
#[derive(Debug)]
pub(crate) struct Backups {
    /// For so long after a heartbeat an attempt is believed to go on as it did.
    silence_max: Duration,
    maps: Paces,
    reduces: Paces,
    /// Workers that were slow with the latest attempt by which they could be measured.
    slow: BTreeSet<WorkerId>,
    /// When everything that runs was looked at last.
    looked: Option<Time>,
}

/// What to do about those who are behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Choice {
    /// Begin these tasks once more, each on this worker. At least one.
    Start(Vec<(TaskId, WorkerId)>),
    /// Look again at this time, if nothing happens before; never, if `None`.
    Wait(Option<Time>),
}

impl Backups {
    pub(crate) fn new(worker_timeout: Duration) -> Self {
        Self {
            silence_max: worker_timeout / 2,
            maps: Paces::default(),
            reduces: Paces::default(),
            slow: BTreeSet::new(),
            looked: None,
        }
    }

    /// `attempt` of `task` is reported, and what else of the task is live has lost: so fast are
    /// their workers.
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

    /// Until when nothing is looked at, because so much runs and was looked at a moment ago.
    pub(crate) fn rests_until(&self, now: Time, tasks: &Tasks) -> Option<Time> {
        let running = tasks.counts(tasks.present_phase()).running;
        let until = self.looked.filter(|_| running > FEW)? + PAUSE;
        Some(until).filter(|&until| now < until)
    }

    /// What to do now. Looks at every task of the phase that runs, so ask only when nothing waits,
    /// somebody is idle, and there is no rest to be taken.
    pub(crate) fn look(&mut self, now: Time, tasks: &Tasks, workers: &Workers) -> Choice {
        self.looked = Some(now);
        self.choose(now, tasks, workers)
    }

    /// The same, without having looked.
    pub(crate) fn choose(&self, now: Time, tasks: &Tasks, workers: &Workers) -> Choice {
        let phase = tasks.present_phase();
        let running =
            || tasks.running(phase).filter_map(|task| Some((task, task.sole_progress()?)));
        let so_far = || median_so_far(running().map(|(_, progress)| progress));
        let Some(usual) = self.paces(phase).median().or_else(so_far) else {
            return Choice::Wait(None);
        };
        let mut helpers: VecDeque<WorkerId> =
            workers.idle_in_good_standing().filter(|worker| !self.slow.contains(worker)).collect();
        let mut behind = Vec::new();
        let mut wait: Option<Time> = None;
        for (task, progress) in running() {
            // Whoever asks next, or is not slow any more, is looked at then.
            if helpers.iter().all(|&worker| task.has_failed_on(worker)) {
                continue;
            }
            let expected = usual.over(progress.bytes);
            let Some(due) = progress.due(now, expected, self.silence_max) else { continue };
            if due > now {
                wait = Some(wait.map_or(due, |wait| wait.min(due)));
            } else {
                behind.push((Reverse(progress.remaining(now, self.silence_max)), task));
            }
        }
        // Who would end last goes first, and takes who asked first.
        behind.sort_unstable_by_key(|&(remaining, task)| (remaining, task.id()));
        let mut starts = Vec::new();
        for (_, task) in behind {
            let place = helpers.iter().position(|&worker| !task.has_failed_on(worker));
            if let Some(worker) = place.and_then(|place| helpers.remove(place)) {
                starts.push((task.id(), worker));
            }
        }
        if starts.is_empty() { Choice::Wait(wait) } else { Choice::Start(starts) }
    }

    /// When `task` may deserve a backup if nothing more is heard; never, if `None`.
    pub(crate) fn due(&self, now: Time, task: &Task) -> Option<Time> {
        let progress = task.sole_progress()?;
        match self.paces(progress.attempt.task.phase).median() {
            Some(usual) => progress.due(now, usual.over(progress.bytes), self.silence_max),
            // It is compared with the others that run, and they with it.
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

/// Who takes so many times as long as usual, and not for being done in no time, is no help. Chosen
/// by eye: above any jitter, and below what gives its own attempts a backup.
const SLOW: u32 = 2;

/// So many attempts are looked at whenever something happens: what that costs is not noticed.
const FEW: u32 = 32;

/// How often more are looked at. Heartbeats, by which attempts are told to be slow, come once a
/// second.
const PAUSE: Duration = Duration::from_millis(200);
