//! One attempt: from a task to staged files and their description.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use rpc::message::{Attempt, Failure, Outcome, Phase, Task, Work};
use store::{Staging, StoreError, layout};

use crate::failure::{Interrupted, store_failure};
use crate::job::{AttemptContext, Job};
use crate::map::Buffers;
use crate::progress::Progress;
use crate::{map, reduce};

/// Executes a task: stages its files and describes them, or leaves nothing behind.
///
/// `buffers` are those of the last attempt of this thread.
pub(crate) fn execute(
    job: &Job,
    task: &Task,
    buffers: &mut Buffers,
    progress: &Progress,
) -> Result<Outcome, Interrupted> {
    let staging = own_staging(job, task)?;
    match job.store.stage(&staging) {
        Ok(()) => {}
        Err(StoreError::Begun { .. }) => return Err(Failure::StagingExists.into()),
        Err(error) => return Err(store_failure(error).into()),
    }
    faults::reach("worker::staged", task.attempt.phase);
    let context = AttemptContext { job, task: task.attempt.task, staging: &staging, progress };
    let result = guard(|| match &task.work {
        Work::Map { splits } => map::execute(context, splits, buffers),
        Work::Reduce { intermediates } => {
            // The table of words may need all the memory.
            *buffers = Buffers::default();
            reduce::execute(context, intermediates)
        }
    });
    if result.is_err() {
        job.discard(&task.staging);
    }
    result
}

/// The staging folder of this attempt, and no other. If a driver could name another one, this
/// worker would write to, or remove, what another attempt is staging.
fn own_staging(job: &Job, task: &Task) -> Result<Staging, Failure> {
    let Attempt { phase, task: index, number } = task.attempt;
    let phase = match phase {
        Phase::Map => layout::Phase::Map,
        Phase::Reduce => layout::Phase::Reduce,
    };
    match Staging::parse(&task.staging) {
        Ok(staging) if staging.is_of(&job.session.0, phase, index, number) => Ok(staging),
        Ok(_) | Err(_) => Err(Failure::ForeignStaging { path: PathBuf::from(&task.staging) }),
    }
}

/// A panic is the failure of the attempt: a defect that the text of one task triggers must not end
/// the worker.
fn guard(work: impl FnOnce() -> Result<Outcome, Interrupted>) -> Result<Outcome, Interrupted> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Failure::Panicked { message: panic_message(panic.as_ref()) }.into())
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}

#[cfg(test)]
mod tests;
