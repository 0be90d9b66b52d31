//! Asking a running driver for its job's status.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::scratch::{Ended, Scratch};
use crate::util::process::poll;

#[test]
fn driver_reports_the_status_of_its_job() {
    let scratch = Scratch::new();
    let (driver, address) = scratch.start_driver(scratch.driver(&["in", "-n", "2", "-m", "1"]));

    let shown = scratch.run(&["status", "--driver", &address]).silent();
    let expected = "running\n  \
                    map       0 of 2 tasks done, 0 running; 0 B of 6 B read, 0 words\n  \
                    reduce    0 of 1 task done, 0 running\n  \
                    attempts  0 started, 0 failed, 0 lost\n  \
                    workers   0 workers\n";
    assert_eq!(shown, expected);

    let shown = scratch.run(&["status", "--json", "--driver", &address]).silent();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    let phase = |tasks: u32, bytes: u32| {
        json!({
            "tasks": tasks, "running": 0, "committed": 0,
            "bytes_total": bytes, "bytes_done": 0, "words": 0,
        })
    };
    let expected = json!({
        "state": "running",
        "map": phase(2, 6),
        "reduce": phase(1, 0),
        "workers": 0,
        "attempts": { "started": 0, "failed": 0, "lost": 0, "stale_reports": 0 },
        "violations": 0,
        "stranded": [],
    });
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
    drop(driver);
}

#[test]
fn silent_driver_is_distinguished_from_a_refusal() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["status", "--driver", "127.0.0.1:1"]);
    assert!(
        ended.stderr.starts_with("mapmill: no driver answers at 127.0.0.1:1 ("),
        "{}",
        ended.stderr
    );
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));

    // The system accepts connections for it, and no process answers.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let ended = scratch.run(&["status", "--driver", &address]);
    let expected = format!("mapmill: no driver answers at {address} (");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    assert_eq!(ended.code, 1);

    let mut driver = scratch.driver(&["in"]);
    driver.env("MAPMILL_TOKEN", "d".repeat(32));
    let (_driver, address) = scratch.start_driver(driver);
    for token in [None, Some("w".repeat(32))] {
        let mut look = scratch.command(&["status", "--driver", &address]);
        look.envs(token.map(|token| ("MAPMILL_TOKEN", token)));
        let ended = scratch.end(look);
        let expected = format!("mapmill: cannot ask the driver at {address}: ");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    }
    let mut look = scratch.command(&["status", "--driver", &address]);
    look.env("MAPMILL_TOKEN", "d".repeat(32));
    assert!(scratch.end(look).silent().starts_with("running\n"));
}

#[test]
fn driver_is_found_by_its_folder_while_it_runs() {
    let scratch = Scratch::new();
    let contact = scratch.path("files/.mapmill/driver.json");
    let refused = scratch.run(&["status", "127.0.0.1:50051"]);
    let sentence = "there is no folder 127.0.0.1:50051; name the folder given to --files, or an \
                    address with --driver";
    assert_eq!(refused.stderr, format!("mapmill: {sentence}\n"));
    assert_eq!(refused.code, 1);
    scratch.create("files");
    let refused = scratch.run(&["status", "files"]);
    let expected = "mapmill: no driver runs in files, which holds no job; name the folder given to \
                    --files\n";
    assert_eq!((refused.code, &refused.stderr[..]), (1, expected));

    let job = ["run", "in", "-n", "1", "-w", "1", "--throttle", "3"];
    let mut job = scratch.start(scratch.command(&job));
    job.wait_for("worker on this machine");
    let mode = fs::metadata(&contact).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = scratch.run(&["status", "files"]).silent();
    assert!(shown.starts_with("running\n"), "{shown}");
    // A flag of the user counts more than the file.
    let mut other = scratch.command(&["status", "files"]);
    other.env("MAPMILL_TOKEN", "w".repeat(32));
    assert_eq!(scratch.end(other).code, 2);
    assert_eq!(Ended::of(job).code, 0);
    assert!(!contact.exists() && !contact.with_extension("new").exists());

    // The command in the message works, also for this folder.
    fs::rename(scratch.path("files"), scratch.path("ft 2")).unwrap();
    let ended = scratch.run(&["status", "ft 2"]);
    let expected = "mapmill: no driver runs in 'ft 2'; see mapmill why 'ft 2'\n";
    assert_eq!((ended.code, &ended.stderr[..]), (1, expected));
}

#[test]
fn killed_driver_leaves_a_file_that_misleads_no_user() {
    let scratch = Scratch::new();
    let mut driver = scratch.driver(&["in"]);
    driver.env("MAPMILL_TOKEN", "d".repeat(32));
    let (mut driver, address) = scratch.start_driver(driver);
    assert!(scratch.run(&["status", "files"]).silent().starts_with("running\n"));
    driver.kill();
    let contact = scratch.path("files/.mapmill/driver.json");
    assert!(contact.exists());
    // Another program listens there, and must not get the token.
    let other = poll(|| TcpListener::bind(&address).ok(), || format!("{address} to be free"));
    other.set_nonblocking(true).unwrap();
    let ended = scratch.run(&["status", "files"]);
    let expected = format!(
        "mapmill: no driver answers at {address}; the job is not running; see mapmill why files\n"
    );
    assert_eq!((ended.code, ended.stderr), (1, expected));
    assert!(other.accept().is_err(), "it was called");
}

#[test]
fn folder_and_address_are_not_given_together() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["status", "files", "--driver", "127.0.0.1:1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("cannot be used with"), "{}", ended.stderr);
}
