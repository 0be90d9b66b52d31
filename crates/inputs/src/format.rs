//! What a file is.

use std::fmt;
use std::num::NonZeroU32;

/// How a file is compressed, which part of its records is text, and how that text is encoded.
///
/// The default is plain text in UTF-8.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Format {
    /// How the file is compressed as a whole.
    pub compression: Compression,
    /// How the text in it is encoded. JSON and WET are UTF-8 by their own rules.
    pub encoding: Encoding,
    /// Which parts of it are text.
    pub records: Records,
}

impl Format {
    /// Whether it is plain text in UTF-8, perhaps after a byte order mark.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a share may begin and end at any byte of the file. Otherwise one reader must read
    /// it as a whole.
    pub fn is_cuttable(&self) -> bool {
        let has_cuts = match self.records {
            Records::JsonLines { .. } | Records::None => true,
            // Row groups are given to the share in which they begin.
            Records::Parquet { .. } => return self.compression == Compression::None,
            // A line feed may be within quotes, and only all bytes before it tell.
            Records::Csv { .. } | Records::Wet => false,
        };
        let can_be_cut = self.compression == Compression::None || self.compression.has_index();
        has_cuts && can_be_cut && self.encoding == Encoding::default()
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip in blocks that can be read alone (BGZF).
    Bgzf,
    /// bzip2: one or more streams.
    Bzip2,
    /// gzip (RFC 1952): one or more members.
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// xz: one or more streams.
    Xz,
    /// Zstandard (RFC 8878): one or more frames.
    Zstd,
    /// The same, with a table of its frames at the end.
    ZstdSeekable,
}

impl Compression {
    /// All but [`Self::None`].
    pub const ALL: [Self; 7] =
        [Self::Bgzf, Self::Bzip2, Self::Gzip, Self::Lz4, Self::Xz, Self::Zstd, Self::ZstdSeekable];

    /// Whether a file of it has parts that can be read alone, and says where they are.
    pub(crate) fn has_index(self) -> bool {
        matches!(self, Self::Bgzf | Self::ZstdSeekable)
    }

    /// As its program or its format is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bgzf => "bgzf",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::ZstdSeekable => "zstd_seekable",
        }
    }
}

/// Which parts of a file are text.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Records {
    /// All of it: the file is one document.
    #[default]
    None,
    /// One column of comma-separated values (RFC 4180). Each record is a document.
    Csv {
        /// Which.
        column: Column,
        /// Between two columns: a comma, or a tab.
        delimiter: u8,
    },
    /// One field of each line, which is a JSON object. Each line is a document.
    JsonLines {
        /// Which.
        field: Field,
    },
    /// One column of Apache Parquet. Each row is a document.
    Parquet {
        /// Its dotted path.
        column: String,
    },
    /// The text of the `conversion` records of a WARC file (WET), each a document.
    Wet,
}

/// A column of CSV.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Column {
    /// By the name in the first record, which is no document.
    Name(String),
    /// By its number, from 1: the first record is a document as well.
    Number(NonZeroU32),
}

/// A field of a JSON object, perhaps of an object within it: `text`, `message.body`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Field(String);

impl Field {
    /// From names separated by dots.
    ///
    /// # Errors
    ///
    /// When a name is empty, or there are more than 16.
    pub fn parse(path: &str) -> Result<Self, InvalidField> {
        let mut names = path.split('.');
        if names.clone().count() > FIELD_NAMES_MAX || names.any(str::is_empty) {
            return Err(InvalidField { path: path.to_owned() });
        }
        Ok(Self(path.to_owned()))
    }

    /// From the outermost object inwards.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The names separated by dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A field has an empty name, or too many names.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{path}` is no field: expected 1 to 16 names with dots between them, such as `text`")]
pub struct InvalidField {
    /// What was asked for.
    pub path: String,
}

const FIELD_NAMES_MAX: usize = 16;

/// How text is encoded.
///
/// Those of the WHATWG Encoding Standard, under their names there, and UTF-32.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Encoding(&'static str);

impl Encoding {
    /// UTF-8.
    pub const UTF_8: Self = Self("UTF-8");

    pub(crate) const fn named(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name: `UTF-8`, `windows-1252`.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

/// As in the first line of a run: `gzip, JSON lines, field text`.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compression = Some(self.compression.name());
        let compression = compression.filter(|_| self.compression != Compression::None);
        let encoding = Some(self.encoding.name()).filter(|_| self.encoding != Encoding::UTF_8);
        let parts = compression.into_iter().chain(encoding);
        let mut separator = "";
        for part in parts {
            write!(f, "{separator}{part}")?;
            separator = ", ";
        }
        match &self.records {
            Records::None if separator.is_empty() => f.write_str("text"),
            Records::None => Ok(()),
            Records::Csv { column, delimiter } => {
                let kind = if *delimiter == b'\t' { "TSV" } else { "CSV" };
                write!(f, "{separator}{kind}, column {column}")
            }
            Records::JsonLines { field } => {
                write!(f, "{separator}JSON lines, field {}", field.as_str())
            }
            Records::Parquet { column } => write!(f, "{separator}Parquet, column {column}"),
            Records::Wet => write!(f, "{separator}WET"),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}
