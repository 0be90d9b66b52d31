//! Random jobs, and random things that happen to them.
//!
//! Most choices are relative to what the scheduler did ("the attempt started last is done"): ids
//! made up from nothing would hardly ever name a live attempt, and the reduce phase would not be
//! reached.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use scheduler::{AttemptId, Failure, Job, Limits, Phase, TaskId, WorkerId};

use crate::script::Event;

/// A random job and what happens to it.
#[derive(Clone, Debug)]
pub struct Case {
    pub job: Job,
    pub limits: Limits,
    pub steps: Vec<Step>,
}

/// One thing that happens, some time after the one before.
#[derive(Clone, Debug)]
pub struct Step {
    pub pause: Duration,
    pub what: Choice,
}

/// What to do, as far as it can be said before the scheduler has made its own choices. `recent`
/// picks an attempt, 0 for the last one started or to be published.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A worker asks for work, having registered first.
    Ask(WorkerId),
    /// An event that names nothing the scheduler chose.
    Event(Event),
    /// The worker of a recent attempt, or somebody else, says that it is alive and working on it.
    Beat { recent: usize, by: Option<WorkerId>, progress: u64 },
    /// ... that it is done.
    Done { recent: usize, by: Option<WorkerId> },
    /// ... that it failed.
    Failed { recent: usize, by: Option<WorkerId>, failure: Failure },
    /// The caller says how a recent publication went; if it said so before, it says the same.
    Settle { recent: usize, failure: Option<Failure> },
}

pub fn cases() -> impl Strategy<Value = Case> {
    let steps = prop::collection::vec(any::<u64>().prop_map(step), 1..STEPS_MAX);
    (jobs(), limits(), steps).prop_map(|(job, limits, steps)| Case { job, limits, steps })
}

fn jobs() -> impl Strategy<Value = Job> {
    (prop::collection::vec(0..4_u64, 1..6), 1..4_u32)
        .prop_map(|(map_bytes, reduce_tasks)| Job { map_bytes, reduce_tasks })
}

fn limits() -> impl Strategy<Value = Limits> {
    let timeout = || (1..=TIMEOUT_MAX.as_secs()).prop_map(Duration::from_secs);
    let count = || prop_oneof![1..4_u32, Just(100)].prop_map(|n| NonZeroU32::new(n).expect("> 0"));
    (timeout(), timeout(), count(), count(), count()).prop_map(
        |(worker_timeout, task_timeout, failures_max, losses_max, worker_failures_max)| Limits {
            worker_timeout,
            task_timeout,
            failures_max,
            losses_max,
            worker_failures_max,
        },
    )
}

/// A step is read off one random number: a strategy for each of its parts is ten times as slow, and
/// what makes a case short is dropping steps.
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
        0..300 => Choice::Ask(dice.worker()),
        300..330 => Choice::Event(Event::Register { worker: dice.worker() }),
        330..360 => Choice::Event(Event::Idle { worker: dice.worker() }),
        360..420 => Choice::Event(Event::Beat { worker: dice.worker(), running: None }),
        420..440 => Choice::Event(Event::Leave { worker: dice.worker() }),
        440..460 => {
            let attempt = dice.attempt();
            Choice::Event(Event::Done { worker: dice.worker(), attempt })
        }
        460..480 => Choice::Event(Event::Tick),
        480..481 => Choice::Event(Event::Cancel),
        481..600 => Choice::Beat { recent: dice.recent(), by: dice.by(), progress: dice.roll(10) },
        600..750 => Choice::Done { recent: dice.recent(), by: dice.by() },
        750..800 => {
            Choice::Failed { recent: dice.recent(), by: dice.by(), failure: dice.failure() }
        }
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

    /// Nobody else, most of the time.
    fn by(&mut self) -> Option<WorkerId> {
        (self.roll(8) == 7).then(|| self.worker())
    }

    fn recent(&mut self) -> usize {
        let span = [1, 4, 4, 30][self.roll(4) as usize];
        self.roll(span) as usize
    }

    fn failure(&mut self) -> Failure {
        if self.roll(50) == 49 { Failure::Fatal } else { Failure::Transient }
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

/// Enough for most jobs to reach their reduce phase, and for many to end.
const STEPS_MAX: usize = 300;
