//! Rate limit for log lines that a peer can cause.

use std::fmt;
use std::time::Duration;

use crate::limits::LINES_A_SECOND;

/// Lines of one kind. Within a second some are logged, and the others are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogLimit {
    /// When the present second began, on a clock of the caller's.
    began: Duration,
    said: u32,
    suppressed: u64,
}

/// How many lines of the kind were suppressed before this one; displays nothing if none were.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suppressed(u64);

impl LogLimit {
    /// `None`: this line is suppressed.
    pub fn say(&mut self, now: Duration) -> Option<Suppressed> {
        if now.saturating_sub(self.began) >= Duration::from_secs(1) {
            (self.began, self.said) = (now, 0);
        }
        if self.said < LINES_A_SECOND {
            self.said += 1;
            Some(Suppressed(std::mem::take(&mut self.suppressed)))
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// How many lines were suppressed since the last that was logged.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} times more, which were not logged)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppressed_lines_are_counted_and_reported_with_the_next() {
        let mut log_limit = LogLimit::default();
        let said =
            (0..10_000).filter(|_| log_limit.say(Duration::from_millis(5)).is_some()).count();
        assert_eq!(said, LINES_A_SECOND as usize);

        let next = log_limit.say(Duration::from_secs(2)).map(|suppressed| suppressed.to_string());
        assert_eq!(next.as_deref(), Some(" (and 9990 times more, which were not logged)"));
        assert_eq!(log_limit.say(Duration::from_secs(2)), Some(Suppressed(0)));
    }
}
