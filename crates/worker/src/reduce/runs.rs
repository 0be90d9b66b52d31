//! The runs of a bucket on the disk, and reading them as one.
//!
//! # Invariants
//!
//! * `levels[level]` holds fewer runs than are merged at once: when there are so many they become
//!   one of the next level. So there are never many of them, whatever is counted, and a word is
//!   copied once for each level.

use std::cmp::Reverse;
use std::ops::Range;

use store::VerifiedObject;
use words::{ENTRY_HEAD_BYTES_MAX, Merge, Run, Sorted, read_entry, write_entry};

use super::scratch::{Kept, Scratch, read};
use crate::budget::{BLOCK_BYTES, Budget};
use crate::failure::Interrupted;
use crate::progress::Progress;

/// The runs of a bucket.
pub(super) struct Runs {
    budget: Budget,
    levels: Vec<Vec<Kept>>,
}

impl Runs {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, levels: vec![Vec::new()] }
    }

    pub(super) fn are_none(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// Write one more.
    pub(super) fn write(
        &mut self,
        scratch: &mut Scratch<'_>,
        sorted: &Sorted,
    ) -> Result<(), Interrupted> {
        let mut entries = sorted.iter();
        let run = write(scratch, |out| {
            let entry = entries.next();
            if let Some((word, count)) = entry {
                write_entry(out, word, count);
            }
            Ok(entry.is_some())
        })?;
        self.levels[0].push(run);
        Ok(())
    }

    /// Whether there are so many of a level that they have to be merged.
    pub(super) fn are_due(&self) -> bool {
        self.levels.iter().any(|runs| runs.len() >= self.budget.fan_in())
    }

    pub(super) fn merge_due(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Interrupted> {
        let mut level = 0;
        while level < self.levels.len() {
            if self.levels[level].len() >= self.budget.fan_in() {
                let runs = std::mem::take(&mut self.levels[level]);
                let merged = self.merge(runs, scratch)?;
                if level + 1 == self.levels.len() {
                    self.levels.push(Vec::new());
                }
                self.levels[level + 1].push(merged);
            }
            level += 1;
        }
        Ok(())
    }

    /// Whether they can be merged while so much else is held.
    pub(super) fn leave_room_for(&self, held_bytes: usize) -> bool {
        let runs = self.len();
        runs < self.budget.fan_in() && self.budget.merge_block(runs, held_bytes).is_some()
    }

    /// Merge some of them until all that are left can be merged at once.
    pub(super) fn merge_to_few(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Interrupted> {
        let mut runs: Vec<Kept> = self.levels.drain(..).flatten().collect();
        let fan_in = self.budget.fan_in();
        while runs.len() > fan_in {
            // The smallest, and no more of them than necessary.
            runs.sort_by_key(|run| Reverse(run.bytes()));
            let count = fan_in.min(runs.len() - fan_in + 1);
            let smallest = runs.split_off(runs.len() - count);
            runs.push(self.merge(smallest, scratch)?);
        }
        self.levels.push(runs);
        Ok(())
    }

    fn merge(&self, runs: Vec<Kept>, scratch: &mut Scratch<'_>) -> Result<Kept, Interrupted> {
        let mut merge = Merge::new(open(&runs, self.budget, 0, scratch)?)?;
        let merged = write(scratch, |out| {
            let entry = merge.next_word()?;
            if let Some((word, count)) = entry {
                write_entry(out, word, count);
            }
            Ok(entry.is_some())
        })?;
        drop(merge);
        runs.into_iter().try_for_each(|run| scratch.remove(run))?;
        Ok(merged)
    }

    /// Begin to read all of them, while so much else is held.
    pub(super) fn open<'attempt>(
        &self,
        scratch: &Scratch<'attempt>,
        held_bytes: usize,
    ) -> Result<Vec<Source<'attempt>>, Interrupted> {
        let runs: Vec<Kept> = self.levels.iter().flatten().copied().collect();
        open(&runs, self.budget, held_bytes, scratch)
    }

    /// They are not needed any more.
    pub(super) fn remove(self, scratch: &Scratch<'_>) -> Result<(), Interrupted> {
        self.levels.into_iter().flatten().try_for_each(|run| scratch.remove(run))
    }
}

/// Writes a run of what `next` appends, until it says that there was nothing more.
fn write(
    scratch: &mut Scratch<'_>,
    mut next: impl FnMut(&mut Vec<u8>) -> Result<bool, Interrupted>,
) -> Result<Kept, Interrupted> {
    let mut draft = scratch.begin()?;
    let mut entries = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 2);
    while next(&mut entries)? {
        if entries.len() >= BLOCK_BYTES {
            draft.append(&entries)?;
            entries.clear();
        }
    }
    draft.append(&entries)?;
    draft.finish()
}

fn open<'attempt>(
    runs: &[Kept],
    budget: Budget,
    held_bytes: usize,
    scratch: &Scratch<'attempt>,
) -> Result<Vec<Source<'attempt>>, Interrupted> {
    let least = budget.word_bytes() + ENTRY_HEAD_BYTES_MAX;
    let block_bytes = budget.merge_block(runs.len(), held_bytes).map_or(least, |it| it.max(least));
    let open = |run: &Kept| {
        Ok(Source::OnDisk(RunOnDisk {
            object: scratch.open(*run)?,
            progress: scratch.progress,
            block: vec![0; block_bytes],
            filled: 0,
            next: 0,
            word: 0..0,
            count: 0,
        }))
    };
    runs.iter().map(open).collect()
}

/// A run being read.
pub(super) enum Source<'attempt> {
    InMemory(RunInMemory<'attempt>),
    OnDisk(RunOnDisk<'attempt>),
}

/// What is left of the table.
pub(super) struct RunInMemory<'sorted> {
    entries: Box<dyn Iterator<Item = (&'sorted [u8], u64)> + 'sorted>,
    word: &'sorted [u8],
    count: u64,
}

/// One that was written.
pub(super) struct RunOnDisk<'attempt> {
    object: VerifiedObject,
    progress: &'attempt Progress,
    /// Has room for any entry.
    block: Vec<u8>,
    /// So much of it was read.
    filled: usize,
    /// Where the next entry begins.
    next: usize,
    /// In `block`.
    word: Range<usize>,
    count: u64,
}

impl<'attempt> Source<'attempt> {
    pub(super) fn in_memory(sorted: &'attempt Sorted) -> Self {
        Self::InMemory(RunInMemory { entries: Box::new(sorted.iter()), word: b"", count: 0 })
    }
}

impl Run for Source<'_> {
    type Error = Interrupted;

    #[inline]
    fn advance(&mut self) -> Result<bool, Interrupted> {
        match self {
            Self::InMemory(run) => {
                let entry = run.entries.next();
                (run.word, run.count) = entry.unwrap_or_default();
                Ok(entry.is_some())
            }
            Self::OnDisk(run) => run.advance(),
        }
    }

    #[inline]
    fn word(&self) -> &[u8] {
        match self {
            Self::InMemory(run) => run.word,
            Self::OnDisk(run) => &run.block[run.word.clone()],
        }
    }

    #[inline]
    fn count(&self) -> u64 {
        match self {
            Self::InMemory(run) => run.count,
            Self::OnDisk(run) => run.count,
        }
    }
}

impl RunOnDisk<'_> {
    #[inline]
    fn advance(&mut self) -> Result<bool, Interrupted> {
        loop {
            if let Some(entry) = read_entry(&self.block[..self.filled], self.next) {
                self.next = entry.word.end;
                (self.word, self.count) = (entry.word, entry.count);
                return Ok(true);
            }
            if !self.read()? {
                return Ok(false);
            }
        }
    }

    /// Reads more behind what is left; `false` at the end.
    #[cold]
    fn read(&mut self) -> Result<bool, Interrupted> {
        self.block.copy_within(self.next..self.filled, 0);
        (self.filled, self.next) = (self.filled - self.next, 0);
        let mut length = 0;
        if self.filled < self.block.len() {
            length = read(&mut self.object, &mut self.block[self.filled..], self.progress)?;
        }
        if length == 0 && self.filled > 0 {
            // Not an entry, and not the beginning of one. If a disk has done that, it is said here.
            while read(&mut self.object, &mut self.block, self.progress)? > 0 {}
            panic!("a run that is what was written has something in it that is no entry");
        }
        self.filled += length;
        Ok(length > 0)
    }
}
