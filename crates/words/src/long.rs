//! The counts of words that are too long for a key.
//!
//! A word and its count are in an arena; a slot has nothing but half of a hash and the address, in
//! eight bytes. Where words are long most of them occur once, and most look-ups are for words that
//! the table does not have: the fewer bytes decide that, the better. Growing reads no word.
//!
//! In such a table every access is a cache miss. A loop of its own reads one byte for each word of
//! a whole batch, so that the CPU waits for all of them at once. Prefetching was not faster.

use std::hint::black_box;

use crate::arena::{Address, Arena};
use crate::hash::Seed;
use crate::lines::List;
use crate::slots::{Slot, Slots, seldom};
use crate::window::Window;

/// How often each long word occurred.
#[derive(Debug)]
pub(crate) struct LongTable {
    slots: Slots<LongSlot>,
    arena: Arena,
    seed: Seed,
}

/// Where a long word is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongSlot {
    /// See [`half`]. Zero when the slot is free.
    hash: u32,
    address: Address,
}

/// Long words in bytewise order.
#[derive(Debug)]
pub(crate) struct SortedLong {
    keys: Vec<SortKey>,
    arena: Arena,
    /// Of the table that they are from.
    slot_count: usize,
}

/// What is sorted: twelve bytes of a word, and its address behind them.
#[derive(Clone, Copy, Debug)]
struct SortKey(u128);

impl LongTable {
    pub(crate) fn new(seed: Seed) -> Self {
        Self::with_slots(SLOTS_MIN, seed)
    }

    fn with_slots(slots: usize, seed: Seed) -> Self {
        Self { slots: Slots::new(slots), arena: Arena::default(), seed }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.taken()
    }

    #[cold]
    pub(crate) fn add(&mut self, word: &[u8], count: u64) {
        self.add_hashed(word, self.seed.hash_long(word), count);
    }

    /// Count lines of `window` with long words.
    pub(crate) fn add_lines(&mut self, window: &Window, lines: &List) {
        for from in (0..lines.len()).step_by(BATCH) {
            let lines = lines.iter(from..lines.len().min(from + BATCH));
            self.add_batch(
                lines.map(|(start, len)| &window[usize::from(start)..][..usize::from(len)]),
            );
        }
    }

    /// Count the first [`BATCH`] of `words`.
    fn add_batch<'a>(&mut self, words: impl Iterator<Item = &'a [u8]> + Clone) {
        let mut hashes = [0; BATCH];
        let mut count = 0;
        for (hash, word) in hashes.iter_mut().zip(words.clone()) {
            *hash = self.seed.hash_long(word);
            count += 1;
        }
        self.touch(&hashes[..count]);
        for (word, hash) in words.zip(hashes) {
            self.add_hashed(word, hash, 1);
        }
    }

    /// Bring into a cache what counting words with these hashes nearly always reads: their homes,
    /// the slots behind in case that the homes are taken, and the words that seem to be in them.
    fn touch(&mut self, hashes: &[u64]) {
        let mut homes = [LongSlot::FREE; BATCH];
        let mut touched = 0;
        let (slots, shift) = self.slots.parts();
        for (home, hash) in homes.iter_mut().zip(hashes) {
            let index = (hash >> shift) as usize;
            *home = slots[index];
            touched ^= slots.get(index + REACH).map_or(0, |slot| slot.hash);
        }
        for (home, hash) in homes.iter().zip(hashes) {
            if home.hash == half(*hash) {
                touched ^= u32::from(self.arena.touch(home.address));
            }
        }
        black_box(touched);
    }

    fn add_hashed(&mut self, word: &[u8], hash: u64, count: u64) {
        let Self { slots, arena, .. } = self;
        let half = half(hash);
        match slots.find(hash, |slot| slot.hash == half && arena.word(slot.address) == word) {
            Ok(slot) => arena.add(slot.address, count),
            Err(free) => {
                let address = arena.push(word, count);
                slots.insert(free, LongSlot { hash: half, address }, LongSlot::hash);
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes() + self.arena.memory_bytes()
    }

    /// See [`Table::peak_bytes`](crate::Table::peak_bytes).
    pub(crate) fn peak_bytes(&self, more_words: usize, more_bytes: usize) -> usize {
        // The slots are freed before the sort keys are allocated.
        let keys = self.len().saturating_add(more_words).saturating_mul(size_of::<SortKey>());
        let slots = self.slots.peak_bytes(more_words).max(keys);
        slots.saturating_add(self.arena.peak_bytes(more_words, more_bytes))
    }

    /// Sort, within the predicted peak. Calls `tick` now and then.
    pub(crate) fn into_sorted(self, tick: &mut impl FnMut()) -> SortedLong {
        let Self { slots, arena, .. } = self;
        let (slot_count, taken) = (slots.len(), slots.taken());
        // Both together would exceed the predicted peak.
        drop(slots);
        let mut keys = Vec::with_capacity(taken);
        // In the order in which they are stored.
        keys.extend(arena.addresses().map(|address| SortKey::new(arena.word(address), address)));
        sort(&mut keys, &arena, 0, &mut seldom(tick));
        SortedLong { keys, arena, slot_count }
    }
}

/// Sort `keys`, which have the bytes of their words from `depth` on; up to there the words are the
/// same. Calls `tick` at every comparison.
fn sort(keys: &mut [SortKey], arena: &Arena, depth: usize, tick: &mut impl FnMut()) {
    keys.sort_unstable_by(|left, right| {
        tick();
        left.0.cmp(&right.0)
    });
    let depth = depth + PREFIX_BYTES;
    for alike in keys.chunk_by_mut(|left, right| left.bytes() == right.bytes()) {
        if alike.len() == 1 {
            continue;
        }
        if alike.len() <= FEW || depth > DEPTH_MAX {
            alike.sort_unstable_by(|left, right| {
                tick();
                arena.word(left.address()).cmp(arena.word(right.address()))
            });
            continue;
        }
        for key in &mut *alike {
            let rest = arena.word(key.address()).get(depth..).unwrap_or_default();
            *key = SortKey::new(rest, key.address());
        }
        sort(alike, arena, depth, tick);
    }
}

impl SortedLong {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<SortKey>() + self.arena.memory_bytes()
    }

    pub(crate) fn shrink(&mut self) {
        self.keys.shrink_to_fit();
    }

    /// An empty table with as many slots as it had. The memory of the words is freed.
    pub(crate) fn into_table(self, seed: Seed) -> LongTable {
        let slots = self.slot_count;
        drop(self);
        LongTable::with_slots(slots, seed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let arena = &self.arena;
        let batches = self.keys.chunks(BATCH).flat_map(|batch| {
            let touched = batch.iter().map(|key| arena.touch(key.address()));
            black_box(touched.fold(0, u8::wrapping_add));
            batch
        });
        batches.map(|key| arena.entry(key.address()))
    }
}

impl LongSlot {
    /// As much of the hash as the slot has: enough for more homes than an arena has addresses.
    fn hash(&self) -> u64 {
        u64::from(self.hash) << 32
    }
}

/// The upper half of a hash, made odd.
fn half(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

impl Slot for LongSlot {
    const FREE: Self = Self { hash: 0, address: Address(0) };

    fn is_free(&self) -> bool {
        self.hash == 0
    }

    /// The same for all: reading it takes longer than one more slot.
    fn count(&self) -> u64 {
        0
    }
}

impl SortKey {
    /// The key of the first bytes of `rest`, with zeros if there are fewer.
    #[inline]
    fn new(rest: &[u8], address: Address) -> Self {
        let mut bytes = [0; 16];
        if let Some(all) = rest.first_chunk::<PREFIX_BYTES>() {
            bytes[..PREFIX_BYTES].copy_from_slice(all);
        } else {
            bytes[..rest.len()].copy_from_slice(rest);
        }
        Self(u128::from_be_bytes(bytes) | u128::from(address.0))
    }

    fn bytes(self) -> u128 {
        self.0 >> u32::BITS
    }

    fn address(self) -> Address {
        // The lower half of the lower half.
        Address(self.0 as u32)
    }
}

/// Slots of a new table: 2 KiB. Many texts have few long words.
const SLOTS_MIN: usize = 1 << 8;

/// More words than a core can have cache misses at once; 64 were not faster.
const BATCH: usize = 32;

/// Slots from a home to one that is on the same cache line or the next.
const REACH: usize = 6;

/// Bytes of a word in a sort key: four Han characters.
const PREFIX_BYTES: usize = 12;

/// Up to this many words, comparing them is faster than making other keys.
const FEW: usize = 8;

/// Words that share this many first bytes are compared. Bounds the recursion.
const DEPTH_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Count words as `add_lines` does, and compare with a map.
    #[track_caller]
    fn check(words: &[Vec<u8>]) {
        let mut table = LongTable::new(Seed::new());
        let mut expected = BTreeMap::<&[u8], u64>::new();
        for words in words.chunks(BATCH) {
            table.add_batch(words.iter().map(Vec::as_slice));
            for word in words {
                *expected.entry(word).or_default() += 1;
            }
        }
        let predicted = table.peak_bytes(0, 0);
        let sorted = table.into_sorted(&mut || ());
        assert!(sorted.iter().eq(expected), "not what the map has");
        assert!(sorted.memory_bytes() <= predicted, "{} bytes", sorted.memory_bytes());
    }

    /// Numbers in no order, all of them different.
    fn numbers(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(|number| number.wrapping_mul(0x9E37_79B9))
    }

    #[test]
    fn words_with_a_common_prefix_are_in_order_wherever_they_differ() {
        // At every byte of the first keys, around the deepest, and behind it; a few with a common
        // prefix, more of them, and many.
        let depths = (16..64).chain(DEPTH_MAX - 13..DEPTH_MAX + 26).chain([5_000]);
        for (depth, count) in depths.flat_map(|depth| [2, FEW as u32, 40].map(|n| (depth, n))) {
            let word = |number: u32| [&vec![b'x'; depth - 4][..], &number.to_be_bytes()].concat();
            check(&numbers(count).map(word).collect::<Vec<_>>());
        }
    }

    #[test]
    fn words_that_are_prefixes_of_others_come_first() {
        // Of one byte again and again: a key has zeros behind the end of a word.
        for byte in [0, b'x', 0xFF] {
            let word = |number: u32| vec![byte; 16 + (number % 701) as usize];
            check(&numbers(2_000).map(word).collect::<Vec<_>>());
        }
    }

    #[test]
    fn word_that_comes_twice_in_a_batch_is_one_word() {
        let word = |number: u32| format!("{:032}", number % 50).into_bytes();
        check(&(0..3_000).map(|number| word(number / 3)).collect::<Vec<_>>());
        check(&numbers(3_000).map(word).collect::<Vec<_>>());
    }

    #[test]
    fn peak_includes_sorting_when_it_takes_more_than_the_slots() {
        // Of 65,536 slots, nearly three quarters.
        let word = |number: u32| format!("{number:020}").into_bytes();
        check(&numbers(49_000).map(word).collect::<Vec<_>>());
    }

    #[test]
    fn words_with_the_same_half_of_a_hash_are_different_words() {
        let mut table = LongTable::new(Seed::new());
        for number in 0..200_u64 {
            table.add_hashed(format!("{number:020}").as_bytes(), (7 << 40) | (number % 3), 1);
            table.add_hashed(format!("{number:020}").as_bytes(), (7 << 40) | (number % 5), 2);
        }
        assert_eq!(table.len(), 200);
        let sorted = table.into_sorted(&mut || ());
        assert!(sorted.iter().all(|(_, count)| count == 3));
    }
}
