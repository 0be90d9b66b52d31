//! The flags of `mapmill top`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::example;
use crate::numbers::parse_count;

/// Show the most frequent words of finished jobs
///
/// The counts of a word that occurs in several files are added.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill top -k 20 files", ""))]
pub(crate) struct TopFlags {
    /// Outputs of jobs (out-0, out-1, ...), or folders with results
    #[arg(value_name = "FILES", default_value = "files/out", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// Show COUNT words
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "10")]
    #[arg(value_parser = |text: &str| parse_count(text, u32::MAX))]
    pub(crate) count: NonZeroU32,
}
