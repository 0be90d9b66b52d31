//! What the inputs are: found out from their first bytes, in parallel, before anything starts.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use inputs::{Choice, ExamineError, HEAD_BYTES, Source};
use journal::Format;
use store::{Input, InputError, ListedFile};

use super::error::{StartError, unusable_input};
use crate::ids;

/// What each of `inputs` is, in order.
///
/// # Errors
///
/// When one cannot be read, or is not text: the first in order is named.
pub(super) fn examine(inputs: &[Input], choice: &Choice) -> Result<Vec<Format>, StartError> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = cores.min(THREADS_MAX).min(inputs.len().div_ceil(FILES_PER_THREAD_MIN)).max(1);
    let next = AtomicUsize::new(0);
    let examine_some = || {
        let mut head = vec![0; HEAD_BYTES];
        let mut found = Vec::new();
        while let Some(index) = take(&next, inputs.len()) {
            found.push((index, examine_one(&inputs[index], choice, &mut head)));
        }
        found
    };
    let mut found = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(examine_some)).collect();
        let mut found = examine_some();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        found
    });
    found.sort_unstable_by_key(|(index, _)| *index);
    let refused = found.iter().filter(|(_, format)| format.is_err()).count();
    let formats = found.into_iter().map(|(_, format)| format).collect::<Result<_, _>>();
    formats.map_err(|mut error| {
        if let StartError::NotText { others, .. } = &mut error {
            *others = refused - 1;
        }
        error
    })
}

fn take(next: &AtomicUsize, files: usize) -> Option<usize> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < files)
}

fn examine_one(input: &Input, choice: &Choice, head: &mut [u8]) -> Result<Format, StartError> {
    let file = ListedSource(ListedFile::open(&input.path).map_err(unusable_input)?);
    let format =
        inputs::examine(&input.path, &file, head, choice).map_err(|error| match error {
            ExamineError::NotText(why) => {
                let path = store::shown_input(&input.path).into_owned();
                StartError::NotText { path, why, others: 0 }
            }
            ExamineError::Source(error) => unusable_input(error),
        })?;
    Ok(ids::recorded_format(&format))
}

/// A listed file, as it is examined.
struct ListedSource(ListedFile);

impl Source for ListedSource {
    type Error = InputError;

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, InputError> {
        self.0.read_at(offset, buffer)
    }
}

/// More do not read faster from a disk, and a start is short.
const THREADS_MAX: usize = 8;

/// A thread takes as long to start as so many files to examine.
const FILES_PER_THREAD_MIN: usize = 16;
