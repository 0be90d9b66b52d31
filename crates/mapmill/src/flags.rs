//! Every flag, in the order of the help, and its meaning.
//!
//! Two stages: the `*Flags` structs, which clap fills, hold what was typed; the `*Request` types
//! hold what it means. The conversion checks all that can be checked without the job's files.
//! Each command has a file of its own; this one has what they share.

mod certs;
mod clean;
mod documents;
mod driver;
mod export;
mod job;
mod parse_error;
mod reading;
mod run;
mod security;
mod status;
mod token_file;
mod top;
mod verify;
mod why;
mod worker;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use rpc::Addresses;

pub(crate) use self::driver::{DriverFlags, DriverRequest};
pub(crate) use self::worker::{WorkerFlags, WorkerRequest, instance};
pub(crate) use certs::{
    CertsCommand, CertsFlags, CertsShowFlags, DAYS_MAX, InitFlags, IssueFlags, TokenFlags,
};
pub(crate) use clean::CleanFlags;
pub(crate) use documents::{CompletionsFlags, ManFlags};
pub(crate) use export::{ExportFlags, ExportRequest, Format, Order};
pub(crate) use parse_error::parse_error;
pub(crate) use run::{LocalWorkers, RunFlags, RunRequest};
use security::SecurityFlags;
pub(crate) use security::{SECURITY_VARIABLES, TOKEN_VARIABLE};
pub(crate) use status::{StatusFlags, StatusRequest};
pub(crate) use top::TopFlags;
pub(crate) use verify::VerifyFlags;
pub(crate) use why::WhyFlags;

use crate::verbosity::Verbosity;

/// Count the words of more text than one machine can hold
///
/// A driver splits a job into map and reduce tasks. Any number of workers ask for tasks over gRPC,
/// execute them on a shared file system, and report. `mapmill run` starts a driver and its workers
/// on this machine.
#[derive(Debug, Parser)]
#[command(name = "mapmill", version, max_term_width = 100)]
#[command(after_help = START_HERE)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunFlags),
    Driver(DriverFlags),
    Worker(WorkerFlags),
    Status(StatusFlags),
    Top(TopFlags),
    Export(ExportFlags),
    Verify(VerifyFlags),
    Clean(CleanFlags),
    Why(WhyFlags),
    Certs(CertsFlags),
    Completions(CompletionsFlags),
    Man(ManFlags),
}

#[derive(Args, Debug)]
struct ShowFlags {
    /// Print a report as JSON to stdout
    #[arg(long, help_heading = "Messages")]
    json: bool,

    #[command(flatten)]
    verbosity: VerbosityFlags,
}

#[derive(Args, Debug)]
struct VerbosityFlags {
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    quiet: bool,

    /// Log more: events with -v, every call with -vv
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Messages")]
    verbose: u8,
}

#[derive(Args, Debug)]
struct CallFlags {
    /// Connect to the driver at ADDR (HOST:PORT)
    ///
    /// Repeat the flag where another driver may take over (`mapmill driver --standby`): the
    /// addresses are tried in turn. So are all addresses of a name.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, help_heading = "Network")]
    #[arg(value_parser = parse_address)]
    driver: Vec<String>,
}

impl CallFlags {
    fn addresses(self) -> Addresses {
        let mut all = self.driver.into_iter();
        let first = all.next().expect("there is a default");
        Addresses::new(first, all)
    }
}

#[derive(Args, Debug)]
struct CallSecurityFlags {
    #[command(flatten)]
    shared: SecurityFlags,

    /// Allow sending the token to another machine without TLS
    ///
    /// Anyone who can read the network traffic then knows the token, and can join the job.
    #[arg(long, help_heading = "Security")]
    insecure: bool,
}

/// What to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) json: bool,
    pub(crate) verbosity: Verbosity,
}

impl From<VerbosityFlags> for Verbosity {
    fn from(flags: VerbosityFlags) -> Self {
        match (flags.quiet, flags.verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Events,
            (false, _) => Self::Calls,
        }
    }
}

impl From<ShowFlags> for Show {
    fn from(flags: ShowFlags) -> Self {
        Self { json: flags.json, verbosity: flags.verbosity.into() }
    }
}

/// `HOST:PORT`, with an IPv6 address in brackets. The host is looked up later.
fn parse_address(text: &str) -> Result<String, String> {
    let is_in_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let is_name = |host: &str| !host.is_empty() && host.chars().all(is_in_name);
    let is_named = |(host, port): (&str, &str)| is_name(host) && port.parse::<u16>().is_ok();
    if text.parse::<SocketAddr>().is_ok() || text.rsplit_once(':').is_some_and(is_named) {
        return Ok(text.to_owned());
    }
    Err(format!("expected HOST:PORT, such as {DEFAULT_ADDRESS}"))
}

/// The end of the long help of a command: an example, and its exit codes.
fn example(command: &str, exit_codes: &str) -> String {
    let blank = if exit_codes.is_empty() { "" } else { "\n\n" };
    format!("Example:\n  {command}{blank}{exit_codes}")
}

/// The default folder of input files.
pub(crate) const DEFAULT_INPUT: &str = "inputs";

/// The default folder of results.
pub(crate) const DEFAULT_FILES: &str = "files";

/// Where a driver listens by default.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

/// The end of the help of `mapmill`.
const START_HERE: &str = "\
Start here:
  mapmill run books   Count the words of every file in the folder `books`
  mapmill top         Show the most frequent words
  mapmill run --help  Explain every flag";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_fit_together() {
        Flags::command().debug_assert();
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["127.0.0.1:0", "[::1]:50051", "localhost:50051", "node-7.rack_2.example:1"] {
            assert_eq!(parse_address(text).unwrap(), text);
        }
        let words = ["", ":", ":1", "host", "host:", "host:x", "host:65536", "::1:1", "[::1]"];
        let more = ["a b:1", "http://host:1", "host:1/", "user@host:1", "-\n:1"];
        for text in words.into_iter().chain(more) {
            assert!(parse_address(text).is_err(), "{text:?}");
        }
    }

    /// `-h` shows the first line of each flag, which must fit in 80 columns beside the flag.
    #[test]
    fn first_lines_of_help_are_short() {
        let mut commands = vec![Flags::command()];
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() <= 70, "{}: {help}", argument.get_id());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
