//! Removes what a finished job no longer needs: its intermediates, and what was staged.
//!
//! The removal is on record in the journal before it begins. So a process that is killed meanwhile
//! leaves a finished job, and the next call removes the rest.

use std::path::{Path, PathBuf};

use journal::{Commits, FileLog, JournalError, Log, Record, is_done};
use store::{Folder, Holder, Local, LockError, Store, StoreError, layout};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cleaned {
    /// Intermediates.
    pub intermediates: u64,
    /// Their bytes, as they were recorded.
    pub intermediate_bytes: u64,
    /// Staging folders of attempts.
    pub staging_folders: u64,
    /// Bytes of the files in them.
    pub staged_bytes: u64,
}

/// Nothing was removed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The folder cannot be read.
    #[error("cannot clean {}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// A driver runs the job.
    #[error("cannot lock the results folder: {0}")]
    InUse(LockError),
    /// A driver on another machine has not released the folder.
    #[error(
        "{} is in use by another driver{}",
        path.display(),
        holder.as_ref().map_or_else(String::new, |holder| format!(" ({holder})"))
    )]
    Claimed {
        /// The folder.
        path: PathBuf,
        /// The driver, if its claim names it.
        holder: Option<Holder>,
    },
    /// The journal cannot be read or written.
    #[error("cannot clean the job")]
    Journal(#[source] JournalError),
    /// There is no journal.
    #[error("{} holds no journal of a job", path.display())]
    NoJob {
        /// The folder.
        path: PathBuf,
    },
    /// It can be resumed.
    #[error("the job in {} is not done: its reduce tasks need the intermediates", path.display())]
    NotDone {
        /// The folder.
        path: PathBuf,
    },
    /// Some files are removed, and others are not.
    #[error("cannot remove all intermediates and staging in {}", path.display())]
    Partial {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// Removes the intermediates of the finished job in `files`, and what is staged there.
///
/// # Errors
///
/// When there is no finished job, or a driver runs it: then nothing is removed. When the disk
/// fails.
pub fn clean(files: &Path) -> Result<Cleaned, CleanError> {
    let path = || files.to_owned();
    let mut log = FileLog::in_folder(files);
    if log.read_valid().map_err(CleanError::Journal)?.records.is_empty() {
        return Err(CleanError::NoJob { path: path() });
    }
    let store = Local::open(files).map_err(|source| CleanError::Files { path: path(), source })?;
    let claims = store.claims();
    claims.lock().map_err(CleanError::InUse)?;
    let holder = claims.holder().map_err(|source| CleanError::Files { path: path(), source })?;
    if let Some(holder) = holder {
        return Err(CleanError::Claimed { path: path(), holder });
    }
    // Again: before the lock was held, a driver may have begun another job.
    let recorded = log.read_valid().map_err(CleanError::Journal)?;
    if !is_done(&recorded.records) {
        return Err(CleanError::NotDone { path: path() });
    }
    if recorded.records.last() != Some(&Record::IntermediatesRemoved) {
        log.remove_intermediates(&recorded).map_err(CleanError::Journal)?;
    }
    let mut cleaned = Cleaned::default();
    let partial = |source| CleanError::Partial { path: path(), source };
    remove(&store, &Commits::of(&recorded.records), &mut cleaned).map_err(partial)?;
    Ok(cleaned)
}

fn remove(store: &Local, commits: &Commits, cleaned: &mut Cleaned) -> Result<(), StoreError> {
    for (map, bucket) in store.intermediates()? {
        let made = commits.maps.get(&map).and_then(|commit| commit.buckets.get(bucket as usize));
        // A file that the job has not made is not ours to remove.
        let Some(made) = made else { continue };
        store.remove(&layout::intermediate(map, bucket))?;
        cleaned.intermediates += 1;
        cleaned.intermediate_bytes += made.digest.bytes;
    }
    store.settle(Folder::Intermediate)?;
    cleaned.staged_bytes = store.staged_bytes()?;
    cleaned.staging_folders = store.sweep()?;
    Ok(())
}
