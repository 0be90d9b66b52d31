//! How a worker's memory is shared out.
//!
//! What a worker uses beside a reduce attempt's words (the program itself, the conversation,
//! blocks, buckets) is about the same whatever it works on. The rest belongs to the table while it
//! counts, and to the blocks of runs while it merges.

/// What a reduce attempt may use, all of it derived from the one number the user gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Without what every worker needs.
    bytes: usize,
}

impl Budget {
    /// Of a worker that may use `memory` bytes. Works with any number, however badly.
    pub(crate) fn new(memory: u64) -> Self {
        let bytes = memory.saturating_sub(FLOOR_BYTES);
        Self { bytes: usize::try_from(bytes).unwrap_or(usize::MAX / 2) }
    }

    /// The memory that the table may need while it counts.
    ///
    /// The allocator of glibc keeps what is freed by pieces of up to 32 MiB, in case it is wanted
    /// again: beside a table that grows there lie the sizes it has outgrown, together as large as
    /// the last of them, a third of its peak.
    pub(crate) fn table_bytes(self) -> usize {
        (self.bytes / 4 * 3).max(self.bytes.saturating_sub(KEPT_BYTES_MAX))
    }

    /// The longest word that is held in memory. Longer ones are kept on the disk, one by one.
    pub(crate) fn word_bytes(self) -> usize {
        (self.bytes / 64).clamp(WORD_BYTES_MIN, WORD_BYTES_MAX)
    }

    /// How many longer words there may be: each costs a file, and a little memory.
    pub(crate) fn long_words_max(self, long_word_bytes: usize) -> usize {
        (self.bytes / 8 / long_word_bytes).max(LONG_WORDS_MIN)
    }

    /// How many runs are merged at once, at most.
    pub(crate) fn fan_in(self) -> usize {
        (self.bytes / (MERGE_BLOCK_BYTES_MIN + 2 * self.word_bytes())).clamp(2, FAN_IN_MAX)
    }

    /// How much is read at once of each of `runs`, if there is memory for that beside `held` bytes.
    pub(crate) fn merge_block(self, runs: usize, held: usize) -> Option<usize> {
        let share = self.bytes.checked_sub(held)? / runs.max(1);
        (share >= MERGE_BLOCK_BYTES_MIN + self.word_bytes())
            .then_some(share.min(MERGE_BLOCK_BYTES_MAX))
    }
}

/// How much is read, and written, at once. Larger blocks were not faster with a warm cache, smaller
/// ones were; and a worker should stay small.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// What every worker needs beside words: measured 10 MiB of a worker that has done nothing, 12 of
/// one that has mapped a text.
pub const FLOOR_BYTES: u64 = 12 << 20;

/// Less is refused: a map attempt with ten thousand buckets, each of them in use, had 34 MiB at its
/// peak (Chinese words, two splits of 14 MiB).
pub const MEMORY_BYTES_MIN: u64 = 40 << 20;

/// What the allocator of glibc keeps at most of a table that has grown.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// No word that means something is longer.
const WORD_BYTES_MAX: usize = 64 << 10;

/// For budgets that only a test has.
const WORD_BYTES_MIN: usize = 8;

/// As above.
const LONG_WORDS_MIN: usize = 1 << 10;

/// Runs are files that are open while they are merged; the usual limit of a process is 1,024.
const FAN_IN_MAX: usize = 256;

/// Smaller reads than this cost more than they save.
const MERGE_BLOCK_BYTES_MIN: usize = 64 << 10;

/// Larger ones were not faster.
const MERGE_BLOCK_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_once_fits_whatever_the_memory() {
        for memory in (MEMORY_BYTES_MIN..4 << 30).step_by(7 << 20) {
            let budget = Budget::new(memory);
            let all = (memory - FLOOR_BYTES) as usize;
            assert!(budget.table_bytes() <= all);
            let runs = budget.fan_in();
            let block = budget.merge_block(runs, 0).expect("as many as are merged at once");
            assert!(runs * block <= all && block > budget.word_bytes(), "{memory}: {budget:?}");
            assert!(runs >= 64 && budget.word_bytes() == WORD_BYTES_MAX, "{memory}: {budget:?}");
        }
    }

    #[test]
    fn nothing_is_too_little_to_work_with() {
        for memory in [0, 1, FLOOR_BYTES, FLOOR_BYTES + 1, u64::MAX] {
            let budget = Budget::new(memory);
            assert!(budget.fan_in() >= 2 && budget.word_bytes() >= WORD_BYTES_MIN, "{budget:?}");
        }
    }
}
