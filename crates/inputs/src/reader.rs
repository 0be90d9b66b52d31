//! Opens a file of any format: the stages of its read, one upon the other.

use std::ops::Range;

use crate::blocks::{Blocks, Event, Events};
use crate::csv::Csv;
use crate::damage::ReadError;
use crate::decompress::{decompressed, decompressed_share};
use crate::encoding::decoded;
use crate::format::{Encoding, Format, Records};
use crate::index;
use crate::input::Input;
use crate::json_lines::{self, JsonLines};
use crate::share::{DocumentShare, ShareText};
use crate::source::Source;
use crate::wet::Wet;

/// What the read of one file may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory for windows, dictionaries and records, in bytes. A file that asks for more is refused
    /// with [`DamageKind::Memory`](crate::DamageKind::Memory).
    pub memory_bytes: u64,
}

/// A file that is being read.
pub type Reading<'s, E> = Box<dyn Events<Error = E> + Send + 's>;

/// Reads the records of `source` that begin in `range`, in bytes of the file.
///
/// # Errors
///
/// When the index of a compressed file that was cut cannot be read, or is damaged.
///
/// # Panics
///
/// When the range is not the whole file, unless it can be cut (see [`Format::is_cuttable`]). Parts
/// of plain text are for their reader to cut: it knows what a word is.
pub fn open<'s, S: Source + Send + 's>(
    source: S,
    format: &Format,
    range: Range<u64>,
    limits: Limits,
) -> Result<Reading<'s, S::Error>, ReadError<S::Error>> {
    let is_whole = range == (0..source.bytes());
    let has_cuts = format.is_cuttable() && !format.is_plain();
    assert!(is_whole || has_cuts, "{format} was cut at {range:?}");
    if !is_whole && format.compression.has_index() {
        return open_share(source, format, &range, limits);
    }
    if let Records::Parquet { column } = &format.records {
        return open_parquet(source, column, range, limits);
    }
    let (start, end) = (range.start, if is_whole { u64::MAX } else { range.end });
    if let Records::JsonLines { field } = &format.records
        && format.encoding == Encoding::UTF_8
    {
        // They take the byte order mark themselves: offsets of a part are those of the file.
        let range = start..end;
        return Ok(match is_whole {
            true => {
                let blocks = decompressed(source, format.compression, limits);
                Box::new(JsonLines::new(blocks, field, &range))
            }
            false => {
                let before = start.saturating_sub(json_lines::LOOKBEHIND);
                Box::new(JsonLines::new(Input::new(source, before), field, &range))
            }
        });
    }
    let blocks = decompressed(source, format.compression, limits);
    let blocks = decoded(blocks, format.encoding);
    Ok(match &format.records {
        Records::Csv { column, delimiter } => Box::new(Csv::new(blocks, column, *delimiter)),
        Records::JsonLines { field } => Box::new(JsonLines::new(blocks, field, &(0..u64::MAX))),
        Records::None => Box::new(WholeText { blocks, given: 0, is_over: false }),
        Records::Parquet { .. } => unreachable!("it is opened without decompression"),
        Records::Wet => Box::new(Wet::new(blocks)),
    })
}

#[cfg(feature = "parquet")]
fn open_parquet<'s, S: Source + Send + 's>(
    source: S,
    column: &str,
    range: Range<u64>,
    limits: Limits,
) -> Result<Reading<'s, S::Error>, ReadError<S::Error>> {
    Ok(Box::new(crate::parquet::Parquet::new(source, column, range, limits)?))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet<'s, S: Source + Send + 's>(
    _source: S,
    _column: &str,
    _range: Range<u64>,
    _limits: Limits,
) -> Result<Reading<'s, S::Error>, ReadError<S::Error>> {
    unreachable!("a build without the feature `parquet` opens no Parquet")
}

/// A part of a file that is compressed with an index.
fn open_share<'s, S: Source + Send + 's>(
    source: S,
    format: &Format,
    range: &Range<u64>,
    limits: Limits,
) -> Result<Reading<'s, S::Error>, ReadError<S::Error>> {
    let share = index::share(&source, format.compression, range)?;
    let blocks = decompressed_share(source, format.compression, limits, &share);
    Ok(match &format.records {
        Records::None => Box::new(DocumentShare::new(blocks, &share)),
        Records::JsonLines { field } => {
            let before = share.before_bytes.min(json_lines::LOOKBEHIND);
            let mut text = ShareText::new(blocks, &share, before);
            if !share.range.is_empty() {
                // Pieces without text are decoded as well: they may turn out to have some.
                text.pending()?;
            }
            // Text is counted from the piece in front of the share.
            Box::new(JsonLines::new(text, field, &(before..before + share.text_bytes)))
        }
        Records::Csv { .. } | Records::Parquet { .. } | Records::Wet => {
            unreachable!("{format} is not cut")
        }
    })
}

impl<B: Blocks + ?Sized> Blocks for Box<B> {
    type Error = B::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<B::Error>> {
        (**self).pending()
    }

    fn take(&mut self, bytes: usize) {
        (**self).take(bytes);
    }

    fn bytes_read(&self) -> u64 {
        (**self).bytes_read()
    }
}

/// All text is one document.
struct WholeText<B> {
    blocks: B,
    /// How much was given with the last call.
    given: usize,
    is_over: bool,
}

impl<B: Blocks> Events for WholeText<B> {
    type Error = B::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<B::Error>> {
        if self.is_over {
            return Ok(None);
        }
        self.blocks.take(std::mem::take(&mut self.given));
        let block = self.blocks.pending()?;
        self.given = block.len();
        self.is_over = block.is_empty();
        Ok(Some(match block {
            [] => Event::EndOfDocument,
            text => Event::Text(text),
        }))
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}
