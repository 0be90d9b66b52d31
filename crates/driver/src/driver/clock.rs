//! The loop's clock: time since its start, less the time in which this process did not run.
//!
//! A process that is stopped (SIGSTOP, a frozen machine) receives no heartbeats. By the wall clock
//! every lease has expired when it resumes, and the heartbeats that wait in its sockets would come
//! too late. So that time is hidden from the scheduler: each lease has as much of it left as
//! before, less two heartbeats.

use std::time::Duration;

use scheduler::Time;
use store::duration;
use tokio::time::Instant;

/// # Invariants
///
/// * `paused` never exceeds the time since `started`: [`now`](Self::now) never goes back.
pub(super) struct Clock {
    started: Instant,
    /// When the loop last woke.
    woke: Instant,
    /// How long this process was stopped, in total.
    paused: Duration,
    /// The longest time for which the loop means to sleep while a deadline is ahead.
    sleep_max: Duration,
}

impl Clock {
    pub(super) fn new(sleep_max: Duration) -> Self {
        let started = Instant::now();
        Self { started, woke: started, paused: Duration::ZERO, sleep_max }
    }

    pub(super) fn now(&self) -> Time {
        Time(self.started.elapsed().saturating_sub(self.paused))
    }

    /// How long to sleep: until `deadline`, but not so long that a pause of this process could pass
    /// for sleep. Without a deadline, for ever.
    pub(super) fn sleep(&self, deadline: Option<Time>) -> Option<Duration> {
        let left = deadline?.0.saturating_sub(self.now().0);
        Some(left.min(self.sleep_max))
    }

    /// The loop wakes from a sleep that was meant to last for `meant` at most. Leaves out what was
    /// longer.
    pub(super) fn wake(&mut self, meant: Option<Duration>) {
        // Without a deadline the loop may sleep for any time, and no worker has a lease to lose.
        if meant.is_some() {
            let pause = self.woke.elapsed().saturating_sub(2 * self.sleep_max);
            if pause >= Duration::from_secs(1) {
                tracing::warn!("this process was paused for {}", duration::measured(pause));
            }
            self.paused += pause;
        }
        self.woke = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn pause_is_left_out_but_for_two_heartbeats() {
        let mut clock = Clock::new(SECOND);
        tokio::time::advance(SECOND).await;
        clock.wake(Some(SECOND));
        assert_eq!(clock.now(), Time(SECOND));

        tokio::time::advance(3600 * SECOND).await;
        clock.wake(Some(SECOND));
        assert_eq!(clock.now(), Time(3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_without_a_deadline_is_no_pause() {
        let mut clock = Clock::new(SECOND);
        tokio::time::advance(3600 * SECOND).await;
        clock.wake(None);
        assert_eq!(clock.now(), Time(3600 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_ends_at_the_deadline_or_after_a_heartbeat() {
        let clock = Clock::new(SECOND);
        assert_eq!(clock.sleep(None), None);
        assert_eq!(clock.sleep(Some(Time(SECOND / 2))), Some(SECOND / 2));
        assert_eq!(clock.sleep(Some(Time(60 * SECOND))), Some(SECOND));
    }
}
