//! The flags of `mapmill why`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DEFAULT_FILES, example};

/// Explain what happened to a job, or to one of its tasks
///
/// Lists every attempt at every task: its worker, its times, how much it read and how it ended.
/// Works while the job runs, and afterwards as long as its journal is in FILES.
///
/// With TASK, prints the history of that task. TASK has the form used in messages: m3, r0, m3.a1,
/// or `map task 3`.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill why files m3", WHY_EXIT_CODES))]
pub(crate) struct WhyFlags {
    /// Folder with the results
    #[arg(value_name = "FILES", default_value = DEFAULT_FILES, value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,

    /// Task to explain; a summary of all tasks if omitted
    #[arg(value_name = "TASK")]
    pub(crate) task: Vec<String>,

    /// Print JSON instead of text
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,
}

/// The end of the long help of `why`.
const WHY_EXIT_CODES: &str = "\
Exit codes: 0 done; 2 there is no job in FILES, or the job has no such task.";
