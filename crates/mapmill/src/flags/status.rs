//! The flags of `mapmill status`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{CallFlags, CallSecurityFlags, example};
use crate::contact;
use crate::messages::Failure;

/// Show the state of a running job
///
/// FILES, the folder that the driver was given with --files, is enough to find a driver. --driver
/// calls it by its address instead.
///
/// With TLS, this command needs a viewer's certificate: a worker's is refused.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill status files", STATUS_EXIT_CODES))]
pub(crate) struct StatusFlags {
    /// Folder with the results of the job, instead of --driver
    ///
    /// A running driver, including that of `mapmill run`, writes its address and its token into
    /// this folder, readable by its user only. A driver with TLS writes only its address.
    #[arg(value_name = "FILES", value_hint = ValueHint::DirPath, conflicts_with = "driver")]
    files: Option<PathBuf>,

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
    pub(crate) driver: rpc::Addresses,
    pub(crate) credentials: rpc::Credentials,
    /// The folder that named the driver.
    pub(crate) files: Option<PathBuf>,
    pub(crate) json: bool,
}

impl TryFrom<StatusFlags> for StatusRequest {
    type Error = Failure;

    fn try_from(flags: StatusFlags) -> Result<Self, Failure> {
        let found = flags.files.as_deref().map(contact::find).transpose()?;
        let (driver, token) = match found {
            Some(found) => (found.driver, found.token),
            None => (flags.call.addresses(), None),
        };
        let CallSecurityFlags { shared, insecure } = flags.security;
        let role = rpc::Role::Viewer;
        let credentials = shared.for_calling_with(&driver, role, insecure, token)?;
        Ok(Self { driver, credentials, files: flags.files, json: flags.json })
    }
}

/// The end of the long help of `status`.
const STATUS_EXIT_CODES: &str = "\
Exit codes: 0 the driver answered; 1 no driver answered, or none runs in FILES; 2 the driver refused the call.";
