//! The flags of `mapmill driver`.

use clap::Args;

use super::job::{JOB_EXIT_CODES, JobFlags, SchedulingFlags, driver_config};
use super::security::SecurityFlags;
use super::{DEFAULT_ADDRESS, Show, ShowFlags, example, parse_address};
use crate::invitation::Keys;
use crate::messages::Failure;

/// Run one job: assign its tasks to workers
///
/// Start the workers with `mapmill worker`, before or after the driver, on any machine that sees
/// the same files under the same paths. The driver exits when the job is over.
///
/// By default, only workers on this machine can connect. To listen on a network, the driver needs
/// certificates, which `mapmill certs init` creates: connections are then encrypted, and only
/// authenticated peers can take part.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill driver books --listen 10.77.0.1:50051 --tls certs/driver", JOB_EXIT_CODES))]
pub(crate) struct DriverFlags {
    #[command(flatten)]
    job: JobFlags,

    /// Listen for workers at ADDR (HOST:PORT)
    ///
    /// Port 0 chooses a free port. The driver listens at all addresses of HOST, which must be of
    /// this machine. An address that other machines can reach requires --tls or --insecure.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, help_heading = "Network")]
    #[arg(value_parser = parse_address)]
    listen: String,

    /// Wait while another driver is at work in DIR, then take over
    ///
    /// The driver takes over when the other one is killed, is interrupted, or gives no sign of life
    /// for 10 s, and listens only then. Workers find it if ADDR is the same, if their --driver is a
    /// name that has both addresses, or if they have --driver twice. If the other driver ends the
    /// job, the standby ends too.
    #[arg(long, help_heading = "Network")]
    standby: bool,

    #[command(flatten)]
    security: SecurityFlags,

    /// Allow listening on a network without TLS
    ///
    /// Anyone who can read the network traffic then knows the names of the input files, and the
    /// token if there is one. Without a token, anyone who can reach ADDR can take part in the job.
    #[arg(long, help_heading = "Security")]
    insecure: bool,

    #[command(flatten)]
    scheduling: SchedulingFlags,
    #[command(flatten)]
    show: ShowFlags,
}

/// The meaning of the flags of `mapmill driver`.
pub(crate) struct DriverRequest {
    pub(crate) config: driver::Config,
    /// Where the driver's credentials are.
    pub(crate) keys: Keys,
    pub(crate) on_conflict: driver::OnConflict,
    pub(crate) show: Show,
}

impl TryFrom<DriverFlags> for DriverRequest {
    type Error = Failure;

    fn try_from(flags: DriverFlags) -> Result<Self, Failure> {
        let (address, unprotected) = (flags.listen, flags.insecure);
        let (credentials, keys) = flags.security.for_listening(unprotected)?;
        let listen = driver::Listen { address, credentials, unprotected };
        let config = driver_config(flags.job, flags.scheduling, listen)?;
        let on_conflict = match flags.standby {
            true => driver::OnConflict::StandBy,
            false => driver::OnConflict::Refuse,
        };
        Ok(Self { config, keys, on_conflict, show: flags.show.into() })
    }
}
