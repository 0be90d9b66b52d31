//! The log that is one file of lines: `.mapmill/journal.jsonl`.
//!
//! An epoch begins with a new file that takes the place of the old one in one step: with a new
//! job's records alone, or with a copy of what was recorded. Records are appended and synced; the
//! folder is synced when the file is new.
//!
//! Which driver may write is decided by its claim (the crate `store`); the file alone does no
//! fencing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::layout;

use crate::disk::{Disk, DiskFile, ThisMachine};
use crate::lines::{encode, parse};
use crate::log::{JournalError, Log, Opening, Recorded};
use crate::record::Record;

/// The journal of a results folder.
#[derive(Debug)]
pub struct FileLog {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Where a new file is written before it takes its place.
    draft: PathBuf,
    state: FileState,
}

#[derive(Debug)]
enum FileState {
    /// It can be read.
    Unopened,
    Open {
        file: Box<dyn DiskFile>,
        /// The length of what was written successfully.
        whole_bytes: u64,
    },
    /// An append failed, or its sync.
    Broken,
}

impl FileLog {
    /// The journal in the results folder `files`, on this machine's disk.
    pub fn in_folder(files: &Path) -> Self {
        Self::on(Arc::new(ThisMachine), files)
    }

    /// The same, on another disk.
    pub fn on(disk: Arc<dyn Disk>, files: &Path) -> Self {
        let path = path(files);
        let draft = path.with_extension("new");
        Self { disk, path, draft, state: FileState::Unopened }
    }

    /// Writes a new file in the claim of `epoch` first. A driver that claims a later epoch removes
    /// that claim before it reads the journal: then this one can no longer replace its file
    /// (fencing).
    #[must_use]
    pub fn drafted_in(self, epoch: u64) -> Self {
        let hidden = self.path.parent().unwrap_or(Path::new(""));
        let files = hidden.parent().unwrap_or(Path::new(""));
        let draft = files.join(layout::journal_draft(epoch).as_str());
        Self { draft, ..self }
    }

    /// Records durably that the intermediates of the finished job that was `recorded` are no longer
    /// part of the results. No driver may be running the job.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read or written: then it is unchanged.
    pub fn record_removal(&mut self, recorded: &Recorded) -> Result<(), JournalError> {
        self.put_with(recorded, &Record::IntermediatesRemoved)
    }

    /// Puts what was recorded and one more record in place of the file.
    fn put_with(&mut self, recorded: &Recorded, record: &Record) -> Result<(), JournalError> {
        let lines = self.disk.read(&self.path);
        let mut lines = lines.map_err(refused("read", &self.path))?;
        // A torn line would merge with the next.
        lines.truncate(usize::try_from(recorded.end).unwrap_or(usize::MAX));
        lines.extend(encode(std::slice::from_ref(record)));
        self.put(&lines)
    }

    /// Puts a new file that holds `lines` in place of the one that is there, if there is one,
    /// and syncs it.
    fn put(&mut self, lines: &[u8]) -> Result<(), JournalError> {
        let new = self.draft.clone();
        let put = self.try_put(&new, lines);
        if put.is_err() {
            // Half a file takes space that other files need.
            let _ = self.disk.remove(&new);
        }
        put
    }

    fn try_put(&mut self, new: &Path, lines: &[u8]) -> Result<(), JournalError> {
        faults::reach("driver::begin", "");
        let mut file = self.disk.create(new).map_err(refused("create", new))?;
        faults::tear("driver::begin-torn", "", |half| file.write(half), lines)
            .map_err(refused("write", new))?;
        file.write(lines).map_err(refused("write", new))?;
        file.sync().map_err(refused("sync", new))?;
        faults::reach("driver::begin-written", "");
        self.disk.rename(new, &self.path).map_err(refused("replace", &self.path))?;
        faults::reach("driver::begin-renamed", "");
        let folder = self.path.parent().expect("a journal is in a folder");
        self.disk.sync_folder(folder).map_err(refused("sync", folder))?;
        faults::reach("driver::begun", "");
        self.state = FileState::Open { file, whole_bytes: lines.len() as u64 };
        Ok(())
    }
}

impl Log for FileLog {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Recorded, JournalError> {
        match self.disk.read(&self.path) {
            Ok(lines) => parse(&lines)
                .map_err(|line| JournalError::Damaged { path: self.path.clone(), line }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::default()),
            Err(error) => Err(refused("read", &self.path)(error)),
        }
    }

    /// What was recorded is written and synced anew. What an earlier epoch could not sync can be
    /// read, and counts; but it may be in the page cache alone, and no later sync of that file
    /// would bring it to the disk.
    fn open(&mut self, opening: Opening<'_>) -> Result<(), JournalError> {
        match opening {
            Opening::Begin(records) => self.put(&encode(records)),
            Opening::Resume { recorded, resume } => self.put_with(recorded, resume),
        }
    }

    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let (file, whole_bytes) = self.state.file(&self.path)?;
        let lines = encode(records);
        let kind = records.first().map_or("", Record::kind);
        let appended = try_append(&mut **file, &self.path, &lines, kind);
        match &appended {
            Ok(()) => {
                *whole_bytes += lines.len() as u64;
                faults::reach("driver::recorded", kind);
            }
            Err(_) => self.state = FileState::Broken,
        }
        appended
    }

    /// Notes that do not fit on the disk are cut off again, so that the next record does not follow
    /// half a line.
    fn note(&mut self, notes: &[Record]) -> Result<(), JournalError> {
        let (file, whole_bytes) = self.state.file(&self.path)?;
        let lines = encode(notes);
        let Err(error) = file.write(&lines) else {
            *whole_bytes += lines.len() as u64;
            return Ok(());
        };
        if file.cut(*whole_bytes).is_err() {
            self.state = FileState::Broken;
        }
        Err(refused("append a note to", &self.path)(error))
    }
}

impl FileState {
    /// The file to append to, and its length.
    fn file(&mut self, path: &Path) -> Result<(&mut Box<dyn DiskFile>, &mut u64), JournalError> {
        match self {
            Self::Unopened => panic!("{} was not opened before it was appended to", path.display()),
            Self::Open { file, whole_bytes } => Ok((file, whole_bytes)),
            Self::Broken => Err(JournalError::Closed { path: path.to_owned() }),
        }
    }
}

fn try_append(
    file: &mut dyn DiskFile,
    path: &Path,
    lines: &[u8],
    kind: &str,
) -> Result<(), JournalError> {
    faults::reach("driver::append", kind);
    faults::tear("driver::torn", kind, |half| file.write(half), lines)
        .map_err(refused("append to", path))?;
    file.write(lines).map_err(refused("append to", path))?;
    faults::refuse("driver::appended", kind).map_err(refused("sync", path))?;
    file.sync().map_err(refused("sync", path))
}

/// Where the journal of the results folder `files` is.
fn path(files: &Path) -> PathBuf {
    files.join(layout::journal().as_str())
}

fn refused(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
