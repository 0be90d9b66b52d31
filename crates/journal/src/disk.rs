//! The few operations of a disk that the journal needs.
//!
//! A trait, because what a missing sync costs is only seen when the power fails: the simulation
//! puts a disk in its place that loses whatever was not synced.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use store::journal_file;

/// Why the disk of the results refused a write.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFault {
    /// The disk is full, or a quota or the limit of a file's size is reached.
    Full,
    /// Anything else: the disk is broken, read-only or gone.
    Refused,
}

impl DiskFault {
    pub(crate) fn of(error: &io::Error) -> Self {
        if store::is_full(error) { Self::Full } else { Self::Refused }
    }
}

/// Files by their paths.
pub trait Disk: Debug + Send + Sync {
    /// All that is in a file.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file, or errors of the disk.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// A new and empty file, in place of the one that is there, if there is one.
    ///
    /// # Errors
    ///
    /// Errors of the disk.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the file that has it, if there is one.
    ///
    /// # Errors
    ///
    /// Errors of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file, or errors of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder survive a power failure.
    ///
    /// # Errors
    ///
    /// Errors of the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file open for writing.
pub trait DiskFile: Debug + Send {
    /// Writes all of `bytes` behind what is there.
    ///
    /// # Errors
    ///
    /// Errors of the disk; then any part of them may have been written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Truncates the file to its first `bytes` bytes.
    ///
    /// # Errors
    ///
    /// Errors of the disk; then where the next bytes would go is not known.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes what was written survive a power failure.
    ///
    /// # Errors
    ///
    /// Errors of the disk; then what was written is lost.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl Disk for ThisMachine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        journal_file::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(journal_file::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        journal_file::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        journal_file::remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        journal_file::sync_folder(folder)
    }
}

impl DiskFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        self.seek(SeekFrom::Start(bytes)).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        // Includes the length, which is all of the metadata that is needed.
        self.sync_data()
    }
}
