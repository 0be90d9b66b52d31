//! The user's input files: planned by the driver, read in ranges by workers, never written.
//!
//! The plan has the length of each file and the time when it was last modified. Every attempt
//! compares both when it opens the file and again when it has read it, because the splits of the
//! plan are wrong for a file that grows, shrinks or is edited during the job. An edit that keeps
//! the length within one tick of the file system's clock (milliseconds on ext4) is not detected.

use std::error::Error;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::FileType;

use crate::anchor;
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
        // Outside of 0..1e9 only if the file system is damaged; then any constant is as good.
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

/// An input cannot be planned or read.
#[derive(Debug)]
pub enum InputError {
    /// It is not as it was planned.
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length in the plan.
        then_bytes: u64,
        /// Its length now; the same if only its time of modification differs.
        now_bytes: u64,
    },
    /// A symbolic link leads nowhere.
    Dangling {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// There is a symbolic link on the way, where the plan had none.
    Linked {
        /// The file.
        path: PathBuf,
    },
    /// It does not exist.
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// Some arguments name no input file, or there are no arguments.
    NoFiles {
        /// Those arguments.
        arguments: Vec<PathBuf>,
    },
    /// It is not a regular file: its length is unknown, and it may not end.
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// It is below none of the roots.
    OutsideRoots {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed.
    Read {
        /// The file.
        path: PathBuf,
        /// How far it could be read.
        offset: u64,
        /// The error of the system.
        source: io::Error,
    },
    /// It cannot be opened, or its metadata cannot be read.
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { path, then_bytes, now_bytes } if then_bytes == now_bytes => {
                let path = path.display();
                write!(
                    f,
                    "input {path} was modified during the job ({then_bytes} bytes then and now)"
                )
            }
            Self::Changed { path, then_bytes, now_bytes } => {
                let path = path.display();
                write!(
                    f,
                    "input {path} changed during the job: {then_bytes} bytes then, {now_bytes} now"
                )
            }
            Self::Dangling { path, target } => {
                let (path, target) = (path.display(), target.display());
                write!(f, "input {path} is a link to {target}, which does not exist")
            }
            Self::Linked { path } => {
                let path = path.display();
                write!(f, "input {path} is behind a symbolic link, which is not followed")
            }
            Self::Missing { path } => write!(f, "input {} does not exist", path.display()),
            Self::NoFiles { arguments } => {
                f.write_str("no input files")?;
                for (index, argument) in arguments.iter().enumerate() {
                    let separator = if index == 0 { " in " } else { ", " };
                    write!(f, "{separator}`{}`", argument.display())?;
                }
                Ok(())
            }
            Self::NotAFile { path, kind } => {
                write!(f, "input {} is {kind}, not a regular file", path.display())
            }
            Self::OutsideRoots { path } => {
                write!(f, "input {} is outside of the roots", path.display())
            }
            Self::Read { path, offset, .. } => {
                write!(f, "cannot read input {} at byte {offset}", path.display())
            }
            Self::Unreadable { path, .. } => write!(f, "cannot read input {}", path.display()),
        }
    }
}

impl Error for InputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Unreadable { source, .. } => Some(source),
            Self::Changed { .. }
            | Self::Dangling { .. }
            | Self::Linked { .. }
            | Self::Missing { .. }
            | Self::NoFiles { .. }
            | Self::NotAFile { .. }
            | Self::OutsideRoots { .. } => None,
        }
    }
}

/// Open a file that the user names, wherever links lead, without waiting: opening a FIFO waits for
/// its writer, and opening a device can have an effect on it, so look first.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata), InputError> {
    let seen = fs::metadata(path).map_err(unreadable(path))?;
    require_regular(path, seen.mode())?;
    let file = anchor::open_anywhere(path).map_err(unreadable(path))?;
    let opened = require_regular_file(path, &file)?;
    Ok((file, opened))
}

/// For `map_err`: where the system refused. A missing file has its own variant.
pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> InputError + use<'_> {
    move |source| match source.kind() == io::ErrorKind::NotFound {
        true => InputError::Missing { path: path.to_owned() },
        false => InputError::Unreadable { path: path.to_owned(), source },
    }
}

pub(crate) fn require_regular_file(path: &Path, file: &File) -> Result<Metadata, InputError> {
    let metadata = file.metadata().map_err(unreadable(path))?;
    require_regular(path, metadata.mode())?;
    Ok(metadata)
}

/// `mode` includes the kind of the file.
pub(crate) fn require_regular(path: &Path, mode: u32) -> Result<(), InputError> {
    let path = path.to_owned();
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => return Err(InputError::Linked { path }),
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::BlockDevice | FileType::CharacterDevice => "a device",
        FileType::Directory => "a folder",
        FileType::Unknown => "of an unknown kind",
    };
    Err(InputError::NotAFile { path, kind })
}

#[cfg(test)]
mod tests;
