//! One driver at a time in one folder, on one machine.
//!
//! On a shared file system the lock may be local to one mount. So it proves nothing about other
//! machines: there the claim decides (`claims.rs`), and the lock is its fast path.
//!
//! A lock of the operating system, not the existence of a file: it ends with the process, however
//! that ends, so no crash leaves a folder that no driver can use. The file also has the process id
//! of the holder, for the message only.

use std::error::Error;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, process};

use crate::anchor::Anchor;
use crate::layout;

/// A lock that is held until this value is dropped or its process ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Lock the store at `root`, which [`Local::create`](crate::Local::create) has created.
    pub fn acquire(root: &Path) -> Result<Self, LockError> {
        let path = root.join(layout::lock().as_str());
        let refused = |source| LockError::Io { path: path.clone(), source };
        let file = Anchor::open(root).and_then(|top| top.open_or_create(layout::lock().as_str()));
        let file = file.map_err(refused)?;
        require_own_file(&file).map_err(refused)?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    folder: root.to_owned(),
                    holder: read_holder(&file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        write_holder(&file).map_err(refused)?;
        Ok(Self { file })
    }

    /// Whether a driver holds the lock of the store at `root`; `false` if that cannot be
    /// determined.
    pub fn is_held(root: &Path) -> bool {
        let lock = Anchor::open(root).and_then(|top| top.open_file(layout::lock().as_str()));
        let Ok(file) = lock else { return false };
        // Released at once, with the handle; a driver that tries to lock in between tries again.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Device and inode of the file that is the lock of the store at `root`, if there is one.
    pub(crate) fn file_at(root: &Path) -> Option<(u64, u64)> {
        let lock = Anchor::open(root).and_then(|top| top.open_file(layout::lock().as_str()));
        identity(&lock.ok()?)
    }

    /// Device and inode of the file that is locked: they identify it among all mounts of this
    /// machine. `None` if the system does not say.
    pub(crate) fn file(&self) -> Option<(u64, u64)> {
        identity(&self.file)
    }
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The lock is released with the handle. A process id that stays in the file only makes the
        // message of the next conflict worse, if that comes before the next holder writes its own.
        let _ = self.file.set_len(0);
    }
}

/// The folder could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another driver is using it.
    Held {
        /// The store's folder.
        folder: PathBuf,
        /// Its process id, on whatever machine it runs, if it has written it yet.
        holder: Option<u32>,
    },
    /// The system refused.
    Io {
        /// The lock's file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { folder, holder: Some(holder) } => {
                write!(f, "{} is in use by another driver (process {holder})", folder.display())
            }
            Self::Held { folder, holder: None } => {
                write!(f, "{} is in use by another driver", folder.display())
            }
            Self::Io { path, .. } => write!(f, "cannot lock {}", path.display()),
        }
    }
}

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

/// Locks `file`, unless it is held for longer than [`FolderLock::is_held`] holds it.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..RETRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY_PAUSE),
            result @ (Ok(()) | Err(TryLockError::Error(_))) => return result,
        }
    }
    file.try_lock()
}

/// The file will be written: it must not be a file that has another name too.
fn require_own_file(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() == 1 {
        true => Ok(()),
        false => Err(io::Error::other("it is not a file of its own; remove it")),
    }
}

fn read_holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

fn write_holder(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", process::id()).as_bytes())
}

/// How often a lock that is held is tried again, and after which pause. `is_held` takes
/// microseconds.
const RETRIES: u32 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// A process id has ten digits at most.
const HOLDER_BYTES_MAX: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Local;

    #[test]
    fn a_second_driver_is_refused_with_the_process_of_the_first() {
        let root = tempfile::tempdir().unwrap();
        Local::create(root.path()).unwrap();
        let _lock = FolderLock::acquire(root.path()).unwrap();

        let refusal = FolderLock::acquire(root.path()).unwrap_err();
        let (folder, holder) = (root.path().display(), process::id());
        let expected = format!("{folder} is in use by another driver (process {holder})");
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn a_lock_that_was_dropped_can_be_acquired_again() {
        let root = tempfile::tempdir().unwrap();
        Local::create(root.path()).unwrap();

        drop(FolderLock::acquire(root.path()).unwrap());
        drop(FolderLock::acquire(root.path()).unwrap());
    }

    #[test]
    fn asking_whether_the_lock_is_held_never_keeps_a_driver_from_it() {
        let root = tempfile::tempdir().unwrap();
        assert!(!FolderLock::is_held(root.path()), "there is no lock yet");
        Local::create(root.path()).unwrap();
        let lock = FolderLock::acquire(root.path()).unwrap();
        assert!(FolderLock::is_held(root.path()));
        drop(lock);
        assert!(!FolderLock::is_held(root.path()));

        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                for _ in 0..1000 {
                    FolderLock::is_held(root.path());
                }
            });
            while !looking.is_finished() {
                drop(FolderLock::acquire(root.path()).expect("it is never held for long"));
            }
        });
    }

    #[test]
    fn a_folder_that_is_no_store_cannot_be_locked() {
        let root = tempfile::tempdir().unwrap();
        let refusal = FolderLock::acquire(root.path()).unwrap_err();
        assert!(matches!(refusal, LockError::Io { .. }), "{refusal}");
    }
}
