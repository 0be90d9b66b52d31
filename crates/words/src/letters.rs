//! What `std` says about the characters that texts are made of, looked up once a process.
//!
//! `char::is_alphabetic` and `char::to_lowercase` search tables that are packed for size, at 10 to
//! 25 ns a character: Russian was read at 65 MB/s. One bit for every character of the Basic
//! Multilingual Plane (8 KiB) and one lower case for every character of two bytes (4 KiB) are
//! filled from them in half a millisecond, and agree with them in everything.

use std::sync::LazyLock;

/// The same as `char::is_alphabetic`.
#[inline]
pub(crate) fn is_alphabetic(character: char) -> bool {
    let value = character as usize;
    match TABLES.alphabetic.get(value / 64) {
        Some(bits) => bits >> (value % 64) & 1 == 1,
        None => character.is_alphabetic(),
    }
}

/// The lower case of `character` when it is one character and takes as many bytes.
#[inline]
pub(crate) fn lower_of_same_len(character: char) -> Option<char> {
    match TABLES.lower.get(character as usize) {
        Some(lower) => *lower,
        None => find_lower_of_same_len(character),
    }
}

fn find_lower_of_same_len(character: char) -> Option<char> {
    let mut lower = character.to_lowercase();
    let first = lower.next().filter(|first| first.len_utf8() == character.len_utf8());
    if lower.next().is_some() { None } else { first }
}

struct Tables {
    /// Bit `c % 64` of word `c / 64` for the characters below U+10000.
    alphabetic: [u64; 0x1_0000 / 64],
    /// For the characters below U+0800.
    lower: [Option<char>; 0x800],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables { alphabetic: [0; 0x1_0000 / 64], lower: [None; 0x800] };
    for character in '\0'..'\u{1_0000}' {
        let value = character as usize;
        tables.alphabetic[value / 64] |= u64::from(character.is_alphabetic()) << (value % 64);
    }
    for (character, lower) in ('\0'..).zip(&mut tables.lower) {
        *lower = find_lower_of_same_len(character);
    }
    tables
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_what_std_says() {
        for character in '\0'..=char::MAX {
            assert_eq!(is_alphabetic(character), character.is_alphabetic(), "{character:?}");
            let lower: Vec<_> = character.to_lowercase().collect();
            let expected = match lower[..] {
                [lower] if lower.len_utf8() == character.len_utf8() => Some(lower),
                _ => None,
            };
            assert_eq!(lower_of_same_len(character), expected, "{character:?}");
        }
    }
}
