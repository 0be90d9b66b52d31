//! Numbers, sizes and times as users write and read them.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use journal::duration::measured as seconds;

/// A whole number from 1 to `max`.
pub(crate) fn parse_count(text: &str, max: u32) -> Result<NonZeroU32, String> {
    let number = text.parse().ok().filter(|number: &NonZeroU32| number.get() <= max);
    number.ok_or_else(|| format!("expected a whole number from 1 to {}", grouped(max.into())))
}

/// Seconds, whole or not, from a hundredth to a week.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    const WEEK: f64 = 604_800.0;
    let seconds = text.parse().ok().filter(|seconds| (0.01..=WEEK).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, from 0.01 to 604800".to_owned())
}

/// Bytes, with a unit or without: `500K`, `20MiB`. Units are powers of 1024.
pub(crate) fn parse_bytes(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => u32::MAX,
    };
    let bytes = digits.parse().ok().and_then(|number: u64| {
        let unit = 1_u64.checked_shl(shift)?;
        NonZeroU64::new(number.checked_mul(unit)?)
    });
    bytes.ok_or_else(|| "expected bytes, such as 1000000, 500K, or 20MiB".to_owned())
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 worker`, `2 workers`
pub(crate) fn plural(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{} {many}", grouped(number)),
    }
}

/// `0 B`, `1.2 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    while number >= 1023.95 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.1} {}", UNITS[unit])
}

/// `12.3 MiB/s`
pub(crate) fn rate(number: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    format!("{}/s", bytes((number as f64 / seconds) as u64))
}

/// As [`seconds`], for an estimate: `5 s`, `1 min 11 s`
pub(crate) fn whole_seconds(duration: Duration) -> String {
    match duration.as_secs_f64().ceil() as u64 {
        whole @ 0..60 => format!("{whole} s"),
        whole => seconds(Duration::from_secs(whole)),
    }
}

/// The first unit of [`seconds`] alone: `12 s`, `1 min`, `2 h`
pub(crate) fn coarse(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min", whole / 60),
        3600..86_400 => format!("{} h", whole / 3600),
        _ => format!("{} d", grouped(whole / 86_400)),
    }
}

/// Seconds since 1970; 0 before.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-11-21T23:24:35.123Z`, from the time since 1970
pub(crate) fn rfc3339(since: Duration) -> String {
    let (date, time) = calendar(since.as_secs());
    format!("{date}T{time}.{:03}Z", since.subsec_millis())
}

/// `2026-11-21 23:24:35 UTC`, from seconds since 1970
pub(crate) fn utc(unix_seconds: u64) -> String {
    let (date, time) = calendar(unix_seconds);
    format!("{date} {time} UTC")
}

/// Date and time in UTC, from seconds since 1970.
fn calendar(unix_seconds: u64) -> (String, String) {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Days since 0000-03-01: the leap day is then the last day of a year, and every 400 years have
    // the same length.
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
}

/// A bar of `columns`, filled from the left by `share`, from 0 to 1, in eighths of a column.
pub(crate) fn bar_of(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    format!("{bar:<columns$}")
}

#[cfg(any(fuzzing, test))]
#[path = "numbers/fuzz.rs"]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_limits() {
        assert_eq!(parse_count("6", 10).unwrap().get(), 6);
        for text in ["0", "11", "-1", "x", "", "1.5"] {
            assert_eq!(parse_count(text, 10).unwrap_err(), "expected a whole number from 1 to 10");
        }
    }

    #[test]
    fn bytes_take_units() {
        assert_eq!(parse_bytes("1000").unwrap().get(), 1000);
        assert_eq!(parse_bytes("500K").unwrap().get(), 512_000);
        assert_eq!(parse_bytes("20MiB").unwrap().get(), 20 << 20);
        for text in ["0", "", "K", "1X", "-1", "99999999999G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_may_be_fractions() {
        assert_eq!(parse_seconds("0.5").unwrap(), Duration::from_millis(500));
        for text in ["0", "-1", "nan", "inf", "1e9", ""] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bars_have_eighths() {
        assert_eq!(bar_of(0.0, 3), "   ");
        assert_eq!(bar_of(0.5, 3), "█▌ ");
        assert_eq!(bar_of(1.0, 3), "███");
    }

    /// As `date --utc --date=@SECONDS` prints them.
    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_795_303_475, "2026-11-21 23:24:35 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(unix_seconds), text);
            let stamp = text.replacen(' ', "T", 1).replace(" UTC", ".007Z");
            assert_eq!(rfc3339(Duration::new(unix_seconds, 7_000_000)), stamp);
        }
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(plural(1_u64, "worker", "workers"), "1 worker");
        assert_eq!(plural(0_u64, "worker", "workers"), "0 workers");
    }
}
