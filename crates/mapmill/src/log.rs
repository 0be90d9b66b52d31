//! The log, on stderr: events of the crates, formatted like messages, with a time and the process.

use std::fmt;
use std::io;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

use rpc::text::escaped;

use crate::messages::{self, Warning};
use crate::stamp::{self, Speaker};
use crate::terminal;
use crate::verbosity::Verbosity;

/// Starts the log, on stderr: Mapmill's own events, or those that `RUST_LOG` names. Lines have no
/// stamp without a `speaker`.
pub(crate) fn start(verbosity: Verbosity, speaker: Option<Speaker>) {
    if let Some(speaker) = speaker {
        stamp::start(speaker);
    }
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    use tracing_subscriber::util::SubscriberInitExt;
    let layer = tracing_subscriber::fmt::layer()
        .event_format(Line)
        .with_ansi(false)
        .with_writer(Stderr)
        .with_filter(log_filter(verbosity));
    tracing_subscriber::registry().with(layer).init();
}

fn log_filter(verbosity: Verbosity) -> Box<dyn Filter<Registry> + Send + Sync> {
    if let Some(wanted) = std::env::var_os(VARIABLE).filter(|wanted| !wanted.is_empty()) {
        match targets(&wanted.to_string_lossy()) {
            Some(targets) => return Box::new(targets),
            None => messages::warn(&Warning::LogFilter { variable: VARIABLE }, verbosity),
        }
    }
    let level = match verbosity {
        Verbosity::Quiet => Level::ERROR,
        Verbosity::Normal => Level::WARN,
        Verbosity::Events => Level::INFO,
        Verbosity::Calls => Level::DEBUG,
    };
    let ours = |target: &str| {
        ["driver", "mapmill", "rpc", "worker"].iter().any(|crate_| target.starts_with(crate_))
    };
    Box::new(filter_fn(move |meta| *meta.level() <= level && ours(meta.target())))
}

/// Parses targets with their levels, separated by commas. [`Targets`] takes any text for the name
/// of a target, and so would ignore a filter by span or field, a missing level, and a space.
fn targets(filter: &str) -> Option<Targets> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_:=,-".contains(c);
    let filter: String = filter.split_whitespace().collect();
    let is_whole = |directive: &str| !directive.starts_with('=') && !directive.ends_with('=');
    (filter.chars().all(is_known) && filter.split(',').all(is_whole))
        .then(|| filter.parse().ok())
        .flatten()
}

/// Formats a log event like a message.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            Level::INFO | Level::DEBUG | Level::TRACE => "",
        };
        write!(writer, "mapmill: {}{level}", stamp::log())?;
        let mut fields = String::new();
        context.field_format().format_fields(Writer::new(&mut fields), event)?;
        writeln!(writer, "{}", escaped(&fields))
    }
}

struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        terminal::write_stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Chooses what is logged in place of Mapmill's own events: targets and their levels, in the syntax
/// of tracing's `Targets`.
const VARIABLE: &str = "RUST_LOG";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_names_targets_and_levels_and_nothing_else() {
        for filter in ["debug", "h2=debug", "info, h2=debug", "driver::admission=4,off", "a=b"] {
            let expected = filter.replace(' ', "").parse::<Targets>().ok();
            assert_eq!(targets(filter), expected, "{filter}");
        }
        for filter in ["[{peer=1}]", "h2[buffer]=trace", "driver=", "=info", "*", "a[b"] {
            assert_eq!(targets(filter), None, "{filter}");
        }
    }
}
