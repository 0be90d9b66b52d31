//! Words that are rare, in groups of the same count.
//!
//! Most words of a text are rare. They arrive in the order of their bytes, so all words with the
//! same count are in their final order at once: none is compared, or moved again. Blocks of words
//! that do not fit in memory are in the scratch file.

use std::mem;

use super::Each;
use super::error::ExportError;
use super::scratch::Scratch;

#[derive(Debug)]
pub(super) struct Groups {
    /// The words that occur as often as the index says.
    groups: Vec<Group>,
    /// How many bytes of full blocks still fit in memory.
    left_bytes: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// In the order in which they were filled.
    full: Vec<Block>,
    /// The last words, each with a line feed.
    last: Vec<u8>,
}

/// Whole words, each with a line feed.
#[derive(Debug)]
enum Block {
    Memory(Vec<u8>),
    Scratch { start: u64, bytes: usize },
}

impl Groups {
    /// Full blocks may take `memory_bytes`, and those that are not full [`LAST_BYTES`] more.
    pub(super) fn new(memory_bytes: usize) -> Self {
        let groups = (0..=RARE_MAX).map(|_| Group::default()).collect();
        Self { groups, left_bytes: memory_bytes }
    }

    /// Adds a word with a count of at most [`RARE_MAX`].
    pub(super) fn add(
        &mut self,
        word: &[u8],
        count: u64,
        scratch: &mut Scratch,
    ) -> Result<(), ExportError> {
        let group = &mut self.groups[count as usize];
        // A longer word has a block of its own.
        if group.last.len() + word.len() >= BLOCK_BYTES && !group.last.is_empty() {
            let bytes = group.last.len();
            let block = if let Some(left) = self.left_bytes.checked_sub(bytes) {
                self.left_bytes = left;
                Block::Memory(mem::replace(&mut group.last, Vec::with_capacity(BLOCK_BYTES)))
            } else {
                let start = scratch.append(&group.last)?;
                group.last.clear();
                group.last.shrink_to(BLOCK_BYTES);
                Block::Scratch { start, bytes }
            };
            group.full.push(block);
        }
        group
            .last
            .reserve_exact((BLOCK_BYTES - group.last.len().min(BLOCK_BYTES)).max(word.len() + 1));
        group.last.extend(word);
        group.last.push(b'\n');
        Ok(())
    }

    /// Calls `each` for all words, the most frequent first.
    pub(super) fn finish(self, scratch: &Scratch, each: &mut Each<'_>) -> Result<(), ExportError> {
        let mut read = Vec::new();
        for (count, group) in self.groups.into_iter().enumerate().rev() {
            for block in group.full.into_iter().chain([Block::Memory(group.last)]) {
                let words = match &block {
                    Block::Memory(words) => words,
                    &Block::Scratch { start, bytes } => {
                        read.resize(bytes, 0);
                        scratch.read(&mut read, start)?;
                        &read
                    }
                };
                for word in words.split_inclusive(|&byte| byte == b'\n') {
                    each(&word[..word.len() - 1], count as u64)?;
                }
            }
        }
        Ok(())
    }
}

/// Words that occur at most so often are rare. Of a hundred words of a text, about one is not.
pub(super) const RARE_MAX: u64 = 63;

/// How much is written to the scratch file at once.
const BLOCK_BYTES: usize = 32 << 10;

/// What blocks that are not full may take.
pub(super) const LAST_BYTES: usize = (RARE_MAX as usize + 1) * BLOCK_BYTES;
