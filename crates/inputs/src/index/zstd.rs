//! The seek table at the end of a file of Zstandard frames ("Zstandard Seekable Format", version
//! 0.1.0, in `contrib/seekable_format` of libzstd). `t2sz`, `zeekstd` and `pzstd`-like tools write
//! it.

use super::{Piece, Pieces};
use crate::damage::ReadError;
use crate::source::{Source, read_full};

/// The frames of a file, in order.
#[derive(Debug)]
pub(super) struct Table(Vec<Piece>);

impl Table {
    /// `None` without a table, and with one that does not describe this file exactly.
    pub(super) fn read<S: Source>(source: &S) -> Result<Option<Self>, S::Error> {
        let mut footer = [0; FOOTER_BYTES];
        let Some(at) = source.bytes().checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
        read_full(source, at, &mut footer)?;
        let [a, b, c, d, descriptor, magic @ ..] = footer;
        let frames = u32::from_le_bytes([a, b, c, d]) as usize;
        if magic != FOOTER_MAGIC || descriptor & RESERVED_BITS != 0 || frames > FRAMES_MAX {
            return Ok(None);
        }
        let entry_bytes = if descriptor & CHECKSUMS == 0 { 8 } else { 12 };
        let content_bytes = frames * entry_bytes + FOOTER_BYTES;
        let table_bytes = content_bytes + SKIPPABLE_BYTES;
        let Some(end) = source.bytes().checked_sub(table_bytes as u64) else { return Ok(None) };
        let mut table = vec![0; table_bytes - FOOTER_BYTES];
        let length = read_full(source, end, &mut table)?;
        let (header, entries) = table[..length].split_at(SKIPPABLE_BYTES.min(length));
        let expected = [SKIPPABLE_MAGIC, (content_bytes as u32).to_le_bytes()].concat();
        if header != expected {
            return Ok(None);
        }
        let mut pieces = Vec::with_capacity(frames);
        let mut offset = 0;
        for entry in entries.chunks_exact(entry_bytes) {
            let number = |at: usize| {
                let bytes = entry[at..at + 4].try_into().expect("four bytes");
                u64::from(u32::from_le_bytes(bytes))
            };
            let piece = Piece { offset, bytes: number(0), text_bytes: number(4) };
            offset = piece.end();
            pieces.push(piece);
        }
        let is_whole = offset == end && pieces.iter().all(|piece| piece.bytes > 0);
        Ok(Some(Self(pieces)).filter(|_| is_whole && frames > 1))
    }
}

#[cfg(test)]
impl Table {
    /// The lengths of each frame and of its text.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().map(|piece| (piece.bytes as u32, piece.text_bytes as u32))
    }
}

impl<E> Pieces<E> for Table {
    fn at_or_behind(&self, offset: u64) -> Result<Option<Piece>, ReadError<E>> {
        let index = self.0.partition_point(|piece| piece.offset < offset);
        Ok(self.0.get(index).copied())
    }

    fn at(&self, offset: u64) -> Result<Option<Piece>, ReadError<E>> {
        self.at_or_behind(offset)
    }

    /// The table itself comes behind.
    fn end(&self) -> u64 {
        self.0.last().map_or(0, Piece::end)
    }
}

/// The number of frames, a descriptor, and a magic number.
const FOOTER_BYTES: usize = 9;

const FOOTER_MAGIC: [u8; 4] = 0x8F92_EAB1_u32.to_le_bytes();

/// The bits of the descriptor that must be zero.
const RESERVED_BITS: u8 = 0b0111_1100;

/// The bit of the descriptor that says that an entry has a checksum.
const CHECKSUMS: u8 = 1 << 7;

/// The table is a skippable frame: a magic number and the length of its content.
const SKIPPABLE_BYTES: usize = 8;

const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A5E_u32.to_le_bytes();

/// More frames are read as one piece: a table of so many takes 6 MB of memory.
const FRAMES_MAX: usize = 1 << 18;
