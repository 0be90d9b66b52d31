//! Every test and every file that `SECURITY.md` names exists.

use std::collections::BTreeSet;

use crate::tree::{File, Finding, exists, file, hold, lines, repository};

#[test]
fn every_test_named_on_the_security_page_exists() {
    match file(repository(), "SECURITY.md") {
        Ok(page) => hold(&dead_names(repository(), page)),
        Err(finding) => hold(&[finding]),
    }
}

/// Names in backticks that look like those of tests or files, and are not.
fn dead_names(files: &[File], page: &File) -> Vec<Finding> {
    let functions: BTreeSet<&str> = files.iter().flat_map(functions).collect();
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        for named in line.split('`').skip(1).step_by(2) {
            let is_test = named
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
            if is_test && named.contains('_') && !functions.contains(named) {
                findings.push(page.finding(number, format!("no test is called `{named}`")));
            }
            let is_path = named.contains('/') && (named.ends_with(".rs") || named.ends_with(".sh"));
            if is_path && !exists(files, named) {
                findings.push(page.finding(number, format!("`{named}` does not exist")));
            }
        }
    }
    findings
}

/// The names of all functions, in Rust and in shell.
fn functions(file: &File) -> impl Iterator<Item = &str> {
    file.text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        let name = line.strip_prefix("fn ").map_or(line, |name| name.trim_start());
        let (name, rest) = name.split_once('(')?;
        (line.starts_with("fn ") || rest.starts_with(") {")).then_some(name)
    })
}

#[test]
fn names_of_missing_tests_and_files_are_found() {
    let files = [
        File::new("crates/a/tests/a.rs", "//! A.\n#[test]\nfn all_is_well() {}\n"),
        File::new(".ci/a.sh", "wire_is_silent() {\n}\n"),
    ];
    let page = File::new(
        "SECURITY.md",
        "`crates/a/tests/a.rs`: `all_is_well`\n`all_is_lost`\n`crates/a/tests/b.rs`\n\
         `.ci/a.sh`: `wire_is_silent`, `wire_is_cut`\n`--tls DIR`, `openat2`, `cargo test`\n",
    );

    assert_eq!(lines(&dead_names(&files, &page)), [2, 3, 4]);
}
