//! Removes what a finished job no longer needs: its intermediates, and what was staged.
//!
//! It changes the results folder, so it claims the folder as a driver does: no driver can begin a
//! job meanwhile, and after a freeze it removes nothing of the job that has begun since.
//!
//! The removal is on record in the journal before it begins. So a process that is killed meanwhile
//! leaves a finished job, and the next call removes the rest.
//!
//! One gap remains, as in [`claim`]: a process that is frozen between a check of its claim and the
//! next still removes up to [`BATCH_MAX`] files after another driver has taken over.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{Commits, FileLog, JournalError, Log, Record, Recorded, is_done};
use store::{Claims, Folder, Holder, Local, LocalClaims, LockError, Store, StoreError, layout};

use crate::claim::{
    self, Ask, ClaimLost, Claimed, Hold, LookError, MachineClock, OnConflict, TakeError, Waiting,
};
use crate::recovery::is_resumable;

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
    /// A driver on another machine, or on another mount of the folder, runs a job.
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
    /// The folder cannot be read or written.
    #[error("cannot clean {}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// A driver runs a job.
    #[error("cannot lock the results folder: {0}")]
    InUse(LockError),
    /// The journal cannot be read or written.
    #[error("cannot clean the job")]
    Journal(#[source] JournalError),
    /// The system does not lock the folder.
    #[error("cannot clean {}", path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: LockError,
    },
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
    /// It has read an input that can be read only once, and has ended early.
    #[error("the job in {} is not done, and cannot be resumed", path.display())]
    NotResumable {
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
    /// A driver has begun a job meanwhile, or may have.
    #[error("cannot remove all intermediates and staging in {}: {lost}", path.display())]
    Superseded {
        /// The folder.
        path: PathBuf,
        /// Why the claim does not count.
        lost: ClaimLost,
    },
    /// The operating system does not start another thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Removes the intermediates of the finished job in `files`, and what is staged there.
///
/// If a driver that may be alive on another machine holds the claim, this takes up to 10 s:
/// `waiting` is called several times a second meanwhile.
///
/// # Errors
///
/// When there is no finished job, or a driver runs one: then nothing is removed. When the disk
/// fails, or a driver takes over while this process is frozen.
pub fn clean(files: &Path, mut waiting: impl FnMut(&Waiting)) -> Result<Cleaned, CleanError> {
    faults::arm();
    let path = || files.to_owned();
    let in_files = |source| CleanError::Files { path: path(), source };
    let log = FileLog::in_folder(files);
    let recorded = log.read_valid().map_err(CleanError::Journal)?;
    if recorded.records.is_empty() {
        return Err(CleanError::NoJob { path: path() });
    }
    let store = Local::create(files).map_err(in_files)?;
    let claims = store.claims();
    claims.lock().map_err(|error| match error {
        LockError::Held { .. } => CleanError::InUse(error),
        LockError::Io { .. } => CleanError::Lock { path: path(), source: error },
    })?;
    let is_held = claims.is_held().map_err(in_files)?;
    if !is_held {
        require_done(&recorded, files)?;
    }
    let Opened { claimed, mut log, recorded } = open(claims, files, &mut waiting)?;
    let hold = &*claimed.hold;
    faults::reach("clean::claimed", "");
    require_done(&recorded, files)?;
    let superseded = |lost| CleanError::Superseded { path: path(), lost };
    hold.check(&MachineClock).map_err(superseded)?;
    if recorded.records.last() != Some(&Record::IntermediatesRemoved) {
        log.record_removal(&recorded).map_err(|error| match hold.look() {
            Err(LookError::Lost(lost)) => superseded(lost),
            Ok(()) | Err(LookError::Store(_)) => CleanError::Journal(error),
        })?;
    }
    let mut cleaned = Cleaned::default();
    let removed = remove(&store, hold, &Commits::of(&recorded.records), &mut cleaned);
    removed.map_err(|error| match error {
        LookError::Lost(lost) => superseded(lost),
        LookError::Store(source) => CleanError::Partial { path: path(), source },
    })?;
    Ok(cleaned)
}

/// Nothing is removed of a job that is not done.
fn require_done(recorded: &Recorded, files: &Path) -> Result<(), CleanError> {
    let path = files.to_owned();
    match is_done(&recorded.records) {
        true => Ok(()),
        false if is_resumable(&recorded.records) => Err(CleanError::NotDone { path }),
        false => Err(CleanError::NotResumable { path }),
    }
}

/// A claimed results folder, and what its journal has recorded.
struct Opened {
    claimed: Claimed,
    log: FileLog,
    recorded: Recorded,
}

/// Claims the folder, then reads its journal, which no earlier driver can replace any more.
fn open(
    claims: LocalClaims,
    files: &Path,
    waiting: &mut dyn FnMut(&Waiting),
) -> Result<Opened, CleanError> {
    let path = || files.to_owned();
    let in_files = |source| CleanError::Files { path: path(), source };
    let claims: Arc<dyn Claims> = Arc::new(claims);
    let holder = Holder::this_process(None);
    let mut waiting = |waited: &Waiting| {
        waiting(waited);
        ControlFlow::Continue(())
    };
    let mut above = 0;
    loop {
        let is_wanted = &mut |_| {
            let recorded = FileLog::in_folder(files).read_valid().map_err(CleanError::Journal)?;
            require_done(&recorded, files)
        };
        let (asked, refuse) = ((&holder, above), OnConflict::Refuse);
        let ask = Ask { waiting: &mut waiting, is_wanted };
        let taken = claim::take(&claims, asked, refuse, &MachineClock, ask);
        let taken = taken.map_err(|error| match error {
            TakeError::InUse(holder) => CleanError::Claimed { path: path(), holder },
            TakeError::Stopped => unreachable!("`waiting` never breaks off"),
            TakeError::Store(source) => in_files(source),
            TakeError::Unwanted(error) => error,
        })?;
        let claimed = Claimed::new(taken.hold).map_err(CleanError::Thread)?;
        claimed.hold.remove_earlier().map_err(in_files)?;
        let log = FileLog::in_folder(files).drafted_in(claimed.hold.epoch());
        let recorded = log.read_valid().map_err(CleanError::Journal)?;
        if claimed.hold.epoch() > recorded.last_epoch() {
            return Ok(Opened { claimed, log, recorded });
        }
        // The claims were removed, or the journal is of a version that had none.
        above = recorded.last_epoch();
    }
}

fn remove(
    store: &Local,
    hold: &Hold,
    commits: &Commits,
    cleaned: &mut Cleaned,
) -> Result<(), LookError> {
    for batch in store.intermediates().map_err(LookError::Store)?.chunks(BATCH_MAX) {
        hold.check(&MachineClock).map_err(LookError::Lost)?;
        for &(map, bucket) in batch {
            let made =
                commits.maps.get(&map).and_then(|commit| commit.buckets.get(bucket as usize));
            // A file that the job has not made is not ours to remove.
            let Some(made) = made else { continue };
            store.remove(&layout::intermediate(map, bucket)).map_err(LookError::Store)?;
            cleaned.intermediates += 1;
            cleaned.intermediate_bytes += made.digest.bytes;
            faults::reach("clean::removed", "");
        }
    }
    store.settle(Folder::Intermediate).map_err(LookError::Store)?;
    hold.check(&MachineClock).map_err(LookError::Lost)?;
    cleaned.staged_bytes = store.staged_bytes().map_err(LookError::Store)?;
    cleaned.staging_folders = store.sweep().map_err(LookError::Store)?;
    faults::reach("clean::swept", "");
    Ok(())
}

/// How many files are removed between two checks of the claim. A check lists one folder, which
/// costs about as much as one removal.
const BATCH_MAX: usize = 16;
