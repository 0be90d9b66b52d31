//! The words of a chunk partitioned by bucket, without a branch for each word.
//!
//! Walking from word to word mispredicts where the words of a chunk end, and copies them one by
//! one. Here a chunk costs the same whatever its words are. Each bucket has a mask of its words and
//! of one byte behind each, which becomes the newline; the bytes of the mask are compressed (moved
//! together) and appended to the lines of the bucket. With four buckets:
//!
//! ```text
//! chunk                t o _ b e _ o r _ n o t .
//! word mask            1 1 0 1 1 0 1 1 0 1 1 1 0
//! bucket number        0 . . 2 . . 3 . . 2 . . .   of each first byte, modulo 4
//! mask of bucket 2     0 0 0 1 1 1 0 0 0 1 1 1 1
//! appended to bucket 2 b e \n n o t \n
//! ```
//!
//! [`BitPlanes`] make the masks; the bucket numbers are from tables here.
//!
//! Chunks of ASCII alone have a loop of their own. It is as short as it can be: what other
//! characters need would take the registers that hold the bit planes (1.3 times the time).
//!
//! The cost grows with the buckets: with AVX-512 0.02 ns a byte for each and 0.04 for all, with
//! AVX2 0.055 and 0.12, against 0.5 (source) to 0.7 (books) for walking (Zen 4).

use std::num::NonZeroU32;

use crate::bit_planes::BitPlanes;
use crate::bucket::{Buckets, bucket_of};
use crate::lower_case::lower_case;
use crate::masks::{CHUNK, Masks, ascii_word_mask, find_masks};
use crate::place::Place;
use crate::rules::Rules;
use crate::simd::{Compress, PARTITIONED_BUCKETS_MAX};
use crate::utf8::next_unit;

/// Finds the bucket numbers of all characters of a chunk at once.
///
/// A scalar value is a sum with one summand for each byte of the character. So is its remainder,
/// up to a multiple of the bucket count, and tables of 64 bytes hold the remainders of all
/// summands.
#[derive(Debug)]
pub(crate) struct Partitioner {
    count: NonZeroU32,
    ascii: [[u8; CHUNK]; 2],
    /// For lead bytes from 0xC0 on, of characters of two and of three bytes.
    lead: [u8; CHUNK],
    /// For the six bits of a character's last byte.
    last: [u8; CHUNK],
    /// For the six bits of the byte before it, in a character of three bytes.
    middle: [u8; CHUNK],
    /// The remainder of a sum.
    modulo: [u8; CHUNK],
}

/// The result of [`Partitioner::partition`].
pub(crate) struct Partitioned {
    /// How many bytes were taken.
    pub(crate) len: usize,
    /// Those of them that are not valid UTF-8.
    pub(crate) invalid_bytes: u64,
    /// Where they end.
    pub(crate) place: Place,
}

impl Partitioner {
    /// `None` when there are so many buckets that walking is faster at every level.
    pub(crate) fn new(count: NonZeroU32) -> Option<Self> {
        if count.get() as usize > PARTITIONED_BUCKETS_MAX {
            return None;
        }
        let table = |value: fn(u32) -> u32| {
            let mut table = [0; CHUNK];
            for (index, number) in (0..).zip(&mut table) {
                // Less than PARTITIONED_BUCKETS_MAX.
                *number = bucket_of(value(index), count) as u8;
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

    /// Whether walking is slower with the instructions of this level.
    #[inline(always)]
    pub(crate) fn pays<S: Compress>(&self, _: S) -> bool {
        self.count.get() as usize <= S::BUCKETS_MAX
    }

    /// Take chunks from the start of `text`: all whole ones, or those in front of the first that
    /// must be taken unit by unit. None at all in a word of another split.
    #[inline(always)]
    pub(crate) fn partition<S: Compress>(
        &self,
        simd: S,
        rules: Rules,
        buckets: &mut Buckets,
        place: Place,
        text: &[u8],
    ) -> Partitioned {
        match self.count.get() {
            1 => self.partition_into::<S, 0, 1>(simd, rules, buckets, place, text),
            2 => self.partition_into::<S, 1, 2>(simd, rules, buckets, place, text),
            3..=4 => self.partition_into::<S, 2, 4>(simd, rules, buckets, place, text),
            5..=8 => self.partition_into::<S, 3, 8>(simd, rules, buckets, place, text),
            9..=16 => self.partition_into::<S, 4, 16>(simd, rules, buckets, place, text),
            17.. => self.partition_into::<S, 5, OUTPUTS_MAX>(simd, rules, buckets, place, text),
            0 => unreachable!("it is not zero"),
        }
    }

    /// [`partition`](Self::partition) with a number of bit planes and of outputs that the compiler
    /// knows.
    #[inline(always)]
    fn partition_into<S: Compress, const PLANES: usize, const BUCKETS: usize>(
        &self,
        simd: S,
        rules: Rules,
        buckets: &mut Buckets,
        place: Place,
        text: &[u8],
    ) -> Partitioned {
        let mut invalid_bytes = 0;
        let open = match place {
            Place::Foreign => return Partitioned { len: 0, invalid_bytes, place },
            Place::Gap => None,
            Place::Word { bucket } => {
                buckets.count_later(bucket);
                Some(bucket)
            }
        };
        // Each chunk is written whole, but takes up to three bytes less of the text: a character
        // that it cuts is left to the next one.
        let chunks_max = text.len() / (CHUNK - 3) + 1;
        let outputs = buckets.reserve(chunks_max * CHUNK);
        let mut planes = BitPlanes::<S, PLANES, BUCKETS>::new(simd, outputs, open);
        let mut at = 0;
        while let Some(chunk) = text[at..].first_chunk::<CHUNK>() {
            if simd.non_ascii(chunk) == 0 {
                at += self.partition_ascii(simd, rules, &mut planes, &text[at..]);
                continue;
            }
            let masks = find_masks(simd, rules.words, &text[at..]);
            let bytes = match rules.ignore_case {
                false => simd.load(chunk),
                true => match lower_case(simd, &text[at..], &masks) {
                    Some(lower) => simd.load(lower.first_chunk().expect("it is a chunk and more")),
                    None => break,
                },
            };
            let numbers = self.bucket_numbers(simd, &masks, bytes);
            // First bytes that are in no table; there are nearly never any.
            let rare = planes.first_bytes(masks.word) & (masks.four | masks.invalid);
            let rare_planes = match rare {
                0 => [0; PLANES],
                _ => self.planes_of_rare(rules, &text[at..], rare),
            };
            planes.append(simd, bytes, masks.word, masks.len, |plane| {
                simd.test(numbers, 1 << plane) & !rare | rare_planes[plane]
            });
            invalid_bytes += u64::from(masks.invalid.count_ones());
            at += masks.len;
        }
        let (written, open) = planes.finish(simd);
        buckets.advance(simd, written);
        let place = match open {
            Some(bucket) => {
                buckets.start_word(bucket);
                Place::Word { bucket }
            }
            None => Place::Gap,
        };
        Partitioned { len: at, invalid_bytes, place }
    }

    /// Take the chunks at the start of `text` that are ASCII. Returns how many bytes they have.
    #[inline(always)]
    fn partition_ascii<S: Compress, const PLANES: usize, const BUCKETS: usize>(
        &self,
        simd: S,
        rules: Rules,
        planes: &mut BitPlanes<'_, S, PLANES, BUCKETS>,
        text: &[u8],
    ) -> usize {
        let table = self.ascii_table(simd);
        let mut rest = text;
        while let Some((chunk, behind)) = rest.split_first_chunk::<CHUNK>()
            && simd.non_ascii(chunk) == 0
        {
            let word = ascii_word_mask(simd, rules.words, chunk);
            let mut bytes = simd.load(chunk);
            if rules.ignore_case {
                bytes = simd.lower(bytes);
            }
            let numbers = simd.look_up_ascii(table, bytes);
            planes.append(simd, bytes, word, CHUNK, |plane| simd.test(numbers, 1 << plane));
            rest = behind;
        }
        text.len() - rest.len()
    }

    #[inline(always)]
    fn ascii_table<S: Compress>(&self, simd: S) -> S::AsciiTable {
        // The count is at most PARTITIONED_BUCKETS_MAX.
        simd.ascii_table(&self.ascii, self.count.get() as u8)
    }

    /// For each byte, the bucket number of the character that begins there. Unspecified where none
    /// begins, or one of four bytes.
    #[inline(always)]
    fn bucket_numbers<S: Compress>(&self, simd: S, masks: &Masks, bytes: S::Bytes) -> S::Bytes {
        let ascii = simd.look_up_ascii(self.ascii_table(simd), bytes);
        let [lead, last, middle, modulo] =
            [&self.lead, &self.last, &self.middle, &self.modulo].map(|table| simd.load(table));
        let second = simd.shift(bytes);
        let third = simd.shift(second);
        let of_three = simd.add(simd.look_up(middle, second), simd.look_up(last, third));
        let tail = simd.select(masks.three, of_three, simd.look_up(last, second));
        let sum = simd.add(simd.look_up(lead, bytes), tail);
        simd.select(masks.non_ascii, simd.look_up(modulo, sum), ascii)
    }

    /// The bits of `rare` in each bit plane. They are first bytes of words in `text`.
    #[cold]
    fn planes_of_rare<const PLANES: usize>(
        &self,
        rules: Rules,
        text: &[u8],
        mut rare: u64,
    ) -> [u64; PLANES] {
        let mut planes = [0; PLANES];
        while rare != 0 {
            let at = rare.trailing_zeros();
            let unit = next_unit(&text[at as usize..]).expect("masked units are whole");
            let bucket = u64::from(bucket_of(rules.first_scalar(unit), self.count));
            for (bit, plane) in planes.iter_mut().enumerate() {
                *plane |= (bucket >> bit & 1) << at;
            }
            rare &= rare - 1;
        }
        planes
    }
}

/// Outputs for the most buckets that are partitioned. AVX-512 fills eight at a time; the last ones
/// are absent.
const OUTPUTS_MAX: usize = PARTITIONED_BUCKETS_MAX.next_multiple_of(8);

/// A sum of three remainders must be an index of a table.
const _: () = assert!(3 * (PARTITIONED_BUCKETS_MAX - 1) < CHUNK);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Scalar;
    use crate::tokenizer::Tokenizer;
    use crate::{Level, WordRule};

    #[test]
    fn bucket_number_of_every_character_is_its_bucket() {
        let text: Vec<_> = ('\0'..'\u{1_0000}').collect();
        for count in (1..=PARTITIONED_BUCKETS_MAX as u32).filter_map(NonZeroU32::new) {
            let partitioner = Partitioner::new(count).expect("there are few");
            for few in text.chunks(CHUNK / 3) {
                let mut chunk = [0; CHUNK];
                let mut starts = Vec::new();
                let mut at = 0;
                for character in few {
                    starts.push(at);
                    at += character.encode_utf8(&mut chunk[at..]).len();
                }
                let masks = find_masks(Scalar, WordRule::Letters, &chunk);
                let numbers = partitioner.bucket_numbers(Scalar, &masks, chunk);
                for (character, start) in few.iter().zip(starts) {
                    let number = u32::from(numbers[start]);
                    assert_eq!(number, bucket_of(u32::from(*character), count), "{character:?}");
                }
            }
        }
        assert!(
            Partitioner::new(NonZeroU32::new(PARTITIONED_BUCKETS_MAX as u32 + 1).unwrap())
                .is_none()
        );
    }

    /// The oracle of the integration tests checks the levels that partition; this checks the scalar
    /// specification too.
    #[test]
    fn partitioning_finds_what_walking_finds() {
        let parts = ["a", "The ", "word, ", "naïve ", "ΣΑΣ", "中文", "。", "𐐀x ", "😀", "İ", "\n"];
        let broken = [b"\xFF".as_slice(), b"\xE2\x82", b"\xF0\x9F\x98 ", b"\x80", b"\xED\xA0\x80"];
        let long = [b"of-some-letters".as_slice(), &[b'y'; CHUNK], &[b' '; CHUNK], &[b'z'; 150]];
        let parts = parts.iter().map(|part| part.as_bytes());
        let parts: Vec<_> = parts.chain(broken).chain(long).collect();
        let mut random = 1_u64;
        for rules in ALL_RULES {
            for count in 1..=PARTITIONED_BUCKETS_MAX as u32 {
                let mut text = Vec::new();
                while text.len() < 4_000 {
                    random = random.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
                    text.extend_from_slice(parts[(random >> 33) as usize % parts.len()]);
                }
                check(rules, count, &text, 700);
            }
        }
    }

    #[test]
    fn character_of_any_kind_is_kept_wherever_it_stands() {
        let kinds = ["b", ".", "é", "中", "𐐀", "😀"].map(str::as_bytes);
        for kind in kinds.into_iter().chain([b"\xFF".as_slice(), b"\xF0\x90\x90"]) {
            for at in 0..2 * CHUNK + 2 {
                let [front, back] = [b"ab c def ".repeat(16), b"gh i jkl ".repeat(16)];
                let text = [&front[..at], kind, &back].concat();
                for count in [1, 2, 4, 7, 16, PARTITIONED_BUCKETS_MAX as u32] {
                    check(ALL_RULES[at % ALL_RULES.len()], count, &text, text.len());
                }
            }
        }
    }

    #[test]
    fn word_continues_through_chunks_and_blocks() {
        for at in 0..=CHUNK {
            for len in [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 1] {
                for first in "abcdeéж中𐐀".chars() {
                    let word = format!("{first}{}", "x".repeat(len - 1));
                    let text =
                        [&b"; f gh ".repeat(10)[..at], word.as_bytes(), b" i jk. ".as_slice()];
                    let text = [&text.concat()[..], &b"mnop ".repeat(20)].concat();
                    let count = [4, 6, 16, PARTITIONED_BUCKETS_MAX as u32][len % 4];
                    check(ALL_RULES[at % ALL_RULES.len()], count, &text, 2 * CHUNK + at);
                }
            }
        }
    }

    const ALL_RULES: [Rules; 4] = [
        Rules { words: WordRule::Letters, ignore_case: false },
        Rules { words: WordRule::Letters, ignore_case: true },
        Rules { words: WordRule::Whitespace, ignore_case: false },
        Rules { words: WordRule::Whitespace, ignore_case: true },
    ];

    /// Compare walking with partitioning by the scalar specification and at every level.
    #[track_caller]
    fn check(rules: Rules, count: u32, text: &[u8], block_bytes: usize) {
        let count = NonZeroU32::new(count).expect("there is a bucket");
        let tokenizer = |level| {
            let mut tokenizer = Tokenizer::at_level(level, rules, count);
            tokenizer.begin(b"");
            tokenizer
        };
        let (mut walking, mut specified) = (tokenizer(Level::Scalar), tokenizer(Level::Scalar));
        let mut levels: Vec<_> = Level::all().into_iter().map(tokenizer).collect();
        for block in text.chunks(block_bytes) {
            walking.feed(block);
            specified.feed_with(Scalar, Some(Scalar), block);
            levels.iter_mut().for_each(|tokenizer| tokenizer.feed(block));
            for partitioning in levels.iter().chain([&specified]) {
                assert_eq!(partitioning.words(), walking.words(), "of {rules:?} {count}");
            }
        }
        for partitioning in levels.iter().chain([&specified]) {
            for bucket in 0..count.get() {
                let [walking, partitioning] = [&walking, partitioning].map(Tokenizer::buckets);
                let lines = partitioning.pending(bucket).escape_ascii().to_string();
                assert_eq!(lines, walking.pending(bucket).escape_ascii().to_string());
                assert_eq!(partitioning.words(bucket), walking.words(bucket));
            }
            assert_eq!(partitioning.invalid_bytes(), walking.invalid_bytes());
        }
    }
}
