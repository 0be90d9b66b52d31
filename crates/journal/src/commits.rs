//! The committed tasks of a job, as its records have them.

use std::collections::BTreeMap;

use store::Digest;

use crate::record::{FAILED, Record};

/// The committed tasks of a job, as its journal has them.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By index.
    pub maps: BTreeMap<u32, MapCommit>,
    /// By index.
    pub reduces: BTreeMap<u32, ReduceCommit>,
    /// How often what a map task had made was lost, by index, since the job last failed.
    pub recalls: BTreeMap<u32, u32>,
}

/// What a committed map task made.
#[derive(Clone, Debug)]
pub struct MapCommit {
    /// The file of bucket `b` and its words, at index `b`.
    pub buckets: Vec<(Digest, u64)>,
    /// Bytes that were not UTF-8.
    pub invalid_bytes: u64,
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

/// The highest epoch of all lives that `records` tell of; 0 if there is none.
pub fn last_epoch(records: &[Record]) -> u64 {
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
pub fn commits(records: &[Record]) -> Recovered {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CANCELLED;

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
