//! Words that are too long to be held in memory.
//!
//! Each has a file of its own, and is never held as a whole: it is written as it is read, compared
//! with other long words block by block, and copied to the output. A word longer than the limit is
//! a long word wherever it occurs, so no other word equals one; and as other words are not longer
//! than the limit, the first bytes of a long word decide which of the two comes first.

use std::cmp::Ordering;
use std::collections::VecDeque;

use rpc::message::Failure;
use store::StagedObject;

use super::scratch::{Scratch, ScratchFile, ScratchWriter, read};
use crate::budget::{BLOCK_BYTES, Budget};
use crate::failure::{Interrupted, store_failure};

/// The long words of a bucket.
#[derive(Default)]
pub(super) struct LongWords<'attempt> {
    words: Vec<LongWord>,
    writer: Option<LongWordWriter<'attempt>>,
}

/// One long word. Until they are sorted there is one for each occurrence.
#[derive(Clone, Copy)]
struct LongWord {
    file: ScratchFile,
    /// Its first bytes, which nearly always differ from those of all others.
    prefix: u64,
    count: u64,
}

/// Writes the long word that is being read.
struct LongWordWriter<'attempt> {
    file: ScratchWriter<'attempt>,
    prefix: u64,
}

/// The long words of a bucket in bytewise order, each of them once.
pub(super) struct SortedLongWords {
    words: VecDeque<LongWord>,
    /// The beginning of the first one: one byte more than other words can have.
    head: Vec<u8>,
}

impl<'attempt> LongWords<'attempt> {
    /// A word is longer than the limit: it begins with `start`, then `more`, and has no end yet.
    /// `more` is appended by the caller.
    pub(super) fn begin(
        &mut self,
        scratch: &mut Scratch<'attempt>,
        start: &[u8],
        more: &[u8],
    ) -> Result<(), Interrupted> {
        let mut prefix = [0; 8];
        for (to, from) in prefix.iter_mut().zip(start.iter().chain(more)) {
            *to = *from;
        }
        let mut file = scratch.create()?;
        file.append(start)?;
        self.writer = Some(LongWordWriter { file, prefix: u64::from_be_bytes(prefix) });
        Ok(())
    }

    /// The file of the long word that was begun and has not ended.
    pub(super) fn begun(&mut self) -> Option<&mut ScratchWriter<'attempt>> {
        self.writer.as_mut().map(|writer| &mut writer.file)
    }

    /// The long word has ended.
    pub(super) fn end(&mut self, budget: Budget) -> Result<(), Interrupted> {
        let LongWordWriter { file, prefix } =
            self.writer.take().expect("a long word is being read");
        self.words.push(LongWord { file: file.finish()?, prefix, count: 1 });
        let words_max = budget.long_words_max(LONG_WORD_BYTES);
        if self.words.len() > words_max {
            let (words_max, word_bytes) = (words_max as u64, budget.word_bytes() as u64);
            return Err(Failure::TooManyLongWords { words_max, word_bytes }.into());
        }
        Ok(())
    }

    /// How often long words have occurred.
    pub(super) fn words(&self) -> u64 {
        self.words.len() as u64
    }

    /// Sorts them, reading them from disk. Equal ones become one.
    pub(super) fn into_sorted(self, scratch: &Scratch<'_>) -> Result<SortedLongWords, Interrupted> {
        let mut blocks = [vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]];
        let mut sorted: VecDeque<_> = self.words.into_iter().map(|word| vec![word]).collect();
        while let Some(one) = sorted.pop_front() {
            let Some(other) = sorted.pop_front() else {
                return Ok(SortedLongWords { words: one.into(), head: Vec::new() });
            };
            sorted.push_back(merge(one, other, scratch, &mut blocks)?);
        }
        Ok(SortedLongWords { words: VecDeque::new(), head: Vec::new() })
    }
}

fn merge(
    one: Vec<LongWord>,
    other: Vec<LongWord>,
    scratch: &Scratch<'_>,
    blocks: &mut [Vec<u8>; 2],
) -> Result<Vec<LongWord>, Interrupted> {
    let mut merged = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    while let (Some(left), Some(right)) = (one.peek_mut(), other.peek()) {
        match compare(left, right, scratch, blocks)? {
            Ordering::Less => merged.extend(one.next()),
            Ordering::Equal => {
                left.count += right.count;
                scratch.remove(right.file)?;
                other.next();
            }
            Ordering::Greater => merged.extend(other.next()),
        }
    }
    merged.extend(one.chain(other));
    Ok(merged)
}

fn compare(
    left: &LongWord,
    right: &LongWord,
    scratch: &Scratch<'_>,
    [left_block, right_block]: &mut [Vec<u8>; 2],
) -> Result<Ordering, Interrupted> {
    if left.prefix != right.prefix {
        return Ok(left.prefix.cmp(&right.prefix));
    }
    let (mut left, mut right) = (scratch.open(left.file)?, scratch.open(right.file)?);
    loop {
        let left_bytes = read(&mut left, left_block, scratch.progress)?;
        let right_bytes = read(&mut right, right_block, scratch.progress)?;
        let order = left_block[..left_bytes].cmp(&right_block[..right_bytes]);
        // At the end of both, all bytes were compared, and were verified as those written.
        if order.is_ne() || left_bytes == 0 {
            return Ok(order);
        }
    }
}

impl SortedLongWords {
    /// Whether there is one, and it comes before `word`.
    pub(super) fn next_is_before(
        &mut self,
        word: &[u8],
        word_bytes: usize,
        scratch: &Scratch<'_>,
    ) -> Result<bool, Interrupted> {
        let Some(next) = self.words.front() else { return Ok(false) };
        if self.head.is_empty() {
            self.head.resize(word_bytes + 1, 0);
            read(&mut scratch.open(next.file)?, &mut self.head, scratch.progress)?;
        }
        Ok(self.head.as_slice() < word)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Copies the next one to `file`. Returns its count.
    pub(super) fn copy_next(
        &mut self,
        file: &mut dyn StagedObject,
        scratch: &Scratch<'_>,
    ) -> Result<u64, Interrupted> {
        let next = self.words.pop_front().expect("there is a long word to be copied");
        self.head.clear();
        let mut object = scratch.open(next.file)?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = read(&mut object, &mut block, scratch.progress)?;
            if length == 0 {
                break;
            }
            file.append(&block[..length]).map_err(store_failure)?;
        }
        scratch.remove(next.file)?;
        Ok(next.count)
    }
}

/// The memory that each takes while they are sorted: itself and the list that it is in, twice.
const LONG_WORD_BYTES: usize = 2 * (size_of::<LongWord>() + size_of::<Vec<LongWord>>());
