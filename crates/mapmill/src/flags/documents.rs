//! The flags of `mapmill completions` and `mapmill man`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Print a completion script for a shell
///
/// For bash, for example:
/// mapmill completions bash > ~/.local/share/bash-completion/completions/mapmill
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsFlags {
    /// Name of the shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write all pages to a folder
#[derive(Args, Debug)]
pub(crate) struct ManFlags {
    /// Write one page for each command to DIR
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}
