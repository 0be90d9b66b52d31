//! What every level does with keys and with lines.

use std::collections::BTreeSet;

use super::*;
use crate::hash::GOLDEN;

/// A loaded key, and whether it equals another.
struct Load<'a, K> {
    window: &'a Window,
    start: u16,
    size: u16,
    other: K,
}

impl<S: KeySimd, K: Key> Kernel<S> for Load<'_, K> {
    type Output = (K, bool);

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let Self { window, start, size, other } = self;
        simd.prefetch(&other);
        let register = K::load(simd, window, start, size);
        (K::store(simd, register), K::equals(simd, register, &other))
    }
}

struct Part<'a>(&'a [u16; GROUP + 1], usize);

impl<S: KeySimd> Kernel<S> for Part<'_> {
    type Output = [Vec<(u16, u16)>; 3];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let Self(ends, count) = self;
        let mut starts = [[7; GROUP]; 3];
        let mut sizes = [[8; GROUP]; 3];
        let mut slices = starts.iter_mut().zip(&mut sizes);
        let slices = std::array::from_fn(|_| {
            let (starts, sizes) = slices.next().expect("three slices");
            Slices { starts, sizes }
        });
        let counts = simd.classify_lines(ends, count, slices);
        std::array::from_fn(|part| {
            let lines = starts[part].into_iter().zip(sizes[part]);
            lines.take(counts[part]).collect()
        })
    }
}

struct Ends<'a>(u16, &'a [u8; CHUNK]);

impl<S: KeySimd> Kernel<S> for Ends<'_> {
    type Output = Vec<u16>;

    #[inline(always)]
    fn run(self, simd: S) -> Vec<u16> {
        let mut ends = [7; CHUNK];
        let count = simd.line_ends(self.0, self.1, &mut ends);
        ends[..count].to_vec()
    }
}

/// `sizes[len]` is the size of a word of `len` bytes.
fn check_keys<K: Key>(sizes: &[u16]) {
    for level in Level::all() {
        for (len, &size) in sizes.iter().enumerate() {
            let mut window = [0xA5; _];
            // In the middle, and at the last place that a number of sixteen bits can say.
            for start in [1000, u16::MAX] {
                window[usize::from(start) + len] = b'\n';
                let expected = K::of(&[0xA5; SHORT][..len]);
                let load = |other: K| level.run(Load { window: &window, start, size, other });
                assert_eq!(load(expected), (expected, true), "{level:?}: {len}");
                assert_eq!(expected.word_len(), len);
                for at in 0..sizes.len() {
                    let mut other = expected;
                    other.bytes_mut()[at] ^= 0x10;
                    assert_eq!(load(other), (expected, false), "{level:?}: {len}, {at}");
                }
            }
        }
    }
}

#[test]
fn key_is_a_word_a_newline_and_zeros() {
    check_keys::<TinyKey>(&[8, 16, 24, 32, 40, 48, 56, 64]);
    check_keys::<ShortKey>(&std::array::from_fn::<_, 16, _>(|len| len as u16));
}

#[test]
fn lines_are_parted_by_length_at_every_level() {
    let mut random = 1_u64;
    for count in (0..=GROUP).cycle().take(100 * GROUP) {
        let mut ends = [u16::MAX; GROUP + 1];
        let mut expected = [const { Vec::new() }; 3];
        for index in 0..GROUP {
            random = random.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            let start = ends[index].wrapping_add(1);
            // Every length up to the longest in a window is somewhere, short ones often.
            let len = (random >> 52) as u16 >> (random >> 40 & 15);
            ends[index + 1] = start.wrapping_add(len);
            if index < count {
                let (part, size) = match len {
                    0..=7 => (0, 8 * (len + 1)),
                    8..=15 => (1, len),
                    16.. => (2, len),
                };
                expected[part].push((start, size));
            }
        }
        for level in Level::all() {
            let found = level.run(Part(&ends, count));
            assert_eq!(found, expected, "{level:?}: {count} of {ends:?}");
        }
    }
}

#[test]
fn ends_are_where_newlines_are_at_every_level() {
    let mut masks = vec![0, u64::MAX];
    masks.extend((0..64).flat_map(|bit| [1 << bit, !(1 << bit), u64::MAX << bit]));
    masks.extend((1..1000_u64).map(|n| n.wrapping_mul(GOLDEN)));
    for level in Level::all() {
        for &mask in &masks {
            let bit = |at: usize| mask >> at & 1 == 1;
            let chunk = std::array::from_fn(|at| if bit(at) { b'\n' } else { b'\n' ^ 0x80 });
            let expected: Vec<_> = (0..CHUNK).filter(|&at| bit(at)).collect();
            let found = level.run(Ends(4032, &chunk));
            let expected: Vec<_> = expected.iter().map(|&at| 4032 + at as u16).collect();
            assert_eq!(found, expected, "{level:?}: {mask:b}");
        }
    }
}

#[test]
fn every_byte_of_a_short_key_moves_its_home_whatever_the_seed() {
    for level in Level::all() {
        for at in (0..100).flat_map(|_| 0..=SHORT) {
            let seed = Seed::new();
            let mut key = *b"a word of bytes\n";
            let homes = (0..=0xFF).map(|byte| {
                key[at] = byte;
                hash_key(level, &key, &seed) >> 48
            });
            // Of 256 homes among 65,536, one pair in two tries is the same by chance.
            let homes: BTreeSet<_> = homes.collect();
            assert!(homes.len() > 246, "{level:?}, {seed:?}, {at}: {} homes", homes.len());
        }
    }
}

#[test]
fn tiny_words_that_are_alike_are_near_their_homes_with_nearly_every_seed() {
    let two_letters: Vec<_> =
        (b'a'..=b'z').flat_map(|one| (b'a'..=b'z').map(move |two| [one, two])).collect();
    let mut crowded = 0;
    for _ in 0..1000 {
        let (seed, mut taken) = (Seed::new(), [false; 1024]);
        let mut ways = 0;
        for word in &two_letters {
            let mut at = (hash_key(Level::Scalar, &TinyKey::of(word), &seed) >> 54) as usize;
            while std::mem::replace(&mut taken[at], true) {
                at = (at + 1) % taken.len();
                ways += 1;
            }
        }
        crowded += usize::from(ways > 8 * two_letters.len());
    }
    // Two, most often; with one multiplication, twenty to forty.
    assert!(crowded <= 12, "{crowded} of 1000 seeds");
}
