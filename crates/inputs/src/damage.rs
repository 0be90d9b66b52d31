//! What is wrong with a file that cannot be read to its end.

use thiserror::Error;

use crate::record::Problem;

/// A file is damaged. No retry helps, on any machine.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{kind} at byte {offset} (byte {text_offset} of its text)")]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// About where in the file, in bytes: how much of it was read.
    pub offset: u64,
    /// Where in its text, after decompression, in bytes: how much of it was given.
    pub text_offset: u64,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DamageKind {
    /// A checksum differs, or a structure is not what the format allows.
    #[error("damaged data")]
    Malformed,
    /// The file asks for more memory than is allowed, in bytes.
    #[error("data that needs more than {max} bytes of memory to be read")]
    Memory {
        /// The limit.
        max: u64,
    },
    /// The chosen column is not there.
    #[error("no such column")]
    NoColumn,
    /// A record is bad that is too large to be held in memory before its text is given.
    #[error("bad record: {0}")]
    Record(Problem),
    /// Bytes follow the end of the data, and are not more of it.
    #[error("other data after the end of the compressed data")]
    Trailing,
    /// The file ends too early.
    #[error("an early end")]
    Truncated,
}

/// Why a read has stopped.
#[derive(Debug, Error)]
pub enum ReadError<E> {
    /// The content is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The source cannot be read.
    #[error("cannot read the source")]
    Source(#[source] E),
}
