//! Names that would steer a terminal, begin a line, or reorder one, wherever names are printed.

use std::fs;

use serde_json::Value;

use super::scratch::{Ended, Scratch};

/// A name with an escape sequence, a line feed, and a right-to-left override.
const NAME: &str = "a\u{1b}[2J\nFORGED\u{202e}b\u{2066}\u{9b}";

#[track_caller]
fn check(what: &str, ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        for raw in ['\u{1b}', '\u{202e}', '\u{2066}', '\u{9b}', '\u{7f}'] {
            assert!(!text.contains(raw), "{what} prints {raw:?}: {text:?}");
        }
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{what}: {text}");
    }
}

#[test]
fn no_command_prints_a_name_that_steers_or_reorders() {
    let scratch = Scratch::new();
    scratch.write(format!("{NAME}/in/{NAME}"), "a b a\n");
    let files = format!("{NAME}/files");
    let input = format!("{NAME}/in");
    let run = |args: &[&str], code: i32| {
        let ended = scratch.run(args);
        check(&args.join(" "), &ended);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.stderr);
        ended
    };
    let job = ["run", &input, &input, "--files", &files, "-w", "1", "-vv"];
    run(&job, 0);
    let ended = run(&[&job[..7], &["--json"]].concat(), 0);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let named = report["files"].as_str().unwrap_or_default();
    assert!(named.ends_with(&files), "{named}");
    for args in [&["why", &files][..], &["why", &files, "m0"], &["verify", &files]] {
        assert!(run(args, 0).stdout.contains("\\u{202e}"), "{args:?}");
        if let [command, rest @ ..] = args {
            assert!(run(&[&[*command, "--json"], rest].concat(), 0).stdout.contains("FORGED"));
        }
    }
    run(&["top", &files], 0);
    run(&["status", &files], 1);
    run(&["verify", &input], 2);
    run(&["why", &input], 2);
    run(&["why", &files, NAME], 2);
    run(&["top", NAME], 2);
    run(&["worker", "--root", &format!("{NAME}/none")], 2);
    run(&["worker", "--tls", NAME], 2);
    run(&["worker", "--token-file", NAME], 2);
    run(&["driver", &format!("{NAME}/none"), "--listen", "127.0.0.1:0"], 2);
    run(&[NAME], 2);
    run(&["run", "--words", NAME], 2);

    let certs = format!("{NAME}/certs");
    run(&["certs", "init", &certs], 0);
    run(&["certs", "init", &certs], 2);
    run(&["certs", "issue", "worker", &certs, "--name", "w7"], 0);
    run(&["certs", "show", &certs], 0);
    run(&["certs", "show", "--json", &certs], 0);
    run(&["certs", "token", "--output", &format!("{certs}/token")], 0);
    run(&["certs", "token", "--output", &format!("{certs}/token")], 2);
    run(&["man", &format!("{NAME}/in/{NAME}")], 2);

    fs::write(scratch.path(format!("{files}/out/{NAME}")), "").expect("our own folder");
    run(&["verify", &files], 1);
    run(&["verify", "--json", &files], 1);
    run(&["top", &files], 0);
    run(&job, 2);
}

#[test]
fn neither_driver_nor_worker_prints_such_a_name() {
    let scratch = Scratch::new();
    scratch.write(format!("{NAME}/in/{NAME}"), "a b a\n");
    scratch.create(&format!("{NAME}/elsewhere"));
    let files = format!("{NAME}/files");
    let driver = scratch.driver(&[&format!("{NAME}/in"), "--files", &files, "-vv"]);
    let (driver, address) = scratch.start_driver(driver);
    let elsewhere = format!("{NAME}/elsewhere");
    let refused = scratch.run(&["worker", "--driver", &address, "--root", &elsewhere]);
    check("worker with another root", &refused);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    check("status", &scratch.run(&["status", &files]));
    let worker = scratch.run(&["worker", "-vv", "--driver", &address]);
    let driver = Ended::of(driver);
    check("worker", &worker);
    check("driver", &driver);
    assert_eq!((worker.code, driver.code), (0, 0), "{}", driver.stderr);
}

/// A job that fails: its report has lines of its own.
#[test]
fn failed_job_prints_no_such_name() {
    let scratch = Scratch::new();
    scratch.write(format!("{NAME}/in/{NAME}"), "a b a\n");
    let files = format!("{NAME}/files");
    let args = [&format!("{NAME}/in"), "--files", &files, "-n", "1", "--attempts", "1"];
    let (driver, address) = scratch.start_driver(scratch.driver(&args));
    scratch.write(format!("{NAME}/in/{NAME}"), "a b a and more\n");
    let worker = scratch.run(&["worker", "--driver", &address]);
    let driver = Ended::of(driver);
    check("worker", &worker);
    check("driver", &driver);
    assert_eq!(driver.code, 1, "{}", driver.stderr);
    assert!(driver.stderr.contains("\n  m0.a0 on w0 "), "{}", driver.stderr);
}
