//! `mapmill clean`: removes the intermediates of a finished job.

use driver::{CleanError, Cleaned};
use rpc::text::escaped;

use crate::flags::CleanFlags;
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural};
use crate::way_out;

/// `mapmill clean`
pub(crate) fn print(flags: &CleanFlags) -> Result<(), Failure> {
    let cleaned = driver::clean(&flags.files).map_err(|error| {
        let way_out = way_out::of_clean(&error);
        let failure = match error {
            CleanError::Partial { .. } => Failure::output(error),
            CleanError::Claimed { .. }
            | CleanError::Files { .. }
            | CleanError::InUse(_)
            | CleanError::Journal(_)
            | CleanError::NoJob { .. }
            | CleanError::NotDone { .. } => Failure::start(error),
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
