//! Words that are too long to be held in memory.
//!
//! Each lies in a file of its own, and is never held as a whole: it is written as it comes,
//! compared with others of its kind block by block, and copied to the output. A word that is longer
//! than the limit is a giant wherever it occurs, so that no other word equals one; and as others
//! are not longer than the limit, the first bytes of a giant decide which of the two comes first.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::path::PathBuf;

use rpc::message::Failure;
use store::StagedObject;

use super::scratch::{Draft, Kept, Scratch, read};
use crate::attempt::{BLOCK_BYTES, Stop, store_failure};
use crate::budget::Budget;

/// The giants of a bucket.
#[derive(Default)]
pub(super) struct Giants<'attempt> {
    giants: Vec<Giant>,
    begun: Option<Begun<'attempt>>,
}

/// One of them; one for each time it occurs, until they are sorted.
#[derive(Clone, Copy)]
struct Giant {
    kept: Kept,
    /// Its first bytes: nearly always they tell it from all others.
    prefix: u64,
    count: u64,
}

/// The giant that is being read.
struct Begun<'attempt> {
    draft: Draft<'attempt>,
    prefix: u64,
}

/// The giants of a bucket in bytewise order, each of them once.
pub(super) struct SortedGiants {
    giants: VecDeque<Giant>,
    /// Of the first of them, one byte more than other words have at most.
    head: Vec<u8>,
}

impl<'attempt> Giants<'attempt> {
    /// A word is longer than the limit: its beginning is `start`, then `more`, and goes on.
    pub(super) fn begin(
        &mut self,
        scratch: &mut Scratch<'attempt>,
        start: &[u8],
        more: &[u8],
    ) -> Result<(), Stop> {
        let mut prefix = [0; 8];
        for (to, from) in prefix.iter_mut().zip(start.iter().chain(more)) {
            *to = *from;
        }
        let mut draft = scratch.begin()?;
        draft.append(start)?;
        self.begun = Some(Begun { draft, prefix: u64::from_be_bytes(prefix) });
        Ok(())
    }

    /// The giant that was begun and is not at its end.
    pub(super) fn begun(&mut self) -> Option<&mut Draft<'attempt>> {
        self.begun.as_mut().map(|begun| &mut begun.draft)
    }

    /// It is at its end.
    pub(super) fn end(&mut self, budget: Budget) -> Result<(), Stop> {
        let Begun { draft, prefix } = self.begun.take().expect("a giant is being read");
        let (name, most) = (draft.name(), budget.giants(GIANT_BYTES));
        self.giants.push(Giant { kept: draft.finish()?, prefix, count: 1 });
        if self.giants.len() > most {
            return Err(too_many(name, budget.word_bytes(), most).into());
        }
        Ok(())
    }

    /// So many occurred.
    pub(super) fn words(&self) -> u64 {
        self.giants.len() as u64
    }

    /// Sorts them on the disk. Equal ones become one.
    pub(super) fn into_sorted(self, scratch: &Scratch<'_>) -> Result<SortedGiants, Stop> {
        let mut blocks = [vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]];
        let mut sorted: VecDeque<_> = self.giants.into_iter().map(|giant| vec![giant]).collect();
        while let Some(one) = sorted.pop_front() {
            let Some(other) = sorted.pop_front() else {
                return Ok(SortedGiants { giants: one.into(), head: Vec::new() });
            };
            sorted.push_back(merge(one, other, scratch, &mut blocks)?);
        }
        Ok(SortedGiants { giants: VecDeque::new(), head: Vec::new() })
    }
}

fn merge(
    one: Vec<Giant>,
    other: Vec<Giant>,
    scratch: &Scratch<'_>,
    blocks: &mut [Vec<u8>; 2],
) -> Result<Vec<Giant>, Stop> {
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
    left: &Giant,
    right: &Giant,
    scratch: &Scratch<'_>,
    [left_block, right_block]: &mut [Vec<u8>; 2],
) -> Result<Ordering, Stop> {
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

impl SortedGiants {
    /// Whether there is one, and it comes before `word`.
    pub(super) fn next_is_before(
        &mut self,
        word: &[u8],
        word_bytes: usize,
        scratch: &Scratch<'_>,
    ) -> Result<bool, Stop> {
        let Some(next) = self.giants.front() else { return Ok(false) };
        if self.head.is_empty() {
            self.head.resize(word_bytes + 1, 0);
            read(&mut scratch.open(next.kept)?, &mut self.head, scratch.progress)?;
        }
        Ok(self.head.as_slice() < word)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.giants.is_empty()
    }

    /// Copy the next one to `file`. Returns its count.
    pub(super) fn copy_next(
        &mut self,
        file: &mut dyn StagedObject,
        scratch: &Scratch<'_>,
    ) -> Result<u64, Stop> {
        let next = self.giants.pop_front().expect("there is a giant to be copied");
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
const GIANT_BYTES: usize = 2 * (size_of::<Giant>() + size_of::<Vec<Giant>>());

fn too_many(path: PathBuf, word_bytes: usize, most: usize) -> Failure {
    Failure::Io {
        path,
        operation: "keep one more word in".to_owned(),
        os_error: 0,
        detail: format!(
            "more than {most} words are longer than {word_bytes} bytes; start the workers with a larger --memory"
        ),
    }
}
