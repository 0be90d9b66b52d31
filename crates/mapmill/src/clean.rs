//! `mapmill clean`: removes the intermediates of a finished job.

use std::sync::Arc;

use driver::{CleanError, Cleaned, OnConflict, Waiting};
use rpc::text::escaped;

use crate::flags::CleanFlags;
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural};
use crate::standby;
use crate::verbosity::Verbosity;
use crate::way_out;

/// `mapmill clean`
pub(crate) fn print(flags: &CleanFlags) -> Result<(), Failure> {
    let mut waiting = standby::waiting(OnConflict::Refuse, Verbosity::Normal, Arc::default());
    let waiting = |waited: &Waiting| {
        // No signal is caught: an interrupt ends the process.
        let _ = waiting(waited);
    };
    let cleaned = driver::clean(&flags.files, waiting).map_err(|error| {
        let way_out = way_out::of_clean(&error);
        let failure = match error {
            CleanError::Partial { .. } => Failure::output(error),
            CleanError::Superseded { .. } => Failure::superseded(error),
            CleanError::Claimed { .. }
            | CleanError::Files { .. }
            | CleanError::InUse(_)
            | CleanError::Journal(_)
            | CleanError::Lock { .. }
            | CleanError::NoJob { .. }
            | CleanError::NotDone { .. }
            | CleanError::NotResumable { .. }
            | CleanError::Thread(_) => Failure::start(error),
        };
        failure.hint(way_out)
    })?;
    let files = flags.files.to_string_lossy();
    let files = escaped(&files);
    let line = if cleaned == Cleaned::default() {
        format!("{files}: nothing to remove\n")
    } else {
        format!(
            "{files}: removed {} ({}) and {} ({})\n",
            plural(cleaned.intermediates, "intermediate file", "intermediate files"),
            bytes(cleaned.intermediate_bytes),
            plural(cleaned.staging_folders, "staging folder", "staging folders"),
            bytes(cleaned.staged_bytes),
        )
    };
    messages::data(line.as_bytes())
}
