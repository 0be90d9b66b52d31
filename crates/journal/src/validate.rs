//! Whether records describe a job that a driver can have run.
//!
//! A checksum says that a line is as it was written. It does not say that a driver wrote it, or
//! that it is of this job; and a driver that resumes the job uses its indices and adds its numbers.

use crate::expansion::Expansion;
use crate::record::{Outcome, Phase, Record};

/// # Errors
///
/// The number, from 1, of the first of `records` that no driver can have written after those before
/// it.
pub fn validate(records: &[Record]) -> Result<(), usize> {
    let mut shape = None;
    let mut last_epoch = 0;
    let mut total = 0;
    let mut is_done = false;
    for (number, record) in (1..).zip(records) {
        let fits = match (record, shape) {
            (&Record::Begin { epoch, map_tasks, reduce_tasks, words, .. }, None) => {
                let expansion = words.expansion();
                shape = Some(Shape { map_tasks, reduce_tasks, expansion });
                map_tasks > 0 && reduce_tasks > 0 && grows(&mut last_epoch, epoch)
            }
            (Record::Resume { epoch, .. }, Some(_)) => grows(&mut last_epoch, *epoch),
            (
                Record::Map { task, buckets, .. },
                Some(Shape { map_tasks, reduce_tasks, expansion }),
            ) => {
                *task < map_tasks
                    && buckets.len() == reduce_tasks as usize
                    && buckets.iter().all(|made| expansion.fits(made.words, made.digest.bytes))
                    && buckets.iter().all(|made| adds(&mut total, made.digest.bytes))
            }
            (
                Record::Reduce { task, bytes, words, distinct_words, .. },
                Some(Shape { reduce_tasks, .. }),
            ) => {
                *task < reduce_tasks
                    && distinct_words <= words
                    && adds(&mut total, *bytes)
                    && adds(&mut total, *words)
            }
            (
                Record::Started { phase, task, .. } | Record::Ended { phase, task, .. },
                Some(shape),
            ) => exists(*phase, *task, shape),
            (Record::Recalled { map, reduce, .. }, Some(shape)) => {
                exists(Phase::Map, *map, shape) && exists(Phase::Reduce, *reduce, shape)
            }
            (Record::End { .. } | Record::Input { .. }, Some(_)) => true,
            (Record::IntermediatesRemoved, Some(_)) => is_done,
            (Record::Begin { .. }, Some(_))
            | (
                Record::End { .. }
                | Record::Ended { .. }
                | Record::Input { .. }
                | Record::IntermediatesRemoved
                | Record::Map { .. }
                | Record::Recalled { .. }
                | Record::Reduce { .. }
                | Record::Resume { .. }
                | Record::Started { .. },
                None,
            ) => false,
        };
        if !fits {
            return Err(number);
        }
        is_done = matches!(record, Record::End { outcome: Outcome::Done });
    }
    Ok(())
}

/// What `Begin` says of a job.
#[derive(Clone, Copy)]
struct Shape {
    map_tasks: u32,
    reduce_tasks: u32,
    expansion: Expansion,
}

/// Whether a job of this shape has that task.
fn exists(phase: Phase, task: u32, shape: Shape) -> bool {
    match phase {
        Phase::Map => task < shape.map_tasks,
        Phase::Reduce => task < shape.reduce_tasks,
    }
}

/// Whether `epoch` is above `last`, which it replaces, and another can follow.
fn grows(last: &mut u64, epoch: u64) -> bool {
    let grows = (*last + 1..u64::MAX).contains(&epoch);
    *last = epoch.min(u64::MAX - 1);
    grows
}

/// Adds `number` to `total`. False: the sum overflows. No other sum over a journal is larger than
/// that of all its lengths and counts.
fn adds(total: &mut u64, number: u64) -> bool {
    let sum = total.checked_add(number);
    *total = sum.unwrap_or(u64::MAX);
    sum.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::begin;

    #[test]
    fn intermediates_are_removed_once_and_only_after_a_job_that_is_done() {
        let end = |outcome| Record::End { outcome };
        let removed = Record::IntermediatesRemoved;
        let done = [begin(1), end(Outcome::Done), removed.clone()];
        assert_eq!(validate(&done), Ok(()));
        assert_eq!(validate(&[&done[..], std::slice::from_ref(&removed)].concat()), Err(4));
        assert_eq!(validate(&[begin(1), removed.clone()]), Err(2));
        assert_eq!(validate(&[begin(1), end(Outcome::Failed), removed]), Err(3));
    }
}
