//! What an earlier life of this job has left: read from the journal, checked against the folder.
//!
//! A record says that its objects have their final names. It is believed only as far as they do:
//! where one is missing or has another length, its task is simply done again. What is in them is
//! checked by whoever reads them.

use std::collections::BTreeMap;

use rpc::message::{WordRule, WordRules};
use store::{Digest, Input, Name, Store, StoreError, layout};

use crate::journal::{self, DONE, Record};
use crate::plan::Plan;

/// The committed tasks of a job, as its journal has them.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// By index.
    pub(crate) maps: BTreeMap<u32, MapCommit>,
    /// By index.
    pub(crate) reduces: BTreeMap<u32, ReduceCommit>,
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
        Record::End { .. } | Record::Map { .. } | Record::Reduce { .. } | Record::Resume { .. } => {
            false
        }
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
        Record::End { .. } | Record::Input { .. } | Record::Map { .. } | Record::Reduce { .. } => {
            None
        }
    };
    records.iter().filter_map(epoch).max().unwrap_or(0)
}

/// The committed tasks. One that was recorded twice, because what it had made was lost, is as the
/// last record says.
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
            Record::Begin { .. }
            | Record::End { .. }
            | Record::Input { .. }
            | Record::Resume { .. } => {}
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
    let mut kept = Recovered::default();
    let Recovered { maps, reduces } = commits(records);
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
            Ok(_) | Err(StoreError::Missing { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
