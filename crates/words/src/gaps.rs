//! Where the words of the next 64 bytes are, as one bit a byte.
//!
//! Looking for the end of a word byte by byte costs a mispredicted branch a word. Here every byte
//! of a chunk is compared without a branch, and the caller walks the bits. Characters that are not
//! ASCII only correct the bits, on a cold path.

use crate::rules::WordRule;
pub(crate) use crate::simd::CHUNK;
use crate::simd::{Scalar, Simd};
use crate::utf8::{Unit, next_unit};

/// What [`mark`] found in the next bytes.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Marks {
    /// Bit `i` is set when byte `i` is part of a word. Bits from `len` on are zero.
    pub(crate) word: u64,
    /// How many bytes are marked: whole units only. Zero when the bytes are the beginning of a
    /// character, or none.
    pub(crate) len: usize,
    /// Bit `i` is set when byte `i` is above 127. Bits from `len` on are zero.
    pub(crate) high: u64,
    /// How many of the marked bytes are not valid UTF-8.
    pub(crate) invalid_bytes: u32,
}

/// Mark as many of the first 64 bytes of `text` as are whole units.
#[inline(always)]
pub(crate) fn mark<S: Simd>(simd: S, rule: WordRule, text: &[u8]) -> Marks {
    let Some(chunk) = text.first_chunk::<CHUNK>() else {
        return mark_last(rule, text);
    };
    let ascii_words = word_mask(simd, rule, chunk);
    let high = simd.high(chunk);
    if high == 0 {
        return Marks { word: ascii_words, len: CHUNK, high: 0, invalid_bytes: 0 };
    }
    mark_high(rule, text, ascii_words, high)
}

/// [`mark`] for less than a chunk.
#[cold]
fn mark_last(rule: WordRule, text: &[u8]) -> Marks {
    let mut chunk = [0; CHUNK];
    chunk[..text.len()].copy_from_slice(text);
    let present = low_bits(text.len());
    let ascii_words = word_mask(Scalar, rule, &chunk) & present;
    let high = Scalar.high(&chunk);
    if high == 0 {
        return Marks { word: ascii_words, len: text.len(), high: 0, invalid_bytes: 0 };
    }
    mark_high(rule, text, ascii_words, high)
}

/// Correct the bits of the bytes above 127, which are those set in `high`.
fn mark_high(rule: WordRule, text: &[u8], ascii_words: u64, high: u64) -> Marks {
    let mut word = ascii_words;
    let mut unread = high;
    let mut len = text.len().min(CHUNK);
    let mut invalid_bytes = 0;
    while unread != 0 {
        let at = unread.trailing_zeros() as usize;
        // A character that is not whole, or reaches into the next chunk, begins that chunk.
        let Some(unit) = next_unit(&text[at..]).filter(|unit| at + unit.len() <= CHUNK) else {
            len = at;
            break;
        };
        let bits = low_bits(unit.len()) << at;
        if rule.takes(unit) {
            word |= bits;
        }
        if let Unit::Byte(_) = unit {
            invalid_bytes += 1;
        }
        unread &= !bits;
    }
    Marks { word: word & low_bits(len), len, high: high & low_bits(len), invalid_bytes }
}

/// Bit `i` is set when `chunk[i]` is an ASCII character that is part of a word.
#[inline(always)]
fn word_mask<S: Simd>(simd: S, rule: WordRule, chunk: &[u8; CHUNK]) -> u64 {
    match rule {
        WordRule::Letters => simd.letters(chunk),
        WordRule::Whitespace => simd.visible(chunk),
    }
}

/// A mask of the lowest `len` bits.
fn low_bits(len: usize) -> u64 {
    if len >= CHUNK { u64::MAX } else { (1 << len) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [WordRule; 2] = [WordRule::Letters, WordRule::Whitespace];

    #[test]
    fn every_byte_at_every_position_is_marked_as_the_rule_says() {
        for rule in RULES {
            for background in [b'a', b' '] {
                for (at, byte) in (0..CHUNK).flat_map(|at| (0..=0xFF).map(move |byte| (at, byte))) {
                    let mut text = [background; CHUNK + 4];
                    text[at] = byte;
                    check(rule, &text);
                }
            }
        }
    }

    #[test]
    fn every_length_and_every_place_of_a_character_is_marked_unit_by_unit() {
        for rule in RULES {
            for character in ["é", "€", "中", "𝒜", "😀", "\u{a0}", "\u{2028}"] {
                for at in 0..CHUNK + 2 {
                    let text = [&[b'x'; CHUNK + 2][..at], character.as_bytes(), b"y\xE2z"].concat();
                    for len in 0..=text.len() {
                        check(rule, &text[..len]);
                    }
                }
            }
        }
    }

    /// Compare with one unit after the other.
    #[track_caller]
    fn check(rule: WordRule, text: &[u8]) {
        let mut expected = Marks { word: 0, len: 0, high: 0, invalid_bytes: 0 };
        while let Some(unit) = next_unit(&text[expected.len..])
            && expected.len + unit.len() <= CHUNK
        {
            for at in expected.len..expected.len + unit.len() {
                expected.word |= u64::from(rule.takes(unit)) << at;
            }
            let high = text[expected.len] >= 0x80;
            expected.high |= (low_bits(unit.len()) * u64::from(high)) << expected.len;
            expected.len += unit.len();
            expected.invalid_bytes += u32::from(matches!(unit, Unit::Byte(_)));
        }
        assert_eq!(mark(Scalar, rule, text), expected, "{rule:?} {text:x?}");
    }
}
