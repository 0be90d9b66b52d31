//! The terminal, if there is one: its width, and one line at its end that changes in place.
//!
//! No library draws the line: it is a single one, it must fit the current width, and its remains
//! must be cleared after the terminal became narrower.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use unicode_width::UnicodeWidthStr;

/// The width that is assumed where it is unknown.
pub(crate) const COLUMNS: usize = 80;

/// Whether stderr is a terminal.
pub(crate) fn is_stderr() -> bool {
    io::stderr().is_terminal()
}

/// Whether a line on stderr can change in place.
pub(crate) fn can_redraw() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    is_stderr() && !is_dumb
}

/// The columns of stdout: `COLUMNS`, or those of the terminal; `None` where neither is known.
pub(crate) fn columns_of_stdout() -> Option<usize> {
    from_environment().or_else(|| columns_of(io::stdout()))
}

/// Whether people read what goes to stdout, and not a program.
pub(crate) fn is_stdout_a_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The same for stderr.
pub(crate) fn columns_of_stderr() -> Option<usize> {
    from_environment().or_else(|| columns_of(io::stderr()))
}

/// The columns that the line may have. Not `COLUMNS`: a shell sets it when a command starts, and
/// the terminal may be resized later. A line in the last column would wrap on some terminals.
pub(crate) fn columns_of_line() -> usize {
    columns_of(io::stderr()).unwrap_or(COLUMNS).saturating_sub(1)
}

fn from_environment() -> Option<usize> {
    env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0)
}

fn columns_of(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// `text` with its long lines continued on others, with a deeper indentation, if the width of
/// stdout is known. Elsewhere a program may read it, for which a line is a record.
pub(crate) fn wrapped(text: &str) -> String {
    columns_of_stdout().map_or_else(|| text.to_owned(), |columns| wrap(text, columns))
}

/// The same for stderr.
pub(crate) fn wrapped_for_stderr(text: &str) -> String {
    columns_of_stderr().map_or_else(|| text.to_owned(), |columns| wrap(text, columns))
}

fn wrap(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let next = " ".repeat((indent + 2).min(columns / 2));
        let mut used = 0;
        let is_digit = |letter: char| letter.is_ascii_digit() || ".,".contains(letter);
        let is_number = |word: &str| {
            word.ends_with(|last: char| last.is_ascii_digit()) && word.chars().all(is_digit)
        };
        let mut words = line.split_inclusive(' ').enumerate().peekable();
        let mut after_number = false;
        while let Some((index, word)) = words.next() {
            // A number and its unit stay together.
            let unit = words.peek().filter(|_| is_number(word.trim_end()));
            let unit_width = unit.map_or(0, |(_, unit)| 1 + unit.trim_end().width());
            let width = word.trim_end().width() + unit_width;
            let may_break = index > indent && !std::mem::replace(&mut after_number, unit.is_some());
            if may_break && used + width > columns && used > next.len() {
                lines.truncate(lines.trim_end_matches(' ').len());
                lines.push('\n');
                lines.push_str(&next);
                used = next.len();
            }
            lines.push_str(word);
            used += word.width();
        }
        lines.push('\n');
    }
    lines
}

/// Draws the line anew.
pub(crate) fn draw(line: String) {
    let mut shown = lock();
    let clear = clear(&shown);
    print(&format!("{clear}{line}"));
    *shown = line;
}

/// Removes the line.
pub(crate) fn erase() {
    let mut shown = lock();
    print(clear(&shown).as_str());
    shown.clear();
}

/// Prints whole lines to stderr, above the line that changes.
pub(crate) fn write_stderr(text: &str) {
    let shown = lock();
    if shown.is_empty() {
        print(text);
    } else {
        // One write: a reader never sees half of it.
        print(&format!("{}{text}{shown}", clear(&shown)));
    }
}

/// Moves to the start of the line, which takes several rows if the terminal is narrower now, and
/// clears it.
fn clear(shown: &str) -> String {
    if shown.is_empty() {
        return String::new();
    }
    let columns = columns_of(io::stderr()).unwrap_or(COLUMNS);
    match shown.width().saturating_sub(1) / columns {
        0 => "\r\x1b[K".to_owned(),
        above => format!("\x1b[{above}A\r\x1b[J"),
    }
}

fn print(text: &str) {
    // If stderr is closed, the message has no reader.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn lock() -> std::sync::MutexGuard<'static, String> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is drawn.
static SHOWN: Mutex<String> = Mutex::new(String::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_continued_and_no_word_is_cut() {
        let text = "the job\n  did not count: m0.a0, m1.a0 and more\n\n  averyveryverylongword x\n";
        let narrow = "the job\n  did not count:\n    m0.a0, m1.a0\n    and more\n\n  \
                      averyveryverylongword\n    x\n";
        assert_eq!(wrap(text, 16), narrow);
        assert_eq!(wrap(text, 80), text);
        assert_eq!(
            wrap("took 12.3 s, read 40.0 KiB\n", 10),
            "took\n  12.3 s,\n  read\n  40.0 KiB\n"
        );
    }

    #[test]
    fn what_remains_of_a_line_in_a_narrower_terminal_is_cleared() {
        // Not a terminal: 80 columns.
        assert_eq!(clear(""), "");
        assert_eq!(clear(&"x".repeat(80)), "\r\x1b[K");
        assert_eq!(clear(&"x".repeat(81)), "\x1b[1A\r\x1b[J");
        assert_eq!(clear(&"x".repeat(240)), "\x1b[2A\r\x1b[J");
    }
}
