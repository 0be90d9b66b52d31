//! The flags of `mapmill verify`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Check every file of a finished job against its journal
///
/// Reads all intermediates and outputs, compares their lengths and checksums, and checks that every
/// emitted word was counted. The exit code is 1 if anything is wrong.
#[derive(Args, Debug)]
pub(crate) struct VerifyFlags {
    /// Folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,
}
