//! The only place in the benchmarks that prints. A closed pipe is not an error.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of results.
pub fn out(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line about progress.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "bench: {line}");
}
