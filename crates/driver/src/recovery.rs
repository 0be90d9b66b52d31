//! What an earlier life of this job has left: read from the journal, checked against the folder.
//!
//! A record says that its objects have their final names. It is believed only as far as they do:
//! where one is missing or has another length, its task is simply done again. What is in them is
//! checked by whoever reads them.

use std::collections::BTreeMap;

use rpc::message::{WordRule, WordRules};
use store::{Digest, Input, Name, Store, StoreError, layout};

use crate::journal::{self, DONE, FAILED, Record};
use crate::plan::Plan;

/// The committed tasks of a job, as its journal has them.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// By index.
    pub(crate) maps: BTreeMap<u32, MapCommit>,
    /// By index.
    pub(crate) reduces: BTreeMap<u32, ReduceCommit>,
    /// How often what a map task had made was lost, by index, since the job last failed.
    pub(crate) recalls: BTreeMap<u32, u32>,
}

/// What a committed map task made.
#[derive(Clone, Debug)]
pub(crate) struct MapCommit {
    /// The file of bucket `b` and its words, at index `b`.
    pub(crate) buckets: Vec<(Digest, u64)>,
    pub(crate) invalid_bytes: u64,
}

/// What a committed reduce task made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReduceCommit {
    pub(crate) output: Digest,
    pub(crate) words: u64,
    pub(crate) distinct_words: u64,
}

/// The id of the job that `records` tell of, if it is the one that is asked for now, and is not
/// done. Its committed tasks can be kept.
pub(crate) fn unfinished_job<'records>(
    records: &'records [Record],
    plan: &Plan,
    reduce_tasks: u32,
    rules: WordRules,
) -> Option<&'records str> {
    let Some(Record::Begin { epoch, job, started_unix_seconds, build, .. }) = records.first()
    else {
        return None;
    };
    // Another version may count differently.
    let same_build = build == rpc::BUILD;
    let now = describe(plan, reduce_tasks, rules, *epoch, job, *started_unix_seconds);
    let then = records.iter().take_while(|record| is_about_the_job(record));
    let is_done = |record: &Record| matches!(record, Record::End { outcome } if outcome == DONE);
    (same_build && then.eq(&now) && !records.iter().any(is_done)).then_some(job)
}

fn is_about_the_job(record: &Record) -> bool {
    match record {
        Record::Begin { .. } | Record::Input { .. } => true,
        Record::End { .. }
        | Record::Ended { .. }
        | Record::Map { .. }
        | Record::Recalled { .. }
        | Record::Reduce { .. }
        | Record::Resume { .. }
        | Record::Started { .. } => false,
    }
}

/// The records that begin a job and say what it is.
pub(crate) fn describe(
    plan: &Plan,
    reduce_tasks: u32,
    rules: WordRules,
    epoch: u64,
    job: &str,
    started_unix_seconds: u64,
) -> Vec<Record> {
    let begin = Record::Begin {
        epoch,
        job: job.to_owned(),
        build: rpc::BUILD.to_owned(),
        started_unix_seconds,
        map_tasks: plan.map_tasks().get(),
        reduce_tasks,
        words: match rules.rule {
            WordRule::Letters => "letters".to_owned(),
            WordRule::Whitespace => "whitespace".to_owned(),
        },
        ignore_case: rules.ignore_case,
    };
    let input = |input: &Input| Record::Input {
        path: journal::escape(&input.path),
        bytes: input.bytes,
        modified_seconds: input.modified.seconds,
        modified_nanos: input.modified.nanoseconds,
    };
    std::iter::once(begin).chain(plan.inputs().iter().map(input)).collect()
}

/// The highest epoch of all lives that `records` tell of; 0 if there is none.
pub(crate) fn last_epoch(records: &[Record]) -> u64 {
    let epoch = |record: &Record| match record {
        Record::Begin { epoch, .. } | Record::Resume { epoch, .. } => Some(*epoch),
        Record::End { .. }
        | Record::Ended { .. }
        | Record::Input { .. }
        | Record::Map { .. }
        | Record::Recalled { .. }
        | Record::Reduce { .. }
        | Record::Started { .. } => None,
    };
    records.iter().filter_map(epoch).max().unwrap_or(0)
}

/// The committed tasks. One that was recorded twice, because what it had made was lost, is as the
/// last record says; one that was recalled and not recorded again is not committed.
pub(crate) fn commits(records: &[Record]) -> Recovered {
    let mut recovered = Recovered::default();
    for record in records {
        match record {
            Record::Map { task, buckets, invalid_bytes, .. } => {
                let digest = |&(bytes, crc32, words)| (Digest { bytes, crc32 }, words);
                let buckets = buckets.iter().map(digest).collect();
                let commit = MapCommit { buckets, invalid_bytes: *invalid_bytes };
                recovered.maps.insert(*task, commit);
            }
            Record::Reduce { task, bytes, crc32, words, distinct_words, .. } => {
                let output = Digest { bytes: *bytes, crc32: *crc32 };
                let (words, distinct_words) = (*words, *distinct_words);
                recovered.reduces.insert(*task, ReduceCommit { output, words, distinct_words });
            }
            Record::Recalled { map, .. } => {
                recovered.maps.remove(map);
                *recovered.recalls.entry(*map).or_default() += 1;
            }
            // It said so itself, and was started again by somebody who had read it.
            Record::End { outcome } if outcome == FAILED => recovered.recalls.clear(),
            Record::Begin { .. }
            | Record::End { .. }
            | Record::Ended { .. }
            | Record::Input { .. }
            | Record::Resume { .. }
            | Record::Started { .. } => {}
        }
    }
    recovered
}

/// The committed tasks whose objects are there.
///
/// # Errors
///
/// When the store cannot be looked at.
pub(crate) fn recover(records: &[Record], store: &dyn Store) -> Result<Recovered, StoreError> {
    let Recovered { maps, reduces, recalls } = commits(records);
    let mut kept = Recovered { recalls, ..Recovered::default() };
    for (map, commit) in maps {
        let digests = (0..).zip(&commit.buckets);
        let mut objects =
            digests.map(|(bucket, (digest, _))| (layout::intermediate(map, bucket), *digest));
        if are_there(store, &mut objects)? {
            kept.maps.insert(map, commit);
        } else {
            tracing::warn!("map task {map} was committed, and what it made is gone: it runs again");
        }
    }
    for (reduce, commit) in reduces {
        if are_there(store, &mut std::iter::once((layout::output(reduce), commit.output)))? {
            kept.reduces.insert(reduce, commit);
        } else {
            tracing::warn!(
                "reduce task {reduce} was committed, and its output is gone: it runs again"
            );
        }
    }
    Ok(kept)
}

/// Whether each object is there, with its length.
fn are_there(
    store: &dyn Store,
    objects: &mut dyn Iterator<Item = (Name, Digest)>,
) -> Result<bool, StoreError> {
    for (name, digest) in objects {
        match store.open(&name) {
            Ok(object) if object.bytes() == digest.bytes => {}
            Ok(_) | Err(_) if faults::is_wrong("driver::no-redo") => {}
            Ok(_) | Err(StoreError::Missing { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::CANCELLED;

    fn map(task: u32) -> Record {
        Record::map(task, 0, "w0 (host:1)", None, &[], 0)
    }

    fn recalled(map: u32) -> Record {
        Record::Recalled { map, reduce: 0, attempt: 0, sentence: "gone".to_owned() }
    }

    fn end(outcome: &str) -> Record {
        Record::End { outcome: outcome.to_owned() }
    }

    /// The indexes of the committed map tasks, and how often which one was recalled.
    fn maps(records: &[Record]) -> (Vec<u32>, Vec<(u32, u32)>) {
        let recovered = commits(records);
        (recovered.maps.into_keys().collect(), recovered.recalls.into_iter().collect())
    }

    #[test]
    fn recalled_map_is_committed_when_it_is_recorded_again_and_not_before() {
        let mut records = vec![map(0), map(1), recalled(1)];
        assert_eq!(maps(&records), (vec![0], vec![(1, 1)]));

        records.push(map(1));
        assert_eq!(maps(&records), (vec![0, 1], vec![(1, 1)]));
    }

    /// Whoever starts a job again that failed for it wants it to be tried again.
    #[test]
    fn recalls_count_through_all_lives_until_the_job_fails() {
        let mut records = vec![map(0), recalled(0), end(CANCELLED), map(0), recalled(0)];
        assert_eq!(maps(&records), (vec![], vec![(0, 2)]));

        records.push(end(FAILED));
        assert_eq!(maps(&records), (vec![], vec![]));
    }
}
