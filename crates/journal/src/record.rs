//! What the lines of a journal say.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::Digest;

use crate::ending::Ending;
use crate::findings::Findings;
use crate::format::Format;

/// One line of the journal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Record {
    /// A job begins. Always the first record.
    Begin {
        /// Grows with every driver that runs a job in this folder, from 1.
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
        /// What a word is.
        words: WordRule,
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
        /// What it is.
        #[serde(default, skip_serializing_if = "Format::is_plain")]
        format: Format,
    },
    /// A map task is committed.
    Map {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// The worker that executed it.
        worker: String,
        /// When; older journals do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<Span>,
        /// The file of each bucket, by index.
        buckets: Vec<BucketMade>,
        /// What it has found besides words.
        #[serde(flatten)]
        findings: Findings,
    },
    /// A reduce task is committed.
    Reduce {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// The worker that executed it.
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
    /// Another driver resumes the job.
    Resume {
        /// Above all earlier ones.
        epoch: u64,
        /// Program and version.
        build: String,
        /// Seconds since 1970, for people.
        started_unix_seconds: u64,
    },
    /// This epoch is over. Only [`Self::IntermediatesRemoved`] follows a job that is done; the
    /// others may be resumed.
    End {
        /// How the job ended.
        outcome: Outcome,
    },
    /// The intermediates are no longer part of the results: they are removed, now or later. Follows
    /// the end of a job that is done, once at most, so that a program that does not know this
    /// record takes it for a torn line.
    IntermediatesRemoved,
    /// A note: an attempt was assigned to a worker.
    Started {
        /// Whether it maps or reduces.
        phase: Phase,
        /// The task's index.
        task: u32,
        /// The attempt's number, in this epoch.
        attempt: u32,
        /// The worker that executes it.
        worker: String,
        /// Milliseconds since this epoch began.
        at_ms: u64,
    },
    /// A note: an attempt is over that did not commit.
    Ended {
        /// Whether it mapped or reduced.
        phase: Phase,
        /// The task's index.
        task: u32,
        /// The attempt's number, in this epoch.
        attempt: u32,
        /// The worker that executed it.
        worker: String,
        /// When.
        span: Span,
        /// How much it had read at its last heartbeat, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Why.
        ending: Ending,
        /// If the worker gets no more tasks while others can: all that it has failed and lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_aside: Option<Strikes>,
    },
    /// A note: an intermediate of a committed map task is lost. The task is not committed any more.
    Recalled {
        /// The map task's index.
        map: u32,
        /// The reduce task that found it.
        reduce: u32,
        /// The number of its attempt, in this epoch.
        attempt: u32,
        /// What was wrong, for people.
        sentence: String,
    },
}

/// What a word is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WordRule {
    /// A run of letters.
    Letters,
    /// A run of anything but white space.
    Whitespace,
    /// A rule that this version does not have.
    #[serde(other)]
    Unknown,
}

/// How a job ended, as far as one driver ran it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The user ended it.
    Cancelled,
    /// Every task is committed.
    Done,
    /// A task could not be done.
    Failed,
    /// There were no workers to do it. Older versions read it as `Unknown`, and resume the job.
    NoWorkers,
    /// In a way that this version does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NoWorkers => "no workers",
            Self::Unknown => "unknown",
        })
    }
}

/// One bucket file of a map task.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "(u64, u32, u64)", into = "(u64, u32, u64)")]
pub struct BucketMade {
    /// Its length and checksum.
    pub digest: Digest,
    /// Its words.
    pub words: u64,
}

impl From<(u64, u32, u64)> for BucketMade {
    fn from((bytes, crc32, words): (u64, u32, u64)) -> Self {
        Self { digest: Digest { bytes, crc32 }, words }
    }
}

impl From<BucketMade> for (u64, u32, u64) {
    fn from(made: BucketMade) -> Self {
        (made.digest.bytes, made.digest.crc32, made.words)
    }
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

/// From when to when an attempt ran, counted from the beginning of its epoch by the driver's clock,
/// which stops while the process is stopped. One that committed ended with its report.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// Milliseconds until it was assigned to its worker.
    pub started_ms: u64,
    /// Milliseconds until it was over.
    pub ended_ms: u64,
}

/// The attempts of one epoch that count against a worker.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Strikes {
    /// Those that failed, were stuck, or could not be published.
    pub failed: u32,
    /// Those that were lost with it.
    pub lost: u32,
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed, lost } = self;
        write!(f, "{failed} failed, {lost} lost")
    }
}

impl Record {
    /// As the journal spells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "begin",
            Self::End { .. } => "end",
            Self::Ended { .. } => "ended",
            Self::Input { .. } => "input",
            Self::IntermediatesRemoved => "intermediates_removed",
            Self::Map { .. } => "map",
            Self::Recalled { .. } => "recalled",
            Self::Reduce { .. } => "reduce",
            Self::Resume { .. } => "resume",
            Self::Started { .. } => "started",
        }
    }
}

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

/// The path that [`escape`] has written so. Text that it cannot have written is kept as it is.
pub fn unescape(text: &str) -> PathBuf {
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
