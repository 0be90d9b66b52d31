//! Inputs that can be read only once: standard input, and FIFOs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::scratch::{Ended, Scratch};
use crate::util::process::{Process, poll};

#[test]
fn standard_input_is_counted_and_its_copy_is_removed() {
    let scratch = Scratch::new();
    let ended = scratch.end(scratch.shell("printf 'x y x' | $mapmill run -"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    check_counts(&scratch, "x 2\ny 1\n");
    let first = scratch.mask(ended.stderr.lines().next().unwrap_or_default());
    let copied = "mapmill: copied standard input into <scratch>/files for this job: 5 B in ";
    assert!(first.starts_with(copied), "{first}");
    check_no_copy(&scratch);
    scratch.end(scratch.shell("printf 'z' | $mapmill run -q /dev/stdin")).silent();
    check_counts(&scratch, "z 1\n");
}

#[test]
fn bytes_that_are_not_utf_8_are_found_in_standard_input() {
    let scratch = Scratch::new();
    let ended =
        scratch.end(scratch.shell("printf 'a small caf\\xe9' | $mapmill run -n 1 - --json"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for text in [ended.stdout, ended.stderr, scratch.run(&["why"]).silent()] {
        assert!(text.contains("standard input") && !text.contains("claims"), "{text}");
    }
}

/// More than fits in a pipe, and a file from where another program has stopped to read it.
#[test]
fn large_pipes_and_the_rest_of_a_file_are_standard_input_too() {
    let scratch = Scratch::new();
    let script = "yes 'word other' | head -n 200000 | $mapmill run -q -";
    scratch.end(scratch.shell(script)).silent();
    check_counts(&scratch, "other 200000\nword 200000\n");
    scratch.write("lines", "first\nsecond\nthird\n");
    scratch.end(scratch.shell("{ read line; $mapmill run -q -; } <lines")).silent();
    check_counts(&scratch, "second 1\nthird 1\n");
}

#[test]
fn streams_come_after_all_files_in_the_order_of_the_arguments() {
    let scratch = Scratch::new();
    fifo(&scratch, "pipe");
    let script = "printf 'c ' >pipe & printf 'b ' | $mapmill run -q <(printf 'p ') - in pipe";
    scratch.end(scratch.shell(script)).silent();
    check_counts(&scratch, "a 2\nb 2\nc 1\np 1\n");
    let journal = fs::read_to_string(scratch.path("files/.mapmill/journal.jsonl"));
    let journal = journal.expect("a job has a journal");
    let inputs = journal.lines().filter(|line| line.contains(r#""kind":"input""#));
    let inputs: Vec<_> = inputs.collect();
    let expected = ["/in/a.txt", "input-0-%2fdev%2ffd%2f", "standard%20input", "input-2-pipe"];
    assert_eq!(inputs.len(), expected.len(), "{journal}");
    for (input, part) in inputs.iter().zip(expected) {
        assert!(input.contains(part), "{part} in {input}");
    }
}

#[test]
fn standard_input_that_is_empty_or_closed_is_counted_with_a_warning() {
    let scratch = Scratch::new();
    for redirection in ["</dev/null", "<&-", "< <(:)"] {
        let ended = scratch.end(scratch.shell(&format!("$mapmill run - {redirection}")));
        assert_eq!(ended.code, 0, "{redirection}: {}", ended.stderr);
        let first = ended.stderr.lines().next();
        assert_eq!(first, Some("mapmill: warning: standard input is empty"), "{redirection}");
        check_counts(&scratch, "");
    }
}

#[test]
fn stream_that_is_named_twice_is_refused() {
    let scratch = Scratch::new();
    fifo(&scratch, "pipe");
    let sentence = |name| format!("{name} is named twice, but can be read only once; name it once");
    scratch.refuses_job(&["-", "in", "-"], &sentence("standard input"));
    scratch.refuses_job(&["/dev/stdin", "-"], &sentence("standard input"));
    scratch.refuses_job(&["pipe", "./pipe"], &sentence("pipe"));
}

#[test]
fn standard_input_that_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let ended = scratch.end(scratch.shell("$mapmill run - <in"));
    let line = "mapmill: cannot read standard input: Is a directory (os error 21)\n";
    assert_eq!((ended.code, &ended.stderr[..]), (2, line));
    check_no_copy(&scratch);
}

#[test]
fn other_inputs_are_checked_before_standard_input_is_read() {
    let scratch = Scratch::new();
    let ended = scratch.end(scratch.shell("$mapmill run - nope < <(tail -f /dev/null --pid=$$)"));
    let line = "mapmill: input nope does not exist; name the files and folders to read\n";
    assert_eq!((ended.code, &ended.stderr[..]), (2, line));
    assert!(!scratch.path("files").exists());
}

#[test]
fn pipe_without_an_argument_is_named_where_the_default_input_is_missing() {
    let scratch = Scratch::new();
    let ended = scratch.end(scratch.shell("printf x | $mapmill run"));
    let line = "mapmill: input inputs does not exist; name the files and folders to read; or `-`, \
                to read standard input\n";
    assert_eq!((ended.code, &ended.stderr[..]), (2, line));
}

#[test]
fn standby_cannot_read_standard_input() {
    let scratch = Scratch::new();
    let sentence = "a standby cannot take over a job that reads standard input: it can be read \
                    only once; save it in a file, and name the file; or leave out --standby";
    scratch.refuses(scratch.driver(&["-", "--standby"]), sentence);
}

/// Its tasks are committed work; the pipe is not read.
#[test]
fn unfinished_job_over_files_is_not_replaced_by_one_over_standard_input() {
    let scratch = Scratch::new();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in"]));
    driver.kill();
    let ended = scratch.end(scratch.shell("$mapmill run in - < <(tail -f /dev/null --pid=$$)"));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let sentence = "<scratch>/files holds an unfinished job that differs from this one (input \
                    added: standard input); repeat the command of that job to resume it";
    assert!(scratch.mask(&ended.stderr).contains(sentence), "{}", ended.stderr);
    scratch.end(scratch.shell("printf x | $mapmill run -q --fresh -")).silent();
    check_counts(&scratch, "x 1\n");
}

/// While it copies, and while the job runs.
#[test]
fn what_a_killed_driver_has_copied_is_removed_when_the_next_job_starts() {
    let scratch = Scratch::new();
    for script in
        ["{ printf 'x'; tail -f /dev/null --pid=$$; } | $driver -", "printf 'x' | $driver -"]
    {
        let (mut driver, pid) = start_and_wait_for_copy(&scratch, script);
        rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
        driver.wait();
        assert_eq!(copies(&scratch).len(), 1);
        scratch.end(scratch.shell("printf 'y' | $mapmill run -q -")).silent();
        check_counts(&scratch, "y 1\n");
        check_no_copy(&scratch);
    }
    // Also if that reads something else.
    let (mut driver, pid) = start_and_wait_for_copy(&scratch, "printf 'x' | $driver -");
    rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
    driver.wait();
    scratch.run(&["run", "-q", "in"]).silent();
    check_no_copy(&scratch);
}

#[test]
fn interrupt_ends_the_copying_which_status_reports() {
    let scratch = Scratch::new();
    let script = "{ printf 'x'; tail -f /dev/null --pid=$$; } | $driver -";
    let (driver, pid) = start_and_wait_for_copy(&scratch, script);
    let status = scratch.run(&["status", "files"]);
    let line = "mapmill: the driver in files has not begun the job: it may still copy its input\n";
    assert_eq!((status.code, &status.stderr[..]), (1, line));
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    let ended = Ended::of(driver);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.stderr.ends_with("mapmill: interrupted\n"), "{}", ended.stderr);
    check_no_copy(&scratch);
}

#[test]
fn interrupted_job_over_standard_input_is_started_over() {
    let scratch = Scratch::new();
    let (mut driver, pid) = start_and_wait_for_copy(&scratch, "printf 'x' | $driver -");
    driver.wait_for("waiting for workers on ");
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    let ended = Ended::of(driver);
    let way_out = "run the same command again, with the same input, to start over";
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.stderr.ends_with(&format!("interrupted; {way_out}\n")), "{}", ended.stderr);
    check_no_copy(&scratch);
    let why = scratch.run(&["why"]).silent();
    let first = why.lines().next().unwrap_or_default();
    assert_eq!(first, format!("the job in files was interrupted; {way_out}"));
    let clean = scratch.run(&["clean"]);
    let line = "mapmill: the job in files is not done, and cannot be resumed; the next job in the \
                folder removes what it has left\n";
    assert_eq!((clean.code, &clean.stderr[..]), (2, line));

    let ended = scratch.end(scratch.shell("printf 'x x' | $mapmill run -"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("resuming"), "{}", ended.stderr);
    check_counts(&scratch, "x 2\n");
}

/// The results folder is all that the workers need, and no message has the path of the copy.
#[test]
fn workers_read_the_copy_in_the_results_folder_and_call_it_by_its_name() {
    let scratch = Scratch::new();
    let (mut driver, address) = start_driver(&scratch, "printf 'x y x' | $driver -");
    let worker = ["worker", "-q", "--driver", &address, "--root", "files"];
    scratch.run(&worker).silent();
    assert_eq!(driver.code(), 0, "{}", driver.log());
    check_counts(&scratch, "x 2\ny 1\n");
    let why = scratch.run(&["why", "files", "m0"]).silent();
    assert!(why.contains("bytes 0 to 5 of standard input"), "{why}");
    assert!(!why.contains("claims"), "{why}");
    let json = scratch.run(&["why", "files", "m0", "--json"]).silent();
    assert!(json.contains(r#""standard input""#) && !json.contains("claims"), "{json}");

    let (mut driver, address) = start_driver(&scratch, "printf 'x y x' | $driver -");
    fs::remove_file(&copies(&scratch)[0]).expect("the copy is there");
    let worker = scratch.run(&["worker", "--driver", &address, "--root", "files"]);
    assert_eq!(driver.code(), 1, "{}", driver.log());
    for log in [driver.log(), worker.stderr] {
        assert!(log.contains(" standard input disappeared during the job"), "{log}");
        assert!(!log.contains("claims"), "{log}");
    }
}

/// A driver whose one map task is waiting for a worker, and its address.
#[track_caller]
fn start_driver(scratch: &Scratch, script: &str) -> (Process, String) {
    let script = script.replace("$driver", "$mapmill driver -n 1 --listen 127.0.0.1:0");
    scratch.start_driver(scratch.shell(&script))
}

/// The shell that runs `script`, and the driver in it, once a byte is copied.
#[track_caller]
fn start_and_wait_for_copy(scratch: &Scratch, script: &str) -> (Process, rustix::process::Pid) {
    // Of two commands with a pipe the last is the shell itself: its end is that of the driver.
    let script = script.replace("$driver", "exec $mapmill driver --listen 127.0.0.1:0");
    let shell = scratch.start(scratch.shell(&format!("shopt -s lastpipe; {script}")));
    let is_copied = || {
        let copies = copies(scratch);
        let length = |copy: &PathBuf| fs::metadata(copy).map_or(0, |copy| copy.len());
        copies.iter().any(|copy| length(copy) > 0).then_some(())
    };
    poll(is_copied, || format!("a copy; {}", shell.log()));
    let pid = i32::try_from(shell.pid()).ok().and_then(rustix::process::Pid::from_raw);
    (shell, pid.expect("a process has an id"))
}

#[track_caller]
fn check_no_copy(scratch: &Scratch) {
    let copies = copies(scratch);
    assert!(copies.is_empty(), "{copies:?}");
}

/// The copies in all claims of `files`.
fn copies(scratch: &Scratch) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let claims = entries(&scratch.path("files/.mapmill/claims"));
    let files = claims.iter().flat_map(|claim| entries(claim));
    let is_copy = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input-"))
    };
    files.filter(is_copy).collect()
}

#[track_caller]
fn check_counts(scratch: &Scratch, expected: &str) {
    let outputs = (0..4).map(|part| {
        let output = fs::read_to_string(scratch.path(format!("files/out/out-{part}")));
        output.expect("a job has four outputs")
    });
    let outputs: String = outputs.collect();
    let mut lines: Vec<_> = outputs.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

fn fifo(scratch: &Scratch, name: &str) {
    let made = Command::new("mkfifo").arg(scratch.path(name)).status();
    assert!(made.expect("the system has FIFOs").success());
}
