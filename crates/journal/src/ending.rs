//! How attempts end: the words for it, in the journal and for people.
//!
//! Whatever tells of an attempt - the job that fails, `mapmill why`, a program that reads the
//! journal - tells it from here, so that nobody has two words for one thing. These are twins of
//! what the scheduler and the wire say: theirs carry errors and change with the code, these have to
//! be read again years later.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::DiskFault;

/// Why an attempt that is over did not commit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Ending {
    /// The job ended first.
    Abandoned,
    /// Another attempt at its task was the first to report.
    #[serde(alias = "beaten")]
    Superseded {
        /// Whether that had been started to race it; if not, it was started to race that.
        by_backup: bool,
    },
    /// It counted another number of words than the map tasks had emitted.
    Conservation {
        /// The bucket.
        bucket: u32,
        /// By all map tasks.
        emitted: u64,
        /// By this attempt.
        counted: u64,
    },
    /// The process that had started the worker saw it die.
    Died(Death),
    /// The worker said so.
    Failed {
        /// What kind of failure.
        failure: FailureKind,
        /// The file that it is about, if it is about one; escaped as inputs are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// For people.
        sentence: String,
    },
    /// The worker was told to stop, and handed the task back.
    Left,
    /// Nothing was heard of the worker for too long.
    Lost {
        /// For so long.
        silent_ms: u64,
    },
    /// Its output was published, but could not be made durable or recorded.
    NotCommitted {
        /// What was wrong with the disk, if it was that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<DiskFault>,
        /// For people.
        sentence: String,
    },
    /// What it staged is not what it reported, or could not be published.
    Rejected {
        /// What was wrong with the disk, if it was that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<DiskFault>,
        /// For people.
        sentence: String,
    },
    /// What a map task should have left for it was missing or damaged.
    Starved {
        /// The map task.
        map: u32,
        /// For people.
        sentence: String,
    },
    /// The worker was heard from, but the attempt stood still for too long.
    Stuck {
        /// For so long.
        still_ms: u64,
    },
    /// The worker was gone when it was to be told of it.
    Undelivered,
    /// What the worker reported does not fit the task.
    #[serde(alias = "unfit")]
    Violation,
}

/// How a process died.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Death {
    /// By itself.
    Exited {
        /// What it said.
        exit_code: i32,
    },
    /// By a signal.
    Signalled {
        /// Its number.
        signal: i32,
    },
}

/// The kinds of failures that a worker reports.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No space, quota or file size left.
    DiskFull,
    /// The task named a staging folder that is not its attempt's.
    ForeignStaging,
    /// An input is not what it was when the job was planned.
    InputChanged,
    /// An input is gone.
    InputMissing,
    /// An input cannot be read.
    InputUnreadable,
    /// An intermediate is not what its map task reported, and there is no such map task.
    IntermediateCorrupt,
    /// An intermediate is not there, and there is no such map task.
    IntermediateMissing,
    /// Another operation on a file failed.
    Io,
    /// A path lies outside the worker's roots.
    OutsideRoots,
    /// The worker's code gave up.
    Panicked,
    /// What the attempt had staged was missing, or not what it had written.
    StagingDamaged,
    /// The attempt had been executed before.
    StagingExists,
    /// Another user may have put something else in the place of a file or folder of the job.
    Tampered,
    /// So many words were too long to be held in memory that even their list was.
    TooManyLongWords,
}

/// What became of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was the winner, and is.
    Committed,
    /// Its driver was killed, or ended, before it was over.
    CutOff,
    /// It did not win.
    Ended(Ending),
    /// It was the winner, and what it had made was gone when the driver was started again.
    Gone,
    /// It was the winner, until what it had made was found to be lost.
    Recalled {
        /// The reduce attempt that found it: `r0.a0`.
        by: String,
        /// What was wrong.
        sentence: String,
    },
    /// It is not over.
    Running,
}

/// One execution of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttemptStory {
    /// In which life of the driver, from 1. Each counts its attempts anew.
    pub life: usize,
    /// Which attempt at its task, in that life, from 0.
    pub number: u32,
    /// Who executed it: `w3 (host:pid)`.
    pub worker: String,
    /// Since the beginning of its life, when it was given to its worker; `None` where that was not
    /// recorded.
    pub started: Option<Duration>,
    /// When it was over.
    pub ended: Option<Duration>,
    /// How much it had read when it was last heard of, as far as that is known.
    pub bytes: Option<u64>,
    /// What became of it.
    pub fate: Fate,
}

impl AttemptStory {
    /// How long it took, if it is over.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.saturating_sub(self.started?))
    }
}

impl Fate {
    /// Why it does not count, in a word or two; `None` if it does, or still may.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Committed | Self::Running => None,
            Self::CutOff => Some("cut off with the driver"),
            Self::Ended(ending) => Some(ending.cause()),
            Self::Gone => Some("output gone"),
            Self::Recalled { .. } => Some("recalled"),
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

impl Ending {
    /// What was wrong with the disk, if that ended it.
    fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Failed { failure: FailureKind::DiskFull, .. } => Some(DiskFault::Full),
            Self::NotCommitted { disk, .. } | Self::Rejected { disk, .. } => *disk,
            Self::Abandoned
            | Self::Superseded { .. }
            | Self::Conservation { .. }
            | Self::Died(_)
            | Self::Failed { .. }
            | Self::Left
            | Self::Lost { .. }
            | Self::Starved { .. }
            | Self::Stuck { .. }
            | Self::Undelivered
            | Self::Violation => None,
        }
    }

    /// In a word or two.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Abandoned => "not needed any more",
            Self::Superseded { .. } => "superseded",
            Self::Conservation { .. } => "words lost",
            Self::Died(_) => "worker died",
            Self::Failed { failure, .. } => failure.name(),
            Self::Left => "handed back",
            Self::Lost { .. } => "worker lost",
            Self::NotCommitted { .. } => "not committed",
            Self::Rejected { .. } => "not published",
            Self::Starved { .. } => "intermediate lost",
            Self::Stuck { .. } => "stuck",
            Self::Undelivered => "not delivered",
            Self::Violation => "protocol violation",
        }
    }
}

impl FailureKind {
    fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk full",
            Self::ForeignStaging => "foreign staging folder",
            Self::InputChanged => "input changed",
            Self::InputMissing => "input missing",
            Self::InputUnreadable => "input unreadable",
            Self::IntermediateCorrupt => "intermediate damaged",
            Self::IntermediateMissing => "intermediate missing",
            Self::Io => "file error",
            Self::OutsideRoots => "outside the worker's roots",
            Self::Panicked => "worker panicked",
            Self::StagingDamaged => "staged file damaged",
            Self::StagingExists => "executed twice",
            Self::Tampered => "not trusted",
            Self::TooManyLongWords => "too many long words",
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed => f.write_str("committed: this is the one that counts"),
            Self::CutOff => f.write_str("cut off: its driver ended before it did"),
            Self::Ended(ending) => ending.fmt(f),
            Self::Gone => f.write_str(
                "committed, but what it had made was gone when the driver was started again",
            ),
            Self::Recalled { by, sentence } => {
                write!(f, "committed, and recalled when {by} found: {sentence}")
            }
            Self::Running => f.write_str("still running"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        match self {
            Self::Abandoned => f.write_str("not needed any more: the job ended first"),
            Self::Superseded { by_backup: true } => f.write_str("superseded by its backup"),
            Self::Superseded { by_backup: false } => {
                f.write_str("superseded by the attempt it was to race")
            }
            &Self::Conservation { bucket, emitted, counted } => {
                write!(
                    f,
                    "the map tasks emitted {emitted} words into bucket {bucket}, the reduce task \
                 counted {counted}; a defect, or damaged memory: the output is not published"
                )
            }
            Self::Died(death) => write!(f, "the worker process died: {death}"),
            Self::Failed { sentence, .. }
            | Self::NotCommitted { sentence, .. }
            | Self::Rejected { sentence, .. } => f.write_str(sentence),
            Self::Left => f.write_str("handed back: the worker was told to stop"),
            Self::Lost { silent_ms } => {
                write!(f, "lost: nothing was heard of the worker for {:.1} s", seconds(*silent_ms))
            }
            Self::Starved { map, sentence } => write!(f, "{sentence}; m{map} runs again first"),
            Self::Stuck { still_ms } => write!(
                f,
                "stuck: the worker was heard of, but the attempt made no progress for {:.1} s",
                seconds(*still_ms)
            ),
            Self::Undelivered => {
                f.write_str("not delivered: the worker was gone when it was to be told")
            }
            Self::Violation => {
                f.write_str("the worker reported something else than the task asks for")
            }
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited { exit_code } => write!(f, "exit code {exit_code}"),
            Self::Signalled { signal } => match signal_name(signal) {
                Some(name) => write!(f, "killed by signal {signal} ({name})"),
                None => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

/// Of the signals that have the same number on every system, and that processes die of.
fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(i32, &str); 13] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|&(_, name)| name)
}
