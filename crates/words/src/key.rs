//! A short word in a register: how it is cut out of a text, hashed, and compared.
//!
//! A key is a word of up to fifteen bytes, the newline behind it, and zeros. The last byte that is
//! not zero is that newline, so that different words have different keys whatever bytes they have,
//! and no key is all zeros. The text brings the newline along: a load and a mask make a key.
//!
//! Where the CPU has it, two rounds of AES are the hash. They take the key as it lies in its
//! register, at a third of the work of two multiplications of halves. The hash says only where in
//! a table a word lies; what is counted, and the order it is written in, do not depend on it.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

use crate::simd::{CHUNK, Kernel, Level, Scalar, Simd};

#[cfg(target_arch = "x86_64")]
mod x86;

/// Bytes of a key.
pub(crate) const KEY: usize = 16;

/// Words up to this length have a key. Nearly every English word does.
pub(crate) const SHORT: usize = KEY - 1;

/// `MASKS[len]` keeps a word of `len` bytes and the newline behind it.
pub(crate) static MASKS: [[u8; KEY]; SHORT + 1] = {
    let mut masks = [[0; KEY]; SHORT + 1];
    let mut len = 0;
    while len <= SHORT {
        masks[len] = (u128::MAX >> (8 * (SHORT - len))).to_le_bytes();
        len += 1;
    }
    masks
};

/// What a level can do with keys. All levels do the same, but for the hash.
pub(crate) trait Keys: Copy + Debug {
    /// A key in a register.
    type Key: Copy;

    /// What of `bytes` the mask keeps.
    fn key(self, bytes: &[u8; KEY], mask: &[u8; KEY]) -> Self::Key;

    /// The bytes of a key.
    fn bytes(self, key: Self::Key) -> [u8; KEY];

    /// Whether the key is `bytes`.
    fn is(self, key: Self::Key, bytes: &[u8; KEY]) -> bool;

    /// Every bit of the key reaches every bit of the hash.
    fn hash(self, key: Self::Key, seed: &Seed) -> u64;

    /// Something at `place` will be needed soon.
    fn prefetch<T>(self, place: &T);

    /// Put `base + i` into `ends` for every newline `chunk[i]`; returns how many there are. What
    /// lies in `ends` behind them is anything.
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize;
}

/// Makes the words of every table lie elsewhere. With a hash that is known, a text can be written
/// whose words all have one home, and counting it would take the square of the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(pub(crate) [u64; 2]);

impl Seed {
    /// As random as the standard library's hash maps are.
    pub(crate) fn new() -> Self {
        let state = RandomState::new();
        Self([state.hash_one(0), state.hash_one(1)])
    }

    /// The hash of `key` at `level`, for those who are not in a kernel.
    pub(crate) fn hash(&self, level: Level, key: &[u8; KEY]) -> u64 {
        level.run(Hash { key, seed: self })
    }

    /// The hash of a word of any length, the same at every level.
    pub(crate) fn hash_long(&self, word: &[u8]) -> u64 {
        let (pairs, last) = word.as_chunks::<KEY>();
        let mut hash = word.len() as u64;
        for pair in pairs {
            hash = self.fold(*pair, hash);
        }
        let mut pair = [0; KEY];
        pair[..last.len()].copy_from_slice(last);
        self.fold(pair, hash)
    }

    /// Multiply to twice the width and fold the halves, the step of wyhash; multiply again, because
    /// the homes of words that differ in one byte would else be evenly spaced, now and then by less
    /// than a slot.
    #[inline(always)]
    fn fold(&self, key: [u8; KEY], hash: u64) -> u64 {
        let key = u128::from_le_bytes(key);
        let (low, high) = (key as u64, (key >> 64) as u64);
        let product = u128::from(low ^ self.0[0] ^ hash) * u128::from(high ^ self.0[1]);
        (product as u64 ^ (product >> 64) as u64).wrapping_mul(GOLDEN)
    }
}

/// The golden ratio, as a fraction of 2^64: odd, and without a pattern.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

struct Hash<'a> {
    key: &'a [u8; KEY],
    seed: &'a Seed,
}

impl Kernel for Hash<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        simd.hash(simd.key(self.key, &MASKS[SHORT]), self.seed)
    }
}

/// The key of a word of up to [`SHORT`] bytes.
pub(crate) fn key_of(word: &[u8]) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..word.len()].copy_from_slice(word);
    key[word.len()] = b'\n';
    key
}

/// The length of the word that `key` was made of.
pub(crate) fn len_of(key: &[u8; KEY]) -> usize {
    SHORT - u128::from_le_bytes(*key).leading_zeros() as usize / 8
}

impl Keys for Scalar {
    type Key = u128;

    #[inline(always)]
    fn key(self, bytes: &[u8; KEY], mask: &[u8; KEY]) -> u128 {
        u128::from_le_bytes(*bytes) & u128::from_le_bytes(*mask)
    }

    #[inline(always)]
    fn bytes(self, key: u128) -> [u8; KEY] {
        key.to_le_bytes()
    }

    #[inline(always)]
    fn is(self, key: u128, bytes: &[u8; KEY]) -> bool {
        key == u128::from_le_bytes(*bytes)
    }

    #[inline(always)]
    fn hash(self, key: u128, seed: &Seed) -> u64 {
        seed.fold(key.to_le_bytes(), 0)
    }

    #[inline(always)]
    fn prefetch<T>(self, _place: &T) {}

    #[inline(always)]
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_ends(base, self.equal(b'\n', chunk), ends)
    }
}

/// [`Keys::ends`] of a mask. Eight at a time, so that the loop ends without a surprise: nine of
/// ten chunks of text have up to sixteen lines.
#[inline(always)]
fn write_ends(base: u16, mut newlines: u64, ends: &mut [u16; CHUNK]) -> usize {
    let count = newlines.count_ones() as usize;
    let (groups, _) = ends.as_chunks_mut::<8>();
    for group in groups {
        for end in group {
            // At most 64.
            *end = base.wrapping_add(newlines.trailing_zeros() as u16);
            newlines &= newlines.wrapping_sub(1);
        }
        if newlines == 0 {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Everything about one key, but for its hash.
    struct Ask<'a> {
        bytes: &'a [u8; KEY],
        len: usize,
        other: &'a [u8; KEY],
    }

    impl Kernel for Ask<'_> {
        type Output = ([u8; KEY], bool);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let key = simd.key(self.bytes, &MASKS[self.len]);
            simd.prefetch(self.other);
            (simd.bytes(key), simd.is(key, self.other))
        }
    }

    struct AskEnds<'a>(u16, &'a [u8; CHUNK]);

    impl Kernel for AskEnds<'_> {
        type Output = Vec<u16>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<u16> {
            let mut ends = [7; CHUNK];
            let count = simd.ends(self.0, self.1, &mut ends);
            ends[..count].to_vec()
        }
    }

    #[test]
    fn key_is_a_word_a_newline_and_zeros() {
        for level in Level::all() {
            for len in 0..=SHORT {
                let mut bytes = [0xA5; KEY];
                bytes[len] = b'\n';
                let expected = key_of(&bytes[..len]);
                let ask = Ask { bytes: &bytes, len, other: &expected };
                assert_eq!(level.run(ask), (expected, true), "{level:?}: {len}");
                assert_eq!(len_of(&expected), len);
                for at in 0..KEY {
                    let mut other = expected;
                    other[at] ^= 0x10;
                    let ask = Ask { bytes: &bytes, len, other: &other };
                    assert_eq!(level.run(ask), (expected, false), "{level:?}: {len}, {at}");
                }
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
                let found = level.run(AskEnds(4032, &chunk));
                let expected: Vec<_> = expected.iter().map(|&at| 4032 + at as u16).collect();
                assert_eq!(found, expected, "{level:?}: {mask:b}");
            }
        }
    }

    #[test]
    fn every_byte_of_a_key_moves_its_home_whatever_the_seed() {
        for level in Level::all() {
            for at in (0..100).flat_map(|_| 0..KEY) {
                let seed = Seed::new();
                let mut key = *b"a word of bytes\n";
                let homes = (0..=0xFF).map(|byte| {
                    key[at] = byte;
                    seed.hash(level, &key) >> 48
                });
                // Of 256 homes among 65,536, one pair in two tries is the same by chance.
                let homes: BTreeSet<_> = homes.collect();
                assert!(homes.len() > 246, "{level:?}, {seed:?}, {at}: {} homes", homes.len());
            }
        }
    }
}
