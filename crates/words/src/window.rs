//! The part of a text whose lines are found before their words are counted.

/// The text is at the beginning. Behind it are enough bytes to load a key from every start of
/// sixteen bits: no start has to be compared with the length.
pub(crate) type Window = [u8; (1 << u16::BITS) + KEY_BYTES_MAX];

/// Bytes of text in a window: few enough that it stays in the first-level cache, beside the slots
/// of the frequent words.
pub(crate) const WINDOW: usize = 4 << 10;

/// The bytes of the longest key: of a short word, see `key.rs`.
pub(crate) const KEY_BYTES_MAX: usize = 16;
