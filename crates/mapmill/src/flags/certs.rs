//! The flags of `mapmill certs`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{EnumValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use rpc::certs::{Host, Name, Role};

use crate::numbers::parse_count;

/// Make keys and certificates, for drivers and workers on a network
///
/// `init` makes an authority, and with it credentials for a driver, workers and viewers: one folder
/// each, which --tls takes. `issue` makes further ones, `show` says what there is.
///
/// A job over one machine needs none of it.
#[derive(Args, Debug)]
#[command(disable_help_subcommand = true)]
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

/// Make an authority, and credentials for a driver, workers and viewers
///
/// DIR is made if it is missing, and gets the folders `authority`, `driver`, `worker` and `viewer`.
/// Copy `driver`, `worker` and `viewer` to where they are used. `authority` lasts ten years, and is
/// needed for `mapmill certs issue` alone: whoever can read its key can take part in any job.
///
/// Nothing that exists is overwritten.
#[derive(Args, Debug)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct InitFlags {
    /// The folder to make them in
    #[arg(value_name = "DIR", default_value = DEFAULT_FOLDER, value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) terms: TermsFlags,
}

/// Make credentials for one more driver, worker or viewer
///
/// DIR is a folder that `mapmill certs init` has made; the new folder in it is called NAME. A
/// driver knows workers by their names: give each machine its own, and what one of them does wrong
/// is held against no other.
#[derive(Args, Debug)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct IssueFlags {
    /// What they allow
    #[arg(value_name = "ROLE", value_parser = EnumValueParser::<RoleFlag>::new().map(Role::from))]
    pub(crate) role: Role,

    /// The folder with the authority
    #[arg(value_name = "DIR", default_value = DEFAULT_FOLDER, value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    /// What the bearer is called
    ///
    /// 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', of which the first is a letter or a digit.
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Name,

    #[command(flatten)]
    pub(crate) terms: TermsFlags,
}

/// The values of `ROLE`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleFlag {
    /// Assigns the tasks of a job
    Driver,
    /// Runs tasks
    Worker,
    /// Asks for the status of a job
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

/// What is said of credentials, however they are made.
#[derive(Args, Debug)]
pub(crate) struct TermsFlags {
    /// Where workers find the driver [default: this machine]
    ///
    /// A name or an address, as workers have it in --driver; may be repeated. By default localhost,
    /// 127.0.0.1, ::1 and the name of this machine. For a driver alone: nobody connects to workers
    /// and viewers.
    #[arg(long = "host", value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub(crate) hosts: Vec<Host>,

    /// Let the credentials be valid for N days
    ///
    /// But not for longer than their authority. What is stolen or lost is of use until then: there
    /// is no other way to revoke it but a new authority.
    #[arg(long, value_name = "N", default_value = "90", allow_negative_numbers = true)]
    #[arg(value_parser = parse_days)]
    pub(crate) days: NonZeroU32,
}

/// Show certificates: whose they are, until when, and what is wrong
///
/// Warns of what has expired or will in 14 days, of keys that others can read, and of keys and
/// authorities that do not belong to the certificate beside them.
#[derive(Args, Debug)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct CertsShowFlags {
    /// A folder of `mapmill certs init`, a folder in it, or a file
    #[arg(value_name = "PATH", default_value = DEFAULT_FOLDER, value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a token, which driver and workers take with --token-file
///
/// 64 hexadecimal digits, on stdout and nothing else. Better into a file with --output: one that
/// the shell makes, others may read.
///
/// A token says less than a certificate, namely nothing of who it is that has it.
#[derive(Args, Debug)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct TokenFlags {
    /// Write it into the new file FILE, which only you can read
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// A name is the name of a folder as well, which is neither hidden nor another one.
fn parse_name(text: &str) -> Result<Name, String> {
    let name = text.parse().ok().filter(|_| !text.starts_with(['.', '_', '-']));
    name.ok_or_else(|| {
        "a name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit"
            .to_owned()
    })
}

fn parse_days(text: &str) -> Result<NonZeroU32, String> {
    parse_count(text, DAYS_MAX)
}

/// Where the authority and what it has issued are, if nothing else is said.
const DEFAULT_FOLDER: &str = "certs";

/// Ten years, as long as an authority lasts.
pub(crate) const DAYS_MAX: u32 = 3650;

/// The end of the long help.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 it cannot be printed; 2 it was refused, and nothing is changed.";
