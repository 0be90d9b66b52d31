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
    /// A count does not fit in the format.
    #[cfg(feature = "parquet")]
    TooMany { count: u64 },
    /// The program was built without the format.
    #[cfg(not(feature = "parquet"))]
    Unbuilt,
    /// The words cannot be written.
    Write { place: String, source: io::Error },
}

impl ExportError {
    /// The words cannot be written; or their reader is gone, if that is a pipe.
    pub(super) fn write(place: String, source: io::Error) -> Self {
        match source.kind() == io::ErrorKind::BrokenPipe {
            true => Self::ReaderGone,
            false => Self::Write { place, source },
        }
    }

    pub(super) fn into_failure(self) -> Failure {
        let way_out = match &self {
            Self::Counts(error) => way_out::of_counts(error),
            Self::Interrupted => return Failure::interrupted(self),
            Self::Tab { .. } => Some("use another --format".into()),
            Self::TooLong { .. } => Some("raise --memory".into()),
            #[cfg(feature = "parquet")]
            Self::TooMany { .. } => Some("use another --format".into()),
            #[cfg(not(feature = "parquet"))]
            Self::Unbuilt => {
                let failure = Failure::start(self);
                return failure.hint(Some("build it with `--features parquet`".into()));
            }
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
            #[cfg(feature = "parquet")]
            Self::TooMany { count } => {
                write!(f, "the count {count} does not fit in an int64, as the column has it")
            }
            #[cfg(not(feature = "parquet"))]
            Self::Unbuilt => f.write_str("this program was built without Parquet"),
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
            #[cfg(feature = "parquet")]
            Self::TooMany { .. } => None,
            #[cfg(not(feature = "parquet"))]
            Self::Unbuilt => None,
        }
    }
}
