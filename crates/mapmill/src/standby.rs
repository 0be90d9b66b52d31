//! What happens before a driver begins: it waits for the claim of a results folder, which another
//! driver holds, and copies what can be read only once.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driver::{OnConflict, Outcome, Prepared, StartError, StoodBy, Waiting};
use journal::duration;

use crate::copying::Copying;
use crate::messages;
use crate::verbosity::Verbosity;

/// Reports what the driver waits for, whenever that changes, and breaks off when `is_interrupted`.
pub(crate) fn waiting(
    on_conflict: OnConflict,
    verbosity: Verbosity,
    is_interrupted: Arc<AtomicBool>,
) -> impl FnMut(&Waiting) -> ControlFlow<()> {
    let mut told: Option<Waiting> = None;
    let mut copying = Copying::default();
    move |waiting| {
        if told.as_ref() != Some(waiting) && verbosity > Verbosity::Quiet {
            report(waiting, on_conflict, &mut copying);
        }
        told = Some(waiting.clone());
        match is_interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

fn report(waiting: &Waiting, on_conflict: OnConflict, copying: &mut Copying) {
    let silent_max = match waiting {
        Waiting::Address { address } => {
            return messages::say(format_args!(
                "took over from another driver; waiting until its process, which is frozen or \
                 about to end, releases {address}"
            ));
        }
        Waiting::Claim { silent_max, .. } => *silent_max,
        Waiting::Copy { input, files, bytes, is_complete } => {
            return copying.report(input, files, *bytes, *is_complete);
        }
    };
    let (holder, time) = (waiting.named_holder(), duration::exact(silent_max));
    match on_conflict {
        OnConflict::Refuse => messages::say(format_args!(
            "another driver{holder} has not released the results folder; waiting up to {time} to \
             see whether it is alive"
        )),
        OnConflict::StandBy => messages::say(format_args!(
            "standing by: another driver{holder} is running; taking over if it stops before the \
             job is over, or gives no sign of life for {time}"
        )),
    }
}

/// The job that a standby has to do, if any is left.
///
/// # Errors
///
/// When the job cannot start, or has failed.
pub(crate) fn prepare(
    config: driver::Config,
    verbosity: Verbosity,
    is_interrupted: Arc<AtomicBool>,
) -> Result<Option<Prepared>, StandbyError> {
    let waiting = waiting(OnConflict::StandBy, verbosity, is_interrupted);
    match driver::stand_by(config, waiting) {
        Ok(StoodBy::TookOver(prepared)) => Ok(Some(*prepared)),
        Ok(StoodBy::Over { outcome: Outcome::Failed, files }) => {
            Err(StandbyError::Failed { files })
        }
        Ok(StoodBy::Over {
            outcome: Outcome::Done | Outcome::Cancelled | Outcome::NoWorkers | Outcome::Unknown,
            files,
        }) => {
            if verbosity > Verbosity::Quiet {
                let files = files.display();
                messages::say(format_args!("another driver has done the job in {files}"));
            }
            Ok(None)
        }
        Err(error) => Err(StandbyError::Start(error)),
    }
}

/// Why a standby does not run the job, although no driver has finished it.
pub(crate) enum StandbyError {
    Failed { files: PathBuf },
    Start(StartError),
}
