//! The job's history on disk. A task is committed when, and only when, its record is here.
//!
//! One record a line: `{"crc32":"9f0c21aa","record":{...}}`, where the checksum is taken over the
//! record's own bytes as they stand in the line. Records are appended and synced before anyone is
//! told of them, and the folder is synced when the journal is created, so that neither a crash nor
//! a power failure takes back what was said.
//!
//! Between the commits stands the story of every attempt: [`Record::Started`], [`Record::Ended`]
//! and [`Record::Recalled`]. These are *notes*: nobody is told anything because of them, so they
//! are appended without a sync of their own, the next commit's sync is theirs as well, and where
//! there is no room for one the job goes on without it. A power failure may take back the latest.
//! Whatever is said "since the life began" counts from the last [`Record::Begin`] or
//! [`Record::Resume`] before it.
//!
//! A new job begins with a new journal, put in place of the old one in one step. A job that was cut
//! off goes on in a copy of the journal it has, put in place in the same way. Either way the epoch
//! of this life is above all earlier ones, and on disk before the first task is handed out: no two
//! attempts in a folder's history share a name.

#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod possible;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Digest;

use crate::disk::{Disk, DiskFile, ThisMachine};
use crate::status::DiskFault;
pub use crate::story::{Death, Ending, FailureKind, Span};

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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Splits to intermediates.
    Map,
    /// Intermediates to outputs.
    Reduce,
}

impl From<scheduler::Phase> for Phase {
    fn from(phase: scheduler::Phase) -> Self {
        match phase {
            scheduler::Phase::Map => Self::Map,
            scheduler::Phase::Reduce => Self::Reduce,
        }
    }
}

impl From<Phase> for scheduler::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Map => Self::Map,
            Phase::Reduce => Self::Reduce,
        }
    }
}

impl Record {
    /// As the journal spells it.
    fn kind(&self) -> &'static str {
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
    pub(crate) fn map(
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

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A line in the middle is not what was written, or what was written cannot be.
    #[error(
        "{} is damaged in line {line}; move the folder away, or start the job over with --fresh",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Writing failed before. What the file holds is not known: a record behind half a record would
    /// be part of the same line, and be lost with it.
    #[error("{} is not written any more, after what went wrong before", path.display())]
    GivenUp {
        /// The journal.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The journal, or its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl JournalError {
    /// What was wrong with the disk, if it was that.
    pub(crate) fn disk(&self) -> Option<DiskFault> {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Self::Damaged { .. } | Self::GivenUp { .. } => None,
            Self::Io { source, .. }
                if [FileTooLarge, QuotaExceeded, StorageFull].contains(&source.kind()) =>
            {
                Some(DiskFault::Full)
            }
            Self::Io { .. } => Some(DiskFault::Refused),
        }
    }

    /// One for each who waits: an `io::Error` cannot be cloned.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Damaged { path, line } => Self::Damaged { path: path.clone(), line: *line },
            Self::GivenUp { path } => Self::GivenUp { path: path.clone() },
            Self::Io { operation, path, source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { operation, path: path.clone(), source }
            }
        }
    }
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// The length of what was written well.
    whole_bytes: u64,
    /// An append failed, or its sync.
    is_broken: bool,
}

impl Journal {
    /// Puts a new journal that holds `records` in the place of the one at `path`, if there is one,
    /// and syncs it.
    ///
    /// # Errors
    ///
    /// When the operating system refuses; the old journal is then untouched.
    pub fn create(path: &Path, records: &[Record]) -> Result<Self, JournalError> {
        Self::create_on(&ThisMachine, path, records)
    }

    pub(crate) fn create_on(
        disk: &dyn Disk,
        path: &Path,
        records: &[Record],
    ) -> Result<Self, JournalError> {
        Self::put(disk, path, &lines_of(records))
    }

    fn put(disk: &dyn Disk, path: &Path, lines: &[u8]) -> Result<Self, JournalError> {
        let fresh = path.with_extension("new");
        let put = Self::try_put(disk, path, &fresh, lines);
        if put.is_err() {
            // A half is of no use, and takes room.
            let _ = disk.remove(&fresh);
        }
        put
    }

    fn try_put(
        disk: &dyn Disk,
        path: &Path,
        fresh: &Path,
        lines: &[u8],
    ) -> Result<Self, JournalError> {
        let error = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { operation, path, source }
        };
        faults::reach("driver::begin", "");
        let mut file = disk.create(fresh).map_err(error("create", fresh))?;
        faults::tear("driver::begin-torn", "", |half| file.write(half), lines)
            .map_err(error("write", fresh))?;
        file.write(lines).map_err(error("write", fresh))?;
        file.sync().map_err(error("sync", fresh))?;
        faults::reach("driver::begin-written", "");
        disk.rename(fresh, path).map_err(error("replace", path))?;
        faults::reach("driver::begin-renamed", "");
        let folder = path.parent().expect("a journal lies in a folder");
        disk.sync_folder(folder).map_err(error("sync", folder))?;
        faults::reach("driver::begun", "");
        let whole_bytes = lines.len() as u64;
        Ok(Self { file, path: path.to_owned(), whole_bytes, is_broken: false })
    }

    /// Goes on with the journal at `path` behind its last whole record, with `record`. What is left
    /// of a torn one is cut off: half a line would swallow the next.
    ///
    /// All of it is written and synced anew. What an earlier life could not sync can be read, and
    /// is believed; but it may be in the memory of the system alone, and no later sync of that file
    /// would bring it to the disk.
    ///
    /// # Errors
    ///
    /// When the operating system refuses; the old journal is then untouched.
    pub fn resume(path: &Path, history: &History, record: &Record) -> Result<Self, JournalError> {
        Self::resume_on(&ThisMachine, path, history, record)
    }

    pub(crate) fn resume_on(
        disk: &dyn Disk,
        path: &Path,
        history: &History,
        record: &Record,
    ) -> Result<Self, JournalError> {
        let mut lines = disk.read(path).map_err(|source| JournalError::Io {
            operation: "read",
            path: path.to_owned(),
            source,
        })?;
        lines.truncate(history.whole_bytes as usize);
        write_record(&mut lines, record);
        Self::put(disk, path, &lines)
    }

    /// Appends `records` and syncs them, all with one sync.
    ///
    /// # Errors
    ///
    /// When the operating system refuses; and from then on, always.
    pub fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if self.is_broken {
            return Err(JournalError::GivenUp { path: self.path.clone() });
        }
        let appended = self.try_append(records);
        self.is_broken = appended.is_err();
        appended
    }

    /// Appends notes, and syncs nothing. If there is no room for them they are left out, and what
    /// was written of them is cut off again, so that the next commit finds its place.
    ///
    /// # Errors
    ///
    /// When the notes were left out; or when they could not be cut off, and from then on, always.
    pub fn note(&mut self, notes: &[Record]) -> Result<(), JournalError> {
        if self.is_broken {
            return Err(JournalError::GivenUp { path: self.path.clone() });
        }
        let lines = lines_of(notes);
        let error = |source| JournalError::Io {
            operation: "append a note to",
            path: self.path.clone(),
            source,
        };
        let Err(refused) = self.file.write(&lines).map_err(error) else {
            self.whole_bytes += lines.len() as u64;
            return Ok(());
        };
        self.is_broken = self.file.cut(self.whole_bytes).is_err();
        Err(refused)
    }

    fn try_append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let lines = lines_of(records);
        let path = &self.path;
        let error =
            |operation| move |source| JournalError::Io { operation, path: path.clone(), source };
        let kind = records.first().map_or("", Record::kind);
        faults::reach("driver::append", kind);
        faults::tear("driver::torn", kind, |half| self.file.write(half), &lines)
            .map_err(error("append to"))?;
        self.file.write(&lines).map_err(error("append to"))?;
        faults::refuse("driver::appended", kind).map_err(error("sync"))?;
        self.file.sync().map_err(error("sync"))?;
        self.whole_bytes += lines.len() as u64;
        faults::reach("driver::recorded", kind);
        Ok(())
    }
}

/// How a job ended that nothing is left to do of.
pub const DONE: &str = "done";

/// How a job ended in which a task could not be done.
pub const FAILED: &str = "failed";

/// How a job ended that the user ended, or that nobody worked for.
pub const CANCELLED: &str = "cancelled";

/// What a journal says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// The length of their lines. What the file has behind it is torn.
    pub whole_bytes: u64,
}

/// The journal at `path`; an empty one if there is no such file.
///
/// The last line may be torn, when a driver died while writing it: nobody was told of it, so it is
/// left out.
///
/// # Errors
///
/// When the file cannot be read, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<History, JournalError> {
    read_on(&ThisMachine, path)
}

fn read_on(disk: &dyn Disk, path: &Path) -> Result<History, JournalError> {
    match disk.read(path) {
        Ok(bytes) => {
            parse(&bytes).map_err(|line| JournalError::Damaged { path: path.to_owned(), line })
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(History::default()),
        Err(source) => Err(JournalError::Io { operation: "read", path: path.to_owned(), source }),
    }
}

/// The journal at `path`, as [`read`] has it, for whoever relies on what it says of a job: its
/// indices exist, its numbers can be true, and its epochs grow.
///
/// # Errors
///
/// As [`read`], or when a line is whole and no driver can have written it there.
pub fn read_job(path: &Path) -> Result<History, JournalError> {
    read_job_on(&ThisMachine, path)
}

pub(crate) fn read_job_on(disk: &dyn Disk, path: &Path) -> Result<History, JournalError> {
    let history = read_on(disk, path)?;
    match possible::possible(&history.records) {
        Ok(()) => Ok(history),
        Err(line) => Err(JournalError::Damaged { path: path.to_owned(), line }),
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

/// The history, or the number of the first damaged line.
fn parse(bytes: &[u8]) -> Result<History, usize> {
    let mut history = History::default();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse_line(line) {
            Some(record) => {
                history.records.push(record);
                history.whole_bytes += line.len() as u64;
            }
            None if lines.peek().is_none() => break,
            None => return Err(index + 1),
        }
    }
    Ok(history)
}

#[derive(Deserialize, Serialize)]
struct Line<'line> {
    crc32: String,
    #[serde(borrow)]
    record: &'line RawValue,
}

fn checksum(record: &RawValue) -> String {
    format!("{:08x}", Digest::of(record.get().as_bytes()).crc32)
}

fn lines_of(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        write_record(&mut lines, record);
    }
    lines
}

fn write_record(lines: &mut Vec<u8>, record: &Record) {
    let record = serde_json::value::to_raw_value(record)
        .expect("a record holds numbers and text only, which JSON can express");
    let line = Line { crc32: checksum(&record), record: &record };
    serde_json::to_writer(&mut *lines, &line).expect("writing to memory cannot fail");
    lines.push(b'\n');
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let line: Line<'_> = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    (line.crc32 == checksum(line.record)).then_some(())?;
    serde_json::from_str(line.record.get()).ok()
}

#[cfg(test)]
impl Journal {
    /// A journal on a full disk.
    pub(crate) fn on_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = std::fs::File::options().write(true).open(&path);
        let file = Box::new(file.expect("every Linux has /dev/full"));
        Self { file, path, whole_bytes: 0, is_broken: false }
    }
}

#[cfg(test)]
mod tests;
