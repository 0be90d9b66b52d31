//! What attempts reported: what the winners made, and why the others failed.
//!
//! The scheduler knows which attempt won; here are the lengths, checksums and counts of what it
//! made. Here is also the check of conservation: no word is lost between the phases.

use std::collections::BTreeMap;

use journal::{Ending, JobFindings, MapCommit, Plan, ReduceCommit};
use rpc::message::Outcome;
use scheduler::{AttemptId, WorkerId};
use store::Digest;

use crate::cause::Cause;
use crate::ids;
use crate::progress::LiveProgress;

/// The counts that are summed over committed tasks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) input_bytes: u64,
    pub(crate) words_emitted: u64,
    pub(crate) bad_records: u64,
    pub(crate) intermediate_bytes: u64,
    pub(crate) intermediate_bytes_read: u64,
    pub(crate) words_counted: u64,
    pub(crate) distinct_words: u64,
    pub(crate) output_bytes: u64,
}

/// # Invariants
///
/// * `emitted[b]` is the sum of the words of bucket `b` over `maps`.
#[derive(Debug)]
pub(crate) struct Reports {
    maps: Vec<Option<MapCommit>>,
    emitted: Vec<u64>,
    /// Bytes in bucket `b` over all committed maps, at index `b`.
    bucket_bytes: Vec<u64>,
    /// Successful reports whose objects are being published.
    reported: BTreeMap<AttemptId, (WorkerId, Outcome)>,
    /// Why attempts failed that are about to be discarded. The scheduler knows no more than that
    /// they did.
    causes: BTreeMap<AttemptId, Cause>,
    /// How attempts that did not commit ended, and how much they had read, if they reported it.
    conclusions: BTreeMap<AttemptId, (Ending, Option<u64>)>,
    pub(crate) live: LiveProgress,
    totals: Totals,
}

impl Reports {
    pub(crate) fn new(map_tasks: u32, reduce_tasks: u32) -> Self {
        Self {
            maps: vec![None; map_tasks as usize],
            emitted: vec![0; reduce_tasks as usize],
            bucket_bytes: vec![0; reduce_tasks as usize],
            reported: BTreeMap::new(),
            causes: BTreeMap::new(),
            conclusions: BTreeMap::new(),
            live: LiveProgress::default(),
            totals: Totals::default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The intermediates that a reduce task reads: of map task `i`, at index `i`.
    pub(crate) fn intermediates(&self, bucket: u32) -> Vec<Digest> {
        let digest = |map: &Option<MapCommit>| {
            let map = map.as_ref().expect("reduce tasks start when all maps are committed");
            map.buckets[bucket as usize].digest
        };
        self.maps.iter().map(digest).collect()
    }

    /// A successful report that the scheduler accepted: keeps it until it is published. A repeated
    /// report changes nothing.
    pub(crate) fn keep_report(&mut self, attempt: AttemptId, worker: WorkerId, outcome: Outcome) {
        self.reported.entry(attempt).or_insert((worker, outcome));
    }

    pub(crate) fn report(&self, attempt: AttemptId) -> Option<&(WorkerId, Outcome)> {
        self.reported.get(&attempt)
    }

    /// How many attempts are being published.
    pub(crate) fn publishing(&self) -> usize {
        self.reported.len()
    }

    /// Whether the job, with this task, has at most `max` bad records. `first` describes the first
    /// of the task.
    pub(crate) fn check_bad_records(
        &self,
        max: u64,
        first: impl FnOnce() -> Option<String>,
    ) -> Result<(), Cause> {
        let of_report = |(_, outcome): &(WorkerId, Outcome)| match outcome {
            Outcome::Mapped { findings, .. } => findings.bad_records,
            Outcome::Failed(_) | Outcome::Reduced { .. } => 0,
        };
        // What is being published may count as well.
        let reported = self.reported.values().map(of_report);
        let found = reported.fold(self.totals.bad_records, u64::saturating_add);
        match found <= max {
            true => Ok(()),
            false => Err(Cause::BadRecords { found, max, first: first() }),
        }
    }

    /// What the committed map tasks have found besides words.
    pub(crate) fn findings(&self, plan: &Plan) -> JobFindings {
        let maps = (0..).zip(&self.maps);
        JobFindings::of(plan, maps.filter_map(|(map, made)| Some((map, &made.as_ref()?.findings))))
    }

    /// Whether as many words were counted in the bucket as were emitted into it.
    pub(crate) fn check_conservation(&self, bucket: u32, counted: u64) -> Result<(), Cause> {
        let emitted = self.emitted[bucket as usize];
        if emitted == counted {
            Ok(())
        } else {
            Err(Cause::Conservation { bucket, emitted, counted })
        }
    }

    /// `attempt` is committed. Returns the bytes in each bucket if it is a map, nothing if it is a
    /// reduce.
    pub(crate) fn commit(&mut self, attempt: AttemptId, task_bytes: u64) -> Vec<u64> {
        self.live.remove(attempt);
        let (_, outcome) = self.reported.remove(&attempt).expect("what is published was reported");
        let index = attempt.task.index;
        match outcome {
            Outcome::Mapped { buckets, findings } => {
                self.enter_map(index, ids::map_commit(&buckets, &findings), task_bytes)
            }
            Outcome::Reduced { output, words, distinct_words } => {
                let output = ids::digest(output);
                self.enter_reduce(index, ReduceCommit { output, words, distinct_words });
                Vec::new()
            }
            Outcome::Failed(_) => unreachable!("a failure is never published"),
        }
    }

    /// A map task is committed, now or in an earlier epoch; perhaps for the second time, because
    /// its intermediates were lost. Returns the bytes in each bucket.
    pub(crate) fn enter_map(&mut self, map: u32, commit: MapCommit, task_bytes: u64) -> Vec<u64> {
        if let Some(lost) = self.maps[map as usize].take() {
            self.totals.input_bytes -= task_bytes;
            self.totals.bad_records =
                self.totals.bad_records.saturating_sub(lost.findings.bad_records);
            for (bucket, made) in lost.buckets.iter().enumerate() {
                self.emitted[bucket] -= made.words;
                self.bucket_bytes[bucket] -= made.digest.bytes;
                self.totals.words_emitted -= made.words;
                self.totals.intermediate_bytes -= made.digest.bytes;
            }
        }
        for (bucket, made) in commit.buckets.iter().enumerate() {
            self.emitted[bucket] += made.words;
            self.bucket_bytes[bucket] += made.digest.bytes;
            self.totals.words_emitted += made.words;
            self.totals.intermediate_bytes += made.digest.bytes;
        }
        let bad_records = commit.findings.bad_records;
        self.totals.bad_records = self.totals.bad_records.saturating_add(bad_records);
        self.totals.input_bytes += task_bytes;
        let bucket_bytes = commit.buckets.iter().map(|made| made.digest.bytes).collect();
        self.maps[map as usize] = Some(commit);
        bucket_bytes
    }

    /// A reduce task is committed, now or in an earlier epoch.
    pub(crate) fn enter_reduce(&mut self, reduce: u32, commit: ReduceCommit) {
        self.totals.words_counted += commit.words;
        self.totals.distinct_words += commit.distinct_words;
        self.totals.output_bytes += commit.output.bytes;
        self.totals.intermediate_bytes_read += self.bucket_bytes[reduce as usize];
    }

    /// `attempt` failed, and is about to be discarded.
    pub(crate) fn fail(&mut self, attempt: AttemptId, cause: Cause) {
        self.reported.remove(&attempt);
        // A worker may repeat its report. The first cause counts.
        if !self.conclusions.contains_key(&attempt) {
            self.causes.entry(attempt).or_insert(cause);
        }
    }

    pub(crate) fn take_cause(&mut self, attempt: AttemptId) -> Option<Cause> {
        self.causes.remove(&attempt)
    }

    /// `attempt` is over and did not commit.
    pub(crate) fn conclude(&mut self, attempt: AttemptId, ending: Ending, bytes: Option<u64>) {
        self.conclusions.insert(attempt, (ending, bytes));
    }

    /// How each attempt ended that did not commit.
    pub(crate) fn conclusions(&self) -> impl Iterator<Item = (AttemptId, &Ending)> {
        self.conclusions.iter().map(|(&attempt, (ending, _))| (attempt, ending))
    }

    pub(crate) fn conclusion(&self, attempt: AttemptId) -> Option<&(Ending, Option<u64>)> {
        self.conclusions.get(&attempt)
    }
}
