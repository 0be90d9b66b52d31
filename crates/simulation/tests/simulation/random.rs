//! Numbers that look random and follow from a seed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Every random choice of a simulation is drawn from one of these. Clones continue the same
/// sequence.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<u64>>);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// A new sequence. What is drawn from it does not shift this one.
    pub fn fork(&self) -> Self {
        Self::new(self.next())
    }

    /// A new sequence, which does not shift this one even by being made.
    pub fn aside(&self) -> Self {
        Self::new(!*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// SplitMix64.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `limit` - 1.
    pub fn below(&self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// From `least` to `most`.
    pub fn between(&self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn millis(&self, least: usize, most: usize) -> Duration {
        Duration::from_millis(self.between(least, most) as u64)
    }

    pub fn pick<'list, T>(&self, list: &'list [T]) -> &'list T {
        &list[self.below(list.len())]
    }

    pub fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.next() as u8;
        }
    }
}
