//! Lines of intermediates to a table of counts.

use crate::gaps::{CHUNK, byte_mask};
use crate::table::Table;

/// Counts lines, whatever blocks they come in: each is one word.
///
/// A line that spans blocks is held until its newline comes.
#[derive(Debug, Default)]
pub struct Counter {
    table: Table,
    words: u64,
    /// The line that has begun and not ended.
    carry: Vec<u8>,
}

impl Counter {
    /// A counter that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Count the lines of the next bytes of an intermediate.
    pub fn feed(&mut self, block: &[u8]) {
        // Where the line that is being read begins.
        let mut line = 0;
        let (chunks, last) = block.as_chunks::<CHUNK>();
        for (index, chunk) in chunks.iter().enumerate() {
            self.take_lines(block, &mut line, index * CHUNK, byte_mask(b'\n', chunk));
        }
        if !last.is_empty() {
            let mut chunk = [0; CHUNK];
            chunk[..last.len()].copy_from_slice(last);
            let at = block.len() - last.len();
            self.take_lines(block, &mut line, at, byte_mask(b'\n', &chunk));
        }
        self.carry.extend_from_slice(&block[line..]);
    }

    /// The intermediate is complete; says whether its last line was.
    ///
    /// A last line without a newline is dropped and not counted: the object is damaged.
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

    /// What was counted.
    #[must_use]
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Count the lines that end in the chunk at `block[at..]`, where `newlines` are.
    #[inline]
    fn take_lines(&mut self, block: &[u8], line: &mut usize, at: usize, mut newlines: u64) {
        self.words += u64::from(newlines.count_ones());
        while newlines != 0 {
            let end = at + newlines.trailing_zeros() as usize;
            if self.carry.is_empty() {
                self.table.add_run(block, *line..end);
            } else {
                self.add_carried(&block[*line..end]);
            }
            *line = end + 1;
            newlines &= newlines - 1;
        }
    }

    #[cold]
    fn add_carried(&mut self, end: &[u8]) {
        self.carry.extend_from_slice(end);
        self.table.add(&self.carry, 1);
        self.carry.clear();
        // One giant word must not stay for the rest of the job.
        self.carry.shrink_to(CARRY_KEPT_BYTES);
    }
}

/// Longer than words are.
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
