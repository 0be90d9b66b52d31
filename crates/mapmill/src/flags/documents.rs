//! The flags of `mapmill completions` and `mapmill man`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::example;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_long_help = example(BASH, ""))]
pub(crate) struct CompletionsFlags {
    /// Name of the shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write all pages to a folder
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill man ~/.local/share/man/man1", ""))]
pub(crate) struct ManFlags {
    /// Write one page for each command to DIR
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}

/// For bash, which loads completions from there.
const BASH: &str = "mapmill completions bash > ~/.local/share/bash-completion/completions/mapmill";
