//! What the attempts of a job have in common.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use rpc::message::{Failure, Session, Split};
use store::{Input, InputFile, Modified, Roots, Staging, Store};

use crate::failure::input_failure;
use crate::progress::Progress;

/// A job as this worker sees it.
pub(crate) struct Job {
    pub(crate) session: Session,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: words::Rules,
    pub(crate) buckets: NonZeroU32,
    pub(crate) roots: Roots,
    pub(crate) throttle: Option<NonZeroU64>,
    /// The limit for the whole worker.
    pub(crate) memory_bytes: u64,
    /// Whether bad records are skipped and counted; otherwise the first one fails the attempt.
    pub(crate) skip_bad_records: bool,
}

impl Job {
    /// Opens an input, if it is below the roots and has not changed since the plan was made.
    pub(crate) fn open_input(&self, split: &Split) -> Result<InputFile, Failure> {
        let modified =
            Modified { seconds: split.modified_seconds, nanoseconds: split.modified_nanos };
        let input = Input { path: split.path.clone(), bytes: split.file_bytes, modified };
        InputFile::open(&self.roots, &input).map_err(input_failure)
    }

    /// Removes what an attempt staged.
    pub(crate) fn discard(&self, staging: &str) {
        if let Ok(staging) = Staging::parse(staging) {
            // At the end of the job the driver sweeps what cannot be removed now.
            let _ = self.store.discard(&staging);
        }
    }
}

/// What an attempt works with.
#[derive(Clone, Copy)]
pub(crate) struct AttemptContext<'attempt> {
    pub(crate) job: &'attempt Job,
    /// The task's index in its phase.
    pub(crate) task: u32,
    pub(crate) staging: &'attempt Staging,
    pub(crate) progress: &'attempt Progress,
}
