//! The lines of a journal, and the file that holds them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Digest;

use crate::disk::{Disk, DiskFault, DiskFile, ThisMachine};
use crate::record::Record;
use crate::validate::validate;

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
    pub fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::Damaged { .. } | Self::GivenUp { .. } => None,
            Self::Io { source, .. } if store::is_full(source) => Some(DiskFault::Full),
            Self::Io { .. } => Some(DiskFault::Refused),
        }
    }

    /// One for each who waits: an `io::Error` cannot be cloned.
    pub fn copy(&self) -> Self {
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

    /// As [`Self::create`], on another disk.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn create_on(
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
    pub fn resume(path: &Path, history: &Recorded, record: &Record) -> Result<Self, JournalError> {
        Self::resume_on(&ThisMachine, path, history, record)
    }

    /// As [`Self::resume`], on another disk.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn resume_on(
        disk: &dyn Disk,
        path: &Path,
        history: &Recorded,
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

/// What a journal says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recorded {
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
pub fn read(path: &Path) -> Result<Recorded, JournalError> {
    read_on(&ThisMachine, path)
}

fn read_on(disk: &dyn Disk, path: &Path) -> Result<Recorded, JournalError> {
    match disk.read(path) {
        Ok(bytes) => {
            parse(&bytes).map_err(|line| JournalError::Damaged { path: path.to_owned(), line })
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Recorded::default()),
        Err(source) => Err(JournalError::Io { operation: "read", path: path.to_owned(), source }),
    }
}

/// The journal at `path`, as [`read`] has it, for whoever relies on what it says of a job: its
/// indices exist, its numbers can be true, and its epochs grow.
///
/// # Errors
///
/// As [`read`], or when a line is whole and no driver can have written it there.
pub fn read_job(path: &Path) -> Result<Recorded, JournalError> {
    read_job_on(&ThisMachine, path)
}

/// As [`read_job`], on another disk.
///
/// # Errors
///
/// The same.
pub fn read_job_on(disk: &dyn Disk, path: &Path) -> Result<Recorded, JournalError> {
    let history = read_on(disk, path)?;
    match validate(&history.records) {
        Ok(()) => Ok(history),
        Err(line) => Err(JournalError::Damaged { path: path.to_owned(), line }),
    }
}

/// The history, or the number of the first damaged line.
pub(crate) fn parse(bytes: &[u8]) -> Result<Recorded, usize> {
    let mut history = Recorded::default();
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

pub(crate) fn write_record(lines: &mut Vec<u8>, record: &Record) {
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
    fn on_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = std::fs::File::options().write(true).open(&path);
        let file = Box::new(file.expect("every Linux has /dev/full"));
        Self { file, path, whole_bytes: 0, is_broken: false }
    }
}

#[cfg(test)]
mod tests;
