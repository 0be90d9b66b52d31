//! The flags that say what the inputs are, for `mapmill run` and `mapmill driver`.

use std::fmt;

use clap::{Args, ValueEnum};

use crate::messages::Failure;

#[derive(Args, Debug)]
pub(super) struct ReadingFlags {
    /// Say what the files are [default: each file tells]
    ///
    /// Compressed files (gzip, zstd, bzip2, xz, lz4) and UTF-16 or UTF-32 with a byte order mark
    /// are known by their first bytes, WET by its records. What is not text (zip, PDF, pictures,
    /// programs) ends the job before it starts.
    #[arg(long, value_name = "FORMAT", default_value = "auto", hide_short_help = true)]
    #[arg(help_heading = "Input", hide_default_value = true)]
    format: FormatFlag,

    /// Count one field of JSON lines, such as `text` or `message.body`
    ///
    /// Each line is an object and a document: no word goes from one to the next. A missing field
    /// and `null` are empty documents.
    #[arg(long, value_name = "FIELD", hide_short_help = true, help_heading = "Input")]
    #[arg(value_parser = |text: &str| driver::Field::parse(text))]
    #[arg(conflicts_with = "column")]
    field: Option<driver::Field>,

    /// Count one column of CSV, TSV or Parquet, by its name or its number
    ///
    /// Each record is a document. With a name, the first record is a header and is not counted;
    /// with a number, it is counted as well. Names that are numbers cannot be given. Of Parquet,
    /// the column may be within others: `message.body`.
    #[arg(long, value_name = "COLUMN", hide_short_help = true, help_heading = "Input")]
    column: Option<String>,

    /// Decode text from ENCODING, such as windows-1252, shift_jis or utf-16le
    ///
    /// The names and labels are those of the WHATWG Encoding Standard, and utf-32le and utf-32be.
    /// A byte order mark overrides this flag.
    #[arg(long, value_name = "ENCODING", hide_short_help = true, help_heading = "Input")]
    #[arg(value_parser = parse_encoding)]
    encoding: Option<driver::Encoding>,

    /// Skip and count bad records [default: the first one ends the job]
    ///
    /// A record is bad if it does not follow the syntax of its format, or if its field is not text:
    /// a line that is no JSON object, a record of CSV without the column. A missing field and
    /// `null` are empty documents, not bad records. Damage of a compressed file, and a quote of CSV
    /// that is never closed, always end the job.
    #[arg(long, value_name = "ACTION", default_value = "fail", help_heading = "Input")]
    #[arg(hide_short_help = true, hide_default_value = true)]
    on_bad_record: OnBadRecordFlag,

    /// End the job above COUNT skipped bad records [default: 0]
    ///
    /// The message names the first of them. The same command with a higher COUNT resumes the job.
    #[arg(long, value_name = "COUNT", hide_short_help = true, help_heading = "Input")]
    bad_records_max: Option<u64>,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FormatFlag {
    /// Each file tells, by its first bytes and its name
    Auto,
    /// Comma-separated values; needs --column
    Csv,
    /// A JSON object on each line; needs --field
    Jsonl,
    /// The bytes of each file as they are, whatever they look like
    Text,
    /// Tab-separated values; needs --column
    Tsv,
    /// Text of web pages, in WARC records
    Wet,
}

fn parse_encoding(label: &str) -> Result<driver::Encoding, String> {
    let unknown = || format!("no encoding is called `{label}`; `iconv` may know it");
    driver::Encoding::of_label(label).ok_or_else(unknown)
}

/// The values of `--on-bad-record`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum OnBadRecordFlag {
    /// End the job with the first one
    Fail,
    /// Count it and continue with the next record
    Skip,
}

impl From<FormatFlag> for driver::Kind {
    fn from(flag: FormatFlag) -> Self {
        match flag {
            FormatFlag::Auto => Self::Auto,
            FormatFlag::Csv => Self::Csv,
            FormatFlag::Jsonl => Self::JsonLines,
            FormatFlag::Text => Self::Text,
            FormatFlag::Tsv => Self::Tsv,
            FormatFlag::Wet => Self::Wet,
        }
    }
}

impl TryFrom<ReadingFlags> for driver::Reading {
    type Error = Failure;

    fn try_from(flags: ReadingFlags) -> Result<Self, Failure> {
        flags.check().map_err(Failure::start)?;
        let column = flags.column.map(|column| match column.parse() {
            Ok(number) => driver::Column::Number(number),
            Err(_) => driver::Column::Name(column),
        });
        let choice = driver::Choice {
            kind: flags.format.into(),
            field: flags.field,
            column,
            encoding: flags.encoding,
        };
        let bad_records_max = match flags.on_bad_record {
            OnBadRecordFlag::Fail => None,
            OnBadRecordFlag::Skip => Some(flags.bad_records_max.unwrap_or(0)),
        };
        Ok(Self { choice, bad_records_max })
    }
}

impl ReadingFlags {
    /// Whether the flags agree with each other.
    fn check(&self) -> Result<(), Contradiction> {
        let (field, column) = (self.field.is_some(), self.column.is_some());
        // Whether each of them is needed, and whether it has a meaning.
        let (needs_field, takes_field, needs_column, takes_column) = match self.format {
            FormatFlag::Auto => (false, true, false, true),
            FormatFlag::Csv | FormatFlag::Tsv => (false, false, true, true),
            FormatFlag::Jsonl => (true, true, false, false),
            FormatFlag::Text | FormatFlag::Wet => (false, false, false, false),
        };
        let skips = self.on_bad_record == OnBadRecordFlag::Skip;
        if field && !takes_field {
            Err(Contradiction::Useless("--field"))
        } else if column && !takes_column {
            Err(Contradiction::Useless("--column"))
        } else if needs_field && !field {
            Err(Contradiction::Missing("--field"))
        } else if needs_column && !column {
            Err(Contradiction::Missing("--column"))
        } else if self.bad_records_max.is_some() && !skips {
            Err(Contradiction::NothingSkipped)
        } else {
            Ok(())
        }
    }
}

/// Two flags do not go together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Contradiction {
    Missing(&'static str),
    NothingSkipped,
    Useless(&'static str),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(flag) => write!(f, "this --format needs {flag} to say what is text"),
            Self::NothingSkipped => {
                f.write_str("--bad-records-max needs --on-bad-record skip: without it the first bad record ends the job")
            }
            Self::Useless(flag) => write!(f, "this --format has no {flag}; leave one of them out"),
        }
    }
}

impl std::error::Error for Contradiction {}
