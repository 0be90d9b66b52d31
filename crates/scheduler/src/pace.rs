//! How fast attempts read, and the median of that over all bytes that were read.

use std::collections::BTreeMap;
use std::time::Duration;

/// The time for one byte, in picoseconds: a nanosecond would be too coarse.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pace(u64);

impl Pace {
    pub(crate) fn of(took: Duration, bytes: u64) -> Option<Self> {
        let pace = took.as_nanos().saturating_mul(1000).checked_div(u128::from(bytes))?;
        Some(Self(u64::try_from(pace).unwrap_or(u64::MAX)))
    }

    /// Its first six binary digits.
    fn rounded(self) -> Self {
        let digits = u64::BITS - self.0.leading_zeros();
        let dropped = digits.saturating_sub(6);
        Self(self.0 >> dropped << dropped)
    }

    /// The time for `bytes`.
    pub(crate) fn over(self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(self.0) * u128::from(bytes) / 1000;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Paces, each with the bytes that were read at it, and their median: half of all bytes were read
/// at that pace or faster.
///
/// By bytes, because the fixed cost of a task (opening files, syncing one) makes many small tasks
/// look slow, and with a bucket for each letter most tasks are small.
///
/// Paces that differ by a thirtieth count as one, the slowest of them: that is near enough, and
/// takes no more memory or time for a million attempts than for a hundred.
///
/// # Invariants
///
/// * `bytes` is the sum over all groups, and `faster` over those before `middle`.
/// * `faster` is less than half of `bytes`, and with the group of `middle` at least half.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    /// By their paces, rounded.
    groups: BTreeMap<Pace, PaceGroup>,
    bytes: u128,
    /// Where the median is.
    middle: Pace,
    faster: u128,
}

/// Paces that are almost the same.
#[derive(Debug)]
struct PaceGroup {
    slowest: Pace,
    bytes: u128,
}

impl Paces {
    pub(crate) fn add(&mut self, pace: Pace, bytes: u64) {
        let (bytes, rounded) = (u128::from(bytes), pace.rounded());
        let group = self.groups.entry(rounded).or_insert(PaceGroup { slowest: pace, bytes: 0 });
        group.slowest = group.slowest.max(pace);
        group.bytes += bytes;
        self.bytes += bytes;
        if rounded < self.middle {
            self.faster += bytes;
        }
        while 2 * self.faster >= self.bytes
            && let Some((&before, group)) = self.groups.range(..self.middle).next_back()
        {
            self.faster -= group.bytes;
            self.middle = before;
        }
        while let Some((&here, group)) = self.groups.range(self.middle..).next()
            && 2 * (self.faster + group.bytes) < self.bytes
        {
            self.faster += group.bytes;
            self.middle = Pace(here.0 + 1);
        }
    }

    pub(crate) fn median(&self) -> Option<Pace> {
        self.groups.range(self.middle..).next().map(|(_, group)| group.slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_pace_at_which_half_of_the_bytes_were_read() {
        let mut state = 7_u64;
        let mut random = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % sides
        };
        for _ in 0..200 {
            let mut paces = Paces::default();
            let mut naive: Vec<(u64, u64)> = Vec::new();
            for _ in 0..30 {
                let (pace, bytes) = (random(9), 1 + random(50) * random(50));
                paces.add(Pace(pace), bytes);
                naive.push((pace, bytes));
                naive.sort_unstable();
                let all: u64 = naive.iter().map(|&(_, bytes)| bytes).sum();
                let mut sum = 0;
                let half = |&&(_, bytes): &&(u64, u64)| {
                    sum += bytes;
                    2 * sum >= all
                };
                let median = naive.iter().find(half).map(|&(pace, _)| Pace(pace));
                assert_eq!(paces.median(), median, "{naive:?}");
            }
        }
    }

    #[test]
    fn paces_beyond_reason_do_not_overflow() {
        for took in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
            for bytes in [0, 1, u64::MAX] {
                let pace = Pace::of(took, bytes);
                assert!(pace.is_none_or(|pace| pace.over(u64::MAX) <= Duration::MAX));
            }
        }
    }
}
