//! Why an input cannot be planned or read, and which files are inputs.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::FileType;

/// An input cannot be planned or read.
#[derive(Debug)]
pub enum InputError {
    /// It has changed since the job was planned.
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
        /// The filter that has taken none of their files, if they have some.
        filter: Option<String>,
    },
    /// It is not a regular file: its length is unknown, and it may not end.
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// It has bytes beyond its length, like files whose content is generated while they are read.
    Oversized {
        /// The file.
        path: PathBuf,
        /// Its length, according to its metadata.
        bytes: u64,
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
    /// It can be read only once.
    StreamTwice {
        /// What messages call it.
        name: OsString,
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
            Self::NoFiles { arguments, filter } => {
                f.write_str("no input files")?;
                for (index, argument) in arguments.iter().enumerate() {
                    let separator = if index == 0 { " in " } else { ", " };
                    write!(f, "{separator}`{}`", argument.display())?;
                }
                filter.iter().try_for_each(|filter| write!(f, " match {filter}"))
            }
            Self::NotAFile { path, kind } => {
                write!(f, "input {} is {kind}, not a regular file", path.display())
            }
            Self::Oversized { path, bytes } => {
                let path = path.display();
                write!(f, "input {path} is larger than its reported size ({bytes} bytes)")
            }
            Self::OutsideRoots { path } => {
                write!(f, "input {} is outside of the roots", path.display())
            }
            Self::Read { path, offset, .. } => {
                write!(f, "cannot read input {} at byte {offset}", path.display())
            }
            Self::StreamTwice { name } => {
                write!(f, "{} is named twice, but can be read only once", name.display())
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
            | Self::Oversized { .. }
            | Self::OutsideRoots { .. }
            | Self::StreamTwice { .. } => None,
        }
    }
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
