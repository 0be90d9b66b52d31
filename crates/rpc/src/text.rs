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
/// begin a line of a log, and those that reorder text, so that it cannot look like other text: a
/// line feed becomes `\n`, an escape character `\u{1b}`, a right-to-left override `\u{202e}`.
pub fn escaped(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for part in text.split_inclusive(is_unsafe) {
            let plain = part.trim_end_matches(is_unsafe);
            write!(f, "{plain}{}", part[plain.len()..].escape_default())?;
        }
        Ok(())
    })
}

/// Whether `letter` must not reach a terminal or a log from text that is not ours: control
/// characters, line separators, controls of the bidirectional algorithm (Unicode Standard Annex 9),
/// and invisible characters that no script needs: those that change the form of their neighbours
/// (U+206A to U+206F), annotations and tags. Joiners stay: words of some scripts have them.
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
    fn control_and_reordering_characters_are_escaped_and_nothing_else_is() {
        assert_eq!(escaped("a\nb\u{1b}[2J\u{9b}").to_string(), "a\\nb\\u{1b}[2J\\u{9b}");
        assert_eq!(escaped("naïve \\ text").to_string(), "naïve \\ text");
        assert_eq!(escaped("a\u{202e}b\u{61c}").to_string(), "a\\u{202e}b\\u{61c}");
        let reordering = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        for letter in reordering.chain(['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}']) {
            assert!(is_unsafe(letter), "{letter:?}");
        }
        // Persian and Hindi need joiners.
        assert!(!is_unsafe('\u{200c}') && !is_unsafe('\u{200d}'));
    }
}
