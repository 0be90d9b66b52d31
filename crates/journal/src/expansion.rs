//! How far the words of a rule can expand their input, or shrink it.
//!
//! An object that is larger, or holds more words, was not made by the rule, whatever is in it. So a
//! report of it is a protocol violation, and a record of it is not valid. A rule that expands its
//! input otherwise has bounds of its own, here and nowhere else.

use crate::record::WordRule;

/// The bounds of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expansion {
    /// The shortest line of an intermediate: a word and its line feed.
    line_bytes_min: u64,
    /// Bytes that an attempt stages at most for each byte of the job's text.
    staged_factor_max: u64,
}

impl WordRule {
    /// The bounds of this rule, whether case is ignored or not.
    pub fn expansion(self) -> Expansion {
        match self {
            // A byte of text becomes at most one and a half of a word in lower case (U+0130 has
            // two, and three then), and a word one more; a word of one byte that occurs once
            // becomes twice its line, `a 1`.
            Self::Letters | Self::Whitespace => {
                Expansion { line_bytes_min: 2, staged_factor_max: 6 }
            }
            // A line has its line feed, whatever the rule.
            Self::Unknown => Expansion { line_bytes_min: 1, staged_factor_max: u64::MAX },
        }
    }
}

impl Expansion {
    /// Whether an intermediate of `bytes` bytes can hold `words` words.
    pub fn fits(&self, words: u64, bytes: u64) -> bool {
        words <= bytes / self.line_bytes_min
    }

    /// Whether an attempt can have staged `staged_bytes` bytes, in a job over `text_bytes` bytes of
    /// text.
    pub fn allows(&self, staged_bytes: u64, text_bytes: u64) -> bool {
        staged_bytes <= text_bytes.saturating_mul(self.staged_factor_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_at_most_six_times_the_input_and_words_at_most_half_of_the_bytes() {
        for rule in [WordRule::Letters, WordRule::Whitespace] {
            let expansion = rule.expansion();
            assert!(expansion.fits(2, 4) && expansion.fits(2, 5));
            assert!(!expansion.fits(3, 5) && !expansion.fits(u64::MAX, 8));
            assert!(expansion.allows(60, 10) && expansion.allows(0, 0));
            assert!(!expansion.allows(61, 10) && !expansion.allows(1, 0));
            assert!(expansion.allows(u64::MAX, u64::MAX / 2));
        }
    }
}
