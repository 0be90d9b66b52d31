//! The flags of `mapmill top`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DEFAULT_FILES, example};
use crate::numbers::parse_count;

/// Show the most frequent words of finished jobs
///
/// The counts of a word that occurs in several files are added. On a terminal, a bar shows each
/// count; elsewhere, each line is a word and its count, as in the outputs. `mapmill export` writes
/// all words.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill top -k 20 files", ""))]
pub(crate) struct TopFlags {
    /// Folders with results, or outputs of jobs (out-0, out-1, ...)
    #[arg(value_name = "FILES", default_value = DEFAULT_FILES, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// Show COUNT words
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "10")]
    #[arg(value_parser = |text: &str| parse_count(text, u32::MAX))]
    pub(crate) count: NonZeroU32,

    /// Print JSON instead of text
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,
}
