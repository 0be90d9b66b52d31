//! Text for people: an error with its causes, and untrusted text without control characters.

use std::error::Error;
use std::fmt;

/// An error and its causes, separated by colons: "cannot read /data/a: permission denied (os error
/// 13)".
///
/// Errors keep their cause in `source`, not in their text; this joins them for people, and for
/// the errors of the wire, which have no causes of their own.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `text` with its control characters escaped, so that it cannot move the cursor of a terminal or
/// begin a line of a log: a line feed becomes `\n`, an escape character `\u{1b}`.
pub fn escaped(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for part in text.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            write!(f, "{plain}{}", part[plain.len()..].escape_default())?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {path}")]
    struct Read {
        path: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_follow_their_error() {
        let error = Read { path: "/data/a", source: io::Error::other("it is gone") };

        assert_eq!(with_causes(&error), "cannot read /data/a: it is gone");
        assert_eq!(with_causes(&error.source), "it is gone");
    }

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is() {
        assert_eq!(escaped("a\nb\u{1b}[2J\u{9b}").to_string(), "a\\nb\\u{1b}[2J\\u{9b}");
        assert_eq!(escaped("naïve \\ text").to_string(), "naïve \\ text");
    }
}
