//! Asking a running driver for its job's status.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::scratch::Scratch;

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
        let expected = format!("mapmill: the driver at {address} refused to answer: ");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    }
    let mut look = scratch.command(&["status", "--driver", &address]);
    look.env("MAPMILL_TOKEN", "d".repeat(32));
    assert!(scratch.end(look).silent().starts_with("running\n"));
}
