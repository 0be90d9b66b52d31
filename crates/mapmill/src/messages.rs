//! Messages to the user, and the exit codes that go with them.
//!
//! stdout is for data alone. Messages go to stderr, each with a prefix. A pipe whose reader has
//! closed it is not an error: the reader needs no more data.

use std::error::Error;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use driver::{LeftOut, Repeated};
use journal::duration;
use rpc::text::{escaped, is_unsafe, with_causes};
use worker::Notice;

use crate::certs::finding::Finding;
use crate::numbers;
use crate::numbers::plural;
use crate::shell::quoted;
use crate::stamp;
use crate::terminal::{self, write_stderr};
use crate::verbosity::Verbosity;
use crate::way_out::{self, WayOut};

/// The job ran and failed.
pub(crate) const FAILED: u8 = 1;

/// The job could not start.
pub(crate) const NOT_STARTED: u8 = 2;

/// Another driver took over the job, or the results folder, or may have.
pub(crate) const SUPERSEDED: u8 = 3;

/// The user ended the job: 128 plus the number of SIGINT, as in shells.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why the program ends with an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error + Send + Sync>,
    code: u8,
    /// A short way out, printed after the error.
    hint: WayOut,
    /// A longer way out, printed on lines below the error.
    advice: Option<String>,
}

impl Failure {
    /// The command could not start.
    pub(crate) fn start(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: error.into(), code: NOT_STARTED, hint: None, advice: None }
    }

    /// The job could not start, or the user interrupted the wait for another driver.
    pub(crate) fn not_started(error: driver::StartError) -> Self {
        let is_stopped = matches!(error, driver::StartError::Stopped);
        let code = if is_stopped { INTERRUPTED } else { NOT_STARTED };
        Self { error: error.into(), code, hint: None, advice: None }
    }

    /// The job for which a standby waited has failed.
    pub(crate) fn done_elsewhere(files: &Path) -> Self {
        let (folder, files) = (quoted(files), files.display());
        let error = format!("the job in {files} failed; see mapmill why {folder}");
        Self { error: error.into(), code: FAILED, hint: None, advice: None }
    }

    /// The same after the job ran: what it has committed is kept.
    pub(crate) fn of_job(self) -> Self {
        Self { code: FAILED, ..self }
    }

    /// The job ran and is not done.
    pub(crate) fn job(error: driver::JobError) -> Self {
        let code = match error {
            driver::JobError::Cancelled => INTERRUPTED,
            driver::JobError::Superseded(_) => SUPERSEDED,
            driver::JobError::Failed { .. }
            | driver::JobError::FilesMoved { .. }
            | driver::JobError::Journal(_)
            | driver::JobError::NoWorkers { .. }
            | driver::JobError::Replaced { .. }
            | driver::JobError::Serve(_)
            | driver::JobError::System { .. } => FAILED,
        };
        Self { error: error.into(), code, hint: None, advice: None }
    }

    /// The user ended the command.
    pub(crate) fn interrupted(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: error.into(), code: INTERRUPTED, hint: None, advice: None }
    }

    /// The command ran, but its result is bad or cannot be printed.
    pub(crate) fn output(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: error.into(), code: FAILED, hint: None, advice: None }
    }

    /// Another driver took over the results folder, or may have.
    pub(crate) fn superseded(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: error.into(), code: SUPERSEDED, hint: None, advice: None }
    }

    /// Adds a short way out.
    pub(crate) fn hint(self, hint: WayOut) -> Self {
        Self { hint, ..self }
    }

    /// Adds a way out that takes lines of its own.
    pub(crate) fn advise(self, advice: Option<String>) -> Self {
        Self { advice, ..self }
    }

    /// A worker ended before its job.
    pub(crate) fn worker(error: worker::WorkerError) -> Self {
        let code = if let worker::WorkerError::Stopped { .. } = error {
            INTERRUPTED
        } else if error.is_about_start() {
            NOT_STARTED
        } else {
            FAILED
        };
        Self { error: error.into(), code, hint: None, advice: None }
    }
}

/// The operating system refused an operation.
#[derive(Debug)]
pub(crate) struct SystemError {
    operation: String,
    source: io::Error,
}

impl SystemError {
    pub(crate) fn new(operation: impl Into<String>, source: io::Error) -> Self {
        Self { operation: operation.into(), source }
    }
}

impl Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)
    }
}

impl Error for SystemError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// What the user may not have intended.
#[derive(Debug)]
pub(crate) enum Warning {
    /// A certificate or its key is not usable, or will soon not be.
    Certificate(Box<Finding>),
    /// An input that was copied has no bytes: perhaps what should write it has failed.
    EmptyInput { input: String },
    /// Other machines can reach the driver, and nothing is encrypted.
    Insecure { address: SocketAddr },
    /// Results of jobs are in a folder of the input.
    LeftOut(LeftOut),
    /// An environment variable does not say what to log.
    LogFilter { variable: &'static str },
    /// Some words are not written byte by byte.
    NotUtf8 { words: u64 },
    /// An input cannot be cut, and is larger than an equal share.
    OnePiece { path: PathBuf, hundredths: u64 },
    /// An input is counted more than once.
    RepeatedInput(Repeated),
    /// The results folder holds results of an earlier job.
    ReplacesResults { files: PathBuf },
    /// A worker process of `mapmill run` ended before the job.
    WorkerDied { pid: u32, how: String },
}

impl Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(finding) => finding.fmt(f),
            Self::EmptyInput { input } => write!(f, "{input} is empty"),
            Self::Insecure { address } => write!(
                f,
                "{address} can be reached from other machines, and nothing is encrypted (--insecure)"
            ),
            Self::LeftOut(LeftOut { path, more }) => {
                let path = path.display();
                write!(f, "{path} holds results of a job and is left out of the input")?;
                if *more > 0 {
                    let verb = if *more == 1 { "is" } else { "are" };
                    let folders = plural(*more as u64, "more folder", "more folders");
                    write!(f, ", as {verb} {folders}")?;
                }
                Ok(())
            }
            Self::NotUtf8 { words } => write!(
                f,
                "{} not UTF-8; what is not is written as U+FFFD (text, TSV and CSV keep the bytes)",
                plural(*words, "word is", "words are")
            ),
            Self::OnePiece { path, hundredths } => write!(
                f,
                "{} is {hundredths} % of the input and cannot be cut: one worker will read it",
                path.display()
            ),
            Self::LogFilter { variable } => {
                write!(f, "cannot parse {variable}; expected for example h2=debug,rpc=trace")
            }
            Self::RepeatedInput(Repeated { path, other, times, more }) => {
                write!(f, "input {} is counted {times} times", path.display())?;
                if let Some(other) = other {
                    write!(f, ", also as {}", other.display())?;
                }
                if *more > 0 {
                    let others = plural(*more as u64, "other input is", "other inputs are");
                    write!(f, "; {others} counted more than once")?;
                }
                Ok(())
            }
            Self::ReplacesResults { files } => write!(
                f,
                "{} holds the results of an earlier job; they will be replaced",
                files.display()
            ),
            Self::WorkerDied { pid, how } => {
                write!(f, "worker process {pid} ended: {how}; starting another")
            }
        }
    }
}

/// Prints one line.
pub(crate) fn say(message: fmt::Arguments<'_>) {
    say_with("", message);
}

/// Prints one line, and below it lines that are escaped already, such as a table.
pub(crate) fn say_with(lines: &str, message: fmt::Arguments<'_>) {
    let (stamp, message) = (stamp::message(), message.to_string());
    write_stderr(&format!("mapmill: {stamp}{}\n{lines}", escaped(&message)));
}

/// As [`say_with`], continued on further lines where the terminal is narrow. Not for messages with
/// commands: a command could not be copied.
pub(crate) fn say_wrapped(lines: &str, message: fmt::Arguments<'_>) {
    let (stamp, message) = (stamp::message(), message.to_string());
    let text = format!("mapmill: {stamp}{}\n{lines}", escaped(&message));
    write_stderr(&terminal::wrapped_for_stderr(&text));
}

/// Prints one line of the log: what happens while a job runs, and when.
pub(crate) fn log(message: fmt::Arguments<'_>) {
    write_stderr(&format!("mapmill: {}{}\n", stamp::log(), escaped(&message.to_string())));
}

/// Prints a line that a worker of `mapmill run` has printed.
pub(crate) fn relay(line: &str) {
    let stamp = stamp::relayed();
    match line.strip_prefix("mapmill: ") {
        Some(line) => write_stderr(&format!("mapmill: {stamp}{}\n", escaped(line))),
        // What follows the first line of a failure, or a panic.
        None => write_stderr(&format!("mapmill: {stamp}worker: {}\n", escaped(line))),
    }
}

pub(crate) fn warn(warning: &Warning, verbosity: Verbosity) {
    if verbosity > Verbosity::Quiet {
        let print = if let Warning::WorkerDied { .. } = warning { log } else { say };
        print(format_args!("warning: {warning}"));
    }
}

/// Prints what a worker reports about itself.
pub(crate) fn notice(notice: &Notice, verbosity: Verbosity) {
    let needed = match notice {
        Notice::Abandoned { .. }
        | Notice::DriverSilent { .. }
        | Notice::Ended { .. }
        | Notice::Failed { .. }
        | Notice::Forgotten { .. }
        | Notice::JobOver
        | Notice::OtherServer { .. }
        | Notice::Registered { .. }
        | Notice::Staying { .. }
        | Notice::Waiting { .. } => Verbosity::Normal,
        Notice::Executing { .. } => Verbosity::Events,
    };
    if let Notice::Registered { worker, .. } = notice {
        stamp::number(*worker);
    }
    if verbosity < needed {
        return;
    }
    match notice {
        Notice::Abandoned { attempt } => {
            log(format_args!("the driver no longer needs {attempt}; abandoning it"));
        }
        Notice::DriverSilent { driver, error, left } => log(format_args!(
            "the driver at {driver} does not answer ({error}); exiting in {}",
            numbers::whole_seconds(*left)
        )),
        Notice::Ended { map_tasks, reduce_tasks, bytes, lasted } => log(format_args!(
            "completed {} and {}, and read {} in {}",
            numbers::plural(*map_tasks, "map task", "map tasks"),
            numbers::plural(*reduce_tasks, "reduce task", "reduce tasks"),
            numbers::bytes(*bytes),
            numbers::seconds(*lasted)
        )),
        Notice::Executing { attempt } => log(format_args!("{attempt}")),
        Notice::Failed { attempt, cause } => {
            let cause = with_hint(cause.to_string(), &way_out::of_failure(cause));
            log(format_args!("{attempt} failed: {cause}"));
        }
        Notice::Forgotten { driver } => log(format_args!(
            "the driver at {driver} considers this worker lost, or was restarted; registering again"
        )),
        Notice::JobOver => log(format_args!("the job is over")),
        Notice::OtherServer { driver, server } => {
            log(format_args!("{}; waiting for a driver", server.describe(&format!("at {driver}"))));
        }
        Notice::Registered { driver, worker } => {
            log(format_args!("registered with the driver at {driver} as w{worker}"));
        }
        Notice::Staying { driver, silent: None } => {
            log(format_args!("waiting for the next driver at {driver}"));
        }
        Notice::Staying { driver, silent: Some(silent) } => log(format_args!(
            "the driver at {driver} has not answered for {}; waiting for the next one",
            duration::whole(*silent)
        )),
        Notice::Waiting { driver, error } => log(format_args!(
            "waiting for a driver at {driver} ({error}); start one with: mapmill driver"
        )),
    }
}

/// Data, on stdout.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::output(SystemError::new("write to stdout", error)))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Data on stdout, of any size: without a buffer, which its writer has. A closed pipe is an error
/// here, so that its writer can end early.
pub(crate) fn data_file() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Data for programs, on stdout: one line of JSON.
pub(crate) fn json(report: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(report).expect("a report is numbers and text");
    data(format!("{}\n", escaped_json(&line)).as_bytes())
}

/// Writes characters that must not reach a terminal as escapes of JSON: `\u202e`. They occur in
/// strings only; `line` has no control characters below U+007F.
fn escaped_json(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for letter in line.chars() {
        if is_unsafe(letter) {
            let units = &mut [0; 2];
            let units = letter.encode_utf16(units);
            escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// Appends the hint: to the sentence, or on a line of its own below a table.
pub(crate) fn with_hint(text: String, hint: &WayOut) -> String {
    match hint {
        Some(hint) if text.contains('\n') => format!("{text}\n  {hint}"),
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// Prints why the program ends, and returns its exit code.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    let error = with_causes(&*failure.error);
    // The file that was being opened is not the cause, so a way out that is about it would mislead.
    let (hint, advice) = match error.contains(TOO_MANY_OPEN_FILES) {
        true if failure.code == NOT_STARTED => (&None, Some(RAISE_OPEN_FILES)),
        true => (&failure.hint, Some(RAISE_OPEN_FILES)),
        false => (&failure.hint, failure.advice.as_deref()),
    };
    let text = with_hint(error, hint);
    if let Some(driver::JobError::Failed { .. }) = failure.error.downcast_ref() {
        // Below the sentence is a table of attempts.
        let (first, table) = text.split_once('\n').unwrap_or((&text, ""));
        let table: String = table.lines().map(|line| format!("{}\n", escaped(line))).collect();
        say_with(&table, format_args!("{first}"));
    } else {
        say(format_args!("{text}"));
    }
    for line in advice.iter().flat_map(|advice| advice.lines()) {
        say(format_args!("{line}"));
    }
    failure.code.into()
}

/// EMFILE, as Rust writes it. An attempt's failure is a sentence that came over the wire.
const TOO_MANY_OPEN_FILES: &str = "(os error 24)";

const RAISE_OPEN_FILES: &str =
    "too many files are open: raise the limit (ulimit -n), and run the command again";
