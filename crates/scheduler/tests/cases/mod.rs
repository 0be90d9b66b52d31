//! Random jobs, and random events.
//!
//! Most choices are relative to what the scheduler did ("the attempt started last is done"): random
//! ids would hardly ever name a live attempt, and the reduce phase would not be reached.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use scheduler::{Abilities, AttemptId, Failure, Job, Limits, Phase, TaskId, WorkerId};

use crate::script::Event;

/// A random job and its events.
#[derive(Clone, Debug)]
pub struct Case {
    pub job: Job,
    pub limits: Limits,
    /// The tasks committed before a restart, in the order in which they are restored.
    pub restored: Vec<TaskId>,
    pub steps: Vec<Step>,
}

/// An event, some time after the one before.
#[derive(Clone, Debug)]
pub struct Step {
    pub pause: Duration,
    pub what: Choice,
}

/// An event, as far as it can be chosen before the scheduler has made its own choices. `recent`
/// picks an attempt, 0 for the last one started or to be published.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A worker asks for work, having registered first.
    Ask(WorkerId, Abilities),
    /// An event that names nothing the scheduler chose.
    Event(Event),
    /// The worker of a recent attempt, or another, reports that it is alive and running it.
    Beat { recent: usize, by: Option<WorkerId>, progress: u64, bytes: u64 },
    /// ... that it is done.
    Done { recent: usize, by: Option<WorkerId> },
    /// ... that it failed.
    Failed { recent: usize, by: Option<WorkerId>, failure: Failure },
    /// ... that its intermediate of a map task is lost. An attempt that reduces, if there are any.
    Lost { recent: usize, by: Option<WorkerId>, map: u32 },
    /// The caller could not deliver a recent attempt.
    Undelivered { recent: usize, by: Option<WorkerId> },
    /// The caller reports whether a recent publication succeeded; if it did so before, it repeats
    /// that.
    Settle { recent: usize, failure: Option<Failure> },
}

pub fn cases() -> impl Strategy<Value = Case> {
    let steps = prop::collection::vec(any::<u64>().prop_map(step), 1..STEPS_MAX);
    (jobs(), limits(), any::<u64>(), steps).prop_map(|(mut job, mut limits, number, mut steps)| {
        let mut dice = Dice(number);
        match dice.roll(6) {
            // A calm case, in which little expires: some effects need many steps of one attempt.
            0 | 1 => steps.iter_mut().for_each(|step| step.pause /= 100),
            // A race: few tasks, idle workers, and attempts that grow old.
            2 | 3 => {
                job.map_bytes = job.map_bytes.iter().take(3).map(|bytes| 1 + bytes).collect();
                job.map_needs.truncate(3);
                (limits.worker_timeout, limits.task_timeout) = (TIMEOUT_MAX, TIMEOUT_MAX);
                let steady = |pause: Duration| Duration::from_millis(300) + pause / 20;
                steps.iter_mut().for_each(|step| step.pause = steady(step.pause));
            }
            _ => {}
        }
        let restored = restored(&job, &mut dice);
        Case { job, limits, restored, steps }
    })
}

/// Nothing half of the time; else all maps, which leaves more of the steps to the reduces, or any
/// tasks. The phases come in either order. A reduce task may be committed while a map task is not:
/// that was recalled after it had been read.
fn restored(job: &Job, dice: &mut Dice) -> Vec<TaskId> {
    let (kind, maps_first) = (dice.roll(6), dice.roll(2) == 0);
    let maps = (0..).zip(&job.map_bytes).map(|(index, _)| TaskId::map(index));
    let mut tasks: Vec<TaskId> = maps.chain((0..job.reduce_tasks).map(TaskId::reduce)).collect();
    if !maps_first {
        tasks.reverse();
    }
    tasks.retain(|task| match kind {
        0 => dice.roll(2) == 0,
        1 => task.phase == Phase::Map || dice.roll(2) == 0,
        2 => task.phase == Phase::Map,
        _ => false,
    });
    tasks
}

fn jobs() -> impl Strategy<Value = Job> {
    let maps = prop::collection::vec((0..4_u64, 0..1_u32 << ABILITIES), 1..6);
    (maps, any::<bool>(), 1..4_u32).prop_map(|(maps, is_plain, reduce_tasks)| {
        let map_bytes = maps.iter().map(|&(bytes, _)| bytes).collect();
        let map_needs = maps.iter().map(|&(_, needs)| Abilities(needs));
        let map_needs = map_needs.filter(|_| !is_plain).collect();
        Job { map_bytes, map_needs, reduce_tasks }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let timeout = || (1..=TIMEOUT_MAX.as_secs()).prop_map(Duration::from_secs);
    let count = || prop_oneof![1..4_u32, Just(100)].prop_map(|n| NonZeroU32::new(n).expect("> 0"));
    let backups = prop::bool::weighted(0.9);
    (timeout(), timeout(), count(), count(), count(), backups).prop_map(
        |(worker_timeout, task_timeout, failures_max, losses_max, worker_failures_max, backups)| {
            Limits {
                worker_timeout,
                task_timeout,
                failures_max,
                losses_max,
                worker_failures_max,
                backups,
            }
        },
    )
}

/// A step is made from one random number: a strategy for each of its parts is ten times as slow,
/// and a case is shortened by dropping steps.
fn step(number: u64) -> Step {
    let mut dice = Dice(number);
    let millis = match dice.roll(100) {
        0..70 => 0,
        70..94 => dice.roll(500),
        94..99 => dice.roll(10) * 1000,
        _ => 60_000,
    };
    Step { pause: Duration::from_millis(millis), what: choice(&mut dice) }
}

fn choice(dice: &mut Dice) -> Choice {
    match dice.roll(1000) {
        0..260 => Choice::Ask(dice.worker(), dice.abilities()),
        260..290 => {
            let (worker, abilities) = (dice.worker(), dice.abilities());
            Choice::Event(Event::Register { worker, abilities })
        }
        290..320 => Choice::Event(Event::Idle { worker: dice.worker() }),
        320..370 => Choice::Event(Event::Beat { worker: dice.worker(), running: None }),
        370..380 => Choice::Event(Event::Leave { worker: dice.worker() }),
        380..390 => Choice::Event(Event::Died { worker: dice.worker() }),
        390..410 => {
            let attempt = dice.attempt();
            Choice::Event(Event::Done { worker: dice.worker(), attempt })
        }
        410..430 => Choice::Event(Event::Tick),
        430..431 => Choice::Event(Event::Cancel),
        431..540 => {
            let (recent, by, progress) = (dice.recent(), dice.by(), dice.progress());
            Choice::Beat { recent, by, progress, bytes: dice.roll(4) }
        }
        540..690 => Choice::Done { recent: dice.recent(), by: dice.by() },
        690..720 => {
            Choice::Failed { recent: dice.recent(), by: dice.by(), failure: dice.failure() }
        }
        720..800 => Choice::Lost { recent: dice.recent(), by: dice.by(), map: dice.map() },
        800..830 => Choice::Undelivered { recent: dice.recent(), by: dice.by() },
        _ => {
            let recent = dice.recent();
            Choice::Settle { recent, failure: (dice.roll(10) == 9).then(|| dice.failure()) }
        }
    }
}

/// A random number that is used up by being asked.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        let roll = self.0 % sides;
        self.0 /= sides;
        roll
    }

    fn worker(&mut self) -> WorkerId {
        WorkerId(1 + self.roll(5))
    }

    /// No other worker, most of the time.
    fn by(&mut self) -> Option<WorkerId> {
        (self.roll(8) == 7).then(|| self.worker())
    }

    fn recent(&mut self) -> usize {
        let span = [1, 4, 4, 30][self.roll(4) as usize];
        self.roll(span) as usize
    }

    /// Often the first, so that the same one is named again and again; one that may exist, or not.
    fn map(&mut self) -> u32 {
        let span = [1, 1, 2, 6][self.roll(4) as usize];
        self.roll(span) as u32
    }

    /// Often none yet.
    fn progress(&mut self) -> u64 {
        let span = [1, 10][self.roll(2) as usize];
        self.roll(span)
    }

    fn failure(&mut self) -> Failure {
        match self.roll(50) {
            49 => Failure::Fatal,
            40..49 => Failure::Violation,
            30..40 => Failure::Unable,
            _ => Failure::Transient,
        }
    }

    /// All of those that tasks need, half of the time.
    fn abilities(&mut self) -> Abilities {
        let all = Abilities((1 << ABILITIES) - 1);
        if self.roll(2) == 0 { all } else { Abilities(self.roll(1 << ABILITIES) as u32) }
    }

    /// One that may exist, or not.
    fn attempt(&mut self) -> AttemptId {
        let phase = if self.roll(2) == 0 { Phase::Map } else { Phase::Reduce };
        let task = TaskId { phase, index: self.roll(8) as u32 };
        AttemptId { task, number: self.roll(4) as u32 }
    }
}

/// As long as the default, so that a jump of a minute outlasts everything.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// The abilities that random tasks need some of.
const ABILITIES: u32 = 3;

/// Enough for most jobs to reach their reduce phase, and for many to end.
const STEPS_MAX: usize = 300;
