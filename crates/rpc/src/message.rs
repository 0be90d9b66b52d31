//! The messages, in our own types. The `.proto` file says when each is sent and what happens if it
//! is lost.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ability::Ability;
use crate::text::escaped;

/// A path for people. It is untrusted, and may hold any character.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy()).to_string()
}

/// An input for people: a file, or what has a name and no path, such as standard input.
fn input(path: &Path) -> String {
    let shown = shown(path);
    if path.is_absolute() { format!("input {shown}") } else { shown }
}

/// One epoch of a driver. Opaque to a worker, which returns it with every call.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Session(pub String);

/// A worker registers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Register {
    /// The protocol version it speaks.
    pub protocol: u32,
    /// Its program and version.
    pub build: String,
    /// Chosen at random when the worker process starts: it distinguishes a repeated call from a new
    /// worker.
    pub instance: [u8; 16],
    /// For people.
    pub name: String,
    /// Folders below which it may read and write; empty for "anywhere".
    pub roots: Vec<PathBuf>,
    /// What it can read besides plain text in UTF-8.
    pub abilities: BTreeSet<Ability>,
}

/// The answer to [`Register`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegisterAnswer {
    /// The job is over.
    Exit,
    /// The job needs folders outside the worker's roots.
    OutsideRoots {
        /// The first of them.
        folder: PathBuf,
        /// The others, as far as they are named.
        more: Vec<PathBuf>,
    },
    /// The worker is admitted.
    Registered(Registered),
    /// Driver and worker speak different versions.
    VersionMismatch {
        /// The driver's protocol version.
        protocol: u32,
        /// The driver's program and version.
        build: String,
    },
}

/// What a worker needs to know of the job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registered {
    /// Sent with every later call.
    pub session: Session,
    /// The worker's id in this session: any caller that knows it can call as this worker.
    pub worker: u64,
    /// The worker's number in the driver's messages: `w3`. For people.
    pub number: u64,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// The folder that receives the results.
    pub files: PathBuf,
    /// How text becomes words.
    pub rules: WordRules,
    /// `M`.
    pub buckets: u32,
    /// Whether bad records are skipped and counted. Otherwise the first one fails the attempt.
    pub skip_bad_records: bool,
}

/// How text becomes words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WordRules {
    /// What a word is.
    pub rule: WordRule,
    /// Whether characters are replaced by their lower case.
    pub ignore_case: bool,
}

/// What a word is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WordRule {
    /// A run of letters.
    Letters,
    /// A run of anything but white space.
    Whitespace,
}

/// Map or reduce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Splits to intermediates.
    Map,
    /// Intermediates to outputs.
    Reduce,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Reduce => "reduce",
        })
    }
}

/// One execution of one task. For people: `map task 3, attempt 0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// The task's phase.
    pub phase: Phase,
    /// The task's index in its phase.
    pub task: u32,
    /// Counts the task's attempts, from 0.
    pub number: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} task {}, attempt {}", self.phase, self.task, self.number)
    }
}

/// The calling worker: sent with every call after `Register`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// As given at registration.
    pub session: Session,
    /// As given at registration.
    pub worker: u64,
}

/// The answer to `NextTask`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TaskAnswer {
    /// The job is over.
    Exit,
    /// This session does not know the worker.
    Register,
    /// Execute this attempt, once.
    Task(Task),
    /// Nothing yet: ask again.
    Wait,
}

/// An attempt to execute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// Its id.
    pub attempt: Attempt,
    /// Its own folder, below the files folder.
    pub staging: String,
    /// What to do.
    pub work: Work,
}

/// What an attempt does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Work {
    /// Separate these splits into words.
    Map {
        /// In order.
        splits: Vec<Split>,
    },
    /// Count the words of one bucket.
    Reduce {
        /// Length and checksum of the bucket's intermediate of map task `i`, at index `i`.
        intermediates: Vec<Digest>,
    },
}

/// A byte range of one input file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Split {
    /// The file.
    pub path: PathBuf,
    /// First byte.
    pub start: u64,
    /// After the last byte; above `start`.
    pub end: u64,
    /// The file's size when the job was planned.
    pub file_bytes: u64,
    /// The file's modification time when the job was planned: seconds since 1970.
    pub modified_seconds: i64,
    /// And nanoseconds, below 1,000,000,000.
    pub modified_nanos: u32,
    /// What the file is.
    pub format: Format,
}

/// What a file is. The default is plain text in UTF-8.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Format {
    /// How it is compressed as a whole, by the name in the `.proto`.
    pub compression: Option<String>,
    /// How its text is encoded, if not in UTF-8.
    pub encoding: Option<String>,
    /// Which parts of it are text.
    pub records: Records,
}

/// Which parts of a file are text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Records {
    /// All of it: the file is one document.
    #[default]
    WholeText,
    /// One column of comma-separated values.
    Csv {
        /// Which.
        column: Column,
        /// Between two columns.
        delimiter: u8,
    },
    /// One field of each line, which is a JSON object.
    JsonLines {
        /// Its dotted path.
        field: String,
    },
    /// One column of Apache Parquet.
    Parquet {
        /// Its dotted path.
        column: String,
    },
    /// The `conversion` records of a WARC file.
    Wet,
}

/// A column of comma-separated values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Column {
    /// By its name in the first record.
    Name(String),
    /// By its number, from 1.
    Number(u32),
}

/// Length and CRC-32 of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digest {
    /// Length.
    pub bytes: u64,
    /// As zlib computes it.
    pub crc32: u32,
}

/// The progress of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Running {
    /// Which one.
    pub attempt: Attempt,
    /// Grows whenever the attempt makes progress.
    pub progress: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Words emitted or counted.
    pub words: u64,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Stop the attempt; the driver no longer needs it.
    Abandon,
    /// Continue.
    Continue,
    /// The job is over.
    Exit,
    /// This session does not know the worker.
    Register,
}

/// How an attempt ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It failed.
    Failed(Failure),
    /// A map attempt staged its bucket files.
    Mapped {
        /// Of bucket `b`, at index `b`.
        buckets: Vec<Bucket>,
        /// What it has found besides words.
        findings: Findings,
    },
    /// A reduce attempt staged its output.
    Reduced {
        /// The output.
        output: Digest,
        /// The sum of all counts.
        words: u64,
        /// The number of lines.
        distinct_words: u64,
    },
}

/// What a map attempt has found in its splits, besides words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// Bytes that were not part of a UTF-8 character.
    pub invalid_bytes: u64,
    /// Of the splits with such bytes, those with most, as their index and the bytes: at most
    /// [`FINDINGS_MAX`](crate::limits::FINDINGS_MAX).
    pub invalid_splits: Vec<(u32, u64)>,
    /// Records that were read, and files that are one document, counted where they begin.
    pub documents: u64,
    /// Records that were skipped because they are not what the format says.
    pub bad_records: u64,
    /// The first of them, at most [`FINDINGS_MAX`](crate::limits::FINDINGS_MAX).
    pub first_bad_records: Vec<BadRecord>,
}

/// A record that is not what the format of its file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRecord {
    /// The index of its split in the task.
    pub split: u32,
    /// Where it begins in the text of the file; of Parquet, the index of its row.
    pub offset: u64,
    /// Its number in the file, from 1, if it is known.
    pub number: Option<u64>,
    /// What is wrong with it, for people.
    pub problem: String,
}

/// One bucket file of a map attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// The file.
    pub digest: Digest,
    /// Its lines.
    pub words: u64,
}

/// Why an attempt failed. What the driver does depends on the variant, never on a text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The disk is full, or a quota or the limit of a file's size is reached.
    #[error("no space for {}: {detail}", shown(path))]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The operating system's error number; 0 for none.
        os_error: i32,
        /// The operating system's message.
        detail: String,
    },
    /// The worker cannot read files of this format.
    #[error("this worker cannot read {}: {detail}", input(path))]
    FormatUnknown {
        /// The input.
        path: PathBuf,
        /// The part of the format that it does not know.
        detail: String,
    },
    /// The task names a staging folder that is not its attempt's.
    #[error("{} is not the staging folder of this attempt", shown(path))]
    ForeignStaging {
        /// The folder.
        path: PathBuf,
    },
    /// An input is not what it was when the job was planned.
    #[error("{}", changed(path, *then_bytes, *now_bytes))]
    InputChanged {
        /// The input.
        path: PathBuf,
        /// Its size in the plan.
        then_bytes: u64,
        /// Its size now.
        now_bytes: u64,
    },
    /// The content of an input is not what its format says.
    #[error("{}", damaged(path, detail, *record, *offset, *text_offset))]
    InputDamaged {
        /// The input.
        path: PathBuf,
        /// How much of the file had been read, in bytes.
        offset: u64,
        /// How much of its text, after decompression; of a bad record, where it begins.
        text_offset: u64,
        /// The number of the bad record in the file, from 1, if it is one and that is known.
        record: Option<u64>,
        /// What is wrong.
        detail: String,
    },
    /// An input is gone.
    #[error("{} disappeared during the job", input(path))]
    InputMissing {
        /// The input.
        path: PathBuf,
    },
    /// An input cannot be read.
    #[error("cannot {operation} {}: {detail}{}", input(path), of_input(*users))]
    InputUnreadable {
        /// The input.
        path: PathBuf,
        /// What was tried.
        operation: String,
        /// The operating system's error number; 0 for none.
        os_error: i32,
        /// The operating system's message.
        detail: String,
        /// If it was not permitted: between which users.
        users: Option<Users>,
    },
    /// An intermediate is not what its map task reported.
    #[error(
        "intermediate of map task {map} is damaged: expected {} bytes with checksum {:08x}, found {} with {:08x}",
        expected.bytes, expected.crc32, found.bytes, found.crc32
    )]
    IntermediateCorrupt {
        /// The map task that wrote it.
        map: u32,
        /// As reported.
        expected: Digest,
        /// As read.
        found: Digest,
    },
    /// An intermediate is not there.
    #[error("intermediate of map task {map} is missing")]
    IntermediateMissing {
        /// The map task that wrote it.
        map: u32,
    },
    /// Another operation on a file failed.
    #[error("cannot {operation} {}: {detail}{}", shown(path), of_results(*users))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: String,
        /// The operating system's error number; 0 for none.
        os_error: i32,
        /// The operating system's message.
        detail: String,
        /// If it was not permitted: between which users.
        users: Option<Users>,
    },
    /// A path of the task is outside the worker's roots.
    #[error("{} is outside the worker's roots", shown(folder))]
    OutsideRoots {
        /// The path.
        folder: PathBuf,
    },
    /// The worker's code panicked: a defect.
    #[error("the worker panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// What the attempt has staged is missing, or not what it has written.
    #[error("cannot use staged {}: {detail}", shown(path))]
    StagingDamaged {
        /// What was staged.
        path: PathBuf,
        /// What is wrong, for people.
        detail: String,
    },
    /// The attempt had been executed before.
    #[error("the attempt's staging folder was there already")]
    StagingExists,
    /// Another user may have put something else in place of a file or folder of the job.
    #[error("cannot trust {}: {detail}", shown(path))]
    Tampered {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, for people.
        detail: String,
    },
    /// Words that are too long for memory are kept on disk, and their list is too long for memory
    /// as well.
    #[error(
        "more than {words_max} words are longer than {word_bytes} bytes; the worker needs more memory"
    )]
    TooManyLongWords {
        /// The most that fit.
        words_max: u64,
        /// The longest word that is held in memory.
        word_bytes: u64,
    },
}

/// The user that was not permitted to do something, and the owner of what it was tried on, as the
/// worker's machine numbers them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Users {
    /// The worker process runs as this one.
    pub worker: u32,
    /// The file, or the nearest folder above it that the worker can see, belongs to this one.
    pub owner: u32,
}

impl Failure {
    /// If it was not permitted: between which users, where the worker knows them.
    pub fn users(&self) -> Option<Users> {
        match self {
            Self::InputUnreadable { users, .. } | Self::Io { users, .. } => *users,
            Self::DiskFull { .. }
            | Self::ForeignStaging { .. }
            | Self::FormatUnknown { .. }
            | Self::InputChanged { .. }
            | Self::InputDamaged { .. }
            | Self::InputMissing { .. }
            | Self::IntermediateCorrupt { .. }
            | Self::IntermediateMissing { .. }
            | Self::OutsideRoots { .. }
            | Self::Panicked { .. }
            | Self::StagingDamaged { .. }
            | Self::StagingExists
            | Self::Tampered { .. }
            | Self::TooManyLongWords { .. } => None,
        }
    }

    /// The same, with another path of the input that it is about, if it is about one.
    #[must_use]
    pub fn naming_input(mut self, name: impl FnOnce(PathBuf) -> PathBuf) -> Self {
        match &mut self {
            Self::FormatUnknown { path, .. }
            | Self::InputChanged { path, .. }
            | Self::InputDamaged { path, .. }
            | Self::InputMissing { path }
            | Self::InputUnreadable { path, .. } => *path = name(std::mem::take(path)),
            Self::DiskFull { .. }
            | Self::ForeignStaging { .. }
            | Self::IntermediateCorrupt { .. }
            | Self::IntermediateMissing { .. }
            | Self::Io { .. }
            | Self::OutsideRoots { .. }
            | Self::Panicked { .. }
            | Self::StagingDamaged { .. }
            | Self::StagingExists
            | Self::Tampered { .. }
            | Self::TooManyLongWords { .. } => {}
        }
        self
    }

    /// The name of its field in the `.proto`, which the journal keeps, and the file or folder that
    /// it is about.
    pub fn about(&self) -> (&'static str, Option<&Path>) {
        match self {
            Self::DiskFull { path, .. } => ("disk_full", Some(path)),
            Self::ForeignStaging { path } => ("foreign_staging", Some(path)),
            Self::FormatUnknown { path, .. } => ("format_unknown", Some(path)),
            Self::InputChanged { path, .. } => ("input_changed", Some(path)),
            Self::InputDamaged { path, .. } => ("input_damaged", Some(path)),
            Self::InputMissing { path } => ("input_missing", Some(path)),
            Self::InputUnreadable { path, .. } => ("input_unreadable", Some(path)),
            Self::IntermediateCorrupt { .. } => ("intermediate_corrupt", None),
            Self::IntermediateMissing { .. } => ("intermediate_missing", None),
            Self::Io { path, .. } => ("io", Some(path)),
            Self::OutsideRoots { folder } => ("outside_roots", Some(folder)),
            Self::Panicked { .. } => ("panicked", None),
            Self::StagingDamaged { path, .. } => ("staging_damaged", Some(path)),
            Self::StagingExists => ("staging_exists", None),
            Self::Tampered { path, .. } => ("tampered", Some(path)),
            Self::TooManyLongWords { .. } => ("too_many_long_words", None),
        }
    }

    /// The map task whose intermediate is not there, or not what it was.
    pub fn lost_map(&self) -> Option<u32> {
        if let Self::IntermediateCorrupt { map, .. } | Self::IntermediateMissing { map } = self {
            Some(*map)
        } else {
            None
        }
    }
}

fn of_input(users: Option<Users>) -> String {
    users.map_or_else(String::new, |Users { worker, owner }| {
        format!("; the worker runs as uid {worker}, the input belongs to uid {owner}")
    })
}

fn of_results(users: Option<Users>) -> String {
    users.map_or_else(String::new, |Users { worker, owner }| {
        format!("; the worker runs as uid {worker}, the results belong to uid {owner}")
    })
}

/// With the offsets of the file and of its text where they differ.
fn damaged(
    path: &Path,
    detail: &str,
    record: Option<u64>,
    offset: u64,
    text_offset: u64,
) -> String {
    let input = input(path);
    let record = record.map_or_else(String::new, |number| format!("record {number}, "));
    let place = match offset == text_offset {
        true => format!("at byte {offset}"),
        false => format!("at byte {offset} of the file, byte {text_offset} of its text"),
    };
    format!("{input} is damaged: {detail} ({record}{place})")
}

fn changed(path: &Path, then_bytes: u64, now_bytes: u64) -> String {
    let input = input(path);
    if then_bytes == now_bytes {
        format!("{input} was modified during the job ({then_bytes} bytes then and now)")
    } else {
        format!("{input} changed size during the job: {then_bytes} bytes at start, {now_bytes} now")
    }
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// A success counts; a failure is noted.
    Accepted,
    /// Nothing of the attempt counts.
    Stale,
    /// A success that counts as soon as it is published and recorded. Only for a worker that has
    /// asked for its next task as well, so that it need not wait.
    Taken,
}

/// The status of the job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// This epoch of this driver.
    pub session: Session,
    /// Whether it is over.
    pub state: JobState,
    /// The map phase.
    pub map: PhaseStatus,
    /// The reduce phase.
    pub reduce: PhaseStatus,
    /// Workers alive.
    pub workers: u32,
    /// The attempts so far.
    pub attempts: AttemptCounts,
    /// Reports that came too late to count.
    pub stale_reports: u64,
    /// Protocol violations: calls and reports that no correct worker makes.
    pub violations: u64,
    /// The map tasks that wait and that no worker can do.
    pub stranded: Vec<Stranded>,
}

/// The attempts of a job so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AttemptCounts {
    /// Assigned to workers.
    pub started: u64,
    /// Reported as failed, or stuck.
    pub failed: u64,
    /// Lost with their worker.
    pub lost: u64,
}

/// Map tasks that wait until a worker registers that can do them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stranded {
    /// What they need, by its names on the wire. The driver may know more names than the caller.
    pub abilities: Vec<String>,
    /// How many map tasks need exactly that.
    pub tasks: u32,
}

impl fmt::Display for Stranded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { abilities, tasks } = self;
        let wait = if *tasks == 1 { "map task waits" } else { "map tasks wait" };
        write!(f, "{tasks} {wait} for a worker that reads {}", escaped(&abilities.join(" and ")))
    }
}

/// Whether the job is over, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobState {
    /// The user ended it.
    Cancelled,
    /// All tasks are committed.
    Done,
    /// It ran and failed.
    Failed,
    /// Running.
    Running,
}

/// The status of one phase.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PhaseStatus {
    /// All its tasks.
    pub tasks: u32,
    /// Tasks with a live attempt, or being published.
    pub running: u32,
    /// Tasks with a winner.
    pub committed: u32,
    /// Bytes to read; 0 while unknown.
    pub bytes_total: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Words emitted or counted.
    pub words: u64,
}
