//! The rules by which a job reads its words.

use crate::char_set::CharSet;
use crate::utf8::Unit;

/// Which units make up a word. A word is a maximal run of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WordRule {
    /// Characters with the Unicode property Alphabetic. Everything else separates words, bytes
    /// that are not valid UTF-8 included.
    #[default]
    Letters,
    /// Everything except characters with the Unicode property `White_Space`. Bytes that are not
    /// valid UTF-8 are parts of words.
    Whitespace,
}

impl WordRule {
    /// Whether `unit` is part of a word.
    #[inline]
    pub(crate) fn takes(self, unit: Unit) -> bool {
        match unit {
            Unit::Byte(_) => self.takes_bytes(),
            Unit::Char(character) => self.characters().has(u32::from(character)),
        }
    }

    /// Whether bytes that are not valid UTF-8 are parts of words.
    #[inline]
    pub(crate) fn takes_bytes(self) -> bool {
        match self {
            Self::Letters => false,
            Self::Whitespace => true,
        }
    }

    /// The characters that are parts of words.
    #[inline]
    pub(crate) fn characters(self) -> &'static CharSet {
        match self {
            Self::Letters => CharSet::letters(),
            Self::Whitespace => CharSet::visible(),
        }
    }
}

/// How a job reads its words. Two jobs with the same rules and input have the same words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// What separates words.
    pub words: WordRule,
    /// Replace each character of a word by its lower case: the word rule sees the character, all
    /// else the lower case.
    ///
    /// One character may become several; all of them stay in the word, alphabetic or not.
    pub ignore_case: bool,
}

impl Rules {
    /// The first scalar value of `unit` as it appears in a word; an invalid byte is its own value.
    pub(crate) fn first_scalar(self, unit: Unit) -> u32 {
        match unit {
            Unit::Char(character) if self.ignore_case => {
                character.to_lowercase().next().map_or(unit.scalar(), u32::from)
            }
            Unit::Byte(_) | Unit::Char(_) => unit.scalar(),
        }
    }

    /// Give `put` the bytes of `unit` as they appear in a word, in order.
    pub(crate) fn spell(self, unit: Unit, mut put: impl FnMut(&[u8])) {
        let mut buffer = [0; 4];
        match unit {
            Unit::Byte(byte) => put(&[byte]),
            Unit::Char(character) if self.ignore_case => {
                for lower in character.to_lowercase() {
                    put(lower.encode_utf8(&mut buffer).as_bytes());
                }
            }
            Unit::Char(character) => put(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}
