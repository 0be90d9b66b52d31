//! A thread that reads, verifies and merges the outputs, while another one sorts or writes.
//!
//! Words cross in batches: one at a time, the threads would wait for each other at every word.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use journal::{ByWord, CountsError};

use super::cut::Cut;
use super::error::ExportError;

/// Words and their counts.
pub(super) struct Batch {
    words: Vec<u8>,
    /// The length of each word, and its count.
    counts: Vec<(usize, u64)>,
}

impl Batch {
    fn new() -> Self {
        // A word and its line have ten bytes on average.
        let (words, counts) = (BATCH_BYTES, BATCH_BYTES / 8);
        Self { words: Vec::with_capacity(words), counts: Vec::with_capacity(counts) }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut next = 0;
        self.counts.iter().map(move |&(length, count)| {
            let word = &self.words[next..next + length];
            next += length;
            (word, count)
        })
    }
}

/// Calls `each` for the words that `cut` keeps, in the order of their bytes.
pub(super) fn read(
    words: ByWord,
    cut: Cut,
    mut each: impl FnMut(&Batch) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    thread::scope(|scope| {
        let (send, receive) = sync_channel(BATCHES);
        let reader = scope.spawn(move || send_all(words, cut, |batch| send.send(batch).is_ok()));
        // If it fails, the reader notices that there is no receiver.
        receive.into_iter().try_for_each(|batch| each(&batch))?;
        reader.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(ExportError::from)
    })
}

/// Until all are sent, or `send` returns `false`.
fn send_all(
    mut words: ByWord,
    mut cut: Cut,
    send: impl Fn(Batch) -> bool,
) -> Result<(), CountsError> {
    let mut batch = Batch::new();
    while let Some((word, count)) = words.next_word()? {
        if !cut.keeps(count) {
            continue;
        }
        batch.words.extend(word);
        batch.counts.push((word.len(), count));
        let is_full = batch.words.len() >= BATCH_BYTES || batch.counts.len() >= BATCH_BYTES / 8;
        if is_full && !send(std::mem::replace(&mut batch, Batch::new())) {
            return Ok(());
        }
    }
    send(batch);
    Ok(())
}

/// The bytes of the words of a batch. Two batches fit in the second-level cache of a core.
const BATCH_BYTES: usize = 64 << 10;

/// Batches that wait. With those in the hands of the threads they take less than 2 MiB.
const BATCHES: usize = 4;
