//! Which words are kept, by their counts: `--min-count` and `--top`.

use std::collections::BTreeMap;

/// Decides word by word, in the order of their bytes.
///
/// The most frequent words are known only when all counts were seen, but not which words they are:
/// the least count among them, and how many words with that count are among them. So the words
/// themselves need no memory. Of different counts there are few: as many as `n` need words that
/// occur `n * n / 2` times.
#[derive(Debug)]
pub(super) struct Cut {
    min_count: u64,
    /// How many words have each count, of the most frequent ones.
    numbers: BTreeMap<u64, u64>,
    /// The sum of `numbers`.
    seen: u64,
    /// How many words with exactly `min_count` are kept.
    least_left: u64,
}

impl Cut {
    /// Keeps all words that occur at least `min_count` times.
    pub(super) fn at(min_count: u64) -> Self {
        Self { min_count, numbers: BTreeMap::new(), seen: 0, least_left: u64::MAX }
    }

    /// Looks at the count of a word, in any order, to keep only the `top` most frequent words.
    pub(super) fn see(&mut self, count: u64, top: u64) {
        if count < self.min_count {
            return;
        }
        *self.numbers.entry(count).or_insert(0) += 1;
        self.seen += 1;
        // Without the least count there are still enough: no word with that count is kept.
        while let Some(least) = self.numbers.first_entry()
            && self.seen - least.get() >= top
        {
            self.seen -= least.remove();
            self.min_count = self.numbers.first_key_value().map_or(u64::MAX, |(&count, _)| count);
        }
    }

    /// Keeps the `top` most frequent words of those seen, and of equally frequent ones the first.
    pub(super) fn most_frequent(self, top: u64) -> Self {
        let Some((&least, &number)) = self.numbers.first_key_value() else { return self };
        let above = self.seen - number;
        let least_left = number.min(top - above);
        Self { min_count: least, least_left, numbers: BTreeMap::new(), seen: 0 }
    }

    /// Whether the next word, in the order of bytes, is kept.
    pub(super) fn keeps(&mut self, count: u64) -> bool {
        if count == self.min_count {
            let is_left = self.least_left > 0;
            self.least_left = self.least_left.saturating_sub(1);
            return is_left;
        }
        count > self.min_count
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_most_frequent_words_are_kept_and_of_equal_ones_the_first(
            counts in vec(1..6_u64, 0..40),
            min_count in 1..4_u64,
            top in 1..45_u64,
        ) {
            let mut cut = Cut::at(min_count);
            counts.iter().rev().for_each(|&count| cut.see(count, top));
            let mut cut = cut.most_frequent(top);
            let kept: Vec<_> = (0..counts.len()).filter(|&at| cut.keeps(counts[at])).collect();

            let mut expected: Vec<_> = (0..counts.len()).collect();
            expected.retain(|&at| counts[at] >= min_count);
            expected.sort_by_key(|&at| std::cmp::Reverse(counts[at]));
            expected.truncate(top as usize);
            expected.sort_unstable();
            prop_assert_eq!(kept, expected);
        }
    }
}
