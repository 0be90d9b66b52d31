//! What can go wrong with an object, told apart by what the caller does next.
//!
//! * [`Missing`](StoreError::Missing), [`WrongLength`](StoreError::WrongLength) and
//!   [`Corrupt`](StoreError::Corrupt): the object is lost, whoever made it makes it again.
//! * [`AlreadyStaged`](StoreError::AlreadyStaged), [`NotStaged`](StoreError::NotStaged): the
//!   attempt was begun before, or was given up meanwhile; leave it.
//! * [`Full`](StoreError::Full): another machine may have room.
//! * The rest need a person.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::anchor::is_met_link;
use crate::digest::Digest;
use crate::layout::Name;

/// Something in the store could not be done.
#[derive(Debug)]
pub enum StoreError {
    /// The attempt, or an object of it, was begun before. It is not begun twice.
    AlreadyStaged {
        /// The staging folder or the staged object.
        name: Name,
    },
    /// The bytes are not those that were written.
    Corrupt {
        /// The object.
        name: Name,
        /// What was written.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// No room: the device is full, a quota is used up, or the file is too large for its file
    /// system.
    Full {
        /// What needed room.
        operation: Operation,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused.
    Io {
        /// What was tried.
        operation: Operation,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a symbolic link on the way, and links are not followed here.
    Linked {
        /// The way.
        path: PathBuf,
    },
    /// There is no object of this name.
    Missing {
        /// The name.
        name: Name,
    },
    /// Where an object should be there is a folder, a link or a device.
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// Where a folder of the store should be there is something else, or a link to a folder.
    NotAFolder {
        /// Where.
        path: PathBuf,
    },
    /// The folder is somebody else's, who can put anything in the place of what is in it.
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Whose it is: a user's number.
        owner: u32,
    },
    /// What should be staged is not: it was discarded, or it was never created.
    NotStaged {
        /// The staging folder or the staged object.
        name: Name,
    },
    /// Everybody may put anything in the place of what is in the folder.
    OpenToAll {
        /// The folder.
        path: PathBuf,
    },
    /// The folder lies below none of the roots.
    OutsideRoots {
        /// The folder.
        path: PathBuf,
    },
    /// The object has been cut short, or it has grown.
    WrongLength {
        /// The object.
        name: Name,
        /// Its length when it was written.
        expected_bytes: u64,
        /// Its length now, or as much of it as was seen.
        found_bytes: u64,
    },
}

impl StoreError {
    /// Sort a refusal of the system: no room is a different thing from all others.
    pub(crate) fn refused(operation: Operation, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::Full { operation, path, source }
        } else if is_met_link(&source) {
            Self::Linked { path }
        } else {
            Self::Io { operation, path, source }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStaged { name } => write!(f, "{name} is staged already"),
            Self::Corrupt { name, expected, found } => {
                write!(f, "{name} is corrupt: {found}, expected {expected}")
            }
            Self::Full { operation, path, .. } => {
                write!(f, "no room to {operation} {}", path.display())
            }
            Self::Io { operation, path, .. } => write!(f, "cannot {operation} {}", path.display()),
            Self::Linked { path } => {
                write!(
                    f,
                    "{} is behind a symbolic link (they are not followed here)",
                    path.display()
                )
            }
            Self::Missing { name } => write!(f, "{name} is missing"),
            Self::NotAFile { path } => write!(f, "{} is not a regular file", path.display()),
            Self::NotAFolder { path } => {
                write!(f, "{} is not a folder (links are not followed here)", path.display())
            }
            Self::NotOurs { path, owner } => {
                write!(f, "{} belongs to another user (number {owner})", path.display())
            }
            Self::NotStaged { name } => write!(f, "{name} is not staged, or was discarded"),
            Self::OpenToAll { path } => {
                write!(f, "everybody may write in {}", path.display())
            }
            Self::OutsideRoots { path } => {
                write!(f, "{} lies outside of the roots", path.display())
            }
            Self::WrongLength { name, expected_bytes, found_bytes } => {
                write!(f, "{name} has {found_bytes} bytes, expected {expected_bytes}")
            }
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full { source, .. } | Self::Io { source, .. } => Some(source),
            Self::AlreadyStaged { .. }
            | Self::Corrupt { .. }
            | Self::Linked { .. }
            | Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::NotAFolder { .. }
            | Self::NotOurs { .. }
            | Self::NotStaged { .. }
            | Self::OpenToAll { .. }
            | Self::OutsideRoots { .. }
            | Self::WrongLength { .. } => None,
        }
    }
}

/// What the store was doing when the system refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Writing more of a staged object.
    Append,
    /// Creating a folder or a staged object.
    Create,
    /// Removing what was staged.
    Discard,
    /// Reading a folder.
    List,
    /// Opening a folder or an object.
    Open,
    /// Giving a staged object its final name.
    Publish,
    /// Reading an object.
    Read,
    /// Removing a final object.
    Remove,
    /// Making a file or a folder durable.
    Sync,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append to",
            Self::Create => "create",
            Self::Discard => "discard",
            Self::List => "list",
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Sync => "sync",
        })
    }
}

/// A quota and a limit on file sizes are as final as a full device, and as local.
fn is_full(source: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [FileTooLarge, QuotaExceeded, StorageFull].contains(&source.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_told_apart_from_other_refusals() {
        const EIO: i32 = 5;
        const EACCES: i32 = 13;
        const EFBIG: i32 = 27;
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        for (code, full) in
            [(ENOSPC, true), (EDQUOT, true), (EFBIG, true), (EIO, false), (EACCES, false)]
        {
            let source = io::Error::from_raw_os_error(code);
            let error = StoreError::refused(Operation::Append, Path::new("a"), source);
            assert_eq!(matches!(error, StoreError::Full { .. }), full, "{error:?}");
        }
    }

    #[test]
    fn the_cause_is_in_the_source_and_not_in_the_text() {
        let source = io::Error::from_raw_os_error(28);
        let error = StoreError::refused(Operation::Append, Path::new("files/a"), source);
        assert_eq!(error.to_string(), "no room to append to files/a");
        assert!(error.source().is_some_and(|cause| cause.to_string().contains("os error 28")));
    }
}
