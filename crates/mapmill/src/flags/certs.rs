//! The flags of `mapmill certs`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{EnumValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use rpc::certs::{Host, Name, Role};

use super::example;
use crate::numbers::parse_count;

/// Create keys and certificates for drivers and workers on a network
///
/// `init` creates an authority and, signed by it, credentials for a driver, workers and viewers:
/// one folder each, for --tls. `issue` creates further credentials, `show` checks existing ones,
/// and `token` creates a token.
///
/// A job on one machine needs none of them.
#[derive(Args, Debug)]
#[command(after_long_help = example("mapmill certs init --host 10.77.0.1", ""))]
pub(crate) struct CertsFlags {
    #[command(subcommand)]
    pub(crate) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    Init(InitFlags),
    Issue(IssueFlags),
    Show(CertsShowFlags),
    Token(TokenFlags),
}

/// Create an authority, and credentials for a driver, workers and viewers
///
/// Creates the folders `authority`, `driver`, `worker` and `viewer` in DIR, and DIR if it does not
/// exist. Copy `driver`, `worker` and `viewer` to the machines that use them. Only `mapmill certs
/// issue` needs `authority`, which is valid for ten years. Keep it private: anyone who can read its
/// key can issue certificates.
///
/// Existing files are never overwritten.
#[derive(Args, Debug)]
#[command(after_long_help = with_example("mapmill certs init --host 10.77.0.1"))]
pub(crate) struct InitFlags {
    /// Folder in which to create them
    #[arg(value_name = "DIR", default_value = DEFAULT_FOLDER, value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) terms: TermsFlags,
}

/// Create credentials for one more driver, worker or viewer
///
/// DIR is a folder that `mapmill certs init` has created; the credentials are in its new folder
/// NAME. The driver identifies workers by the names in their certificates. Give each machine its
/// own name, so that a protocol violation by one worker does not count against the others.
#[derive(Args, Debug)]
#[command(after_long_help = with_example("mapmill certs issue worker --name w7"))]
pub(crate) struct IssueFlags {
    /// Role that the certificate grants
    #[arg(value_name = "ROLE", value_parser = EnumValueParser::<RoleFlag>::new().map(Role::from))]
    pub(crate) role: Role,

    /// Folder with the authority
    #[arg(value_name = "DIR", default_value = DEFAULT_FOLDER, value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    /// Name in the certificate
    ///
    /// 1 to 64 of the characters A-Z, a-z, 0-9, '.', '_' and '-'; the first is a letter or a digit.
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Name,

    #[command(flatten)]
    pub(crate) terms: TermsFlags,
}

/// The values of `ROLE`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleFlag {
    /// Assigns the tasks of a job to workers
    Driver,
    /// Executes tasks
    Worker,
    /// Asks for the state of a job
    Viewer,
}

impl From<RoleFlag> for Role {
    fn from(flag: RoleFlag) -> Self {
        match flag {
            RoleFlag::Driver => Self::Driver,
            RoleFlag::Worker => Self::Worker,
            RoleFlag::Viewer => Self::Viewer,
        }
    }
}

/// The terms of credentials, for `init` and `issue`.
#[derive(Args, Debug)]
pub(crate) struct TermsFlags {
    /// Host where workers reach the driver [default: this machine]
    ///
    /// A name or an address, as in --driver of the workers. Repeat the flag for several. The
    /// default is localhost, 127.0.0.1, ::1 and the name of this machine. For a driver only: no
    /// process connects to workers or viewers.
    #[arg(long = "host", value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub(crate) hosts: Vec<Host>,

    /// Make the credentials valid for N days
    ///
    /// Credentials never outlive their authority. If they are stolen or lost, they stay valid until
    /// they expire: the only way to revoke them is a new authority.
    #[arg(long, value_name = "N", default_value = "90", allow_negative_numbers = true)]
    #[arg(value_parser = parse_days)]
    pub(crate) days: NonZeroU32,
}

/// Show certificates: their roles, expiry and problems
///
/// Warns of certificates that have expired or will within 14 days, of keys that other users can
/// read, and of keys and authorities that do not match the certificate beside them.
#[derive(Args, Debug)]
#[command(after_long_help = with_example("mapmill certs show certs/driver"))]
pub(crate) struct CertsShowFlags {
    /// Folder of `mapmill certs init`, a folder in it, or a certificate file
    #[arg(value_name = "PATH", default_value = DEFAULT_FOLDER, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,

    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Create a token for --token-file of driver and workers
///
/// Prints 64 hexadecimal digits to stdout. Prefer --output: a file that the shell creates may be
/// readable by other users.
///
/// A token does not identify its holder. On a network, prefer certificates.
#[derive(Args, Debug)]
#[command(after_long_help = with_example("mapmill certs token --output token"))]
pub(crate) struct TokenFlags {
    /// Write the token to the new file FILE, readable only by you
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// A name is also that of a folder: not a hidden one, and not `.` or `..`.
fn parse_name(text: &str) -> Result<Name, String> {
    let name = text.parse().ok().filter(|_| !text.starts_with(['.', '_', '-']));
    name.ok_or_else(|| {
        "expected 1 to 64 of the characters A-Z, a-z, 0-9, '.', '_' and '-', of which the first \
         is a letter or a digit"
            .to_owned()
    })
}

fn parse_days(text: &str) -> Result<NonZeroU32, String> {
    parse_count(text, DAYS_MAX)
}

/// The default folder of the authority and of the credentials it has signed.
const DEFAULT_FOLDER: &str = "certs";

/// Ten years, as long as an authority lasts.
pub(crate) const DAYS_MAX: u32 = 3650;

/// The end of the long help of each command.
fn with_example(command: &str) -> String {
    example(command, EXIT_CODES)
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 stdout cannot be written; 2 refused, and nothing has changed.";
