//! Masks of the next 64 bytes, one bit a byte: which are parts of words, which begin characters.
//!
//! Searching for the end of a word byte by byte costs a mispredicted branch for each word. Here
//! every byte of a chunk is compared without a branch, and the caller walks the bits. Characters
//! that are not ASCII only correct the bits, on a cold path.

use crate::char_set::CharSet;
use crate::rules::WordRule;
pub(crate) use crate::simd::CHUNK;
use crate::simd::{Scalar, Simd};
use crate::utf8::{Unit, next_unit, scalar_value};

/// The masks of the next bytes. Bits from `len` on are zero.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Masks {
    /// Bit `i` is set when byte `i` is part of a word.
    pub(crate) word: u64,
    /// How many bytes the masks cover: whole units only. Zero when the bytes are the beginning of a
    /// character, or none.
    pub(crate) len: usize,
    /// Bytes above 127.
    pub(crate) non_ascii: u64,
    /// Lead bytes of characters of two bytes.
    pub(crate) two: u64,
    /// Of characters of three bytes.
    pub(crate) three: u64,
    /// Of characters of four bytes.
    pub(crate) four: u64,
    /// Bytes that are not valid UTF-8.
    pub(crate) invalid: u64,
}

impl Masks {
    /// Leave a word that may continue behind these bytes to the next chunk, unless it fills this
    /// one: a word in two parts costs as much as ten whole ones.
    #[inline(always)]
    pub(crate) fn defer_last_word(&mut self) {
        let len = self.len - (self.word << (CHUNK - self.len)).leading_ones() as usize;
        if len > 0 {
            let present = low_bits(len);
            *self = Self {
                word: self.word & present,
                len,
                non_ascii: self.non_ascii & present,
                two: self.two & present,
                three: self.three & present,
                four: self.four & present,
                invalid: self.invalid & present,
            };
        }
    }
}

/// The masks of the first 64 bytes of `text`, or of as many of them as are whole units.
#[inline(always)]
pub(crate) fn find_masks<S: Simd>(simd: S, rule: WordRule, text: &[u8]) -> Masks {
    let Some(chunk) = text.first_chunk::<CHUNK>() else {
        return find_masks_of_tail(rule, text);
    };
    let ascii_words = ascii_word_mask(simd, rule, chunk);
    let non_ascii = simd.non_ascii(chunk);
    if non_ascii == 0 {
        return Masks { word: ascii_words, len: CHUNK, ..Masks::default() };
    }
    find_masks_non_ascii(simd, rule, text, chunk, ascii_words, non_ascii)
}

/// [`find_masks`] for less than a chunk.
#[cold]
fn find_masks_of_tail(rule: WordRule, text: &[u8]) -> Masks {
    let mut chunk = [0; CHUNK];
    chunk[..text.len()].copy_from_slice(text);
    let ascii_words = ascii_word_mask(Scalar, rule, &chunk) & low_bits(text.len());
    let non_ascii = Scalar.non_ascii(&chunk);
    if non_ascii == 0 {
        return Masks { word: ascii_words, len: text.len(), ..Masks::default() };
    }
    find_masks_non_ascii(Scalar, rule, text, &chunk, ascii_words, non_ascii)
}

/// The masks of a chunk in which the bytes of `non_ascii` are above 127. `chunk` is the first 64
/// bytes of `text`, or all of it and zeros behind.
///
/// Characters cannot overlap, so each lead byte is judged by the bytes behind it alone, and all of
/// them at once.
#[inline(always)]
fn find_masks_non_ascii<S: Simd>(
    simd: S,
    rule: WordRule,
    text: &[u8],
    chunk: &[u8; CHUNK],
    ascii_words: u64,
    non_ascii: u64,
) -> Masks {
    let mut len = text.len().min(CHUNK);
    let from_c0 = simd.at_least(0xC0, chunk);
    let from_e0 = simd.at_least(0xE0, chunk);
    let from_f0 = simd.at_least(0xF0, chunk);
    let tail = non_ascii & !from_c0;
    // Bit i: byte i + n is a continuation byte, or is behind these bytes.
    let [tail1, tail2, tail3] = [1, 2, 3].map(|n| tail >> n | !low_bits(len.saturating_sub(n)));
    let mut two = simd.at_least(0xC2, chunk) & !from_e0 & tail1;
    let mut three = from_e0 & !from_f0 & tail1 & tail2;
    let mut four = from_f0 & tail1 & tail2 & tail3;
    if three | four != 0 {
        // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
        let from_90 = simd.at_least(0x90, chunk);
        let from_a0 = simd.at_least(0xA0, chunk);
        let second = |lead| simd.equal(lead, chunk) << 1;
        let wrong = second(0xE0) & !from_a0
            | second(0xED) & from_a0
            | second(0xF0) & !from_90
            | second(0xF4) & from_90;
        let right = !((wrong & low_bits(len)) >> 1);
        three &= right;
        four &= right & !simd.at_least(0xF5, chunk);
    }
    let whole = |n: usize| low_bits(len.saturating_sub(n - 1));
    let cut = two & !whole(2) | three & !whole(3) | four & !whole(4);
    (two, three, four) = (two & whole(2), three & whole(3), four & whole(4));
    if cut != 0 {
        // A character that the chunk cuts begins the next one, unless the bytes behind the chunk
        // show that it is none.
        let at = cut.trailing_zeros() as usize;
        match next_unit(&text[at..]) {
            Some(Unit::Byte(_)) => {}
            Some(Unit::Char(_)) | None => len = at,
        }
    }

    let present = low_bits(len);
    let longer = three | four;
    let spread = |leads: u64| leads | leads << 1 | (leads & longer) << 2 | (leads & four) << 3;
    let invalid = non_ascii & !spread(two | longer) & present;
    let words = find_leads(simd, rule.characters(), chunk, two, three, four);
    let invalid_words = if rule.takes_bytes() { invalid } else { 0 };
    Masks {
        word: (ascii_words | spread(words) | invalid_words) & present,
        len,
        non_ascii: non_ascii & present,
        two: two & present,
        three: three & present,
        four: four & present,
        invalid,
    }
}

/// The lead bytes of characters that are in `set`, out of `two`, `three` and `four`, which are the
/// lead bytes of characters of that length.
#[inline(always)]
pub(crate) fn find_leads<S: Simd>(
    simd: S,
    set: &CharSet,
    chunk: &[u8; CHUNK],
    two: u64,
    three: u64,
    four: u64,
) -> u64 {
    let (mut found, mut unsure) = simd.find_leads(set, chunk, two, three);
    unsure |= four;
    while unsure != 0 {
        let at = unsure.trailing_zeros() as usize;
        found |= u64::from(set.has(scalar_value(&chunk[at..]))) << at;
        unsure &= unsure - 1;
    }
    found
}

/// Bit `i` is set when `chunk[i]` is an ASCII character that is part of a word.
#[inline(always)]
pub(crate) fn ascii_word_mask<S: Simd>(simd: S, rule: WordRule, chunk: &[u8; CHUNK]) -> u64 {
    match rule {
        WordRule::Letters => simd.letters(chunk),
        WordRule::Whitespace => simd.visible(chunk),
    }
}

/// A mask of the lowest `len` bits.
pub(crate) fn low_bits(len: usize) -> u64 {
    if len >= CHUNK { u64::MAX } else { (1 << len) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [WordRule; 2] = [WordRule::Letters, WordRule::Whitespace];

    #[test]
    fn every_byte_at_every_position_is_in_the_masks_of_the_rule() {
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
    fn masks_of_characters_at_every_place_and_length_are_those_of_units() {
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
        let mut expected = Masks::default();
        while let Some(unit) = next_unit(&text[expected.len..])
            && expected.len + unit.len() <= CHUNK
        {
            for at in expected.len..expected.len + unit.len() {
                expected.word |= u64::from(rule.takes(unit)) << at;
            }
            let non_ascii = text[expected.len] >= 0x80;
            expected.non_ascii |= (low_bits(unit.len()) * u64::from(non_ascii)) << expected.len;
            let bit = 1 << expected.len;
            match unit {
                Unit::Byte(_) => expected.invalid |= bit,
                Unit::Char(character) => match character.len_utf8() {
                    1 => {}
                    2 => expected.two |= bit,
                    3 => expected.three |= bit,
                    _ => expected.four |= bit,
                },
            }
            expected.len += unit.len();
        }
        assert_eq!(find_masks(Scalar, rule, text), expected, "{rule:?} {text:x?}");
    }
}
