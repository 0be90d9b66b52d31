//! The scalar level is right, and every other level gives the same answers.

use super::*;

/// All masks of one chunk.
struct AllMasks<'a>(&'a [u8; CHUNK]);

impl<S: Simd> Kernel<S> for AllMasks<'_> {
    type Output = [u64; 6];

    #[inline(always)]
    fn run(self, simd: S) -> [u64; 6] {
        let Self(chunk) = self;
        [
            simd.letters(chunk),
            simd.visible(chunk),
            simd.non_ascii(chunk),
            simd.equal(b'\n', chunk),
            simd.equal(0xC3, chunk),
            simd.at_least(0xE0, chunk),
        ]
    }
}

#[test]
fn scalar_masks_are_what_std_says_of_the_bytes() {
    for (at, byte) in every_byte_everywhere() {
        for background in [b'.', 0x80] {
            let mut chunk = [background; CHUNK];
            chunk[at] = byte;
            let bits = |is: fn(u8) -> bool| {
                chunk.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(is(byte)))
            };
            let visible = |byte: u8| byte.is_ascii() && !char::from(byte).is_whitespace();
            let expected = [
                bits(|byte| byte.is_ascii_alphabetic()),
                bits(visible),
                bits(|byte| !byte.is_ascii()),
                bits(|byte| byte == b'\n'),
                bits(|byte| byte == 0xC3),
                bits(|byte| byte >= 0xE0),
            ];
            assert_eq!(Level::Scalar.run(AllMasks(&chunk)), expected, "{byte:#x} at {at}");
        }
    }
}

#[test]
fn masks_of_every_level_are_those_of_the_scalar_one() {
    let levels = Level::all();
    for (at, byte) in every_byte_everywhere() {
        for background in [b'a', b' ', b'\n', 0xC3, 0xFF] {
            let mut chunk = [background; CHUNK];
            chunk[at] = byte;
            let expected = Level::Scalar.run(AllMasks(&chunk));
            for level in &levels {
                let found = level.run(AllMasks(&chunk));
                assert_eq!(found, expected, "{level:?}: {byte:#x} at {at} in {background:#x}");
            }
        }
    }
}

/// Everything that [`Compress`] does with one chunk: the bytes of each result, and a mask.
struct Compressed<'a>(&'a [u8; CHUNK], u64);

impl<S: Simd> Kernel<S> for Compressed<'_> {
    type Output = Option<([[u8; CHUNK]; 8], u64)>;

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        simd.compressing().map(|simd| compressed(simd, self.0, self.1))
    }
}

#[inline(always)]
fn compressed<S: Compress>(simd: S, chunk: &[u8; CHUNK], mask: u64) -> ([[u8; CHUNK]; 8], u64) {
    let low = simd.load(&std::array::from_fn(|at| at as u8 ^ 0x15));
    let high = simd.load(&std::array::from_fn(|at| at as u8 ^ 0xA7));
    let bytes = simd.load(chunk);
    let mut outcomes = [[0; CHUNK]; 8];
    let [look_up, both, ascii, shift, add, select, lower, kept] = &mut outcomes;
    *look_up = store(simd, u64::MAX, simd.look_up(low, bytes));
    *both = store(simd, u64::MAX, simd.look_up_both(low, high, bytes));
    let count = 1 + (mask % PARTITIONED_BUCKETS_MAX as u64) as u8;
    let numbers = [0, 64].map(|first| std::array::from_fn(|at| (first + at as u8) % count));
    let low_bits = simd.load(&chunk.map(|byte| byte & 0x7F));
    let found = simd.look_up_ascii(simd.ascii_table(&numbers, count), low_bits);
    *ascii = store(simd, u64::MAX, found);
    // The last byte is unspecified.
    *shift = store(simd, u64::MAX >> 1, simd.shift(bytes));
    *add = store(simd, u64::MAX, simd.add(bytes, low));
    *select = store(simd, u64::MAX, simd.select(mask, bytes, simd.splat(7)));
    *lower = store(simd, u64::MAX, simd.lower(bytes));
    *kept = store(simd, mask, bytes);
    (outcomes, simd.test(bytes, chunk[0]))
}

/// The bytes of `mask`, and zeros behind them.
#[inline(always)]
fn store<S: Compress>(simd: S, mask: u64, bytes: S::Bytes) -> [u8; CHUNK] {
    let mut output = [0; CHUNK];
    let mut outputs = simd.outputs([Some(output.as_mut_slice())]);
    simd.compress(&mut outputs, bytes, |_| mask);
    let [written] = simd.written(outputs);
    output[written..].fill(0);
    output
}

#[test]
fn every_level_that_compresses_does_as_the_scalar_one() {
    for (at, byte) in every_byte_everywhere() {
        let mut chunk = std::array::from_fn(|index| (3 * at + 5 * index) as u8);
        chunk[at] = byte;
        let mask = u64::from_le_bytes([byte, 0xFF, 0, at as u8, 0x5A, !byte, 0x80, 0x0F]);
        let expected = compressed(Scalar, &chunk, mask);
        for level in Level::all() {
            if let Some(found) = level.run(Compressed(&chunk, mask)) {
                assert_eq!(found, expected, "{level:?}: {byte:#x} at {at}");
            }
        }
    }
}

/// The contents of `used` of `BUCKETS` outputs after some chunks, which differ, as do the masks.
struct Fill<const BUCKETS: usize> {
    used: usize,
    chunks: usize,
}

impl<S: Simd, const BUCKETS: usize> Kernel<S> for Fill<BUCKETS> {
    type Output = Option<Vec<Vec<u8>>>;

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        simd.compressing().map(|simd| self.fill(simd))
    }
}

impl<const BUCKETS: usize> Fill<BUCKETS> {
    #[inline(always)]
    fn fill<S: Compress>(&self, simd: S) -> Vec<Vec<u8>> {
        let mut lines = vec![vec![0; 3 * CHUNK + 1]; self.used];
        let mut absent = lines.iter_mut().map(Vec::as_mut_slice);
        let mut outputs = simd.outputs::<BUCKETS>([(); BUCKETS].map(|()| absent.next()));
        for number in 0..self.chunks as u64 {
            let bytes = simd.load(&std::array::from_fn(|at| number as u8 ^ at as u8));
            simd.compress(&mut outputs, bytes, |bucket| match bucket {
                0 => u64::MAX,
                _ => 0x5DEE_CE66_D1A4_B5C7_u64.rotate_left(bucket as u32) << number,
            });
        }
        let written = simd.written(outputs);
        let cut = |(line, written): (Vec<u8>, usize)| line[..written].to_vec();
        lines.into_iter().zip(written).map(cut).collect()
    }
}

#[test]
fn outputs_are_filled_side_by_side_and_never_beyond_their_end() {
    check_outputs::<1>();
    check_outputs::<2>();
    check_outputs::<4>();
    check_outputs::<8>();
    check_outputs::<16>();
    check_outputs::<24>();
}

#[track_caller]
fn check_outputs<const BUCKETS: usize>() {
    for used in BUCKETS / 2 + 1..=BUCKETS {
        let fill = |chunks| Fill::<BUCKETS> { used, chunks };
        for level in Level::all() {
            let Some(found) = level.run(fill(3)) else { continue };
            assert_eq!(found, fill(3).fill(Scalar), "{level:?}: {used} of {BUCKETS}");
            let too_many = std::panic::catch_unwind(|| level.run(fill(4)));
            assert!(too_many.is_err(), "{level:?}: {used} of {BUCKETS}");
        }
    }
}

/// The sum of three numbers.
struct Add(u64, u64, u8);

impl<S: Simd> Kernel<S> for Add {
    type Output = Option<(u64, u8)>;

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        simd.compressing().map(|simd| simd.add_with_carry(self.0, self.1, self.2))
    }
}

#[test]
fn carry_is_that_of_long_addition() {
    let numbers = [0, 1, 2, u64::MAX / 2, 1 << 63, u64::MAX - 1, u64::MAX];
    for (left, right) in numbers.iter().flat_map(|&left| numbers.map(|right| (left, right))) {
        for carry in [0, 1] {
            let sum = u128::from(left) + u128::from(right) + u128::from(carry);
            let expected = (sum as u64, (sum >> 64) as u8);
            assert_eq!(Scalar.add_with_carry(left, right, carry), expected);
            for level in Level::all() {
                let found = level.run(Add(left, right, carry));
                assert!(found.is_none_or(|found| found == expected), "{level:?}: {found:?}");
            }
        }
    }
}

/// Which of the characters of a chunk are letters.
struct Leads<'a>(&'a [u8; CHUNK], u64, u64);

impl<S: Simd> Kernel<S> for Leads<'_> {
    type Output = (u64, u64);

    #[inline(always)]
    fn run(self, simd: S) -> (u64, u64) {
        simd.find_leads(CharSet::letters(), self.0, self.1, self.2)
    }
}

#[test]
fn every_level_finds_every_character_or_is_unsure_of_it() {
    let characters: Vec<_> = ('\u{80}'..'\u{1_0000}').collect();
    for first in 0..3 {
        for few in characters[first..].chunks(CHUNK / 3) {
            let mut chunk = [0; CHUNK];
            let (mut two, mut three, mut expected) = (0, 0, 0);
            let mut at = 0;
            for character in few {
                let len = character.encode_utf8(&mut chunk[at..]).len();
                *(if len == 2 { &mut two } else { &mut three }) |= 1 << at;
                expected |= u64::from(character.is_alphabetic()) << at;
                at += len;
            }
            for level in Level::all() {
                let (found, unsure) = level.run(Leads(&chunk, two, three));
                assert_eq!(found, expected & !unsure, "{level:?}: {few:?}");
                assert_eq!(unsure & !(two | three), 0, "{level:?}: {few:?}");
            }
        }
    }
}

#[test]
fn best_level_is_the_last() {
    assert_eq!(Some(&Level::best()), Level::all().last());
}

#[test]
#[cfg(target_arch = "aarch64")]
fn level_for_arm_is_there_where_aes_is() {
    let names: Vec<_> = Level::all().into_iter().map(Level::name).collect();
    let has_aes = std::arch::is_aarch64_feature_detected!("aes");
    assert_eq!(names, if has_aes { vec!["scalar", "NEON"] } else { vec!["scalar"] });
}

fn every_byte_everywhere() -> impl Iterator<Item = (usize, u8)> {
    (0..CHUNK).flat_map(|at| (0..=0xFF).map(move |byte| (at, byte)))
}
