//! The flags of `mapmill status`.

use clap::Args;

use super::{CallFlags, CallSecurityFlags};
use crate::messages::Failure;

/// Show the state of a running job
///
/// With TLS, this command needs a viewer's certificate: a worker's is refused.
#[derive(Args, Debug)]
#[command(after_long_help = STATUS_EXIT_CODES)]
pub(crate) struct StatusFlags {
    #[command(flatten)]
    call: CallFlags,

    #[command(flatten)]
    security: CallSecurityFlags,

    /// Print JSON instead of text
    #[arg(long, help_heading = "Messages")]
    json: bool,
}

/// The meaning of the flags of `mapmill status`.
pub(crate) struct StatusRequest {
    pub(crate) driver: String,
    pub(crate) credentials: rpc::Credentials,
    pub(crate) json: bool,
}

impl TryFrom<StatusFlags> for StatusRequest {
    type Error = Failure;

    fn try_from(flags: StatusFlags) -> Result<Self, Failure> {
        let CallFlags { driver } = flags.call;
        let CallSecurityFlags { shared, insecure } = flags.security;
        let role = rpc::Role::Viewer;
        let credentials = shared.for_calling(&driver, role, insecure)?;
        Ok(Self { driver, credentials, json: flags.json })
    }
}

/// The end of the long help of `status`.
const STATUS_EXIT_CODES: &str = "\
Exit codes: 0 the driver answered; 1 no driver answered; 2 the driver refused the call.";
