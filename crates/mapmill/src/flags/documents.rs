//! The flags of `mapmill completions` and `mapmill man`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Print a completion script for a shell
///
/// For bash, for example:
/// mapmill completions bash > ~/.local/share/bash-completion/completions/mapmill
#[derive(Args, Debug)]
pub(crate) struct CompletionsFlags {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write all pages into a folder
#[derive(Args, Debug)]
pub(crate) struct ManFlags {
    /// Write one page for each command into DIR
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}
