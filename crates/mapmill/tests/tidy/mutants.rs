//! Mistakes that the simulation has to find: that each patch applies to the code as it is, and is
//! planted by a test.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::tree::{File, Finding, NOWHERE, hold, lines, repository, top};

#[test]
fn every_planted_mistake_applies_to_the_code_as_it_is() {
    let patches: Vec<&File> = patches(repository()).collect();
    assert!(!patches.is_empty(), "no patches in {PATCHES}");
    hold(&outdated(&patches));
}

#[test]
fn every_planted_mistake_is_looked_for() {
    hold(&forgotten(repository()));
}

const PATCHES: &str = "crates/simulation/mutants/";
const TESTS: &str = "crates/simulation/tests/simulation/planted/patched.rs";

/// Plants nothing: asks which of the others are to.
const SWITCH: &str = "switch";

fn patches(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.starts_with(PATCHES))
}

/// Patches that do not apply, one by one and all together.
fn outdated(patches: &[&File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for patch in patches {
        if let Err(reason) = apply(&patch.text) {
            let advice = format!(
                "no longer applies ({reason}): it plants a mistake in code that has changed. Make \
                 the same mistake there with REWRITE=1 .ci/run mutants, or edit the patch"
            );
            findings.push(patch.finding(1, advice));
        }
    }
    let all: String = patches.iter().map(|patch| patch.text.as_str()).collect();
    if findings.is_empty()
        && let Err(reason) = apply(&all)
    {
        let advice = format!("the patches do not apply together: {reason}");
        findings.push(Finding { path: PATCHES.to_owned(), line: 1, advice });
    }
    findings
}

/// Whether `patch` could be applied.
fn apply(patch: &str) -> Result<(), String> {
    let above = top().canonicalize().expect("the repository is there").join("..");
    let mut git = Command::new("git")
        .args(["apply", "--check", "-"])
        .current_dir(top())
        // Paths would be those of a repository around this one.
        .env("GIT_CEILING_DIRECTORIES", above.canonicalize().expect("it is in a folder"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("git does not start: {error}"))?;
    let mut input = git.stdin.take().expect("it is piped");
    // What git does not read it says something about.
    let _ = input.write_all(patch.as_bytes());
    drop(input);
    let output = git.wait_with_output().map_err(|error| error.to_string())?;
    let reason = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    if output.status.success() { Ok(()) } else { Err(reason) }
}

/// Mistakes that no test plants.
fn forgotten(files: &[File]) -> Vec<Finding> {
    let tests =
        files.iter().filter(|file| file.path == TESTS).filter_map(|file| file.rust.as_ref());
    let named: Vec<&str> =
        tests.flat_map(|source| &source.strings).map(|(_, text)| text.as_str()).collect();
    let mut findings = Vec::new();
    for patch in patches(files) {
        let name = patch.path.trim_start_matches(PATCHES).trim_end_matches(".patch");
        if name == SWITCH {
            continue;
        }
        if !named.contains(&name) {
            findings.push(patch.finding(1, format!("no test plants it: name {name} in {TESTS}")));
        }
        if !patch.text.contains(&format!("is_planted(\"{name}\")")) {
            findings.push(patch.finding(1, format!("does not ask is_planted(\"{name}\")")));
        }
    }
    findings
}

#[test]
fn a_patch_that_does_not_apply_is_found() {
    let licence = std::fs::read_to_string(top().join("LICENSE")).expect("there is a licence");
    let mut licence = licence.lines();
    let mut next_line = || licence.next().expect("it has two lines");
    let (first, second) = (next_line(), next_line());
    let patch = |line: &str| {
        let text = format!(
            "A mistake.\n\ndiff --git a/LICENSE b/LICENSE\n--- a/LICENSE\n+++ b/LICENSE\n\
             @@ -1,2 +1,3 @@\n {line}\n+wrong\n {second}\n"
        );
        File::new("crates/simulation/mutants/a.patch", &text)
    };

    assert_eq!(lines(&outdated(&[&patch(first)])), NOWHERE);
    assert_eq!(lines(&outdated(&[&patch("something else")])), [1]);
}

#[test]
fn a_mistake_that_no_test_plants_is_found() {
    let check = |tests: &str, patch: &str| {
        let files =
            [File::new(TESTS, tests), File::new("crates/simulation/mutants/a.patch", patch)];
        lines(&forgotten(&files))
    };

    assert_eq!(check("check(\"a\")", "if is_planted(\"a\")"), NOWHERE);
    assert_eq!(check("check(\"a\")", "if is_planted(\"b\")"), [1]);
    assert_eq!(check("check(\"b\")", "if is_planted(\"a\")"), [1]);
}
