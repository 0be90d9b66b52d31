//! What the stages of a read give each other.

use crate::damage::ReadError;
use crate::record::BadRecord;

/// Bytes in order, block by block, as from a [`BufRead`](std::io::BufRead) with typed errors.
pub trait Blocks {
    /// Why the source cannot be read.
    type Error;

    /// The next bytes: the same until some are taken. None at the end.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or what it holds is damaged.
    fn pending(&mut self) -> Result<&[u8], ReadError<Self::Error>>;

    /// Takes the first `bytes` of what is pending.
    fn take(&mut self, bytes: usize);

    /// How many bytes of the file were taken from the source, for progress. Never decreases.
    fn bytes_read(&self) -> u64;
}

/// Text and the ends of documents, in order.
pub trait Events {
    /// Why the source cannot be read.
    type Error;

    /// What comes next; nothing at the end. Every document ends with [`Event::EndOfDocument`], an
    /// empty one too.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or what it holds is damaged. A bad record is no error: the
    /// next call continues with the record after it.
    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<Self::Error>>;

    /// How many bytes of the file were taken from the source, for progress. Never decreases.
    fn bytes_read(&self) -> u64;
}

/// A part of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event<'text> {
    /// A record is not what the format says. No text of it was given, and no
    /// [`Event::EndOfDocument`] follows for it: what turns out to be bad after a part of it was
    /// given is an error.
    BadRecord(BadRecord),
    /// Text in front of a share that begins inside of a document: it only decides whether a word is
    /// under way. Comes first.
    Before(&'text [u8]),
    /// The document is over: no word continues beyond.
    EndOfDocument,
    /// The share ends inside of a document, or with it. Text behind is of another share: it is
    /// given so that a word that has begun can be read to its end.
    EndOfShare,
    /// A part of a document, in UTF-8, except for bytes that belong to no character. A character
    /// may continue in the next part.
    Text(&'text [u8]),
}
