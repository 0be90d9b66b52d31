//! Several runs to one: every word once, with the sum of its counts.
//!
//! A k-way merge by a tree of losers (Knuth, volume 3, 5.4.1): each inner node keeps the run that
//! lost the match there, so that the next word costs one comparison a level. Nearly all are decided
//! by the first eight bytes, which are stored beside the tree. A binary heap would compare twice a
//! level.
//!
//! # Invariants
//!
//! * Every run in `runs` is at an entry. A run that ends is dropped at once, and closes what it has
//!   open. Then the tree is built again, which happens once for each run.
//! * `losers[1..]` and `winner` name each run exactly once. `losers[0]` is unused.

use std::cmp::Ordering;

/// A run being read, from its first word to its last.
pub trait Run {
    /// Why it cannot be read.
    type Error;

    /// Go to the next entry; the first call goes to the first one. `false` if there is none.
    fn advance(&mut self) -> Result<bool, Self::Error>;

    /// The word of the current entry.
    fn word(&self) -> &[u8];

    /// The count of the current entry.
    fn count(&self) -> u64;
}

/// Reads runs as if they were one.
#[derive(Debug)]
pub struct Merge<R> {
    runs: Vec<R>,
    /// The first bytes of the current word of each run.
    prefixes: Vec<u64>,
    losers: Vec<usize>,
    winner: usize,
    /// The word that was returned last.
    word: Vec<u8>,
}

impl<R: Run> Merge<R> {
    /// Go to the first word of each of `runs`.
    pub fn new(runs: Vec<R>) -> Result<Self, R::Error> {
        let mut merge = Self {
            runs: Vec::with_capacity(runs.len()),
            prefixes: Vec::with_capacity(runs.len()),
            losers: Vec::new(),
            winner: 0,
            word: Vec::new(),
        };
        for mut run in runs {
            if run.advance()? {
                merge.prefixes.push(prefix(run.word()));
                merge.runs.push(run);
            }
        }
        merge.build();
        Ok(merge)
    }

    /// The next word, with the sum of its counts in all runs.
    pub fn next_word(&mut self) -> Result<Option<(&[u8], u64)>, R::Error> {
        let Some(run) = self.runs.get(self.winner) else { return Ok(None) };
        self.word.clear();
        self.word.extend_from_slice(run.word());
        let prefix = self.prefixes[self.winner];
        let mut count = run.count();
        self.advance()?;
        while let Some(run) = self.runs.get(self.winner)
            && self.prefixes[self.winner] == prefix
            && run.word() == self.word
        {
            count += run.count();
            self.advance()?;
        }
        Ok(Some((&self.word, count)))
    }

    /// The winner goes to its next word and plays its matches again.
    #[inline]
    fn advance(&mut self) -> Result<(), R::Error> {
        let mut winner = self.winner;
        if !self.runs[winner].advance()? {
            self.runs.swap_remove(winner);
            self.prefixes.swap_remove(winner);
            self.build();
            return Ok(());
        }
        self.prefixes[winner] = prefix(self.runs[winner].word());
        let mut node = (self.runs.len() + winner) / 2;
        while node > 0 {
            let loser = self.losers[node];
            if self.is_before(loser, winner) {
                self.losers[node] = winner;
                winner = loser;
            }
            node /= 2;
        }
        self.winner = winner;
        Ok(())
    }

    /// Play all matches: between the nodes `2 n` and `2 n + 1` for every node `n`, where the runs
    /// are the nodes behind the inner ones.
    fn build(&mut self) {
        let count = self.runs.len();
        let mut winners: Vec<usize> = (0..count).chain(0..count).collect();
        self.losers = vec![0; count];
        for node in (1..count).rev() {
            let (one, other) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) =
                if self.is_before(other, one) { (other, one) } else { (one, other) };
            winners[node] = winner;
            self.losers[node] = loser;
        }
        // A single run is node 1.
        self.winner = winners.get(1).copied().unwrap_or(0);
    }

    #[inline]
    fn is_before(&self, one: usize, other: usize) -> bool {
        match self.prefixes[one].cmp(&self.prefixes[other]) {
            Ordering::Less => true,
            Ordering::Equal => self.runs[one].word() < self.runs[other].word(),
            Ordering::Greater => false,
        }
    }
}

/// The first eight bytes, with zeros behind a shorter word: an order that never contradicts that of
/// the words.
#[inline]
fn prefix(word: &[u8]) -> u64 {
    if let Some(bytes) = word.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..word.len()].copy_from_slice(word);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A run in memory.
    struct Words {
        entries: Vec<(Vec<u8>, u64)>,
        /// Behind the current entry.
        next: usize,
    }

    impl Run for Words {
        type Error = Infallible;

        fn advance(&mut self) -> Result<bool, Infallible> {
            self.next += 1;
            Ok(self.next <= self.entries.len())
        }

        fn word(&self) -> &[u8] {
            &self.entries[self.next - 1].0
        }

        fn count(&self) -> u64 {
            self.entries[self.next - 1].1
        }
    }

    fn merge(runs: &[BTreeMap<Vec<u8>, u64>]) -> Vec<(Vec<u8>, u64)> {
        let entries = |run: &BTreeMap<_, _>| run.clone().into_iter().collect();
        let runs = runs.iter().map(|run| Words { entries: entries(run), next: 0 });
        let Ok(mut merge) = Merge::new(runs.collect());
        let mut merged = Vec::new();
        while let Ok(Some((word, count))) = merge.next_word() {
            merged.push((word.to_vec(), count));
        }
        merged
    }

    #[test]
    fn no_runs_have_no_words() {
        assert_eq!(merge(&[]), []);
        assert_eq!(merge(&[BTreeMap::new(), BTreeMap::new()]), []);
    }

    #[test]
    fn prefix_never_contradicts_the_order_of_words() {
        let words: [&[u8]; 9] =
            [b"", b"\0", b"a", b"a\0", b"ab", b"abcdefg", b"abcdefgh", b"abcdefghi", b"\xff"];
        for pair in words.windows(2) {
            assert!(prefix(pair[0]) <= prefix(pair[1]), "{pair:?}");
        }
        assert_eq!(prefix(b"abcdefgh"), u64::from_be_bytes(*b"abcdefgh"));
        assert_eq!(prefix(b"ab"), u64::from_be_bytes(*b"ab\0\0\0\0\0\0"));
    }

    proptest! {
        #[test]
        fn merged_runs_are_a_map_of_all_of_them(
            // Few letters, so that some words are equal, and some share more than eight bytes.
            runs in prop::collection::vec(
                prop::collection::btree_map(
                    prop::collection::vec(prop::sample::select(b"\0\0\0\0a\xff".as_slice()), 0..12),
                    1..1000_u64,
                    0..40,
                ),
                0..20,
            ),
        ) {
            let mut expected = BTreeMap::<Vec<u8>, u64>::new();
            for (word, count) in runs.iter().flatten() {
                *expected.entry(word.clone()).or_default() += count;
            }
            prop_assert_eq!(merge(&runs), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
