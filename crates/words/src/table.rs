//! Words to counts, in a table made for short words.
//!
//! Open addressing over slots of 32 bytes. A word of up to sixteen bytes lies in its slot, so that
//! finding it touches one cache line and no other memory; longer ones keep their first eight bytes
//! there and all of them in one arena. Sorting needs no room of its own: the slots are what is
//! sorted, by bytes they hold themselves.
//!
//! # Invariants
//!
//! * `slots.len()` is a power of two; at most three quarters of them are taken, so a search ends.
//! * A slot with `tag` 0 is free. Otherwise `tag` is the word's hash with its last byte replaced by
//!   `min(length, 17) + 1`; its upper bits say where the search begins.
//! * The bytes of `key` behind a short word are zero.

use std::cmp::Ordering;
use std::ops::Range;

/// How often each word occurred.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    len: usize,
    /// The words that do not fit in a slot, each behind its length.
    arena: Vec<u8>,
}

/// The words of a table in bytewise order.
#[derive(Debug)]
pub struct Sorted {
    slots: Vec<Slot>,
    arena: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// A short word, or the beginning of a long one and its position in the arena.
    key: [u8; SHORT],
    tag: u64,
    count: u64,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: vec![Slot::FREE; SLOTS_MIN], len: 0, arena: Vec::new() }
    }

    /// Add `count` to the count of `word`.
    pub fn add(&mut self, word: &[u8], count: u64) {
        if word.len() <= SHORT {
            self.add_short(short_key(word), word.len(), count);
        } else {
            self.add_long(word, count);
        }
    }

    /// Number of distinct words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory it has allocated. While it grows it needs three times the slots for a
    /// moment: the old ones and twice as many new ones.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.arena.capacity()
    }

    /// The most bytes that it has allocated at any moment while `more_words` words, new or not, of
    /// which those longer than sixteen bytes have `more_bytes` bytes together, are added. Whoever
    /// has a budget asks before adding.
    #[must_use]
    pub fn peak_bytes(&self, more_words: usize, more_bytes: usize) -> usize {
        let mut slots = self.slots.len();
        while self.len.saturating_add(more_words) > slots / 4 * 3 {
            slots = slots.saturating_mul(2).min(usize::MAX / 2);
            if slots == usize::MAX / 2 {
                return usize::MAX;
            }
        }
        // While anything grows, the old one is there too.
        let old_slots = if slots == self.slots.len() { 0 } else { slots / 2 };
        let lengths = size_of::<usize>().saturating_mul(more_words.min(more_bytes / SHORT));
        let arena = more_bytes.saturating_add(lengths).saturating_add(self.arena.len());
        let arena = if arena <= self.arena.capacity() {
            self.arena.capacity()
        } else {
            // Grown from what was just too small, to twice as much.
            arena.saturating_mul(3).max(8)
        };
        (slots + old_slots).saturating_mul(size_of::<Slot>()).saturating_add(arena)
    }

    /// Sort the words, in place. Calls `tick` every few thousand comparisons, so that a caller can
    /// show that something moves.
    #[must_use]
    pub fn into_sorted(self, mut tick: impl FnMut()) -> Sorted {
        let Self { mut slots, arena, .. } = self;
        slots.retain(|slot| !slot.is_free());
        let mut comparisons = 0_u32;
        slots.sort_unstable_by(|left, right| {
            comparisons = comparisons.wrapping_add(1);
            if comparisons.is_multiple_of(COMPARISONS_PER_TICK) {
                tick();
            }
            left.compare(right, &arena)
        });
        Sorted { slots, arena }
    }

    /// Count the word `text[run]` once.
    #[inline]
    pub(crate) fn add_run(&mut self, text: &[u8], run: Range<usize>) {
        let len = run.len();
        if len <= SHORT
            && let Some(bytes) = text[run.start..].first_chunk::<SHORT>()
        {
            // Load what may lie behind the word too, and clear it: no call, no branch on length.
            let word = u128::from_le_bytes(*bytes) & SHORT_MASKS[len];
            self.add_short(word.to_le_bytes(), len, 1);
        } else {
            self.add(&text[run], 1);
        }
    }

    #[inline]
    fn add_short(&mut self, key: [u8; SHORT], len: usize, count: u64) {
        let tag = tag(hash_short(key, len), len);
        let mut index = self.home(tag);
        loop {
            let slot = &mut self.slots[index];
            if slot.tag == tag && slot.key == key {
                slot.count += count;
                return;
            }
            if slot.is_free() {
                return self.insert(index, Slot { key, tag, count });
            }
            index = self.next(index);
        }
    }

    #[cold]
    fn add_long(&mut self, word: &[u8], count: u64) {
        let tag = tag(hash_long(word), word.len());
        let mut index = self.home(tag);
        loop {
            let slot = &mut self.slots[index];
            if slot.tag == tag && slot.word(&self.arena) == word {
                slot.count += count;
                return;
            }
            if slot.is_free() {
                let key = long_key(word, self.arena.len());
                self.arena.extend_from_slice(&word.len().to_le_bytes());
                self.arena.extend_from_slice(word);
                return self.insert(index, Slot { key, tag, count });
            }
            index = self.next(index);
        }
    }

    /// Fill the free slot at `index`, then grow if the table has become too full.
    #[cold]
    fn insert(&mut self, index: usize, slot: Slot) {
        self.slots[index] = slot;
        self.len += 1;
        if self.len > self.slots.len() / 4 * 3 {
            let grown = vec![Slot::FREE; self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, grown);
            for slot in old.into_iter().filter(|slot| !slot.is_free()) {
                let mut index = self.home(slot.tag);
                while !self.slots[index].is_free() {
                    index = self.next(index);
                }
                self.slots[index] = slot;
            }
        }
    }

    /// Where the search for a word with this tag begins.
    #[inline]
    fn home(&self, tag: u64) -> usize {
        (tag >> (u64::BITS - self.slots.len().trailing_zeros())) as usize
    }

    #[inline]
    fn next(&self, index: usize) -> usize {
        (index + 1) & (self.slots.len() - 1)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Sorted {
    /// Number of distinct words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every word with its count, bytewise ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().map(|slot| (slot.word(&self.arena), slot.count))
    }
}

impl Slot {
    const FREE: Self = Self { key: [0; SHORT], tag: 0, count: 0 };

    #[inline]
    fn is_free(&self) -> bool {
        self.tag == 0
    }

    fn word<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        let len = (self.tag & 0xFF) as usize - 1;
        if len <= SHORT {
            return &self.key[..len];
        }
        let (_, at) = halves(&self.key);
        let (len, word) =
            arena[at as usize..].split_first_chunk().expect("a length precedes every word");
        &word[..usize::from_le_bytes(*len)]
    }

    #[inline]
    fn compare(&self, other: &Self, arena: &[u8]) -> Ordering {
        let prefix = u64::from_be_bytes(halves(&self.key).0.to_le_bytes());
        let other_prefix = u64::from_be_bytes(halves(&other.key).0.to_le_bytes());
        // Words shorter than the prefix are filled up with zeros, which sorts them in front, or
        // leaves them equal to words that have zeros there: then all bytes decide.
        prefix.cmp(&other_prefix).then_with(|| self.word(arena).cmp(other.word(arena)))
    }
}

/// A short word with zeros behind it.
fn short_key(word: &[u8]) -> [u8; SHORT] {
    let mut key = [0; SHORT];
    key[..word.len()].copy_from_slice(word);
    key
}

/// The beginning of a long word, and where the arena has it.
fn long_key(word: &[u8], at: usize) -> [u8; SHORT] {
    let mut key = [0; SHORT];
    let (prefix, position) = key.split_at_mut(8);
    prefix.copy_from_slice(&word[..8]);
    position.copy_from_slice(&(at as u64).to_le_bytes());
    key
}

fn tag(hash: u64, len: usize) -> u64 {
    (hash & !0xFF) | (len.min(SHORT + 1) as u64 + 1)
}

#[inline]
fn hash_short(key: [u8; SHORT], len: usize) -> u64 {
    let (low, high) = halves(&key);
    fold(low ^ HASH_LOW, high ^ HASH_HIGH ^ len as u64)
}

fn hash_long(word: &[u8]) -> u64 {
    let (pairs, last) = word.as_chunks::<SHORT>();
    let mut hash = word.len() as u64;
    for pair in pairs {
        let (low, high) = halves(pair);
        hash = fold(low ^ HASH_LOW ^ hash, high ^ HASH_HIGH);
    }
    let (low, high) = halves(&short_key(last));
    fold(low ^ HASH_LOW ^ hash, high ^ HASH_HIGH)
}

/// Multiply to twice the width and fold the halves: every bit of the factors reaches all bits of
/// the result. The step of wyhash.
#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    // The low half and the high half.
    product as u64 ^ (product >> 64) as u64
}

/// The first and the last eight bytes.
#[inline]
fn halves(key: &[u8; SHORT]) -> (u64, u64) {
    let both = u128::from_le_bytes(*key);
    (both as u64, (both >> 64) as u64)
}

/// Words up to this length lie in their slot. Nearly every English word fits.
const SHORT: usize = 16;

/// `SHORT_MASKS[len]` keeps the first `len` bytes of a key.
const SHORT_MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut len = 1;
    while len <= SHORT {
        masks[len] = u128::MAX >> (8 * (SHORT - len));
        len += 1;
    }
    masks
};

/// Slots of a new table: 32 KiB. Many tables are small, and a power of two is needed.
const SLOTS_MIN: usize = 1 << 10;

/// About 30 microseconds of sorting.
const COMPARISONS_PER_TICK: u32 = 4096;

/// Two of wyhash's constants: odd, with as many ones as zeros.
const HASH_LOW: u64 = 0xA076_1D64_78BD_642F;
const HASH_HIGH: u64 = 0xE703_7ED1_A0B4_28DB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_word_add_up() {
        let mut table = Table::new();
        table.add(b"the", 2);
        table.add(b"a word of more than sixteen bytes", 1);
        table.add(b"the", 40);
        table.add(b"a word of more than sixteen bytes", 6);

        assert_eq!(table.len(), 2);
        let sorted = table.into_sorted(|| ());
        let expected: [(&[u8], u64); 2] = [(b"a word of more than sixteen bytes", 7), (b"the", 42)];
        assert!(sorted.iter().eq(expected));
    }

    #[test]
    fn zeros_at_the_end_of_a_word_make_another_word() {
        // Every word of zeros from none to twenty, in the slot and in the arena.
        let mut table = Table::new();
        for len in (0..=20).rev() {
            table.add(&[0; 20][..len], len as u64);
        }
        let sorted = table.into_sorted(|| ());
        assert_eq!(sorted.len(), 21);
        for (len, (word, count)) in sorted.iter().enumerate() {
            assert_eq!((word, count), (&[0; 20][..len], len as u64));
        }
    }

    #[test]
    fn run_is_counted_alone_wherever_it_stands() {
        let text = b"0123456789abcdefghijklmnopqrstuvwxyz";
        for run in (0..text.len()).flat_map(|start| (start..text.len()).map(move |end| start..end))
        {
            let mut table = Table::new();
            table.add_run(text, run.clone());
            table.add(&text[run.clone()], 1);
            assert!(table.into_sorted(|| ()).iter().eq([(&text[run], 2)]));
        }
    }

    #[test]
    fn table_grows_and_says_so() {
        let mut table = Table::new();
        let small = table.memory_bytes();
        for number in 0..10_000_u64 {
            table.add(number.to_string().as_bytes(), number);
        }
        assert_eq!(table.len(), 10_000);
        assert!(table.memory_bytes() > 4 * small);
        assert!(table.memory_bytes() >= 10_000 * size_of::<Slot>());
    }

    #[test]
    fn peak_is_foreseen() {
        let mut table = Table::new();
        assert_eq!(table.peak_bytes(0, 0), table.memory_bytes());
        assert_eq!(table.peak_bytes(usize::MAX, usize::MAX), usize::MAX);
        for step in 0..200_usize {
            let words: Vec<_> = (0..step * 7)
                .map(|number| format!("{step}-{number}").repeat(1 + number % 4))
                .collect();
            let bytes = words.iter().map(String::len).filter(|&len| len > SHORT).sum();
            let peak = table.peak_bytes(words.len(), bytes);
            let before = table.slots.len();
            words.iter().for_each(|word| table.add(word.as_bytes(), 1));
            assert!(table.memory_bytes() <= peak, "step {step}");
            if table.slots.len() > before {
                assert!(peak >= (table.slots.len() + before) * size_of::<Slot>(), "step {step}");
            }
        }
    }

    #[test]
    fn sorting_ticks() {
        let mut table = Table::new();
        for number in 0..100_000_u64 {
            table.add(number.to_string().as_bytes(), 1);
        }
        let mut ticks = 0;
        let sorted = table.into_sorted(|| ticks += 1);
        assert!(ticks > 50, "{ticks} ticks for 100,000 words");
        assert!(sorted.iter().is_sorted());
    }

    #[test]
    fn similar_words_do_not_share_a_home() {
        let mut table = Table::new();
        for number in 0..100_000_u64 {
            table.add(format!("word{number}").as_bytes(), 1);
        }
        let strays =
            table.slots.iter().enumerate().filter(|(index, slot)| {
                !slot.is_free() && table.home(slot.tag).abs_diff(*index) > 16
            });
        // A good hash at this load leaves a few per thousand this far from home.
        assert!(strays.count() < 1_000);
    }
}
