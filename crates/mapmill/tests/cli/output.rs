//! What a job prints: only data on stdout; the rest on stderr, for people.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::scratch::{Ended, Scratch, into_closed_pipe};

#[test]
fn job_prints_nothing_on_stdout() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["run", "in"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert!(ended.stderr.contains("\nmapmill: done in "), "{}", ended.stderr);
}

#[test]
fn quiet_job_prints_nothing_at_all() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["run", "-q", "in"]).silent(), "");
    // Not even that there were results before.
    assert_eq!(scratch.run(&["run", "--quiet", "in"]).silent(), "");
}

#[test]
fn quiet_driver_and_worker_print_nothing_at_all() {
    let scratch = Scratch::new();
    // A quiet driver does not print where it listens. This is below the ephemeral ports of the
    // system.
    let address = format!("127.0.0.1:{}", 30_000 + std::process::id() % 2000);
    let driver = scratch.start(scratch.command(&["driver", "-q", "in", "--listen", &address]));
    assert_eq!(scratch.run(&["worker", "-q", "--driver", &address]).silent(), "");
    assert_eq!(Ended::of(driver).silent(), "");
}

/// Only a worker with a task says that it returns one.
#[test]
fn worker_says_at_its_end_what_it_has_done() {
    let scratch = Scratch::new();
    let tasks = ["in", "-n", "1", "-m", "2", "--no-backup"];
    let (mut driver, address) = scratch.start_driver(scratch.driver(&tasks));
    // Six bytes, of which two a second are read.
    let busy = ["worker", "-v", "--driver", &address, "--throttle", "2"];
    let mut busy = scratch.start(scratch.command(&busy));
    busy.wait_for("map task 0");
    let mut idle = scratch.start(scratch.command(&["worker", "--driver", &address]));
    idle.wait_for("registered with the driver");
    idle.signal(Signal::INT);
    let idle = Ended::of(idle);
    assert_eq!(idle.code, 130);
    let lines: Vec<_> = idle.stderr.lines().skip(2).collect();
    let [did, stopped] = lines[..] else { panic!("{}", idle.stderr) };
    assert!(did.starts_with("mapmill: completed 0 map tasks and 0 reduce tasks, and read 0 B in "));
    assert_eq!(stopped, "mapmill: stopped");

    let ended = Ended::of(busy);
    assert_eq!((driver.code(), ended.code), (0, 0), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    let expected = "mapmill: completed 1 map task and 2 reduce tasks, and read 12 B in ";
    assert!(last.starts_with(expected), "{}", ended.stderr);
}

#[test]
fn earlier_results_are_replaced_with_a_warning() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in"]).silent();
    let ended = scratch.run(&["run", "in"]);
    let warning = "mapmill: warning: <scratch>/files holds the results of an earlier job; they \
                   will be replaced\n";
    assert!(scratch.mask(&ended.stderr).starts_with(warning), "{}", ended.stderr);
    assert_eq!(ended.code, 0);
}

#[test]
fn verbose_job_prints_more_and_does_not_steer_the_terminal() {
    let scratch = Scratch::new();
    let normal = scratch.run(&["run", "in"]).stderr;
    let verbose = scratch.run(&["run", "-v", "in"]).stderr;
    let chatty = scratch.run(&["run", "-vv", "in"]).stderr;
    assert!(normal.len() < verbose.len() && verbose.len() < chatty.len());
    assert!(verbose.contains("mapmill: start m0.a0 on w"), "{verbose}");
    assert!(!chatty.contains('\u{1b}'), "{chatty:?}");
}

#[test]
fn json_is_one_line_with_the_right_numbers() {
    let scratch = Scratch::new();
    // Two bytes that are not UTF-8.
    scratch.write("in/b.txt", b"b\xffc \xfea, b-2\n");
    let as_it_is = ["--format", "text"];
    let flags = ["run", "in", "--json", "-n", "3", "-m", "2", "-w", "2"];
    let ended = scratch.run(&[&flags[..], &as_it_is].concat());
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("\nmapmill: done in "), "{}", ended.stderr);
    let mut report = one_line(&scratch.mask(&ended.stdout));

    for time in ["/seconds", "/map/seconds", "/reduce/seconds"] {
        let seconds = report.pointer_mut(time).unwrap().take();
        assert!(seconds.as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{time}");
    }
    // The job may be over before the second worker has registered.
    let workers = report["workers"].take();
    assert!(workers == 1 || workers == 2, "{workers}");
    let expected = json!({
        "state": "done",
        "seconds": null,
        "input": {
            "files": 2, "bytes": 18, "documents": 2,
            "invalid_bytes": 2,
            "invalid_files": [{ "path": "<scratch>/in/b.txt", "bytes": 2 }],
            "bad_records": 0, "first_bad_records": [],
        },
        "map": {
            "tasks": 3, "tasks_resumed": 0, "bytes": 18, "bytes_resumed": 0, "words": 7,
            "seconds": null,
        },
        // A letter and a line feed for each word.
        "reduce": {
            "tasks": 2, "tasks_resumed": 0, "bytes": 14, "bytes_resumed": 0, "words": 7,
            "seconds": null,
        },
        "distinct_words": 3,
        "output_bytes": 12,
        "workers": null,
        "set_aside": [],
        "attempts": {
            "started": 5, "failed": 0, "lost": 0, "backups": 0, "backups_won": 0, "stale_reports": 0,
        },
        "files": "<scratch>/files",
        "outputs": ["<scratch>/files/out/out-0", "<scratch>/files/out/out-1"],
        "top": [
            { "word": "a", "count": 3 },
            { "word": "b", "count": 3 },
            { "word": "c", "count": 1 },
        ],
    });
    assert_eq!(report, expected);
    assert_eq!(fs::read_to_string(scratch.path("files/out/out-0")).unwrap(), "b 3\n");
    assert_eq!(fs::read_to_string(scratch.path("files/out/out-1")).unwrap(), "a 3\nc 1\n");
}

#[test]
fn quiet_job_with_json_prints_json_alone() {
    let scratch = Scratch::new();
    let line = scratch.run(&["run", "in", "-q", "--json"]).silent();
    assert_eq!(one_line(&line)["state"], "done");
}

#[test]
fn closed_stdout_does_not_fail_the_job() {
    let scratch = Scratch::new();
    let command = scratch.command(&["run", "in", "-q", "--json"]);
    assert_eq!(into_closed_pipe(command), Some(0));
}

#[test]
fn failed_job_says_so_in_json_and_in_words() {
    let scratch = Scratch::new();
    let driver = scratch.driver(&["in", "--json", "-n", "1", "--attempts", "2"]);
    let (driver, address) = scratch.start_driver(driver);
    scratch.write("in/a.txt", "a b a and more\n");
    let worker = scratch.run(&["worker", "-q", "--driver", &address]);
    let ended = Ended::of(driver);

    assert_eq!((worker.code, ended.code), (0, 1));
    let why = "input <scratch>/in/a.txt changed size during the job: 6 bytes at start, 15 now";
    let report = one_line(&scratch.mask(&ended.stdout));
    assert_eq!(report["state"], "failed");
    let error = report["error"].as_str().unwrap();
    let stderr = scratch.mask(&ended.stderr);
    for text in [error, &stderr] {
        assert!(text.contains("map task 0 (bytes 0 to 6 of <scratch>/in/a.txt)"), "{text}");
        assert!(text.contains(why), "{text}");
    }
    assert!(stderr.contains("\nmapmill: map task 0 "), "{stderr}");
    assert!(!stderr.contains("done in"), "{stderr}");
}

#[test]
fn interrupted_job_says_so_in_json_and_in_words() {
    let scratch = Scratch::new();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in", "--json"]));
    driver.signal(Signal::INT);
    let ended = Ended::of(driver);

    assert_eq!(ended.code, 130);
    assert_eq!(one_line(&ended.stdout), json!({ "state": "cancelled", "error": INTERRUPTED }));
    assert!(ended.stderr.ends_with(&format!("\nmapmill: {INTERRUPTED}\n")), "{}", ended.stderr);
}

/// `REWRITE=1` rewrites the transcript.
#[test]
fn report_of_a_small_job_reads_like_this() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "to be, or not to be: that is the question\n");
    scratch.write("in/b.txt", b"whether 'tis nobler in the mind to suffer \xff\n");
    let args = ["run", "in", "-n", "2", "-m", "3", "-w", "1"];
    let ended = scratch.run(&args);
    assert_eq!(ended.code, 0);
    let found = format!("$ mapmill {}\n{}", args.join(" "), mask(&scratch.mask(&ended.stderr)));

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/report.txt");
    if std::env::var_os("REWRITE").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(found, expected, "if this is how it should read, run with REWRITE=1");
}

/// How a job ends that can be resumed.
const INTERRUPTED: &str = "interrupted; run the same command again to resume";

/// The JSON that a job prints: one line, and an object.
#[track_caller]
fn one_line(stdout: &str) -> Value {
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.ends_with('\n'), "{stdout}");
    serde_json::from_str(stdout).expect("JSON")
}

/// The report without what differs in each run: the port, seconds and rates.
fn mask(report: &str) -> String {
    let mut masked = String::new();
    for line in report.lines() {
        let line = mask_between(line, "127.0.0.1:", "", "PORT");
        let line = mask_between(&line, " in ", " s (", "SECONDS");
        masked.push_str(&mask_between(&line, "(", "/s)", "RATE"));
        masked.push('\n');
    }
    masked
}

fn mask_between(line: &str, before: &str, after: &str, mask: &str) -> String {
    let Some((head, rest)) = line.split_once(before) else { return line.to_owned() };
    let tail = if after.is_empty() { Some("") } else { rest.find(after).map(|at| &rest[at..]) };
    tail.map_or(line.to_owned(), |tail| format!("{head}{before}{mask}{tail}"))
}
