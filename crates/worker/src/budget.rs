//! How a worker's memory is divided.
//!
//! Everything beside the words of a reduce attempt (the program itself, the conversation, blocks,
//! buckets) takes about the same memory for any job. The rest belongs to the table while it counts,
//! and to the blocks of runs while it merges.

/// What a reduce attempt may use. All of it is derived from the one number that the user gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// What is left after [`FLOOR_BYTES`].
    bytes: usize,
}

impl Budget {
    /// Of a worker that may use `memory` bytes. Any number works, a small one slowly.
    pub(crate) fn new(memory: u64) -> Self {
        let bytes = memory.saturating_sub(FLOOR_BYTES);
        Self { bytes: usize::try_from(bytes).unwrap_or(usize::MAX / 2) }
    }

    /// The memory that the table may need while it counts.
    ///
    /// The allocator of glibc keeps freed pieces of up to 32 MiB for reuse: beside a table that
    /// grows are the sizes that it has outgrown, together as large as the last of them, a third of
    /// its peak.
    pub(crate) fn table_bytes(self) -> usize {
        (self.bytes / 4 * 3).max(self.bytes.saturating_sub(KEPT_BYTES_MAX))
    }

    /// The longest word that is held in memory. Longer ones are kept on disk, a file each.
    pub(crate) fn word_bytes(self) -> usize {
        (self.bytes / 64).clamp(WORD_BYTES_MIN, WORD_BYTES_MAX)
    }

    /// How many longer words there may be: each takes a file and `long_word_bytes` of memory.
    pub(crate) fn long_words_max(self, long_word_bytes: usize) -> usize {
        (self.bytes / 8 / long_word_bytes).max(LONG_WORDS_MIN)
    }

    /// How many runs are merged at once, at most.
    pub(crate) fn fan_in(self) -> usize {
        (self.bytes / (MERGE_BLOCK_BYTES_MIN + 2 * self.word_bytes())).clamp(2, FAN_IN_MAX)
    }

    /// How much to read at once of each of `runs`, if memory suffices for that beside `held` bytes.
    pub(crate) fn merge_block(self, runs: usize, held: usize) -> Option<usize> {
        let share = self.bytes.checked_sub(held)? / runs.max(1);
        (share >= MERGE_BLOCK_BYTES_MIN + self.word_bytes())
            .then_some(share.min(MERGE_BLOCK_BYTES_MAX))
    }
}

/// How much is read, or written, at once. Larger blocks were not faster with a warm cache, smaller
/// ones were; and a worker should stay small.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// What every worker needs beside words: an idle worker used 10 MiB, one that had mapped a text 12.
pub const FLOOR_BYTES: u64 = 12 << 20;

/// Less is refused: a map attempt with ten thousand buckets, each of them in use, peaked at 34 MiB
/// (Chinese words, two splits of 14 MiB).
pub const MEMORY_BYTES_MIN: u64 = 40 << 20;

/// The most that the allocator of glibc keeps of a table that has grown.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// No meaningful word is longer.
const WORD_BYTES_MAX: usize = 64 << 10;

/// For budgets of tests.
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
    fn everything_held_at_once_fits_into_any_memory() {
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
    fn any_memory_is_enough_to_make_progress() {
        for memory in [0, 1, FLOOR_BYTES, FLOOR_BYTES + 1, u64::MAX] {
            let budget = Budget::new(memory);
            assert!(budget.fan_in() >= 2 && budget.word_bytes() >= WORD_BYTES_MIN, "{budget:?}");
        }
    }
}
