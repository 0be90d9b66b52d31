//! Where a job's records are kept: what every log promises, and how it can fail.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::DiskFault;
use crate::record::Record;
use crate::validate::validate;

/// The records of a folder's job, in the order in which they were written.
///
/// One driver at a time appends, after it has opened the log for its epoch. Any process may read.
pub trait Log: Debug + Send {
    /// What messages call it.
    fn path(&self) -> &Path;

    /// What is recorded; nothing if there is no log yet.
    ///
    /// A record that a driver died while appending is left out: no caller has an answer that
    /// depends on it.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or is damaged before its end.
    fn read(&self) -> Result<Recorded, JournalError>;

    /// Begins an epoch, durably: from now on this driver appends.
    ///
    /// # Errors
    ///
    /// When the epoch cannot begin; the log is as it was.
    fn open(&mut self, opening: Opening<'_>) -> Result<(), JournalError>;

    /// Appends records, and returns when all of them are durable. The log is open.
    ///
    /// # Errors
    ///
    /// [`JournalError::Fenced`] when another driver has begun a later epoch, and other errors when
    /// the disk fails. After an error every append fails.
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError>;

    /// Appends notes. They are durable with the next records. The log is open.
    ///
    /// # Errors
    ///
    /// When the disk is full, and the notes are left out. If it is not known how much of them was
    /// written, every append fails from then on, as after an error of [`Self::append`].
    fn note(&mut self, notes: &[Record]) -> Result<(), JournalError>;

    /// [`Self::read`] for callers that rely on the records: their indices exist, their numbers are
    /// possible, and their epochs grow.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], or when a record is not one that a driver can have written there.
    fn read_valid(&self) -> Result<Recorded, JournalError> {
        let recorded = self.read()?;
        match validate(&recorded.records) {
            Ok(()) => Ok(recorded),
            Err(line) => Err(JournalError::Damaged { path: self.path().to_owned(), line }),
        }
    }
}

/// How an epoch begins.
#[derive(Clone, Copy, Debug)]
pub enum Opening<'records> {
    /// With a new job: these records take the place of all that are there, in one step.
    Begin(&'records [Record]),
    /// With the job that is there: `resume` follows what was `recorded`.
    Resume {
        /// As it was read.
        recorded: &'records Recorded,
        /// A [`Record::Resume`].
        resume: &'records Record,
    },
}

/// What a log holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recorded {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// Where the last of them ends, as the log counts. What it has behind that is torn.
    pub end: u64,
}

impl Recorded {
    /// The highest epoch that has begun; 0 if none has.
    pub fn last_epoch(&self) -> u64 {
        let epoch = |record: &Record| match record {
            Record::Begin { epoch, .. } | Record::Resume { epoch, .. } => Some(*epoch),
            Record::End { .. }
            | Record::Ended { .. }
            | Record::Input { .. }
            | Record::IntermediatesRemoved
            | Record::Map { .. }
            | Record::Recalled { .. }
            | Record::Reduce { .. }
            | Record::Started { .. } => None,
        };
        self.records.iter().filter_map(epoch).max().unwrap_or(0)
    }
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An earlier append failed. What the log holds is not known: a record behind half a record
    /// would be part of the same line, and be lost with it.
    #[error("{} is closed for writing because an earlier write failed", path.display())]
    Closed {
        /// The journal.
        path: PathBuf,
    },
    /// A line in the middle is damaged, or is one that no driver can have written.
    #[error("{} is damaged in line {line}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Another driver has begun a later epoch: nothing of this one counts any more.
    #[error("another driver has taken over {}", path.display())]
    Fenced {
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
            Self::Closed { .. } | Self::Damaged { .. } | Self::Fenced { .. } => None,
            Self::Io { source, .. } => Some(DiskFault::of(source)),
        }
    }

    /// A copy for each attempt that was to be recorded: an `io::Error` cannot be cloned.
    pub fn copy(&self) -> Self {
        match self {
            Self::Closed { path } => Self::Closed { path: path.clone() },
            Self::Damaged { path, line } => Self::Damaged { path: path.clone(), line: *line },
            Self::Fenced { path } => Self::Fenced { path: path.clone() },
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
