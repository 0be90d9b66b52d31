//! Chunks through one sieve a bucket: the words of few buckets without a branch a word.
//!
//! Walking from word to word mispredicts where the words of a chunk end, and copies them one by
//! one. Here a chunk costs the same whatever words are in it: from each bucket's point of view all
//! is left out but its words, and the gap behind each, and the rest pushed together into its lines.
//!
//! Let `word` have a bit for every byte of a word, and `first` one for the first byte of each word
//! of one bucket. In the sum of both a carry runs through each of these words and stops in the gap
//! behind it, so that the sum differs from `word` in exactly the bytes to keep; a carry that leaves
//! the chunk is a word that goes on in the next.
//!
//! The cost grows with the buckets: 0.04 ns a byte for each, against 0.7 ns for walking (Zen 4).

use std::num::NonZeroU32;

use crate::bucket::{Buckets, Lane, bucket_of};
use crate::gaps::{CHUNK, Marks, low_bits, mark};
use crate::rules::Rules;
use crate::simd::Sift;
use crate::tokenizer::{Place, lower};
use crate::utf8::next_unit;

/// In which bucket a word belongs, for all bytes of a chunk at once.
///
/// A scalar value is a sum, one summand for each byte of the character. So is what the count of
/// buckets leaves of it, and the summands of all bytes are in tables of 64 bytes.
#[derive(Debug)]
pub(crate) struct Sieve {
    count: NonZeroU32,
    ascii: [[u8; CHUNK]; 2],
    /// For the lead bytes from 0xC0, of characters of two and of three bytes.
    lead: [u8; CHUNK],
    /// For the six bits of a character's last byte.
    last: [u8; CHUNK],
    /// For those of the byte before it.
    middle: [u8; CHUNK],
    /// What the count leaves of a sum.
    modulo: [u8; CHUNK],
}

/// What [`Sieve::sift`] has done.
pub(crate) struct Sifted {
    /// How many bytes were taken.
    pub(crate) len: usize,
    /// Those of them that are not valid UTF-8.
    pub(crate) invalid_bytes: u64,
    /// What they end in.
    pub(crate) place: Place,
}

impl Sieve {
    /// `None` when there are so many buckets that walking is faster.
    pub(crate) fn new(count: NonZeroU32) -> Option<Self> {
        if count.get() as usize > BUCKETS_MAX {
            return None;
        }
        let table = |value: fn(u32) -> u32| {
            let mut table = [0; CHUNK];
            for (index, class) in (0..).zip(&mut table) {
                // Less than BUCKETS_MAX.
                *class = bucket_of(value(index), count) as u8;
            }
            table
        };
        Some(Self {
            count,
            ascii: [table(|low| low), table(|low| 64 + low)],
            lead: table(|lead| if lead < 0x20 { lead << 6 } else { (lead & 0xF) << 12 }),
            last: table(|bits| bits),
            middle: table(|bits| bits << 6),
            modulo: table(|sum| sum),
        })
    }

    /// Take chunks from the start of `text`: all that are whole, or as many as stand in front of
    /// one that must be taken unit by unit.
    #[inline(always)]
    pub(crate) fn sift<S: Sift>(
        &self,
        simd: S,
        rules: Rules,
        buckets: &mut Buckets,
        place: Place,
        text: &[u8],
    ) -> Sifted {
        // Each byte of a word is kept once, and the gap behind it; and a chunk is written whole.
        let mut lanes: [_; BUCKETS_MAX] = buckets.lanes(text.len() + 1 + CHUNK);
        let used_lanes = &mut lanes[..self.count.get() as usize];
        let mut inside = u64::from(place != Place::Gap);
        if let Place::Word { bucket } = place {
            used_lanes[bucket as usize].open = 1;
        }
        // First bytes that no table knows, for each bucket; nearly never any.
        let mut others = [0; BUCKETS_MAX];
        let mut invalid_bytes = 0;
        let mut at = 0;
        while let Some(chunk) = text[at..].first_chunk::<CHUNK>() {
            let marks = mark(simd, rules.words, &text[at..]);
            let bytes = match rules.ignore_case {
                false => simd.load(chunk),
                true if marks.high == 0 => simd.lower(simd.load(chunk)),
                true => match lower(simd, &text[at..], &marks) {
                    Some(lower) => simd.load(lower.first_chunk().expect("it is a chunk and more")),
                    None => break,
                },
            };
            let first = marks.word & !(marks.word << 1 | inside);
            let class = self.classes(simd, &marks, bytes);
            let odd = first & (marks.four | marks.bare);
            if odd != 0 {
                others = self.find_others(rules, &text[at..], odd);
            }
            let present = low_bits(marks.len);
            // A word that reaches the end of what is marked goes on: let its carry leave.
            let word = marks.word | !present;
            let lines = simd.select(marks.word, bytes, simd.splat(b'\n'));
            for (bucket, lane) in (0..).zip(&mut *used_lanes) {
                let first = simd.same(class, bucket) & first & !odd | others[usize::from(bucket)];
                let (sum, carry) = word.overflowing_add(first | lane.open);
                lane.open = u64::from(carry);
                lane.keep(simd, lines, (sum ^ word) & present, first.count_ones());
            }
            if odd != 0 {
                others = [0; BUCKETS_MAX];
            }
            inside = marks.word >> (marks.len - 1) & 1;
            invalid_bytes += u64::from(marks.bare.count_ones());
            at += marks.len;
        }
        let place = match lanes.iter().position(|lane| lane.open == 1) {
            Some(bucket) => Place::Word { bucket: bucket as u32 },
            None if inside == 1 => Place::Foreign,
            None => Place::Gap,
        };
        let done = lanes.map(Lane::done);
        buckets.settle(done);
        Sifted { len: at, invalid_bytes, place }
    }

    /// The bucket of a word that begins with the character that begins at each byte, unless that
    /// has four bytes, or is none.
    #[inline(always)]
    fn classes<S: Sift>(&self, simd: S, marks: &Marks, bytes: S::Bytes) -> S::Bytes {
        let [low, high] = &self.ascii;
        let ascii = simd.look_up_both(simd.load(low), simd.load(high), bytes);
        if marks.high == 0 {
            return ascii;
        }
        let [lead, last, middle, modulo] =
            [&self.lead, &self.last, &self.middle, &self.modulo].map(|table| simd.load(table));
        let second = simd.shift(bytes);
        let third = simd.shift(second);
        let of_three = simd.add(simd.look_up(middle, second), simd.look_up(last, third));
        let tail = simd.select(marks.three, of_three, simd.look_up(last, second));
        let sum = simd.add(simd.look_up(lead, bytes), tail);
        simd.select(marks.high, simd.look_up(modulo, sum), ascii)
    }

    /// The bits of `firsts` for each bucket: they are first bytes of words, in `text`.
    #[cold]
    fn find_others(&self, rules: Rules, text: &[u8], mut firsts: u64) -> [u64; BUCKETS_MAX] {
        let mut others = [0; BUCKETS_MAX];
        while firsts != 0 {
            let at = firsts.trailing_zeros() as usize;
            let unit = next_unit(&text[at..]).expect("marked units are whole");
            others[bucket_of(rules.first_scalar(unit), self.count) as usize] |= 1 << at;
            firsts &= firsts - 1;
        }
        others
    }
}

/// With more, walking is faster. A sum of three summands must stay below 64.
const BUCKETS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Scalar;
    use crate::tokenizer::Tokenizer;
    use crate::{Level, WordRule};

    #[test]
    fn class_of_every_character_is_its_bucket() {
        let text: Vec<_> = ('\0'..'\u{1_0000}').collect();
        for count in (1..=BUCKETS_MAX as u32).filter_map(NonZeroU32::new) {
            let sieve = Sieve::new(count).expect("there are few");
            for few in text.chunks(CHUNK / 3) {
                let mut chunk = [0; CHUNK];
                let mut starts = Vec::new();
                let mut at = 0;
                for character in few {
                    starts.push(at);
                    at += character.encode_utf8(&mut chunk[at..]).len();
                }
                let marks = mark(Scalar, WordRule::Letters, &chunk);
                let classes = sieve.classes(Scalar, &marks, chunk);
                for (character, start) in few.iter().zip(starts) {
                    let class = u32::from(classes[start]);
                    assert_eq!(class, bucket_of(u32::from(*character), count), "{character:?}");
                }
            }
        }
        assert!(Sieve::new(NonZeroU32::new(BUCKETS_MAX as u32 + 1).unwrap()).is_none());
    }

    /// What the naive twin says about the sieve at the levels that use it, this says everywhere.
    #[test]
    fn sieve_keeps_what_walking_finds() {
        let parts = ["a", "The ", "word, ", "naïve ", "ΣΑΣ", "中文", "。", "𐐀x ", "😀", "İ", "\n"];
        let broken = [b"\xFF".as_slice(), b"\xE2\x82", b"\xF0\x9F\x98 ", b"\x80", b"\xED\xA0\x80"];
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).chain(broken).collect();
        let mut random = 1_u64;
        for words in [WordRule::Letters, WordRule::Whitespace] {
            for (ignore_case, count) in [(false, 1), (true, 4), (false, 7), (true, 16), (false, 16)]
            {
                let rules = Rules { words, ignore_case };
                let count = NonZeroU32::new(count).unwrap();
                let mut text = Vec::new();
                while text.len() < 4_000 {
                    random = random.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
                    text.extend_from_slice(parts[(random >> 33) as usize % parts.len()]);
                }
                let mut walking = Tokenizer::at_level(Level::Scalar, rules, count);
                let mut sifting = Tokenizer::at_level(Level::Scalar, rules, count);
                for tokenizer in [&mut walking, &mut sifting] {
                    tokenizer.begin(b"");
                }
                for block in text.chunks(700) {
                    walking.feed(block);
                    sifting.feed_with(Scalar, Some(Scalar), block);
                }
                for bucket in 0..count.get() {
                    let [walking, sifting] = [&walking, &sifting].map(Tokenizer::buckets);
                    let lines = sifting.pending(bucket).escape_ascii().to_string();
                    assert_eq!(lines, walking.pending(bucket).escape_ascii().to_string());
                    assert_eq!(sifting.words(bucket), walking.words(bucket));
                }
                assert_eq!(sifting.invalid_bytes(), walking.invalid_bytes());
            }
        }
    }
}
