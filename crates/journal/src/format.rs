//! What the inputs of a job are, as its journal says it.
//!
//! A twin of the type with which files are read. That one changes with the code; this one is read
//! again years later, by programs that may not know the format.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an input is. The default is plain text in UTF-8, of which a record says nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Format {
    /// How it is compressed: `gzip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// How its text is encoded, if not in UTF-8: `UTF-16LE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Which parts of it are text, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// Whether one map task must read it from its first byte to its last.
    #[serde(default, skip_serializing_if = "is_false")]
    pub whole: bool,
}

/// Which parts of an input are text.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Records {
    /// A column of comma-separated values.
    Csv {
        /// Its name in the first record, or its number, from 1.
        column: Column,
        /// What separates two columns.
        delimiter: char,
    },
    /// A field of each line, which is a JSON object.
    JsonLines {
        /// Its dotted path.
        field: String,
    },
    /// A column of Apache Parquet.
    Parquet {
        /// Its dotted path.
        column: String,
    },
    /// The `conversion` records of a WARC file.
    Wet,
    /// Parts that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A column of comma-separated values.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(untagged)]
pub enum Column {
    /// By its number, from 1.
    Number(u32),
    /// By its name in the first record.
    Name(String),
}

impl Format {
    /// Whether it is plain text in UTF-8.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// How many bytes of text at most a byte of the file becomes; `None` where nothing bounds them.
    pub(crate) fn text_factor_max(&self) -> Option<u64> {
        match (&self.compression, &self.records, &self.encoding) {
            // Dictionaries and run lengths, inside of Parquet as well.
            (Some(_), _, _) | (None, Some(Records::Parquet { .. } | Records::Unknown), _) => None,
            // A byte becomes a character of three bytes at most.
            (None, _, Some(_)) => Some(3),
            (None, _, None) => Some(1),
        }
    }
}

/// In a few words, for people: `gzip, JSON lines, field text`.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.records.as_ref().map(ToString::to_string);
        let parts = [self.compression.clone(), self.encoding.clone(), records];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => f.write_str("text"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csv { column, delimiter: '\t' } => write!(f, "TSV, column {column}"),
            Self::Csv { column, .. } => write!(f, "CSV, column {column}"),
            Self::JsonLines { field } => write!(f, "JSON lines, field {field}"),
            Self::Parquet { column } => write!(f, "Parquet, column {column}"),
            Self::Wet => f.write_str("WET"),
            Self::Unknown => f.write_str("records of a kind that this version does not know"),
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

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &Format, line: &str, text: &str) {
        assert_eq!(serde_json::to_string(format).unwrap(), line);
        assert_eq!(serde_json::from_str::<Format>(line).unwrap(), *format);
        assert_eq!(format.to_string(), text);
    }

    #[test]
    fn formats_are_written_read_and_shown() {
        check(&Format::default(), "{}", "text");
        let field = "a.b".to_owned();
        let records = Some(Records::JsonLines { field });
        let json = Format {
            compression: Some("gzip".to_owned()),
            records,
            whole: true,
            ..Format::default()
        };
        let line =
            r#"{"compression":"gzip","records":{"kind":"json_lines","field":"a.b"},"whole":true}"#;
        check(&json, line, "gzip, JSON lines, field a.b");
        let csv = |column, delimiter| Format {
            records: Some(Records::Csv { column, delimiter }),
            ..Format::default()
        };
        let line = r#"{"records":{"kind":"csv","column":3,"delimiter":"\t"}}"#;
        check(&csv(Column::Number(3), '\t'), line, "TSV, column 3");
        let line = r#"{"records":{"kind":"csv","column":"3","delimiter":","}}"#;
        check(&csv(Column::Name("3".to_owned()), ','), line, "CSV, column 3");
        let wet = Format { records: Some(Records::Wet), ..Format::default() };
        check(&wet, r#"{"records":{"kind":"wet"}}"#, "WET");
    }

    #[test]
    fn records_of_a_later_version_are_unknown() {
        let later: Format = serde_json::from_str(r#"{"records":{"kind":"orc"}}"#).unwrap();
        assert_eq!(later.records, Some(Records::Unknown));
        assert_eq!(later.text_factor_max(), None);
    }
}
