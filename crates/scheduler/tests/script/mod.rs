//! The language of the transcripts: an event or a question a line, then a line for each effect.
//!
//! Scenarios are written in it, and a random test that fails prints its events in it, ready to be
//! pasted into `scenarios/`:
//!
//! ```text
//! job maps=10,20 reduces=2 worker_timeout=10s task_timeout=10s failures=4 losses=16
//! register w1 at 0s                    timeout            when is the next deadline?
//! idle w1 at 0s                        snapshot           the job in numbers
//! beat w1 at 1s                        attempts m0        what became of each attempt
//! beat w1 m0.a0 5 at 2s
//! beat w1 m0.a0 5 300 at 2s            (of which 300 bytes are read)
//! done w1 m0.a0 at 3s
//! published m0.a0 3,4 at 3s            (`published r0.a0 at 3s` for a reduce)
//! publish-failed m0.a0 transient at 3s
//! failed w1 m0.a0 fatal at 3s
//! lost w1 r0.a0 m0 at 3s               (w1 reports that r0.a0 misses an intermediate of m0)
//! missing r0.a0 m1 at 3s               (the caller has seen that one of m1 is lost, too)
//! undelivered w1 m0.a0 at 3s
//! leave w1 at 4s
//! died w1 at 4s                        (as its parent process saw)
//! cancel at 4s
//! tick at 10s                          stranded           what no worker can do
//! ```
//!
//! A job may also set `needs=none,0+2` (the abilities that each map task needs; `register w1
//! can=0+2` says which a worker has), `worker_failures` and `backups`; limits that it does not set
//! are those of `Limits::default`. Between the job and the first event may stand what was committed
//! before a restart: `restore m0 3,4`, `restore r0`, and how often the intermediates of a map task
//! were lost: `restore m0 recalled=2`.
//!
//! The output of an event is its verdict or order, then the changes (`m0.a0 lost`, `w1 forgotten`,
//! `m0 recalled`, `job done`), then the actions it caused.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use scheduler::{
    Abilities, Action, AttemptId, Failure, Heartbeat, Job, Limits, Order, Phase, Role, Scheduler,
    TaskId, Time, Verdict, WorkerId,
};

/// Something that happens to a scheduler.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    Beat {
        worker: WorkerId,
        running: Option<Heartbeat>,
    },
    Cancel,
    Died {
        worker: WorkerId,
    },
    Done {
        worker: WorkerId,
        attempt: AttemptId,
    },
    Failed {
        worker: WorkerId,
        attempt: AttemptId,
        failure: Failure,
    },
    Idle {
        worker: WorkerId,
    },
    Leave {
        worker: WorkerId,
    },
    Lost {
        worker: WorkerId,
        attempt: AttemptId,
        map: u32,
    },
    Missing {
        attempt: AttemptId,
        map: u32,
    },
    PublishFailed {
        attempt: AttemptId,
        failure: Failure,
    },
    Published {
        attempt: AttemptId,
        bucket_bytes: Vec<u64>,
    },
    Register {
        worker: WorkerId,
        abilities: Abilities,
    },
    /// Happened before a restart, so it has no time.
    Restore {
        task: TaskId,
        bucket_bytes: Vec<u64>,
    },
    /// Happened before a restart, so it has no time.
    RestoreRecalls {
        map: u32,
        times: u32,
    },
    Tick,
    Undelivered {
        worker: WorkerId,
        attempt: AttemptId,
    },
}

/// The answer of a scheduler to a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    Order(Order),
    Verdict(Verdict),
}

/// The effects of one event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reaction {
    pub answer: Option<Answer>,
    /// Attempts that ended, workers that were forgotten, a map task that was recalled, the end of
    /// the job.
    pub changes: Vec<String>,
    pub actions: Vec<Action>,
}

/// A running job, and what the transcript has shown of it so far.
pub struct Script {
    pub scheduler: Scheduler,
    tasks: Vec<TaskId>,
    /// Which attempts of each task are known to have ended.
    ended: BTreeMap<TaskId, Vec<bool>>,
    /// Every worker that ever sent something, and whether the scheduler knew it last time.
    workers: BTreeMap<WorkerId, bool>,
    recalls: u64,
    over: bool,
    now: Time,
}

impl Script {
    pub fn new(job: &Job, limits: Limits) -> Self {
        let maps = (0..).zip(&job.map_bytes).map(|(index, _)| TaskId::map(index));
        let tasks = maps.chain((0..job.reduce_tasks).map(TaskId::reduce)).collect();
        Self {
            scheduler: Scheduler::new(job, limits),
            tasks,
            ended: BTreeMap::new(),
            workers: BTreeMap::new(),
            recalls: 0,
            over: false,
            now: Time::default(),
        }
    }

    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    /// Let `event` happen at `now`, check the scheduler, and collect all effects.
    pub fn apply(&mut self, now: Time, event: &Event) -> Reaction {
        self.now = now;
        let answer = feed(&mut self.scheduler, now, event);
        let actions = std::iter::from_fn(|| self.scheduler.poll_action()).collect();
        self.scheduler.assert_consistent();
        Reaction { answer, changes: self.changes(event), actions }
    }

    /// One line of a transcript, and its output.
    pub fn execute(&mut self, line: &str) -> Vec<String> {
        if line == "timeout" {
            let timeout = self.scheduler.poll_timeout();
            vec![timeout.map_or("never".to_owned(), |time| format!("at {time}"))]
        } else if line == "snapshot" {
            self.scheduler.snapshot().to_string().lines().map(str::to_owned).collect()
        } else if line == "stranded" {
            let stranded = self.scheduler.stranded();
            stranded.map(|(needs, tasks)| format!("{tasks} need {needs}")).collect()
        } else if let Some(task) = line.strip_prefix("attempts ") {
            self.attempts(parse_task(task))
        } else if line.starts_with("restore ") {
            self.apply(self.now, &line.parse().expect(line)).lines()
        } else {
            let (event, now) = line.rsplit_once(" at ").unwrap_or_else(|| panic!("when? {line}"));
            let now = Time(parse_duration(now));
            assert!(now >= self.now, "it is {} already: {line}", self.now);
            self.apply(now, &event.parse().expect(line)).lines()
        }
    }

    fn attempts(&self, task: TaskId) -> Vec<String> {
        let attempts = (0..).zip(self.scheduler.attempts(task)).map(|(number, record)| {
            let attempt = AttemptId { task, number };
            let role = if record.role == Role::Backup { " as backup" } else { "" };
            let started = format!("{attempt} on {}{role} from {}", record.worker, record.started);
            let ended = record.ended.map(|(time, end)| format!(" to {time}: {end}"));
            started + &ended.unwrap_or_default()
        });
        attempts.collect()
    }

    /// The changes since the last call.
    fn changes(&mut self, event: &Event) -> Vec<String> {
        let mut changes = Vec::new();
        if let Some(worker) = event.worker() {
            self.workers.entry(worker).or_default();
        }
        for (&worker, known) in &mut self.workers {
            let was_known = std::mem::replace(known, self.scheduler.knows(worker));
            if was_known && !*known {
                changes.push(format!("{worker} forgotten"));
            }
        }
        for &task in &self.tasks {
            let seen = self.ended.entry(task).or_default();
            for (number, record) in (0..).zip(self.scheduler.attempts(task)) {
                if seen.len() <= number as usize {
                    seen.push(false);
                }
                if let (Some((_, end)), false) = (record.ended, seen[number as usize]) {
                    changes.push(format!("{} {end}", AttemptId { task, number }));
                    seen[number as usize] = true;
                }
            }
        }
        let recalls = self.scheduler.snapshot().maps_recalled;
        if let Event::Lost { map, .. } | Event::Missing { map, .. } = *event
            && self.recalls < recalls
        {
            changes.push(format!("{} recalled", TaskId::map(map)));
        }
        self.recalls = recalls;
        if let (Some(outcome), false) = (self.scheduler.outcome(), self.over) {
            changes.push(format!("job {outcome}"));
            self.over = true;
        }
        changes
    }
}

impl Reaction {
    pub fn lines(&self) -> Vec<String> {
        let answer = self.answer.iter().map(ToString::to_string);
        let changes = self.changes.iter().cloned();
        answer.chain(changes).chain(self.actions.iter().map(ToString::to_string)).collect()
    }
}

impl Event {
    /// Whether it has a time.
    pub fn has_a_time(&self) -> bool {
        !matches!(self, Self::Restore { .. } | Self::RestoreRecalls { .. })
    }

    /// The worker that sent it, if one did.
    pub fn worker(&self) -> Option<WorkerId> {
        match *self {
            Self::Beat { worker, .. }
            | Self::Done { worker, .. }
            | Self::Failed { worker, .. }
            | Self::Idle { worker }
            | Self::Leave { worker }
            | Self::Lost { worker, .. }
            | Self::Register { worker, .. } => Some(worker),
            Self::Cancel
            | Self::Died { .. }
            | Self::Missing { .. }
            | Self::PublishFailed { .. }
            | Self::Published { .. }
            | Self::Restore { .. }
            | Self::RestoreRecalls { .. }
            | Self::Tick
            | Self::Undelivered { .. } => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beat { worker, running: None } => write!(f, "beat {worker}"),
            Self::Beat { worker, running: Some(Heartbeat { attempt, progress, bytes: 0 }) } => {
                write!(f, "beat {worker} {attempt} {progress}")
            }
            Self::Beat { worker, running: Some(Heartbeat { attempt, progress, bytes }) } => {
                write!(f, "beat {worker} {attempt} {progress} {bytes}")
            }
            Self::Cancel => f.write_str("cancel"),
            Self::Died { worker } => write!(f, "died {worker}"),
            Self::Done { worker, attempt } => write!(f, "done {worker} {attempt}"),
            Self::Failed { worker, attempt, failure } => {
                write!(f, "failed {worker} {attempt} {failure}")
            }
            Self::Idle { worker } => write!(f, "idle {worker}"),
            Self::Leave { worker } => write!(f, "leave {worker}"),
            Self::Lost { worker, attempt, map } => {
                write!(f, "lost {worker} {attempt} {}", TaskId::map(*map))
            }
            Self::Missing { attempt, map } => {
                write!(f, "missing {attempt} {}", TaskId::map(*map))
            }
            Self::PublishFailed { attempt, failure } => {
                write!(f, "publish-failed {attempt} {failure}")
            }
            Self::Published { attempt, bucket_bytes } if bucket_bytes.is_empty() => {
                write!(f, "published {attempt}")
            }
            Self::Published { attempt, bucket_bytes } => {
                write!(f, "published {attempt} {}", list(bucket_bytes))
            }
            Self::Register { worker, abilities: Abilities::NONE } => write!(f, "register {worker}"),
            Self::Register { worker, abilities } => write!(f, "register {worker} can={abilities}"),
            Self::Restore { task, bucket_bytes } if bucket_bytes.is_empty() => {
                write!(f, "restore {task}")
            }
            Self::Restore { task, bucket_bytes } => {
                write!(f, "restore {task} {}", list(bucket_bytes))
            }
            Self::RestoreRecalls { map, times } => {
                write!(f, "restore {} recalled={times}", TaskId::map(*map))
            }
            Self::Tick => f.write_str("tick"),
            Self::Undelivered { worker, attempt } => write!(f, "undelivered {worker} {attempt}"),
        }
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words[..] {
            ["beat", worker] => Self::Beat { worker: parse_worker(worker), running: None },
            ["beat", worker, attempt, progress, ref bytes @ ..] => {
                let progress = progress.parse().expect("progress is a number");
                let bytes = bytes.first().map_or(0, |bytes| bytes.parse().expect("so are bytes"));
                let running = Some(Heartbeat { attempt: parse_attempt(attempt), progress, bytes });
                Self::Beat { worker: parse_worker(worker), running }
            }
            ["cancel"] => Self::Cancel,
            ["died", worker] => Self::Died { worker: parse_worker(worker) },
            ["done", worker, attempt] => {
                Self::Done { worker: parse_worker(worker), attempt: parse_attempt(attempt) }
            }
            ["failed", worker, attempt, failure] => Self::Failed {
                worker: parse_worker(worker),
                attempt: parse_attempt(attempt),
                failure: parse_failure(failure),
            },
            ["idle", worker] => Self::Idle { worker: parse_worker(worker) },
            ["leave", worker] => Self::Leave { worker: parse_worker(worker) },
            ["missing", attempt, map] => {
                Self::Missing { attempt: parse_attempt(attempt), map: parse_task(map).index }
            }
            ["lost", worker, attempt, map] => Self::Lost {
                worker: parse_worker(worker),
                attempt: parse_attempt(attempt),
                map: parse_task(map).index,
            },
            ["publish-failed", attempt, failure] => Self::PublishFailed {
                attempt: parse_attempt(attempt),
                failure: parse_failure(failure),
            },
            ["published", attempt] => {
                Self::Published { attempt: parse_attempt(attempt), bucket_bytes: Vec::new() }
            }
            ["published", attempt, bytes] => {
                Self::Published { attempt: parse_attempt(attempt), bucket_bytes: parse_list(bytes) }
            }
            ["register", worker, ref can @ ..] => {
                let can = can.first().map_or("none", |can| can.strip_prefix("can=").expect(line));
                Self::Register { worker: parse_worker(worker), abilities: parse_abilities(can) }
            }
            ["restore", task] => Self::Restore { task: parse_task(task), bucket_bytes: Vec::new() },
            ["restore", map, times] if times.starts_with("recalled=") => Self::RestoreRecalls {
                map: parse_task(map).index,
                times: times["recalled=".len()..].parse().expect("a number of times"),
            },
            ["restore", task, bytes] => {
                Self::Restore { task: parse_task(task), bucket_bytes: parse_list(bytes) }
            }
            ["tick"] => Self::Tick,
            ["undelivered", worker, attempt] => {
                Self::Undelivered { worker: parse_worker(worker), attempt: parse_attempt(attempt) }
            }
            _ => return Err(format!("no such event: {line}")),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

/// The line that starts a transcript with this job.
pub fn format_job(job: &Job, limits: &Limits) -> String {
    let needs: Vec<String> = job.map_needs.iter().map(Abilities::to_string).collect();
    let needs =
        if needs.is_empty() { String::new() } else { format!("needs={} ", needs.join(",")) };
    format!(
        "job maps={} {needs}reduces={} worker_timeout={} task_timeout={} failures={} losses={} \
         worker_failures={} backups={}",
        list(&job.map_bytes),
        job.reduce_tasks,
        Time(limits.worker_timeout),
        Time(limits.task_timeout),
        limits.failures_max,
        limits.losses_max,
        limits.worker_failures_max,
        if limits.backups { "on" } else { "off" },
    )
}

/// The job that a transcript starts with. Limits that it does not set have their default.
pub fn parse_job(line: &str) -> (Job, Limits) {
    let mut job = Job { map_bytes: vec![1], map_needs: Vec::new(), reduce_tasks: 1 };
    let mut limits = Limits::default();
    let settings = line.strip_prefix("job ").unwrap_or_else(|| panic!("not a job: {line}"));
    for setting in settings.split(' ') {
        let (name, value) = setting.split_once('=').expect(setting);
        let count = || NonZeroU32::from_str(value).expect(setting);
        match name {
            "maps" => job.map_bytes = parse_list(value),
            "needs" => job.map_needs = value.split(',').map(parse_abilities).collect(),
            "reduces" => job.reduce_tasks = value.parse().expect(setting),
            "worker_timeout" => limits.worker_timeout = parse_duration(value),
            "task_timeout" => limits.task_timeout = parse_duration(value),
            "failures" => limits.failures_max = count(),
            "losses" => limits.losses_max = count(),
            "backups" => limits.backups = value == "on",
            "worker_failures" => limits.worker_failures_max = count(),
            _ => panic!("no such setting: {setting}"),
        }
    }
    (job, limits)
}

fn feed(scheduler: &mut Scheduler, now: Time, event: &Event) -> Option<Answer> {
    match *event {
        Event::Beat { worker, running } => {
            return Some(Answer::Order(scheduler.handle_heartbeat(now, worker, running)));
        }
        Event::Done { worker, attempt } => {
            return Some(Answer::Verdict(scheduler.handle_done(now, worker, attempt)));
        }
        Event::Failed { worker, attempt, failure } => {
            let verdict = scheduler.handle_failed(now, worker, attempt, failure);
            return Some(Answer::Verdict(verdict));
        }
        Event::Lost { worker, attempt, map } => {
            return Some(Answer::Verdict(scheduler.handle_lost(now, worker, attempt, map)));
        }
        Event::Cancel => scheduler.handle_cancel(now),
        Event::Died { worker } => scheduler.handle_died(now, worker),
        Event::Idle { worker } => scheduler.handle_idle(now, worker),
        Event::Leave { worker } => scheduler.handle_leave(now, worker),
        Event::Missing { attempt, map } => {
            scheduler.handle_missing(now, attempt, map);
        }
        Event::PublishFailed { attempt, failure } => {
            scheduler.handle_publish_failed(now, attempt, failure);
        }
        Event::Published { attempt, ref bucket_bytes } => {
            scheduler.handle_published(now, attempt, bucket_bytes);
        }
        Event::Register { worker, abilities } => {
            scheduler.handle_register(now, worker, abilities);
        }
        Event::Restore { task, ref bucket_bytes } => match task.phase {
            Phase::Map => scheduler.restore_map(task.index, bucket_bytes),
            Phase::Reduce => scheduler.restore_reduce(task.index),
        },
        Event::RestoreRecalls { map, times } => scheduler.restore_recalls(map, times),
        Event::Tick => scheduler.handle_timeout(now),
        Event::Undelivered { worker, attempt } => {
            scheduler.handle_undelivered(now, worker, attempt);
        }
    }
    None
}

fn parse_worker(text: &str) -> WorkerId {
    let number = text.strip_prefix('w').and_then(|number| number.parse().ok());
    WorkerId(number.unwrap_or_else(|| panic!("not a worker: {text}")))
}

fn parse_task(text: &str) -> TaskId {
    let (phase, index) = text.split_at(1);
    let phase = match phase {
        "m" => Phase::Map,
        "r" => Phase::Reduce,
        _ => panic!("not a task: {text}"),
    };
    TaskId { phase, index: index.parse().expect(text) }
}

fn parse_attempt(text: &str) -> AttemptId {
    let (task, number) = text.split_once(".a").unwrap_or_else(|| panic!("not an attempt: {text}"));
    AttemptId { task: parse_task(task), number: number.parse().expect(text) }
}

fn parse_failure(text: &str) -> Failure {
    match text {
        "fatal" => Failure::Fatal,
        "transient" => Failure::Transient,
        "unable" => Failure::Unable,
        "violation" => Failure::Violation,
        _ => panic!("not a kind of failure: {text}"),
    }
}

/// What [`Time`] prints, in seconds or milliseconds: `11s`, `1.5s`, `250ms`.
fn parse_duration(text: &str) -> Duration {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or_else(|| panic!("not a time: {text}")), 1.0),
    };
    Duration::from_secs_f64(number.parse::<f64>().expect(text) * unit)
}

/// What [`Abilities`] print: `none`, `0`, `0+2`.
fn parse_abilities(text: &str) -> Abilities {
    let bits = text.split('+').filter(|bit| *bit != "none");
    let ability = |bit: &str| Abilities(1 << bit.parse::<u32>().expect(text));
    bits.map(ability).fold(Abilities::NONE, Abilities::union)
}

fn parse_list(text: &str) -> Vec<u64> {
    text.split(',').map(|number| number.parse().expect(text)).collect()
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
