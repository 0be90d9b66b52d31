//! `mapmill why`: what happened to a job, to a task, or to one attempt at it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::{AttemptHistory, Ending, Fate, History, Phase, SetAside, State, TaskId};
use rpc::text::escaped;
use serde::Serialize;

use crate::findings;
use crate::flags::{DEFAULT_FILES, WhyFlags};
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural, seconds, utc};
use crate::shell::quoted;
use crate::terminal::wrapped;
use crate::way_out::{self, WayOut};

/// `mapmill why`
pub(crate) fn print(flags: &WhyFlags) -> Result<(), Failure> {
    let (files, asked) = resolve(flags).map_err(Failure::start)?;
    let history = journal::history(&files).map_err(|error| {
        let way_out = way_out::of_history(&error);
        Failure::start(error).hint(way_out)
    })?;
    let Some(asked) = asked else {
        let overview = Overview::of(&files, &history);
        return if flags.json {
            messages::json(&overview)
        } else {
            messages::data(wrapped(&overview.text(&history)).as_bytes())
        };
    };
    let report = TaskReport::of(&files, &history, &asked).map_err(Failure::start)?;
    if flags.json {
        messages::json(&report)
    } else {
        messages::data(wrapped(&report.text()).as_bytes())
    }
}

/// A task, or one attempt at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    task: TaskId,
    attempt: Option<u32>,
}

/// The folder and the task. A task without a folder is one of the job in the default folder.
fn resolve(flags: &WhyFlags) -> Result<(PathBuf, Option<Asked>), WhyError> {
    let all = std::iter::once(flags.files.to_string_lossy().into_owned());
    let all: Vec<String> = all.chain(flags.task.iter().cloned()).collect();
    if !flags.files.exists()
        && let Some(asked) = parse_asked(&all.join(" "))
    {
        return Ok((DEFAULT_FILES.into(), Some(asked)));
    }
    if flags.task.is_empty() {
        return Ok((flags.files.clone(), None));
    }
    let text = flags.task.join(" ");
    let asked = parse_asked(&text).ok_or(WhyError::Name { text })?;
    Ok((flags.files.clone(), Some(asked)))
}

/// Parses a task as messages write it: `m3`, `m3.a1`, `map task 3`, `map task 3, attempt 1`; or
/// shorter: `map 3`.
fn parse_asked(text: &str) -> Option<Asked> {
    let text = text.to_ascii_lowercase().replace("task", " ").replace("attempt", " a");
    let text: String = text.chars().filter(|letter| !matches!(letter, ' ' | ',' | '.')).collect();
    let names =
        [("map", Phase::Map), ("m", Phase::Map), ("reduce", Phase::Reduce), ("r", Phase::Reduce)];
    let (numbers, phase) =
        names.iter().find_map(|&(name, phase)| Some((text.strip_prefix(name)?, phase)))?;
    let (index, attempt) = match numbers.split_once('a') {
        Some((index, number)) => (index, Some(number.parse().ok()?)),
        None => (numbers, None),
    };
    Some(Asked { task: TaskId { phase, index: index.parse().ok()? }, attempt })
}

/// The task or attempt that was asked for does not exist.
#[derive(Debug)]
enum WhyError {
    Attempt { asked: TaskId, number: u32, attempts: usize },
    Name { text: String },
    Task { asked: TaskId, tasks: u32 },
}

impl fmt::Display for WhyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt { asked, number, attempts } => {
                let attempts = plural(*attempts as u64, "attempt", "attempts");
                write!(f, "there is no {asked}.a{number}: {asked} has had {attempts}")
            }
            Self::Name { text } => {
                write!(f, "`{text}` names no task; write m0, r0, or m0.a1 for one attempt")
            }
            Self::Task { asked, tasks } => {
                let (phase, first) = (asked.phase, TaskId { index: 0, ..*asked });
                let last = TaskId { index: tasks.saturating_sub(1), ..*asked };
                write!(
                    f,
                    "there is no {asked}: the {phase} tasks of this job are {first} to {last}"
                )
            }
        }
    }
}

impl std::error::Error for WhyError {}

/// An overview of a job. Times are seconds.
#[derive(Serialize)]
struct Overview {
    files: String,
    state: &'static str,
    job: String,
    build: String,
    #[serde(flatten)]
    inputs: InputsReport,
    #[serde(rename = "lives")]
    epochs: Vec<EpochReport>,
    map: PhaseHistory,
    reduce: PhaseHistory,
    set_aside: Vec<SetAsideReport>,
}

/// The inputs, and what was found in them.
#[derive(Serialize)]
struct InputsReport {
    input_files: usize,
    input_bytes: u64,
    /// How many files have each format; empty if all are plain text.
    formats: BTreeMap<String, usize>,
    documents: u64,
    invalid_bytes: u64,
    invalid_files: Vec<findings::InvalidFile>,
    bad_records: u64,
    first_bad_records: Vec<findings::BadRecord>,
}

impl InputsReport {
    fn of(history: &History) -> Self {
        let found = history.findings();
        Self {
            input_files: history.input_files(),
            input_bytes: history.input_bytes(),
            formats: history.formats(),
            documents: found.documents,
            invalid_bytes: found.invalid_bytes,
            invalid_files: findings::invalid_files(&found),
            bad_records: found.bad_records,
            first_bad_records: findings::bad_records(&found),
        }
    }

    fn text(&self) -> String {
        let files = plural(self.input_files as u64, "file", "files");
        let mut text = format!("{files}, {}", bytes(self.input_bytes));
        if !self.formats.is_empty() {
            text.push_str(&format!(" ({})", findings::formats(&self.formats)));
        }
        text
    }
}

#[derive(Serialize)]
struct EpochReport {
    epoch: u64,
    began_unix_seconds: u64,
    seconds: f64,
    state: &'static str,
}

#[derive(Serialize)]
struct PhaseHistory {
    tasks: u32,
    committed: u32,
    running: usize,
    attempts: usize,
    /// Names of attempts, by cause.
    did_not_count: BTreeMap<String, Vec<String>>,
    slowest: Vec<Slow>,
    /// Tasks with more than one attempt, and how many they had.
    attempted_again: Vec<(String, usize)>,
}

/// A worker that got no more tasks while others could do them.
#[derive(Serialize)]
struct SetAsideReport {
    #[serde(rename = "life")]
    epoch: usize,
    worker: String,
    failed: u32,
    lost: u32,
    /// How the last attempt ended that it failed or lost.
    last: String,
    #[serde(skip)]
    way_out: WayOut,
}

#[derive(Serialize)]
struct Slow {
    task: String,
    seconds: f64,
}

impl Overview {
    fn of(files: &Path, history: &History) -> Self {
        let epochs = history.epochs.iter().enumerate().map(|(index, epoch)| EpochReport {
            epoch: epoch.number,
            began_unix_seconds: epoch.began_unix_seconds,
            seconds: epoch.lasted.as_secs_f64(),
            state: match epoch.ended {
                Some(state) => code(state),
                None if index + 1 == history.epochs.len() => code(history.state),
                None => code(State::CutOff),
            },
        });
        Self {
            files: files.display().to_string(),
            state: code(history.state),
            job: history.job.clone(),
            build: history.build.clone(),
            inputs: InputsReport::of(history),
            epochs: epochs.collect(),
            map: PhaseHistory::of(Phase::Map, history),
            reduce: PhaseHistory::of(Phase::Reduce, history),
            set_aside: history.set_aside.iter().map(SetAsideReport::from).collect(),
        }
    }

    fn text(&self, history: &History) -> String {
        let mut text = format!("the job in {} {}\n", escaped(&self.files), words(history));
        let mut line = |name: &str, rest: &str| text.push_str(&format!("  {name:<8} {rest}\n"));
        line("input", &self.inputs.text());
        for (name, found) in findings::finding_lines(&history.findings()) {
            line(name, &found);
        }
        for (index, epoch) in self.epochs.iter().enumerate() {
            let name = match self.epochs.len() {
                1 => "driver".to_owned(),
                _ => format!("driver {}", index + 1),
            };
            let lasted = seconds(Duration::from_secs_f64(epoch.seconds));
            let how = match epoch.state {
                state if epoch.seconds == 0.0 && state != "running" && state != "done" => {
                    format!("{} before the first attempt", ended(state))
                }
                "running" => format!("running; last record after {lasted}"),
                "cut_off" => format!("cut off; last record after {lasted}"),
                "done" => format!("done in {lasted}"),
                state => format!("{} after {lasted}", ended(state)),
            };
            line(&name, &format!("{}, {how}", utc(epoch.began_unix_seconds)));
        }
        for (name, phase) in [("map", &self.map), ("reduce", &self.reduce)] {
            text.push_str(&phase.text(name));
        }
        if !self.set_aside.is_empty() {
            text.push_str("\nworkers set aside: no more tasks while others could do them\n");
        }
        for worker in &self.set_aside {
            text.push_str(&worker.text(self.epochs.len()));
        }
        let files = quoted(&self.files);
        let files = escaped(&files);
        text.push_str(&format!("\nfor the attempts at a task: mapmill why {files} TASK\n"));
        text
    }
}

impl From<&SetAside> for SetAsideReport {
    fn from(SetAside { epoch, worker, strikes, last }: &SetAside) -> Self {
        Self {
            epoch: *epoch,
            worker: worker.clone(),
            failed: strikes.failed,
            lost: strikes.lost,
            last: last.to_string(),
            way_out: way_out::of_ending(last),
        }
    }
}

impl SetAsideReport {
    /// Two lines: its strikes, and how the last of them ended.
    fn text(&self, epochs: usize) -> String {
        let Self { epoch, failed, lost, .. } = self;
        let driver = if epochs == 1 { String::new() } else { format!(" (driver {epoch})") };
        let last = messages::with_hint(self.last.clone(), &self.way_out);
        let (worker, last) = (escaped(&self.worker), escaped(&last));
        format!("  {worker}{driver}: {failed} failed, {lost} lost\n    {last}\n")
    }
}

impl PhaseHistory {
    fn of(phase: Phase, history: &History) -> Self {
        let mut report = Self {
            tasks: history.tasks(phase),
            committed: 0,
            running: 0,
            attempts: 0,
            did_not_count: BTreeMap::new(),
            slowest: Vec::new(),
            attempted_again: Vec::new(),
        };
        let mut times = Vec::new();
        for (task, attempts) in history.attempted(phase) {
            report.attempts += attempts.len();
            if attempts.len() > 1 {
                report.attempted_again.push((task.to_string(), attempts.len()));
            }
            for attempt in attempts {
                match attempt.fate.cause() {
                    Some(cause) => {
                        let name = name(task, attempt, history.epochs.len());
                        report.did_not_count.entry(cause).or_default().push(name);
                    }
                    None if attempt.fate == Fate::Running => report.running += 1,
                    None => {
                        report.committed += 1;
                        times.extend(attempt.took().map(|took| (took, task)));
                    }
                }
            }
        }
        times.sort_by_key(|&(took, task)| (std::cmp::Reverse(took), task));
        let slow = |&(took, task): &(Duration, TaskId)| Slow {
            task: task.to_string(),
            seconds: took.as_secs_f64(),
        };
        report.slowest = times.iter().take(SHOWN).map(slow).collect();
        report
    }

    fn text(&self, name: &str) -> String {
        let mut text = format!(
            "\n{name}: {} of {} committed, {}",
            self.committed,
            plural(self.tasks, "task", "tasks"),
            plural(self.attempts as u64, "attempt", "attempts"),
        );
        if self.running > 0 {
            text.push_str(&format!(", {} running", self.running));
        }
        text.push('\n');
        if !self.did_not_count.is_empty() {
            text.push_str("  did not count\n");
        }
        for (cause, attempts) in &self.did_not_count {
            let count = attempts.len();
            text.push_str(&format!("    {count} {cause}: {}\n", some_of(attempts)));
        }
        let again = self.attempted_again.iter();
        let again: Vec<_> = again.map(|(task, count)| format!("{task} ({count})")).collect();
        if !again.is_empty() {
            text.push_str(&format!("  more than one attempt: {}\n", some_of(&again)));
        }
        let slow = |slow: &Slow| {
            format!("{} {}", slow.task, seconds(Duration::from_secs_f64(slow.seconds)))
        };
        let slowest: Vec<_> = self.slowest.iter().map(slow).collect();
        if !slowest.is_empty() {
            text.push_str(&format!("  slowest: {}\n", some_of(&slowest)));
        }
        text
    }
}

/// The attempts at a task. Times are seconds since their epoch began.
#[derive(Serialize)]
struct TaskReport {
    task: String,
    work: String,
    /// For a map task: each file, with its first byte and the byte after the last.
    splits: Vec<(String, u64, u64)>,
    committed: bool,
    attempts: Vec<AttemptReport>,
    #[serde(skip)]
    title: String,
    /// When each epoch began: seconds since 1970.
    #[serde(skip)]
    epochs: Vec<u64>,
    #[serde(skip)]
    conclusion: Option<&'static str>,
}

#[derive(Serialize)]
struct AttemptReport {
    attempt: String,
    #[serde(rename = "life")]
    epoch: usize,
    worker: String,
    started: Option<f64>,
    seconds: Option<f64>,
    bytes: Option<u64>,
    counts: bool,
    cause: Option<String>,
    /// As in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    sentence: String,
}

impl TaskReport {
    fn of(files: &Path, history: &History, asked: &Asked) -> Result<Self, WhyError> {
        let Asked { task, attempt } = *asked;
        let tasks = history.tasks(task.phase);
        if task.index >= tasks {
            return Err(WhyError::Task { asked: task, tasks });
        }
        let attempts = history.attempts(task);
        let asked_for = |one: &&AttemptHistory| attempt.is_none_or(|number| one.number == number);
        let reports: Vec<_> =
            attempts.iter().filter(asked_for).map(|one| AttemptReport::of(task, one)).collect();
        if let (Some(number), []) = (attempt, reports.as_slice()) {
            return Err(WhyError::Attempt { asked: task, number, attempts: attempts.len() });
        }
        let committed = history.is_committed(task);
        let is_running = attempts.iter().any(|attempt| attempt.fate == Fate::Running);
        let conclusion = match history.state {
            _ if committed || is_running => None,
            State::Running => Some("not committed: waiting to be assigned"),
            State::Cancelled => Some("not committed: the job was interrupted"),
            State::CutOff => Some("not committed: the job was cut off"),
            State::Failed => Some("not committed: the job failed"),
            State::NoWorkers => Some("not committed: the job stopped for lack of workers"),
            State::Done => None,
        };
        let splits = history.splits(task).into_iter();
        let splits = splits.map(|(path, start, end)| (path.display().to_string(), start, end));
        let (phase, index, work) = (task.phase, task.index, history.work(task));
        Ok(Self {
            task: task.to_string(),
            title: format!("{phase} task {index} of the job in {}: {work}", files.display()),
            work,
            splits: splits.collect(),
            committed,
            attempts: reports,
            epochs: history.epochs.iter().map(|epoch| epoch.began_unix_seconds).collect(),
            conclusion,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", escaped(&self.title));
        let mut epoch = 0;
        for attempt in &self.attempts {
            if self.epochs.len() > 1 && attempt.epoch != epoch {
                epoch = attempt.epoch;
                let began = self.epochs.get(epoch.saturating_sub(1)).copied().unwrap_or_default();
                text.push_str(&format!("driver {epoch}, {}\n", utc(began)));
            }
            text.push_str(&attempt.text());
        }
        if let Some(conclusion) = self.conclusion {
            text.push_str(&format!("  {conclusion}\n"));
        }
        text
    }
}

impl AttemptReport {
    fn of(task: TaskId, history: &AttemptHistory) -> Self {
        Self {
            attempt: format!("{task}.a{}", history.number),
            epoch: history.epoch,
            worker: history.worker.clone(),
            started: history.started.map(|time| time.as_secs_f64()),
            seconds: history.took().map(|time| time.as_secs_f64()),
            bytes: history.bytes,
            counts: history.fate == Fate::Committed,
            cause: history.fate.cause(),
            ending: match &history.fate {
                Fate::Ended(ending) => Some(ending.clone()),
                Fate::Committed
                | Fate::CutOff
                | Fate::Gone
                | Fate::Recalled { .. }
                | Fate::Running => None,
            },
            sentence: history.fate.to_string(),
        }
    }

    /// Two lines: the facts, and how it ended.
    fn text(&self) -> String {
        let mut facts = Vec::new();
        facts.extend(
            self.started.map(|at| format!("started at {}", seconds(Duration::from_secs_f64(at)))),
        );
        facts.extend(
            self.seconds.map(|took| format!("took {}", seconds(Duration::from_secs_f64(took)))),
        );
        facts.extend(self.bytes.map(|read| format!("read {}", bytes(read))));
        let facts =
            if facts.is_empty() { String::new() } else { format!(": {}", facts.join(", ")) };
        let (attempt, worker) = (&self.attempt, escaped(&self.worker));
        let hint = self.ending.as_ref().and_then(way_out::of_ending);
        let sentence = messages::with_hint(self.sentence.clone(), &hint);
        format!("  {attempt} on {worker}{facts}\n    {}\n", escaped(&sentence))
    }
}

/// The name of an attempt. If the job had several drivers, whose attempts may share a name, it
/// includes the driver.
fn name(task: TaskId, attempt: &AttemptHistory, epochs: usize) -> String {
    let AttemptHistory { epoch, number, .. } = attempt;
    match epochs {
        1 => format!("{task}.a{number}"),
        _ => format!("{task}.a{number} (driver {epoch})"),
    }
}

/// The first few names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        others => format!("{shown} and {others} more"),
    }
}

fn code(state: State) -> &'static str {
    match state {
        State::Cancelled => "interrupted",
        State::CutOff => "cut_off",
        State::Done => "done",
        State::Failed => "failed",
        State::NoWorkers => "no_workers",
        State::Running => "running",
    }
}

/// How a driver ended, by the code of its state.
fn ended(code: &'static str) -> &'static str {
    match code {
        "cut_off" => "cut off",
        "no_workers" => "stopped for lack of workers",
        other => other,
    }
}

fn words(history: &History) -> String {
    let ended = match history.state {
        State::Cancelled => "was interrupted",
        State::CutOff => "was cut off",
        State::Done => return "is done".to_owned(),
        State::Failed => return "has failed".to_owned(),
        State::NoWorkers => "stopped for lack of workers",
        State::Running => return "is running".to_owned(),
    };
    format!("{ended}; {}", way_out::again(history.is_resumable()))
}

/// How many names are shown: enough to see a pattern.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_as_messages_name_them() {
        let map = |index, attempt| Some(Asked { task: TaskId::map(index), attempt });
        let reduce = |index, attempt| Some(Asked { task: TaskId::reduce(index), attempt });
        for (text, asked) in [
            ("m3", map(3, None)),
            ("m3.a1", map(3, Some(1))),
            ("M12", map(12, None)),
            ("map 3", map(3, None)),
            ("map task 3", map(3, None)),
            ("map task 3, attempt 1", map(3, Some(1))),
            ("r0", reduce(0, None)),
            ("reduce task 4", reduce(4, None)),
            ("reduce 0 attempt 2", reduce(0, Some(2))),
        ] {
            assert_eq!(parse_asked(text), asked, "{text}");
        }
        for text in ["", "m", "3", "x3", "m3.b1", "m-3", "m3.a", "m99999999999", "files", "mr"] {
            assert_eq!(parse_asked(text), None, "{text}");
        }
    }
}
