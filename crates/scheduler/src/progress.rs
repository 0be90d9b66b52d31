//! The progress of a live attempt, as its heartbeats report it, and when it deserves a backup.

use std::time::Duration;

use crate::id::{AttemptId, WorkerId};
use crate::time::Time;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Progress {
    pub(crate) attempt: AttemptId,
    pub(crate) worker: WorkerId,
    /// The size of its task.
    pub(crate) bytes: u64,
    pub(crate) started: Time,
    /// When a heartbeat named it last; when it started, if none has.
    pub(crate) heard: Time,
    /// How many bytes it had read by then.
    pub(crate) bytes_read: u64,
    /// When the heartbeat before that named it, and how many bytes it had read by then.
    pub(crate) before: (Time, u64),
}

impl Progress {
    pub(crate) fn age(&self, now: Time) -> Duration {
        now.0.saturating_sub(self.started.0)
    }

    /// Whether its heartbeats say how fast it is.
    pub(crate) fn is_measured(&self) -> bool {
        self.age(self.heard) >= AGE_MIN
    }

    /// The earliest time, from `now` on, at which it deserves a backup that should take `expected`,
    /// if no more heartbeats arrive; `None` for never. After a heartbeat it is assumed to continue
    /// at its rate for `silence_max`.
    pub(crate) fn due(&self, now: Time, expected: Duration, silence_max: Duration) -> Option<Time> {
        let silent = self.heard + silence_max;
        let of_age = self.started + AGE_MIN.max(expected.saturating_mul(3) / 2);
        let eligible = if self.is_measured() { of_age } else { of_age.max(silent) }.max(now);
        if self.remaining(eligible, silence_max) > expected {
            return Some(eligible);
        }
        // At its rate it ends in time. If it stays silent it grows older without reading more.
        let (total, moving) = (self.total(), self.age(silent));
        let standing = total.checked_sub(moving).filter(|standing| !standing.is_zero())?;
        let overdue = self.started + scale(expected, moving.as_nanos(), standing.as_nanos());
        Some(overdue.max(silent).max(eligible))
    }

    /// How much longer it takes.
    pub(crate) fn remaining(&self, now: Time, silence_max: Duration) -> Duration {
        let (age, total) = (self.age(now), self.total());
        let moving = age.min(self.age(self.heard + silence_max));
        if total <= moving {
            return Duration::ZERO;
        }
        scale(age, total.as_nanos(), moving.as_nanos()).saturating_sub(age)
    }

    /// How long it takes in all: at its average rate, or at its latest if that is better. On a busy
    /// machine an attempt may pause for a moment, above all at first.
    pub(crate) fn total(&self) -> Duration {
        let age = self.age(self.heard);
        let on_average = scale(age, u128::from(self.bytes), u128::from(self.bytes_read));
        let (before, read_before) = self.before;
        let lately = self.heard.0.saturating_sub(before.0);
        let left = self.bytes.saturating_sub(self.bytes_read);
        let read_lately = self.bytes_read.saturating_sub(read_before);
        let rest = scale(lately, u128::from(left), u128::from(read_lately));
        on_average.min(age.saturating_add(rest))
    }
}

/// `duration * times / over`; [`Duration::MAX`], if `over` is 0 and `times` is not.
fn scale(duration: Duration, times: u128, over: u128) -> Duration {
    if times == 0 {
        return Duration::ZERO;
    }
    let scaled = duration.as_nanos().saturating_mul(times).checked_div(over);
    scaled.map_or(Duration::MAX, nanoseconds)
}

/// Saturates: hundreds of years are as good as never.
fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// No attempt has a backup before: most tasks have ended by then, and heartbeats come once a
/// second.
pub(crate) const AGE_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;

    #[test]
    fn numbers_beyond_reason_do_not_overflow() {
        let progress = |heard, bytes, bytes_read| Progress {
            attempt: AttemptId { task: TaskId::map(0), number: 0 },
            worker: WorkerId(1),
            bytes,
            started: Time::default(),
            heard,
            bytes_read,
            before: (Time::default(), 0),
        };
        let ends = [Time::default(), Time(AGE_MIN), Time(Duration::MAX)];
        let durations = [Duration::ZERO, AGE_MIN, Duration::MAX];
        for (heard, now) in ends.iter().flat_map(|&heard| ends.map(|now| (heard, now))) {
            for (bytes, read) in [(0, 0), (0, 1), (1, 0), (1, u64::MAX), (u64::MAX, 1)] {
                let progress = progress(heard, bytes, read);
                for (expected, silence) in
                    durations.iter().flat_map(|&first| durations.map(|second| (first, second)))
                {
                    let due = progress.due(now, expected, silence);
                    assert!(due.is_none_or(|due| due >= now), "{progress:?}");
                }
            }
        }
    }
}
