//! The flags of `mapmill export`.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::example;
use crate::messages::Failure;
use crate::numbers::{self, parse_bytes, parse_count};

/// Write the counts of a finished job for other programs
///
/// Reads all outputs, verifies them, and writes all words in one order and one format: by word or
/// by count, as text, TSV, CSV, JSON lines or Parquet. docs/export.md has the command for each
/// trainer of tokenizers, and the rules of each format.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill export --sort count -o counts.tsv", EXIT_CODES))]
pub(crate) struct ExportFlags {
    /// Folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    files: PathBuf,

    /// Write to FILE; `-` is stdout
    ///
    /// The file appears, or replaces an older one, when all of it is written. A pipe or a device
    /// is written to as it is.
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    output: PathBuf,

    /// Write in FORMAT [default: by the end of the name of FILE, or text]
    #[arg(long, value_name = "FORMAT", help_heading = "Words")]
    format: Option<Format>,

    /// Sort by word or by count
    #[arg(long, value_name = "ORDER", default_value = "word", help_heading = "Words")]
    sort: Order,

    /// Leave out words that occur less often than COUNT times
    #[arg(long, value_name = "COUNT", default_value = "1", help_heading = "Words")]
    #[arg(value_parser = |text: &str| parse_count(text, u32::MAX))]
    min_count: NonZeroU32,

    /// Keep the COUNT most frequent words, in either order
    ///
    /// Of words with the same count, the first in the order of bytes are kept.
    #[arg(long, value_name = "COUNT", help_heading = "Words")]
    #[arg(value_parser = |text: &str| parse_count(text, u32::MAX))]
    top: Option<NonZeroU32>,

    /// Limit the memory to BYTES
    ///
    /// Words that do not fit in it while they are sorted are in a temporary file that has no name:
    /// beside FILE, or in the results folder if the words go to stdout. The minimum is 32MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_memory, help_heading = "Resources")]
    #[arg(default_value = "128MiB")]
    memory: u64,

    /// Print a report as JSON to stdout; needs -o FILE
    #[arg(long, help_heading = "Messages")]
    json: bool,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// `word,count`, with a header
    Csv,
    /// An object on each line: `{"word":"the","count":3}`
    Jsonl,
    /// The columns `word` (string) and `count` (int64)
    Parquet,
    /// `word count`, as in the outputs of the job
    Text,
    /// `word`, a tab, `count`; no header
    Tsv,
}

/// The values of `--sort`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Order {
    /// By the bytes of the word, ascending
    Word,
    /// The most frequent first; words with the same count by their bytes
    Count,
}

/// What to export, and where to.
#[derive(Debug)]
pub(crate) struct ExportRequest {
    pub(crate) files: PathBuf,
    /// `None` is stdout.
    pub(crate) output: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) sort: Order,
    pub(crate) min_count: u64,
    pub(crate) top: Option<u64>,
    pub(crate) memory_bytes: usize,
    pub(crate) json: bool,
}

impl TryFrom<ExportFlags> for ExportRequest {
    type Error = Failure;

    fn try_from(flags: ExportFlags) -> Result<Self, Failure> {
        let output = Some(flags.output).filter(|path| path != Path::new("-"));
        if flags.json && output.is_none() {
            return Err(Failure::start(JsonNeedsFile));
        }
        let by_name = output.as_deref().and_then(format_of_name);
        Ok(Self {
            files: flags.files,
            format: flags.format.or(by_name).unwrap_or(Format::Text),
            output,
            sort: flags.sort,
            min_count: flags.min_count.get().into(),
            top: flags.top.map(|top| top.get().into()),
            memory_bytes: usize::try_from(flags.memory).unwrap_or(usize::MAX),
            json: flags.json,
        })
    }
}

fn format_of_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "parquet" => Some(Format::Parquet),
        "tsv" => Some(Format::Tsv),
        _ => None,
    }
}

fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?.get();
    if bytes < MEMORY_BYTES_MIN {
        return Err(format!("an export needs at least {}", numbers::bytes(MEMORY_BYTES_MIN)));
    }
    Ok(bytes)
}

/// The program itself takes half of it.
const MEMORY_BYTES_MIN: u64 = 32 << 20;

/// `--json` without a file.
#[derive(Debug)]
struct JsonNeedsFile;

impl fmt::Display for JsonNeedsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("--json prints to stdout, which has the words already; add -o FILE")
    }
}

impl std::error::Error for JsonNeedsFile {}

/// The end of the long help of `export`.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 an output is damaged, or the words cannot be written; 2 there is no finished job in FILES, or \
FILE cannot be created; 130 interrupted.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_name_says_the_format() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("b.d/a.jsonl", Some(Format::Jsonl)),
            ("a.ndjson", Some(Format::Jsonl)),
            ("a.txt.parquet", Some(Format::Parquet)),
            ("a.tsv", Some(Format::Tsv)),
            ("tsv", None),
            ("a.TSV", None),
            ("a.csv/text", None),
        ] {
            assert_eq!(format_of_name(Path::new(name)), format, "{name}");
        }
    }
}
