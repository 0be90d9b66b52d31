//! The progress of copying an input that can be read only once. Its size is not known before.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rpc::text::escaped;
use unicode_width::UnicodeWidthStr;

use crate::messages::{self, Warning};
use crate::numbers::{bytes, rate, seconds};
use crate::terminal;
use crate::verbosity::Verbosity;

/// The input that is copied now; `None` before the first.
#[derive(Default)]
pub(crate) struct Copying(Option<Input>);

struct Input {
    name: String,
    /// Since when it is copied.
    began: Instant,
    /// When a line was last printed about it, where none can change in place.
    printed: Instant,
    /// Whether the user types it.
    is_typed: bool,
}

impl Copying {
    /// Reports how much of `name` is copied into the results folder `files`.
    pub(crate) fn report(&mut self, name: &str, files: &Path, copied: u64, is_complete: bool) {
        if self.0.as_ref().is_none_or(|input| input.name != name) {
            self.0 = Some(Input::new(name.to_owned()));
        }
        let Some(input) = &mut self.0 else { return };
        if is_complete {
            input.report_end(files, copied);
        } else {
            input.report_progress(copied);
        }
    }
}

impl Input {
    fn new(name: String) -> Self {
        let is_typed = name == STANDARD_INPUT && io::stdin().is_terminal();
        if is_typed {
            messages::say(format_args!("reading standard input; Ctrl-D ends it"));
        }
        Self { name, began: Instant::now(), printed: Instant::now(), is_typed }
    }

    fn report_end(&self, files: &Path, copied: u64) {
        terminal::erase();
        let (name, files) = (&self.name, files.display());
        if copied == 0 {
            messages::warn(&Warning::EmptyInput { input: name.clone() }, Verbosity::Normal);
        } else {
            let amount = self.amount(copied);
            messages::say(format_args!("copied {name} into {files} for this job: {amount}"));
        }
    }

    fn report_progress(&mut self, copied: u64) {
        let line = format!("copying {}: {}", self.name, self.amount(copied));
        if self.is_typed {
            // The line would be in the way of what is typed.
        } else if terminal::can_redraw() {
            let line = escaped(&line).to_string();
            let fits = line.width() <= terminal::columns_of_line();
            terminal::draw(if fits { line } else { "copying ...".to_owned() });
        } else if self.printed.elapsed() >= EVERY {
            self.printed = Instant::now();
            messages::say(format_args!("{line}"));
        }
    }

    fn amount(&self, copied: u64) -> String {
        let elapsed = self.began.elapsed();
        format!("{} in {} ({})", bytes(copied), seconds(elapsed), rate(copied, elapsed))
    }
}

/// What the driver calls it.
const STANDARD_INPUT: &str = "standard input";

/// Where no line can change in place, the time between two lines.
const EVERY: Duration = Duration::from_secs(30);
