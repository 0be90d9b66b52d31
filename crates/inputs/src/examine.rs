//! What a file is, by its first bytes, its name and what the user has chosen; and what is not text.
//!
//! A job that counts a picture as text ends with exit code 0 and words that are none. So every
//! file is looked at before anything starts, and refused unless it is text or can be made text.

use std::path::Path;

use crate::blocks::Blocks;
use crate::csv::Csv;
use crate::damage::{DamageKind, ReadError};
use crate::decompress::decompressed;
use crate::encoding::decoded;
use crate::format::{Column, Compression, Encoding, Field, Format, Records};
use crate::index;
use crate::reader::Limits;
use crate::source::Source;

mod text;

use text::{Lines, Looks};

/// How many bytes of a file are enough to find out what it is.
pub const HEAD_BYTES: usize = 64 << 10;

/// What the user has chosen, for all files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// Which kind of files they are.
    pub kind: Kind,
    /// Of JSON lines: which field is text. It makes all files JSON lines.
    pub field: Option<Field>,
    /// Of comma-separated values: which column is text. It makes all files such values.
    pub column: Option<Column>,
    /// How their text is encoded; by default in UTF-8, or as their byte order mark says.
    pub encoding: Option<Encoding>,
}

/// Which kind of files they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// Each file tells, by its first bytes and its name.
    #[default]
    Auto,
    /// Comma-separated values.
    Csv,
    /// JSON lines.
    JsonLines,
    /// Text as it is, whatever it looks like: nothing is decompressed, nothing refused.
    Text,
    /// Tab-separated values.
    Tsv,
    /// WET.
    Wet,
}

/// A file is not text, or it is not clear which part of it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotText {
    /// It is of a kind that is known and not read.
    #[error("holds {}{extension}, not text", inside(*.compression))]
    Binary {
        /// As names of such files end: `pdf`, `zip`.
        extension: &'static str,
        /// It is inside of this compression.
        compression: Compression,
    },
    /// It is compressed twice.
    #[error("holds {} inside of {}", .inner.name(), .outer.name())]
    Compressed {
        /// What is found first.
        outer: Compression,
        /// What is found inside of it.
        inner: Compression,
    },
    /// No column of Parquet is chosen.
    #[error("holds Parquet, and no column is chosen{}", list("; its columns of text are: ", .columns))]
    ColumnWanted {
        /// Its columns of text.
        columns: Vec<String>,
    },
    /// It cannot be decompressed, or its metadata cannot be read.
    #[error("holds {what}, but {kind}")]
    Damaged {
        /// How it is compressed, or that it is Parquet.
        what: &'static str,
        /// What is wrong.
        kind: DamageKind,
    },
    /// It holds JSON lines, and no field is chosen.
    #[error("holds JSON lines, and no field is chosen{}", list("; its first record has: ", .fields))]
    FieldWanted {
        /// Those of its first record, in order.
        fields: Vec<String>,
    },
    /// Too many of its first bytes are no UTF-8.
    #[error("is not UTF-8 in {percent} % of its first bytes")]
    Invalid {
        /// How many, in hundredths.
        percent: u64,
    },
    /// Its name says that it is compressed, its content does not.
    #[error("does not hold {}, as its name says", .compression.name())]
    Misnamed {
        /// What its name says.
        compression: Compression,
    },
    /// The chosen column is not in its header.
    #[error("has no column `{column}`{}", list("; its columns are: ", .columns))]
    NoColumn {
        /// The chosen one.
        column: String,
        /// Those of the header.
        columns: Vec<String>,
    },
    /// None of its first records has the chosen field.
    #[error("has no field `{field}` in its first records{}", list("; the first has: ", .fields))]
    NoField {
        /// The chosen one.
        field: String,
        /// Those of the first record.
        fields: Vec<String>,
    },
    /// A field of JSON lines is chosen, and no line is a JSON object.
    #[error("is not JSON lines: none of its first lines is an object")]
    NoObjects,
    /// It has bytes of value zero, which are in no text.
    #[error("holds {}binary data, not text", inside(*.compression))]
    Nul {
        /// It is inside of this compression.
        compression: Compression,
    },
    /// It is Parquet, and its pages are compressed in a way that is not read.
    #[error("holds Parquet with pages in {compression}, which is not read")]
    Pages {
        /// How they are compressed.
        compression: &'static str,
    },
    /// It looks like UTF-16 or UTF-32 without a byte order mark.
    #[error("looks like {} without a byte order mark", .encoding.name())]
    Unmarked {
        /// What it looks like.
        encoding: Encoding,
    },
    /// It holds records of WARC, of which none is plain text.
    #[error("holds WARC records of web pages, not of text")]
    Warc,
}

fn inside(compression: Compression) -> String {
    match compression == Compression::None {
        true => String::new(),
        false => format!("{} of ", compression.name()),
    }
}

fn list(before: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => {
            let shown = names[..names.len().min(NAMES_SHOWN_MAX)].join(", ");
            let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{before}{shown}{more}")
        }
    }
}

/// As many as fit into a message.
const NAMES_SHOWN_MAX: usize = 10;

/// A file cannot be counted, or not be read.
#[derive(Debug)]
pub enum ExamineError<E> {
    /// It is not text, or it is not clear which part of it is.
    NotText(NotText),
    /// The source cannot be read.
    Source(E),
}

impl<E> From<NotText> for ExamineError<E> {
    fn from(why: NotText) -> Self {
        Self::NotText(why)
    }
}

/// What the file called `name` is. Its first bytes are read, [`HEAD_BYTES`] of them into `head`,
/// which has at least that length; of a compressed file as many more as the first [`HEAD_BYTES`] of
/// its text take: a block of LZ4 may have four megabytes.
///
/// # Errors
///
/// When it is not text, when it is not clear which part of it is, or when it cannot be read.
pub fn examine<S: Source + Send + Sync>(
    name: &Path,
    source: &S,
    head: &mut [u8],
    choice: &Choice,
) -> Result<Format, ExamineError<S::Error>> {
    let encoding = choice.encoding.unwrap_or_default();
    if choice.kind == Kind::Text {
        return Ok(Format { encoding, ..Format::default() });
    }
    let length = source.read_at(0, &mut head[..HEAD_BYTES]).map_err(ExamineError::Source)?;
    let head = &head[..length];
    if cfg!(feature = "parquet") && choice.kind == Kind::Auto && head.starts_with(b"PAR1") {
        return parquet(source, choice);
    }
    if head.starts_with(LEGACY_LZ4) {
        let (extension, compression) = ("legacy lz4", Compression::None);
        return Err(NotText::Binary { extension, compression }.into());
    }
    let compression = Compression::of(head);
    let (name, says) = without_compression(name);
    if compression == Compression::None {
        if let Some(says) = says.filter(|_| !head.is_empty()) {
            return Err(NotText::Misnamed { compression: says }.into());
        }
        return Ok(Examined { name, head, compression, choice }.format()?);
    }
    let head = decompress_head(source, compression)?;
    let inner = Compression::of(&head);
    if inner != Compression::None {
        return Err(NotText::Compressed { outer: compression, inner }.into());
    }
    let format = Examined { name, head: &head, compression, choice }.format()?;
    let compression = index::indexed(source, compression).map_err(ExamineError::Source)?;
    Ok(Format { compression, ..format })
}

/// A file that says that it is Parquet: which column of it is chosen.
#[cfg(feature = "parquet")]
fn parquet<S: Source>(source: &S, choice: &Choice) -> Result<Format, ExamineError<S::Error>> {
    use crate::parquet::{Chosen, Columns, columns};
    if choice.field.is_some() {
        return Err(NotText::Binary { extension: "parquet", compression: Compression::None }.into());
    }
    let chosen = choice.column.as_ref().map(|column| match column {
        Column::Name(name) => Chosen::Name(name),
        Column::Number(number) => Chosen::Number(number.get() as usize),
    });
    let limits = Limits { memory_bytes: PARQUET_MEMORY_BYTES };
    match (columns(source, chosen, limits), &choice.column) {
        (Ok(Columns::Found(column)), _) => {
            Ok(Format { records: Records::Parquet { column }, ..Format::default() })
        }
        (Ok(Columns::Unread(compression)), _) => Err(NotText::Pages { compression }.into()),
        (Ok(Columns::Others(columns)), None) => Err(NotText::ColumnWanted { columns }.into()),
        (Ok(Columns::Others(columns)), Some(column)) => {
            Err(NotText::NoColumn { column: column.to_string(), columns }.into())
        }
        (Err(ReadError::Damaged(damage)), _) => {
            Err(NotText::Damaged { what: "Parquet", kind: damage.kind }.into())
        }
        (Err(ReadError::Source(error)), _) => Err(ExamineError::Source(error)),
    }
}

#[cfg(not(feature = "parquet"))]
fn parquet<S: Source>(_source: &S, _choice: &Choice) -> Result<Format, ExamineError<S::Error>> {
    Err(NotText::Binary { extension: "parquet", compression: Compression::None }.into())
}

/// How the format before that of frames begins, which `lz4 -l` writes.
const LEGACY_LZ4: &[u8] = b"\x02\x21\x4C\x18";

/// What the metadata of a file may take. A worker has no less for it.
#[cfg(feature = "parquet")]
const PARQUET_MEMORY_BYTES: u64 = 20 << 20;

impl Compression {
    /// How a file is compressed that begins with `head`.
    pub fn of(head: &[u8]) -> Self {
        let (mut rest, mut is_skipped) = (head, false);
        // Frames to skip: which frame comes behind them tells LZ4 from Zstandard.
        while let [0x50..=0x5F, 0x2A, 0x4D, 0x18, a, b, c, d, behind @ ..] = rest {
            is_skipped = true;
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            rest = behind.get(length..).unwrap_or_default();
        }
        let member = Self::of_member(rest);
        if is_skipped && member != Self::Lz4 { Self::Zstd } else { member }
    }

    /// The same, for what does not begin with a frame to skip.
    fn of_member(head: &[u8]) -> Self {
        const BZIP2_BLOCK: &[u8] = b"\x31\x41\x59\x26\x53\x59";
        const BZIP2_END: &[u8] = b"\x17\x72\x45\x38\x50\x90";
        match head {
            [0x1F, 0x8B, 0x08, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x04, 0x22, 0x4D, 0x18, ..] => Self::Lz4,
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if rest.starts_with(BZIP2_BLOCK) || rest.starts_with(BZIP2_END) =>
            {
                Self::Bzip2
            }
            _ => Self::None,
        }
    }

    /// How names of its files end.
    fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "bz2" => Some(Self::Bzip2),
            "gz" | "gzip" => Some(Self::Gzip),
            "lz4" => Some(Self::Lz4),
            "xz" => Some(Self::Xz),
            "zst" | "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The name without the ending of a compression, and that compression.
fn without_compression(name: &Path) -> (&Path, Option<Compression>) {
    match Compression::of_extension(&extension(name)) {
        Some(compression) => (Path::new(name.file_stem().unwrap_or_default()), Some(compression)),
        None => (name, None),
    }
}

fn extension(name: &Path) -> String {
    name.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The first bytes of the text, at most [`HEAD_BYTES`].
fn decompress_head<S: Source + Send + Sync>(
    source: &S,
    compression: Compression,
) -> Result<Vec<u8>, ExamineError<S::Error>> {
    let limits = Limits { memory_bytes: HEAD_MEMORY_BYTES };
    let mut blocks = decompressed(source, compression, limits);
    let mut text = Vec::new();
    while text.len() < HEAD_BYTES {
        let length = match blocks.pending() {
            Ok([]) => break,
            Ok(block) => {
                text.extend_from_slice(block);
                block.len()
            }
            Err(ReadError::Damaged(damage)) if text.is_empty() => {
                let what = compression.name();
                return Err(NotText::Damaged { what, kind: damage.kind }.into());
            }
            // The job finds it, and says where it is.
            Err(ReadError::Damaged(_)) => break,
            Err(ReadError::Source(error)) => return Err(ExamineError::Source(error)),
        };
        blocks.take(length);
    }
    text.truncate(HEAD_BYTES);
    Ok(text)
}

/// A file whose compression is known.
struct Examined<'a> {
    /// Without the ending of the compression.
    name: &'a Path,
    /// The first bytes of its text.
    head: &'a [u8],
    compression: Compression,
    choice: &'a Choice,
}

impl Examined<'_> {
    fn format(&self) -> Result<Format, NotText> {
        let compression = self.compression;
        let encoding = self.encoding();
        let decoded = (encoding != Encoding::UTF_8).then(|| decode(self.head, encoding));
        let text = decoded.as_deref().unwrap_or(self.head);
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        // Of pages in any encoding.
        if self.choice.kind == Kind::Auto && text.starts_with(b"WARC/") && !self.is_wet(text) {
            return Err(NotText::Warc);
        }
        match text::look(self.head, text) {
            Looks::Binary(extension) => return Err(NotText::Binary { extension, compression }),
            Looks::Invalid { percent } => return Err(NotText::Invalid { percent }),
            Looks::Nul => return Err(NotText::Nul { compression }),
            Looks::Text => {}
            Looks::Unmarked(encoding) => return Err(NotText::Unmarked { encoding }),
        }
        let records = self.records(text)?;
        Ok(Format { compression, encoding, records })
    }

    fn encoding(&self) -> Encoding {
        let marked = match self.head {
            // The first two bytes are those of UTF-16.
            [0xFF, 0xFE, 0, 0, ..] => Some(Encoding::UTF_32LE),
            [0, 0, 0xFE, 0xFF, ..] => Some(Encoding::UTF_32BE),
            [0xFF, 0xFE, ..] => Some(Encoding::UTF_16LE),
            [0xFE, 0xFF, ..] => Some(Encoding::UTF_16BE),
            [0xEF, 0xBB, 0xBF, ..] => Some(Encoding::UTF_8),
            _ => None,
        };
        // A mark says more of this file than a choice that was made for all.
        marked.or(self.choice.encoding).unwrap_or_default()
    }

    fn records(&self, text: &[u8]) -> Result<Records, NotText> {
        let Choice { kind, field, column, .. } = self.choice;
        if let Some(field) = field {
            if *kind == Kind::Auto {
                self.check_lines(field, text)?;
            }
            return Ok(Records::JsonLines { field: field.clone() });
        }
        if let Some(column) = column {
            return self.csv(column, text);
        }
        if *kind == Kind::Wet || text.starts_with(b"WARC/") {
            return Ok(Records::Wet);
        }
        let is_json_lines = matches!(extension(self.name).as_str(), "jsonl" | "ndjson");
        match is_json_lines && text.trim_ascii_start().first() == Some(&b'{') {
            true => Err(NotText::FieldWanted { fields: text::keys(text) }),
            false => Ok(Records::None),
        }
    }

    /// That `text` is JSON lines, and that one of its first records has the field: one of another
    /// name would be missing everywhere, and nothing counted.
    fn check_lines(&self, field: &Field, text: &[u8]) -> Result<(), NotText> {
        let name = field.names().next().unwrap_or_default();
        match text::lines(text, name) {
            Lines::HaveKey | Lines::None => Ok(()),
            Lines::LackKey(fields) => {
                Err(NotText::NoField { field: field.as_str().to_owned(), fields })
            }
            Lines::NoObjects => Err(NotText::NoObjects),
        }
    }

    /// Whether WARC has records of text.
    fn is_wet(&self, text: &[u8]) -> bool {
        let kind = b"warc-type: conversion";
        extension(self.name) == "wet"
            || text.windows(kind.len()).any(|window| window.eq_ignore_ascii_case(kind))
    }

    /// Comma-separated values, or tab-separated ones if the name or the header says so.
    fn csv(&self, column: &Column, text: &[u8]) -> Result<Records, NotText> {
        let records = |delimiter| Ok(Records::Csv { column: column.clone(), delimiter });
        let (first, second) = match self.choice.kind {
            Kind::Tsv => (b'\t', None),
            Kind::Auto if matches!(extension(self.name).as_str(), "tsv" | "tab") => (b'\t', None),
            Kind::Auto => (b',', Some(b'\t')),
            Kind::Csv | Kind::JsonLines | Kind::Text | Kind::Wet => (b',', None),
        };
        let Column::Name(name) = column else { return records(first) };
        let header = |delimiter| {
            let limits = Limits { memory_bytes: HEAD_MEMORY_BYTES };
            let blocks = decompressed(text, Compression::None, limits);
            Csv::new(blocks, column, delimiter).read_header(self.head.len() < HEAD_BYTES)
        };
        // A header that does not end in the head is for the job to find out about.
        let Some(columns) = header(first) else { return records(first) };
        if columns.contains(name) {
            return records(first);
        }
        match second.filter(|&other| header(other).is_some_and(|names| names.contains(name))) {
            Some(delimiter) => records(delimiter),
            None => Err(NotText::NoColumn { column: name.clone(), columns }),
        }
    }
}

/// `head` in UTF-8. A character that its end cuts off is omitted.
fn decode(head: &[u8], encoding: Encoding) -> Vec<u8> {
    let whole = head.len() - head.len() % UNIT_BYTES;
    let limits = Limits { memory_bytes: HEAD_MEMORY_BYTES };
    let mut blocks = decoded(decompressed(&head[..whole], Compression::None, limits), encoding);
    let mut text = Vec::new();
    loop {
        let length = match blocks.pending() {
            Ok([]) => return text,
            Ok(block) => {
                text.extend_from_slice(block);
                block.len()
            }
            Err(ReadError::Damaged(_)) => unreachable!("what is not compressed is not damaged"),
            Err(ReadError::Source(error)) => match error {},
        };
        blocks.take(length);
    }
}

/// Of UTF-32, the largest.
const UNIT_BYTES: usize = 4;

/// For the windows and dictionaries of a head.
const HEAD_MEMORY_BYTES: u64 = 128 << 20;

#[cfg(test)]
mod tests;
