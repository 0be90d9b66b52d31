//! What the driver remembers beside the scheduler: what attempts reported, and why they failed.
//!
//! The scheduler knows which attempt won; the book knows what the winner made: lengths, checksums
//! and counts. It also holds the law that no word is lost between the phases.

use std::collections::BTreeMap;

use journal::{Ending, MapCommit, ReduceCommit};
use rpc::message::{Outcome, Running};
use scheduler::{AttemptId, Phase, TaskId, Time, WorkerId};
use store::Digest;

use crate::cause::Cause;
use crate::ids;

/// The counts that are summed over committed tasks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) input_bytes: u64,
    pub(crate) words_emitted: u64,
    pub(crate) invalid_bytes: u64,
    pub(crate) intermediate_bytes: u64,
    pub(crate) intermediate_bytes_read: u64,
    pub(crate) words_counted: u64,
    pub(crate) distinct_words: u64,
    pub(crate) output_bytes: u64,
}

/// What live attempts said of themselves, summed. For display only, and nobody checks what a worker
/// says here: the sums wrap around, so that a lie goes as it came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Live {
    pub(crate) bytes: u64,
    pub(crate) words: u64,
}

/// What a live attempt said of itself last.
#[derive(Clone, Copy, Debug)]
struct Progress {
    running: Running,
    /// When its progress last grew.
    advanced: Option<Time>,
}

/// # Invariants
///
/// * `emitted[b]` is the sum of the words of bucket `b` over `maps`.
/// * `live_map` and `live_reduce` are the sums over `running`: of two attempts at a task, the one
///   that has read more.
#[derive(Debug)]
pub(crate) struct Reports {
    maps: Vec<Option<MapCommit>>,
    emitted: Vec<u64>,
    /// Bytes in bucket `b` over all committed maps, at index `b`.
    bucket_bytes: Vec<u64>,
    /// Successful reports whose objects are being published.
    reported: BTreeMap<AttemptId, (WorkerId, Outcome)>,
    /// Why attempts failed that are about to be discarded, where the scheduler does not know more
    /// than that they did.
    causes: BTreeMap<AttemptId, Cause>,
    /// How attempts that did not commit ended, and how much they had read, if they said so.
    conclusions: BTreeMap<AttemptId, (Ending, Option<u64>)>,
    /// The last heartbeat of each live attempt.
    running: BTreeMap<AttemptId, Progress>,
    live_map: Live,
    live_reduce: Live,
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
            running: BTreeMap::new(),
            live_map: Live::default(),
            live_reduce: Live::default(),
            totals: Totals::default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn live(&self, phase: Phase) -> Live {
        match phase {
            Phase::Map => self.live_map,
            Phase::Reduce => self.live_reduce,
        }
    }

    /// The intermediates that a reduce task reads: of map task `i`, at index `i`.
    pub(crate) fn intermediates(&self, bucket: u32) -> Vec<Digest> {
        let digest = |map: &Option<MapCommit>| {
            let map = map.as_ref().expect("reduce tasks start when all maps are committed");
            map.buckets[bucket as usize].digest
        };
        self.maps.iter().map(digest).collect()
    }

    /// A heartbeat of a live attempt.
    pub(crate) fn note_progress(&mut self, now: Time, attempt: AttemptId, running: Running) {
        let before = self.running.get(&attempt).copied();
        let advanced = match before {
            Some(before) if running.progress <= before.running.progress => before.advanced,
            None if running.progress == 0 => None,
            Some(_) | None => Some(now),
        };
        self.set_running(attempt, Some(Progress { running, advanced }));
    }

    /// When a live attempt was last seen to make progress, if it ever was.
    pub(crate) fn last_progress(&self, attempt: AttemptId) -> Option<Time> {
        self.running.get(&attempt)?.advanced
    }

    /// `attempt` is not live any more: what it said of itself no longer counts. Returns how much
    /// it had read, if it said so.
    pub(crate) fn settle(&mut self, attempt: AttemptId) -> Option<u64> {
        let last = self.set_running(attempt, None)?;
        Some(last.running.bytes)
    }

    /// Returns what was known of it before.
    fn set_running(&mut self, attempt: AttemptId, progress: Option<Progress>) -> Option<Progress> {
        let before = self.furthest(attempt.task);
        let last = match progress {
            Some(progress) => self.running.insert(attempt, progress),
            None => self.running.remove(&attempt),
        };
        let after = self.furthest(attempt.task);
        let live = self.live_mut(attempt.task.phase);
        live.bytes = live.bytes.wrapping_sub(before.bytes).wrapping_add(after.bytes);
        live.words = live.words.wrapping_sub(before.words).wrapping_add(after.words);
        last
    }

    /// What the live attempt at `task` that has read most said of itself.
    fn furthest(&self, task: TaskId) -> Live {
        let all = AttemptId { task, number: 0 }..=AttemptId { task, number: u32::MAX };
        let furthest = self.running.range(all).map(|(_, progress)| progress.running);
        let furthest = furthest.max_by_key(|running| running.bytes);
        furthest.map_or(Live::default(), |Running { bytes, words, .. }| Live { bytes, words })
    }

    fn live_mut(&mut self, phase: Phase) -> &mut Live {
        match phase {
            Phase::Map => &mut self.live_map,
            Phase::Reduce => &mut self.live_reduce,
        }
    }

    /// A successful report that the scheduler took: keep it until it is published. A repeat changes
    /// nothing.
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
        self.settle(attempt);
        let (_, outcome) = self.reported.remove(&attempt).expect("what is published was reported");
        let index = attempt.task.index;
        match outcome {
            Outcome::Mapped { buckets, invalid_bytes } => {
                self.enter_map(index, ids::map_commit(&buckets, invalid_bytes), task_bytes)
            }
            Outcome::Reduced { output, words, distinct_words } => {
                let output = ids::digest(output);
                self.enter_reduce(index, ReduceCommit { output, words, distinct_words });
                Vec::new()
            }
            Outcome::Failed(_) => unreachable!("a failure is never published"),
        }
    }

    /// A map task is committed, now or in an earlier life; perhaps for the second time, because
    /// what it had made was lost. Returns the bytes in each bucket.
    pub(crate) fn enter_map(&mut self, map: u32, commit: MapCommit, task_bytes: u64) -> Vec<u64> {
        if let Some(lost) = self.maps[map as usize].take() {
            self.totals.input_bytes -= task_bytes;
            self.totals.invalid_bytes =
                self.totals.invalid_bytes.saturating_sub(lost.invalid_bytes);
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
        // Nothing depends on it, and nothing checks it.
        self.totals.invalid_bytes = self.totals.invalid_bytes.saturating_add(commit.invalid_bytes);
        self.totals.input_bytes += task_bytes;
        let bucket_bytes = commit.buckets.iter().map(|made| made.digest.bytes).collect();
        self.maps[map as usize] = Some(commit);
        bucket_bytes
    }

    /// A reduce task is committed, now or in an earlier life.
    pub(crate) fn enter_reduce(&mut self, reduce: u32, commit: ReduceCommit) {
        self.totals.words_counted += commit.words;
        self.totals.distinct_words += commit.distinct_words;
        self.totals.output_bytes += commit.output.bytes;
        self.totals.intermediate_bytes_read += self.bucket_bytes[reduce as usize];
    }

    /// `attempt` failed, and is about to be discarded.
    pub(crate) fn fail(&mut self, attempt: AttemptId, cause: Cause) {
        self.reported.remove(&attempt);
        // A worker repeats its report. The first one is told.
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

    pub(crate) fn conclusion(&self, attempt: AttemptId) -> Option<&(Ending, Option<u64>)> {
        self.conclusions.get(&attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_attempts_at_a_task_the_one_that_has_read_more_counts() {
        let mut reports = Reports::new(2, 1);
        let attempt = |index, number| AttemptId { task: TaskId::map(index), number };
        let running = |attempt: AttemptId, bytes| Running {
            attempt: rpc::message::Attempt {
                phase: rpc::message::Phase::Map,
                task: attempt.task.index,
                number: attempt.number,
            },
            progress: bytes,
            bytes,
            words: bytes / 10,
        };
        let (first, backup, other) = (attempt(0, 0), attempt(0, 1), attempt(1, 0));
        for (attempt, bytes, live) in
            [(other, 1000, 1000), (first, 50, 1050), (backup, 20, 1050), (backup, 70, 1070)]
        {
            reports.note_progress(Time::default(), attempt, running(attempt, bytes));
            let expected = Live { bytes: live, words: live / 10 };
            assert_eq!(reports.live(Phase::Map), expected, "{attempt}");
        }
        for (attempt, bytes) in [(backup, 1050), (first, 1000), (first, 1000), (other, 0)] {
            reports.settle(attempt);
            assert_eq!(reports.live(Phase::Map), Live { bytes, words: bytes / 10 }, "{attempt}");
        }
    }
}
