//! Addresses and roots that are refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::scratch::{Ended, Scratch};

#[test]
fn address_in_use_is_refused_with_the_likely_cause() {
    let scratch = Scratch::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let sentence = format!(
        "cannot listen on {address}<cause>; another driver or program listens there: stop it, or \
         choose another port with --listen"
    );
    scratch.refuses(scratch.command(&["driver", "in", "--listen", &address]), &sentence);
}

#[test]
fn address_that_this_machine_does_not_have_is_refused() {
    let scratch = Scratch::new();
    // From a block that is reserved for documentation: no machine has it.
    let args = ["driver", "in", "--insecure", "--listen", "192.0.2.1:50051"];
    let sentence = "cannot listen on 192.0.2.1:50051<cause>; this machine does not have that \
                    address: choose one of its own with --listen";
    scratch.refuses(scratch.command(&args), sentence);
}

/// A resolver may give a worker either address of `localhost`.
#[test]
#[expect(clippy::print_stderr, reason = "what is not tested here should be said")]
fn driver_listens_at_every_address_of_a_name() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["driver", "in", "--listen", "localhost:0"]);
    command.args(["--worker-wait", "60"]);
    let (mut driver, called) = scratch.start_driver(command);
    let port = called.strip_prefix("localhost:").expect("the host is the one that was typed");
    let line = driver.wait_for("waiting for workers on ");
    let found: Vec<SocketAddr> = called.to_socket_addrs().expect("it is in /etc/hosts").collect();

    let addresses = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    for address in addresses {
        let parsed: SocketAddr = address.parse().expect("an address with a port");
        if !found.contains(&parsed) {
            eprintln!("{address} is skipped: `localhost` is not that address here");
        } else if TcpListener::bind((parsed.ip(), 0)).is_err() {
            eprintln!("{address} is skipped: this machine does not have it");
        } else {
            let shown = scratch.run(&["status", "--driver", &address]).silent();
            assert!(shown.starts_with("running"), "{shown}");
            assert!(line.contains(&address), "{line}");
        }
    }
}

#[test]
fn port_that_needs_privileges_is_refused() {
    let scratch = Scratch::new();
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|port| port.trim().parse::<u16>().is_ok_and(|port| port <= 1)) {
        // Containers allow every port to all users.
        return;
    }
    let sentence = "cannot listen on 127.0.0.1:1<cause>; ports below 1024 need privileges: choose a \
                    higher one with --listen";
    let args = ["driver", "in", "--listen", "127.0.0.1:1"];
    scratch.refuses(scratch.unprivileged(&args), sentence);
}

#[test]
fn address_that_does_not_resolve_is_refused() {
    let scratch = Scratch::new();
    // No name has a part of more than 63 letters, so no resolver has to be asked.
    let address = format!("{}.invalid:50051", "h".repeat(64));
    let sentence = format!(
        "`{address}` does not resolve to an address<cause>; check the name, or use an IP address, \
         such as 127.0.0.1:50051"
    );
    scratch.refuses(scratch.command(&["driver", "in", "--listen", &address]), &sentence);
}

#[test]
fn malformed_address_is_refused_with_an_example() {
    let scratch = Scratch::new();
    for value in ["here", "127.0.0.1", "127.0.0.1:", ":50051", "host:99999", "http://host:1"] {
        for (command, flag) in [("driver", "--listen"), ("worker", "--driver")] {
            let sentence = format!(
                "invalid value '{value}' for '{flag} <ADDR>': expected HOST:PORT, such as \
                 127.0.0.1:50051 (see <command> --help)"
            );
            scratch.refuses(scratch.command(&[command, flag, value]), &sentence);
        }
    }
}

/// A batch system may start a worker after the job is over: it must not wait for ever.
#[test]
fn worker_waits_for_its_first_driver_as_long_as_it_is_told() {
    let scratch = Scratch::new();
    // No program of ours or of the system listens there.
    let address = "127.0.0.1:1";
    let began = Instant::now();

    let ended = scratch.run(&["worker", "--driver", address, "--wait", "3"]);

    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    let lines: Vec<_> = ended.stderr.lines().collect();
    let [waiting, giving_up] = lines[..] else { panic!("{}", ended.stderr) };
    let expected = format!(
        "mapmill: waiting for a driver at {address} (connection refused); start one with: "
    );
    assert!(waiting.starts_with(&expected), "{waiting}");
    let expected = format!(
        "mapmill: no driver has answered at {address} for 3 s; giving up; the job may be over \
         (--wait sets how long the worker waits)"
    );
    assert_eq!(giving_up, expected);

    let quiet = scratch.run(&["worker", "--driver", address, "--wait", "2.5", "-q"]);
    assert_eq!((quiet.code, quiet.stderr), (1, format!("{}\n", expected.replace("3 s", "2.5 s"))));
}

/// The addresses are those of a driver and of its standby: one of them has a driver.
#[test]
fn worker_and_status_find_the_driver_at_one_of_several_addresses() {
    let scratch = Scratch::new();
    // No program listens at ports 1 and 2.
    let nowhere = ["--driver", "127.0.0.1:1", "--driver", "127.0.0.1:2"];
    let both = "127.0.0.1:1 or 127.0.0.1:2";
    let lost = scratch.run(&[&["worker", "--wait", "3"], &nowhere[..]].concat());
    assert!(lost.stderr.contains(&format!("waiting for a driver at {both} (")), "{}", lost.stderr);
    let expected = format!("no driver has answered at {both} for 3 s; giving up");
    assert!(lost.stderr.contains(&expected), "{}", lost.stderr);
    let lost = scratch.run(&[&["status"], &nowhere[..]].concat());
    let expected = format!("mapmill: no driver answers at {both} (");
    assert!(lost.stderr.starts_with(&expected), "{}", lost.stderr);

    let (driver, address) = scratch.start_driver(scratch.driver(&["in"]));
    let all = [&nowhere[..], &["--driver", &address]].concat();
    let shown = scratch.run(&[&["status"], &all[..]].concat()).silent();
    assert!(shown.starts_with("running"), "{shown}");
    let worker = scratch.run(&[&["worker"], &all[..]].concat());
    assert_eq!(worker.code, 0, "{}", worker.stderr);
    let expected = format!("registered with the driver at {address} as w0");
    assert!(worker.stderr.contains(&expected), "{}", worker.stderr);
    assert_eq!(Ended::of(driver).code, 0);
}

/// A token is as readable on the way to a standby.
#[test]
fn token_is_not_sent_unencrypted_to_the_second_address_either() {
    let scratch = Scratch::new();
    for command in ["worker", "status"] {
        let addresses = ["--driver", "127.0.0.1:1", "--driver", "192.0.2.1:1"];
        let mut refused = scratch.command(&[&[command], &addresses[..]].concat());
        refused.env("MAPMILL_TOKEN", "0123456789abcdef".repeat(4));
        scratch.refuses(
            refused,
            "the token would be sent to 192.0.2.1:1 unencrypted; use TLS (--tls), or accept the \
             risk with --insecure",
        );
    }
}

/// It waits, for a driver may be started there later. The cases wait side by side.
#[test]
fn worker_and_status_say_what_answers_in_the_place_of_a_driver() {
    const HTTP_1: (&[u8], &str) = (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP/1");
    const SILENT: (&[u8], &str) = (b"", "it accepts connections and does not answer");
    thread::scope(|scope| {
        for (answer, seen) in [HTTP_1, SILENT] {
            for speaks_tls in [false, true] {
                scope.spawn(move || check_other_server(answer, seen, speaks_tls));
            }
        }
    });
}

fn check_other_server(answer: &'static [u8], seen: &str, speaks_tls: bool) {
    let scratch = Scratch::new();
    let made = scratch.run(&["certs", "init"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let flags = |folder| if speaks_tls { vec!["--tls", folder] } else { Vec::new() };
    let address = serve(answer);

    let args = ["worker", "--driver", &address, "--wait", "9"];
    let mut worker = scratch.start(scratch.command(&[&args[..], &flags("certs/worker")].concat()));
    let line = worker.wait_for(&format!("at {address}: {seen}; waiting for a driver"));
    assert!(line.starts_with("mapmill: something other than a Mapmill driver"), "{line}");

    let args = ["status", "--driver", &address];
    let status = scratch.run(&[&args[..], &flags("certs/viewer")].concat());
    let expected = format!("mapmill: no driver answers at {address} (something other than");
    assert!(status.stderr.starts_with(&expected), "{}", status.stderr);
    assert!(status.stderr.ends_with(&format!("there: {seen})\n")), "{}", status.stderr);
    assert_eq!(status.code, 1);

    assert_eq!(worker.code(), 1, "{}", worker.log());
    assert_eq!(worker.log().lines().count(), 2, "{}", worker.log());
}

/// A server that sends `answer` to what it is sent, and its address.
fn serve(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connections can be accepted");
            thread::spawn(move || {
                let mut bytes = [0; 1 << 10];
                // Each time, as long as the caller listens.
                while stream.read(&mut bytes).is_ok_and(|count| count > 0)
                    && stream.write_all(answer).is_ok()
                {}
            });
        }
    });
    address
}

#[test]
fn root_that_is_not_a_folder_is_refused() {
    let scratch = Scratch::new();
    for root in ["nope", "in/a.txt"] {
        let sentence =
            format!("cannot use {root} as a root<cause>; --root needs a folder that exists");
        scratch.refuses(scratch.command(&["worker", "--root", "in", "--root", root]), &sentence);
    }
}

#[test]
fn worker_whose_roots_do_not_hold_the_job_is_told_all_missing_roots_at_once() {
    let scratch = Scratch::new();
    scratch.create("elsewhere");
    let (driver, address) = scratch.start_driver(scratch.driver(&["in"]));

    let check = |roots: &[&str], missing: &str, shown: &str| {
        let verb = if missing.contains(" and ") { "are" } else { "is" };
        let sentence = format!(
            "the job uses {missing}, which {verb} in none of this worker's roots ({shown}); start \
             the worker with --root {} --root {}",
            shown.replace(", ", " --root "),
            missing.replace(" and ", " --root ")
        );
        let args = [&["worker", "--driver", &address], roots].concat();
        scratch.refuses(scratch.command(&args), &sentence);
    };
    check(&["--root", "elsewhere"], "<scratch>/files and <scratch>/in", "<scratch>/elsewhere");
    check(
        &["--root", "elsewhere", "--root", "files"],
        "<scratch>/in",
        "<scratch>/elsewhere, <scratch>/files",
    );
    assert!(driver.log().contains("refused a worker without this root"), "{}", driver.log());
}

/// The user has not interrupted the job.
#[test]
fn job_that_ends_for_lack_of_workers_says_so_then_and_later() {
    let scratch = Scratch::new();

    let ended = scratch.end(scratch.driver(&["in", "--worker-wait", "0.3"]));

    let last = ended.stderr.lines().next_back().unwrap_or_default();
    let (before, seconds) = last.split_once("no worker was connected for ").expect("the reason");
    assert_eq!((ended.code, before), (1, "mapmill: "), "{last}");
    let (seconds, way_out) = seconds.split_once(" s: ").expect("seconds");
    assert!(seconds.parse::<f64>().is_ok_and(|seconds| seconds >= 0.3), "{last}");
    let expected = "the job stops; run the same command again to resume (--worker-wait sets the \
                    limit)";
    assert_eq!(way_out, expected);
    let why = scratch.run(&["why", "files"]).silent();
    let state =
        "the job in files stopped for lack of workers; run the same command again to resume\n";
    assert!(why.starts_with(state), "{why}");
    assert!(why.contains(", stopped for lack of workers before the first attempt\n"), "{why}");
    let why = scratch.run(&["why", "files", "--json"]).silent();
    assert!(why.contains(r#""state":"no_workers""#), "{why}");
    // It can be resumed.
    let resumed = scratch.run(&["run", "-q", "in"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
}
