//! What a job's journal says, read without the program under test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::job::TestJob;

/// The tasks that the journal calls committed, and how often.
pub fn committed(job: &TestJob) -> BTreeMap<String, usize> {
    committed_in(&job.result(""))
}

/// The same for a copy of a results folder.
pub fn committed_in(files: &Path) -> BTreeMap<String, usize> {
    let mut tasks = BTreeMap::new();
    for record in records_in(files) {
        let prefix = match record["kind"].as_str() {
            Some("map") => "m",
            Some("reduce") => "r",
            Some(_) | None => continue,
        };
        *tasks.entry(format!("{prefix}{}", record["task"])).or_default() += 1;
    }
    tasks
}

/// The whole records of the journal; none if there is no journal yet.
pub fn records(job: &TestJob) -> Vec<serde_json::Value> {
    records_in(&job.result(""))
}

/// The same for a copy of a results folder.
pub fn records_in(files: &Path) -> Vec<serde_json::Value> {
    let journal = fs::read(files.join(".mapmill/journal.jsonl")).unwrap_or_default();
    let journal = String::from_utf8_lossy(&journal);
    let lines = journal.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let parse = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    lines.filter_map(parse).map(|line| line["record"].clone()).collect()
}

/// Whether the journal says that nothing is left to do.
pub fn is_done(job: &TestJob) -> bool {
    records(job).last().is_some_and(|record| record["outcome"] == "done")
}
