//! The counts of short words, which are nearly all words of any text.
//!
//! A slot has the word and its count in 24 bytes, so that counting a word touches one cache line,
//! or two, and no other memory. The words of a table that fits in a cache are counted one by one:
//! the processor overlaps them by itself, as long as it foresees what comes. It does where nearly
//! every word is found at home. In a larger table most words are waited for, so there they come in
//! batches: the memory is asked for the homes of a whole batch before the first is looked at.

use crate::key::{KEY, MASKS, SHORT, Seed, key_of, len_of};
use crate::long::COMPARISONS_PER_TICK;
use crate::simd::{Kernel, Level, Simd};
use crate::slots::{Slot, Slots};

/// How often each short word occurred.
#[derive(Debug)]
pub(crate) struct ShortTable {
    slots: Slots<ShortSlot>,
    level: Level,
    seed: Seed,
}

/// A short word and its count.
#[derive(Clone, Copy, Debug)]
struct ShortSlot {
    /// See [`crate::key`]. All zeros when the slot is free.
    key: [u8; KEY],
    count: u64,
}

/// Short words in bytewise order.
#[derive(Debug)]
pub(crate) struct SortedShort {
    /// In the place of its newline a word has a zero, and its length is the last byte of the key:
    /// as numbers, highest byte first, these keys are ordered as the words are.
    slots: Vec<ShortSlot>,
}

impl ShortTable {
    pub(crate) fn new(level: Level, seed: Seed) -> Self {
        Self { slots: Slots::new(SLOTS_MIN), level, seed }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.taken()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.memory_bytes()
    }

    /// See [`Table::peak_bytes`](crate::Table::peak_bytes).
    pub(crate) fn peak_bytes(&self, more_words: usize) -> usize {
        self.slots.peak_bytes(more_words)
    }

    /// Sort, in place. Calls `tick` now and then.
    pub(crate) fn into_sorted(self, tick: &mut impl FnMut()) -> SortedShort {
        let mut slots = self.slots.into_taken();
        for slot in &mut slots {
            let len = len_of(&slot.key);
            slot.key[len] = 0;
            slot.key[SHORT] = len as u8;
        }
        let mut comparisons = 0_u32;
        slots.sort_unstable_by(|left, right| {
            comparisons = comparisons.wrapping_add(1);
            if comparisons.is_multiple_of(COMPARISONS_PER_TICK) {
                tick();
            }
            u128::from_be_bytes(left.key).cmp(&u128::from_be_bytes(right.key))
        });
        SortedShort { slots }
    }

    pub(crate) fn add(&mut self, word: &[u8], count: u64) {
        let key = key_of(word);
        self.add_hashed(key, self.seed.hash(self.level, &key), count);
    }

    /// Count the lines of `text` that end at `ends`, the first of which begins at `start`, until
    /// one comes that is long or too near the end of `text` to be loaded at once. Returns how many
    /// were counted, and where the next begins.
    pub(crate) fn add_lines(&mut self, text: &[u8], ends: &[u16], start: usize) -> (usize, usize) {
        let level = self.level;
        if self.slots.len() >= BATCHED_SLOTS_MIN {
            return level.run(Batches { table: self, text, ends, start });
        }
        let (mut done, mut start) = (0, start);
        loop {
            let known = Known { table: self, text, ends: &ends[done..], start };
            let (found, next) = level.run(known);
            (done, start) = (done + found, next);
            let Some(&end) = ends.get(done) else {
                return (done, start);
            };
            let end = usize::from(end);
            let Some((bytes, mask)) = load(text, start, end) else {
                return (done, start);
            };
            let key = u128::from_le_bytes(*bytes) & u128::from_le_bytes(*mask);
            let key = key.to_le_bytes();
            self.add_hashed(key, self.seed.hash(level, &key), 1);
            (done, start) = (done + 1, end + 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_hashed(&mut self, key: [u8; KEY], hash: u64, count: u64) {
        match self.slots.find(hash, |slot| slot.key == key) {
            Ok(slot) => slot.count += count,
            Err(free) => {
                let (seed, level) = (self.seed, self.level);
                let hash = |slot: &ShortSlot| seed.hash(level, &slot.key);
                self.slots.insert(free, ShortSlot { key, count }, hash);
            }
        }
    }
}

/// Counts lines until one comes that is not found at home, or cannot be loaded. Returns how many
/// were counted, and where the next begins.
struct Known<'a> {
    table: &'a mut ShortTable,
    text: &'a [u8],
    ends: &'a [u16],
    start: usize,
}

impl Kernel for Known<'_> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (usize, usize) {
        let Self { table, text, ends, mut start } = self;
        let seed = table.seed;
        let (slots, shift) = table.slots.parts();
        for (done, &end) in ends.iter().enumerate() {
            let end = usize::from(end);
            let Some((bytes, mask)) = load(text, start, end) else {
                return (done, start);
            };
            let key = simd.key(bytes, mask);
            match slots.get_mut((simd.hash(key, &seed) >> shift) as usize) {
                Some(slot) if simd.is(key, &slot.key) => slot.count += 1,
                Some(_) | None => return (done, start),
            }
            start = end + 1;
        }
        (ends.len(), start)
    }
}

/// Counts lines until one comes that cannot be loaded. Returns how many were counted, and where
/// the next begins.
struct Batches<'a> {
    table: &'a mut ShortTable,
    text: &'a [u8],
    ends: &'a [u16],
    start: usize,
}

impl Kernel for Batches<'_> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (usize, usize) {
        let Self { table, text, ends, mut start } = self;
        let seed = table.seed;
        let nothing = simd.key(&[0; KEY], &MASKS[0]);
        let mut batch = [(nothing, 0); BATCH];
        let mut done = 0;
        for ends in ends.chunks(BATCH) {
            let (slots, shift) = table.slots.parts();
            let mut loaded = 0;
            for (&end, place) in ends.iter().zip(&mut batch) {
                let end = usize::from(end);
                let Some((bytes, mask)) = load(text, start, end) else {
                    break;
                };
                let key = simd.key(bytes, mask);
                let hash = simd.hash(key, &seed);
                if let Some(home) = slots.get((hash >> shift) as usize) {
                    simd.prefetch(home);
                }
                *place = (key, hash);
                loaded += 1;
                start = end + 1;
            }
            for &(key, hash) in &batch[..loaded] {
                let (slots, shift) = table.slots.parts();
                match slots.get_mut((hash >> shift) as usize) {
                    Some(slot) if simd.is(key, &slot.key) => slot.count += 1,
                    Some(_) | None => table.add_hashed(simd.bytes(key), hash, 1),
                }
            }
            done += loaded;
            if loaded < ends.len() {
                break;
            }
        }
        (done, start)
    }
}

/// What holds the key of the word `text[start..end]`, behind which is a newline, if the word is
/// short and can be loaded at once.
#[inline(always)]
fn load(text: &[u8], start: usize, end: usize) -> Option<(&[u8; KEY], &'static [u8; KEY])> {
    let mask = MASKS.get(end.wrapping_sub(start))?;
    let bytes = text.get(start..start.wrapping_add(KEY))?.first_chunk()?;
    Some((bytes, mask))
}

impl SortedShort {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<ShortSlot>()
    }

    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }

    /// An empty table in the same room.
    pub(crate) fn into_table(self, level: Level, seed: Seed) -> ShortTable {
        ShortTable { slots: Slots::in_room(self.slots), level, seed }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().map(|slot| (&slot.key[..usize::from(slot.key[SHORT])], slot.count))
    }
}

impl Slot for ShortSlot {
    const FREE: Self = Self { key: [0; KEY], count: 0 };

    #[inline(always)]
    fn is_free(&self) -> bool {
        u128::from_le_bytes(self.key) == 0
    }

    #[inline(always)]
    fn count(&self) -> u64 {
        self.count
    }
}

/// Slots of a new table: 24 KiB. Many tables are small.
const SLOTS_MIN: usize = 1 << 10;

/// From here on the slots do not fit in a core's second-level cache.
const BATCHED_SLOTS_MIN: usize = 1 << 16;

/// More words than the memory can be asked for at once.
const BATCH: usize = 32;
