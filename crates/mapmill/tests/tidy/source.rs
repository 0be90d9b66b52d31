//! A Rust file in three layers: its code, its string literals, its comments.
//!
//! Rules look at one of them. That is why a rule against a word does not flag the sentence that
//! forbids it, and why braces can be counted.

use std::ops::RangeInclusive;

/// A file taken apart. Every layer knows the lines, counted from 1.
#[derive(Debug, Default)]
pub struct Source {
    /// The file with comments and the insides of literals blanked out, line by line as it was.
    pub code: String,
    /// The insides of string literals, as written, each with the line where it begins.
    pub strings: Vec<(usize, String)>,
    /// Comments with their slashes, each with the line where it begins.
    pub comments: Vec<(usize, String)>,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let mut scanner = Scanner { rest: text, line: 1, source: Self::default() };
        while scanner.step() {}
        scanner.source
    }

    /// The lines of code, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// The lines that are compiled for tests only.
    pub fn test_lines(&self) -> Vec<RangeInclusive<usize>> {
        let line_at = |at: usize| self.code[..at].matches('\n').count() + 1;
        self.code
            .match_indices(TEST_ONLY)
            .map(|(start, _)| line_at(start)..=line_at(start + item_length(&self.code[start..])))
            .collect()
    }

    /// Modules in files of their own that are compiled for tests only.
    pub fn test_modules(&self) -> impl Iterator<Item = &str> {
        self.code.match_indices(TEST_ONLY).filter_map(|(start, _)| {
            let item = &self.code[start..start + item_length(&self.code[start..])];
            Some(item.split_once("mod ")?.1.strip_suffix(';')?.trim())
        })
    }

    /// Attributes, each with the line where it begins: the text between the brackets.
    pub fn attributes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.match_indices("#[").chain(self.code.match_indices("#![")).map(|(start, open)| {
            let inside = &self.code[start + open.len()..];
            let mut depth = 1;
            let end = inside.find(|character| {
                depth += match character {
                    '[' => 1,
                    ']' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let line = self.code[..start].matches('\n').count() + 1;
            (line, &inside[..end.unwrap_or(inside.len())])
        })
    }
}

const TEST_ONLY: &str = "#[cfg(test)]";

/// The length of the item at the start of `code`: to its semicolon or its closing brace.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// `text` has `word` at `at`, and no letter, digit or underscore on either side of it.
pub fn is_word(text: &str, at: usize, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
}

/// Whether `word` occurs in `text` as a word of its own.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| is_word(text, at, word))
}

struct Scanner<'text> {
    rest: &'text str,
    line: usize,
    source: Source,
}

impl<'text> Scanner<'text> {
    /// Takes the next comment, literal, or character of code. False at the end.
    fn step(&mut self) -> bool {
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            let comment = self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
            self.source.comments.push((line, comment.to_owned()));
        } else if self.rest.starts_with("/*") {
            let comment = self.blank(block_comment_length(self.rest));
            self.source.comments.push((line, comment.to_owned()));
        } else if let Some(hashes) = self.raw_string() {
            let open = 'r'.len_utf8() + hashes + '"'.len_utf8();
            self.copy(open);
            let close = format!("\"{}", "#".repeat(hashes));
            self.string(self.rest.find(&close), close.len());
        } else if first == '"' {
            self.copy(1);
            self.string(end_of_string(self.rest), 1);
        } else if let Some(length) = character_length(self.rest) {
            self.blank(length);
        } else {
            self.copy(first.len_utf8());
        }
        true
    }

    /// The number of hashes, if a raw string begins here.
    fn raw_string(&self) -> Option<usize> {
        let before = |character: char| character.is_alphanumeric() || character == '_';
        let code = &self.source.code;
        let code = code.strip_suffix(['b', 'c']).unwrap_or(code);
        let after = self.rest.strip_prefix('r').filter(|_| !code.ends_with(before))?;
        let hashes = after.bytes().take_while(|&byte| byte == b'#').count();
        after[hashes..].starts_with('"').then_some(hashes)
    }

    /// Takes a string from behind its opening quote; `end` is the position of its closing quote.
    fn string(&mut self, end: Option<usize>, close: usize) {
        let line = self.line;
        let inside = self.blank(end.unwrap_or(self.rest.len()));
        self.source.strings.push((line, inside.to_owned()));
        self.copy(close.min(self.rest.len()));
    }

    fn copy(&mut self, length: usize) {
        let taken = self.take(length);
        self.source.code.push_str(taken);
    }

    fn blank(&mut self, length: usize) -> &'text str {
        let taken = self.take(length);
        let blanks = taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' });
        self.source.code.extend(blanks);
        taken
    }

    fn take(&mut self, length: usize) -> &'text str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The position of the closing quote.
fn end_of_string(inside: &str) -> Option<usize> {
    let mut escaped = false;
    inside.find(|character| {
        let end = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        end
    })
}

/// The length of the character literal with which `text` begins; a lifetime is none.
fn character_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        let escaped = inside[1..].chars().next()?.len_utf8();
        return Some(inside[1 + escaped..].find('\'')? + escaped + 3);
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

#[test]
fn layers_are_told_apart() {
    let source = Source::new(
        r###"let a = "x // no"; // "y"
/* one /* two */ { */ let b = br#"{ "z" "#;
let c = '"'; let d = '\''; fn e<'f>(g: &'f str) {} "h\"\\""###,
    );

    assert_eq!(
        source.code.split_whitespace().collect::<Vec<_>>().join(" "),
        r##"let a = " "; let b = br#" "#; let c = ; let d = ; fn e<'f>(g: &'f str) {} " ""##
    );
    let strings: Vec<_> =
        source.strings.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(strings, [(1, "x // no"), (2, "{ \"z\" "), (3, "h\\\"\\\\")]);
    let comments: Vec<_> =
        source.comments.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(comments, [(1, "// \"y\""), (2, "/* one /* two */ { */")]);
}

#[test]
fn code_for_tests_is_known() {
    let source = Source::new(
        "fn a() {}\n#[cfg(test)]\nmod contract;\n#[cfg(test)]\nmod tests {\n    {}\n}\nfn b() {}\n",
    );

    assert_eq!(source.test_lines(), [2..=3, 4..=7]);
    assert_eq!(source.test_modules().collect::<Vec<_>>(), ["contract"]);
}

#[test]
fn attributes_are_found_with_what_they_hold() {
    let source = Source::new("#![deny(a)]\n#[cfg_attr(\n    b,\n    doc = \"]\",\n    c[0]\n)]\n");
    let attributes: Vec<_> = source.attributes().collect();

    assert_eq!(attributes.len(), 2);
    assert!(attributes.contains(&(1, "deny(a)")));
    assert!(attributes.iter().any(|(line, held)| *line == 2 && held.ends_with("c[0]\n)")));
}

#[test]
fn words_have_ends() {
    assert!(has_word("use pb::Task;", "pb"));
    assert!(!has_word("use pub_pb::Task;", "pb"));
}
