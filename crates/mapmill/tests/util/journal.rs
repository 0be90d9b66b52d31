//! What a job's journal says, read without the program under test.

use std::fs;
use std::path::Path;

use super::job::TestJob;
use super::runs::Times;

impl TestJob {
    /// The whole records of the journal; none if there is no journal yet.
    pub fn records(&self) -> Vec<serde_json::Value> {
        records_in(&self.result(""))
    }

    /// How often the journal says of each task that it is committed.
    pub fn commits(&self) -> Times {
        commits_in(&self.result(""))
    }

    /// Whether the journal says that nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.records().iter().any(|record| record["kind"] == "end" && record["outcome"] == "done")
    }
}

/// The records in a copy of a results folder.
pub fn records_in(files: &Path) -> Vec<serde_json::Value> {
    let journal = fs::read(files.join(".mapmill/journal.jsonl")).unwrap_or_default();
    let journal = String::from_utf8_lossy(&journal);
    let lines = journal.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let parse = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    lines.filter_map(parse).map(|line| line["record"].clone()).collect()
}

/// The commits in a copy of a results folder.
pub fn commits_in(files: &Path) -> Times {
    let mut commits = Times::new();
    for record in records_in(files) {
        let phase = match record["kind"].as_str() {
            Some("map") => "m",
            Some("reduce") => "r",
            Some(_) | None => continue,
        };
        *commits.entry(format!("{phase}{}", record["task"])).or_default() += 1;
    }
    commits
}
