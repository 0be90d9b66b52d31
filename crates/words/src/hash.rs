//! Hashes of words, with a random seed for each table.
//!
//! A hash decides only where in a table a word is stored: what is counted, and the order in which
//! it is written, do not depend on it.

use std::hash::{BuildHasher, RandomState};

/// Gives the words of each table different homes. With a known hash function, an attacker can write
/// a text whose words all have one home, and counting it would take quadratic time (hash flooding).
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
        // Some bytes once more, which is less work than a loop over those that are left.
        let last = word.last_chunk().expect("long words are longer");
        self.fold(u128::from_le_bytes(*last), hash)
    }

    /// The hash of a tiny word, the same at every level: multiply, bring the upper bits down, and
    /// multiply again. After one multiplication the homes of words that differ in one byte, or of
    /// numbers, would be evenly spaced: in a table that is two thirds full, one seed in a hundred
    /// puts all two-letter words 36 slots behind their homes on average. With this hash it is four;
    /// with a folded product, as below, it is one, for 5 % more time.
    #[inline(always)]
    pub(crate) fn hash_tiny(&self, key: u64) -> u64 {
        key.wrapping_mul(self.0[0] | 1).swap_bytes().wrapping_mul(self.0[1] | 1)
    }

    /// The hash of a short word, at the levels that have no AES.
    #[inline(always)]
    pub(crate) fn hash_short(&self, key: u128) -> u64 {
        self.fold(key, 0)
    }

    /// Multiply to twice the width and fold the halves, the step of wyhash. Multiply again, because
    /// otherwise the homes of words that differ in one byte are evenly spaced, sometimes by less
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
