//! A job for observers: its progress, and its results.
//!
//! These are not the scheduler's types, because most of what people want to see (bytes, words,
//! rates) is none of the scheduler's business.

use std::path::PathBuf;
use std::time::Duration;

use journal::{JobFindings, SetAside};
use rpc::message::{AttemptCounts, PhaseStatus, Stranded};

/// A running job at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// The map phase.
    pub map: PhaseSnapshot,
    /// The reduce phase.
    pub reduce: PhaseSnapshot,
    /// Workers alive.
    pub workers: u32,
    /// The map tasks that wait and that no worker can do.
    pub stranded: Vec<Stranded>,
    /// The attempts so far.
    pub attempts: AttemptCounts,
    /// Attempts that were started to race one that was far behind.
    pub backups: Backups,
    /// Reports that came too late to count.
    pub stale_reports: u64,
    /// Protocol violations.
    pub violations: u64,
    /// What the driver removes at the end of the job.
    pub removing: Removing,
}

/// Backup attempts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backups {
    /// All of them.
    pub started: u64,
    /// Those that won.
    pub won: u64,
}

/// What the driver removes at the end of the job, as counted when it began to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Removing {
    /// Empty staging folders of committed attempts.
    pub staging_folders: u64,
    /// Intermediates, if the user does not want to keep them.
    pub intermediates: u64,
}

impl Snapshot {
    /// Whether a task is committed.
    pub fn has_commits(&self) -> bool {
        self.map.counts.committed > 0 || self.reduce.counts.committed > 0
    }
}

/// One phase at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PhaseSnapshot {
    /// Its tasks, and what they have read and emitted or counted.
    pub counts: PhaseStatus,
    /// From the first attempt of the phase to the last commit, or to now.
    pub elapsed: Duration,
    /// What earlier epochs had committed when this driver began: not done in `elapsed`.
    pub resumed: Resumed,
}

impl PhaseSnapshot {
    /// Bytes read since this driver began: with `elapsed` they give its rate.
    pub fn bytes_since_resume(&self) -> u64 {
        self.counts.bytes_done.saturating_sub(self.resumed.bytes)
    }
}

/// The part of a phase that earlier epochs have committed; nothing in a job that is not resumed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resumed {
    /// Tasks.
    pub tasks: u32,
    /// Bytes that these tasks have read.
    pub bytes: u64,
}

/// What a finished job did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// At its end.
    pub snapshot: Snapshot,
    /// Input files.
    pub input_files: usize,
    /// What the map tasks have found besides words.
    pub findings: JobFindings,
    /// Words that differ, over all outputs.
    pub distinct_words: u64,
    /// Bytes of all outputs.
    pub output_bytes: u64,
    /// Workers that registered at any time.
    pub workers: usize,
    /// Those of them that got no more tasks while others could do them.
    pub set_aside: Vec<SetAside>,
    /// From the start of the first attempt until the folder is clean and the end is recorded.
    pub elapsed: Duration,
    /// The folder with the results.
    pub files: PathBuf,
    /// The outputs, in order of their buckets.
    pub outputs: Vec<PathBuf>,
}
