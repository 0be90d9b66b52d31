//! The committed tasks of a job: read from its records, and turned into records.

use std::collections::BTreeMap;

use store::{Digest, Name, layout};

use crate::findings::Findings;
use crate::record::{BucketMade, Outcome, Record, Span};

/// Which tasks are committed, and what they made.
#[derive(Debug, Default)]
pub struct Commits {
    /// By index.
    pub maps: BTreeMap<u32, MapCommit>,
    /// By index.
    pub reduces: BTreeMap<u32, ReduceCommit>,
    /// How often each map task was recalled, by index, since the job last failed.
    pub recalls: BTreeMap<u32, u32>,
}

/// What a committed map task made.
#[derive(Clone, Debug)]
pub struct MapCommit {
    /// The file of each bucket, by index.
    pub buckets: Vec<BucketMade>,
    /// What it has found besides words.
    pub findings: Findings,
}

/// What a committed reduce task made.
#[derive(Clone, Copy, Debug)]
pub struct ReduceCommit {
    /// The output.
    pub output: Digest,
    /// The sum of all counts.
    pub words: u64,
    /// Its lines.
    pub distinct_words: u64,
}

/// The attempt whose output counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Winner {
    /// The index of its task.
    pub task: u32,
    /// Its number.
    pub attempt: u32,
    /// The worker that executed it.
    pub worker: String,
    /// When.
    pub span: Option<Span>,
}

impl MapCommit {
    /// The files of map task `map`, by bucket.
    pub fn objects(&self, map: u32) -> impl Iterator<Item = (Name, Digest)> {
        let files = (0..).zip(&self.buckets);
        files.map(move |(bucket, made)| (layout::intermediate(map, bucket), made.digest))
    }

    /// The record of the commit of its map task by `winner`.
    pub fn into_record(self, winner: Winner) -> Record {
        let Winner { task, attempt, worker, span } = winner;
        let Self { buckets, findings } = self;
        Record::Map { task, attempt, worker, span, buckets, findings }
    }
}

impl ReduceCommit {
    /// The file of reduce task `reduce`.
    pub fn object(&self, reduce: u32) -> (Name, Digest) {
        (layout::output(reduce), self.output)
    }

    /// The record of the commit of its reduce task by `winner`.
    pub fn into_record(self, winner: Winner) -> Record {
        let Winner { task, attempt, worker, span } = winner;
        let Self { output: Digest { bytes, crc32 }, words, distinct_words } = self;
        Record::Reduce { task, attempt, worker, span, bytes, crc32, words, distinct_words }
    }
}

impl Commits {
    /// A task that was recorded twice, because its files were lost, is as the last record says; a
    /// map task that was recalled and not recorded again is not committed.
    pub fn of(records: &[Record]) -> Self {
        let mut commits = Self::default();
        for record in records {
            commits.add(record);
        }
        commits
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::Map { task, buckets, findings, .. } => {
                let (buckets, findings) = (buckets.clone(), findings.clone());
                self.maps.insert(*task, MapCommit { buckets, findings });
            }
            Record::Reduce { task, bytes, crc32, words, distinct_words, .. } => {
                let output = Digest { bytes: *bytes, crc32: *crc32 };
                let (words, distinct_words) = (*words, *distinct_words);
                self.reduces.insert(*task, ReduceCommit { output, words, distinct_words });
            }
            Record::Recalled { map, .. } => {
                self.maps.remove(map);
                *self.recalls.entry(*map).or_default() += 1;
            }
            // When a user resumes a failed job, the recalls of every task are counted anew.
            Record::End { outcome: Outcome::Failed } => self.recalls.clear(),
            Record::Begin { .. }
            | Record::End {
                outcome: Outcome::Cancelled | Outcome::Done | Outcome::NoWorkers | Outcome::Unknown,
            }
            | Record::Ended { .. }
            | Record::Input { .. }
            | Record::IntermediatesRemoved
            | Record::Resume { .. }
            | Record::Started { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{map, recalled};

    /// The indexes of the committed map tasks, and how often each was recalled.
    fn maps(records: &[Record]) -> (Vec<u32>, Vec<(u32, u32)>) {
        let commits = Commits::of(records);
        (commits.maps.into_keys().collect(), commits.recalls.into_iter().collect())
    }

    #[test]
    fn recalled_map_is_committed_when_it_is_recorded_again_and_not_before() {
        let mut records = vec![map(0), map(1), recalled(1)];
        assert_eq!(maps(&records), (vec![0], vec![(1, 1)]));

        records.push(map(1));
        assert_eq!(maps(&records), (vec![0, 1], vec![(1, 1)]));
    }

    /// A user who starts a failed job again wants its tasks retried.
    #[test]
    fn recalls_count_through_all_epochs_until_the_job_fails() {
        let cancelled = Record::End { outcome: Outcome::Cancelled };
        let mut records = vec![map(0), recalled(0), cancelled, map(0), recalled(0)];
        assert_eq!(maps(&records), (vec![], vec![(0, 2)]));

        records.push(Record::End { outcome: Outcome::Failed });
        assert_eq!(maps(&records), (vec![], vec![]));
    }
}
