//! The history of a job, read from its journal: while it runs, and afterwards.
//!
//! What recovery asks of a journal is what is committed; here it is what happened. The two read the
//! same records and share nothing else: whatever is told here decides nothing.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::{FolderLock, Input, Modified, layout};

use crate::ending::{AttemptStory, Fate};
use crate::log::{self, JournalError};
use crate::plan::Plan;
use crate::record::{CANCELLED, DONE, FAILED, Phase, Record, Span, TaskId, unescape};

/// What a journal tells.
#[derive(Clone, Debug)]
pub struct History {
    /// Its id.
    pub job: String,
    /// Program and version that began it.
    pub build: String,
    /// How it stands.
    pub state: State,
    /// Every life of a driver of it, in order. At least one.
    pub lives: Vec<Life>,
    plan: Plan,
    reduce_tasks: u32,
    attempts: BTreeMap<TaskId, Vec<AttemptStory>>,
    /// Sizes of the bucket files of each map task, as it was last committed.
    left: BTreeMap<u32, Vec<u64>>,
}

/// One life of a driver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Life {
    /// The number that its attempts carry in their names.
    pub epoch: u64,
    /// Seconds since 1970.
    pub began_unix_seconds: u64,
    /// Until something was last recorded.
    pub lasted: Duration,
    /// How it ended, if it could say so.
    pub ended: Option<State>,
}

/// How a job, or a life of its driver, stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The user ended it, or nobody worked for it. It can be gone on with.
    Cancelled,
    /// Its driver was killed. It can be gone on with.
    CutOff,
    /// Every task is committed.
    Done,
    /// A task could not be done. It can be tried again.
    Failed,
    /// A driver is at it.
    Running,
}

/// There is no history that could be told.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The journal cannot be read.
    #[error("cannot tell what happened")]
    Journal(#[source] JournalError),
    /// There is no journal.
    #[error("{} holds no journal of a job; name the folder given to --files", path.display())]
    NoJob {
        /// The folder.
        path: PathBuf,
    },
}

/// The history of the job in `files`. A driver may be writing at it.
///
/// # Errors
///
/// When there is no journal, or it cannot be read.
pub fn history(files: &Path) -> Result<History, HistoryError> {
    let path = files.join(layout::journal().as_str());
    // Asked first: a job that ends in between has said so in its journal.
    let driven = FolderLock::is_held(files);
    let read = || log::read(&path);
    // A driver that cuts off what did not fit may do so between two looks of ours: once more then.
    let records = read().or_else(|_| read()).or_else(|_| read());
    let records = records.map_err(HistoryError::Journal)?.records;
    History::of(&records, driven).ok_or_else(|| HistoryError::NoJob { path: files.to_owned() })
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

    /// What a task was to do, for people.
    pub fn work(&self, task: TaskId) -> String {
        self.plan.describe(task)
    }

    /// The files that a task was to read of the inputs, each with its first byte and the one behind
    /// its last.
    pub fn splits(&self, task: TaskId) -> Vec<(&Path, u64, u64)> {
        match task.phase {
            Phase::Map => {
                let splits = self.plan.splits(task.index);
                splits.map(|split| (split.input.path.as_path(), split.start, split.end)).collect()
            }
            Phase::Reduce => Vec::new(),
        }
    }

    /// How many bytes a map task was to read.
    pub fn share_bytes(&self, map: u32) -> u64 {
        if map < self.plan.map_tasks().get() { self.plan.task_bytes(map) } else { 0 }
    }

    /// Every attempt at a task, in order.
    pub fn attempts(&self, task: TaskId) -> &[AttemptStory] {
        self.attempts.get(&task).map_or(&[], Vec::as_slice)
    }

    /// Whether a task is committed, and has not been recalled.
    pub fn is_committed(&self, task: TaskId) -> bool {
        self.attempts(task).iter().any(|attempt| attempt.fate == Fate::Committed)
    }

    /// Every task that was attempted, with its attempts.
    pub fn attempted(&self, phase: Phase) -> impl Iterator<Item = (TaskId, &[AttemptStory])> {
        let of_phase = move |(task, attempts): (&TaskId, _)| {
            (task.phase == phase).then_some((*task, Vec::as_slice(attempts)))
        };
        self.attempts.iter().filter_map(of_phase)
    }

    /// What `records` tell; nothing if they do not begin a job. `driven` says that a driver is at
    /// work in their folder.
    fn of(records: &[Record], driven: bool) -> Option<Self> {
        let Some(Record::Begin { job, build, map_tasks, reduce_tasks, .. }) = records.first()
        else {
            return None;
        };
        let input = |record: &Record| match record {
            Record::Input { path, bytes, modified_seconds, modified_nanos } => Some(Input {
                path: unescape(path),
                bytes: *bytes,
                modified: Modified { seconds: *modified_seconds, nanoseconds: *modified_nanos },
            }),
            Record::Begin { .. }
            | Record::End { .. }
            | Record::Ended { .. }
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
            lives: Vec::new(),
            plan: Plan::new(inputs, map_tasks),
            reduce_tasks: *reduce_tasks,
            attempts: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        for record in records {
            history.add(record);
        }
        let last = history.lives.last()?;
        history.state = match last.ended {
            Some(state) => state,
            None if driven => State::Running,
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
                self.lives.push(Life {
                    epoch: *epoch,
                    began_unix_seconds: *started_unix_seconds,
                    lasted: Duration::ZERO,
                    ended: None,
                });
            }
            Record::Input { .. } => {}
            Record::Map { task, attempt, worker, span, buckets, .. } => {
                let id = TaskId::map(*task);
                let bytes = self.share_bytes(*task);
                self.left.insert(*task, buckets.iter().map(|&(bytes, ..)| bytes).collect());
                self.commit(id, *attempt, worker, *span, bytes);
            }
            Record::Reduce { task, attempt, worker, span, .. } => {
                let bucket = |left: &Vec<u64>| left.get(*task as usize).copied();
                let bytes = self.left.values().filter_map(bucket).sum();
                self.commit(TaskId::reduce(*task), *attempt, worker, *span, bytes);
            }
            Record::Started { phase, task, attempt, worker, at_ms } => {
                let started = Duration::from_millis(*at_ms);
                self.lasted(started);
                let id = TaskId { phase: *phase, index: *task };
                let story = self.attempt(id, *attempt, worker);
                story.started = Some(started);
            }
            Record::Ended { phase, task, attempt, worker, span, bytes, ending } => {
                let id = TaskId { phase: *phase, index: *task };
                self.end(id, *attempt, worker, *span, *bytes, Fate::Ended(ending.clone()));
            }
            Record::Recalled { map, reduce, attempt, sentence } => {
                let by = format!("{}.a{attempt}", TaskId::reduce(*reduce));
                let fate = Fate::Recalled { by, sentence: sentence.clone() };
                self.supersede(TaskId::map(*map), &fate);
            }
            Record::End { outcome } => {
                let states =
                    [(CANCELLED, State::Cancelled), (DONE, State::Done), (FAILED, State::Failed)];
                let state = states.into_iter().find(|(name, _)| name == outcome);
                if let Some(life) = self.lives.last_mut() {
                    life.ended = state.map(|(_, state)| state);
                }
            }
        }
    }

    fn commit(&mut self, task: TaskId, number: u32, worker: &str, span: Option<Span>, bytes: u64) {
        // Whoever committed before without being recalled has left nothing that could be found.
        self.supersede(task, &Fate::Gone);
        match span {
            Some(span) => self.end(task, number, worker, span, Some(bytes), Fate::Committed),
            None => {
                let story = self.attempt(task, number, worker);
                story.bytes = Some(bytes);
                story.fate = Fate::Committed;
            }
        }
    }

    fn end(
        &mut self,
        task: TaskId,
        number: u32,
        worker: &str,
        span: Span,
        bytes: Option<u64>,
        fate: Fate,
    ) {
        let ended = Duration::from_millis(span.ended_ms);
        self.lasted(ended);
        let story = self.attempt(task, number, worker);
        story.started = Some(Duration::from_millis(span.started_ms));
        story.ended = Some(ended);
        story.bytes = bytes;
        story.fate = fate;
    }

    /// The attempt of the present life; a new one if it was not heard of before.
    fn attempt(&mut self, task: TaskId, number: u32, worker: &str) -> &mut AttemptStory {
        let life = self.lives.len();
        let attempts = self.attempts.entry(task).or_default();
        let known =
            attempts.iter().rposition(|attempt| attempt.life == life && attempt.number == number);
        let index = known.unwrap_or_else(|| {
            attempts.push(AttemptStory {
                life,
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

    /// Whoever committed `task` does not count any more.
    fn supersede(&mut self, task: TaskId, fate: &Fate) {
        for attempt in self.attempts.entry(task).or_default() {
            if attempt.fate == Fate::Committed {
                attempt.fate = fate.clone();
            }
        }
    }

    /// The present life is over: what was running is not any more.
    fn cut_off(&mut self) {
        for attempt in self.attempts.values_mut().flatten() {
            if attempt.fate == Fate::Running {
                attempt.fate = Fate::CutOff;
            }
        }
    }

    fn lasted(&mut self, until: Duration) {
        if let Some(life) = self.lives.last_mut() {
            life.lasted = life.lasted.max(until);
        }
    }
}

#[cfg(test)]
mod tests;
