//! Reads: a file of any format to blocks of text, with the ends of documents.
//!
//! A [`Format`] says what a file is: how it is compressed, which part of its records is text, how
//! that text is encoded. The driver finds it out once, from the first bytes and the name; a worker
//! reads the file by it.
//!
//! Bytes come from a [`Source`], so that this crate opens nothing. They pass three stages, of which
//! each borrows from the one before, and holds a bounded buffer of its own:
//!
//! ```text
//! Source --bytes--> decompression --bytes--> encoding --UTF-8--> records --text, ends-->
//! ```
//!
//! What is deliberately absent: words, tasks, writing, threads, and a cache.

mod blocks;
mod csv;
mod damage;
mod decompress;
mod encoding;
mod examine;
mod format;
mod index;
mod input;
mod json_lines;
#[cfg(feature = "parquet")]
mod parquet;
mod reader;
mod record;
mod share;
mod source;
#[cfg(test)]
mod testing;
mod wet;

pub use blocks::{Blocks, Event, Events};
pub use damage::{Damage, DamageKind, ReadError};
pub use examine::{Choice, ExamineError, HEAD_BYTES, Kind, NotText, examine};
pub use format::{Column, Compression, Encoding, Field, Format, InvalidField, Records};
pub use reader::{Limits, Reading, open};
pub use record::{BadRecord, Problem};
pub use source::Source;
