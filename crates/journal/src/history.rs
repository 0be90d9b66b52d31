//! The history of a job, read from its journal: while it runs, and afterwards.
//!
//! Recovery asks a journal what is committed; a history is what happened. Both read the same
//! records and share nothing else: no decision depends on a history.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::{Input, Modified};

use crate::contact::is_driven;
use crate::disk::DiskFault;
use crate::ending::Ending;
use crate::file_log::FileLog;
use crate::findings::{Findings, JobFindings};
use crate::log::{JournalError, Log};
use crate::plan::{Plan, PlannedSplit};
use crate::record::{Outcome, Phase, Record, Span, Strikes, TaskId, unescape};

/// What happened to a job.
#[derive(Clone, Debug)]
pub struct History {
    /// Its id.
    pub job: String,
    /// Program and version that began it.
    pub build: String,
    /// Its state.
    pub state: State,
    /// One for each driver that ran it, in order. At least one.
    pub epochs: Vec<Epoch>,
    /// The workers that were set aside, in the order in which they were.
    pub set_aside: Vec<SetAside>,
    plan: Plan,
    reduce_tasks: u32,
    attempts: BTreeMap<TaskId, Vec<AttemptHistory>>,
    /// Sizes of the bucket files of each map task, as it was last committed.
    bucket_bytes: BTreeMap<u32, Vec<u64>>,
    /// What each map task has found, as it was last committed.
    findings: BTreeMap<u32, Findings>,
}

/// One driver runs the job, from its start to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Epoch {
    /// The number that its attempts carry in their names.
    pub number: u64,
    /// Seconds since 1970.
    pub began_unix_seconds: u64,
    /// Until something was last recorded.
    pub lasted: Duration,
    /// How it ended, if the driver could record that.
    pub ended: Option<State>,
}

/// A worker that failed or lost too many attempts to get more tasks while others could do them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetAside {
    /// In which of the job's epochs, counted from 1.
    pub epoch: usize,
    /// The worker: `w3 (host:pid)`.
    pub worker: String,
    /// All that it failed and lost in that epoch.
    pub strikes: Strikes,
    /// How the last of those attempts ended.
    pub last: Ending,
}

/// The state of a job, or of one epoch of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The user ended it. It can be resumed.
    Cancelled,
    /// Its driver was killed. It can be resumed.
    CutOff,
    /// Every task is committed.
    Done,
    /// A task could not be done. It can be tried again.
    Failed,
    /// There were no workers to do it. It can be resumed.
    NoWorkers,
    /// A driver runs it.
    Running,
}

impl State {
    fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Cancelled => Some(Self::Cancelled),
            Outcome::Done => Some(Self::Done),
            Outcome::Failed => Some(Self::Failed),
            Outcome::NoWorkers => Some(Self::NoWorkers),
            Outcome::Unknown => None,
        }
    }
}

/// One execution of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttemptHistory {
    /// Which of the job's epochs, counted from 1. Each numbers its attempts from 0.
    pub epoch: usize,
    /// Which attempt at its task, in that epoch.
    pub number: u32,
    /// The worker that executed it: `w3 (host:pid)`.
    pub worker: String,
    /// When it was assigned, since the beginning of its epoch; `None` where that was not recorded.
    pub started: Option<Duration>,
    /// When it was over.
    pub ended: Option<Duration>,
    /// How much it had read at its last heartbeat, if that is known.
    pub bytes: Option<u64>,
    /// How it ended, or that it still runs.
    pub fate: Fate,
}

impl AttemptHistory {
    /// How long it took, if it is over.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.saturating_sub(self.started?))
    }

    fn set_span(&mut self, span: Span) {
        self.started = Some(Duration::from_millis(span.started_ms));
        self.ended = Some(Duration::from_millis(span.ended_ms));
    }
}

/// How an attempt ended, or that it still runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It won, and its files count.
    Committed,
    /// Its driver was killed, or ended, before it was over.
    CutOff,
    /// It did not win.
    Ended(Ending),
    /// It won, and its files were gone when the job was resumed.
    Gone,
    /// It won, until its files were found to be lost.
    Recalled {
        /// The reduce attempt that found it: `r0.a0`.
        by: String,
        /// What was wrong.
        sentence: String,
    },
    /// It is not over.
    Running,
}

impl Fate {
    /// Why it does not count, in a word or two; `None` if it does, or still may.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Committed | Self::Running => None,
            Self::CutOff => Some("cut off with the driver".to_owned()),
            Self::Ended(ending) => Some(ending.cause()),
            Self::Gone => Some("output gone".to_owned()),
            Self::Recalled { .. } => Some("recalled".to_owned()),
        }
    }

    /// What was wrong with the disk, if it did not win because of that.
    pub fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Ended(ending) => ending.disk(),
            Self::Committed | Self::CutOff | Self::Gone | Self::Recalled { .. } | Self::Running => {
                None
            }
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed => f.write_str("committed: this is the one that counts"),
            Self::CutOff => f.write_str("cut off: its driver ended before it did"),
            Self::Ended(ending) => ending.fmt(f),
            Self::Gone => {
                f.write_str("committed, but its files were gone when the job was resumed")
            }
            Self::Recalled { by, sentence } => {
                write!(f, "committed, and recalled when {by} found: {sentence}")
            }
            Self::Running => f.write_str("still running"),
        }
    }
}

/// There is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The journal cannot be read.
    #[error("cannot read the history of the job")]
    Journal(#[source] JournalError),
    /// There is no journal.
    #[error("{} holds no journal of a job", path.display())]
    NoJob {
        /// The folder.
        path: PathBuf,
    },
}

/// The history of the job in `files`. A driver may be running it.
///
/// # Errors
///
/// When there is no journal, or it cannot be read.
pub fn history(files: &Path) -> Result<History, HistoryError> {
    let log = FileLog::in_folder(files);
    // Checked first: a job that ends in between has recorded its end.
    let is_driven = is_driven(files);
    // A driver may truncate what did not fit between two of our reads: then read once more.
    let recorded = log.read().or_else(|_| log.read()).or_else(|_| log.read());
    let records = recorded.map_err(HistoryError::Journal)?.records;
    History::of(&records, is_driven).ok_or_else(|| HistoryError::NoJob { path: files.to_owned() })
}

impl History {
    /// `N` or `M`.
    pub fn tasks(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Map => self.plan.map_tasks().get(),
            Phase::Reduce => self.reduce_tasks,
        }
    }

    /// How many files it reads.
    pub fn input_files(&self) -> usize {
        self.plan.inputs().len()
    }

    /// How many bytes they have.
    pub fn input_bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// How many inputs have each format, in words; empty if all are plain text.
    pub fn formats(&self) -> BTreeMap<String, usize> {
        self.plan.formats()
    }

    /// What its committed map tasks have found in the inputs besides words.
    pub fn findings(&self) -> JobFindings {
        JobFindings::of(&self.plan, self.findings.iter().map(|(&map, found)| (map, found)))
    }

    /// As of [`Plan::is_resumable`].
    pub fn is_resumable(&self) -> bool {
        self.plan.is_resumable()
    }

    /// What a task was to do, for people.
    pub fn work(&self, task: TaskId) -> String {
        self.plan.describe(task)
    }

    /// The files that a task was to read of the inputs, each with its first byte and the one behind
    /// its last.
    pub fn splits(&self, task: TaskId) -> Vec<(Cow<'_, Path>, u64, u64)> {
        match task.phase {
            Phase::Map => {
                let splits = self.plan.splits(task.index);
                let shown = splits.map(|PlannedSplit { input, start, end, .. }| {
                    (store::shown_input(&input.path), start, end)
                });
                shown.collect()
            }
            Phase::Reduce => Vec::new(),
        }
    }

    /// How many bytes a map task was to read.
    pub fn share_bytes(&self, map: u32) -> u64 {
        if map < self.plan.map_tasks().get() { self.plan.task_bytes(map) } else { 0 }
    }

    /// Every attempt at a task, in order.
    pub fn attempts(&self, task: TaskId) -> &[AttemptHistory] {
        self.attempts.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Whether a task is committed, and has not been recalled.
    pub fn is_committed(&self, task: TaskId) -> bool {
        self.attempts(task).iter().any(|attempt| attempt.fate == Fate::Committed)
    }

    /// Every task that was attempted, with its attempts.
    pub fn attempted(&self, phase: Phase) -> impl Iterator<Item = (TaskId, &[AttemptHistory])> {
        let of_phase = move |(task, attempts): (&TaskId, _)| {
            (task.phase == phase).then_some((*task, Vec::as_slice(attempts)))
        };
        self.attempts.iter().filter_map(of_phase)
    }

    /// From `records`; `None` if they do not begin a job. `is_driven` says that a driver is at work
    /// in their folder.
    fn of(records: &[Record], is_driven: bool) -> Option<Self> {
        let Some(Record::Begin { job, build, map_tasks, reduce_tasks, .. }) = records.first()
        else {
            return None;
        };
        let input = |record: &Record| match record {
            Record::Input { path, bytes, modified_seconds, modified_nanos, format } => {
                let modified =
                    Modified { seconds: *modified_seconds, nanoseconds: *modified_nanos };
                let input = Input { path: unescape(path), bytes: *bytes, modified };
                Some((input, format.clone()))
            }
            Record::Begin { .. }
            | Record::End { .. }
            | Record::Ended { .. }
            | Record::IntermediatesRemoved
            | Record::Map { .. }
            | Record::Recalled { .. }
            | Record::Reduce { .. }
            | Record::Resume { .. }
            | Record::Started { .. } => None,
        };
        let map_tasks = NonZeroU32::new(*map_tasks)?;
        let inputs = records.iter().filter_map(input).collect();
        let mut history = Self {
            job: job.clone(),
            build: build.clone(),
            state: State::Running,
            epochs: Vec::new(),
            set_aside: Vec::new(),
            plan: Plan::new(inputs, map_tasks),
            reduce_tasks: *reduce_tasks,
            attempts: BTreeMap::new(),
            bucket_bytes: BTreeMap::new(),
            findings: BTreeMap::new(),
        };
        for record in records {
            history.add(record);
        }
        let last = history.epochs.last()?;
        history.state = match last.ended {
            Some(state) => state,
            None if is_driven => State::Running,
            None => State::CutOff,
        };
        if history.state != State::Running {
            history.cut_off();
        }
        Some(history)
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::Begin { epoch, started_unix_seconds, .. }
            | Record::Resume { epoch, started_unix_seconds, .. } => {
                self.cut_off();
                self.epochs.push(Epoch {
                    number: *epoch,
                    began_unix_seconds: *started_unix_seconds,
                    lasted: Duration::ZERO,
                    ended: None,
                });
            }
            Record::Input { .. } | Record::IntermediatesRemoved => {}
            Record::Map { task, attempt, worker, span, buckets, findings } => {
                let id = TaskId::map(*task);
                let bytes = self.share_bytes(*task);
                let sizes = buckets.iter().map(|made| made.digest.bytes).collect();
                self.bucket_bytes.insert(*task, sizes);
                self.findings.insert(*task, findings.clone());
                self.commit(id, *attempt, worker, *span, bytes);
            }
            Record::Reduce { task, attempt, worker, span, .. } => {
                let bucket = |sizes: &Vec<u64>| sizes.get(*task as usize).copied();
                let bytes = self.bucket_bytes.values().filter_map(bucket).sum();
                self.commit(TaskId::reduce(*task), *attempt, worker, *span, bytes);
            }
            Record::Started { phase, task, attempt, worker, at_ms } => {
                let started = Duration::from_millis(*at_ms);
                self.lasted(started);
                let id = TaskId { phase: *phase, index: *task };
                self.attempt(id, *attempt, worker).started = Some(started);
            }
            Record::Ended { phase, task, attempt, worker, span, bytes, ending, set_aside } => {
                let id = TaskId { phase: *phase, index: *task };
                if let Some(strikes) = set_aside {
                    self.set_aside(worker, *strikes, ending);
                }
                let attempt = self.attempt(id, *attempt, worker);
                attempt.set_span(*span);
                attempt.bytes = *bytes;
                attempt.fate = Fate::Ended(ending.clone());
                self.lasted(Duration::from_millis(span.ended_ms));
            }
            Record::Recalled { map, reduce, attempt, sentence } => {
                let by = format!("{}.a{attempt}", TaskId::reduce(*reduce));
                let fate = Fate::Recalled { by, sentence: sentence.clone() };
                self.findings.remove(map);
                self.discount(TaskId::map(*map), &fate);
            }
            Record::End { outcome } => {
                if let Some(epoch) = self.epochs.last_mut() {
                    epoch.ended = State::of(*outcome);
                }
            }
        }
    }

    fn set_aside(&mut self, worker: &str, strikes: Strikes, last: &Ending) {
        let epoch = self.epochs.len();
        self.set_aside.retain(|one| (one.epoch, one.worker.as_str()) != (epoch, worker));
        let (worker, last) = (worker.to_owned(), last.clone());
        self.set_aside.push(SetAside { epoch, worker, strikes, last });
    }

    fn commit(&mut self, task: TaskId, number: u32, worker: &str, span: Option<Span>, bytes: u64) {
        // An attempt that committed before, and was not recalled, had left no files to be found.
        self.discount(task, &Fate::Gone);
        let attempt = self.attempt(task, number, worker);
        attempt.bytes = Some(bytes);
        attempt.fate = Fate::Committed;
        if let Some(span) = span {
            attempt.set_span(span);
            self.lasted(Duration::from_millis(span.ended_ms));
        }
    }

    /// The attempt of this epoch; a new one if it was not recorded before.
    fn attempt(&mut self, task: TaskId, number: u32, worker: &str) -> &mut AttemptHistory {
        let epoch = self.epochs.len();
        let attempts = self.attempts.entry(task).or_default();
        let known =
            attempts.iter().rposition(|attempt| attempt.epoch == epoch && attempt.number == number);
        let index = known.unwrap_or_else(|| {
            attempts.push(AttemptHistory {
                epoch,
                number,
                worker: worker.to_owned(),
                started: None,
                ended: None,
                bytes: None,
                fate: Fate::Running,
            });
            attempts.len() - 1
        });
        &mut attempts[index]
    }

    /// The attempt that committed `task` does not count any more.
    fn discount(&mut self, task: TaskId, fate: &Fate) {
        for attempt in self.attempts.entry(task).or_default() {
            if attempt.fate == Fate::Committed {
                attempt.fate = fate.clone();
            }
        }
    }

    /// This epoch is over: what was running is not any more.
    fn cut_off(&mut self) {
        for attempt in self.attempts.values_mut().flatten() {
            if attempt.fate == Fate::Running {
                attempt.fate = Fate::CutOff;
            }
        }
    }

    fn lasted(&mut self, until: Duration) {
        if let Some(epoch) = self.epochs.last_mut() {
            epoch.lasted = epoch.lasted.max(until);
        }
    }
}

#[cfg(test)]
mod tests;
