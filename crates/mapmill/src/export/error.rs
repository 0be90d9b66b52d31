//! Why an export ends before its end.

use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

use journal::CountsError;
use rpc::text::escaped;

use crate::messages::Failure;
use crate::way_out;

#[derive(Debug)]
pub(super) enum ExportError {
    /// The outputs cannot be read.
    Counts(CountsError),
    /// The user ended it.
    Interrupted,
    /// The reader of a pipe has closed it.
    ReaderGone,
    /// The scratch file cannot be written or read.
    Scratch { folder: PathBuf, source: io::Error },
    /// A word has a tab, which TSV cannot hold.
    Tab { word: String },
    /// A word is longer than the memory of one part.
    TooLong { bytes: usize },
    /// The words cannot be written.
    Write { place: String, source: io::Error },
}

impl ExportError {
    pub(super) fn into_failure(self) -> Failure {
        let way_out = match &self {
            Self::Counts(error) => way_out::of_counts(error),
            Self::Interrupted => return Failure::interrupted(self),
            Self::Tab { .. } => Some("use another --format".into()),
            Self::TooLong { .. } => Some("raise --memory".into()),
            Self::ReaderGone | Self::Scratch { .. } | Self::Write { .. } => None,
        };
        Failure::output(self).hint(way_out)
    }
}

impl From<CountsError> for ExportError {
    fn from(error: CountsError) -> Self {
        Self::Counts(error)
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts(error) => error.fmt(f),
            Self::Interrupted => f.write_str("the export was interrupted; no file has changed"),
            Self::ReaderGone => f.write_str("the reader of the words is gone"),
            Self::Scratch { folder, .. } => {
                write!(f, "cannot sort in a temporary file in {}", folder.display())
            }
            Self::Tab { word } => {
                write!(f, "the word `{}` has a tab, which separates the columns", escaped(word))
            }
            Self::TooLong { bytes } => {
                write!(f, "a word of {bytes} bytes does not fit in the memory for sorting")
            }
            Self::Write { place, .. } => write!(f, "cannot write {place}"),
        }
    }
}

impl Error for ExportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Counts(error) => error.source(),
            Self::Scratch { source, .. } | Self::Write { source, .. } => Some(source),
            Self::Interrupted | Self::ReaderGone | Self::Tab { .. } | Self::TooLong { .. } => None,
        }
    }
}
