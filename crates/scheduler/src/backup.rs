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
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::id::{AttemptId, Phase, TaskId, WorkerId};
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

/// A live attempt, as far as its heartbeats tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Course {
    pub(crate) attempt: AttemptId,
    pub(crate) worker: WorkerId,
    /// The size of its task.
    pub(crate) bytes: u64,
    pub(crate) started: Time,
    /// When a heartbeat named it last; when it started, if none has.
    pub(crate) heard: Time,
    /// How many bytes it had read by then.
    pub(crate) bytes_read: u64,
    /// When a heartbeat named it before that, and how many bytes it had read by then.
    pub(crate) before: (Time, u64),
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
        for course in task.courses() {
            let is_reported = course.attempt == attempt;
            let took = if is_reported { course.age(now) } else { course.total() };
            if let Some(usual) = usual.filter(|_| is_reported || course.is_told()) {
                if took <= usual.over(course.bytes).saturating_mul(SLOW) {
                    self.slow.remove(&course.worker);
                } else if took >= AGE_MIN {
                    self.slow.insert(course.worker);
                }
            }
            if let Some(pace) = Pace::of(took, course.bytes).filter(|_| is_reported) {
                match attempt.task.phase {
                    Phase::Map => self.maps.add(pace, course.bytes),
                    Phase::Reduce => self.reduces.add(pace, course.bytes),
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
        let courses =
            || tasks.running(phase).filter_map(|task| Some((task, task.single_course()?)));
        let so_far = || Paces::so_far(courses().map(|(_, course)| course)).median();
        let Some(usual) = self.paces(phase).median().or_else(so_far) else {
            return Choice::Wait(None);
        };
        let mut helpers: VecDeque<WorkerId> =
            workers.idle_in_good_standing().filter(|worker| !self.slow.contains(worker)).collect();
        let mut behind = Vec::new();
        let mut wait: Option<Time> = None;
        for (task, course) in courses() {
            // Whoever asks next, or is not slow any more, is looked at then.
            if helpers.iter().all(|&worker| task.has_failed_on(worker)) {
                continue;
            }
            let expected = usual.over(course.bytes);
            let Some(due) = course.due(now, expected, self.silence_max) else { continue };
            if due > now {
                wait = Some(wait.map_or(due, |wait| wait.min(due)));
            } else {
                behind.push((Reverse(course.remaining(now, self.silence_max)), task));
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
        let course = task.single_course()?;
        match self.paces(course.attempt.task.phase).median() {
            Some(usual) => course.due(now, usual.over(course.bytes), self.silence_max),
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

impl Course {
    fn age(&self, now: Time) -> Duration {
        now.0.saturating_sub(self.started.0)
    }

    /// Whether its heartbeats say how fast it is.
    fn is_told(&self) -> bool {
        self.age(self.heard) >= AGE_MIN
    }

    /// The earliest time, from `now` on, at which it deserves a backup that should take `expected`,
    /// unless more is heard of it; never, if `None`.
    fn due(&self, now: Time, expected: Duration, silence_max: Duration) -> Option<Time> {
        let silent = self.heard + silence_max;
        let of_age = self.started + AGE_MIN.max(expected.saturating_mul(3) / 2);
        let ripe = if self.is_told() { of_age } else { of_age.max(silent) }.max(now);
        if self.remaining(ripe, silence_max) > expected {
            return Some(ripe);
        }
        // If it goes on like this it has ended in time. If it is not heard of, it grows older and
        // gets no further.
        let (total, moving) = (self.total(), self.age(silent));
        let standing = total.checked_sub(moving).filter(|standing| !standing.is_zero())?;
        let overdue = self.started + scale(expected, moving.as_nanos(), standing.as_nanos());
        Some(overdue.max(silent).max(ripe))
    }

    /// How much longer it takes.
    fn remaining(&self, now: Time, silence_max: Duration) -> Duration {
        let (age, total) = (self.age(now), self.total());
        let moving = age.min(self.age(self.heard + silence_max));
        if total <= moving {
            return Duration::ZERO;
        }
        scale(age, total.as_nanos(), moving.as_nanos()).saturating_sub(age)
    }

    /// How long it takes in all: at the rate it had on the whole, or at its latest if that is
    /// better. On a busy machine an attempt may stand still for a moment, most of all at first.
    fn total(&self) -> Duration {
        let age = self.age(self.heard);
        let on_the_whole = scale(age, u128::from(self.bytes), u128::from(self.bytes_read));
        let (before, read_before) = self.before;
        let lately = self.heard.0.saturating_sub(before.0);
        let left = self.bytes.saturating_sub(self.bytes_read);
        let read_lately = self.bytes_read.saturating_sub(read_before);
        let rest = scale(lately, u128::from(left), u128::from(read_lately));
        on_the_whole.min(age.saturating_add(rest))
    }
}

/// The time for one byte, in picoseconds: a nanosecond would be too coarse.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Pace(u64);

impl Pace {
    fn of(took: Duration, bytes: u64) -> Option<Self> {
        let pace = took.as_nanos().saturating_mul(1000).checked_div(u128::from(bytes))?;
        Some(Self(u64::try_from(pace).unwrap_or(u64::MAX)))
    }

    /// Its first six binary digits.
    fn rounded(self) -> Self {
        let digits = u64::BITS - self.0.leading_zeros();
        let dropped = digits.saturating_sub(6);
        Self(self.0 >> dropped << dropped)
    }

    /// The time for so many bytes.
    fn over(self, bytes: u64) -> Duration {
        nanoseconds(u128::from(self.0) * u128::from(bytes) / 1000)
    }
}

/// Paces, each with the bytes that were read at it, and their median: half of all bytes were read
/// at that pace or faster.
///
/// By bytes, because what a task costs beside reading (opening files, syncing one) makes many small
/// ones look slow, and with a bucket for each letter most tasks are small.
///
/// Paces that differ by a thirtieth count as one, the slowest of them: that is near enough, and
/// takes no more room or time for a million attempts than for a hundred.
///
/// # Invariants
///
/// * `bytes` is the sum over all groups, and `faster` over those before `middle`.
/// * `faster` is less than half of `bytes`, and with the group of `middle` at least half.
#[derive(Debug, Default)]
struct Paces {
    /// By their paces, rounded.
    groups: BTreeMap<Pace, Group>,
    bytes: u128,
    /// Where the median is.
    middle: Pace,
    faster: u128,
}

/// Paces that are almost the same.
#[derive(Debug)]
struct Group {
    slowest: Pace,
    bytes: u128,
}

impl Paces {
    /// Those of attempts under way.
    fn so_far(courses: impl Iterator<Item = Course>) -> Self {
        let mut paces = Self::default();
        for course in courses.filter(Course::is_told) {
            if let Some(pace) = Pace::of(course.age(course.heard), course.bytes_read) {
                paces.add(pace, course.bytes_read);
            }
        }
        paces
    }

    fn add(&mut self, pace: Pace, bytes: u64) {
        let (bytes, rounded) = (u128::from(bytes), pace.rounded());
        let group = self.groups.entry(rounded).or_insert(Group { slowest: pace, bytes: 0 });
        group.slowest = group.slowest.max(pace);
        group.bytes += bytes;
        self.bytes += bytes;
        if rounded < self.middle {
            self.faster += bytes;
        }
        while 2 * self.faster >= self.bytes
            && let Some((&before, group)) = self.groups.range(..self.middle).next_back()
        {
            self.faster -= group.bytes;
            self.middle = before;
        }
        while let Some((&here, group)) = self.groups.range(self.middle..).next()
            && 2 * (self.faster + group.bytes) < self.bytes
        {
            self.faster += group.bytes;
            self.middle = Pace(here.0 + 1);
        }
    }

    fn median(&self) -> Option<Pace> {
        self.groups.range(self.middle..).next().map(|(_, group)| group.slowest)
    }
}

/// `duration * times / over`; as long as can be, if `over` is nothing and `times` is not.
fn scale(duration: Duration, times: u128, over: u128) -> Duration {
    if times == 0 {
        return Duration::ZERO;
    }
    let scaled = duration.as_nanos().saturating_mul(times).checked_div(over);
    scaled.map_or(Duration::MAX, nanoseconds)
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// No attempt has a backup before: most tasks have ended by then, and heartbeats come once a
/// second.
const AGE_MIN: Duration = Duration::from_secs(1);

/// Who takes so many times as long as usual, and not for being done in no time, is no help. Chosen
/// by eye: above any jitter, and below what gives its own attempts a backup.
const SLOW: u32 = 2;

/// So many attempts are looked at whenever something happens: what that costs is not noticed.
const FEW: u32 = 32;

/// How often more are looked at. Heartbeats, by which attempts are told to be slow, come once a
/// second.
const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_pace_at_which_half_of_the_bytes_were_read() {
        let mut state = 7_u64;
        let mut random = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % sides
        };
        for _ in 0..200 {
            let mut paces = Paces::default();
            let mut naive: Vec<(u64, u64)> = Vec::new();
            for _ in 0..30 {
                let (pace, bytes) = (random(9), 1 + random(50) * random(50));
                paces.add(Pace(pace), bytes);
                naive.push((pace, bytes));
                naive.sort_unstable();
                let all: u64 = naive.iter().map(|&(_, bytes)| bytes).sum();
                let mut sum = 0;
                let half = |&&(_, bytes): &&(u64, u64)| {
                    sum += bytes;
                    2 * sum >= all
                };
                let median = naive.iter().find(half).map(|&(pace, _)| Pace(pace));
                assert_eq!(paces.median(), median, "{naive:?}");
            }
        }
    }

    #[test]
    fn numbers_beyond_reason_do_not_overflow() {
        let course = |heard, bytes, bytes_read| Course {
            attempt: AttemptId { task: TaskId::map(0), number: 0 },
            worker: WorkerId(1),
            bytes,
            started: Time::default(),
            heard,
            bytes_read,
            before: (Time::default(), 0),
        };
        let ends = [Time::default(), Time(AGE_MIN), Time(Duration::MAX)];
        let durations = [Duration::ZERO, AGE_MIN, Duration::MAX];
        for (heard, now) in ends.iter().flat_map(|&heard| ends.map(|now| (heard, now))) {
            for (bytes, read) in [(0, 0), (0, 1), (1, 0), (1, u64::MAX), (u64::MAX, 1)] {
                let course = course(heard, bytes, read);
                for (expected, silence) in
                    durations.iter().flat_map(|&first| durations.map(|second| (first, second)))
                {
                    let due = course.due(now, expected, silence);
                    assert!(due.is_none_or(|due| due >= now), "{course:?}");
                }
                let pace = Pace::of(now.0, bytes);
                assert!(pace.is_none_or(|pace| pace.over(u64::MAX) <= Duration::MAX));
            }
        }
    }
}
