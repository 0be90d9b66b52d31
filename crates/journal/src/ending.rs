//! How attempts end, as the journal stores it and as messages say it.
//!
//! A job that fails, `mapmill why` and programs that read the journal use the descriptions here, so
//! that each end has one name. The types are twins of those of the scheduler and of the wire: those
//! carry errors and change with the code, these are read again years later.

use std::fmt;
use std::time::Duration;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use store::duration;

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
        /// Whether the other one is its backup; if not, this one was the backup.
        by_backup: bool,
    },
    /// With its bad records, the job has more of them than it may have.
    BadRecords {
        /// In all map tasks so far.
        found: u64,
        /// The limit.
        max: u64,
        /// The first that it has found, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<String>,
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
    /// The worker's parent process saw it die.
    Died(Death),
    /// The worker reported a failure.
    Failed {
        /// What kind of failure.
        failure: FailureKind,
        /// The file that it is about, if it is about one; escaped as inputs are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// If it was not permitted: between which users.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        users: Option<Users>,
        /// For people.
        sentence: String,
    },
    /// The worker was told to stop, and handed the task back.
    Left,
    /// The worker was silent for too long.
    Lost {
        /// For how long.
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
    /// An intermediate that it reads was missing or damaged.
    Starved {
        /// The map task that wrote it.
        map: u32,
        /// For people.
        sentence: String,
    },
    /// The worker sent heartbeats, but the attempt made no progress for too long.
    Stuck {
        /// For how long.
        still_ms: u64,
    },
    /// The worker disconnected before it could be assigned.
    Undelivered,
    /// The worker's report does not fit the task.
    #[serde(alias = "unfit")]
    Violation,
}

/// The user that was not permitted to do something, and the owner of what it was tried on, as the
/// worker's machine numbers them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Users {
    /// The worker process ran as this one.
    pub worker: u32,
    /// The file, or the nearest folder above it that the worker could see, belonged to this one.
    pub owner: u32,
}

/// How a process died.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Death {
    /// By itself.
    Exited {
        /// Its exit code.
        exit_code: i32,
    },
    /// By a signal.
    Signalled {
        /// Its number.
        signal: i32,
    },
}

/// The kinds of failures that a worker reports, by their names on the wire.
///
/// A kind that is not listed needs nothing here: [`FailureKind::text`] falls back to its name.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No space, quota or file size left.
    DiskFull,
    /// The task named a staging folder that is not its attempt's.
    ForeignStaging,
    /// The worker cannot read files of this format.
    FormatUnknown,
    /// An input is not what it was when the job was planned.
    InputChanged,
    /// The content of an input is not what its format says.
    InputDamaged,
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
    /// A path is outside the worker's roots.
    OutsideRoots,
    /// The worker's code panicked.
    Panicked,
    /// What the attempt had staged was missing, or not what it had written.
    StagingDamaged,
    /// The attempt had been executed before.
    StagingExists,
    /// Another user may have replaced a file or folder of the job.
    Tampered,
    /// Even the list of the words that are too long for memory was too long for it.
    TooManyLongWords,
    /// Any other kind, by its name.
    #[serde(untagged)]
    Other(String),
}

impl From<&str> for FailureKind {
    fn from(name: &str) -> Self {
        let kind = Self::deserialize(name.into_deserializer());
        kind.unwrap_or_else(|_: serde::de::value::Error| Self::Other(name.to_owned()))
    }
}

impl FailureKind {
    /// In a word or two.
    pub fn text(&self) -> String {
        let text = match self {
            Self::DiskFull => "disk full",
            Self::ForeignStaging => "foreign staging folder",
            Self::FormatUnknown => "format unknown",
            Self::InputChanged => "input changed",
            Self::InputDamaged => "input damaged",
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
            Self::Other(name) => return name.replace('_', " "),
        };
        text.to_owned()
    }
}

impl Ending {
    /// What was wrong with the disk, if that ended it.
    pub(crate) fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Failed { failure: FailureKind::DiskFull, .. } => Some(DiskFault::Full),
            Self::NotCommitted { disk, .. } | Self::Rejected { disk, .. } => *disk,
            Self::Abandoned
            | Self::BadRecords { .. }
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

    /// What was not permitted to a worker, and between which users.
    pub fn not_permitted(&self) -> Option<(&FailureKind, Users)> {
        match self {
            Self::Failed { failure, users, .. } => Some((failure, (*users)?)),
            Self::Abandoned
            | Self::BadRecords { .. }
            | Self::Superseded { .. }
            | Self::Conservation { .. }
            | Self::Died(_)
            | Self::Left
            | Self::Lost { .. }
            | Self::NotCommitted { .. }
            | Self::Rejected { .. }
            | Self::Starved { .. }
            | Self::Stuck { .. }
            | Self::Undelivered
            | Self::Violation => None,
        }
    }

    /// In a word or two.
    pub fn cause(&self) -> String {
        let cause = match self {
            Self::Abandoned => "no longer needed",
            Self::Superseded { .. } => "superseded",
            Self::BadRecords { .. } => "bad records",
            Self::Conservation { .. } => "words lost",
            Self::Died(_) => "worker died",
            Self::Failed { users: Some(_), .. } => "not permitted",
            Self::Failed { failure, users: None, .. } => return failure.text(),
            Self::Left => "handed back",
            Self::Lost { .. } => "worker lost",
            Self::NotCommitted { .. } => "not committed",
            Self::Rejected { .. } => "not published",
            Self::Starved { .. } => "intermediate lost",
            Self::Stuck { .. } => "stuck",
            Self::Undelivered => "not delivered",
            Self::Violation => "protocol violation",
        };
        cause.to_owned()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: &u64| duration::measured(Duration::from_millis(*ms));
        match self {
            Self::Abandoned => f.write_str("no longer needed: the job ended first"),
            Self::Superseded { by_backup: true } => f.write_str("superseded by its backup"),
            Self::Superseded { by_backup: false } => {
                f.write_str("superseded by the attempt that it was the backup of")
            }
            Self::BadRecords { found, max, first } => {
                let records = if *found == 1 { "record" } else { "records" };
                write!(f, "{found} bad {records}, and {max} are allowed")?;
                first.iter().try_for_each(|first| write!(f, "; the first: {first}"))
            }
            Self::Conservation { bucket, emitted, counted } => write!(
                f,
                "the map tasks emitted {emitted} words into bucket {bucket}, the reduce task \
                 counted {counted}; a defect, or damaged memory: the output is not published"
            ),
            Self::Died(death) => write!(f, "the worker process died: {death}"),
            Self::Failed { sentence, .. }
            | Self::NotCommitted { sentence, .. }
            | Self::Rejected { sentence, .. } => f.write_str(sentence),
            Self::Left => f.write_str("handed back: the worker was told to stop"),
            Self::Lost { silent_ms } => {
                write!(f, "lost: the worker was silent for {}", seconds(silent_ms))
            }
            Self::Starved { map, sentence } => write!(f, "{sentence}; m{map} runs again first"),
            Self::Stuck { still_ms } => write!(
                f,
                "stuck: heartbeats arrived, but the attempt made no progress for {}",
                seconds(still_ms)
            ),
            Self::Undelivered => f.write_str(
                "not delivered: the worker disconnected before the attempt could be assigned",
            ),
            Self::Violation => f.write_str("the worker's report does not fit its task"),
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

/// The names of fatal signals that have the same number on every system.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_kept_by_their_names_on_the_wire_known_or_not() {
        for (name, kind, text) in [
            ("disk_full", FailureKind::DiskFull, "disk full"),
            ("io", FailureKind::Io, "file error"),
            ("clock_stopped", FailureKind::Other("clock_stopped".to_owned()), "clock stopped"),
        ] {
            assert_eq!(FailureKind::from(name), kind);
            assert_eq!(kind.text(), text);
            let ending = Ending::Failed {
                failure: kind,
                path: None,
                users: None,
                sentence: "no".to_owned(),
            };
            let json = format!(r#"{{"outcome":"failed","failure":"{name}","sentence":"no"}}"#);
            assert_eq!(serde_json::to_string(&ending).unwrap(), json);
            assert_eq!(serde_json::from_str::<Ending>(&json).unwrap(), ending);
        }
    }
}
