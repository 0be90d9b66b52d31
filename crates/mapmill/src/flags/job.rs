//! The flags of a job and of its scheduling, for `mapmill run` and `mapmill driver`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::DEFAULT_INPUT;
use super::reading::ReadingFlags;
use crate::globs::{self, Glob};
use crate::messages::Failure;
use crate::numbers::{parse_count, parse_seconds};

#[derive(Args, Debug)]
pub(super) struct JobFlags {
    /// Files and folders to read; `-` is standard input
    ///
    /// Folders are read recursively, sorted by path. Hidden files in them are skipped, and so are
    /// results of jobs, unless INPUT names them (`files/out`). Symbolic links are followed, each at
    /// most once. A file that is named twice is counted twice.
    ///
    /// Standard input (`-`) and FIFOs, such as `<(zcat a.gz)`, are copied into a hidden folder of
    /// DIR first, and come after all files. The copy is removed when the job ends, in any way, so
    /// such a job cannot be resumed: the same command, with the same input, starts it over. A copy
    /// that a killed driver has left is removed when the next job in DIR starts. `./-` is a file
    /// with the name `-`.
    #[arg(value_name = "INPUT", default_value = DEFAULT_INPUT, value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,

    /// Read only the files of folders that match GLOB
    ///
    /// GLOB has the syntax of a line in .gitignore: `*.txt` matches at every depth, `/a/*.txt` and
    /// `a/*.txt` in the folder `a` of INPUT, `old/` all files in folders of that name. Of several
    /// globs one must match; one that begins with `!` revokes those before it. Files that INPUT
    /// names are always read. Quote GLOB, or the shell may expand it.
    #[arg(long, value_name = "GLOB", value_parser = Glob::parse, help_heading = "Job")]
    include: Vec<Glob>,

    /// Skip the files and folders that match GLOB
    ///
    /// Also those that --include matches: `--include '*.txt' --exclude old/` reads all text files
    /// outside of folders with the name `old`.
    #[arg(long, value_name = "GLOB", value_parser = Glob::parse, help_heading = "Job")]
    #[arg(hide_short_help = true)]
    exclude: Vec<Glob>,

    /// Choose what counts as a word
    #[arg(long, value_name = "RULE", default_value = "letters", help_heading = "Job")]
    words: WordsFlag,

    /// Count words as equal if they differ only in case
    ///
    /// Each character is replaced by its Unicode lower case.
    #[arg(short, long, help_heading = "Job")]
    ignore_case: bool,

    #[command(flatten)]
    reading: ReadingFlags,

    /// Write the results to DIR
    ///
    /// DIR is created if it does not exist. The results of a finished job in DIR are replaced. If
    /// its folders `intermediate` and `out` hold any other visible file, the job does not start.
    #[arg(long, value_name = "DIR", default_value = "files", help_heading = "Job")]
    #[arg(value_hint = ValueHint::DirPath)]
    files: PathBuf,

    /// Start over instead of resuming the job in DIR
    ///
    /// By default, a job that was interrupted is resumed when the same command runs again:
    /// committed tasks are not repeated. With other arguments or other inputs, an unfinished job in
    /// DIR is discarded only with this flag.
    #[arg(long, help_heading = "Job")]
    fresh: bool,

    /// Keep the intermediate files when the job is done (the default)
    ///
    /// They take about as much space as the input. `mapmill verify` checks them, and `mapmill
    /// clean` removes them later.
    #[arg(long, hide_short_help = true, overrides_with = "drop_intermediates")]
    #[arg(help_heading = "Job")]
    keep_intermediates: bool,

    /// Remove the intermediate files when the job is done
    ///
    /// That frees about as much space as the input takes. If the driver is killed meanwhile, the
    /// job is still done, and `mapmill clean` removes the rest.
    #[arg(long, overrides_with = "keep_intermediates", help_heading = "Job")]
    drop_intermediates: bool,

    /// Split the input into N map tasks [default: 6, more for large input]
    ///
    /// All have the same size, by default at most 64 MiB: an input above 384 MiB has more than 6.
    /// More tasks balance the load better and lose less work when a worker dies, but each one
    /// writes up to M small files.
    #[arg(short = 'n', long, value_name = "N", help_heading = "Job")]
    #[arg(allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| parse_count(text, rpc::limits::MAP_TASKS_MAX))]
    map_tasks: Option<NonZeroU32>,

    /// Write the result in M parts, one for each reduce task
    ///
    /// A word belongs to part (first letter) modulo M, so with more than a few dozen parts some are
    /// empty. With fewer parts than workers, some workers are idle in the reduce phase.
    #[arg(short = 'm', long, value_name = "M", default_value = "4", help_heading = "Job")]
    #[arg(allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| parse_count(text, rpc::limits::REDUCE_TASKS_MAX))]
    reduce_tasks: NonZeroU32,
}

#[derive(Args, Debug)]
pub(super) struct SchedulingFlags {
    /// Reassign a task after SECS without progress
    ///
    /// Lower values detect a stuck worker sooner. With values below the longest pause of a healthy
    /// worker (a slow disk, a busy machine), good work is discarded and done again.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    #[arg(help_heading = "Scheduling")]
    task_timeout: Duration,

    /// Consider a worker dead after SECS without a heartbeat
    ///
    /// Workers send a heartbeat every second, or five times in SECS if that is more often.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    #[arg(help_heading = "Scheduling")]
    worker_timeout: Duration,

    /// End the job after SECS without any worker [default: never]
    ///
    /// Also after SECS in which the workers can read none of the files that are left, and nothing
    /// runs. The exit code is then 1. Run the same command again to resume the job.
    #[arg(long, value_name = "SECS", value_parser = parse_seconds, help_heading = "Scheduling")]
    worker_wait: Option<Duration>,

    /// Fail the job when a task failed on COUNT workers
    ///
    /// What one worker fails counts once while another could do the task. When all workers have
    /// failed it, each attempt counts. An attempt whose worker dies does not count as failed: the
    /// job also fails when a task was lost with 16 workers.
    #[arg(long, value_name = "COUNT", default_value = "4", help_heading = "Scheduling")]
    #[arg(value_parser = |text: &str| parse_count(text, 1000))]
    attempts: NonZeroU32,

    /// Do not start backup attempts of slow tasks
    ///
    /// By default, when no task is waiting, an idle worker starts a second, speculative attempt at
    /// the task expected to finish last, if that one is a straggler: far behind the others. The
    /// first attempt to report wins.
    #[arg(long, hide_short_help = true, help_heading = "Scheduling")]
    no_backup: bool,
}

/// The values of `--words`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WordsFlag {
    /// Runs of characters with the Unicode property Alphabetic: `don't` is two words, `naïve` is
    /// one
    Letters,
    /// Runs of characters other than Unicode white space, as in `wc -w`
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
) -> Result<driver::Config, Failure> {
    Ok(driver::Config {
        inputs: driver::Arguments {
            paths: job.inputs,
            filter: globs::filter(job.include, job.exclude),
        },
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
        drop_intermediates: job.drop_intermediates && !job.keep_intermediates,
        reading: job.reading.try_into()?,
    })
}

/// The end of the long help of `run` and `driver`.
pub(super) const JOB_EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the job ran and failed; 2 it could not start; 3 another driver took over; \
130 interrupted.";
