//! How every file reads: its header, its length, its comments, and what it must not contain.

use crate::source::{has_word, is_word};
use crate::tree::{File, Finding, NOWHERE, hold, lines, repository};

/// I15.
#[test]
fn every_rust_file_starts_with_what_it_is() {
    hold(&headless(repository()));
}

#[test]
fn no_file_has_more_than_800_lines_of_code() {
    hold(&too_long(repository()));
}

#[test]
fn papers_stay_short() {
    hold(&too_wordy(repository(), &PAPERS));
}

#[test]
fn comments_fit_into_100_columns() {
    hold(&wide_comments(repository()));
}

#[test]
fn nothing_is_left_unfinished() {
    hold(&unfinished(repository()));
}

#[test]
fn names_of_tests_are_sentences() {
    hold(&nameless_tests(repository()));
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    hold(&places(repository()));
}

const CODE_LINES_MAX: usize = 800;
const COMMENT_COLUMNS_MAX: usize = 100;
const PAPERS: [(&str, usize); 2] = [("ARCHITECTURE.md", 300), ("CONTRIBUTING.md", 200)];

fn headless(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.rust.is_some() && !file.text.starts_with("//! "))
        .map(|file| file.finding(1, "begin with `//! ` and one sentence that says what this is"))
        .collect()
}

fn too_long(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(source) = &file.rust else { continue };
        let code = source.lines().filter(|(_, code)| !code.trim().is_empty()).count();
        if code > CODE_LINES_MAX {
            let advice = format!("{code} lines of code, at most {CODE_LINES_MAX}: find the seam");
            findings.push(file.finding(1, advice));
        }
    }
    findings
}

fn too_wordy(files: &[File], papers: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, lines_max) in papers {
        for file in files.iter().filter(|file| file.path == *path) {
            let lines = file.text.lines().count();
            if lines > *lines_max {
                let advice = format!("{lines} lines, at most {lines_max}: shorten it");
                findings.push(file.finding(lines, advice));
            }
        }
    }
    findings
}

/// What begins a comment in `file`, if it is code in some language with a rule about width.
fn comment_sign(file: &File) -> Option<&'static str> {
    if file.path == ".ci/run" {
        return Some("#");
    }
    match file.path.rsplit_once('.')?.1 {
        "proto" | "rs" => Some("//"),
        "toml" | "yml" => Some("#"),
        _ => None,
    }
}

fn wide_comments(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(sign) = comment_sign(file) else { continue };
        for (number, line) in (1..).zip(file.text.lines()) {
            let columns = line.chars().count();
            if columns > COMMENT_COLUMNS_MAX && line.trim_start().starts_with(sign) {
                let advice = format!("{columns} columns: wrap it at {COMMENT_COLUMNS_MAX}");
                findings.push(file.finding(number, advice));
            }
        }
    }
    findings
}

/// Put together here, so that this file does not name them itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
const UNFINISHED_CODE: [&str; 4] = [
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
    concat!("#[ig", "nore"),
    concat!("#[should", "_panic"),
];

/// Papers may mention such words; code may not contain them.
fn unfinished(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let is_code = comment_sign(file).is_some() || file.path.ends_with(".py");
        for (number, line) in (1..).zip(file.text.lines()).filter(|_| is_code) {
            for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
                let advice = format!("`{word}`: do it, or open an issue and remove this");
                findings.push(file.finding(number, advice));
            }
        }
        for (number, line) in file.rust.iter().flat_map(|source| source.lines()) {
            for word in UNFINISHED_CODE.iter().filter(|word| line.contains(**word)) {
                let advice = format!(
                    "`{word}`: write what is missing, or a test that asserts what happens today"
                );
                findings.push(file.finding(number, advice));
            }
        }
    }
    findings
}

fn nameless_tests(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(source) = &file.rust else { continue };
        let mut expected = false;
        for (line, code) in source.lines() {
            let code = code.trim();
            expected |= code == "#[test]" || code.starts_with("#[tokio::test");
            let Some(at) = code.find("fn ").filter(|_| expected) else { continue };
            expected = false;
            let name = code[at + "fn ".len()..].split(['(', '<']).next().unwrap_or_default();
            let numbered = name.rsplit('_').next().is_some_and(is_number);
            if name.starts_with("test_") || numbered || !name.contains('_') {
                let advice = format!("`{name}`: say what holds, in words, without `test_`");
                findings.push(file.finding(line, advice));
            }
        }
    }
    findings
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Folders of one machine, and hosts from which one machine gets its packages.
const FAIL_POINTS: [&str; 9] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("py", "pi.org"),
    concat!("deb.", "debian.org"),
    concat!("registry.", "npmjs"),
];

/// How papers write the folder of a reader.
const READER: &str = concat!("/ho", "me/you/");

fn places(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.replace(READER, "");
            for place in FAIL_POINTS.iter().filter(|place| names(&line, place)) {
                let advice = format!("`{place}` exists on one machine only: remove it");
                findings.push(file.finding(number, advice));
            }
        }
    }
    findings
}

/// Whether `place` occurs in `line` where a path or an address can begin.
fn names(line: &str, place: &str) -> bool {
    let inside = |character: char| character.is_alphanumeric() || "._-)}>".contains(character);
    line.match_indices(place).any(|(at, _)| {
        if place.starts_with('/') {
            !line[..at].ends_with(inside)
        } else {
            is_word(line, at, place)
        }
    })
}

#[test]
fn a_file_without_header_is_found() {
    let check = |text: &str| lines(&headless(&[File::new("crates/words/src/a.rs", text)]));

    assert_eq!(check("//! Words.\n"), NOWHERE);
    assert_eq!(check("// Words.\n"), [1]);
    assert_eq!(check(""), [1]);
}

#[test]
fn a_long_file_is_found() {
    let check = |text: &str| lines(&too_long(&[File::new("crates/words/src/a.rs", text)]));

    assert_eq!(check(&"fn f() {}\n// comments and blank lines are free\n\n".repeat(800)), NOWHERE);
    assert_eq!(check(&"fn f() {}\n".repeat(801)), [1]);
}

#[test]
fn a_long_paper_is_found() {
    let paper = [File::new("CONTRIBUTING.md", "a\nb\n")];

    assert_eq!(lines(&too_wordy(&paper, &[("CONTRIBUTING.md", 2)])), NOWHERE);
    assert_eq!(lines(&too_wordy(&paper, &[("CONTRIBUTING.md", 1)])), [2]);
}

#[test]
fn a_wide_comment_is_found() {
    let text = format!("// {}\n    /// {}\n", "é".repeat(97), "é".repeat(97));
    let check = |path: &str| lines(&wide_comments(&[File::new(path, &text)]));

    assert_eq!(check("crates/words/src/a.rs"), [2]);
    assert_eq!(check("proto/a.proto"), [2]);
    assert_eq!(check("README.md"), NOWHERE);
}

#[test]
fn unfinished_code_is_found() {
    for word in UNFINISHED {
        let text = format!("# {word}: later\n#{word}IST\n");
        assert_eq!(lines(&unfinished(&[File::new("a.py", &text)])), [1]);
        assert_eq!(lines(&unfinished(&[File::new("a.md", &text)])), NOWHERE);
    }
    for word in UNFINISHED_CODE {
        let text = format!("// {word}\n{word}\n");
        assert_eq!(lines(&unfinished(&[File::new("a.rs", &text)])), [2]);
    }
}

#[test]
fn a_test_without_a_name_is_found() {
    let check = |name: &str| {
        let text = format!("#[test]\n#[cfg(unix)]\nfn {name}() {{\n    fn test_a() {{}}\n}}\n");
        lines(&nameless_tests(&[File::new("a.rs", &text)]))
    };

    assert_eq!(check("late_commit_is_stale"), NOWHERE);
    assert_eq!(check("r123_late_commit_is_stale"), NOWHERE);
    assert_eq!(check("test_commit"), [3]);
    assert_eq!(check("late_commit_2"), [3]);
    assert_eq!(check("commit"), [3]);
}

#[test]
fn a_place_on_one_machine_is_found() {
    for place in FAIL_POINTS {
        let text = format!("\"{place}/a\"\nx{place}\n{READER}\n");
        assert_eq!(lines(&places(&[File::new("a.md", &text)])), [1]);
    }
}
