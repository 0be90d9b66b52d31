//! Inputs that a job cannot use.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::scratch::Scratch;

#[test]
fn input_that_does_not_exist_is_named() {
    let scratch = Scratch::new();
    let sentence = "input nope does not exist; name the files and folders to read";
    scratch.refuses_job(&["nope"], sentence);
    scratch.refuses_job(&["in", "nope"], sentence);
    scratch.refuses_job(&["--", "-nope"], &sentence.replace("nope", "-nope"));
}

#[test]
fn default_input_that_does_not_exist_is_named() {
    let sentence = "input inputs does not exist; name the files and folders to read";
    Scratch::new().refuses_job(&[], sentence);
}

#[test]
fn name_of_an_input_cannot_break_the_line_or_steer_the_terminal() {
    let scratch = Scratch::new();
    let sentence = "input a\\nb\\u{1b}[2J does not exist; name the files and folders to read";
    scratch.refuses_job(&["a\nb\u{1b}[2J"], sentence);
}

#[test]
fn name_of_an_input_that_is_not_utf_8_is_shown_with_replacement_characters() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["run"]);
    command.arg(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    scratch
        .refuses(command, "input caf\u{fffd} does not exist; name the files and folders to read");
}

#[test]
fn empty_name_is_refused() {
    let scratch = Scratch::new();
    let sentence =
        "a value is required for '[INPUT]...' but none was supplied (see <command> --help)";
    scratch.refuses_job(&[""], sentence);
}

#[test]
fn unreadable_file_is_named() {
    let scratch = Scratch::new();
    lock(&scratch, "in/b.txt");
    let sentence = "cannot read input in/b.txt (allow reading it, or leave it out)";
    scratch.refuses_unprivileged(&["in"], sentence);
    scratch.refuses_unprivileged(&["in/b.txt"], sentence);
}

#[test]
fn unreadable_folder_is_named() {
    let scratch = Scratch::new();
    scratch.create("in/closed");
    lock(&scratch, "in/closed/b.txt");
    fs::set_permissions(scratch.path("in/closed"), Permissions::from_mode(0o000)).unwrap();
    let sentence = "cannot read input in/closed (allow reading it, or leave it out)";
    scratch.refuses_unprivileged(&["in"], sentence);
    scratch.refuses_unprivileged(&["in/closed"], sentence);
    // Without this, a tester without privileges could not remove the folder.
    fs::set_permissions(scratch.path("in/closed"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn folder_without_files_is_named() {
    let scratch = Scratch::new();
    scratch.create("empty/deeper");
    let sentence = "no input files in `empty` (hidden files and results of jobs are skipped); \
                    name the files and folders to read";
    scratch.refuses_job(&["empty"], sentence);
}

#[test]
fn folder_with_hidden_files_only_is_a_folder_without_files() {
    let scratch = Scratch::new();
    scratch.write("one/.hidden", "a");
    scratch.write("other/.git/config", "a");
    let sentence = "no input files in `one`, `other` (hidden files and results of jobs are skipped); \
                    name the files and folders to read";
    scratch.refuses_job(&["one", "other"], sentence);
}

#[test]
fn dangling_link_is_named_with_its_target() {
    let scratch = Scratch::new();
    symlink("gone", scratch.path("in/link")).unwrap();
    let sentence =
        "input in/link is a link to gone, which does not exist; repair the link, or remove it";
    scratch.refuses_job(&["in"], sentence);
    scratch.refuses_job(&["in/link"], sentence);
}

#[test]
fn link_to_itself_is_named() {
    let scratch = Scratch::new();
    symlink("link", scratch.path("link")).unwrap();
    scratch.refuses_job(&["link"], "cannot read input link (repair it, or leave it out)");
}

#[test]
fn input_that_is_not_a_regular_file_is_named_without_waiting_for_it() {
    let scratch = Scratch::new();
    let status = Command::new("mkfifo").arg(scratch.path("fifo")).status().unwrap();
    assert!(status.success());
    let _listener = UnixListener::bind(scratch.path("socket")).unwrap();
    scratch.create("pipes");
    fs::rename(scratch.path("fifo"), scratch.path("pipes/fifo")).unwrap();
    scratch.refuses_job(
        &["in", "pipes"],
        "input pipes/fifo is a FIFO, not a regular file; save its output in a file, or leave it out",
    );
    for (path, kind) in [("socket", "a socket"), ("/dev/zero", "a device")] {
        let sentence = format!(
            "input {path} is {kind}, not a regular file; save its output in a file, or leave it \
             out"
        );
        scratch.refuses_job(&["in", path], &sentence);
    }
}

/// A user may not know that arguments overlap. What was named is counted, as `cat` prints it.
#[test]
fn input_that_is_counted_more_than_once_is_named_in_a_warning() {
    let scratch = Scratch::new();
    scratch.write("input.txt", "a b\n");
    symlink("a.txt", scratch.path("in/link")).unwrap();
    fs::hard_link(scratch.path("input.txt"), scratch.path("in/hard")).unwrap();
    scratch.warns(
        &["input.txt", "input.txt", "./input.txt"],
        "input ./input.txt is counted 3 times, also as input.txt",
    );
    assert_eq!(fs::read_to_string(scratch.path("files/out/out-1")).unwrap(), "a 3\n");
    scratch.warns(&["in/hard", "in/hard"], "input in/hard is counted 2 times");
    scratch.warns(
        &["in", "in/link", "input.txt"],
        "input in/a.txt is counted 3 times, also as in/link; 1 other input is counted more than \
         once",
    );
}

#[test]
fn inputs_that_are_counted_once_cause_no_warning() {
    let scratch = Scratch::new();
    scratch.write("in/b.txt", "a b a\n");
    let ended = scratch.run(&["run", "in"]);
    assert_eq!((ended.code, ended.stderr.contains("warning")), (0, false), "{}", ended.stderr);
}

/// The second job meets the results of the first, and its own.
#[test]
fn results_of_jobs_are_left_out_of_a_folder_with_a_warning() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "."]).silent();
    let output = || fs::read_to_string(scratch.path("files/out/out-1")).unwrap();
    assert_eq!(output(), "a 2\n");

    scratch.warns(&["."], "./files holds results of a job and is left out of the input");
    assert_eq!(output(), "a 2\n");
    scratch.create("elsewhere");
    scratch.warns(
        &[".", "--files", "elsewhere"],
        "./elsewhere holds results of a job and is left out of the input, as is 1 more folder",
    );
    assert_eq!(fs::read_to_string(scratch.path("elsewhere/out/out-1")).unwrap(), "a 2\n");
}

/// What the first driver has left is in the input folder of the second.
#[test]
fn killed_job_over_the_folder_that_it_was_started_in_is_resumed() {
    let scratch = Scratch::new();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["."]));
    driver.kill();
    scratch.write("files/intermediate/mr-0-1", "a\na\n");
    let (driver, _) = scratch.start_driver(scratch.driver(&["."]));
    assert!(driver.log().contains("resuming the job in "), "{}", driver.log());
}

#[test]
fn results_of_a_job_are_the_input_of_another_if_they_are_named() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in"]).silent();
    scratch.run(&["run", "-q", "files/out", "--files", "next"]).silent();
    assert_eq!(fs::read_to_string(scratch.path("next/out/out-1")).unwrap(), "a 1\n");

    let sentence = "no input files in `files` (hidden files and results of jobs are skipped); \
                    name the files and folders to read";
    scratch.refuses_job(&["files", "--files", "more"], sentence);
}

/// Such a file would count as nothing.
#[test]
fn input_whose_size_is_0_but_has_bytes_is_named() {
    let scratch = Scratch::new();
    let sentence = |path| {
        format!(
            "input {path} is larger than its reported size (0 bytes); copy it to another file \
             first, and name the copy"
        )
    };
    scratch.refuses_job(&["in", "/proc/cpuinfo"], &sentence("/proc/cpuinfo"));
    symlink("/proc/version", scratch.path("in/version")).unwrap();
    scratch.refuses_job(&["in"], &sentence("in/version"));
}

#[test]
fn input_in_the_results_folder_is_named() {
    let scratch = Scratch::new();
    scratch.write("results/notes/a.txt", "a");
    let sentence = "input <scratch>/results/notes/a.txt is in the results folder \
                    <scratch>/results; choose another folder with --files";
    scratch.refuses_job(&["results", "--files", "results"], sentence);
    scratch.refuses_job(&["results/notes", "--files", "results"], sentence);
    symlink("results/notes", scratch.path("link")).unwrap();
    scratch.refuses_job(&["link", "--files", "results"], sentence);
}

/// A file that only root can read.
fn lock(scratch: &Scratch, name: &str) {
    scratch.write(name, "a");
    let path: &Path = &scratch.path(name);
    fs::set_permissions(path, Permissions::from_mode(0o000)).expect("the file was just created");
}
