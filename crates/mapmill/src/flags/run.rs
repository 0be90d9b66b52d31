//! The flags of `mapmill run`.

use std::num::{NonZeroU32, NonZeroU64};
use std::thread::available_parallelism;

use clap::Args;

use super::job::{JOB_EXIT_CODES, JobFlags, SchedulingFlags, driver_config};
use super::worker::parse_memory;
use super::{Show, ShowFlags, example};
use crate::messages::Failure;
use crate::numbers::{parse_bytes, parse_count};
use crate::verbosity::Verbosity;

/// Run a driver and its workers on this machine
///
/// The workers are separate processes that call the driver over gRPC, as they would from other
/// machines.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill run books --files counts --ignore-case", JOB_EXIT_CODES))]
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

#[derive(Args, Debug)]
struct LocalFlags {
    /// Start W worker processes [default: one for each core]
    #[arg(short, long, value_name = "W", help_heading = "Workers")]
    #[arg(value_parser = |text: &str| parse_count(text, WORKERS_MAX), allow_negative_numbers = true)]
    workers: Option<NonZeroU32>,

    /// Limit the memory of each worker to BYTES
    ///
    /// W workers together use up to W times as much; most inputs need less. Words that do not fit
    /// in memory are sorted and merged on the disk of DIR, which is slower. The minimum is 40MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_memory, help_heading = "Workers")]
    #[arg(default_value = "256MiB")]
    memory: u64,

    /// Limit how fast each worker reads, in BYTES per second
    ///
    /// Leaves disk bandwidth to other programs. Units are allowed: 500K, 20MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Workers")]
    throttle: Option<NonZeroU64>,
}

/// The meaning of the flags of `mapmill run`.
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

impl TryFrom<RunFlags> for RunRequest {
    type Error = Failure;

    fn try_from(flags: RunFlags) -> Result<Self, Failure> {
        let token = rpc::Token::random().map_err(Failure::start)?;
        let address = "127.0.0.1:0".to_owned();
        let credentials = Some(token.clone()).into();
        let listen = driver::Listen { address, credentials, unprotected: false };
        let config = driver_config(flags.job, flags.scheduling, listen)?;
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

/// More processes than this on one machine are a typing error.
const WORKERS_MAX: u32 = 1024;
