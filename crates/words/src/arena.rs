//! The words that are too long for a key, in pieces of memory that never move.
//!
//! An entry is the count of the word, its length (as in a [run](crate::run)), the word, and zeros
//! up to a multiple of eight bytes, so that an address has four bytes.
//!
//! # Invariants
//!
//! * No piece is empty. The first word of a piece did not fit into the piece before it.
//! * Entries begin in the first [`PIECE_BYTES_MIN`] of a piece: only a word that needs more has a
//!   larger piece, and nothing fits behind it.

use crate::run::{NUMBER_BYTES_MAX, read_number, write_number};

/// Words with their counts.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pieces: Vec<Vec<u8>>,
    /// What all pieces have allocated.
    bytes: usize,
}

/// Where in an arena an entry begins, in units of eight bytes: the upper bits are the piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address(pub(crate) u32);

impl Arena {
    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The peak of its memory in bytes while `more_words` words of `more_bytes` bytes together are
    /// added; `usize::MAX` if there are not enough addresses.
    pub(crate) fn peak_bytes(&self, more_words: usize, more_bytes: usize) -> usize {
        if more_words == 0 {
            return self.bytes;
        }
        // Two pieces in a row hold more than the least size of one.
        let entries = more_words.saturating_mul(OVERHEAD_BYTES_MAX).saturating_add(more_bytes);
        let more = entries.saturating_mul(2).saturating_add(PIECE_BYTES_MIN);
        if (more / PIECE_BYTES_MIN).saturating_add(self.pieces.len()) > PIECES_MAX {
            return usize::MAX;
        }
        self.bytes.saturating_add(more)
    }

    /// Append the entry of a word.
    pub(crate) fn push(&mut self, word: &[u8], count: u64) -> Address {
        let bytes = word.len() + OVERHEAD_BYTES_MAX;
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < bytes) {
            let piece = Vec::with_capacity(bytes.max(PIECE_BYTES_MIN));
            self.bytes += piece.capacity();
            self.pieces.push(piece);
        }
        let index = self.pieces.len() - 1;
        let piece = self.pieces.last_mut().expect("a piece has been added");
        let at = piece.len();
        piece.extend_from_slice(&count.to_le_bytes());
        write_number(piece, word.len() as u64);
        piece.extend_from_slice(word);
        let end = piece.len().next_multiple_of(UNIT);
        // A whole unit is one store.
        piece.extend_from_slice(&[0; UNIT]);
        piece.truncate(end);
        Address::new(index, at)
    }

    /// A word and its count.
    #[inline]
    pub(crate) fn entry(&self, address: Address) -> (&[u8], u64) {
        let bytes = &self.pieces[address.piece()][address.at()..];
        let (count, bytes) = bytes.split_first_chunk().expect("a count precedes every word");
        let (len, start) = read_number(bytes, 0).expect("so does a length");
        (&bytes[start..start + len as usize], u64::from_le_bytes(*count))
    }

    #[inline]
    pub(crate) fn word(&self, address: Address) -> &[u8] {
        self.entry(address).0
    }

    /// The word at `address` has occurred `more` times.
    #[inline]
    pub(crate) fn add(&mut self, address: Address, more: u64) {
        let bytes = &mut self.pieces[address.piece()][address.at()..];
        let count = bytes.first_chunk_mut().expect("a count precedes every word");
        *count = (u64::from_le_bytes(*count) + more).to_le_bytes();
    }

    /// Two bytes of an entry, added up, to bring it into a cache: nearly every word ends in the
    /// cache line behind the one in which its entry begins.
    #[inline]
    pub(crate) fn touch(&self, address: Address) -> u8 {
        let piece = &self.pieces[address.piece()];
        let behind = piece.get(address.at() + LINE - 1).copied().unwrap_or_default();
        piece[address.at()].wrapping_add(behind)
    }

    /// Where the entries begin, in the order in which they are stored.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.pieces.iter().enumerate().flat_map(|(index, piece)| {
            let mut next = 0;
            std::iter::from_fn(move || {
                let at = next;
                let (len, start) = read_number(piece, at + COUNT_BYTES)?;
                next = (start + len as usize).next_multiple_of(UNIT);
                Some(Address::new(index, at))
            })
        })
    }
}

impl Address {
    fn new(piece: usize, at: usize) -> Self {
        assert!(at < PIECE_BYTES_MIN, "byte {at} of a piece has no address");
        let units = piece * PIECE_UNITS + at / UNIT;
        Self(u32::try_from(units).expect("`peak_bytes` is called before this many words are added"))
    }

    fn piece(self) -> usize {
        self.0 as usize / PIECE_UNITS
    }

    fn at(self) -> usize {
        self.0 as usize % PIECE_UNITS * UNIT
    }
}

/// Bytes of an address's unit.
const UNIT: usize = 8;

/// Bytes of a cache line of any CPU in use.
const LINE: usize = 64;

/// Bytes of a count.
const COUNT_BYTES: usize = size_of::<u64>();

/// Bytes of an entry without its word, at most.
const OVERHEAD_BYTES_MAX: usize = COUNT_BYTES + NUMBER_BYTES_MAX + UNIT;

/// Bytes of a piece. A longer word has a piece of its own.
const PIECE_BYTES_MIN: usize = 256 << 10;

const PIECE_UNITS: usize = PIECE_BYTES_MIN / UNIT;

/// As many as can be addressed: 32 GiB.
const PIECES_MAX: usize = (1 << 32) / PIECE_UNITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_one_by_one_and_one_behind_the_other() {
        let mut arena = Arena::default();
        // Around the longest length of one byte, the longest word of a piece, and every end of a
        // unit.
        let edge = PIECE_BYTES_MIN - OVERHEAD_BYTES_MAX;
        let lengths = (0..300).chain([edge - 1, 17, edge, 16, edge + 1, 1 << 20, 20, 21]);
        let mut addresses = Vec::new();
        let mut words = Vec::new();
        for length in lengths.cycle().take(1_000) {
            let word = vec![length as u8; length];
            addresses.push(arena.push(&word, length as u64 + 1));
            words.push(word);
        }
        for (address, word) in addresses.iter().zip(&words) {
            arena.touch(*address);
            arena.add(*address, 1 << 40);
            let count = word.len() as u64 + 1 + (1 << 40);
            assert!(arena.entry(*address) == (word.as_slice(), count), "{} bytes", word.len());
        }
        assert!(arena.addresses().eq(addresses));
    }

    #[test]
    fn peak_of_more_than_there_are_addresses_is_the_maximum() {
        let arena = Arena::default();
        let overhead = OVERHEAD_BYTES_MAX;
        assert_eq!(arena.peak_bytes(0, 0), 0);
        assert!(arena.peak_bytes(1, (16 << 30) - overhead - PIECE_BYTES_MIN) < 33 << 30);
        assert_eq!(arena.peak_bytes(1, 17 << 30), usize::MAX);
        assert_eq!(arena.peak_bytes(1 << 30, 0), usize::MAX);
    }
}
