//! The flags of `mapmill clean`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::example;

/// Remove the intermediate files of a finished job
///
/// They take about as much space as the input. The outputs and the journal stay: `top` and `why`
/// work as before, and `verify` checks the outputs alone. Staged files that a killed process has
/// left are removed too. A job that is not done, or that a driver runs, is left as it is.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill clean files", EXIT_CODES))]
pub(crate) struct CleanFlags {
    /// Folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,
}

/// The end of the long help of `clean`.
const EXIT_CODES: &str = "\
Exit codes: 0 done, even if there was nothing to remove; 1 not all could be removed; 2 the job in \
FILES is not done, or there is none, or a driver runs it; 3 a driver has taken over FILES.";
