//! What a seed means: a job, its workers, and which faults strike when.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use driver::Limits;
use rpc::message::{WordRule, WordRules};

use crate::random::Random;
use crate::report::Fault;

/// One simulation, before it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub texts: Vec<String>,
    pub map_tasks: NonZeroU32,
    pub reduce_tasks: NonZeroU32,
    pub rules: WordRules,
    pub limits: Limits,
    pub workers: usize,
    /// When the driver of each machine is started.
    pub drivers: Vec<Duration>,
    /// Of each worker: the default, or so little that every few words make a run, and that a long
    /// word is kept by itself.
    pub memory_bytes: u64,
    /// How long a call of the store takes at most.
    pub call_millis_max: usize,
    /// In order of time.
    pub events: Vec<Planned>,
}

/// A fault, with its time and duration.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub at: Duration,
    pub lasts: Duration,
    pub fault: Fault,
    /// Which worker, if it concerns one.
    pub worker: usize,
    /// Which machine of a driver, if it concerns one.
    pub machine: usize,
}

/// After so long all faults are healed, and the job has to end.
pub const HEALED_AFTER: Duration = Duration::from_secs(45);

impl Plan {
    pub fn new(random: &Random, faults: &[Fault]) -> Self {
        let aside = random.aside();
        let has_standby = faults.contains(&Fault::FrozenDriver) && aside.percent(STANDBY_PERCENT);
        let workers = random.between(1, 5);
        let texts = (0..random.between(1, 3)).map(|_| text(random)).collect();
        let of_one: Vec<Fault> =
            faults.iter().copied().filter(|fault| *fault != Fault::FrozenDriver).collect();
        let mut events = events(random, &of_one, workers);
        let mut drivers = vec![Duration::ZERO];
        if has_standby {
            drivers.push(aside.millis(0, *aside.pick(&[0, 1_000, 20_000])));
            add_takeovers(&aside, &mut events);
        }
        for event in &mut events {
            event.lasts = event.lasts.min(HEALED_AFTER - event.at);
        }
        events.sort_by_key(|event| event.at);
        let mut plan = Self {
            texts,
            map_tasks: number(random, 8),
            reduce_tasks: number(random, 5),
            rules: WordRules {
                rule: *random.pick(&[WordRule::Letters, WordRule::Letters, WordRule::Whitespace]),
                ignore_case: random.percent(30),
            },
            limits: limits(random),
            workers,
            drivers,
            memory_bytes: memory_bytes(random),
            call_millis_max: *random.pick(&[20, 100, 400, 1_500]),
            events,
        };
        // Its reduce tasks are hundreds of calls: with slow calls, one such task takes as long as
        // the whole job may take after the faults are healed, and repeating it is no defect.
        if plan.memory_bytes < MEMORY_USUAL {
            plan.call_millis_max = plan.call_millis_max.min(CALL_MILLIS_OF_MANY);
        }
        plan
    }
}

/// One fault of each kind, of [`KINDS_MIN`] kinds at most, early; then any faults at any time.
fn events(random: &Random, faults: &[Fault], workers: usize) -> Vec<Planned> {
    let event = |fault, at| Planned {
        at,
        lasts: random.millis(50, *random.pick(&[500, 5_000, 15_000, 30_000])),
        fault,
        worker: random.below(workers),
        machine: 0,
    };
    let mut events = Vec::new();
    let mut kinds: Vec<Fault> = BTreeSet::from_iter(faults.iter().copied()).into_iter().collect();
    while events.len() < KINDS_MIN && !kinds.is_empty() {
        let kind = kinds.swap_remove(random.below(kinds.len()));
        events.push(event(kind, random.millis(0, EARLY_MILLIS)));
    }
    if !faults.is_empty() {
        for _ in 0..random.between(0, 12) {
            events.push(event(*random.pick(faults), random.millis(0, 30_000)));
        }
    }
    events
}

/// Spreads the faults over the machines of two drivers, of which one stands by, and adds faults by
/// which it takes over, or nearly so.
fn add_takeovers(random: &Random, events: &mut Vec<Planned>) {
    for event in &mut *events {
        event.machine = random.below(2);
    }
    for _ in 0..random.between(1, 3) {
        let fault = *random.pick(&[Fault::FrozenDriver, Fault::FrozenDriver, Fault::CrashedDriver]);
        // A claim is stale after 8 s, and is taken over after 10 s.
        let (least, most) =
            *random.pick(&[(500, 8_000), (7_000, 13_000), (12_000, 30_000), (12_000, 30_000)]);
        events.push(Planned {
            at: random.millis(0, *random.pick(&[EARLY_MILLIS, EARLY_MILLIS, 15_000])),
            lasts: random.millis(least, most),
            fault,
            worker: 0,
            machine: random.below(2),
        });
    }
}

/// How many percent of the jobs have a second driver.
const STANDBY_PERCENT: usize = 25;

/// Each job has faults of so many kinds at least, if there are so many.
pub const KINDS_MIN: usize = 6;

/// Most jobs still run then.
const EARLY_MILLIS: usize = 2_000;

/// Half of the jobs fail after as many failures as by default, and are started again then.
fn limits(random: &Random) -> Limits {
    let timeout = random.millis(4_000, 12_000);
    let usual = Limits { worker_timeout: timeout, task_timeout: timeout, ..Limits::default() };
    if random.percent(50) {
        return usual;
    }
    let patience = NonZeroU32::new(1000).expect("not zero");
    Limits { failures_max: patience, losses_max: patience, ..usual }
}

fn memory_bytes(random: &Random) -> u64 {
    // A sixty-fourth of what is left is read at once.
    let little = worker::simulation::FLOOR_BYTES + *random.pick(&[64 * 32, 64 * 100, 64 * 400]);
    if random.percent(40) { little } else { MEMORY_USUAL }
}

/// By default.
const MEMORY_USUAL: u64 = 256 << 20;

/// The slowest call of a worker that has little memory.
const CALL_MILLIS_OF_MANY: usize = 20;

fn number(random: &Random, most: usize) -> NonZeroU32 {
    NonZeroU32::new(random.between(1, most) as u32).expect("at least one")
}

fn text(random: &Random) -> String {
    let words = random.between(0, *random.pick(&[3, 40, 600]));
    let mut text = String::new();
    for _ in 0..words {
        text.push_str(random.pick::<&str>(&WORDS));
        text.push_str(random.pick::<&str>(&GAPS));
    }
    text
}

const WORDS: [&str; 20] = [
    "a",
    "A",
    "the",
    "The",
    "zebra",
    "naïve",
    "Straße",
    "ÉCOLE",
    "école",
    "слово",
    "Слово",
    "言葉",
    "don't",
    "2nd",
    "x1y",
    "word",
    "Word",
    "İstanbul",
    "ǅ",
    "supercalifragilisticexpialidocious",
];

const GAPS: [&str; 7] = [" ", "\n", ", ", "  ", " \u{2014} ", "\t", "."];
