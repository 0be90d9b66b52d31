//! What the fuzz target `numbers` checks. Compiled for it and for tests only.

use super::{bytes, grouped, parse_bytes, parse_count, parse_seconds};

/// Reads `data` as every kind of number: what is accepted is what it says, and within its bounds.
///
/// # Panics
///
/// When it is not so.
pub(crate) fn check(data: &[u8]) {
    const MOST: u32 = 10_000;
    let Ok(text) = std::str::from_utf8(data) else { return };
    let naive = naive_bytes(text).filter(|number| (1..=u64::MAX.into()).contains(number));
    assert_eq!(parse_bytes(text).ok().map(|number| number.get().into()), naive, "{text:?}");
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    assert_eq!(parse_count(text, MOST).ok().map(|number| number.get()), count, "{text:?}");
    if let Ok(duration) = parse_seconds(text) {
        let seconds = text.parse().unwrap_or(f64::NAN);
        assert!((0.01..=604_800.0).contains(&seconds), "{text:?}");
        assert!((duration.as_secs_f64() - seconds).abs() < 1e-6, "{text:?} became {duration:?}");
    }
    if let Ok(number) = text.parse::<u64>() {
        assert_eq!(grouped(number).replace(',', ""), number.to_string());
        assert!(bytes(number).len() <= "1023.9 KiB".len(), "{}", bytes(number));
    }
}

/// Digit by digit, in numbers that cannot overflow. `None` for what is no number of bytes, and for
/// one that is far too large.
fn naive_bytes(text: &str) -> Option<u128> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_prefix('+').unwrap_or(&text);
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    let mut number = 0_u128;
    for digit in digits.chars() {
        number = number.checked_mul(10)?.checked_add(digit.to_digit(10)?.into())?;
    }
    (!digits.is_empty()).then_some(number.checked_mul(unit)?)
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_are_the_numbers_that_they_say() {
    replay::replay("numbers", check);
}
