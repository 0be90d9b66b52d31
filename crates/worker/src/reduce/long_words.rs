//! Words that are too long to be held in memory.
//!
//! Each has a file of its own, and is never held as a whole: it is written as it comes, compared
//! with others of its kind block by block, and copied to the output. A word that is longer than the
//! limit is a long word wherever it occurs, so that no other word equals one; and as others are not
//! longer than the limit, the first bytes of a long word decide which of the two comes first.

use std::cmp::Ordering;
use std::collections::VecDeque;

use rpc::message::Failure;
use store::StagedObject;

use super::scratch::{Draft, Kept, Scratch, read};
use crate::budget::{BLOCK_BYTES, Budget};
use crate::failure::{Interrupted, store_failure};

/// The long words of a bucket.
#[derive(Default)]
pub(super) struct LongWords<'attempt> {
    long_words: Vec<LongWord>,
    begun: Option<Begun<'attempt>>,
}

/// One of them; one for each time it occurs, until they are sorted.
#[derive(Clone, Copy)]
struct LongWord {
    kept: Kept,
    /// Its first bytes: nearly always they tell it from all others.
    prefix: u64,
    count: u64,
}

/// The long word that is being read.
struct Begun<'attempt> {
    draft: Draft<'attempt>,
    prefix: u64,
}

/// The long words of a bucket in bytewise order, each of them once.
pub(super) struct SortedLongWords {
    long_words: VecDeque<LongWord>,
    /// Of the first of them, one byte more than other words have at most.
    head: Vec<u8>,
}

impl<'attempt> LongWords<'attempt> {
    /// A word is longer than the limit: it begins with `start`, then `more`, and has no end yet.
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
        let mut draft = scratch.begin()?;
        draft.append(start)?;
        self.begun = Some(Begun { draft, prefix: u64::from_be_bytes(prefix) });
        Ok(())
    }

    /// The long word that was begun and is not at its end.
    pub(super) fn begun(&mut self) -> Option<&mut Draft<'attempt>> {
        self.begun.as_mut().map(|begun| &mut begun.draft)
    }

    /// It is at its end.
    pub(super) fn end(&mut self, budget: Budget) -> Result<(), Interrupted> {
        let Begun { draft, prefix } = self.begun.take().expect("a long word is being read");
        self.long_words.push(LongWord { kept: draft.finish()?, prefix, count: 1 });
        let words_max = budget.long_words_max(LONG_WORD_BYTES);
        if self.long_words.len() > words_max {
            let (words_max, word_bytes) = (words_max as u64, budget.word_bytes() as u64);
            return Err(Failure::TooManyLongWords { words_max, word_bytes }.into());
        }
        Ok(())
    }

    /// So many occurred.
    pub(super) fn words(&self) -> u64 {
        self.long_words.len() as u64
    }

    /// Sorts them on the disk. Equal ones become one.
    pub(super) fn into_sorted(self, scratch: &Scratch<'_>) -> Result<SortedLongWords, Interrupted> {
        let mut blocks = [vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]];
        let mut sorted: VecDeque<_> = self.long_words.into_iter().map(|word| vec![word]).collect();
        while let Some(one) = sorted.pop_front() {
            let Some(other) = sorted.pop_front() else {
                return Ok(SortedLongWords { long_words: one.into(), head: Vec::new() });
            };
            sorted.push_back(merge(one, other, scratch, &mut blocks)?);
        }
        Ok(SortedLongWords { long_words: VecDeque::new(), head: Vec::new() })
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
                scratch.remove(right.kept)?;
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
    let (mut left, mut right) = (scratch.open(left.kept)?, scratch.open(right.kept)?);
    loop {
        let left_bytes = read(&mut left, left_block, scratch.progress)?;
        let right_bytes = read(&mut right, right_block, scratch.progress)?;
        let order = left_block[..left_bytes].cmp(&right_block[..right_bytes]);
        // At the end of both all bytes were compared, and are those that were written.
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
        let Some(next) = self.long_words.front() else { return Ok(false) };
        if self.head.is_empty() {
            self.head.resize(word_bytes + 1, 0);
            read(&mut scratch.open(next.kept)?, &mut self.head, scratch.progress)?;
        }
        Ok(self.head.as_slice() < word)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.long_words.is_empty()
    }

    /// Copy the next one to `file`. Returns its count.
    pub(super) fn copy_next(
        &mut self,
        file: &mut dyn StagedObject,
        scratch: &Scratch<'_>,
    ) -> Result<u64, Interrupted> {
        let next = self.long_words.pop_front().expect("there is a long word to be copied");
        self.head.clear();
        let mut object = scratch.open(next.kept)?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = read(&mut object, &mut block, scratch.progress)?;
            if length == 0 {
                break;
            }
            file.append(&block[..length]).map_err(store_failure)?;
        }
        scratch.remove(next.kept)?;
        Ok(next.count)
    }
}

/// What each takes in memory while they are sorted: itself, twice, and the list it is in.
const LONG_WORD_BYTES: usize = 2 * (size_of::<LongWord>() + size_of::<Vec<LongWord>>());
