//! Errors of the argument parser (clap), as messages of ours.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Flags;
use crate::messages::{self, NOT_STARTED};

/// One line that names the flag and what to do; the help if it was requested.
pub(crate) fn parse_error(error: &clap::Error) -> ExitCode {
    if let ErrorKind::DisplayHelp
    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    | ErrorKind::DisplayVersion = error.kind()
    {
        // Requested help is data; help instead of an error goes to stderr. A closed pipe is no
        // error for either.
        let _ = error.print();
        return u8::try_from(error.exit_code()).unwrap_or(NOT_STARTED).into();
    }
    let rendered = error.render().to_string();
    let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut text = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    // Clap's hint at its help is replaced by a shorter one, below.
    let is_about_help =
        |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    for line in lines.take_while(|line| !is_about_help(line)) {
        let joint = if text.ends_with(':') { " " } else { "; " };
        text.push_str(joint);
        text.push_str(line.strip_prefix("tip: ").unwrap_or(line).trim_matches(['[', ']']));
    }
    messages::say(format_args!("{text} (see {} --help)", command_of(std::env::args_os().skip(1))));
    NOT_STARTED.into()
}

/// The command that was typed: `mapmill run` if `run` is the first argument, and so on.
fn command_of(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut typed = "mapmill".to_owned();
    let mut command = Flags::command();
    for name in arguments {
        let Some(found) = command.find_subcommand(name) else { break };
        command = found.clone();
        typed.push_str(&format!(" {}", command.get_name()));
    }
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_commands_lead_to_their_help() {
        let check = |typed: &str, command: &str| {
            assert_eq!(command_of(typed.split_whitespace().map(OsString::from)), command);
        };
        check("run", "mapmill run");
        check("run certs", "mapmill run");
        check("rum", "mapmill");
        check("certs issue --name a", "mapmill certs issue");
        check("certs --name issue", "mapmill certs");
        check("", "mapmill");
    }
}
