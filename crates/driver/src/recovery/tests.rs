//! What is kept of a job whose files were changed while no driver ran.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use journal::{BucketMade, ReduceCommit, Winner};
use store::{Local, layout};

use super::*;

#[test]
fn intermediates_are_listed_and_none_is_opened() {
    let job = Job::new();
    // To open it would be an error, and the length of the other would not fit.
    fs::remove_file(job.path(&layout::intermediate(0, 1))).unwrap();
    symlink("/dev/null", job.path(&layout::intermediate(0, 1))).unwrap();
    File::create(job.path(&layout::intermediate(1, 0))).unwrap();

    assert_eq!(job.kept(), (vec![0, 1, 2], vec![0, 1]));
}

#[test]
fn map_task_with_a_missing_intermediate_is_not_kept() {
    let job = Job::new();
    fs::remove_file(job.path(&layout::intermediate(1, 0))).unwrap();
    // Of a larger job: its bucket does not count for the one that is missing.
    File::create(job.path(&layout::intermediate(1, 2))).unwrap();

    assert_eq!(job.kept(), (vec![0, 2], vec![0, 1]));
}

#[test]
fn output_that_is_missing_or_short_is_not_kept() {
    let job = Job::new();
    fs::remove_file(job.path(&layout::output(0))).unwrap();
    File::create(job.path(&layout::output(1))).unwrap();

    assert_eq!(job.kept(), (vec![0, 1, 2], vec![]));
}

#[test]
fn output_that_was_replaced_by_one_of_its_length_is_not_kept() {
    let job = Job::new();
    let other: Vec<u8> = TEXT.iter().rev().copied().collect();
    fs::write(job.path(&layout::output(1)), other).unwrap();

    assert_eq!(job.kept(), (vec![0, 1, 2], vec![0]));
}

/// Three map tasks and two reduce tasks, all of them committed.
struct Job {
    _folder: tempfile::TempDir,
    store: Local,
    records: Vec<Record>,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::create(folder.path()).unwrap();
        let (digest, words) = (Digest::of(TEXT), 1);
        let winner =
            |task| Winner { task, attempt: 0, worker: "w0 (host:1)".to_owned(), span: None };
        let mut records = Vec::new();
        for map in 0..3 {
            let commit = MapCommit {
                buckets: vec![BucketMade { digest, words }; 2],
                findings: journal::Findings::default(),
            };
            for (name, _) in commit.objects(map) {
                fs::write(store.path(&name), TEXT).unwrap();
            }
            records.push(commit.into_record(winner(map)));
        }
        for reduce in 0..2 {
            let commit = ReduceCommit { output: digest, words, distinct_words: 1 };
            fs::write(store.path(&layout::output(reduce)), TEXT).unwrap();
            records.push(commit.into_record(winner(reduce)));
        }
        Self { _folder: folder, store, records }
    }

    fn path(&self, name: &Name) -> std::path::PathBuf {
        self.store.path(name)
    }

    /// The map tasks and the reduce tasks that do not run again.
    fn kept(&self) -> (Vec<u32>, Vec<u32>) {
        let Commits { maps, reduces, .. } = recover(&self.records, &self.store).unwrap();
        (maps.into_keys().collect(), reduces.into_keys().collect())
    }
}

const TEXT: &[u8] = b"word\n";
