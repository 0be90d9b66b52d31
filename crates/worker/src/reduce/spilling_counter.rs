//! Counts the words of a bucket: in memory while they fit, then in sorted runs on disk.
//!
//! # Invariants
//!
//! * Before lines are counted, the table is known to fit into memory with any words they may hold;
//!   otherwise it is spilled as a run first, and is empty again.
//! * A word is a long word exactly if it is longer than `budget.word_bytes()`.

use store::StagedObject;
use words::{Counter, Merge, Table};

use super::long_words::LongWords;
use super::output::{Output, Total};
use super::runs::{Runs, Source};
use super::scratch::Scratch;
use crate::budget::Budget;
use crate::failure::Interrupted;

/// The counts so far.
pub(super) struct SpillingCounter<'attempt> {
    budget: Budget,
    scratch: Scratch<'attempt>,
    counter: Counter,
    runs: Runs,
    long_words: LongWords<'attempt>,
}

impl<'attempt> SpillingCounter<'attempt> {
    pub(super) fn new(budget: Budget, scratch: Scratch<'attempt>) -> Self {
        let (counter, runs, long_words) = (Counter::new(), Runs::new(budget), LongWords::default());
        Self { budget, scratch, counter, runs, long_words }
    }

    /// Lines counted so far.
    pub(super) fn words(&self) -> u64 {
        self.counter.words() + self.long_words.words()
    }

    /// Counts the lines of the next bytes of an intermediate.
    pub(super) fn feed(&mut self, block: &[u8]) -> Result<(), Interrupted> {
        // No line that begins and ends in such a piece is a long word.
        for piece in block.chunks(self.budget.word_bytes()) {
            let lines = self.feed_long_word(piece)?;
            self.reserve(lines.len())?;
            self.counter.feed(lines);
        }
        Ok(())
    }

    /// The intermediate has ended. Whether its last line was complete.
    #[must_use]
    pub(super) fn end_object(&mut self) -> bool {
        self.counter.end_object() && self.long_words.begun().is_none()
    }

    /// If `piece` begins with a part of a long word, takes it. Returns the rest.
    fn feed_long_word<'piece>(&mut self, piece: &'piece [u8]) -> Result<&'piece [u8], Interrupted> {
        if self.counter.begun().is_empty() && self.long_words.begun().is_none() {
            return Ok(piece);
        }
        let end = piece.iter().position(|&byte| byte == b'\n');
        let line = &piece[..end.unwrap_or(piece.len())];
        if self.long_words.begun().is_none() {
            if self.counter.begun().len() + line.len() <= self.budget.word_bytes() {
                return Ok(piece);
            }
            let begun = self.counter.take_begun();
            self.long_words.begin(&mut self.scratch, &begun, line)?;
        }
        if let Some(file) = self.long_words.begun() {
            file.append(line)?;
        }
        let Some(end) = end else { return Ok(&[]) };
        self.long_words.end(self.budget)?;
        Ok(&piece[end + 1..])
    }

    /// Spills the table if it might not fit into memory with the words of so many bytes.
    fn reserve(&mut self, bytes: usize) -> Result<(), Interrupted> {
        let table = self.counter.table();
        // A word takes at least a byte and a line feed; one may have begun before.
        let words = bytes.div_ceil(2) + 1;
        let bytes = bytes + self.counter.begun().len();
        if table.is_empty() || table.peak_bytes(words, bytes) <= self.budget.table_bytes() {
            return Ok(());
        }
        let table = std::mem::take(self.counter.table_mut());
        let sorted = table.into_sorted(|| self.scratch.progress.step());
        self.runs.write(&mut self.scratch, &sorted)?;
        if self.runs.merge_is_due() {
            // Merging needs the memory of the table.
            drop(sorted);
            return self.runs.merge_full_levels(&mut self.scratch);
        }
        *self.counter.table_mut() = sorted.into_table();
        Ok(())
    }

    /// Writes all words with their counts, sorted.
    pub(super) fn write(self, file: &mut dyn StagedObject) -> Result<Total, Interrupted> {
        let words = self.words();
        let Self { budget, mut scratch, counter, mut runs, long_words } = self;
        let mut sorted = counter.into_table().into_sorted(|| scratch.progress.step());
        if !runs.is_empty() {
            sorted.shrink();
            if !runs.can_merge_beside(sorted.memory_bytes()) {
                runs.write(&mut scratch, &sorted)?;
                sorted = Table::new().into_sorted(|| ());
            }
            runs.merge_to_few(&mut scratch)?;
        }
        faults::reach("worker::merge", "");
        let mut long_words = long_words.into_sorted(&scratch)?;
        let mut output = Output::new(file, scratch.progress);
        let mut write = |word: &[u8], count| {
            while long_words.next_is_before(word, budget.word_bytes(), &scratch)? {
                output.write_long_word(&mut long_words, &scratch)?;
            }
            output.write(word, count)
        };
        if runs.is_empty() {
            sorted.iter().try_for_each(|(word, count)| write(word, count))?;
        } else {
            let mut sources = runs.open(&scratch, sorted.memory_bytes())?;
            sources.push(Source::in_memory(&sorted));
            let mut merge = Merge::new(sources)?;
            while let Some((word, count)) = merge.next_word()? {
                write(word, count)?;
            }
        }
        while !long_words.is_empty() {
            output.write_long_word(&mut long_words, &scratch)?;
        }
        let total = output.end()?;
        runs.remove(&scratch)?;
        assert_eq!(
            total.words, words,
            "the counts that were written do not add up to the words that were read"
        );
        Ok(total)
    }
}
