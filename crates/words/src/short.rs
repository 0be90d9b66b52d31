//! The counts of short words, which are nearly all words of any text.
//!
//! A slot has the key of a word and its count, so that counting a word touches one cache line or
//! two, and no other memory. The same table counts tiny words with keys of eight bytes, and longer
//! ones with keys of sixteen. The words of a table that fits in a cache are counted one by one: the
//! CPU overlaps them by itself as long as it predicts the branches, and it does where nearly every
//! word is found in its home. In a larger table most words are cache misses, so there they are
//! counted in batches: the homes of a whole batch are prefetched before the first one is read.

use crate::hash::Seed;
use crate::key::{Key, KeySimd, hash_key};
use crate::lines::List;
use crate::simd::{Kernel, Level};
use crate::slots::{Slot, Slots, seldom};
use crate::window::Window;

/// How often each word that fits in a `K` occurred.
#[derive(Debug)]
pub(crate) struct ShortTable<K> {
    slots: Slots<ShortSlot<K>>,
    level: Level,
    seed: Seed,
}

/// A word and its count.
#[derive(Clone, Copy, Debug)]
struct ShortSlot<K> {
    /// The key of no word when the slot is free.
    key: K,
    count: u64,
}

/// Words in bytewise order.
#[derive(Debug)]
pub(crate) struct SortedShort<K> {
    /// The newline of each key is replaced by a zero, and its last byte by the length of the word:
    /// so these keys are ordered as the words are.
    slots: Vec<ShortSlot<K>>,
}

impl<K: Key> ShortTable<K> {
    pub(crate) fn new(level: Level, seed: Seed) -> Self {
        Self { slots: Slots::new(SLOTS_MIN), level, seed }
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
    pub(crate) fn into_sorted(self, tick: &mut impl FnMut()) -> SortedShort<K> {
        let mut slots = self.slots.into_taken();
        for slot in &mut slots {
            let len = slot.key.word_len();
            let key = slot.key.bytes_mut();
            key[len] = 0;
            key[key.len() - 1] = len as u8;
        }
        let mut tick = seldom(tick);
        slots.sort_unstable_by(|left, right| {
            tick();
            left.key.cmp(&right.key)
        });
        SortedShort { slots }
    }

    pub(crate) fn add(&mut self, word: &[u8], count: u64) {
        let key = K::of(word);
        self.add_hashed(key, hash_key(self.level, &key, &self.seed), count);
    }

    /// Count lines of `window` with words that fit in a key.
    pub(crate) fn add_lines(&mut self, window: &Window, lines: &List) {
        self.level.run(Count { table: self, window, lines });
    }

    #[cold]
    #[inline(never)]
    fn add_hashed(&mut self, key: K, hash: u64, count: u64) {
        match self.slots.find(hash, |slot| slot.key == key) {
            Ok(slot) => slot.count += count,
            Err(free) => {
                let (seed, level) = (self.seed, self.level);
                let hash = |slot: &ShortSlot<K>| hash_key(level, &slot.key, &seed);
                self.slots.insert(free, ShortSlot { key, count }, hash);
            }
        }
    }
}

/// See [`ShortTable::add_lines`].
struct Count<'a, K> {
    table: &'a mut ShortTable<K>,
    window: &'a Window,
    lines: &'a List,
}

impl<S: KeySimd, K: Key> Kernel<S> for Count<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        if self.table.slots.memory_bytes() < BATCHED_BYTES_MIN {
            self.one_by_one(simd);
        } else {
            self.in_batches(simd);
        }
    }
}

impl<K: Key> Count<'_, K> {
    #[inline(always)]
    fn one_by_one<S: KeySimd>(self, simd: S) {
        let Self { table, window, lines } = self;
        let seed = table.seed;
        let mut lines = lines.iter(0..lines.len());
        loop {
            // The slots move when the table grows.
            let (slots, shift) = table.slots.parts();
            let (key, hash) = loop {
                let Some((start, size)) = lines.next() else {
                    return;
                };
                let key = K::load(simd, window, start, size);
                let hash = K::hash(simd, key, &seed);
                match slots.get_mut((hash >> shift) as usize) {
                    Some(slot) if K::equals(simd, key, &slot.key) => slot.count += 1,
                    Some(_) | None => break (key, hash),
                }
            };
            table.add_hashed(K::store(simd, key), hash, 1);
        }
    }

    #[inline(always)]
    fn in_batches<S: KeySimd>(self, simd: S) {
        let Self { table, window, lines } = self;
        let seed = table.seed;
        let mut batch = [(K::load_key(simd, &K::NONE), 0); BATCH];
        for from in (0..lines.len()).step_by(BATCH) {
            let (slots, shift) = table.slots.parts();
            let range = from..lines.len().min(from + BATCH);
            let loaded = range.len();
            for (place, (start, size)) in batch.iter_mut().zip(lines.iter(range)) {
                let key = K::load(simd, window, start, size);
                let hash = K::hash(simd, key, &seed);
                if let Some(home) = slots.get((hash >> shift) as usize) {
                    simd.prefetch(home);
                }
                *place = (key, hash);
            }
            for &(key, hash) in &batch[..loaded] {
                let (slots, shift) = table.slots.parts();
                match slots.get_mut((hash >> shift) as usize) {
                    Some(slot) if K::equals(simd, key, &slot.key) => slot.count += 1,
                    Some(_) | None => table.add_hashed(K::store(simd, key), hash, 1),
                }
            }
        }
    }
}

impl<K: Key> SortedShort<K> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<ShortSlot<K>>()
    }

    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
    }

    /// An empty table in the same memory.
    pub(crate) fn into_table(self, level: Level, seed: Seed) -> ShortTable<K> {
        ShortTable { slots: Slots::reusing(self.slots), level, seed }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().map(|slot| {
            let key = slot.key.bytes();
            (&key[..usize::from(key[key.len() - 1])], slot.count)
        })
    }
}

impl<K: Key> Slot for ShortSlot<K> {
    const FREE: Self = Self { key: K::NONE, count: 0 };

    #[inline(always)]
    fn is_free(&self) -> bool {
        self.key == K::NONE
    }

    #[inline(always)]
    fn count(&self) -> u64 {
        self.count
    }
}

/// Slots of a new table: 16 or 24 KiB. Many tables are small.
const SLOTS_MIN: usize = 1 << 10;

/// From this size on the slots do not fit in a core's second-level cache.
const BATCHED_BYTES_MIN: usize = 3 << 19;

/// More words than a core can have cache misses at once.
const BATCH: usize = 32;
