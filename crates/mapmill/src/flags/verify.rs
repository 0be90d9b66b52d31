//! The flags of `mapmill verify`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Check every file of a finished job against its journal
///
/// Reads all intermediates and outputs, compares lengths and checksums, and checks that as many
/// words were counted as were emitted. Exit code 1 if anything is wrong.
#[derive(Args, Debug)]
pub(crate) struct VerifyFlags {
    /// The folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,
}
