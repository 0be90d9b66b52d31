//! The counts of words that are too long for a key.
//!
//! They lie one behind the other in pieces of memory that never move; a slot knows where. Growing
//! needs no word, only the hashes, and no piece is ever copied.

use crate::key::Seed;
use crate::slots::{Slot, Slots};

/// How often each long word occurred.
#[derive(Debug)]
pub(crate) struct LongTable {
    slots: Slots<LongSlot>,
    arena: Arena,
    seed: Seed,
}

/// A long word and its count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongSlot {
    /// The hash of the word, made odd. Zero when the slot is free.
    hash: u64,
    place: Place,
    count: u64,
}

/// Long words, each behind its length.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    /// None is empty. Where one ends, the first word of the next had no room.
    pieces: Vec<Vec<u8>>,
    /// What all of them have allocated.
    bytes: usize,
}

/// Where in an arena the length of a word begins: in which piece, and which byte of it.
#[derive(Clone, Copy, Debug)]
struct Place {
    piece: u32,
    at: u32,
}

/// Long words in bytewise order.
#[derive(Debug)]
pub(crate) struct SortedLong {
    /// In place of its hash each has the beginning of its word.
    slots: Vec<LongSlot>,
    arena: Arena,
}

impl LongTable {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { slots: Slots::new(SLOTS_MIN), arena: Arena::default(), seed }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.taken()
    }

    #[cold]
    pub(crate) fn add(&mut self, word: &[u8], count: u64) {
        let hash = self.seed.hash_long(word) | 1;
        let Self { slots, arena, .. } = self;
        match slots.find(hash, |slot| slot.hash == hash && arena.word(slot.place) == word) {
            Ok(slot) => slot.count += count,
            Err(free) => {
                let place = arena.push(word);
                slots.insert(free, LongSlot { hash, place, count }, |slot| slot.hash);
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes() + self.arena.bytes
    }

    /// See [`Table::peak_bytes`](crate::Table::peak_bytes).
    pub(crate) fn peak_bytes(&self, more_words: usize, more_bytes: usize) -> usize {
        // Two pieces in a row hold more than the least size of one.
        let lengths = more_words.saturating_mul(LENGTH);
        let pieces = more_bytes.saturating_add(lengths).saturating_mul(2);
        let pieces = if more_words == 0 { 0 } else { pieces.saturating_add(PIECE_BYTES_MIN) };
        self.slots.peak_bytes(more_words).saturating_add(self.arena.bytes).saturating_add(pieces)
    }

    /// Sort, in place. Calls `tick` now and then.
    pub(crate) fn into_sorted(self, tick: &mut impl FnMut()) -> SortedLong {
        let Self { slots, arena, .. } = self;
        let mut slots = slots.into_taken();
        for slot in &mut slots {
            let first = arena.word(slot.place).first_chunk().expect("long words are longer");
            slot.hash = u64::from_be_bytes(*first);
        }
        let mut comparisons = 0_u32;
        slots.sort_unstable_by(|left, right| {
            comparisons = comparisons.wrapping_add(1);
            if comparisons.is_multiple_of(COMPARISONS_PER_TICK) {
                tick();
            }
            let words = || arena.word(left.place).cmp(arena.word(right.place));
            left.hash.cmp(&right.hash).then_with(words)
        });
        SortedLong { slots, arena }
    }
}

impl SortedLong {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<LongSlot>() + self.arena.bytes
    }

    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }

    /// An empty table in the room of the slots. The words give theirs back.
    pub(crate) fn into_table(self, seed: Seed) -> LongTable {
        LongTable { slots: Slots::in_room(self.slots), arena: Arena::default(), seed }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().map(|slot| (self.arena.word(slot.place), slot.count))
    }
}

impl Slot for LongSlot {
    const FREE: Self = Self { hash: 0, place: Place { piece: 0, at: 0 }, count: 0 };

    fn is_free(&self) -> bool {
        self.hash == 0
    }

    fn count(&self) -> u64 {
        self.count
    }
}

impl Arena {
    fn word(&self, place: Place) -> &[u8] {
        let bytes = &self.pieces[place.piece as usize][place.at as usize..];
        let (len, word) = bytes.split_first_chunk().expect("a length precedes every word");
        &word[..usize::from_le_bytes(*len)]
    }

    fn push(&mut self, word: &[u8]) -> Place {
        let bytes = LENGTH + word.len();
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < bytes) {
            let piece = Vec::with_capacity(bytes.max(PIECE_BYTES_MIN));
            self.bytes += piece.capacity();
            self.pieces.push(piece);
        }
        let index =
            u32::try_from(self.pieces.len() - 1).expect("pieces fill the memory long before");
        let piece = self.pieces.last_mut().expect("a piece has been added");
        // Only a piece of the least size has room behind a word.
        let at = u32::try_from(piece.len()).expect("a piece with room is small");
        piece.extend_from_slice(&word.len().to_le_bytes());
        piece.extend_from_slice(word);
        Place { piece: index, at }
    }
}

/// Slots of a new table: 6 KiB. Many texts have few long words.
const SLOTS_MIN: usize = 1 << 8;

/// Bytes of a length in the arena.
const LENGTH: usize = size_of::<usize>();

/// Of the pieces of an arena. A longer word has a piece of its own.
const PIECE_BYTES_MIN: usize = 256 << 10;

/// About 30 microseconds of sorting.
pub(crate) const COMPARISONS_PER_TICK: u32 = 4096;
