//! From lines of intermediates to a table of counts.
//!
//! For every few KiB, first the lines are found, then their words are counted.

use crate::lines::Lines;
use crate::simd::Level;
use crate::table::Table;
use crate::window::WINDOW;

/// Counts lines, whatever blocks they come in: each is one word.
///
/// A line that spans blocks is held until its newline comes.
#[derive(Debug, Default)]
pub struct Counter {
    table: Table,
    words: u64,
    lines: Box<Lines>,
    /// The beginning of a line whose newline has not been fed yet.
    carry: Vec<u8>,
}

impl Counter {
    /// A counter that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the instructions of `level`: for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn at_level(level: Level) -> Self {
        Self { table: Table::at_level(level), ..Self::default() }
    }

    /// Count the lines of the next bytes of an intermediate.
    pub fn feed(&mut self, block: &[u8]) {
        let mut text = block;
        if !self.carry.is_empty() {
            let Some(end) = text.iter().position(|&byte| byte == b'\n') else {
                return self.carry.extend_from_slice(text);
            };
            self.add_carried(&text[..end]);
            text = &text[end + 1..];
        }
        self.take_lines(text);
    }

    /// Ends the intermediate. Returns whether its last line was complete.
    ///
    /// A last line without a newline is dropped and not counted: the intermediate is damaged.
    #[must_use]
    pub fn end_object(&mut self) -> bool {
        let complete = self.carry.is_empty();
        self.carry = Vec::new();
        complete
    }

    /// Lines counted so far.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.words
    }

    /// What was counted so far.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The table, to take it and put an empty one in its place.
    pub fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// The beginning of a line whose newline has not been fed yet.
    #[must_use]
    pub fn begun(&self) -> &[u8] {
        &self.carry
    }

    /// Take the incomplete line out of the counter. The caller counts that line when it has the
    /// rest.
    #[must_use]
    pub fn take_begun(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.carry)
    }

    /// What was counted.
    #[must_use]
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Count the lines of `text`, which begins with one, and hold a line without an end.
    fn take_lines(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            self.lines.find(self.table.level(), text);
            self.table.add_lines(&self.lines);
            self.words += self.lines.len() as u64;
            let mut next = self.lines.end();
            if next == 0 {
                let behind = text.get(WINDOW..).unwrap_or_default();
                let Some(end) = behind.iter().position(|&byte| byte == b'\n') else {
                    break;
                };
                let end = WINDOW + end;
                self.table.add(&text[..end], 1);
                self.words += 1;
                next = end + 1;
            }
            // The next window begins with a line, so that every line is in one window.
            text = &text[next..];
        }
        self.carry.extend_from_slice(text);
    }

    #[cold]
    fn add_carried(&mut self, end: &[u8]) {
        self.carry.extend_from_slice(end);
        self.table.add(&self.carry, 1);
        self.words += 1;
        self.carry.clear();
        // One giant word must not stay for the rest of the job.
        self.carry.shrink_to(CARRY_KEPT_BYTES);
    }
}

/// Longer than nearly all words.
const CARRY_KEPT_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_may_span_blocks_and_even_be_empty() {
        for size in 1..20 {
            let mut counter = Counter::new();
            for block in b"the\nend\nthe\n\na-rather-long-line-of-words\n".chunks(size) {
                counter.feed(block);
            }
            assert!(counter.end_object());
            assert_eq!(counter.words(), 5);
            let sorted = counter.into_table().into_sorted(|| ());
            let expected: [(&[u8], u64); 4] =
                [(b"", 1), (b"a-rather-long-line-of-words", 1), (b"end", 1), (b"the", 2)];
            assert!(sorted.iter().eq(expected), "blocks of {size}");
        }
    }

    #[test]
    fn line_without_newline_is_reported_and_dropped() {
        let mut counter = Counter::new();
        counter.feed(b"the\nen");
        assert!(!counter.end_object());
        counter.feed(b"d\n");
        assert!(counter.end_object());

        assert_eq!((counter.words(), counter.table().len()), (2, 2));
        let sorted = counter.into_table().into_sorted(|| ());
        assert!(sorted.iter().eq([(b"d".as_slice(), 1), (b"the".as_slice(), 1)]));
    }
}
