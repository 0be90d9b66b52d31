//! A store in a folder of a file system.
//!
//! Asks of the file system what POSIX promises: creating a file or folder that must be new is
//! atomic, and so is a rename. On NFS that means version 4, and one more thing: the answer to a
//! rename can be lost, and the repeated rename then finds nothing to rename. So nothing staged, but
//! the right bytes at the final name, counts as published.
//!
//! # Invariants
//!
//! * Nothing is opened that is not a regular file, so that nobody can make us wait at a FIFO or
//!   read through a link; a file that changes between the look and the opening is noticed.
//! * A staged object is opened again only if it is the very file that was created.
//! * The folders of the store are folders, not links: a rename cannot cross to another file system.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Operation, StoreError};
use crate::layout::{self, Folder, Name, Staging};
use crate::store::{Check, Durability, Object, StagedObject, Store};
use crate::verified::VerifiedReader;

mod staged_file;
use staged_file::StagedFile;

/// A store in a folder of a file system.
#[derive(Clone, Debug)]
pub struct Local {
    /// Absolute, so that it stays the same folder when the process changes its own.
    root: PathBuf,
}

impl Local {
    /// Use a store that the driver has created.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self::at(root)?;
        for folder in FOLDERS {
            require_folder(&store.root.join(folder.as_str()))?;
        }
        require_folder(&store.staging_root())?;
        Ok(store)
    }

    /// Create the folders that are not there yet, durably, and use them.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        let store = Self::at(root)?;
        let is_new = |folder: &&Path| !folder.exists();
        let new_folders: Vec<&Path> = store.root.ancestors().take_while(is_new).collect();
        fs::create_dir_all(&store.root).map_err(refused(Operation::Create, &store.root))?;
        for folder in FOLDERS {
            create_folder(&store.root.join(folder.as_str()), mode(folder))?;
        }
        create_folder(&store.staging_root(), PRIVATE)?;
        sync_folder(&store.root)?;
        for parent in new_folders.into_iter().filter_map(Path::parent) {
            sync_folder(parent)?;
        }
        Self::open(root)
    }

    /// The store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the object is: for the journal, the lock, and messages.
    pub fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn at(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(refused(Operation::Open, root))?;
        Ok(Self { root })
    }

    fn staging_root(&self) -> PathBuf {
        self.root.join(layout::staging_root())
    }

    /// The answer to a publish that found nothing staged.
    fn published_before(
        &self,
        staged: Name,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError> {
        match self.verify(name, expected, Check::Checksum) {
            Err(
                StoreError::Corrupt { .. }
                | StoreError::Missing { .. }
                | StoreError::WrongLength { .. },
            ) => Err(StoreError::NotStaged { name: staged }),
            answer => answer,
        }
    }

    fn verify(&self, name: &Name, expected: Digest, check: Check) -> Result<(), StoreError> {
        let object = self.open(name)?;
        let block_bytes = match check {
            Check::Checksum => usize::try_from(expected.bytes)
                .map_or(VERIFY_BLOCK_BYTES, |bytes| bytes.clamp(1, VERIFY_BLOCK_BYTES)),
            Check::Length => 1,
        };
        let mut block = vec![0; block_bytes];
        let reader = VerifiedReader::new(object, expected, &mut block)?;
        match check {
            Check::Checksum => reader.verify(),
            Check::Length => Ok(()),
        }
    }
}

impl Store for Local {
    fn list(&self, folder: Folder) -> Result<Vec<OsString>, StoreError> {
        list_folder(&self.root.join(folder.as_str()))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        let path = self.path(name);
        let seen = match look(&path)? {
            Some(seen) => seen,
            None => look_again(&path)?.ok_or_else(|| StoreError::Missing { name: name.clone() })?,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { name: name.clone() });
            }
            Err(source) => return Err(StoreError::refused(Operation::Open, &path, source)),
        };
        let opened = file.metadata().map_err(refused(Operation::Open, &path))?;
        // Replaced between the look and the opening: fine if by another regular file.
        if file_id(&opened) != file_id(&seen) && look(&path)?.is_none() {
            return Err(StoreError::Missing { name: name.clone() });
        }
        if !opened.is_file() {
            return Err(StoreError::NotAFile { path });
        }
        Ok(Box::new(LocalObject { name: name.clone(), path, bytes: opened.len(), file }))
    }

    fn stage(&self, staging: &Staging) -> Result<(), StoreError> {
        let folder = self.path(staging.name());
        if let Some(job) = folder.parent() {
            create_folder(job, PRIVATE)?;
            require_folder(job)?;
        }
        match DirBuilder::new().mode(PRIVATE).create(&folder) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::AlreadyStaged { name: staging.name().clone() })
            }
            Err(source) => Err(StoreError::refused(Operation::Create, &folder, source)),
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
        Ok(Box::new(StagedFile::create(staged, path, durability)?))
    }

    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        match self.open(&layout::staged(staging, name)) {
            Err(StoreError::Missing { name }) => Err(StoreError::NotStaged { name }),
            answer => answer,
        }
    }

    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError> {
        let path = self.path(&layout::staged(staging, name));
        unless_gone(fs::remove_file(&path)).map_err(refused(Operation::Discard, &path))
    }

    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
        check: Check,
    ) -> Result<(), StoreError> {
        match self.verify(&layout::staged(staging, name), expected, check) {
            Err(StoreError::Missing { name }) => Err(StoreError::NotStaged { name }),
            answer => answer,
        }
    }

    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError> {
        let staged = layout::staged(staging, name);
        let from = self.path(&staged);
        let to = self.path(name);
        let Some(seen) = look(&from)? else {
            return self.published_before(staged, name, expected);
        };
        if seen.len() != expected.bytes {
            let (expected_bytes, found_bytes) = (expected.bytes, seen.len());
            return Err(StoreError::WrongLength { name: staged, expected_bytes, found_bytes });
        }
        match fs::rename(&from, &to) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && look(&from)?.is_none() => {
                self.published_before(staged, name, expected)
            }
            Err(source) => Err(StoreError::refused(Operation::Publish, &to, source)),
        }
    }

    fn settle(&self, folder: Folder) -> Result<(), StoreError> {
        sync_folder(&self.root.join(folder.as_str()))
    }

    fn discard(&self, staging: &Staging) -> Result<(), StoreError> {
        let folder = self.path(staging.name());
        match fs::remove_dir(&folder) {
            // As a rule: everything in it was published.
            Ok(()) => Ok(()),
            Err(_) => bury(&folder),
        }
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        let staging_root = self.staging_root();
        let mut attempts = 0;
        for job in list_folder(&staging_root)? {
            let folder = staging_root.join(job);
            if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
                let staged = list_folder(&folder)?;
                attempts += staged.iter().filter(|attempt| !layout::is_hidden(attempt)).count();
            }
            bury(&folder)?;
        }
        Ok(attempts as u64)
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.path(name);
        unless_gone(fs::remove_file(&path)).map_err(refused(Operation::Remove, &path))
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

/// The names in a folder, sorted bytewise. Not there is empty.
pub(crate) fn list_folder(folder: &Path) -> Result<Vec<OsString>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::refused(Operation::List, folder, source)),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(refused(Operation::List, folder))?;
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

/// For `map_err`: what was tried, and where.
pub(crate) fn refused(
    operation: Operation,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError + use<'_> {
    move |source| StoreError::refused(operation, path, source)
}

/// What tells a file from every other on this machine, whatever it is called.
pub(crate) fn file_id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Look at a file before it is opened, without following a link. `None` if it is not there.
fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(StoreError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::refused(Operation::Open, path, source)),
    }
}

/// Look once more after opening the folder. NFS remembers that a name was not there, and asks the
/// server again when the folder is opened (close-to-open). Elsewhere this costs nothing worth
/// mentioning: it happens only when an object is missing.
fn look_again(path: &Path) -> Result<Option<Metadata>, StoreError> {
    if let Some(folder) = path.parent() {
        list_folder(folder)?;
    }
    look(path)
}

fn require_folder(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::NotAFolder { path: path.to_owned() }),
        Err(source) => Err(StoreError::refused(Operation::Open, path, source)),
    }
}

/// Create one folder unless something of that name is there.
fn create_folder(path: &Path, mode: u32) -> Result<(), StoreError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        answer => answer.map_err(refused(Operation::Create, path)),
    }
}

fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = File::open(path).map_err(refused(Operation::Open, path))?;
    match folder.sync_all() {
        // Some network file systems have no such thing: their server makes names durable itself.
        Err(error)
            if [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        answer => answer.map_err(refused(Operation::Sync, path)),
    }
}

/// Remove whatever is at `path`, even while a worker writes below it.
///
/// It is renamed first: from then on its worker can neither create nor reopen anything in it. Only
/// a call that was under way at that moment can still add a file.
fn bury(path: &Path) -> Result<(), StoreError> {
    let file = path.file_name().unwrap_or(OsStr::new(""));
    if layout::is_hidden(file) {
        return demolish(path);
    }
    let grave = path.with_file_name(layout::grave(file));
    demolish(&grave)?;
    unless_gone(fs::rename(path, &grave)).map_err(refused(Operation::Discard, path))?;
    demolish(&grave)
}

fn demolish(path: &Path) -> Result<(), StoreError> {
    let remove = || match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    let is_filled_again = |removed: &io::Result<()>| {
        removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty)
    };
    let mut removed = remove();
    for _ in 1..DEMOLITIONS_MAX {
        if !is_filled_again(&removed) {
            break;
        }
        removed = remove();
    }
    unless_gone(removed).map_err(refused(Operation::Discard, path))
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
        Folder::Intermediate | Folder::Output => 0o777,
    }
}

const FOLDERS: [Folder; 3] = [Folder::Hidden, Folder::Intermediate, Folder::Output];

/// A second one is needed now and then when two writers race a discard on two cores (seen in the
/// test of it). The rest is for machines with more; chosen by eye.
const DEMOLITIONS_MAX: u32 = 100;

/// Nobody else's business, and nobody else may plant anything there.
const PRIVATE: u32 = 0o700;

/// Large enough that the calls do not count, small enough to stay in the cache.
const VERIFY_BLOCK_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
