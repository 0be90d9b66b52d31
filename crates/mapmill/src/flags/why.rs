//! The flags of `mapmill why`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::DEFAULT_FILES;

/// Tell what happened to a job, or to one of its tasks
///
/// Every attempt at every task, with who made it, when, how much it read and what became of it:
/// while the job runs, and afterwards, as long as its journal is in FILES. With TASK, the story of
/// that task; a TASK is written as messages write it: m3, r0, m3.a1, or `map task 3`.
#[derive(Args, Debug)]
#[command(after_long_help = WHY_EXIT_CODES)]
pub(crate) struct WhyFlags {
    /// The folder with the results
    #[arg(value_name = "FILES", default_value = DEFAULT_FILES, value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,

    /// The task to tell of; all of them in short if left out
    #[arg(value_name = "TASK")]
    pub(crate) task: Vec<String>,

    /// Print it as JSON
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,
}

/// The end of the long help for telling what happened.
const WHY_EXIT_CODES: &str = "\
Exit codes: 0 it was told; 2 there is no job in FILES, or no such task.";
