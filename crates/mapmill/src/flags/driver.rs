//! The flags of `mapmill driver`.

use std::path::PathBuf;

use clap::Args;

use super::job::{JOB_EXIT_CODES, JobFlags, SchedulingFlags, driver_config};
use super::security::SecurityFlags;
use super::{DEFAULT_ADDRESS, Show, ShowFlags, parse_address};
use crate::messages::Failure;

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

    /// Wait for workers at ADDR (HOST:PORT)
    ///
    /// Port 0 takes any that is free. Addresses that other machines can reach are refused without
    /// --tls or --insecure.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, help_heading = "Network")]
    #[arg(value_parser = parse_address)]
    listen: String,

    #[command(flatten)]
    security: SecurityFlags,

    /// Listen on a network without TLS
    ///
    /// Whoever is on the way can then read the names of the input files, and the token if there is
    /// one; without a token, whoever can reach the address can take part in the job.
    #[arg(long, help_heading = "Security")]
    insecure: bool,

    #[command(flatten)]
    scheduling: SchedulingFlags,
    #[command(flatten)]
    show: ShowFlags,
}

/// What `mapmill driver` is to do.
pub(crate) struct DriverRequest {
    pub(crate) config: driver::Config,
    /// The file with the driver's certificate.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) show: Show,
}

impl TryFrom<DriverFlags> for DriverRequest {
    type Error = Failure;

    fn try_from(flags: DriverFlags) -> Result<Self, Failure> {
        let (address, unprotected) = (flags.listen, flags.insecure);
        let (credentials, certificate) = flags.security.for_listening(unprotected)?;
        let listen = driver::Listen { address, credentials, unprotected };
        let config = driver_config(flags.job, flags.scheduling, listen);
        Ok(Self { config, certificate, show: flags.show.into() })
    }
}
