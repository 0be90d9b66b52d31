//! What the lines of a journal say.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::Digest;

use crate::ending::Ending;

/// One line of the journal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Record {
    /// A job begins. Always the first record.
    Begin {
        /// Grows with every life of a driver in this folder, from 1.
        epoch: u64,
        /// Chosen at random for this job.
        job: String,
        /// Program and version.
        build: String,
        /// Seconds since 1970, for people.
        started_unix_seconds: u64,
        /// `N`.
        map_tasks: u32,
        /// `M`.
        reduce_tasks: u32,
        /// The rule that says what a word is.
        words: String,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// An input of the job, in order. All of them follow `Begin`.
    Input {
        /// The path; bytes that are not UTF-8 are written as `\xHH`, and a backslash as `\\`.
        path: String,
        /// Its size.
        bytes: u64,
        /// Its modification time, seconds since 1970.
        modified_seconds: i64,
        /// Nanoseconds on top.
        modified_nanos: u32,
    },
    /// A map task is committed.
    Map {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// Who executed it.
        worker: String,
        /// When; older journals do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<Span>,
        /// Length, checksum and number of words of each bucket file.
        buckets: Vec<(u64, u32, u64)>,
        /// Bytes that were not UTF-8.
        invalid_bytes: u64,
    },
    /// A reduce task is committed.
    Reduce {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// Who executed it.
        worker: String,
        /// When; older journals do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<Span>,
        /// Length of the output.
        bytes: u64,
        /// Its checksum.
        crc32: u32,
        /// The sum of all counts.
        words: u64,
        /// Its lines.
        distinct_words: u64,
    },
    /// Another life of a driver goes on with the job.
    Resume {
        /// Above all earlier ones.
        epoch: u64,
        /// Program and version.
        build: String,
        /// Seconds since 1970, for people.
        started_unix_seconds: u64,
    },
    /// This life is over. Nothing follows a job that is done; the others may be resumed.
    End {
        /// [`DONE`], [`FAILED`] or [`CANCELLED`].
        outcome: String,
    },
    /// A note: an attempt is given to a worker.
    Started {
        /// Whether it maps or reduces.
        phase: Phase,
        /// The task's index.
        task: u32,
        /// The attempt's number, in this life.
        attempt: u32,
        /// Who executes it.
        worker: String,
        /// Milliseconds since this life began.
        at_ms: u64,
    },
    /// A note: an attempt is over that did not commit.
    Ended {
        /// Whether it mapped or reduced.
        phase: Phase,
        /// The task's index.
        task: u32,
        /// The attempt's number, in this life.
        attempt: u32,
        /// Who executed it.
        worker: String,
        /// When.
        span: Span,
        /// How much it had read when the worker was last heard of, if it said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Why.
        ending: Ending,
    },
    /// A note: what a committed map task made is lost. It is not committed any more.
    Recalled {
        /// The map task's index.
        map: u32,
        /// The reduce task that found it.
        reduce: u32,
        /// The number of its attempt, in this life.
        attempt: u32,
        /// What was wrong, for people.
        sentence: String,
    },
}

/// Map or reduce, as it is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Splits to intermediates.
    Map,
    /// Intermediates to outputs.
    Reduce,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Reduce => "reduce",
        })
    }
}

/// A task of a job: `m3`, `r0`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TaskId {
    /// Whether it maps or reduces.
    pub phase: Phase,
    /// Its index in its phase.
    pub index: u32,
}

impl TaskId {
    /// The map task with that index.
    pub fn map(index: u32) -> Self {
        Self { phase: Phase::Map, index }
    }

    /// The reduce task with that index.
    pub fn reduce(index: u32) -> Self {
        Self { phase: Phase::Reduce, index }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.phase {
            Phase::Map => 'm',
            Phase::Reduce => 'r',
        };
        write!(f, "{letter}{}", self.index)
    }
}

/// From when to when an attempt ran, counted from the beginning of the driver's life. That is the
/// driver's clock: it stands still while the process does. One that committed ended with its
/// report.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// Milliseconds until it was given to its worker.
    pub started_ms: u64,
    /// Milliseconds until it was over.
    pub ended_ms: u64,
}

impl Record {
    /// As the journal spells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "begin",
            Self::End { .. } => "end",
            Self::Ended { .. } => "ended",
            Self::Input { .. } => "input",
            Self::Map { .. } => "map",
            Self::Recalled { .. } => "recalled",
            Self::Reduce { .. } => "reduce",
            Self::Resume { .. } => "resume",
            Self::Started { .. } => "started",
        }
    }

    /// The record of a map task's commit.
    pub fn map(
        task: u32,
        attempt: u32,
        worker: &str,
        span: Option<Span>,
        buckets: &[(Digest, u64)],
        invalid_bytes: u64,
    ) -> Self {
        let buckets =
            buckets.iter().map(|(digest, words)| (digest.bytes, digest.crc32, *words)).collect();
        Self::Map { task, attempt, worker: worker.to_owned(), span, buckets, invalid_bytes }
    }
}

/// How a job ended that nothing is left to do of.
pub const DONE: &str = "done";

/// How a job ended in which a task could not be done.
pub const FAILED: &str = "failed";

/// How a job ended that the user ended, or that nobody worked for.
pub const CANCELLED: &str = "cancelled";

/// A path as text: bytes that are not UTF-8 become `\xHH`, and a backslash `\\`, so that no two
/// paths look the same.
pub fn escape(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The path that [`escape`] has written so. What it cannot have written is taken as it is.
pub(crate) fn unescape(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend(plain.as_bytes());
        let hexadecimal = escaped.strip_prefix('x').and_then(|digits| digits.get(..2));
        let byte = hexadecimal.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, length) = match byte {
            Some(byte) => (byte, 3),
            None => (b'\\', usize::from(escaped.starts_with('\\'))),
        };
        bytes.push(byte);
        rest = &escaped[length..];
    }
    bytes.extend(rest.as_bytes());
    OsString::from_vec(bytes).into()
}
