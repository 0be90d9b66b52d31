//! Paths in commands that a user copies into a shell.

use std::path::Path;

/// The path as one word of a shell: in quotes where it needs them.
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().to_string_lossy();
    let is_plain =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '/' | '.' | '_' | '-' | '+');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_a_shell_would_split_or_change_is_quoted() {
        for (path, word) in [
            ("files", "files"),
            ("/data/é/ft-2.x_y", "/data/é/ft-2.x_y"),
            ("", "''"),
            ("ft 2", "'ft 2'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
            ("a;b", "'a;b'"),
        ] {
            assert_eq!(quoted(path), word, "{path}");
        }
    }
}
