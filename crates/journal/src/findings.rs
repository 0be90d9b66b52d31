//! What map tasks have found in their inputs, besides words.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// What one map task has found in its splits.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Findings {
    /// Bytes that were not UTF-8.
    pub invalid_bytes: u64,
    /// Of the splits with such bytes, those with most, as their index in the task and the bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid_splits: Vec<(u32, u64)>,
    /// Records that were read, and files that are one document; older journals do not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub documents: u64,
    /// Records that were skipped because they are not what the format says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_records: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_bad_records: Vec<BadRecord>,
}

/// A record that is not what the format of its file says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BadRecord {
    /// The index of its split in the task.
    pub split: u32,
    /// Where it begins in the text of the file, after decompression, in bytes; of Parquet, the
    /// index of its row.
    pub offset: u64,
    /// Its number in the file, from 1, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What is wrong with it, for people.
    pub problem: String,
}

/// What all committed map tasks have found, by file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JobFindings {
    /// Bytes that were not UTF-8.
    pub invalid_bytes: u64,
    /// The files with most of them, at most ten, the worst first, and how many were reported of
    /// each: at least so many, because a task reports its worst splits alone.
    pub invalid_files: Vec<(PathBuf, u64)>,
    /// Records that were read, and files that are one document.
    pub documents: u64,
    /// Records that were skipped because they are not what the format says.
    pub bad_records: u64,
    /// The first of them, at most ten, with their files.
    pub first_bad_records: Vec<(PathBuf, BadRecord)>,
}

impl JobFindings {
    /// The sum over committed map tasks of `plan`, each with its index, in the order of their
    /// indexes.
    pub fn of<'a>(plan: &Plan, maps: impl IntoIterator<Item = (u32, &'a Findings)>) -> Self {
        let mut job = Self::default();
        let mut invalid_files = BTreeMap::<&Path, u64>::new();
        for (map, findings) in maps {
            job.invalid_bytes = job.invalid_bytes.saturating_add(findings.invalid_bytes);
            job.documents = job.documents.saturating_add(findings.documents);
            job.bad_records = job.bad_records.saturating_add(findings.bad_records);
            if findings.invalid_splits.is_empty() && findings.first_bad_records.is_empty() {
                continue;
            }
            let splits: Vec<&Path> =
                plan.splits(map).map(|split| split.input.path.as_path()).collect();
            let file = |split: u32| splits.get(split as usize).copied();
            for &(split, bytes) in &findings.invalid_splits {
                let Some(file) = file(split) else { continue };
                let sum = invalid_files.entry(file).or_default();
                *sum = sum.saturating_add(bytes);
            }
            for record in &findings.first_bad_records {
                let Some(file) = file(record.split) else { continue };
                if job.first_bad_records.len() < SHOWN_MAX {
                    job.first_bad_records.push((shown(file), record.clone()));
                }
            }
        }
        let mut invalid_files: Vec<_> = invalid_files.into_iter().collect();
        invalid_files.sort_by_key(|&(_, bytes)| Reverse(bytes));
        invalid_files.truncate(SHOWN_MAX);
        let invalid_files = invalid_files.into_iter().map(|(file, bytes)| (shown(file), bytes));
        job.invalid_files = invalid_files.collect();
        job
    }
}

fn shown(file: &Path) -> PathBuf {
    store::shown_input(file).into_owned()
}

/// As many files, and as many bad records, as a person looks at.
const SHOWN_MAX: usize = 10;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use store::{Input, Modified};

    use super::*;
    use crate::format::Format;

    #[test]
    fn findings_are_summed_by_file_and_the_worst_files_come_first() {
        let input = |name: &str, bytes| {
            let modified = Modified { seconds: 0, nanoseconds: 0 };
            (Input { path: name.into(), bytes, modified }, Format::default())
        };
        // Map task 0 reads 6 bytes of /a; map task 1 the other 2, and /b.
        let plan = Plan::new(vec![input("/a", 8), input("/b", 4)], NonZeroU32::new(2).unwrap());
        let bad =
            |split, offset| BadRecord { split, offset, number: None, problem: "?".to_owned() };
        let first = Findings {
            invalid_bytes: 3,
            invalid_splits: vec![(0, 3)],
            documents: 1,
            bad_records: 9,
            first_bad_records: vec![bad(0, 5); 9],
        };
        let second = Findings {
            invalid_bytes: 6,
            invalid_splits: vec![(1, 4), (0, 2), (7, 99)],
            documents: 1,
            bad_records: 2,
            first_bad_records: vec![bad(1, 1), bad(1, 2)],
        };

        let job = JobFindings::of(&plan, [(0, &first), (1, &second)]);

        assert_eq!((job.invalid_bytes, job.documents, job.bad_records), (9, 2, 11));
        assert_eq!(job.invalid_files, [("/a".into(), 5), ("/b".into(), 4)]);
        assert_eq!(job.first_bad_records.len(), 10);
        assert_eq!(job.first_bad_records[9], ("/b".into(), bad(1, 1)));
    }
}
