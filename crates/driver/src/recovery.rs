//! What earlier epochs of this job have left: read from its records, checked against the folder.
//!
//! A record says that its objects have their final names. It counts only if they do: where a name
//! is missing, or an output is not the one that was recorded, its task is done again. The contents
//! of intermediates are checked by the workers that read them.

use journal::{Commits, Format, MapCommit, Outcome, Plan, PlannedInput, Record};
use rpc::message::WordRules;
use rpc::text::with_causes;
use store::{Digest, Loss, Name, Store, StoreError, layout};

use crate::committer;
use crate::ids;

mod differences;

pub use differences::{Difference, InputChange};

/// The job that the user asks for, as records describe it.
pub(crate) struct AskedJob<'plan> {
    pub(crate) plan: &'plan Plan,
    pub(crate) reduce_tasks: u32,
    pub(crate) rules: WordRules,
}

impl AskedJob<'_> {
    /// The id of the unfinished job that `records` describe, if there is one. Its committed tasks
    /// can be kept. A job that has read an input that can be read only once has ended with its
    /// driver.
    ///
    /// # Errors
    ///
    /// When it is a different job: how the two differ.
    pub(crate) fn find_unfinished<'records>(
        &self,
        records: &'records [Record],
    ) -> Result<Option<&'records str>, Vec<Difference>> {
        let Some((job, differences)) = self.compare(records) else { return Ok(None) };
        let is_done = |record: &Record| matches!(record, Record::End { outcome: Outcome::Done });
        if records.iter().any(is_done) || !is_resumable(records) {
            return Ok(None);
        }
        if differences.is_empty() { Ok(Some(job)) } else { Err(differences) }
    }

    /// How this job has ended, if it is the one that `records` describe. An interrupted job has not
    /// ended: it can be resumed.
    pub(crate) fn recorded_end(&self, records: &[Record]) -> Option<Outcome> {
        let is_about_an_epoch = |record: &&Record| {
            matches!(record, Record::Begin { .. } | Record::End { .. } | Record::Resume { .. })
        };
        let last = records.iter().rev().find(is_about_an_epoch)?;
        let Record::End { outcome: outcome @ (Outcome::Done | Outcome::Failed) } = last else {
            return None;
        };
        let (_, differences) = self.compare(records)?;
        differences.is_empty().then_some(*outcome)
    }

    /// How the job that `records` describe differs from this one; nothing if they describe none.
    pub(crate) fn differences(&self, records: &[Record]) -> Vec<Difference> {
        self.compare(records).map_or_else(Vec::new, |(_, differences)| differences)
    }

    /// The id of the job that `records` describe, if they describe one, and how it differs.
    fn compare<'records>(
        &self,
        records: &'records [Record],
    ) -> Option<(&'records str, Vec<Difference>)> {
        let Some(Record::Begin { epoch, job, started_unix_seconds, .. }) = records.first() else {
            return None;
        };
        // The build is compared too: another version may count differently.
        let now = self.describe(*epoch, job, *started_unix_seconds);
        let then = records.iter().take_while(|record| is_about_the_job(record)).count();
        Some((job, differences::between(&records[..then], &now)))
    }

    /// The records that begin this job and say what it is.
    pub(crate) fn describe(&self, epoch: u64, job: &str, started_unix_seconds: u64) -> Vec<Record> {
        let begin = Record::Begin {
            epoch,
            job: job.to_owned(),
            build: rpc::BUILD.to_owned(),
            started_unix_seconds,
            map_tasks: self.plan.map_tasks().get(),
            reduce_tasks: self.reduce_tasks,
            words: ids::recorded_rule(self.rules.rule),
            ignore_case: self.rules.ignore_case,
        };
        let input = |PlannedInput { input, format }: &PlannedInput| Record::Input {
            path: journal::escape(&input.path),
            bytes: input.bytes,
            modified_seconds: input.modified.seconds,
            modified_nanos: input.modified.nanoseconds,
            format: Format::clone(format),
        };
        std::iter::once(begin).chain(self.plan.inputs().iter().map(input)).collect()
    }
}

/// As of [`Plan::is_resumable`].
pub(crate) fn is_resumable(records: &[Record]) -> bool {
    let mut about_the_job = records.iter().take_while(|record| is_about_the_job(record));
    let reads_copy = |record: &Record| match record {
        Record::Input { path, .. } => store::is_input_copy(&journal::unescape(path)),
        Record::Begin { .. }
        | Record::End { .. }
        | Record::Ended { .. }
        | Record::IntermediatesRemoved
        | Record::Map { .. }
        | Record::Recalled { .. }
        | Record::Reduce { .. }
        | Record::Resume { .. }
        | Record::Started { .. } => false,
    };
    !about_the_job.any(reads_copy)
}

fn is_about_the_job(record: &Record) -> bool {
    match record {
        Record::Begin { .. } | Record::Input { .. } => true,
        Record::End { .. }
        | Record::Ended { .. }
        | Record::IntermediatesRemoved
        | Record::Map { .. }
        | Record::Recalled { .. }
        | Record::Reduce { .. }
        | Record::Resume { .. }
        | Record::Started { .. } => false,
    }
}

/// The committed tasks, apart from those whose objects are missing.
///
/// The intermediates are listed once and none is opened: there may be ten million. A short or
/// damaged one is found by the reduce attempt that reads it, and its map task is recalled then. The
/// outputs are read, because no task reads them later.
///
/// # Errors
///
/// When the store cannot be looked at.
pub(crate) fn recover(records: &[Record], store: &dyn Store) -> Result<Commits, StoreError> {
    let mut commits = Commits::of(records);
    if !commits.maps.is_empty() {
        let listed = store.intermediates()?;
        let is_missing = |&map: &u32, commit: &mut MapCommit| {
            let buckets = u32::try_from(commit.buckets.len()).unwrap_or(u32::MAX);
            first_missing(&listed, map, buckets).is_some()
        };
        let missing = commits.maps.extract_if(.., is_missing);
        let missing: Vec<u32> = missing.map(|(map, _)| map).collect();
        if let Some(first) = missing.first() {
            tracing::warn!(
                "committed map tasks run again because some of their intermediates are missing: \
                 {} tasks, the first is m{first}",
                missing.len()
            );
        }
    }
    for (reduce, commit) in std::mem::take(&mut commits.reduces) {
        let (name, digest) = commit.object(reduce);
        match committer::verify(store, &name, digest) {
            Ok(()) => {
                commits.reduces.insert(reduce, commit);
            }
            Err(error @ StoreError::Lost { .. }) => {
                tracing::warn!("a committed reduce task runs again: {}", with_causes(&error))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(commits)
}

/// The intermediates of `bucket` that are missing or short, at most one for each map task.
/// `expected[i]` has the length of that of map task `i`. A map task is also named if its
/// intermediate for another of the `buckets` is missing.
pub(crate) fn find_lost(
    store: &dyn Store,
    (bucket, buckets): (u32, u32),
    expected: &[Digest],
) -> Result<Vec<(u32, Name)>, StoreError> {
    let listed = store.intermediates()?;
    let mut lost = Vec::new();
    for (map, digest) in (0..).zip(expected) {
        let own = layout::intermediate(map, bucket);
        if let Some(missing) = first_missing(&listed, map, buckets) {
            lost.push((map, layout::intermediate(map, missing)));
        } else if !is_there(store, &own, *digest)? {
            lost.push((map, own));
        }
    }
    Ok(lost)
}

/// The first of the `buckets` intermediates of `map` that is not `listed`, in ascending order.
fn first_missing(listed: &[(u32, u32)], map: u32, buckets: u32) -> Option<u32> {
    let first = listed.partition_point(|&name| name < (map, 0));
    let of_map = listed[first..].iter().take_while(|&&(other, _)| other == map);
    let present = of_map.zip(0..).take_while(|&(&(_, bucket), next)| bucket == next).count();
    u32::try_from(present).ok().filter(|&present| present < buckets)
}

/// Whether an object is there, with its length.
fn is_there(store: &dyn Store, name: &Name, digest: Digest) -> Result<bool, StoreError> {
    match store.open(name) {
        Ok(object) => Ok(object.bytes() == digest.bytes),
        Err(StoreError::Lost { loss: Loss::Missing, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
