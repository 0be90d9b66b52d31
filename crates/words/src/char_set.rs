//! Properties of characters as bit sets, made at build time from what `std` says.
//!
//! `char::is_alphabetic` and `char::to_lowercase` search tables that are packed for size, at 10 to
//! 25 ns a character: Russian was read at 65 MB/s. A [`CharSet`] has a bit for every character of
//! the first two planes (16 KiB), and the same bits in shapes that fit into registers. The build
//! script asks `std`: a process that asks it at run time takes 3 to 6 ms for each set, and some
//! jobs are over in 15.

/// A set of characters.
pub(crate) struct CharSet {
    /// Bit `c % 64` of word `c / 64` for the characters below U+20000.
    bits: [u64; 0x2_0000 / 64],
    /// Characters of two bytes: bit `b % 8` of byte `a * 8 + b / 8`, where `a` is the lower five
    /// bits of the first byte and `b` the lower six of the second.
    pub(crate) two: [u8; 256],
    /// Characters of three bytes: all 64 that begin with the same two bytes are in the set.
    pub(crate) all: [u8; 128],
    /// The same: some of the 64 are in the set, and some are not.
    pub(crate) some: [u8; 128],
    /// Characters from U+20000 on.
    has: fn(char) -> bool,
}

/// A set that the build script wrote.
macro_rules! built {
    ($name:literal, $has:expr) => {
        CharSet::new(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bits")), $has)
    };
}

impl CharSet {
    /// Characters with the property Alphabetic.
    pub(crate) fn letters() -> &'static Self {
        static LETTERS: CharSet = built!("letters", char::is_alphabetic);
        &LETTERS
    }

    /// Characters without the property `White_Space`.
    pub(crate) fn visible() -> &'static Self {
        static VISIBLE: CharSet = built!("visible", |character| !character.is_whitespace());
        &VISIBLE
    }

    /// Characters that are not their own lower case.
    pub(crate) fn upper() -> &'static Self {
        static UPPER: CharSet =
            built!("upper", |character| !character.to_lowercase().eq([character]));
        &UPPER
    }

    /// Bit `c % 8` of byte `c / 8` tells whether the set has `c`; `has` tells it from U+20000 on.
    const fn new(built: &[u8; 0x2_0000 / 8], has: fn(char) -> bool) -> Self {
        let mut set =
            Self { bits: [0; 0x2_0000 / 64], two: [0; 256], all: [0; 128], some: [0; 128], has };
        let (words, _) = built.as_chunks::<8>();
        let mut row = 0;
        while row < words.len() {
            set.bits[row] = u64::from_le_bytes(words[row]);
            row += 1;
        }
        let (two, _) = built.split_at(set.two.len());
        set.two.copy_from_slice(two);
        let mut row = 0;
        while row < 0x1_0000 / 64 {
            let bits = set.bits[row];
            set.all[row / 8] |= ((bits == u64::MAX) as u8) << (row % 8);
            set.some[row / 8] |= ((bits != u64::MAX && bits != 0) as u8) << (row % 8);
            row += 1;
        }
        set
    }

    /// Whether it has the character with the scalar value `value`.
    #[inline(always)]
    pub(crate) fn has(&self, value: u32) -> bool {
        match self.bits.get(value as usize / 64) {
            Some(bits) => bits >> (value % 64) & 1 == 1,
            None => char::from_u32(value).is_some_and(self.has),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_what_std_says() {
        for character in '\0'..=char::MAX {
            let lower: Vec<_> = character.to_lowercase().collect();
            for (set, expected) in [
                (CharSet::letters(), character.is_alphabetic()),
                (CharSet::visible(), !character.is_whitespace()),
                (CharSet::upper(), lower != [character]),
            ] {
                assert_eq!(set.has(u32::from(character)), expected, "{character:?}");
            }
        }
    }
}
