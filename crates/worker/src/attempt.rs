//! One attempt: from a task to staged files and a report of them.

use std::any::Any;
use std::io;
use std::num::{NonZeroU32, NonZeroU64};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rpc::message::{Attempt, Failure, Outcome, Phase, Session, Task, Work, sentence};
use store::{Input, InputError, Modified, Roots, Staging, Store, StoreError};

use crate::progress::Progress;
use crate::worker::phase_name;
use crate::{map, reduce};

/// What all attempts of a job have in common.
pub(crate) struct Job {
    pub(crate) session: Session,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: words::Rules,
    pub(crate) buckets: NonZeroU32,
    pub(crate) roots: Roots,
    pub(crate) throttle: Option<NonZeroU64>,
    /// What this worker may use, for everything.
    pub(crate) memory_bytes: u64,
    /// Of the last map attempt, for the next.
    pub(crate) map_room: Mutex<Option<map::Room>>,
}

impl Job {
    /// For one attempt, which gives it back if it comes to a good end.
    pub(crate) fn take_map_room(&self) -> Option<map::Room> {
        self.map_room.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn keep_map_room(&self, room: map::Room) {
        *self.map_room.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
    }
}

/// Why an attempt stopped before its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// Nobody wants it any more.
    Abandoned,
    /// It cannot be done here.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Executes a task: stages its files and says what they are, or leaves nothing behind.
pub(crate) fn execute(job: &Job, task: &Task, progress: &Progress) -> Result<Outcome, Stop> {
    let staging = own_staging(job, task)?;
    match job.store.stage(&staging) {
        Ok(()) => {}
        Err(StoreError::AlreadyStaged { .. }) => return Err(Failure::StagingExists.into()),
        Err(error) => return Err(store_failure(error).into()),
    }
    faults::reach("worker::staged", phase_name(task.attempt.phase));
    let result = guard(|| match &task.work {
        Work::Map { splits } => map::execute(job, task.attempt.task, splits, &staging, progress),
        Work::Reduce { intermediates } => {
            reduce::execute(job, task.attempt.task, intermediates, &staging, progress)
        }
    });
    if result.is_err() {
        discard(job, &task.staging);
    }
    result
}

/// The folder of this very attempt: a driver that names another one would have us write into, or
/// remove, what somebody else is staging.
fn own_staging(job: &Job, task: &Task) -> Result<Staging, Failure> {
    let refused = |detail| Failure::Io {
        path: PathBuf::from(&task.staging),
        operation: "stage in".to_owned(),
        os_error: 0,
        detail,
    };
    let staging = Staging::parse(&task.staging).map_err(|error| refused(sentence(&error)))?;
    let Attempt { phase, task: index, number } = task.attempt;
    let letter = match phase {
        Phase::Map => 'm',
        Phase::Reduce => 'r',
    };
    let attempt = format!("{letter}{index}.a{number}");
    match staging.is_of(&job.session.0, &attempt) {
        true => Ok(staging),
        false => Err(refused(format!("it is not the folder of {attempt} of this session"))),
    }
}

/// The attempt has got on; is it still wanted?
pub(crate) fn go_on(progress: &Progress) -> Result<(), Stop> {
    progress.step();
    if progress.is_abandoned() { Err(Stop::Abandoned) } else { Ok(()) }
}

/// Removes what an attempt staged.
pub(crate) fn discard(job: &Job, staging: &str) {
    if let Ok(staging) = Staging::parse(staging) {
        // What cannot be removed now is swept by the driver at the end of the job.
        let _ = job.store.discard(&staging);
    }
}

/// A defect of ours, met by the text of one task, must not cost the driver a worker.
fn guard(work: impl FnOnce() -> Result<Outcome, Stop>) -> Result<Outcome, Stop> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Failure::Panicked { message: panic_message(panic.as_ref()) }.into())
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}

/// Opens the results folder, if it lies below the roots.
pub(crate) fn open_store(roots: &Roots, files: &Path) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(roots.open_store(files).map_err(store_failure)?))
}

/// Opens an input as the plan knows it, if it lies below the roots.
pub(crate) fn open_input(
    job: &Job,
    split: &rpc::message::Split,
) -> Result<store::InputFile, Failure> {
    let input = Input {
        path: split.path.clone(),
        bytes: split.file_bytes,
        modified: Modified { seconds: split.modified_seconds, nanoseconds: split.modified_nanos },
    };
    store::InputFile::open(&job.roots, &input).map_err(input_failure)
}

pub(crate) fn input_failure(error: InputError) -> Failure {
    let unreadable =
        |path: &Path, operation: String, source: &io::Error| Failure::InputUnreadable {
            path: path.to_owned(),
            operation,
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
        };
    match error {
        InputError::Changed { path, then_bytes, now_bytes } => {
            Failure::InputChanged { path, then_bytes, now_bytes }
        }
        InputError::Dangling { path, .. } | InputError::Missing { path } => {
            Failure::InputMissing { path }
        }
        InputError::Linked { path } => Failure::InputUnreadable {
            path,
            operation: "open".to_owned(),
            os_error: 0,
            detail: BEHIND_A_LINK.to_owned(),
        },
        InputError::NoFiles { .. } => unreachable!("a worker opens files, it does not list them"),
        InputError::NotAFile { path, kind } => Failure::InputUnreadable {
            path,
            operation: "read".to_owned(),
            os_error: 0,
            detail: format!("it has become {kind}"),
        },
        InputError::OutsideRoots { path } => Failure::OutsideRoots { folder: path },
        InputError::Read { path, offset, source } => {
            unreadable(&path, format!("read byte {offset} of"), &source)
        }
        InputError::Unreadable { path, source } => unreadable(&path, "open".to_owned(), &source),
    }
}

/// What went wrong with an object of our own, for the wire.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Full { path, source, .. } => Failure::DiskFull {
            path,
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
        },
        StoreError::Io { operation, path, source } => Failure::Io {
            path,
            operation: operation.to_string(),
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
        },
        StoreError::AlreadyStaged { ref name }
        | StoreError::Corrupt { ref name, .. }
        | StoreError::Missing { ref name }
        | StoreError::NotStaged { ref name }
        | StoreError::WrongLength { ref name, .. } => Failure::Io {
            path: PathBuf::from(name.as_str()),
            operation: "use".to_owned(),
            os_error: 0,
            detail: error.to_string(),
        },
        StoreError::Linked { ref path }
        | StoreError::NotAFile { ref path }
        | StoreError::NotAFolder { ref path }
        | StoreError::NotOurs { ref path, .. }
        | StoreError::OpenToAll { ref path } => Failure::Io {
            path: path.clone(),
            operation: "use".to_owned(),
            os_error: 0,
            detail: error.to_string(),
        },
        StoreError::OutsideRoots { path } => Failure::OutsideRoots { folder: path },
    }
}

/// What a driver names are real paths: on this machine, or since then, this one is another.
const BEHIND_A_LINK: &str = "there is a symbolic link on the way, and links are not followed";

/// How much is read, and written, at once. Larger blocks were not faster with a warm cache, smaller
/// ones were; and a worker should stay small.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
