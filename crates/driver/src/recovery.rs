//! What an earlier life of this job has left: read from the journal, checked against the folder.
//!
//! A record says that its objects have their final names. It is believed only as far as they do:
//! where one is missing or has another length, its task is simply done again. What is in them is
//! checked by whoever reads them.

use journal::{DONE, Plan, Record, Recovered};
use rpc::message::{WordRule, WordRules};
use store::{Digest, Input, Loss, Name, Store, StoreError, layout};

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

/// The committed tasks whose objects are there.
///
/// # Errors
///
/// When the store cannot be looked at.
pub(crate) fn recover(records: &[Record], store: &dyn Store) -> Result<Recovered, StoreError> {
    let Recovered { maps, reduces, recalls } = journal::commits(records);
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
            Ok(_) | Err(StoreError::Lost { loss: Loss::Missing, .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
