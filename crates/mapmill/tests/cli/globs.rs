//! `--include` and `--exclude`: which files of a folder are read.

use std::fs;

use super::scratch::Scratch;

/// Texts, and what is beside them.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in/b.txt", "b\n");
    scratch.write("in/notes.md", "notes\n");
    scratch.write("in/old/c.txt", "c\n");
    scratch
}

#[track_caller]
fn counts(scratch: &Scratch, args: &[&str], expected: &str) {
    scratch.run(&[&["run", "-q", "-m", "1"], args].concat()).silent();
    let output = fs::read_to_string(scratch.path("files/out/out-0"));
    assert_eq!(output.expect("a job has an output"), expected, "{args:?}");
}

#[test]
fn globs_choose_the_files_of_folders() {
    let scratch = tree();
    counts(&scratch, &["in"], "a 2\nb 2\nc 1\nnotes 1\n");
    counts(&scratch, &["in", "--include", "*.txt"], "a 2\nb 2\nc 1\n");
    counts(&scratch, &["in", "--include", "*.txt", "--exclude", "old/"], "a 2\nb 2\n");
    counts(&scratch, &["in", "--exclude", "*.txt"], "notes 1\n");
    counts(&scratch, &["in", "--include", "b.*", "--include", "notes.*"], "b 1\nnotes 1\n");
}

#[test]
fn file_that_is_named_is_read_whatever_the_globs_are() {
    let scratch = tree();
    let args = ["in/notes.md", "in/old", "--include", "*.xml", "--exclude", "*.md"];
    counts(&scratch, &args, "notes 1\n");
}

#[test]
fn globs_that_match_no_file_are_named() {
    let scratch = tree();
    let sentence = "no input files in `in` match --include '*.xml' --exclude old/ (hidden files \
                    and results of jobs are skipped); name other files to match";
    scratch.refuses_job(&["in", "--include", "*.xml", "--exclude", "old/"], sentence);
}

#[test]
fn glob_that_is_not_valid_is_refused() {
    let scratch = tree();
    let sentence = "invalid value '[a' for '--include <GLOB>': unclosed character class at byte 0; \
                    missing ']' (to match a literal '[', escape it as '\\[' or '[[]') (see \
                    <command> --help)";
    scratch.refuses_job(&["in", "--include", "[a"], sentence);
    let sentence = "invalid value '/' for '--exclude <GLOB>': expected a glob, such as '*.txt' (see \
                    <command> --help)";
    scratch.refuses_job(&["in", "--exclude", "/"], sentence);
}

/// The files are compared, not the globs.
#[test]
fn job_with_other_globs_and_the_same_files_is_resumed() {
    let scratch = tree();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in", "--include", "*.txt"]));
    driver.kill();
    let other = scratch.run(&["run", "in", "--include", "*.md"]);
    let difference = "(input added: <scratch>/in/notes.md; input removed: <scratch>/in/a.txt and 2 \
                      more)";
    assert_eq!(other.code, 2, "{}", other.stderr);
    let said = scratch.mask(&other.stderr);
    assert!(said.contains(difference), "{said}");

    let ended = scratch.run(&["run", "in", "--exclude", "*.md"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("resuming the job in "), "{}", ended.stderr);
}
