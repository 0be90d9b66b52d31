//! What a file is, by its first bytes, its name and what the user has chosen; and what is not text.
//!
//! A job that counts a picture as text ends with exit code 0 and words that nobody wrote. So every
//! file is looked at before anything starts, and refused unless it is text or can be made text.

use std::path::Path;

use crate::blocks::Blocks;
use crate::csv::Csv;
use crate::damage::{DamageKind, ReadError};
use crate::decompress::decompressed;
use crate::encoding::decoded;
use crate::format::{Column, Compression, Encoding, Field, Format, Records};
use crate::reader::Limits;

mod text;

use text::Looks;

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
    /// It cannot be decompressed.
    #[error("holds {}, but {kind}", .compression.name())]
    Damaged {
        /// How it is compressed.
        compression: Compression,
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
    /// It has bytes of value zero, which are in no text.
    #[error("holds {}binary data, not text", inside(*.compression))]
    Nul {
        /// It is inside of this compression.
        compression: Compression,
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
        names => format!("{before}{}", names.join(", ")),
    }
}

/// What the file called `name` is, of which `head` are the first [`HEAD_BYTES`], or all.
///
/// # Errors
///
/// When it is not text, or it is not clear which part of it is.
pub fn examine(name: &Path, head: &[u8], choice: &Choice) -> Result<Format, NotText> {
    let encoding = choice.encoding.unwrap_or_default();
    if choice.kind == Kind::Text {
        return Ok(Format { encoding, ..Format::default() });
    }
    let compression = Compression::of(head);
    let (name, says) = without_compression(name);
    if compression == Compression::None {
        if let Some(says) = says.filter(|_| !head.is_empty()) {
            return Err(NotText::Misnamed { compression: says });
        }
        return Examined { name, head, compression, choice }.format();
    }
    let head = decompress_head(head, compression)?;
    let inner = Compression::of(&head);
    if inner != Compression::None {
        return Err(NotText::Compressed { outer: compression, inner });
    }
    Examined { name, head: &head, compression, choice }.format()
}

impl Compression {
    /// How a file is compressed that begins with `head`.
    pub fn of(head: &[u8]) -> Self {
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
            // A frame to skip: that of LZ4 or Zstandard tells which comes behind it.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, a, b, c, d, rest @ ..] => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                rest.get(length..).map_or(Self::Zstd, |next| match Self::of(next) {
                    Self::Lz4 => Self::Lz4,
                    Self::Bzip2 | Self::Gzip | Self::None | Self::Xz | Self::Zstd => Self::Zstd,
                })
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

/// The first bytes of the text, at most [`HEAD_BYTES`]: fewer if `head` has no more.
fn decompress_head(head: &[u8], compression: Compression) -> Result<Vec<u8>, NotText> {
    let limits = Limits { memory_bytes: HEAD_MEMORY_BYTES };
    let mut blocks = decompressed(head, compression, limits);
    let mut text = Vec::new();
    while text.len() < HEAD_BYTES {
        let length = match blocks.pending() {
            Ok([]) => break,
            Ok(block) => {
                text.extend_from_slice(block);
                block.len()
            }
            // The rest of the file is not in the head.
            Err(ReadError::Damaged(damage)) if damage.kind == DamageKind::Truncated => break,
            Err(ReadError::Damaged(damage)) if text.is_empty() => {
                return Err(NotText::Damaged { compression, kind: damage.kind });
            }
            // The job finds it, and says where it is.
            Err(ReadError::Damaged(_)) => break,
            Err(ReadError::Source(error)) => match error {},
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
        if encoding == Encoding::UTF_8 {
            match text::look(self.head) {
                Looks::Binary(extension) => {
                    return Err(NotText::Binary { extension, compression });
                }
                Looks::Invalid { percent } => return Err(NotText::Invalid { percent }),
                Looks::Nul => return Err(NotText::Nul { compression }),
                Looks::Text => {}
                Looks::Unmarked(encoding) => return Err(NotText::Unmarked { encoding }),
            }
        }
        let records = self.records(encoding)?;
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

    fn records(&self, encoding: Encoding) -> Result<Records, NotText> {
        let Choice { kind, field, column, .. } = self.choice;
        if let Some(field) = field {
            return Ok(Records::JsonLines { field: field.clone() });
        }
        if let Some(column) = column {
            return self.csv(column, encoding);
        }
        let extension = extension(self.name);
        let is_warc = self.head.starts_with(b"WARC/");
        let is_json = matches!(extension.as_str(), "jsonl" | "ndjson") && self.is_object();
        match kind {
            Kind::Wet => Ok(Records::Wet),
            Kind::Auto | Kind::Csv | Kind::JsonLines | Kind::Text | Kind::Tsv if is_warc => {
                match self.has_conversions() {
                    true => Ok(Records::Wet),
                    false => Err(NotText::Warc),
                }
            }
            Kind::Auto | Kind::Csv | Kind::JsonLines | Kind::Text | Kind::Tsv if is_json => {
                Err(NotText::FieldWanted { fields: text::keys(self.head) })
            }
            Kind::Auto | Kind::Csv | Kind::JsonLines | Kind::Text | Kind::Tsv => Ok(Records::None),
        }
    }

    /// Whether the first thing in it is a JSON object.
    fn is_object(&self) -> bool {
        let head = self.head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(self.head);
        head.trim_ascii_start().first() == Some(&b'{')
    }

    fn has_conversions(&self) -> bool {
        let is_wet = extension(self.name) == "wet";
        let kind = b"warc-type: conversion";
        is_wet || self.head.windows(kind.len()).any(|window| window.eq_ignore_ascii_case(kind))
    }

    /// Comma-separated values, whose header is looked at if it has to name the column.
    fn csv(&self, column: &Column, encoding: Encoding) -> Result<Records, NotText> {
        let is_tabs = match self.choice.kind {
            Kind::Tsv => true,
            Kind::Auto => matches!(extension(self.name).as_str(), "tsv" | "tab"),
            Kind::Csv | Kind::JsonLines | Kind::Text | Kind::Wet => false,
        };
        let delimiter = if is_tabs { b'\t' } else { b',' };
        if let Column::Name(name) = column {
            let limits = Limits { memory_bytes: HEAD_MEMORY_BYTES };
            let blocks = decoded(decompressed(self.head, Compression::None, limits), encoding);
            let header = Csv::new(blocks, column, delimiter).read_header();
            if let Some(columns) = header.filter(|columns| !columns.contains(name)) {
                return Err(NotText::NoColumn { column: name.clone(), columns });
            }
        }
        Ok(Records::Csv { column: column.clone(), delimiter })
    }
}

/// For the windows and dictionaries of a head.
const HEAD_MEMORY_BYTES: u64 = 128 << 20;

#[cfg(test)]
mod tests;
