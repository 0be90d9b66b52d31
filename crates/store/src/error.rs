//! What can go wrong with an object, told apart by what the caller does next.
//!
//! * [`Begun`](StoreError::Begun), [`Gone`](StoreError::Gone): the attempt was begun before, or has
//!   been discarded. Abandon it.
//! * [`Full`](StoreError::Full): another machine may have space.
//! * [`Lost`](StoreError::Lost): make the object again.
//! * [`OutsideRoots`](StoreError::OutsideRoots), [`Refused`](StoreError::Refused),
//!   [`Tampered`](StoreError::Tampered): the user has to act.
//!
//! None of them depends on how a store works: one without folders returns the same, with its own
//! addresses and errors.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::anchor::is_met_link;
use crate::digest::Digest;
use crate::layout::Name;

/// An operation of the store failed.
#[derive(Debug)]
pub enum StoreError {
    /// The attempt, or an object of it, was begun before. It is not begun twice.
    Begun {
        /// The staging folder or the staged object.
        name: Name,
    },
    /// There is no space: the device is full, a quota is used up, or the file is too large for its
    /// file system.
    Full {
        /// The operation that needed space.
        operation: Operation,
        /// Where: a path, or the address that the store has for it.
        place: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// What should be staged is not: it was discarded, or it was never created.
    Gone {
        /// The staging folder or the staged object.
        name: Name,
    },
    /// The object is not there, or is not what was written.
    Lost {
        /// The object.
        name: Name,
        /// What is wrong with it.
        loss: Loss,
    },
    /// The store is below none of the roots.
    OutsideRoots {
        /// Where.
        place: PathBuf,
    },
    /// The operating system refused.
    Refused {
        /// The operation that it refused.
        operation: Operation,
        /// Where: a path, or the address that the store has for it.
        place: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Something that is not the store's own is in place of its file or folder.
    Tampered {
        /// Where: a path, or the address that the store has for it.
        place: PathBuf,
        /// What is there, as the end of a sentence that begins with the place.
        found: &'static str,
    },
}

/// What is wrong with an object that is [lost](StoreError::Lost).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// It has as many bytes as were written, and others.
    Corrupt {
        /// What was written.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// There is no object of this name.
    Missing,
    /// It was cut short, or it has grown.
    WrongLength {
        /// Its length when it was written.
        expected_bytes: u64,
        /// Its length now, or as much of it as was read.
        found_bytes: u64,
    },
}

impl StoreError {
    /// Classify a refusal of the system.
    pub(crate) fn refused(operation: Operation, place: &Path, source: io::Error) -> Self {
        let place = place.to_owned();
        if is_full(&source) {
            Self::Full { operation, place, source }
        } else if is_met_link(&source) {
            Self::Tampered { place, found: BEHIND_A_LINK }
        } else {
            Self::Refused { operation, place, source }
        }
    }

    pub(crate) fn missing(name: &Name) -> Self {
        Self::Lost { name: name.clone(), loss: Loss::Missing }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { name } => write!(f, "{name} is staged already"),
            Self::Full { operation, place, .. } => {
                write!(f, "no space to {operation} {}", place.display())
            }
            Self::Gone { name } => write!(f, "{name} is not staged, or was discarded"),
            Self::Lost { name, loss: Loss::Corrupt { expected, found } } => {
                write!(f, "{name} is corrupt: {found}, expected {expected}")
            }
            Self::Lost { name, loss: Loss::Missing } => write!(f, "{name} is missing"),
            Self::Lost { name, loss: Loss::WrongLength { expected_bytes, found_bytes } } => {
                write!(f, "{name} has {found_bytes} bytes, expected {expected_bytes}")
            }
            Self::OutsideRoots { place } => {
                write!(f, "{} is outside of the roots", place.display())
            }
            Self::Refused { operation, place, .. } => {
                write!(f, "cannot {operation} {}", place.display())
            }
            Self::Tampered { place, found } => write!(f, "{} {found}", place.display()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full { source, .. } | Self::Refused { source, .. } => Some(source),
            Self::Begun { .. }
            | Self::Gone { .. }
            | Self::Lost { .. }
            | Self::OutsideRoots { .. }
            | Self::Tampered { .. } => None,
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
    /// Reading the names in a folder.
    List,
    /// Opening a folder or an object.
    Open,
    /// Giving a staged object its final name.
    Publish,
    /// Reading an object.
    Read,
    /// Removing a final object.
    Remove,
    /// Showing that the holder of a claim is alive.
    Renew,
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
            Self::Renew => "renew",
            Self::Sync => "sync",
        })
    }
}

/// Whether there is no space left. A used-up quota and a limit on file sizes are as final as a full
/// device, and as local.
pub fn is_full(source: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [FileTooLarge, QuotaExceeded, StorageFull].contains(&source.kind())
}

/// There is a symbolic link on the way to it.
pub(crate) const BEHIND_A_LINK: &str = "is behind a symbolic link (they are not followed here)";

/// There is a folder, a link or a device.
pub(crate) const NOT_A_FILE: &str = "is not a regular file";

/// There is a file, or a link to a folder.
pub(crate) const NOT_A_FOLDER: &str = "is not a folder (links are not followed here)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_told_apart_from_other_refusals() {
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
            assert_eq!(matches!(error, StoreError::Full { .. }), full, "{code}: {error:?}");
        }
    }

    #[test]
    fn the_cause_is_in_the_source_and_not_in_the_text() {
        let source = io::Error::from_raw_os_error(28);
        let error = StoreError::refused(Operation::Append, Path::new("files/a"), source);
        assert_eq!(error.to_string(), "no space to append to files/a");
        assert!(error.source().is_some_and(|cause| cause.to_string().contains("os error 28")));
    }
}
