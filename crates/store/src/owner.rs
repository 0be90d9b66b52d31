//! Whose folders a driver writes its results and its journal in.
//!
//! Who owns a folder, or may write in it, can put anything in the place of what is in it: a result,
//! or a journal that says what is committed. So each folder of a store must be ours, and must not
//! be open to everybody, as `ssh` wants it of the folder of its keys. What is root's is as good as
//! ours, for root needs no folder to deceive us. And root itself may work in everybody's folder: it
//! often does, in a container, on a folder of the user outside; nothing that the owner plants there
//! leads root out of it (`beneath.rs`). A group that may write is somebody's decision.
//!
//! Some file systems say of every file that it belongs to somebody else (NFS that squashes owners),
//! or that everybody may write it (those without modes). So before anybody is refused, a file is
//! created: if it, too, is somebody else's, or open although it was created for us alone, then that
//! says nothing.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, fstat};

use crate::anchor::{Anchor, is_met_link, kind};
use crate::error::{Operation, StoreError};
use crate::layout::{self, Folder};

/// Look whether the folders of the store at `root`, if there are any, are ours alone to write.
///
/// # Errors
///
/// When one of them is not; when one is a link or a file.
pub fn require_own(root: &Path) -> Result<(), StoreError> {
    let top = match Anchor::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top.map_err(|source| StoreError::refused(Operation::Open, root, source))?,
    };
    for below in
        ["", Folder::Hidden.as_str(), Folder::Intermediate.as_str(), Folder::Output.as_str()]
    {
        let path = if below.is_empty() { root.to_owned() } else { root.join(below) };
        let refused = |source| StoreError::refused(Operation::Open, &path, source);
        let folder = match top.folder(below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if is_met_link(&error) || error.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::NotAFolder { path });
            }
            folder => folder.map_err(refused)?,
        };
        let seen = folder.stat().map_err(refused)?;
        let us = rustix::process::geteuid().as_raw();
        if let Some(fault) = fault(us, &seen, || probe(&folder)) {
            return Err(fault.of(path));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    NotOurs { owner: u32 },
    Open,
}

impl Fault {
    fn of(self, path: PathBuf) -> StoreError {
        match self {
            Self::NotOurs { owner } => StoreError::NotOurs { path, owner },
            Self::Open => StoreError::OpenToAll { path },
        }
    }
}

/// What is wrong with a folder, for `us`. `probe` is what the system says of a file that we create
/// in it for us alone, if we can.
fn fault(us: u32, folder: &Stat, probe: impl FnOnce() -> Option<Stat>) -> Option<Fault> {
    let owner = folder.st_uid;
    let is_foreign = us != ROOT && ![us, ROOT].contains(&owner);
    // In a sticky folder nobody can put anything in the place of what is ours.
    let is_open = folder.st_mode & 0o1002 == 0o002;
    if !is_foreign && !is_open {
        return None;
    }
    let probe = probe();
    if is_foreign && probe.as_ref().is_none_or(|file| file.st_uid != owner) {
        return Some(Fault::NotOurs { owner });
    }
    if is_open && probe.is_none_or(|file| file.st_mode & 0o077 == 0) {
        return Some(Fault::Open);
    }
    None
}

/// Creates a file, looks at it by its handle (at its name there may be another by then), and
/// removes it.
fn probe(folder: &Anchor) -> Option<Stat> {
    let name = Path::new(layout::PROBE);
    // Left by a driver that was killed in between, or planted: created anew all the same.
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
