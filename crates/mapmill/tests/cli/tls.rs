//! Certificates through the whole program: admission, and what is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::scratch::Scratch;
use crate::util::process::Process;

#[test]
fn command_with_the_certificate_of_another_role_is_told_which_to_use() {
    let scratch = with_certificates();
    let look = ["status", "--driver", "127.0.0.1:1", "--tls", "certs/worker"];
    let refused = scratch.run(&look);
    let found =
        "mapmill: certs/worker/cert.pem has role worker (name worker); role viewer is needed";
    let expected = format!("{found}; use --tls certs/viewer\n");
    assert_eq!((refused.code, refused.stderr), (2, expected));

    fs::rename(scratch.path("certs/viewer"), scratch.path("elsewhere")).unwrap();
    let refused = scratch.run(&look);
    let expected = format!("{found}; issue one: mapmill certs issue viewer --name NAME\n");
    assert_eq!((refused.code, refused.stderr), (2, expected));
}

#[test]
fn job_with_certificates_gives_the_same_results_and_names_its_workers() {
    let scratch = with_certificates();
    let (mut driver, address) = start_driver(&scratch, &["-v", "--tls", "certs/driver"]);
    let singly = [
        "--tls-cert",
        "certs/worker/cert.pem",
        "--tls-key",
        "certs/worker/key.pem",
        "--tls-ca",
        "certs/worker/ca.pem",
    ];
    let worker = ["worker", "--driver", &address, "--throttle", "2"];
    let named = scratch.start(scratch.command(&[&worker[..], &singly].concat()));
    let mut by_variable = scratch.command(&worker);
    by_variable.env("MAPMILL_TLS", "certs/worker");
    let by_variable = scratch.start(by_variable);

    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    for worker in [&named, &by_variable] {
        driver.wait_for(&format!("worker:{host}:{}", worker.pid()));
    }
    let look = ["status", "--json", "--driver", &address, "--tls", "certs/viewer"];
    assert!(scratch.run(&look).silent().contains(r#""workers":2"#));
    // Flags take precedence over the environment.
    let mut look = scratch.command(&look);
    look.env("MAPMILL_TLS", "nope").env("MAPMILL_TLS_CA", "nope");
    scratch.end(look).silent();
    for mut process in [named, by_variable, driver] {
        assert_eq!(process.code(), 0, "{}", process.log());
    }
    assert_eq!(fs::read_to_string(scratch.path("files/out/out-1")).unwrap(), "a 2\n");
}

#[test]
fn driver_with_certificates_may_listen_on_a_network_and_says_how_to_join() {
    let scratch = with_certificates();
    for listen in ["0.0.0.0:0", "127.0.0.1:0"] {
        let args = ["driver", "in", "--fresh", "--listen", listen, "--tls", "certs/driver"];
        let mut driver = scratch.start(scratch.command(&args));
        let line = driver.wait_for("start one with: ");
        let host = rustix::system::uname();
        let host = match listen {
            "127.0.0.1:0" => "127.0.0.1".into(),
            _ => host.nodename().to_string_lossy(),
        };
        assert!(line.contains(&format!("mapmill worker --driver {host}:")), "{line}");
        assert!(line.ends_with(" --tls certs/worker"), "{line}");
        assert!(!driver.log().contains("warning"), "{}", driver.log());
    }
    // With only the driver's folder copied, the worker's is not known.
    fs::rename(scratch.path("certs/driver"), scratch.path("mine")).unwrap();
    let (_driver, _) = start_driver(&scratch, &["--fresh", "--tls", "mine"]);
}

#[test]
fn certificates_of_other_roles_are_refused_before_anything_is_done() {
    let scratch = with_certificates();
    for (args, mistaken) in [
        (&["driver", "in", "--tls", "certs/worker"][..], "certs/worker/cert.pem"),
        (&["worker", "--tls", "certs/driver"], "certs/driver/cert.pem"),
        (&["worker", "--tls", "certs/viewer"], "certs/viewer/cert.pem"),
        (&["status", "--tls", "certs/worker"], "certs/worker/cert.pem"),
        (&["driver", "in", "--tls", "certs/authority"], "certs/authority/ca.pem"),
        (&["driver", "in", "--tls", "nowhere"], "nowhere/"),
    ] {
        let before = fs::read_dir(scratch.path("")).unwrap().count();
        let ended = scratch.run(args);
        assert!(ended.stderr.contains(mistaken), "{args:?}: {}", ended.stderr);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert_eq!(fs::read_dir(scratch.path("")).unwrap().count(), before, "{args:?}");
    }
    let key = scratch.path("certs/worker/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = scratch.run(&["worker", "--tls", "certs/worker"]);
    assert!(ended.stderr.contains("chmod 600 certs/worker/key.pem"), "{}", ended.stderr);
    assert_eq!(ended.code, 2);
}

#[test]
fn refused_caller_is_told_the_way_out() {
    let scratch = with_certificates();
    scratch.run(&["certs", "init", "other"]);
    let (mut driver, address) = start_driver(&scratch, &["--tls", "certs/driver"]);
    let certificates = "mapmill: inspect the certificates with mapmill certs show, or issue one: \
                        mapmill certs issue worker --name NAME";
    let nothing = "mapmill: pass --tls DIR, with a certificate of this process";
    for (flags, way_out) in [(&["--tls", "other/worker"][..], certificates), (&[], nothing)] {
        let ended = scratch.run(&[&["worker", "--driver", &address], flags].concat());
        let expected = format!("mapmill: cannot work for the driver at {address}: ");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().last(), Some(way_out));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 2), "{}", ended.stderr);
    }
    let mut token: Command = scratch.command(&["worker", "--driver", &address]);
    token.env("MAPMILL_TOKEN", "t".repeat(32));
    assert_eq!(scratch.end(token).code, 2);
    driver.wait_for("warning: refused");
}

/// A folder with the input, and `certs` as `mapmill certs init` makes them.
fn with_certificates() -> Scratch {
    let scratch = Scratch::new();
    let made = scratch.run(&["certs", "init"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    scratch
}

/// A driver that waits for workers, and its address.
#[track_caller]
fn start_driver(scratch: &Scratch, flags: &[&str]) -> (Process, String) {
    let mut driver = scratch.start(scratch.driver(&[&["in"], flags].concat()));
    let address = driver.wait_until("its address", |log| {
        let (_, rest) = log.split_once("waiting for workers on ")?;
        Some(rest.split_once(';')?.0.to_owned())
    });
    (driver, address)
}
