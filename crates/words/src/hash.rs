//! Where in a table a word lies, by a seed that nobody knows.
//!
//! The hash says only that: what is counted, and the order it is written in, do not depend on it.

use std::hash::{BuildHasher, RandomState};

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
    pub(crate) fn hash_tiny(&self, key: u64) -> u64 {
        key.wrapping_mul(self.0[0] | 1).swap_bytes().wrapping_mul(self.0[1] | 1)
    }

    /// The hash of a short word, at the levels that have no AES.
    #[inline(always)]
    pub(crate) fn hash_short(&self, key: u128) -> u64 {
        self.fold(key, 0)
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
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
