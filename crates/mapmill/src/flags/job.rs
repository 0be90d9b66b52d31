//! The flags of a job and of its scheduling, for `mapmill run` and `mapmill driver`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use crate::numbers::{parse_count, parse_seconds};

#[derive(Args, Debug)]
pub(super) struct JobFlags {
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

    /// What a word is
    #[arg(long, value_name = "RULE", default_value = "letters", help_heading = "Job")]
    words: WordsFlag,

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
pub(super) struct SchedulingFlags {
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

/// The values of `--words`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WordsFlag {
    /// Runs of characters with the Unicode property Alphabetic: `don't` is two words, `naïve` one
    Letters,
    /// Runs of anything but Unicode white space, as `wc -w` counts them
    Whitespace,
}

impl From<WordsFlag> for rpc::message::WordRule {
    fn from(flag: WordsFlag) -> Self {
        match flag {
            WordsFlag::Letters => Self::Letters,
            WordsFlag::Whitespace => Self::Whitespace,
        }
    }
}

pub(super) fn driver_config(
    job: JobFlags,
    scheduling: SchedulingFlags,
    listen: driver::Listen,
) -> driver::Config {
    driver::Config {
        inputs: job.inputs,
        files: job.files,
        map_tasks: job.map_tasks,
        reduce_tasks: job.reduce_tasks,
        rules: rpc::message::WordRules { rule: job.words.into(), ignore_case: job.ignore_case },
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

/// The end of the long help for whatever runs a job.
pub(super) const JOB_EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the job ran and failed; 2 it could not start; 130 interrupted.";
