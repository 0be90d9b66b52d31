//! The flags of `mapmill verify`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::example;

/// Check every file of a finished job against its journal
///
/// Reads all intermediates and outputs, compares their lengths and checksums, and checks that every
/// emitted word was counted.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill verify files", EXIT_CODES))]
pub(crate) struct VerifyFlags {
    /// Folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,

    /// Print JSON instead of text
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,
}

/// The end of the long help of `verify`.
const EXIT_CODES: &str = "\
Exit codes: 0 every file is as recorded; 1 there are problems; 2 there is no finished job in FILES.";
