//! Units of bytes that may be UTF-8: a character, or a single invalid byte.
//!
//! Well-formed is what `std::str` and Unicode's table 3-7 define: no surrogates, no overlong forms,
//! nothing above U+10FFFF. A byte that does not begin a well-formed character is a unit of its own.
//! Bytes inside a well-formed character never begin one, so characters cannot overlap, and at most
//! three bytes on each side of a byte decide whether it belongs to one, wherever reading began.
//! This is why a split can be cut anywhere.

/// A character, or an invalid byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// A byte that is part of no well-formed character.
    Byte(u8),
    /// A well-formed character.
    Char(char),
}

impl Unit {
    /// Its scalar value; that of an invalid byte is the byte.
    pub(crate) fn scalar(self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(byte),
            Self::Char(character) => u32::from(character),
        }
    }

    /// How many bytes it takes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Char(character) => character.len_utf8(),
        }
    }
}

/// The unit at the start of `bytes`. `None` when `bytes` is a proper prefix of a well-formed
/// character: one to three bytes, or none at all.
pub(crate) fn next_unit(bytes: &[u8]) -> Option<Unit> {
    let (&lead, tail) = bytes.split_first()?;
    let Some((tail_len, second_min, second_max)) = shape(lead) else {
        return Some(Unit::Byte(lead));
    };
    // The lead byte keeps 7, 5, 4 or 3 bits of the scalar value.
    let lead_bits = if tail_len == 0 { 0x7F } else { 0x3F >> tail_len };
    let mut value = u32::from(lead) & lead_bits;
    for index in 0..tail_len {
        let &byte = tail.get(index)?;
        let (min, max) = if index == 0 { (second_min, second_max) } else { (0x80, 0xBF) };
        if byte < min || byte > max {
            return Some(Unit::Byte(lead));
        }
        value = value << 6 | u32::from(byte & 0x3F);
    }
    let character = char::from_u32(value).expect("the ranges above exclude surrogates and excess");
    Some(Unit::Char(character))
}

/// The scalar value of the well-formed character at the start of `bytes`, which is not ASCII.
#[inline(always)]
pub(crate) fn scalar_value(bytes: &[u8]) -> u32 {
    let bits = |at: usize| u32::from(bytes[at] & 0x3F);
    match bytes[0] {
        ..0xE0 => u32::from(bytes[0] & 0x1F) << 6 | bits(1),
        0xE0..0xF0 => u32::from(bytes[0] & 0x0F) << 12 | bits(1) << 6 | bits(2),
        0xF0.. => u32::from(bytes[0] & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3),
    }
}

/// For a byte that may begin a character: how many bytes follow, and the range of the second.
fn shape(lead: u8) -> Option<(usize, u8, u8)> {
    match lead {
        0x00..=0x7F => Some((0, 0, 0)),
        0xC2..=0xDF => Some((1, 0x80, 0xBF)),
        0xE0 => Some((2, 0xA0, 0xBF)),
        0xE1..=0xEC | 0xEE..=0xEF => Some((2, 0x80, 0xBF)),
        0xED => Some((2, 0x80, 0x9F)),
        0xF0 => Some((3, 0x90, 0xBF)),
        0xF1..=0xF3 => Some((3, 0x80, 0xBF)),
        0xF4 => Some((3, 0x80, 0x8F)),
        0x80..=0xC1 | 0xF5..=0xFF => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_itself() {
        let mut buffer = [0; 4];
        for character in '\0'..=char::MAX {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(next_unit(bytes), Some(Unit::Char(character)));
            for len in 0..bytes.len() {
                assert_eq!(next_unit(&bytes[..len]), None, "{character:?} cut to {len} bytes");
            }
        }
    }

    #[test]
    fn all_sequences_of_three_bytes_are_as_in_std() {
        for value in 0_u32..1 << 24 {
            let [_, a, b, c] = value.to_be_bytes();
            check(&[a, b, c]);
        }
    }

    #[test]
    fn sequences_of_four_bytes_are_as_in_std_around_every_limit() {
        let edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xFF];
        for lead in 0xE0..=0xFF {
            for second in 0x00..=0xFF {
                for (third, fourth) in edges.iter().flat_map(|&a| edges.map(|b| (a, b))) {
                    check(&[lead, second, third, fourth]);
                }
            }
        }
    }

    #[track_caller]
    fn check(bytes: &[u8]) {
        let chunk = bytes.utf8_chunks().next().expect("not empty");
        let expected = match chunk.valid().chars().next() {
            Some(character) => Some(Unit::Char(character)),
            // `std` does not say whether more bytes could help, except through the error.
            None => match std::str::from_utf8(bytes) {
                Err(error) if error.error_len().is_none() => None,
                Err(_) | Ok(_) => Some(Unit::Byte(bytes[0])),
            },
        };
        assert_eq!(next_unit(bytes), expected, "{bytes:x?}");
    }
}
