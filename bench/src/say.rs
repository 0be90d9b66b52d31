//! The only place of the benchmarks that prints. A reader who has gone away is no error.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of results.
pub fn out(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What goes on, for those who watch.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "bench: {line}");
}
