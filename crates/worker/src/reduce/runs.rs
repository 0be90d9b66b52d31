//! The sorted runs that a bucket has spilled to disk, and how they are read.
//!
//! # Invariants
//!
//! * `levels[level]` holds fewer runs than are merged at once: as soon as there are so many, they
//!   are merged into one of the next level. So any text gives few runs, and a word is copied once
//!   for each level.

use std::cmp::Reverse;
use std::ops::Range;

use store::VerifiedObject;
use words::{ENTRY_HEAD_BYTES_MAX, Merge, Run, Sorted, read_entry, write_entry};

use super::scratch::{Scratch, ScratchFile, read};
use crate::budget::{BLOCK_BYTES, Budget};
use crate::failure::Interrupted;
use crate::progress::Progress;

/// The runs of a bucket.
pub(super) struct Runs {
    budget: Budget,
    levels: Vec<Vec<ScratchFile>>,
}

impl Runs {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, levels: vec![Vec::new()] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// Writes `sorted` as one more run.
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

    /// Whether a level has so many that they have to be merged.
    pub(super) fn merge_is_due(&self) -> bool {
        self.levels.iter().any(|runs| runs.len() >= self.budget.fan_in())
    }

    pub(super) fn merge_full_levels(
        &mut self,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), Interrupted> {
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

    /// Whether memory suffices to merge them while `held_bytes` are in use.
    pub(super) fn can_merge_beside(&self, held_bytes: usize) -> bool {
        let runs = self.len();
        runs < self.budget.fan_in() && self.budget.merge_block(runs, held_bytes).is_some()
    }

    /// Merges the smallest runs until all that are left can be merged at once.
    pub(super) fn merge_to_few(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Interrupted> {
        let mut runs: Vec<ScratchFile> = self.levels.drain(..).flatten().collect();
        let fan_in = self.budget.fan_in();
        while runs.len() > fan_in {
            // The smallest, and no more than necessary.
            runs.sort_by_key(|run| Reverse(run.bytes()));
            let count = fan_in.min(runs.len() - fan_in + 1);
            let smallest = runs.split_off(runs.len() - count);
            runs.push(self.merge(smallest, scratch)?);
        }
        self.levels.push(runs);
        Ok(())
    }

    fn merge(
        &self,
        runs: Vec<ScratchFile>,
        scratch: &mut Scratch<'_>,
    ) -> Result<ScratchFile, Interrupted> {
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

    /// Opens all of them, while `held_bytes` are in use.
    pub(super) fn open<'attempt>(
        &self,
        scratch: &Scratch<'attempt>,
        held_bytes: usize,
    ) -> Result<Vec<Source<'attempt>>, Interrupted> {
        let runs: Vec<ScratchFile> = self.levels.iter().flatten().copied().collect();
        open(&runs, self.budget, held_bytes, scratch)
    }

    /// Removes all of them: they are no longer needed.
    pub(super) fn remove(self, scratch: &Scratch<'_>) -> Result<(), Interrupted> {
        self.levels.into_iter().flatten().try_for_each(|run| scratch.remove(run))
    }
}

/// Writes a run of what `next` appends, until it returns `false`.
fn write(
    scratch: &mut Scratch<'_>,
    mut next: impl FnMut(&mut Vec<u8>) -> Result<bool, Interrupted>,
) -> Result<ScratchFile, Interrupted> {
    let mut file = scratch.create()?;
    let mut entries = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 2);
    while next(&mut entries)? {
        if entries.len() >= BLOCK_BYTES {
            file.append(&entries)?;
            entries.clear();
        }
    }
    file.append(&entries)?;
    file.finish()
}

fn open<'attempt>(
    runs: &[ScratchFile],
    budget: Budget,
    held_bytes: usize,
    scratch: &Scratch<'attempt>,
) -> Result<Vec<Source<'attempt>>, Interrupted> {
    let least = budget.word_bytes() + ENTRY_HEAD_BYTES_MAX;
    let block_bytes = budget.merge_block(runs.len(), held_bytes).map_or(least, |it| it.max(least));
    let open = |run: &ScratchFile| {
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

/// The rest of the table, which was not spilled.
pub(super) struct RunInMemory<'sorted> {
    entries: Box<dyn Iterator<Item = (&'sorted [u8], u64)> + 'sorted>,
    word: &'sorted [u8],
    count: u64,
}

/// A run that was spilled.
pub(super) struct RunOnDisk<'attempt> {
    object: VerifiedObject,
    progress: &'attempt Progress,
    /// Can hold any entry.
    block: Vec<u8>,
    /// How much of it holds bytes of the run.
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

    /// Reads more behind the rest; `false` at the end.
    #[cold]
    fn read(&mut self) -> Result<bool, Interrupted> {
        self.block.copy_within(self.next..self.filled, 0);
        (self.filled, self.next) = (self.filled - self.next, 0);
        let mut length = 0;
        if self.filled < self.block.len() {
            length = read(&mut self.object, &mut self.block[self.filled..], self.progress)?;
        }
        if length == 0 && self.filled > 0 {
            // Neither an entry nor the beginning of one. If the disk has damaged it, reading to the
            // end reports a wrong checksum.
            while read(&mut self.object, &mut self.block, self.progress)? > 0 {}
            panic!("a run with the right checksum holds something that is not an entry");
        }
        self.filled += length;
        Ok(length > 0)
    }
}
