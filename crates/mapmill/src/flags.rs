//! Every flag, in the order in which help shows them, and what it means.
//!
//! Two stages: the structs that clap fills say what was typed; the `*Request` types say what it
//! means. Between the two everything is checked that can be checked without looking at the disk.

mod certs;
mod parse_error;
mod security;
mod token_file;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueHint};

pub(crate) use certs::{
    CertsCommand, CertsFlags, CertsShowFlags, DAYS_MAX, InitFlags, IssueFlags, TokenFlags,
};
pub(crate) use parse_error::parse_error;
use security::SecurityFlags;
pub(crate) use security::{SECURITY_VARIABLES, TOKEN_VARIABLE};

use crate::messages::{self, Failure};
use crate::numbers::{self, parse_bytes, parse_count, parse_seconds};
use crate::verbosity::Verbosity;
use crate::way_out;

/// Count the words of more text than one machine can hold
///
/// A driver hands out map and reduce tasks over gRPC; any number of workers ask for them, work
/// straight on the file system, and report. `mapmill run` starts all of it on this machine.
#[derive(Debug, Parser)]
#[command(name = "mapmill", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = START_HERE)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunFlags),
    Driver(DriverFlags),
    Worker(WorkerFlags),
    Status(StatusFlags),
    Top(TopFlags),
    Verify(VerifyFlags),
    Why(WhyFlags),
    Certs(CertsFlags),
    Completions(CompletionsFlags),
    Man(ManFlags),
}

/// Run a driver and its workers on this machine
///
/// The workers are processes of their own and speak gRPC with the driver, exactly as they would
/// on other machines.
#[derive(Args, Debug)]
#[command(after_long_help = JOB_EXIT_CODES)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    job: JobFlags,
    #[command(flatten)]
    local: LocalFlags,
    #[command(flatten)]
    scheduling: SchedulingFlags,
    #[command(flatten)]
    show: ShowFlags,
}

/// Run one job: hand its tasks to whatever workers ask
///
/// Workers are started with `mapmill worker`, before or after the driver, here or on any machine
/// that sees the same files under the same names. The driver ends when the job is over.
///
/// On an address that other machines can reach it wants certificates, which `mapmill certs init`
/// makes: nobody else can take part then, or read along.
#[derive(Args, Debug)]
#[command(after_long_help = JOB_EXIT_CODES)]
pub(crate) struct DriverFlags {
    #[command(flatten)]
    job: JobFlags,
    #[command(flatten)]
    listen: ListenFlags,
    #[command(flatten)]
    security: SecurityFlags,
    #[command(flatten)]
    scheduling: SchedulingFlags,
    #[command(flatten)]
    show: ShowFlags,
}

#[derive(Args, Debug)]
struct JobFlags {
    /// Files and folders to read
    ///
    /// Folders are read recursively, in the order of their paths; hidden files in them are
    /// skipped, symbolic links are followed once.
    #[arg(value_name = "INPUT", default_value = "inputs", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,

    /// Cut the input into N equal map tasks [default: 6, or more if large]
    ///
    /// By default a map task has at most 64 MiB: where 6 would have more, there are more of them.
    /// More tasks balance better and lose less when a worker dies; each costs M small files.
    #[arg(short = 'n', long, value_name = "N", help_heading = "Job")]
    #[arg(allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| parse_count(text, rpc::limits::MAP_TASKS_MAX))]
    map_tasks: Option<NonZeroU32>,

    /// Write the result in M parts, by M reduce tasks
    ///
    /// A word belongs to part (first letter) modulo M, so more than a few dozen parts leave some
    /// of them empty. At least as many as workers keep all of them busy.
    #[arg(short = 'm', long, value_name = "M", default_value = "4", help_heading = "Job")]
    #[arg(allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| parse_count(text, rpc::limits::REDUCE_TASKS_MAX))]
    reduce_tasks: NonZeroU32,

    /// Put the results below DIR
    ///
    /// Created if missing. Results of an earlier job in it are replaced; any other visible file in
    /// its `intermediate` and `out` stops the job before it starts.
    #[arg(long, value_name = "DIR", default_value = "files", help_heading = "Job")]
    #[arg(value_hint = ValueHint::DirPath)]
    files: PathBuf,

    /// What a word is: letters, or anything but white space
    ///
    /// `letters`: a run of characters with the Unicode property Alphabetic. `don't` is two words,
    /// `naïve` is one. `whitespace`: a run of anything else than Unicode white space, as `wc -w`.
    #[arg(long, value_name = "RULE", default_value = "letters", help_heading = "Job")]
    #[arg(value_parser = word_rule())]
    words: rpc::message::WordRule,

    /// Count words as the same whatever their case
    ///
    /// Each character is replaced by its Unicode lower case.
    #[arg(short, long, help_heading = "Job")]
    ignore_case: bool,

    /// Start over, although DIR holds this very job, unfinished
    ///
    /// Otherwise a job that was cut off goes on where it was: what is committed is not done again.
    #[arg(long, help_heading = "Job")]
    fresh: bool,
}

#[derive(Args, Debug)]
struct LocalFlags {
    /// Start W worker processes [default: one for each core]
    #[arg(short, long, value_name = "W", help_heading = "Workers")]
    #[arg(value_parser = |text: &str| parse_count(text, WORKERS_MAX), allow_negative_numbers = true)]
    workers: Option<NonZeroU32>,

    /// Let each worker read at most BYTES a second
    ///
    /// To leave the disk to others. Takes units: 500K, 20MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Workers")]
    throttle: Option<NonZeroU64>,

    /// Let each worker use at most BYTES of memory
    ///
    /// W workers together use W times as much, at most; few texts have so many words. What does
    /// not fit is sorted and merged on the disk of DIR, which takes longer. At least 40MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_memory, help_heading = "Workers")]
    #[arg(default_value = "256MiB")]
    memory: u64,
}

#[derive(Args, Debug)]
struct ListenFlags {
    /// Wait for workers at ADDR (HOST:PORT)
    ///
    /// Port 0 takes any that is free. Addresses that other machines can reach are refused without
    /// --tls or --insecure.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, help_heading = "Network")]
    #[arg(value_parser = parse_address)]
    listen: String,

    /// Listen on a network without TLS
    ///
    /// Whoever is on the way can then read the names of the input files, and the token if there is
    /// one; without a token, whoever can reach the address can take part in the job.
    #[arg(long, help_heading = "Security")]
    insecure: bool,
}

#[derive(Args, Debug)]
struct SchedulingFlags {
    /// Give a task away after SECS without progress
    ///
    /// Lower values notice a hanging worker sooner. Values below the longest pause of a healthy
    /// one (a slow disk, a busy machine) cause good work to be thrown away and done twice.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    #[arg(help_heading = "Scheduling")]
    task_timeout: Duration,

    /// Take a worker for dead after SECS without a heartbeat
    ///
    /// Workers send one each second, or five times in SECS if that is more often.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    #[arg(help_heading = "Scheduling")]
    worker_timeout: Duration,

    /// End the job when no worker was connected for SECS [default: never]
    ///
    /// The exit code is then 1. The job goes on when it is started again.
    #[arg(long, value_name = "SECS", value_parser = parse_seconds, help_heading = "Scheduling")]
    worker_wait: Option<Duration>,

    /// Fail the job when a task has failed COUNT times
    ///
    /// A task whose worker died has not failed; that is given up after 16 times.
    #[arg(long, value_name = "COUNT", default_value = "4", help_heading = "Scheduling")]
    #[arg(value_parser = |text: &str| parse_count(text, 1000))]
    attempts: NonZeroU32,

    /// Do not race slow workers with idle ones
    ///
    /// Otherwise, when no task waits, an idle worker begins the task that would be done last once
    /// more, if its worker is far behind the others; the first to report wins.
    #[arg(long, help_heading = "Scheduling")]
    no_backup: bool,
}

#[derive(Args, Debug)]
struct ShowFlags {
    /// Print the outcome as JSON on stdout
    #[arg(long, help_heading = "Messages")]
    json: bool,

    #[command(flatten)]
    verbosity: VerbosityFlags,
}

#[derive(Args, Debug)]
struct VerbosityFlags {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    quiet: bool,

    /// Say more: every event; twice, every call
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Messages")]
    verbose: u8,
}

/// Work for a driver until its job is over
///
/// Waits for the driver to start if it has not yet. Any number of workers may come and go at any
/// moment: one that is told to stop (Ctrl-C, SIGTERM) hands its task back at once.
#[derive(Args, Debug)]
#[command(after_long_help = WORKER_EXIT_CODES)]
pub(crate) struct WorkerFlags {
    #[command(flatten)]
    call: CallFlags,

    /// Leave when the driver has not answered for SECS
    ///
    /// Only once there was a driver: a worker waits for its first one as long as it takes.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = parse_seconds)]
    #[arg(help_heading = "Network")]
    driver_timeout: Duration,

    #[command(flatten)]
    security: SecurityFlags,

    /// Read and write only below DIR [default: the current folder]
    ///
    /// May be repeated. A job whose inputs or results lie elsewhere is refused.
    #[arg(long = "root", value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(help_heading = "Files")]
    roots: Vec<PathBuf>,

    /// Read at most BYTES a second
    ///
    /// To leave the disk to others. Takes units: 500K, 20MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Files")]
    throttle: Option<NonZeroU64>,

    /// Use at most BYTES of memory
    ///
    /// Whatever the input, however many words it has and however long they are. What does not fit
    /// is sorted and merged on the disk of the results, which takes longer. At least 40MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_memory, help_heading = "Files")]
    #[arg(default_value = "256MiB")]
    memory: u64,

    /// Register as process NUMBER of the parent, which reports its death
    #[arg(long, value_name = "NUMBER", hide = true)]
    instance: Option<u64>,

    #[command(flatten)]
    verbosity: VerbosityFlags,
}

#[derive(Args, Debug)]
struct CallFlags {
    /// Find the driver at ADDR (HOST:PORT)
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, help_heading = "Network")]
    #[arg(value_parser = parse_address)]
    driver: String,

    /// Show a token without TLS to a driver that is elsewhere
    ///
    /// Whoever is on the way can then read it, and take part in the job.
    #[arg(long, help_heading = "Security")]
    insecure: bool,
}

/// Ask a running driver how its job stands
///
/// With certificates that of a viewer is wanted: a worker's is for working.
#[derive(Args, Debug)]
#[command(after_long_help = STATUS_EXIT_CODES)]
pub(crate) struct StatusFlags {
    #[command(flatten)]
    call: CallFlags,

    #[command(flatten)]
    security: SecurityFlags,

    /// Print it as JSON
    #[arg(long, help_heading = "Messages")]
    json: bool,
}

/// Show the most frequent words of finished jobs
///
/// Counts of words that occur in several files are added up.
#[derive(Args, Debug)]
pub(crate) struct TopFlags {
    /// Outputs of jobs (out-0, out-1, ...), or folders that hold them
    #[arg(value_name = "FILES", default_value = "files/out", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// Show COUNT words
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "10")]
    #[arg(value_parser = |text: &str| parse_count(text, u32::MAX))]
    pub(crate) count: NonZeroU32,
}

/// Check every file of a finished job against its journal
///
/// Reads all intermediates and outputs, compares lengths and checksums, and checks that as many
/// words were counted as were emitted. Exit code 1 if anything is wrong.
#[derive(Args, Debug)]
pub(crate) struct VerifyFlags {
    /// The folder with the results
    #[arg(value_name = "FILES", default_value = "files", value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,
}

/// Tell what happened to a job, or to one of its tasks
///
/// Every attempt at every task, with who made it, when, how much it read and what became of it:
/// while the job runs, and afterwards, as long as its journal is in FILES. With TASK, the story of
/// that task; a TASK is written as messages write it: m3, r0, m3.a1, or `map task 3`.
#[derive(Args, Debug)]
#[command(after_long_help = WHY_EXIT_CODES)]
pub(crate) struct WhyFlags {
    /// The folder with the results
    #[arg(value_name = "FILES", default_value = DEFAULT_FILES, value_hint = ValueHint::DirPath)]
    pub(crate) files: PathBuf,

    /// The task to tell of; all of them in short if left out
    #[arg(value_name = "TASK")]
    pub(crate) task: Vec<String>,

    /// Print it as JSON
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,
}

/// Print a completion script for a shell
///
/// For bash, for example:
/// mapmill completions bash > ~/.local/share/bash-completion/completions/mapmill
#[derive(Args, Debug)]
pub(crate) struct CompletionsFlags {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write all pages into a folder
#[derive(Args, Debug)]
pub(crate) struct ManFlags {
    /// Write one page for each command into DIR
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}

/// What `mapmill driver` is to do.
pub(crate) struct DriverRequest {
    pub(crate) config: driver::Config,
    /// The file with the driver's certificate.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) show: Show,
}

/// What `mapmill run` is to do.
pub(crate) struct RunRequest {
    pub(crate) config: driver::Config,
    pub(crate) workers: LocalWorkers,
    pub(crate) show: Show,
}

/// The workers that `mapmill run` starts.
pub(crate) struct LocalWorkers {
    pub(crate) count: NonZeroU32,
    pub(crate) throttle: Option<NonZeroU64>,
    pub(crate) memory_bytes: u64,
    pub(crate) token: rpc::Token,
    pub(crate) verbosity: Verbosity,
}

/// What `mapmill worker` is to do.
pub(crate) struct WorkerRequest {
    pub(crate) config: worker::Config,
    pub(crate) shutdown: worker::Shutdown,
    pub(crate) verbosity: Verbosity,
}

/// What `mapmill status` is to do.
pub(crate) struct StatusRequest {
    pub(crate) driver: String,
    pub(crate) credentials: rpc::Credentials,
    pub(crate) json: bool,
}

/// What is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) json: bool,
    pub(crate) verbosity: Verbosity,
}

impl From<VerbosityFlags> for Verbosity {
    fn from(flags: VerbosityFlags) -> Self {
        match (flags.quiet, flags.verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Events,
            (false, _) => Self::Calls,
        }
    }
}

impl From<ShowFlags> for Show {
    fn from(flags: ShowFlags) -> Self {
        Self { json: flags.json, verbosity: flags.verbosity.into() }
    }
}

impl TryFrom<DriverFlags> for DriverRequest {
    type Error = Failure;

    fn try_from(flags: DriverFlags) -> Result<Self, Failure> {
        let ListenFlags { listen: address, insecure: unprotected } = flags.listen;
        let (credentials, certificate) = flags.security.for_listening(unprotected)?;
        let listen = driver::Listen { address, credentials, unprotected };
        let config = driver_config(flags.job, flags.scheduling, listen);
        Ok(Self { config, certificate, show: flags.show.into() })
    }
}

impl TryFrom<RunFlags> for RunRequest {
    type Error = Failure;

    fn try_from(flags: RunFlags) -> Result<Self, Failure> {
        let token = rpc::Token::random().map_err(Failure::start)?;
        let address = "127.0.0.1:0".to_owned();
        let credentials = Some(token.clone()).into();
        let listen = driver::Listen { address, credentials, unprotected: false };
        let config = driver_config(flags.job, flags.scheduling, listen);
        let show = Show::from(flags.show);
        let cores = available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok());
        let cores = cores.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let workers = LocalWorkers {
            count: flags.local.workers.unwrap_or(cores),
            throttle: flags.local.throttle,
            memory_bytes: flags.local.memory,
            token,
            verbosity: show.verbosity,
        };
        Ok(Self { config, workers, show })
    }
}

impl TryFrom<WorkerFlags> for WorkerRequest {
    type Error = Failure;

    fn try_from(flags: WorkerFlags) -> Result<Self, Failure> {
        let roots = if flags.roots.is_empty() { vec![PathBuf::from(".")] } else { flags.roots };
        let verbosity = Verbosity::from(flags.verbosity);
        let shutdown = worker::Shutdown::default();
        let CallFlags { driver, insecure } = flags.call;
        let role = rpc::Role::Worker;
        let credentials = flags.security.for_calling(&driver, role, insecure)?;
        let config = worker::Config {
            driver,
            roots: worker::real_roots(&roots).map_err(|error| {
                let way_out = way_out::of_root(&error);
                Failure::start(error).hint(way_out)
            })?,
            name: certified_name(&credentials, std::process::id()),
            instance: flags.instance.map(instance),
            driver_timeout: flags.driver_timeout,
            credentials,
            throttle: flags.throttle,
            memory_bytes: flags.memory,
            notify: Arc::new(move |notice| messages::notice(&notice, verbosity)),
            shutdown: shutdown.clone(),
        };
        Ok(Self { config, shutdown, verbosity })
    }
}

impl TryFrom<StatusFlags> for StatusRequest {
    type Error = Failure;

    fn try_from(flags: StatusFlags) -> Result<Self, Failure> {
        let CallFlags { driver, insecure } = flags.call;
        let role = rpc::Role::Viewer;
        let credentials = flags.security.for_calling(&driver, role, insecure)?;
        Ok(Self { driver, credentials, json: flags.json })
    }
}

/// With a certificate, the name in it comes first: the driver takes no other.
fn certified_name(credentials: &rpc::Credentials, pid: u32) -> String {
    let name = worker_name(pid);
    match &credentials.tls {
        Some(tls) => format!("{}:{name}", tls.name()),
        None => name,
    }
}

/// What a worker process of this machine calls itself: `host:pid`.
fn worker_name(pid: u32) -> String {
    format!("{}:{pid}", host_name())
}

/// What worker process `number` of a parent process registers as.
pub(crate) fn instance(number: u64) -> [u8; 16] {
    u128::from(number).to_le_bytes()
}

/// What this machine calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn driver_config(
    job: JobFlags,
    scheduling: SchedulingFlags,
    listen: driver::Listen,
) -> driver::Config {
    driver::Config {
        inputs: job.inputs,
        files: job.files,
        map_tasks: job.map_tasks,
        reduce_tasks: job.reduce_tasks,
        rules: rpc::message::WordRules { rule: job.words, ignore_case: job.ignore_case },
        limits: driver::Limits {
            task_timeout: scheduling.task_timeout,
            worker_timeout: scheduling.worker_timeout,
            failures_max: scheduling.attempts,
            backups: !scheduling.no_backup,
            ..driver::Limits::default()
        },
        listen,
        worker_wait: scheduling.worker_wait,
        fresh: job.fresh,
    }
}

/// `HOST:PORT`, with an IPv6 address in brackets. Whether there is such a host is seen later.
fn parse_address(text: &str) -> Result<String, String> {
    let is_in_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let is_name = |host: &str| !host.is_empty() && host.chars().all(is_in_name);
    let is_named = |(host, port): (&str, &str)| is_name(host) && port.parse::<u16>().is_ok();
    if text.parse::<SocketAddr>().is_ok() || text.rsplit_once(':').is_some_and(is_named) {
        return Ok(text.to_owned());
    }
    Err(format!("expected HOST:PORT, such as {DEFAULT_ADDRESS}"))
}

/// What a worker may use; with less than it needs for itself it cannot work.
fn parse_memory(text: &str) -> Result<u64, String> {
    let least = worker::MEMORY_BYTES_MIN;
    let bytes = parse_bytes(text)?.get();
    if bytes < least {
        return Err(format!("a worker needs {} at least", numbers::bytes(least)));
    }
    Ok(bytes)
}

fn word_rule() -> impl TypedValueParser<Value = rpc::message::WordRule> {
    PossibleValuesParser::new(["letters", "whitespace"]).map(|rule| match rule.as_str() {
        "whitespace" => rpc::message::WordRule::Whitespace,
        _ => rpc::message::WordRule::Letters,
    })
}

/// Where results go if nothing else is said.
pub(crate) const DEFAULT_FILES: &str = "files";

/// Where driver and workers meet if nothing else is said.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

/// The end of the help for all.
const START_HERE: &str = "\
Start here:
  mapmill run books   Count the words of every file in the folder `books`
  mapmill top         Show the most frequent of them
  mapmill run --help  Explain every flag";

/// The end of the long help for whatever runs a job.
const JOB_EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the job ran and failed; 2 it could not start; 130 interrupted.";

/// The end of the long help for workers.
const WORKER_EXIT_CODES: &str = "\
Exit codes: 0 the job is over; 1 the driver was lost, or too much hangs; 2 the worker could not \
start, or the driver refused it.";

/// The end of the long help for looking at a running job.
const STATUS_EXIT_CODES: &str = "\
Exit codes: 0 the driver has answered; 1 no driver answers; 2 the driver refused.";

/// The end of the long help for telling what happened.
const WHY_EXIT_CODES: &str = "\
Exit codes: 0 it was told; 2 there is no job in FILES, or no such task.";

/// More processes than this on one machine is a slip of the finger.
const WORKERS_MAX: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_fit_together() {
        Flags::command().debug_assert();
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["127.0.0.1:0", "[::1]:50051", "localhost:50051", "node-7.rack_2.example:1"] {
            assert_eq!(parse_address(text).unwrap(), text);
        }
        let words = ["", ":", ":1", "host", "host:", "host:x", "host:65536", "::1:1", "[::1]"];
        let more = ["a b:1", "http://host:1", "host:1/", "user@host:1", "-\n:1"];
        for text in words.into_iter().chain(more) {
            assert!(parse_address(text).is_err(), "{text:?}");
        }
    }

    /// `-h` shows the first line of each flag: it has to fit in 80 columns with the flag beside it.
    #[test]
    fn first_lines_of_help_are_short() {
        for command in Flags::command().get_subcommands() {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() <= 70, "{}: {help}", argument.get_id());
            }
        }
    }
}
