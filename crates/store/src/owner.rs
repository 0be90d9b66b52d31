//! Whether only we can write in the folders in which a driver keeps its results and its journal.
//!
//! A user who owns a folder, or may write in it, can replace what is in it: a result, or the
//! journal that says what is committed. So each folder of a store must be ours and must not be
//! world-writable, as `ssh` requires of the folder of its keys. A folder of root is as good as
//! ours, because root needs no folder to deceive us. And root itself may work in the folder of any
//! user: in a container it often does, and nothing that the owner plants there leads root out of it
//! (`anchor.rs`). That a folder is group-writable is a decision of the user.
//!
//! Some file systems report another owner for every file (NFS that squashes owners), or that every
//! file is world-writable (those without modes). So before a folder is refused, a file is created
//! in it: if that too has another owner, or is open although it was created for us alone, the
//! report means nothing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::{FileType, Stat, fstat};

use crate::anchor::{Anchor, is_met_link, kind};
use crate::error::{NOT_A_FOLDER, Operation, StoreError};
use crate::layout::{self, Folder};

/// A folder of a store is writable by another user.
#[derive(Debug)]
pub enum OwnerError {
    /// It belongs to another user, who can replace what is in it.
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The id of its owner.
        owner: u32,
    },
    /// It cannot be looked at.
    Unreadable(StoreError),
    /// All users can replace what is in it.
    WorldWritable {
        /// The folder.
        path: PathBuf,
    },
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { path, owner } => {
                write!(f, "{} belongs to another user (uid {owner})", path.display())
            }
            Self::Unreadable(error) => error.fmt(f),
            Self::WorldWritable { path } => write!(f, "{} is world-writable", path.display()),
        }
    }
}

impl Error for OwnerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) => error.source(),
            Self::Foreign { .. } | Self::WorldWritable { .. } => None,
        }
    }
}

/// Check that the folders of the store at `root`, if there are any, are writable by us alone.
///
/// # Errors
///
/// When one of them is not; when one is a link or a file.
pub fn require_ownership(root: &Path) -> Result<(), OwnerError> {
    let refused = |path: &Path, source| {
        OwnerError::Unreadable(StoreError::refused(Operation::Open, path, source))
    };
    let top = match Anchor::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top.map_err(|source| refused(root, source))?,
    };
    let visible =
        ["", Folder::Hidden.as_str(), Folder::Intermediate.as_str(), Folder::Output.as_str()];
    for below in visible.into_iter().chain([layout::claims(), layout::staging_root()]) {
        let path = if below.is_empty() { root.to_owned() } else { root.join(below) };
        let folder = match top.folder(below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if is_met_link(&error) || error.kind() == io::ErrorKind::NotADirectory => {
                let tampered = StoreError::Tampered { place: path, found: NOT_A_FOLDER };
                return Err(OwnerError::Unreadable(tampered));
            }
            folder => folder.map_err(|source| refused(&path, source))?,
        };
        let stat = folder.stat().map_err(|source| refused(&path, source))?;
        let us = rustix::process::geteuid().as_raw();
        match fault(us, &stat, || probe(&folder)) {
            // A driver of root has made it, for itself alone.
            None if stat.st_uid != us && is_private(below) && is_closed(&folder) => {
                return Err(OwnerError::Foreign { path, owner: stat.st_uid });
            }
            None => {}
            Some(Fault::Foreign { owner }) => return Err(OwnerError::Foreign { path, owner }),
            Some(Fault::WorldWritable) => return Err(OwnerError::WorldWritable { path }),
        }
    }
    Ok(())
}

/// Whether the folder is for drivers alone.
fn is_private(below: &str) -> bool {
    below.starts_with(Folder::Hidden.as_str())
}

/// Whether we may not look at the names in `folder`.
fn is_closed(folder: &Anchor) -> bool {
    folder.list("").is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The user that this process runs as, and the owner of a file or folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Users {
    /// The effective user id of this process.
    pub ours: u32,
    /// The user id of the owner.
    pub owner: u32,
}

impl Users {
    /// For a message about `path`, which is absolute and may not be accessed. If it cannot be seen
    /// either, the owner is that of the nearest folder above it that can. Links are not followed.
    pub fn of(path: &Path) -> Option<Self> {
        let top = Anchor::open(Path::new("/")).ok()?;
        let owner = path.ancestors().find_map(|path| {
            let below = path.strip_prefix("/").ok()?;
            let seen = match below.file_name() {
                Some(_) => top.entry(below).and_then(|entry| entry.look()).ok()?,
                None => top.stat().ok(),
            };
            Some(seen?.st_uid)
        })?;
        Some(Self { ours: rustix::process::geteuid().as_raw(), owner })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Foreign { owner: u32 },
    WorldWritable,
}

/// What is wrong with a folder, for `us`. `probe` is a file that we create in it for us alone, if
/// we can.
fn fault(us: u32, folder: &Stat, probe: impl FnOnce() -> Option<Stat>) -> Option<Fault> {
    let owner = folder.st_uid;
    let is_foreign = us != ROOT && ![us, ROOT].contains(&owner);
    // In a sticky folder other users cannot replace what is ours.
    let is_open = folder.st_mode & 0o1002 == 0o002;
    if !is_foreign && !is_open {
        return None;
    }
    let probe = probe();
    if is_foreign && probe.as_ref().is_none_or(|file| file.st_uid != owner) {
        return Some(Fault::Foreign { owner });
    }
    if is_open && probe.is_none_or(|file| file.st_mode & 0o077 == 0) {
        return Some(Fault::WorldWritable);
    }
    None
}

/// Creates a file, looks at it by its handle (at its name there may be another by then), and
/// removes it.
fn probe(folder: &Anchor) -> Option<Stat> {
    let name = Path::new(layout::PROBE);
    // A driver that was killed in between has left it, or it was planted: it is created new.
    let entry = folder.entry(name).ok()?;
    let _ = entry.remove_file();
    let file = folder.create_private_file(name).ok()?;
    let seen = fstat(&file).ok().filter(|seen| kind(seen) == FileType::RegularFile);
    let _ = entry.remove_file();
    seen
}

const ROOT: u32 = 0;

#[cfg(test)]
mod tests;
