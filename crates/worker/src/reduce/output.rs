//! The output of a reduce attempt while it is written.

use store::StagedObject;
use words::write_line;

use super::long_words::SortedLongWords;
use super::scratch::Scratch;
use crate::budget::BLOCK_BYTES;
use crate::failure::{Interrupted, store_failure};
use crate::progress::Progress;

/// Collects lines, and writes them to a file in blocks.
pub(super) struct Output<'attempt> {
    file: &'attempt mut dyn StagedObject,
    progress: &'attempt Progress,
    lines: Vec<u8>,
    total: Total,
}

/// The counts of an output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    /// The sum of all counts.
    pub(super) words: u64,
    pub(super) distinct_words: u64,
}

impl<'attempt> Output<'attempt> {
    pub(super) fn new(file: &'attempt mut dyn StagedObject, progress: &'attempt Progress) -> Self {
        let lines = Vec::with_capacity(2 * BLOCK_BYTES);
        Self { file, progress, lines, total: Total::default() }
    }

    pub(super) fn write(&mut self, word: &[u8], count: u64) -> Result<(), Interrupted> {
        write_line(&mut self.lines, word, count);
        self.total.words += count;
        self.total.distinct_words += 1;
        if self.lines.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the next of `long_words`.
    pub(super) fn write_long_word(
        &mut self,
        long_words: &mut SortedLongWords,
        scratch: &Scratch<'_>,
    ) -> Result<(), Interrupted> {
        self.flush()?;
        let count = long_words.copy_next(self.file, scratch)?;
        // The word is in the file already.
        self.write(b"", count)
    }

    pub(super) fn end(mut self) -> Result<Total, Interrupted> {
        self.flush()?;
        Ok(self.total)
    }

    fn flush(&mut self) -> Result<(), Interrupted> {
        self.file.append(&self.lines).map_err(store_failure)?;
        self.lines.clear();
        self.progress.advance()
    }
}
