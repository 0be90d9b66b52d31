//! The only folders below which a worker reads and writes.
//!
//! A driver names inputs and the results folder by their real paths. A worker trusts none of them:
//! it finds the root that contains the path, by its name, and opens everything from there (see
//! `anchor.rs`), so that no name and no link leads out, even if a folder is swapped meanwhile.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::anchor::{Anchor, is_met_link};
use crate::error::{Operation, StoreError};
use crate::input_error::{InputError, require_regular, require_regular_file, unreadable};
use crate::local::Local;

/// Folders, each opened when it is first needed, and held open from then on.
#[derive(Debug)]
pub struct Roots {
    roots: Vec<Root>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Set when it is first needed; never for roots behind the first [`HELD_MAX`].
    held: OnceLock<Arc<Anchor>>,
    may_be_held: bool,
}

impl Roots {
    /// The folders at `paths`, which are real paths: absolute, without links. Without any,
    /// everything is outside.
    pub fn new(paths: &[PathBuf]) -> Self {
        let root = |(index, path): (usize, &PathBuf)| {
            let (path, may_be_held) = (path.clone(), index < HELD_MAX);
            Root { path, held: OnceLock::new(), may_be_held }
        };
        Self { roots: paths.iter().enumerate().map(root).collect() }
    }

    /// The store that a driver has created in the folder at `files`.
    pub fn open_store(&self, files: &Path) -> Result<Local, StoreError> {
        let refused = |source| StoreError::refused(Operation::Open, files, source);
        let outside = || StoreError::OutsideRoots { place: files.to_owned() };
        let (root, below) = self.find(files).ok_or_else(outside)?;
        require_name(files).map_err(refused)?;
        let folder = root.anchor().and_then(|root| root.folder(below)).map_err(refused)?;
        Local::within(files.to_owned(), Arc::new(folder))
    }

    /// Open an input. It never waits, and does nothing to a device.
    pub(crate) fn open_input(&self, path: &Path) -> Result<(File, Metadata), InputError> {
        let refused = |source| match is_met_link(&source) {
            true => InputError::Linked { path: path.to_owned() },
            false => unreadable(path)(source),
        };
        let outside = || InputError::OutsideRoots { path: path.to_owned() };
        let (root, below) = self.find(path).ok_or_else(outside)?;
        require_name(path).map_err(refused)?;
        if below.as_os_str().is_empty() {
            return Err(InputError::NotAFile { path: path.to_owned(), kind: "a folder" });
        }
        let root = root.anchor().map_err(refused)?;
        let entry = root.entry(below).map_err(refused)?;
        // Opening a device can have an effect on it, so check its kind first.
        let seen = entry.look().map_err(refused)?;
        let seen = seen.ok_or_else(|| InputError::Missing { path: path.to_owned() })?;
        require_regular(path, seen.st_mode)?;
        let file = entry.open_file().map_err(refused)?;
        let opened = require_regular_file(path, &file)?;
        Ok((file, opened))
    }

    fn find<'path>(&self, path: &'path Path) -> Option<(&Root, &'path Path)> {
        self.roots.iter().find_map(|root| Some((root, below(&root.path, path)?)))
    }
}

impl Root {
    fn anchor(&self) -> io::Result<Arc<Anchor>> {
        if let Some(held) = self.held.get() {
            return Ok(Arc::clone(held));
        }
        let opened = Arc::new(Anchor::open_real(&self.path)?);
        Ok(match self.may_be_held {
            true => Arc::clone(self.held.get_or_init(|| opened)),
            false => opened,
        })
    }
}

/// The rest of `path` if it is below `root`, or is `root`, by their names alone.
pub fn below<'path>(root: &Path, path: &'path Path) -> Option<&'path Path> {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    path.strip_prefix(root).ok().filter(|_| !climbs)
}

/// A zero byte ends a name for the system, so a name must not have one.
fn require_name(path: &Path) -> io::Result<()> {
    match path.as_os_str().as_bytes().contains(&0) {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, "its name has a zero byte")),
        false => Ok(()),
    }
}

/// Links may lead from the folder of the inputs to more others than there are handles. Chosen by
/// eye: more than a user types.
const HELD_MAX: usize = 64;

#[cfg(test)]
mod tests;
