//! Words to counts: three tables, for tiny words, for short ones, and for long ones.
//!
//! # Invariants
//!
//! * A word is in one of them at most, and its length says in which: up to seven bytes are tiny, up
//!   to fifteen short.

use std::{iter, mem};

use crate::hash::Seed;
use crate::key::{SHORT, ShortKey, TINY, TinyKey};
use crate::lines::Lines;
use crate::long::{LongTable, SortedLong};
use crate::short::{ShortTable, SortedShort};
use crate::simd::Level;

/// How often each word occurred.
#[derive(Debug)]
pub struct Table {
    tiny: ShortTable<TinyKey>,
    short: ShortTable<ShortKey>,
    long: LongTable,
    /// The level of its loops.
    level: Level,
}

/// The words of a table in bytewise order.
#[derive(Debug)]
pub struct Sorted {
    tiny: SortedShort<TinyKey>,
    short: SortedShort<ShortKey>,
    long: SortedLong,
    /// The level of the table.
    level: Level,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::at_level(Level::best())
    }

    /// The same, with the instructions of `level`: for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn at_level(level: Level) -> Self {
        let seed = Seed::new();
        let (tiny, short) = (ShortTable::new(level, seed), ShortTable::new(level, seed));
        Self { tiny, short, long: LongTable::new(seed), level }
    }

    /// Add `count` to the count of `word`.
    pub fn add(&mut self, word: &[u8], count: u64) {
        if word.len() <= TINY {
            self.tiny.add(word, count);
        } else if word.len() <= SHORT {
            self.short.add(word, count);
        } else {
            self.long.add(word, count);
        }
    }

    /// Number of distinct words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tiny.len() + self.short.len() + self.long.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it has allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.tiny.memory_bytes() + self.short.memory_bytes() + self.long.memory_bytes()
    }

    /// The peak of its memory in bytes while `more_words` words, new or not, are added, of which
    /// those longer than seven bytes have `more_bytes` bytes together. A caller with a memory
    /// budget asks before it adds words.
    ///
    /// Growing doubles the slots. While a small table grows, it exists twice; one of 64 MiB or more
    /// is moved by pages, not by bytes, so that its peak is its size afterwards.
    #[must_use]
    pub fn peak_bytes(&self, more_words: usize, more_bytes: usize) -> usize {
        let longer_than = |len| more_words.min(more_bytes / (len + 1));
        let tiny = self.tiny.peak_bytes(more_words);
        let short = self.short.peak_bytes(longer_than(TINY));
        let long = self.long.peak_bytes(longer_than(SHORT), more_bytes);
        tiny.saturating_add(short).saturating_add(long)
    }

    /// Sort the words, within the peak that [`peak_bytes`](Self::peak_bytes) has predicted. Calls
    /// `tick` every few thousand comparisons, so that a caller can report progress.
    #[must_use]
    pub fn into_sorted(self, mut tick: impl FnMut()) -> Sorted {
        let Self { tiny, short, long, level } = self;
        let (tiny, short) = (tiny.into_sorted(&mut tick), short.into_sorted(&mut tick));
        Sorted { tiny, short, long: long.into_sorted(&mut tick), level }
    }

    /// The level of its loops.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Count the lines of a window.
    pub(crate) fn add_lines(&mut self, lines: &Lines) {
        let (window, [tiny, short, long]) = lines.parts();
        self.tiny.add_lines(window, tiny);
        self.short.add_lines(window, short);
        self.long.add_lines(window, long);
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
        self.tiny.len() + self.short.len() + self.long.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it has allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.tiny.memory_bytes() + self.short.memory_bytes() + self.long.memory_bytes()
    }

    /// Free memory that it does not need.
    pub fn shrink(&mut self) {
        self.tiny.shrink();
        self.short.shrink();
        self.long.shrink();
    }

    /// An empty table in the memory of the slots.
    #[must_use]
    pub fn into_table(self) -> Table {
        let seed = Seed::new();
        let Self { tiny, short, long, level } = self;
        let (tiny, short) = (tiny.into_table(level, seed), short.into_table(level, seed));
        Table { tiny, short, long: long.into_table(seed), level }
    }

    /// Every word with its count, bytewise ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        merged(merged(self.tiny.iter(), self.short.iter()), self.long.iter())
    }
}

/// Two ascending sequences of words as one. No word is in both.
fn merged<'a>(
    mut some: impl Iterator<Item = (&'a [u8], u64)>,
    mut others: impl Iterator<Item = (&'a [u8], u64)>,
) -> impl Iterator<Item = (&'a [u8], u64)> {
    let (mut one, mut other) = (some.next(), others.next());
    iter::from_fn(move || match (one, other) {
        (Some((first, _)), Some((second, _))) if first > second => {
            mem::replace(&mut other, others.next())
        }
        (Some(_), _) => mem::replace(&mut one, some.next()),
        (None, _) => mem::replace(&mut other, others.next()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    fn word_in_a_text_and_word_alone_are_the_same() {
        // Every length around the longest key, with every distance to the end of the text.
        for level in Level::all() {
            for (len, behind) in (0..20_usize).flat_map(|len| (0..20).map(move |n| (len, n))) {
                let mut text = b"zyxwvutsrqponmlkjihg"[..len].to_vec();
                text.push(b'\n');
                text.resize(len + 1 + behind, b'.');
                let mut table = Table::at_level(level);
                let mut lines = Lines::new();
                lines.find(level, &text);
                assert_eq!((lines.len(), lines.end()), (1, len + 1));
                table.add_lines(&lines);
                table.add(&text[..len], 1);
                let sorted = table.into_sorted(|| ());
                assert!(sorted.iter().eq([(&text[..len], 2)]), "{level:?}: {len}, {behind}");
            }
        }
    }

    #[test]
    fn every_byte_is_part_of_a_word_at_every_place() {
        let mut lines = Lines::new();
        for level in Level::all() {
            for len in 1..=SHORT + 1 {
                let mut table = Table::at_level(level);
                let mut expected = BTreeMap::new();
                for (at, byte) in (0..len).flat_map(|at| (0..=0xFF).map(move |byte| (at, byte))) {
                    let mut text = vec![b'a'; 2 * SHORT];
                    text[at] = byte;
                    text[len] = b'\n';
                    lines.find(level, &text);
                    table.add_lines(&lines);
                    for line in text.split_inclusive(|&byte| byte == b'\n') {
                        if let Some(word) = line.strip_suffix(b"\n") {
                            *expected.entry(word.to_vec()).or_insert(0) += 1;
                        }
                    }
                }
                let expected = expected.iter().map(|(word, &count)| (word.as_slice(), count));
                assert!(table.into_sorted(|| ()).iter().eq(expected), "{level:?}: {len}");
            }
        }
    }

    #[test]
    fn peak_is_predicted() {
        let mut table = Table::new();
        assert_eq!(table.peak_bytes(0, 0), table.memory_bytes());
        assert_eq!(table.peak_bytes(usize::MAX, usize::MAX), usize::MAX);
        for step in 0..400_usize {
            // Some steps have long words, some of them longer than a piece of the arena.
            let words: Vec<_> = (0..step * 7)
                .map(|number| format!("{step}-{number}").repeat(1 + step % 3 * (number % 4)))
                .chain((step % 50 == 49).then(|| step.to_string().repeat(100_000)))
                .collect();
            let bytes = words.iter().map(String::len).filter(|&len| len > TINY).sum();
            let before = table.memory_bytes();
            let peak = table.peak_bytes(words.len(), bytes);
            assert!(peak >= before, "step {step}");
            words.iter().for_each(|word| table.add(word.as_bytes(), 1));
            assert!(table.memory_bytes() <= peak, "step {step}");
        }
        assert!(table.len() > 500_000);
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
        assert!(table.memory_bytes() >= 10_000 * (SHORT + size_of::<u64>()));
    }

    #[test]
    fn emptied_table_keeps_the_memory_of_its_slots_and_nothing_else() {
        // Short words, and long ones, of whose memory the slots are the smaller part.
        for (repeat, least) in [(1, 3), (6, 1)] {
            let mut table = Table::new();
            for number in 0..10_000_u64 {
                table.add(number.to_string().repeat(repeat).as_bytes(), 1);
            }
            let full = table.memory_bytes();
            let mut again = table.into_sorted(|| ()).into_table();
            assert!(again.is_empty());
            assert!((full * least / 5..=full).contains(&again.memory_bytes()), "of {full} bytes");
            again.add(b"7", 3);
            assert!(again.into_sorted(|| ()).iter().eq([(b"7".as_slice(), 3)]));
        }
    }

    #[test]
    fn sorting_ticks() {
        // Short words, and long ones.
        for repeat in [1, 5] {
            let mut table = Table::new();
            for number in 0..100_000_u64 {
                // In no order.
                let number = 100_000 + number * 7_919 % 100_000;
                table.add(number.to_string().repeat(repeat).as_bytes(), 1);
            }
            let mut ticks = 0;
            let sorted = table.into_sorted(|| ticks += 1);
            assert!(ticks > 50, "{ticks} ticks for 100,000 words");
            assert!(sorted.iter().is_sorted());
        }
    }
}
