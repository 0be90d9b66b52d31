//! The user's input files: planned by the driver, read in ranges by workers, never written.
//!
//! The plan has the length of each file and the time when it was last modified. Every attempt
//! compares both when it opens the file and again when it has read it, because the splits of the
//! plan are wrong for a file that grows, shrinks or is edited during the job. An edit that keeps
//! the length within one tick of the file system's clock (milliseconds on ext4) is not detected.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::anchor;
use crate::input_error::{InputError, require_regular, require_regular_file, unreadable};
use crate::roots::Roots;

/// One input file as it was when the job was planned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Input {
    /// Absolute; any bytes, as file names are.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last modified.
    pub modified: Modified,
}

/// When a file was last modified, according to its file system.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Modified {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// The rest, less than a second.
    pub nanoseconds: u32,
}

impl Modified {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        // Outside of 0..1e9 only if the file system is damaged; then any constant will do.
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        Self { seconds: metadata.mtime(), nanoseconds }
    }
}

/// An input file that is open.
#[derive(Debug)]
pub struct InputFile {
    input: Input,
    file: File,
}

impl InputFile {
    /// Open a file of the plan, below `roots`; it must still be as it was planned.
    pub fn open(roots: &Roots, input: &Input) -> Result<Self, InputError> {
        let (file, metadata) = roots.open_input(&input.path)?;
        let file = Self { input: input.clone(), file };
        file.compare(&metadata)?;
        Ok(file)
    }

    /// Its length in the plan.
    pub fn bytes(&self) -> u64 {
        self.input.bytes
    }

    /// Read the bytes at `offset`. Fills `buffer` unless the planned end comes before; 0 is that
    /// end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, InputError> {
        let left = self.input.bytes.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut filled = 0;
        while filled < wanted {
            let position = offset + filled as u64;
            match self.file.read_at(&mut buffer[filled..wanted], position) {
                Ok(0) => {
                    self.check()?;
                    return Err(self.changed(position));
                }
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.input.path.clone();
                    return Err(InputError::Read { path, offset: position, source });
                }
            }
        }
        Ok(filled)
    }

    /// After reading: check that it is still as it was planned.
    pub fn check(&self) -> Result<(), InputError> {
        let metadata = self.file.metadata().map_err(unreadable(&self.input.path))?;
        self.compare(&metadata)
    }

    fn compare(&self, metadata: &Metadata) -> Result<(), InputError> {
        if metadata.len() != self.input.bytes || Modified::of(metadata) != self.input.modified {
            return Err(self.changed(metadata.len()));
        }
        Ok(())
    }

    fn changed(&self, now_bytes: u64) -> InputError {
        let path = self.input.path.clone();
        InputError::Changed { path, then_bytes: self.input.bytes, now_bytes }
    }
}

/// Open a file that the user names, wherever links lead, without waiting: opening a FIFO waits for
/// its writer, and opening a device can have an effect on it, so its kind is checked first.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata), InputError> {
    let seen = fs::metadata(path).map_err(unreadable(path))?;
    require_regular(path, seen.mode())?;
    let file = anchor::open_anywhere(path).map_err(unreadable(path))?;
    let opened = require_regular_file(path, &file)?;
    Ok((file, opened))
}

/// A file that was listed, before it is planned.
#[derive(Debug)]
pub struct ListedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl ListedFile {
    /// Open it.
    ///
    /// # Errors
    ///
    /// When it is no regular file any more, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        // Its kind was checked when it was listed. This is done for every file of a job: a system
        // call that can be omitted is.
        let file = anchor::open_anywhere(path).map_err(unreadable(path))?;
        let bytes = require_regular_file(path, &file)?.len();
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Read the bytes at `offset`. Fills `buffer` unless the end of the file comes before.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, InputError> {
        let left = self.bytes.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut filled = 0;
        while filled < wanted {
            match self.file.read_at(&mut buffer[filled..wanted], offset + filled as u64) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let (path, offset) = (self.path.clone(), offset + filled as u64);
                    return Err(InputError::Read { path, offset, source });
                }
            }
        }
        Ok(filled)
    }
}

/// The metadata of a file that the user names, if its length is that of its content.
///
/// Some file systems do not know the length of what they hold: `/proc` says 0, and so do some
/// mounts of cloud storage. A plan by lengths would leave the content out, so one byte beyond the
/// length is asked for. On a file system that knows its lengths this reads nothing.
pub(crate) fn measure(path: &Path) -> Result<Metadata, InputError> {
    let (mut file, metadata) = open_regular(path)?;
    let bytes = metadata.len();
    let mut beyond = [0];
    let read = match bytes {
        // Not every file of `/proc` can be read at an offset.
        0 => file.read(&mut beyond),
        bytes => file.read_at(&mut beyond, bytes),
    };
    if read.map_err(unreadable(path))? == 0 {
        return Ok(metadata);
    }
    // It may have grown since, as logs do.
    let metadata = file.metadata().map_err(unreadable(path))?;
    match metadata.len() > bytes {
        true => Ok(metadata),
        false => Err(InputError::Oversized { path: path.to_owned(), bytes }),
    }
}

#[cfg(test)]
mod tests;
