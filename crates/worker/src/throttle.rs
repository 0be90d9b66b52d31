//! The rate limit at which an attempt reads.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use crate::progress::Progress;

/// Limits an attempt to a number of bytes a second.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Option<NonZeroU64>,
    began: Instant,
    bytes: u64,
}

impl Throttle {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, began: Instant::now(), bytes: 0 }
    }

    /// How much to read at once: a block, or what the rate allows in a tenth of a second, so that
    /// progress is steady.
    pub(crate) fn block_bytes(&self, block_bytes: usize) -> usize {
        let tenth = self.rate.map_or(u64::MAX, |rate| (rate.get() / 10).max(1));
        usize::try_from(tenth).map_or(block_bytes, |tenth| tenth.min(block_bytes))
    }

    /// `bytes` more were read. Waits until the rate allows them, or the attempt is abandoned.
    pub(crate) fn wait(&mut self, bytes: u64, progress: &Progress) {
        let Some(rate) = self.rate else { return };
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / rate.get() as f64);
        while let Some(early) = due.checked_sub(self.began.elapsed())
            && !early.is_zero()
            && !progress.is_abandoned()
        {
            thread::sleep(early.min(SLEEP_MAX));
        }
    }
}

/// How long an attempt may sleep after it was abandoned.
const SLEEP_MAX: Duration = Duration::from_millis(50);
