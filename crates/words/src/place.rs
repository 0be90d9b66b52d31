//! What the text that was read so far ends in.

/// What the text that was read so far ends in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// A word that starts in another split; it is skipped.
    Foreign,
    /// Something between words.
    Gap,
    /// A word of this split, already counted and partly in its bucket.
    Word {
        /// Its bucket.
        bucket: u32,
    },
}
