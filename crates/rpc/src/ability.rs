//! What a worker can read besides plain text in UTF-8.

use crate::message::{Format, Records};

/// One kind of file, or of what is around its text. A file may need several.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Ability {
    /// Files in BGZF, and parts of them.
    Bgzf,
    /// Files compressed with bzip2.
    Bzip2,
    /// Columns of CSV and TSV.
    Csv,
    /// Text in any encoding that [`Format::encoding`] may name.
    Encodings,
    /// Files compressed with gzip.
    Gzip,
    /// Fields of JSON lines.
    JsonLines,
    /// Files compressed with LZ4.
    Lz4,
    /// Columns of Apache Parquet.
    Parquet,
    /// Records of WET files.
    Wet,
    /// Files compressed with xz.
    Xz,
    /// Files compressed with Zstandard.
    Zstd,
    /// The same with a seek table, and parts of them.
    ZstdSeekable,
}

impl Ability {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::Bgzf,
        Self::Bzip2,
        Self::Csv,
        Self::Encodings,
        Self::Gzip,
        Self::JsonLines,
        Self::Lz4,
        Self::Parquet,
        Self::Wet,
        Self::Xz,
        Self::Zstd,
        Self::ZstdSeekable,
    ];

    /// Its name in the `.proto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bgzf => "bgzf",
            Self::Bzip2 => "bzip2",
            Self::Csv => "csv",
            Self::Encodings => "encodings",
            Self::Gzip => "gzip",
            Self::JsonLines => "json_lines",
            Self::Lz4 => "lz4",
            Self::Parquet => "parquet",
            Self::Wet => "wet",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::ZstdSeekable => "zstd_seekable",
        }
    }

    /// The ability of this name; `None` for one of a later version.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ability| ability.name() == name)
    }
}

impl Format {
    /// What a worker must be able to do to read files of this format; nothing for plain text.
    ///
    /// # Panics
    ///
    /// If the compression is none of the `.proto`.
    pub fn needs(&self) -> impl Iterator<Item = Ability> {
        let compression = self.compression.as_deref().map(|name| {
            let ability = Ability::from_name(name);
            ability.unwrap_or_else(|| panic!("{name} is no compression of the wire"))
        });
        let records = match self.records {
            Records::WholeText => None,
            Records::Csv { .. } => Some(Ability::Csv),
            Records::JsonLines { .. } => Some(Ability::JsonLines),
            Records::Parquet { .. } => Some(Ability::Parquet),
            Records::Wet => Some(Ability::Wet),
        };
        let encoding = self.encoding.is_some().then_some(Ability::Encodings);
        compression.into_iter().chain(encoding).chain(records)
    }
}
