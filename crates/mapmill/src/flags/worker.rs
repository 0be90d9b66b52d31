//! The flags of `mapmill worker`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{CallFlags, CallSecurityFlags, VerbosityFlags, example};
use crate::messages::{self, Failure};
use crate::numbers::{self, parse_bytes, parse_seconds};
use crate::stamp::Speaker;
use crate::verbosity::Verbosity;
use crate::way_out;

/// Run tasks for a driver until its job is over
///
/// If the driver is not running yet, the worker waits for it (--wait limits how long). Workers can
/// join and leave at any time: a worker that is interrupted (Ctrl-C, SIGTERM) returns its task at
/// once. With --stay the worker serves one job after the other.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill worker --driver 10.77.0.1:50051 --tls certs/worker --root /data", WORKER_EXIT_CODES))]
pub(crate) struct WorkerFlags {
    #[command(flatten)]
    call: CallFlags,

    /// Exit when the driver has not answered for SECS
    ///
    /// Applies once a driver has answered. --wait limits the wait for the first answer.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = parse_seconds)]
    #[arg(help_heading = "Network")]
    driver_timeout: Duration,

    /// Exit when no driver has answered within SECS [default: wait forever]
    ///
    /// Workers may be started before the driver. A worker that is started after the job is over
    /// finds no driver: a batch system that may start workers late needs this limit. The exit code
    /// is 1.
    #[arg(long, value_name = "SECS", value_parser = parse_seconds, help_heading = "Network")]
    wait: Option<Duration>,

    /// Wait for the next driver when the job is over
    ///
    /// The next driver must listen at the same address, accept the same credentials and use folders
    /// that the worker may use. Neither a failed job nor a lost driver ends the worker; --wait
    /// limits how long it waits for the next driver. Ctrl-C or SIGTERM ends it.
    #[arg(long, help_heading = "Network")]
    stay: bool,

    #[command(flatten)]
    security: CallSecurityFlags,

    /// Read and write only below DIR [default: the current folder]
    ///
    /// Repeat the flag to allow several folders; they replace the current folder. The worker
    /// refuses a job whose inputs or results are elsewhere.
    #[arg(long = "root", value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(help_heading = "Files")]
    roots: Vec<PathBuf>,

    /// Limit the memory of the worker to BYTES
    ///
    /// The limit holds for any input, however many words it has and however long they are. Words
    /// that do not fit in memory are sorted and merged on the disk of the results, which is slower.
    /// The minimum is 40MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_memory, help_heading = "Resources")]
    #[arg(default_value = "256MiB")]
    memory: u64,

    /// Limit how fast the worker reads, in BYTES per second
    ///
    /// Leaves disk bandwidth to other programs. Units are allowed: 500K, 20MiB.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    throttle: Option<NonZeroU64>,

    /// Register as process NUMBER of the parent, which reports its death
    #[arg(long, value_name = "NUMBER", hide = true)]
    instance: Option<u64>,

    #[command(flatten)]
    verbosity: VerbosityFlags,
}

/// The meaning of the flags of `mapmill worker`.
pub(crate) struct WorkerRequest {
    pub(crate) config: worker::Config,
    pub(crate) shutdown: worker::Shutdown,
    pub(crate) speaker: Speaker,
    pub(crate) verbosity: Verbosity,
}

impl TryFrom<WorkerFlags> for WorkerRequest {
    type Error = Failure;

    fn try_from(flags: WorkerFlags) -> Result<Self, Failure> {
        let roots = if flags.roots.is_empty() { vec![PathBuf::from(".")] } else { flags.roots };
        let verbosity = Verbosity::from(flags.verbosity);
        let shutdown = worker::Shutdown::default();
        let speaker = match flags.instance {
            Some(_) => Speaker::WorkerOfRun,
            None => Speaker::Worker,
        };
        let driver = flags.call.addresses();
        let CallSecurityFlags { shared, insecure } = flags.security;
        let role = rpc::Role::Worker;
        let credentials = shared.for_calling(&driver, role, insecure)?;
        let config = worker::Config {
            driver,
            roots: worker::real_roots(&roots).map_err(|error| {
                let way_out = way_out::of_root(&error);
                Failure::start(error).hint(way_out)
            })?,
            name: certified_name(&credentials, std::process::id()),
            instance: flags.instance.map(instance),
            patience: worker::Patience {
                first: flags.wait,
                later: flags.driver_timeout,
                stays: flags.stay,
            },
            credentials,
            throttle: flags.throttle,
            memory_bytes: flags.memory,
            notify: Arc::new(move |notice| messages::notice(&notice, verbosity)),
            shutdown: shutdown.clone(),
        };
        Ok(Self { config, shutdown, speaker, verbosity })
    }
}

/// With a certificate, its name comes first: the driver refuses any other.
fn certified_name(credentials: &rpc::Credentials, pid: u32) -> String {
    let name = worker_name(pid);
    match &credentials.tls {
        Some(tls) => format!("{}:{name}", tls.name()),
        None => name,
    }
}

/// The name of a worker process on this machine: `host:pid`.
fn worker_name(pid: u32) -> String {
    format!("{}:{pid}", driver::host_name())
}

/// The id with which worker process `number` of a parent process registers.
pub(crate) fn instance(number: u64) -> [u8; 16] {
    u128::from(number).to_le_bytes()
}

/// The memory of a worker: at least what it needs before it reads any input.
pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
    let least = worker::MEMORY_BYTES_MIN;
    let bytes = parse_bytes(text)?.get();
    if bytes < least {
        return Err(format!("a worker needs at least {}", numbers::bytes(least)));
    }
    Ok(bytes)
}

/// The end of the long help of `worker`.
const WORKER_EXIT_CODES: &str = "\
Exit codes: 0 the job is over; 1 no driver answered, the driver was lost, or too many attempts are stuck; 2 the worker \
could not start, or the driver refused it; 130 interrupted.";
