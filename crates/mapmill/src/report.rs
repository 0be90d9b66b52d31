//! The report at the end of a job: its most important numbers, for people or for programs.

use std::path::Path;
use std::time::Duration;

use driver::{JobError, PhaseSnapshot, Summary};
use journal::{SetAside, Strikes};
use rpc::text::escaped;
use serde::Serialize;

use crate::findings::{BadRecord, InvalidFile, bad_records, finding_lines, invalid_files};
use crate::flags::Show;
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural, rate, seconds};
use crate::terminal;
use crate::top::{self, Frequent};
use crate::verbosity::Verbosity;
use crate::way_out;

/// What `--json` prints. Sizes are bytes, times are seconds.
#[derive(Serialize)]
struct JobReport<'summary> {
    state: &'static str,
    seconds: f64,
    input: InputTotals,
    map: PhaseTotals,
    reduce: PhaseTotals,
    distinct_words: u64,
    output_bytes: u64,
    #[serde(flatten)]
    workers: WorkerTotals,
    attempts: AttemptTotals,
    #[serde(flatten)]
    results: Results<'summary>,
}

#[derive(Serialize)]
struct WorkerTotals {
    workers: usize,
    /// Those that got no more tasks while others could do them.
    set_aside: Vec<WorkerSetAside>,
}

#[derive(Serialize)]
struct WorkerSetAside {
    worker: String,
    failed: u32,
    lost: u32,
    /// How the last attempt ended that it failed or lost.
    last: String,
}

#[derive(Serialize)]
struct InputTotals {
    files: usize,
    bytes: u64,
    /// Files that are one document, and records.
    documents: u64,
    invalid_bytes: u64,
    /// The files with most of them, at most ten.
    invalid_files: Vec<InvalidFile>,
    /// Skipped, with `--on-bad-record skip`.
    bad_records: u64,
    /// The first of them, at most ten.
    first_bad_records: Vec<BadRecord>,
}

#[derive(Serialize)]
struct PhaseTotals {
    tasks: u32,
    bytes: u64,
    words: u64,
    seconds: f64,
    /// Committed by earlier drivers, and not in `seconds`.
    tasks_resumed: u32,
    bytes_resumed: u64,
}

#[derive(Serialize)]
struct AttemptTotals {
    started: u64,
    failed: u64,
    lost: u64,
    backups: u64,
    backups_won: u64,
    stale_reports: u64,
}

/// Where the results are, and their most frequent words.
#[derive(Serialize)]
struct Results<'summary> {
    files: String,
    outputs: Vec<String>,
    top: &'summary [Frequent],
}

#[derive(Serialize)]
struct FailureReport {
    state: &'static str,
    error: String,
}

impl From<&SetAside> for WorkerSetAside {
    fn from(SetAside { worker, strikes, last, .. }: &SetAside) -> Self {
        let Strikes { failed, lost } = *strikes;
        Self { worker: worker.clone(), failed, lost, last: last.to_string() }
    }
}

impl From<&PhaseSnapshot> for PhaseTotals {
    fn from(phase: &PhaseSnapshot) -> Self {
        Self {
            tasks: phase.counts.tasks,
            bytes: phase.counts.bytes_done,
            words: phase.counts.words,
            seconds: phase.elapsed.as_secs_f64(),
            tasks_resumed: phase.resumed.tasks,
            bytes_resumed: phase.resumed.bytes,
        }
    }
}

/// Prints the report of a job that is done.
pub(crate) fn print(summary: &Summary, show: Show) -> Result<(), Failure> {
    if !show.json && show.verbosity == Verbosity::Quiet {
        return Ok(());
    }
    let frequent = top::most_frequent_of_job(&summary.outputs, TOP)?;
    if show.verbosity > Verbosity::Quiet {
        let (first, table) = text(summary, &frequent);
        messages::say_wrapped(&table, format_args!("{first}"));
    }
    if show.json { messages::json(&json(summary, &frequent)) } else { Ok(()) }
}

/// Prints the report of a job that failed. `main` prints the error itself.
pub(crate) fn print_failure(error: &JobError, show: Show, is_resumable: bool) {
    if show.json {
        let state = match error {
            JobError::Cancelled => "cancelled",
            JobError::Superseded(_) => "superseded",
            JobError::Failed { .. }
            | JobError::FilesMoved { .. }
            | JobError::Journal(_)
            | JobError::NoWorkers { .. }
            | JobError::Replaced { .. }
            | JobError::Serve(_)
            | JobError::System { .. } => "failed",
        };
        // The job has failed already; that stdout cannot be written adds nothing.
        let _ = messages::json(&FailureReport {
            state,
            error: messages::with_hint(error.to_string(), &way_out::of_job(error, is_resumable)),
        });
    }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn json<'a>(summary: &Summary, top: &'a [Frequent]) -> JobReport<'a> {
    let snapshot = &summary.snapshot;
    JobReport {
        state: "done",
        seconds: summary.elapsed.as_secs_f64(),
        input: InputTotals {
            files: summary.input_files,
            bytes: snapshot.map.counts.bytes_total,
            documents: summary.findings.documents,
            invalid_bytes: summary.findings.invalid_bytes,
            invalid_files: invalid_files(&summary.findings),
            bad_records: summary.findings.bad_records,
            first_bad_records: bad_records(&summary.findings),
        },
        map: (&snapshot.map).into(),
        reduce: (&snapshot.reduce).into(),
        distinct_words: summary.distinct_words,
        output_bytes: summary.output_bytes,
        workers: WorkerTotals {
            workers: summary.workers,
            set_aside: summary.set_aside.iter().map(WorkerSetAside::from).collect(),
        },
        attempts: AttemptTotals {
            started: snapshot.attempts.started,
            failed: snapshot.attempts.failed,
            lost: snapshot.attempts.lost,
            backups: snapshot.backups.started,
            backups_won: snapshot.backups.won,
            stale_reports: snapshot.stale_reports,
        },
        results: Results {
            files: name(&summary.files),
            outputs: summary.outputs.iter().map(|path| name(path)).collect(),
            top,
        },
    }
}

/// The first line, and the table below it.
fn text(summary: &Summary, frequent: &[Frequent]) -> (String, String) {
    let snapshot = &summary.snapshot;
    let input = snapshot.map.counts.bytes_total;
    let mut attempts = format!(
        "{} started, {} failed, {} lost",
        snapshot.attempts.started, snapshot.attempts.failed, snapshot.attempts.lost
    );
    if snapshot.backups.started > 0 {
        let won = snapshot.backups.won;
        attempts += &format!(
            "; {}, of which {won} won",
            plural(snapshot.backups.started, "backup", "backups")
        );
    }
    let resumed = snapshot.map.resumed.tasks + snapshot.reduce.resumed.tasks;
    if resumed > 0 {
        attempts += &format!("; {} already done", plural(resumed, "task was", "tasks were"));
    }
    let read = input.saturating_sub(snapshot.map.resumed.bytes);
    let first = match summary.elapsed {
        Duration::ZERO => "already done; nothing was left to do".to_owned(),
        elapsed if read == 0 => format!("done in {}", seconds(elapsed)),
        elapsed => format!("done in {} ({})", seconds(elapsed), rate(read, elapsed)),
    };
    let mut lines = String::new();
    let mut line = |name: &str, text: String| lines.push_str(&format!("  {name:<9} {text}\n"));
    line(
        "input",
        format!("{}, {}", plural(summary.input_files as u64, "file", "files"), bytes(input)),
    );
    line(
        "words",
        format!(
            "{}, {}",
            plural(snapshot.map.counts.words, "word", "words"),
            plural(summary.distinct_words, "distinct", "distinct")
        ),
    );
    for (heading, text) in finding_lines(&summary.findings) {
        line(heading, text);
    }
    line("attempts", attempts);
    line("workers", plural(summary.workers as u64, "worker", "workers"));
    for SetAside { worker, strikes, last, .. } in &summary.set_aside {
        line("set aside", format!("{}: {strikes}; no more tasks", escaped(worker)));
        let last = messages::with_hint(last.to_string(), &way_out::of_ending(last));
        line("", escaped(&last).to_string());
    }
    if let (Some(first), Some(last)) = (summary.outputs.first(), summary.outputs.last()) {
        let results = match summary.outputs.len() {
            1 => first.display().to_string(),
            _ => {
                format!("{} .. {}", first.display(), last.file_name().unwrap_or_default().display())
            }
        };
        let results = escaped(&results);
        line("results", format!("{results} ({})", bytes(summary.output_bytes)));
    }
    if !frequent.is_empty() {
        lines.push('\n');
        let columns = terminal::columns_of_stderr().unwrap_or(terminal::COLUMNS);
        lines.push_str(&top::chart(frequent, columns));
    }
    (first, lines)
}

/// How many of the most frequent words a report shows.
const TOP: usize = 10;
