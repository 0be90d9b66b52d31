//! A short word in a register: how it is cut out of a text, hashed, and compared.
//!
//! A key is a word, the newline behind it, and zeros: eight bytes for a tiny word of up to seven,
//! which nine of ten are, sixteen for a short one of up to fifteen. The last byte that is not zero
//! is that newline, so that different words have different keys whatever bytes they have, and no
//! key is all zeros. The text brings the newline along: a load and a mask make a key.
//!
//! Eight bytes are hashed by two multiplications; sixteen by two rounds of AES, where the CPU has
//! it, which take the key as it lies in its register, at a third of the work of multiplying halves.
//! The hash says only where in a table a word lies; what is counted, and the order it is written
//! in, do not depend on it.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

use crate::lines::Window;
use crate::simd::{CHUNK, Kernel, Level, Scalar, Simd};

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
pub(crate) type ShortKey = [u8; 16];

/// What a table needs to know about its keys. They are ordered as their bytes are.
pub(crate) trait Key: Copy + Debug + Ord {
    /// Of no word.
    const NONE: Self;

    /// A key in a register.
    type Held<S: KeySimd>: Copy;

    /// The key of the word at `start`, of the size that its [`Slices`] says; anything if that is none
    /// of such a key.
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> Self::Held<S>;

    /// A key that lies in memory.
    fn hold<S: KeySimd>(simd: S, key: &Self) -> Self::Held<S>;

    /// The other way.
    fn store<S: KeySimd>(simd: S, held: Self::Held<S>) -> Self;

    /// Whether it is this key.
    fn is<S: KeySimd>(simd: S, held: Self::Held<S>, key: &Self) -> bool;

    /// Every bit of the key reaches every bit of the hash.
    fn hash<S: KeySimd>(simd: S, held: Self::Held<S>, seed: &Seed) -> u64;

    /// All of it.
    fn bytes(&self) -> &[u8];

    /// The same, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Of a word that fits.
    fn of(word: &[u8]) -> Self {
        let mut key = Self::NONE;
        key.bytes_mut()[..word.len()].copy_from_slice(word);
        key.bytes_mut()[word.len()] = b'\n';
        key
    }

    /// The length of the word that it was made of.
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
    bytes.first_chunk().expect("a window has room for a key behind every start")
}

impl Key for TinyKey {
    const NONE: Self = [0; _];

    type Held<S: KeySimd> = u64;

    #[inline(always)]
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> u64 {
        simd.low_bits(u64::from_le_bytes(*bytes_at(window, start)), u32::from(size))
    }

    #[inline(always)]
    fn hold<S: KeySimd>(_simd: S, key: &Self) -> u64 {
        u64::from_le_bytes(*key)
    }

    #[inline(always)]
    fn store<S: KeySimd>(_simd: S, held: u64) -> Self {
        held.to_le_bytes()
    }

    #[inline(always)]
    fn is<S: KeySimd>(_simd: S, held: u64, key: &Self) -> bool {
        held == u64::from_le_bytes(*key)
    }

    #[inline(always)]
    fn hash<S: KeySimd>(_simd: S, held: u64, seed: &Seed) -> u64 {
        seed.hash_tiny(held)
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

    type Held<S: KeySimd> = S::Key;

    #[inline(always)]
    fn load<S: KeySimd>(simd: S, window: &Window, start: u16, size: u16) -> S::Key {
        let mask = &SHORT_MASKS[usize::from(size) % SHORT_MASKS.len()];
        simd.key(bytes_at(window, start), mask)
    }

    #[inline(always)]
    fn hold<S: KeySimd>(simd: S, key: &Self) -> S::Key {
        simd.key(key, &SHORT_MASKS[SHORT])
    }

    #[inline(always)]
    fn store<S: KeySimd>(simd: S, held: S::Key) -> Self {
        simd.bytes(held)
    }

    #[inline(always)]
    fn is<S: KeySimd>(simd: S, held: S::Key, key: &Self) -> bool {
        simd.is(held, key)
    }

    #[inline(always)]
    fn hash<S: KeySimd>(simd: S, held: S::Key, seed: &Seed) -> u64 {
        simd.hash(held, seed)
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

/// What a level can do with lines and with keys. All levels do the same, but for the hash.
pub(crate) trait KeySimd: Copy + Debug {
    /// The lowest `count` of these bits, one to all, and zeros.
    fn low_bits(self, bits: u64, count: u32) -> u64;

    /// The key of a short word in a register.
    type Key: Copy;

    /// What of `bytes` the mask keeps.
    fn key(self, bytes: &ShortKey, mask: &ShortKey) -> Self::Key;

    /// The bytes of a key.
    fn bytes(self, key: Self::Key) -> ShortKey;

    /// Whether the key is `bytes`.
    fn is(self, key: Self::Key, bytes: &ShortKey) -> bool;

    /// Every bit of the key reaches every bit of the hash.
    fn hash(self, key: Self::Key, seed: &Seed) -> u64;

    /// Something at `place` will be needed soon.
    fn prefetch<T>(self, place: &T);

    /// Put `base + i` into `ends` for every newline `chunk[i]`; returns how many there are. What
    /// lies in `ends` behind them is anything.
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize;

    /// Part `count` lines, each of which lies between one of `ends` and the next: put where they
    /// begin and their sizes into the slices for tiny words, for short ones, and for longer
    /// ones. Returns how many each got; what lies behind them is anything.
    fn part(self, ends: &[u16; GROUP + 1], count: usize, slices: [Slices<'_>; 3]) -> [usize; 3];
}

/// Lines that are parted together.
pub(crate) const GROUP: usize = 32;

/// Where to write the starts of lines and their sizes: the bits of the key of a tiny word, the bytes of
/// any other.
#[derive(Debug)]
pub(crate) struct Slices<'a> {
    pub(crate) starts: &'a mut [u16; GROUP],
    pub(crate) sizes: &'a mut [u16; GROUP],
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
    pub(crate) fn hash<K: Key>(&self, level: Level, key: &K) -> u64 {
        level.run(Hash { key, seed: self })
    }

    /// The hash of a long word, the same at every level.
    pub(crate) fn hash_long(&self, word: &[u8]) -> u64 {
        let (pairs, _) = word.as_chunks();
        let mut hash = word.len() as u64;
        for pair in pairs {
            hash = self.fold(u128::from_le_bytes(*pair), hash);
        }
        // Some bytes once more, which is less work than to look how many are left.
        let last = word.last_chunk().expect("long words are longer");
        self.fold(u128::from_le_bytes(*last), hash)
    }

    /// The hash of a tiny word, the same at every level: multiply, bring the upper bits down, and
    /// multiply again. After one multiplication the homes of words that differ in one byte, or of
    /// numbers, would be evenly spaced: in a table that is two thirds full, one seed in a hundred
    /// puts all two-letter words 36 slots behind their homes on average. Like this it is four; with
    /// a product that is folded, as below, it is one, for 5 % more time.
    #[inline(always)]
    fn hash_tiny(&self, key: u64) -> u64 {
        key.wrapping_mul(self.0[0] | 1).swap_bytes().wrapping_mul(self.0[1] | 1)
    }

    /// Multiply to twice the width and fold the halves, the step of wyhash; multiply again, because
    /// the homes of words that differ in one byte would else be evenly spaced, now and then by less
    /// than a slot.
    #[inline(always)]
    fn fold(&self, key: u128, hash: u64) -> u64 {
        let (low, high) = (key as u64, (key >> 64) as u64);
        let product = u128::from(low ^ self.0[0] ^ hash) * u128::from(high ^ self.0[1]);
        (product as u64 ^ (product >> 64) as u64).wrapping_mul(GOLDEN)
    }
}

/// The golden ratio, as a fraction of 2^64: odd, and without a pattern.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

struct Hash<'a, K> {
    key: &'a K,
    seed: &'a Seed,
}

impl<K: Key> Kernel for Hash<'_, K> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        K::hash(simd, K::hold(simd, self.key), self.seed)
    }
}

impl KeySimd for Scalar {
    #[inline(always)]
    fn low_bits(self, bits: u64, count: u32) -> u64 {
        bits & u64::MAX.wrapping_shr(u64::BITS.wrapping_sub(count))
    }

    type Key = u128;

    #[inline(always)]
    fn key(self, bytes: &ShortKey, mask: &ShortKey) -> u128 {
        u128::from_le_bytes(*bytes) & u128::from_le_bytes(*mask)
    }

    #[inline(always)]
    fn bytes(self, key: u128) -> ShortKey {
        key.to_le_bytes()
    }

    #[inline(always)]
    fn is(self, key: u128, bytes: &ShortKey) -> bool {
        key == u128::from_le_bytes(*bytes)
    }

    #[inline(always)]
    fn hash(self, key: u128, seed: &Seed) -> u64 {
        seed.fold(key, 0)
    }

    #[inline(always)]
    fn prefetch<T>(self, _place: &T) {}

    #[inline(always)]
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_ends(base, self.equal(b'\n', chunk), ends)
    }

    #[inline(always)]
    fn part(self, ends: &[u16; GROUP + 1], count: usize, slices: [Slices<'_>; 3]) -> [usize; 3] {
        part_lines(ends, count, slices)
    }
}

/// [`KeySimd::part`] one by one, without a branch that depends on the text.
#[inline(always)]
fn part_lines(ends: &[u16; GROUP + 1], count: usize, mut slices: [Slices<'_>; 3]) -> [usize; 3] {
    // Side by side in one register: in memory each would wait for the one before.
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

/// [`KeySimd::ends`] of a mask. Eight at a time, so that the loop ends without a surprise: nine of
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
mod tests;
