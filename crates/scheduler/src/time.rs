//! The time, as the caller passes it in.
//!
//! Not `std::time::Instant`: that can be neither constructed nor printed, so no test could say
//! "at 10s" and no transcript could show it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A moment, counted from the driver's start.
///
/// It never runs backwards. A caller that was itself suspended (SIGSTOP, a frozen machine) should
/// leave the gap out of its clock, or every lease has expired when it continues.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time(pub Duration);

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates, so that a timeout of [`Duration::MAX`] means "never".
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Duration` calls it 0ns.
        if self.0.is_zero() { f.write_str("0s") } else { fmt::Debug::fmt(&self.0, f) }
    }
}
