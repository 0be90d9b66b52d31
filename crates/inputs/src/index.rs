//! Files that are compressed in pieces, of which each can be read alone: blocks of BGZF, frames of
//! Zstandard with a seek table.
//!
//! Such a file is cut like plain text: a word or a record belongs to the share in which it begins.
//! A share is named by bytes of the file. Its text begins where a piece does; the one in front is
//! decoded for the text before, which decides whether a word is under way. Where both are follows
//! from the file and one offset ([`boundary`]), so that the end of a share is the start of the
//! next.
//!
//! An index may be wrong. What it says of both ends of a share is compared with what is decoded
//! (`decompress.rs`): a difference is damage, and never a wrong count.

use std::ops::Range;

use crate::damage::{Damage, DamageKind, ReadError};
use crate::format::Compression;
use crate::source::Source;

mod bgzf;
mod zstd;

/// A part of a file that can be decoded alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Piece {
    /// Where it begins in the file.
    offset: u64,
    /// Its length in the file.
    bytes: u64,
    /// The length of its text.
    text_bytes: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

/// The pieces of a file.
trait Pieces<E> {
    /// The first piece that begins at `offset` or behind; none at the end.
    fn at_or_behind(&self, offset: u64) -> Result<Option<Piece>, ReadError<E>>;

    /// The piece that begins at `offset`, where one has ended; none at the end.
    fn at(&self, offset: u64) -> Result<Option<Piece>, ReadError<E>>;

    /// Where the last piece ends.
    fn end(&self) -> u64;
}

/// A share of a file, in pieces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Share {
    /// Where the piece in front of it begins, or the share itself.
    pub(crate) offset: u64,
    /// How much text that piece has.
    pub(crate) before_bytes: u64,
    /// Where the share begins and ends in the file.
    pub(crate) range: Range<u64>,
    /// How much text it has.
    pub(crate) text_bytes: u64,
}

/// The compression of a file that `compression` describes, with its index, if it has a usable one.
pub(crate) fn indexed<S: Source>(
    source: &S,
    compression: Compression,
) -> Result<Compression, S::Error> {
    Ok(match compression {
        Compression::Gzip if bgzf::is_bgzf(source)? => Compression::Bgzf,
        Compression::Zstd if zstd::Table::read(source)?.is_some() => Compression::ZstdSeekable,
        Compression::Bgzf
        | Compression::Bzip2
        | Compression::Gzip
        | Compression::Lz4
        | Compression::None
        | Compression::Xz
        | Compression::Zstd
        | Compression::ZstdSeekable => compression,
    })
}

/// The share of `range`, in bytes of a file with an index.
pub(crate) fn share<S: Source>(
    source: &S,
    compression: Compression,
    range: &Range<u64>,
) -> Result<Share, ReadError<S::Error>> {
    if compression == Compression::ZstdSeekable {
        let table = zstd::Table::read(source).map_err(ReadError::Source)?;
        // It had one when the job was planned, and the file is the same.
        share_of(&table.ok_or_else(|| malformed(source.bytes()))?, range)
    } else {
        share_of(&bgzf::Blocks(source), range)
    }
}

fn share_of<E>(pieces: &impl Pieces<E>, range: &Range<u64>) -> Result<Share, ReadError<E>> {
    let (before, start) = boundary(pieces, range.start)?;
    let (_, end) = boundary(pieces, range.end)?;
    let mut share = Share {
        offset: before.map_or(start, |piece| piece.offset),
        before_bytes: before.map_or(0, |piece| piece.text_bytes),
        range: start..start.max(end),
        text_bytes: 0,
    };
    let mut offset = start;
    while offset < end {
        let piece = pieces.at(offset)?.ok_or_else(|| malformed(offset))?;
        share.text_bytes += piece.text_bytes;
        offset = piece.end();
    }
    // The pieces behind the start do not lead to those behind the end.
    if offset > share.range.end { Err(malformed(offset)) } else { Ok(share) }
}

/// Where the share begins that is named by `offset`, and the piece in front of it, which has enough
/// text to say what comes before. The share at the start of the file has none in front.
fn boundary<E>(pieces: &impl Pieces<E>, offset: u64) -> Result<(Option<Piece>, u64), ReadError<E>> {
    if offset == 0 {
        return Ok((None, 0));
    }
    let mut piece = pieces.at_or_behind(offset)?;
    while let Some(before) = piece {
        if before.text_bytes >= BEFORE_BYTES {
            return Ok((Some(before), before.end()));
        }
        piece = pieces.at(before.end())?;
    }
    Ok((None, pieces.end()))
}

fn malformed<E>(offset: u64) -> ReadError<E> {
    Damage { kind: DamageKind::Malformed, offset, text_offset: 0 }.into()
}

/// How much text in front of a share is given: the longest character, and a byte order mark.
pub(crate) const BEFORE_BYTES: u64 = 8;

#[cfg(test)]
mod tests;
