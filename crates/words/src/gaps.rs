//! Where the words of the next 64 bytes are, as one bit a byte.
//!
//! Looking for the end of a word byte by byte costs a mispredicted branch a word. Here every byte
//! of a chunk is compared without a branch, and the caller walks the bits. Characters that are not
//! ASCII only correct the bits, on a cold path.

use crate::letters::Set;
use crate::rules::WordRule;
pub(crate) use crate::simd::CHUNK;
use crate::simd::{Scalar, Simd};
use crate::utf8::{Unit, next_unit, scalar_value};

/// What [`mark`] found in the next bytes. Bits from `len` on are zero.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Marks {
    /// Bit `i` is set when byte `i` is part of a word.
    pub(crate) word: u64,
    /// How many bytes are marked: whole units only. Zero when the bytes are the beginning of a
    /// character, or none.
    pub(crate) len: usize,
    /// Above 127.
    pub(crate) high: u64,
    /// The first of a character of two bytes.
    pub(crate) two: u64,
    /// The same for three.
    pub(crate) three: u64,
    /// The same for four.
    pub(crate) four: u64,
    /// Not valid UTF-8.
    pub(crate) bare: u64,
}

impl Marks {
    /// Leave a word that may go on behind these bytes to the next chunk, if it does not fill this
    /// one: a word that comes in parts costs as much as ten that do not.
    #[inline(always)]
    pub(crate) fn leave_last_word(&mut self) {
        let len = self.len - (self.word << (CHUNK - self.len)).leading_ones() as usize;
        if len > 0 {
            let present = low_bits(len);
            *self = Self {
                word: self.word & present,
                len,
                high: self.high & present,
                two: self.two & present,
                three: self.three & present,
                four: self.four & present,
                bare: self.bare & present,
            };
        }
    }
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
        return Marks { word: ascii_words, len: CHUNK, ..Marks::default() };
    }
    mark_high(simd, rule, text, chunk, ascii_words, high)
}

/// [`mark`] for less than a chunk.
#[cold]
fn mark_last(rule: WordRule, text: &[u8]) -> Marks {
    let mut chunk = [0; CHUNK];
    chunk[..text.len()].copy_from_slice(text);
    let ascii_words = word_mask(Scalar, rule, &chunk) & low_bits(text.len());
    let high = Scalar.high(&chunk);
    if high == 0 {
        return Marks { word: ascii_words, len: text.len(), ..Marks::default() };
    }
    mark_high(Scalar, rule, text, &chunk, ascii_words, high)
}

/// Decide about the bytes above 127, which are those set in `high`. `chunk` is the first 64 bytes
/// of `text`, or all of it and zeros behind.
///
/// Characters cannot overlap, so each lead byte is judged on its own: by what follows it, and for
/// all of them together.
#[inline(always)]
fn mark_high<S: Simd>(
    simd: S,
    rule: WordRule,
    text: &[u8],
    chunk: &[u8; CHUNK],
    ascii_words: u64,
    high: u64,
) -> Marks {
    let mut len = text.len().min(CHUNK);
    let from_c0 = simd.at_least(0xC0, chunk);
    let from_e0 = simd.at_least(0xE0, chunk);
    let from_f0 = simd.at_least(0xF0, chunk);
    let tail = high & !from_c0;
    // Bit i: byte i + n continues a character, or is not here to say that it does not.
    let [tail1, tail2, tail3] = [1, 2, 3].map(|n| tail >> n | !low_bits(len.saturating_sub(n)));
    let mut two = simd.at_least(0xC2, chunk) & !from_e0 & tail1;
    let mut three = from_e0 & !from_f0 & tail1 & tail2;
    let mut four = from_f0 & tail1 & tail2 & tail3;
    if three | four != 0 {
        // Overlong forms, surrogates, and what is above U+10FFFF, show in the second byte.
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
        // It begins the next chunk, if the bytes behind this one do not say that it is none.
        let at = cut.trailing_zeros() as usize;
        match next_unit(&text[at..]) {
            Some(Unit::Byte(_)) => {}
            Some(Unit::Char(_)) | None => len = at,
        }
    }

    let present = low_bits(len);
    let longer = three | four;
    let spread = |leads: u64| leads | leads << 1 | (leads & longer) << 2 | (leads & four) << 3;
    let bare = high & !spread(two | longer) & present;
    let words = find_leads(simd, rule.characters(), chunk, two, three, four);
    let bare_words = if rule.takes_bytes() { bare } else { 0 };
    Marks {
        word: (ascii_words | spread(words) | bare_words) & present,
        len,
        high: high & present,
        two: two & present,
        three: three & present,
        four: four & present,
        bare,
    }
}

/// Which characters belong to `set`, of those that begin in `two`, `three` and `four`, and have so
/// many bytes.
#[inline(always)]
pub(crate) fn find_leads<S: Simd>(
    simd: S,
    set: &Set,
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
pub(crate) fn word_mask<S: Simd>(simd: S, rule: WordRule, chunk: &[u8; CHUNK]) -> u64 {
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
        let mut expected = Marks::default();
        while let Some(unit) = next_unit(&text[expected.len..])
            && expected.len + unit.len() <= CHUNK
        {
            for at in expected.len..expected.len + unit.len() {
                expected.word |= u64::from(rule.takes(unit)) << at;
            }
            let high = text[expected.len] >= 0x80;
            expected.high |= (low_bits(unit.len()) * u64::from(high)) << expected.len;
            let bit = 1 << expected.len;
            match unit {
                Unit::Byte(_) => expected.bare |= bit,
                Unit::Char(character) => match character.len_utf8() {
                    1 => {}
                    2 => expected.two |= bit,
                    3 => expected.three |= bit,
                    _ => expected.four |= bit,
                },
            }
            expected.len += unit.len();
        }
        assert_eq!(mark(Scalar, rule, text), expected, "{rule:?} {text:x?}");
    }
}
