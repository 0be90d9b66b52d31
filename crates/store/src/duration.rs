//! Durations for people, in the two largest units.
//!
//! Here because every crate with messages about time depends on this one, and not all of them on
//! any other.

use std::time::Duration;

/// One that was measured: `0.12 s`, `12.3 s`, `1 min 11 s`, `2 h 5 min`, `3 d 4 h`
pub fn measured(duration: Duration) -> String {
    let two = |big: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {smaller}"),
    };
    let seconds = duration.as_secs_f64();
    // Rounded before the unit is chosen: there is no `60.0 s`, and no `60 min`.
    let (whole, minutes) = (seconds.round() as u64, (seconds / 60.0).round() as u64);
    if seconds < 9.995 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else if whole < 3600 {
        two(whole / 60, "min", whole % 60, "s")
    } else if minutes < 24 * 60 {
        two(minutes / 60, "h", minutes % 60, "min")
    } else {
        let hours = (seconds / 3600.0).round() as u64;
        two(hours / 24, "d", hours % 24, "h")
    }
}

/// One that was chosen, or is told in whole seconds: `2.5 s`, `30 s`, `1 min 15 s`
pub fn exact(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{} s", duration.as_secs_f64()),
        60.. => measured(duration),
    }
}

/// The same without the fraction of a second.
pub fn whole(duration: Duration) -> String {
    exact(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        for (millis, text) in [
            (0, "0.00 s"),
            (123, "0.12 s"),
            (9_994, "9.99 s"),
            (9_996, "10.0 s"),
            (12_345, "12.3 s"),
            (59_949, "59.9 s"),
            (59_951, "1 min"),
            (71_200, "1 min 11 s"),
            (3_599_499, "59 min 59 s"),
            (3_599_501, "1 h"),
            (7_500_000, "2 h 5 min"),
            (86_399_000, "1 d"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(measured(Duration::from_millis(millis)), text, "{millis} ms");
        }
    }

    #[test]
    fn chosen_durations_below_a_minute_read_as_they_were_written() {
        for (millis, text) in [
            (10, "0.01 s"),
            (2_500, "2.5 s"),
            (30_000, "30 s"),
            (59_999, "59.999 s"),
            (60_000, "1 min"),
            (75_000, "1 min 15 s"),
        ] {
            assert_eq!(exact(Duration::from_millis(millis)), text, "{millis} ms");
        }
        assert_eq!(whole(Duration::from_millis(59_999)), "59 s");
        assert_eq!(whole(Duration::from_millis(75_999)), "1 min 15 s");
    }
}
