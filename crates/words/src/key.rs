//! A short word in a register: how it is cut out of a text, hashed, and compared.
//!
//! A key is a word, the newline behind it, and zeros: eight bytes for a tiny word of up to seven,
//! which nine of ten are, sixteen for a short one of up to fifteen. The last byte that is not zero
//! is that newline, so different words have different keys whatever bytes they have, and no key is
//! all zeros. The text already has the newline: a load and a mask make a key.
//!
//! Eight bytes are hashed by two multiplications; sixteen by two rounds of AES, where the CPU has
//! it, which take the key as it is in its register, at a third of the work of multiplying halves.

use std::fmt::Debug;

use crate::hash::Seed;
use crate::simd::{CHUNK, Kernel, Level, Scalar, Simd};
use crate::window::{KEY_BYTES_MAX, Window};

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Words up to this length are tiny.
pub(crate) const TINY: usize = size_of::<TinyKey>() - 1;

/// Longer words up to this length are short.
pub(crate) const SHORT: usize = size_of::<ShortKey>() - 1;

/// The key of a tiny word.
pub(crate) type TinyKey = [u8; 8];

/// The key of a short word.
pub(crate) type ShortKey = [u8; KEY_BYTES_MAX];

/// The key of a word of bounded length. Keys are ordered as their bytes are.
pub(crate) trait Key: Copy + Debug + Ord {
    /// The key of no word.
    const NONE: Self;

    /// A key in a register.
    type Register<S: KeySimd>: Copy;

    /// The key of the word at `start`, whose size is as in [`Slices`]; unspecified if such a key
    /// has no such size.
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> Self::Register<S>;

    /// A key from memory.
    fn load_key<S: KeySimd>(simd: S, key: &Self) -> Self::Register<S>;

    /// A key to memory.
    fn store<S: KeySimd>(simd: S, register: Self::Register<S>) -> Self;

    /// Whether both are the same key.
    fn equals<S: KeySimd>(simd: S, register: Self::Register<S>, key: &Self) -> bool;

    /// Every bit of the key reaches every bit of the hash.
    fn hash<S: KeySimd>(simd: S, register: Self::Register<S>, seed: &Seed) -> u64;

    /// All bytes of the key.
    fn bytes(&self) -> &[u8];

    /// The same, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// The key of a word that fits.
    fn of(word: &[u8]) -> Self {
        let mut key = Self::NONE;
        key.bytes_mut()[..word.len()].copy_from_slice(word);
        key.bytes_mut()[word.len()] = b'\n';
        key
    }

    /// The length of its word.
    fn word_len(&self) -> usize;
}

/// `SHORT_MASKS[len]` keeps a word of `len` bytes and the newline behind it.
static SHORT_MASKS: [ShortKey; SHORT + 1] = {
    let mut masks = [[0; _]; SHORT + 1];
    let mut len = 0;
    while len <= SHORT {
        masks[len] = (u128::MAX >> (8 * (SHORT - len))).to_le_bytes();
        len += 1;
    }
    masks
};

/// A key of the window, from `start` on.
#[inline(always)]
fn bytes_at<const KEY: usize>(window: &Window, start: u16) -> &[u8; KEY] {
    let bytes = &window[usize::from(start)..];
    bytes.first_chunk().expect("in a window a whole key follows every start")
}

impl Key for TinyKey {
    const NONE: Self = [0; _];

    type Register<S: KeySimd> = u64;

    #[inline(always)]
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> u64 {
        simd.low_bits(u64::from_le_bytes(*bytes_at(window, start)), u32::from(size))
    }

    #[inline(always)]
    fn load_key<S: KeySimd>(_simd: S, key: &Self) -> u64 {
        u64::from_le_bytes(*key)
    }

    #[inline(always)]
    fn store<S: KeySimd>(_simd: S, register: u64) -> Self {
        register.to_le_bytes()
    }

    #[inline(always)]
    fn equals<S: KeySimd>(_simd: S, register: u64, key: &Self) -> bool {
        register == u64::from_le_bytes(*key)
    }

    #[inline(always)]
    fn hash<S: KeySimd>(_simd: S, register: u64, seed: &Seed) -> u64 {
        seed.hash_tiny(register)
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn word_len(&self) -> usize {
        TINY - u64::from_le_bytes(*self).leading_zeros() as usize / 8
    }
}

impl Key for ShortKey {
    const NONE: Self = [0; _];

    type Register<S: KeySimd> = S::Register;

    #[inline(always)]
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> S::Register {
        let mask = &SHORT_MASKS[usize::from(size) % SHORT_MASKS.len()];
        simd.load_masked(bytes_at(window, start), mask)
    }

    #[inline(always)]
    fn load_key<S: KeySimd>(simd: S, key: &Self) -> S::Register {
        simd.load_masked(key, &SHORT_MASKS[SHORT])
    }

    #[inline(always)]
    fn store<S: KeySimd>(simd: S, register: S::Register) -> Self {
        simd.store(register)
    }

    #[inline(always)]
    fn equals<S: KeySimd>(simd: S, register: S::Register, key: &Self) -> bool {
        simd.equals(register, key)
    }

    #[inline(always)]
    fn hash<S: KeySimd>(simd: S, register: S::Register, seed: &Seed) -> u64 {
        simd.hash(register, seed)
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn word_len(&self) -> usize {
        SHORT - u128::from_le_bytes(*self).leading_zeros() as usize / 8
    }
}

/// The operations of a level on lines and on keys, for counting. All levels give the same results,
/// except for the hash.
pub(crate) trait KeySimd: Simd {
    /// The lowest `count` of these bits, from one to all, and zeros.
    fn low_bits(self, bits: u64, count: u32) -> u64;

    /// The key of a short word in a register.
    type Register: Copy;

    /// The bits of `bytes` that are in `mask`.
    fn load_masked(self, bytes: &ShortKey, mask: &ShortKey) -> Self::Register;

    /// The bytes of a key.
    fn store(self, key: Self::Register) -> ShortKey;

    /// Whether the key is `bytes`.
    fn equals(self, key: Self::Register, bytes: &ShortKey) -> bool;

    /// Every bit of the key reaches every bit of the hash.
    fn hash(self, key: Self::Register, seed: &Seed) -> u64;

    /// Tell the CPU that `place` will be needed soon.
    fn prefetch<T>(self, place: &T);

    /// Put `base + i` into `ends` for every newline `chunk[i]`. Returns how many there are; the
    /// rest of `ends` is unspecified.
    fn line_ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize;

    /// Classify `count` lines, each between one of `ends` and the next, by length: put their starts
    /// and sizes into the slices for tiny words, for short ones, and for longer ones. Returns how
    /// many each got; the rest of the slices is unspecified.
    fn classify_lines(
        self,
        ends: &[u16; GROUP + 1],
        count: usize,
        slices: [Slices<'_>; 3],
    ) -> [usize; 3];
}

/// Lines that are classified together.
pub(crate) const GROUP: usize = 32;

/// Where to write the starts of lines and their sizes. A size is the bits of the key of a tiny
/// word, and the bytes of any other word.
#[derive(Debug)]
pub(crate) struct Slices<'a> {
    pub(crate) starts: &'a mut [u16; GROUP],
    pub(crate) sizes: &'a mut [u16; GROUP],
}

/// The hash of `key` at `level`, outside of a kernel.
pub(crate) fn hash_key<K: Key>(level: Level, key: &K, seed: &Seed) -> u64 {
    level.run(Hash { key, seed })
}

struct Hash<'a, K> {
    key: &'a K,
    seed: &'a Seed,
}

impl<S: KeySimd, K: Key> Kernel<S> for Hash<'_, K> {
    type Output = u64;

    #[inline(always)]
    fn run(self, simd: S) -> u64 {
        K::hash(simd, K::load_key(simd, self.key), self.seed)
    }
}

impl KeySimd for Scalar {
    #[inline(always)]
    fn low_bits(self, bits: u64, count: u32) -> u64 {
        bits & u64::MAX.wrapping_shr(u64::BITS.wrapping_sub(count))
    }

    type Register = u128;

    #[inline(always)]
    fn load_masked(self, bytes: &ShortKey, mask: &ShortKey) -> u128 {
        u128::from_le_bytes(*bytes) & u128::from_le_bytes(*mask)
    }

    #[inline(always)]
    fn store(self, key: u128) -> ShortKey {
        key.to_le_bytes()
    }

    #[inline(always)]
    fn equals(self, key: u128, bytes: &ShortKey) -> bool {
        key == u128::from_le_bytes(*bytes)
    }

    #[inline(always)]
    fn hash(self, key: u128, seed: &Seed) -> u64 {
        seed.hash_short(key)
    }

    #[inline(always)]
    fn prefetch<T>(self, _place: &T) {}

    #[inline(always)]
    fn line_ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_positions(base, self.equal(b'\n', chunk), ends)
    }

    #[inline(always)]
    fn classify_lines(
        self,
        ends: &[u16; GROUP + 1],
        count: usize,
        slices: [Slices<'_>; 3],
    ) -> [usize; 3] {
        classify_one_by_one(ends, count, slices)
    }
}

/// [`KeySimd::classify_lines`], line by line, without a branch that depends on the text.
#[inline(always)]
fn classify_one_by_one(
    ends: &[u16; GROUP + 1],
    count: usize,
    mut slices: [Slices<'_>; 3],
) -> [usize; 3] {
    // Side by side in one register: in memory each addition would wait for the one before.
    let mut counts = 0_u64;
    for pair in ends.windows(2).take(count) {
        let start = pair[0].wrapping_add(1);
        let len = pair[1].wrapping_sub(start);
        let is_tiny = usize::from(len) <= TINY;
        let part = usize::from(!is_tiny) + usize::from(usize::from(len) > SHORT);
        let Slices { starts, sizes } = &mut slices[part];
        let at = (counts >> (16 * part)) as usize % GROUP;
        starts[at] = start;
        sizes[at] = if is_tiny { 8 * (len + 1) } else { len };
        counts += 1 << (16 * part);
    }
    [counts, counts >> 16, counts >> 32].map(|count| usize::from(count as u16))
}

/// [`KeySimd::line_ends`] of a mask. Eight at a time, so that the end of the loop is predicted:
/// nine of ten chunks of text have up to sixteen lines.
#[inline(always)]
fn write_positions(base: u16, mut newlines: u64, ends: &mut [u16; CHUNK]) -> usize {
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
mod tests;
