//! The part of a text whose lines are found before their words are counted.

/// A window of text at the beginning, and room for a key behind wherever a line can be said to
/// begin: so no start needs to be compared with anything.
pub(crate) type Window = [u8; (1 << u16::BITS) + KEY_BYTES_MAX];

/// Bytes whose lines are looked for before their words are counted: few enough that all stay in
/// the first-level cache, with room for the words that matter.
pub(crate) const WINDOW: usize = 4 << 10;

/// The bytes of the longest key: of a short word, see `key.rs`.
pub(crate) const KEY_BYTES_MAX: usize = 16;
