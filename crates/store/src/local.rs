//! A store in a folder of a file system.
//!
//! It needs what POSIX guarantees: creating a file or folder that must be new is atomic, and so is
//! a rename. On NFS that means version 4, where in addition the answer to a rename can be lost, and
//! the repeated rename then finds nothing to rename. So an object counts as published if nothing is
//! staged, and the right bytes are at its final name.
//!
//! # Invariants
//!
//! * The store's folder is held open, and everything is reached from there (`anchor.rs`): whatever
//!   replaces a folder or a file meanwhile, nothing outside is touched.
//! * Only regular files are used, and opening one never waits, as it would at a FIFO.
//! * A staged object is opened again only if it is the very file that was created.
//! * The folders of the store are folders, not links: a rename cannot cross to another file system.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};

use crate::anchor::{Anchor, Entry, is_met_link, kind};
use crate::claims::LocalClaims;
use crate::digest::Digest;
use crate::error::{BEHIND_A_LINK, Loss, NOT_A_FILE, NOT_A_FOLDER, Operation, StoreError};
use crate::layout::{self, Folder, Name, Staging};
use crate::store::{Durability, Identity, Object, StagedObject, Store};
use crate::verified::VerifiedReader;

mod input_copy;
mod staged_file;
pub use input_copy::InputCopy;
use staged_file::StagedFile;

/// A store in a folder of a file system.
#[derive(Clone, Debug)]
pub struct Local {
    /// Absolute; for messages, and to send to workers.
    root: PathBuf,
    /// The same folder, which all operations use.
    folder: Arc<Anchor>,
}

impl Local {
    /// Use a store that the driver has created.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = absolute(root)?;
        let folder = Anchor::open(&root).map_err(refused(Operation::Open, &root))?;
        Self::within(root, Arc::new(folder))
    }

    /// Create the missing folders, durably, and use the store.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        let root = absolute(root)?;
        let is_new = |folder: &&Path| !folder.exists();
        let new_folders: Vec<&Path> = root.ancestors().take_while(is_new).collect();
        let created = DirBuilder::new().recursive(true).mode(SHARED).create(&root);
        created.map_err(refused(Operation::Create, &root))?;
        let folder = Anchor::open(&root).map_err(refused(Operation::Open, &root))?;
        let store = Self { root: root.clone(), folder: Arc::new(folder) };
        for folder in FOLDERS {
            store.create_folder(Path::new(folder.as_str()), mode(folder))?;
        }
        // It may be a copy that all users may read. Some file systems have no modes.
        let hidden = store.folder.folder(Folder::Hidden.as_str());
        let _ = hidden.and_then(|hidden| hidden.make_private());
        store.create_folder(Path::new(layout::staging_root()), PRIVATE)?;
        store.create_folder(Path::new(layout::claims()), PRIVATE)?;
        store.sync(Path::new(""))?;
        for parent in new_folders.into_iter().filter_map(Path::parent) {
            sync_folder(parent)?;
        }
        Self::within(store.root, store.folder)
    }

    /// Use a store whose folder is open.
    pub(crate) fn within(root: PathBuf, folder: Arc<Anchor>) -> Result<Self, StoreError> {
        let store = Self { root, folder };
        for folder in FOLDERS {
            store.require_folder(Path::new(folder.as_str()))?;
        }
        store.require_folder(Path::new(layout::staging_root()))?;
        Ok(store)
    }

    /// The store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The claims of drivers on this store.
    pub fn claims(&self) -> LocalClaims {
        LocalClaims::new(self.root.clone(), Arc::clone(&self.folder))
    }

    /// The path of an object, for messages and for tests.
    pub fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// How many bytes are staged, of all jobs.
    pub fn staged_bytes(&self) -> Result<u64, StoreError> {
        // What is no folder has nothing inside.
        let inside = |below: PathBuf| {
            let names = self.folder.list(&below).unwrap_or_default();
            names.into_iter().map(move |name| below.join(name))
        };
        let mut sum = 0;
        for file in inside(layout::staging_root().into()).flat_map(inside).flat_map(inside) {
            let seen = self.entry(Operation::List, &file)?.look();
            sum += seen.map_err(self.refused(Operation::List, &file))?.as_ref().map_or(0, bytes);
        }
        Ok(sum)
    }

    /// For `map_err`: the operation, and where below the store's folder.
    fn refused(
        &self,
        operation: Operation,
        below: &Path,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.root.join(below);
        move |source| StoreError::refused(operation, &path, source)
    }

    fn entry<'path>(
        &self,
        operation: Operation,
        below: &'path Path,
    ) -> Result<Entry<'path>, StoreError> {
        self.folder.entry(below).map_err(self.refused(operation, below))
    }

    /// As [`entry`](Self::entry); `None` if there is no such folder.
    fn entry_if_any<'path>(
        &self,
        operation: Operation,
        below: &'path Path,
    ) -> Result<Option<Entry<'path>>, StoreError> {
        match self.folder.entry(below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            answer => answer.map(Some).map_err(self.refused(operation, below)),
        }
    }

    /// Open a file to read it. `None` if it is not there.
    fn open_file(&self, below: &Path) -> Result<Option<(File, Metadata)>, StoreError> {
        let path = || self.root.join(below);
        let file = match self.folder.open_file(below) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_met_link(&error) => {
                // The link is in place of the file, or on the way there.
                let seen = self.look(&self.entry(Operation::Open, below)?, below);
                return Err(seen
                    .err()
                    .unwrap_or(StoreError::Tampered { place: path(), found: BEHIND_A_LINK }));
            }
            Err(source) => return Err(StoreError::refused(Operation::Open, &path(), source)),
        };
        let opened = file.metadata().map_err(self.refused(Operation::Open, below))?;
        if !opened.is_file() {
            return Err(StoreError::Tampered { place: path(), found: NOT_A_FILE });
        }
        Ok(Some((file, opened)))
    }

    /// Look at a file, without following a link. `None` if it is not there.
    fn look(&self, entry: &Entry<'_>, below: &Path) -> Result<Option<Stat>, StoreError> {
        let seen = entry.look().map_err(self.refused(Operation::Open, below))?;
        match seen.as_ref().map(kind) {
            Some(FileType::RegularFile) | None => Ok(seen),
            Some(_) => {
                Err(StoreError::Tampered { place: self.root.join(below), found: NOT_A_FILE })
            }
        }
    }

    /// The names in a folder, sorted bytewise. A missing folder is empty.
    fn list_below(&self, below: &Path) -> Result<Vec<OsString>, StoreError> {
        list_folder(&self.folder, below).map_err(self.refused(Operation::List, below))
    }

    /// Create one folder unless something of that name is there.
    fn create_folder(&self, below: &Path, mode: u32) -> Result<(), StoreError> {
        match self.entry(Operation::Create, below)?.create_folder(mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            answer => answer.map_err(self.refused(Operation::Create, below)),
        }
    }

    fn require_folder(&self, below: &Path) -> Result<(), StoreError> {
        let refused = self.refused(Operation::Open, below);
        match self.folder.folder(below) {
            Err(error) if is_met_link(&error) || error.kind() == io::ErrorKind::NotADirectory => {
                Err(StoreError::Tampered { place: self.root.join(below), found: NOT_A_FOLDER })
            }
            answer => answer.map(drop).map_err(refused),
        }
    }

    fn sync(&self, below: &Path) -> Result<(), StoreError> {
        where_possible(self.folder.sync(below)).map_err(self.refused(Operation::Sync, below))
    }

    fn remove_folder(&self, below: &Path) -> Result<(), StoreError> {
        match self.entry_if_any(Operation::Discard, below)? {
            Some(entry) => remove_in_use(&entry).map_err(self.refused(Operation::Discard, below)),
            None => Ok(()),
        }
    }

    /// The answer to a publish that found nothing staged.
    fn published_before(
        &self,
        staged: Name,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError> {
        match self.verify(name, expected) {
            Err(StoreError::Lost { .. }) => Err(StoreError::Gone { name: staged }),
            answer => answer,
        }
    }

    fn remove_below(&self, operation: Operation, name: &Name) -> Result<(), StoreError> {
        let below = Path::new(name.as_str());
        match self.entry_if_any(operation, below)? {
            Some(entry) => unless_gone(entry.remove_file()).map_err(self.refused(operation, below)),
            None => Ok(()),
        }
    }

    fn verify(&self, name: &Name, expected: Digest) -> Result<(), StoreError> {
        let object = self.open(name)?;
        let block_bytes = usize::try_from(expected.bytes)
            .map_or(VERIFY_BLOCK_BYTES, |bytes| bytes.clamp(1, VERIFY_BLOCK_BYTES));
        let mut block = vec![0; block_bytes];
        VerifiedReader::new(object, expected, &mut block)?.verify()
    }
}

impl Store for Local {
    fn intermediates(&self) -> Result<Vec<(u32, u32)>, StoreError> {
        let files = self.list_below(Path::new(Folder::Intermediate.as_str()))?;
        let mut found: Vec<_> = files.iter().filter_map(layout::parse_intermediate).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn identify(&self, name: &Name) -> Result<Option<Identity>, StoreError> {
        let below = Path::new(name.as_str());
        let Some(entry) = self.entry_if_any(Operation::Open, below)? else { return Ok(None) };
        let seen = self.look(&entry, below)?;
        Ok(seen.map(|seen| Identity { bytes: bytes(&seen), number: seen.st_ino }))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        let below = Path::new(name.as_str());
        let opened = match self.open_file(below)? {
            Some(opened) => Some(opened),
            None => {
                // An NFS client caches that a name is missing, and asks the server again when the
                // folder is opened (close-to-open). Elsewhere this costs next to nothing: it
                // happens only when an object is missing.
                self.list_below(below.parent().unwrap_or(below))?;
                self.open_file(below)?
            }
        };
        let (file, metadata) = opened.ok_or_else(|| StoreError::missing(name))?;
        let path = self.path(name);
        Ok(Box::new(LocalObject { name: name.clone(), path, bytes: metadata.len(), file }))
    }

    fn stage(&self, staging: &Staging) -> Result<(), StoreError> {
        let below = Path::new(staging.as_str());
        if let Some(job) = below.parent() {
            self.create_folder(job, PRIVATE)?;
            self.require_folder(job)?;
        }
        match self.entry(Operation::Create, below)?.create_folder(PRIVATE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Begun { name: staging.name().clone() })
            }
            answer => answer.map_err(self.refused(Operation::Create, below)),
        }
    }

    fn create(
        &self,
        staging: &Staging,
        name: &Name,
        durability: Durability,
    ) -> Result<Box<dyn StagedObject>, StoreError> {
        let staged = layout::staged(staging, name);
        let path = self.path(&staged);
        Ok(Box::new(StagedFile::create(Arc::clone(&self.folder), staged, path, durability)?))
    }

    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        match self.open(&layout::staged(staging, name)) {
            Err(StoreError::Lost { name, loss: Loss::Missing }) => Err(StoreError::Gone { name }),
            answer => answer,
        }
    }

    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError> {
        self.remove_below(Operation::Discard, &layout::staged(staging, name))
    }

    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError> {
        match self.verify(&layout::staged(staging, name), expected) {
            Err(StoreError::Lost { name, loss: Loss::Missing }) => Err(StoreError::Gone { name }),
            answer => answer,
        }
    }

    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError> {
        let staged = layout::staged(staging, name);
        let (from, to) = (Path::new(staged.as_str()), Path::new(name.as_str()));
        let Some(entry) = self.entry_if_any(Operation::Publish, from)? else {
            return self.published_before(staged, name, expected);
        };
        let Some(seen) = self.look(&entry, from)? else {
            return self.published_before(staged, name, expected);
        };
        let found_bytes = bytes(&seen);
        if found_bytes != expected.bytes {
            let loss = Loss::WrongLength { expected_bytes: expected.bytes, found_bytes };
            return Err(StoreError::Lost { name: staged, loss });
        }
        match entry.rename(&self.entry(Operation::Publish, to)?) {
            Ok(()) => Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.look(&entry, from)?.is_none() =>
            {
                self.published_before(staged, name, expected)
            }
            Err(source) => Err(StoreError::refused(Operation::Publish, &self.path(name), source)),
        }
    }

    fn settle(&self, folder: Folder) -> Result<(), StoreError> {
        self.sync(Path::new(folder.as_str()))
    }

    fn discard(&self, staging: &Staging) -> Result<(), StoreError> {
        let below = Path::new(staging.as_str());
        let Some(entry) = self.entry_if_any(Operation::Discard, below)? else { return Ok(()) };
        match entry.remove_folder() {
            // The usual case: everything in it was published.
            Ok(()) => Ok(()),
            Err(_) => remove_in_use(&entry).map_err(self.refused(Operation::Discard, below)),
        }
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        let staging_root = Path::new(layout::staging_root());
        let mut attempts = 0;
        for job in self.list_below(staging_root)? {
            let below = staging_root.join(job);
            // A file is no attempt, and is removed too.
            if let Ok(staged) = self.folder.list(&below) {
                attempts += staged.iter().filter(|attempt| !layout::is_hidden(attempt)).count();
            }
            self.remove_folder(&below)?;
        }
        Ok(attempts as u64)
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        self.remove_below(Operation::Remove, name)
    }
}

/// A final or staged object, opened.
struct LocalObject {
    name: Name,
    path: PathBuf,
    bytes: u64,
    file: File,
}

impl Object for LocalObject {
    fn name(&self) -> &Name {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.file.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(StoreError::refused(Operation::Read, &self.path, source));
                }
            }
        }
        Ok(filled)
    }
}

/// The names in a folder, sorted bytewise. A missing folder is empty.
pub(crate) fn list_folder(top: &Anchor, below: &Path) -> io::Result<Vec<OsString>> {
    match top.list(below) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        answer => answer,
    }
}

/// For `map_err`: the operation, and where.
pub(crate) fn refused(
    operation: Operation,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError + use<'_> {
    move |source| StoreError::refused(operation, path, source)
}

/// Device and inode: they identify a file on this machine, whatever its name is.
pub(crate) fn file_id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(refused(Operation::Open, path))
}

/// The length of a file.
fn bytes(seen: &Stat) -> u64 {
    u64::try_from(seen.st_size).unwrap_or(0)
}

fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = File::open(path).map_err(refused(Operation::Open, path))?;
    where_possible(folder.sync_all()).map_err(refused(Operation::Sync, path))
}

/// Some network file systems cannot sync a folder: their server makes names durable itself.
fn where_possible(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error)
            if [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        answer => answer,
    }
}

/// Remove a folder, or whatever else is there, even while a worker writes in it.
///
/// It is renamed first: from then on its worker can neither create nor reopen anything in it. Only
/// a call that was in progress at that moment can still add a file.
pub(crate) fn remove_in_use(entry: &Entry<'_>) -> io::Result<()> {
    if layout::is_hidden(entry.name()) {
        return remove_tree(entry, entry.name());
    }
    let trash = layout::trash_name(entry.name());
    remove_tree(entry, &trash)?;
    unless_gone(entry.rename_here(&trash))?;
    remove_tree(entry, &trash)
}

fn remove_tree(entry: &Entry<'_>, name: &OsStr) -> io::Result<()> {
    let is_filled_again = |removed: &io::Result<()>| {
        removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty)
    };
    let mut removed = entry.remove_tree(name);
    for _ in 1..REMOVALS_MAX {
        if !is_filled_again(&removed) {
            break;
        }
        removed = entry.remove_tree(name);
    }
    unless_gone(removed)
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

fn mode(folder: Folder) -> u32 {
    match folder {
        Folder::Hidden => PRIVATE,
        Folder::Intermediate | Folder::Output => SHARED,
    }
}

const FOLDERS: [Folder; 3] = [Folder::Hidden, Folder::Intermediate, Folder::Output];

/// A second try is needed now and then when two writers race a discard on two cores (seen in its
/// test). The rest is for machines with more cores; chosen by eye.
const REMOVALS_MAX: u32 = 100;

/// No other user may read or write here.
const PRIVATE: u32 = 0o700;

/// Other users may read results, if the user's umask allows it. They may not write: a user who may
/// write in a folder can replace what is in it.
const SHARED: u32 = 0o755;

/// Large enough that the calls cost nothing, small enough to stay in the cache.
const VERIFY_BLOCK_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
