//! How long to wait before a call is repeated: exponential backoff with jitter.

use std::sync::Arc;
use std::time::Duration;

use crate::machine::Random;

/// Waits longer after each failure, and by chance not as long as other workers: a thousand workers
/// that lost their driver at the same moment must not reconnect at the same moment.
pub(crate) struct Backoff {
    failures: u32,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(random: &Random) -> Self {
        Self { failures: 0, random: Arc::clone(random) }
    }

    /// A call was answered.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) async fn wait(&mut self) {
        let longest = FIRST.saturating_mul(1 << self.failures.min(8)).min(MAX);
        self.failures += 1;
        // Without random numbers every worker waits the longest time: slower, but correct.
        let mut random = [u8::MAX; 4];
        let _ = (self.random)(&mut random);
        let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        tokio::time::sleep(longest.mul_f64(0.5 + share / 2.0)).await;
    }
}

const FIRST: Duration = Duration::from_millis(20);

/// Short, so that a driver that starts is found at once: a refused connection costs nothing.
const MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_stay_short() {
        let mut backoff = Backoff::new(&crate::machine::random());
        for failures in 0..100 {
            let began = Instant::now();
            backoff.wait().await;
            let longest = FIRST.saturating_mul(1 << failures.min(10)).min(MAX);
            let waited = began.elapsed();
            // The clock of the runtime counts in milliseconds.
            let slack = Duration::from_millis(2);
            assert!((longest / 2..=longest + slack).contains(&waited), "{failures}: {waited:?}");
        }
    }
}
