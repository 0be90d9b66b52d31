//! Tokens, their files, and what is refused without encryption.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::scratch::Scratch;

/// A token of random digits.
const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn address_that_other_machines_can_reach_is_refused_with_the_commands_that_make_it_safe() {
    let scratch = Scratch::new();
    let here = rustix::system::uname();
    let here = here.nodename().to_string_lossy();
    let everywhere = ("certs init", here.as_ref());
    for (listen, (init, host)) in [
        ("0.0.0.0:50051", everywhere),
        ("[::]:50051", everywhere),
        ("192.0.2.1:50051", ("certs init --host 192.0.2.1", "192.0.2.1")),
        ("[2001:db8::1]:50051", ("certs init --host 2001:db8::1", "[2001:db8::1]")),
        ("[::ffff:192.0.2.1]:50051", ("certs init --host ::ffff:192.0.2.1", "[::ffff:192.0.2.1]")),
    ] {
        let lines = format!(
            "mapmill: {listen} can be reached from other machines, which could read everything and \
             take part; use TLS (--tls), or accept the risk with --insecure\n\
             mapmill: make keys:         mapmill {init}\n\
             mapmill: start the driver:  mapmill driver ... --listen {listen} --tls certs/driver\n\
             mapmill: start workers:     mapmill worker --driver {host}:50051 --tls certs/worker\n"
        );
        let plain = scratch.command(&["driver", "in", "--listen", listen]);
        let mut with_token = scratch.command(&["driver", "in", "--listen", listen]);
        with_token.env("MAPMILL_TOKEN", TOKEN);
        for command in [plain, with_token] {
            let ended = scratch.end(command);
            assert_eq!((ended.code, ended.stderr.as_str()), (2, lines.as_str()));
            assert!(!scratch.path("files").exists(), "something was done");
        }
    }
}

#[test]
fn loopback_address_needs_no_credentials() {
    let scratch = Scratch::new();
    for listen in ["127.0.0.1:0", "127.8.9.10:0", "localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0"]
    {
        if TcpListener::bind(listen).is_err() {
            // A machine without IPv6.
            continue;
        }
        let args = ["driver", "--fresh", "in", "--listen", listen];
        let (driver, _) = scratch.start_driver(scratch.command(&args));
        assert!(!driver.log().contains("warning"), "{listen}: {}", driver.log());
    }
}

#[test]
fn insecure_driver_warns_at_every_start() {
    let scratch = Scratch::new();
    for flag in ["-v", "--quiet", "--quiet"] {
        let args = ["driver", "in", "--insecure", "--listen", "0.0.0.0:0", flag];
        let mut driver = scratch.start(scratch.command(&args));
        let warning = driver.wait_for("mapmill: warning: 0.0.0.0:");
        assert!(
            warning.ends_with(
                " can be reached from other machines, and nothing is encrypted (--insecure)"
            ),
            "{warning}"
        );
    }
}

#[test]
fn invalid_token_is_refused_and_not_shown() {
    let scratch = Scratch::new();
    let long = "x".repeat(513);
    for (token, characters) in [("", 0), ("hunter2", 7), ("caf\u{e9}", 3), (&long, 513)] {
        let sentence = format!(
            "cannot use MAPMILL_TOKEN (create a token with: mapmill certs token): the token has \
             {characters} usable characters; it needs 32 to 512, printable and without spaces"
        );
        refused_everywhere(&scratch, &[], &[("MAPMILL_TOKEN", OsStr::new(token))], &sentence);
    }
    let bytes = OsStr::from_bytes(&[0xff; 40]);
    let sentence = "cannot use MAPMILL_TOKEN (create a token with: mapmill certs token)";
    refused_everywhere(&scratch, &[], &[("MAPMILL_TOKEN", bytes)], sentence);
}

#[test]
fn token_file_that_other_users_can_read_is_refused() {
    let scratch = Scratch::new();
    keep(&scratch, "token", TOKEN, 0o600);
    for mode in [0o604, 0o641, 0o644, 0o660, 0o602, 0o620, 0o610] {
        fs::set_permissions(scratch.path("token"), Permissions::from_mode(mode)).unwrap();
        let sentence = format!(
            "token file token is accessible to other users (mode {mode:04o}); restrict it with: \
             chmod 600 token (640 if root owns it)"
        );
        refused_everywhere(&scratch, &["--token-file", "token"], &[], &sentence);
    }
    // The file is checked, not the link to it.
    symlink("token", scratch.path("link")).unwrap();
    let sentence = "token file link is accessible to other users (mode 0610); restrict it with: \
                    chmod 600 link (640 if root owns it)";
    refused_everywhere(&scratch, &["--token-file", "link"], &[], sentence);
}

/// As Kubernetes mounts secrets.
#[test]
fn token_file_of_root_may_be_read_by_its_group() {
    let scratch = Scratch::new();
    keep(&scratch, "token", TOKEN, 0o600);
    for mode in [0o440, 0o640] {
        fs::set_permissions(scratch.path("token"), Permissions::from_mode(mode)).unwrap();
        // It cannot start only because nothing listens there.
        let args = ["status", "--driver", "127.0.0.1:1", "--token-file", "token"];
        let ended = scratch.run(&args);
        let code = if scratch.is_root() { 1 } else { 2 };
        assert_eq!(ended.code, code, "{mode:o}: {}", ended.stderr);
        // The same mode, of another owner.
        scratch.give(&scratch.path("token"));
        if scratch.is_root() {
            let ended = scratch.end(scratch.unprivileged(&args));
            assert!(ended.stderr.contains("(640 if root owns it)"), "{}", ended.stderr);
            std::os::unix::fs::chown(scratch.path("token"), Some(0), Some(0)).unwrap();
        }
    }
}

#[test]
fn token_file_without_a_token_is_refused() {
    let scratch = Scratch::new();
    fs::set_permissions(scratch.create("folder"), Permissions::from_mode(0o700)).unwrap();
    assert!(
        Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(scratch.path("pipe"))
            .status()
            .unwrap()
            .success()
    );
    keep(&scratch, "empty", "", 0o600);
    keep(&scratch, "blank", " \n\n", 0o400);
    keep(&scratch, "short", "hunter2\n", 0o600);
    keep(&scratch, "two", format!("{TOKEN}\n{TOKEN}\n"), 0o600);
    keep(&scratch, "long", "x".repeat(1025), 0o600);
    keep(&scratch, "bytes", [0xff; 64], 0o600);
    let recipe = "mapmill certs token --output FILE";
    let unusable = |file: &str, characters: usize| {
        format!(
            "cannot use token file {file} (create one with: {recipe}): the token has \
             {characters} usable characters; it needs 32 to 512, printable and without spaces"
        )
    };
    for (file, sentence) in [
        ("nope", "cannot read token file nope".to_owned()),
        ("folder", "token file folder is a folder; name a file that holds a token".to_owned()),
        ("pipe", "token file pipe is a pipe; name a file that holds a token".to_owned()),
        (
            "/dev/null",
            "token file /dev/null is a device or socket; name a file that holds a token".to_owned(),
        ),
        ("empty", format!("token file empty is empty (create one with: {recipe})")),
        ("blank", format!("token file blank is empty (create one with: {recipe})")),
        ("short", unusable("short", 7)),
        ("two", unusable("two", 128)),
        ("bytes", unusable("bytes", 0)),
        (
            "long",
            "token file long has more than 1024 bytes; name a file that holds only a token"
                .to_owned(),
        ),
    ] {
        refused_everywhere(&scratch, &["--token-file", file], &[], &sentence);
        let variable = [("MAPMILL_TOKEN_FILE", OsStr::new(file))];
        refused_everywhere(&scratch, &[], &variable, &sentence);
    }
}

/// The command that a driver prints works as it is.
#[test]
fn driver_with_a_token_names_its_file_in_the_command_for_workers() {
    let scratch = Scratch::new();
    keep(&scratch, "my token", TOKEN, 0o600);
    let flags = ["in", "-n", "1", "--token-file", "my token"];
    let (driver, address) = scratch.start_driver(scratch.driver(&flags));
    let command = format!("mapmill worker --driver {address} --token-file 'my token'\n");
    assert!(driver.log().contains(&command), "{}", driver.log());
    scratch.run(&["worker", "-q", "--driver", &address, "--token-file", "my token"]).silent();
}

#[test]
fn token_file_of_another_user_is_refused() {
    let scratch = Scratch::new();
    keep(&scratch, "root's", TOKEN, 0o600);
    let args = ["worker", "--token-file", "root's"];
    if scratch.is_root() {
        scratch.refuses(scratch.unprivileged(&args), "cannot read token file root's");
        keep(&scratch, "theirs", TOKEN, 0o600);
        scratch.give(&scratch.path("theirs"));
        let sentence = "token file theirs belongs to another user (uid 65534), who knows the \
                        token; use a file of your own";
        refused_everywhere(&scratch, &["--token-file", "theirs"], &[], sentence);
    }
}

#[test]
fn token_from_files_and_from_the_environment_is_the_same() {
    let scratch = Scratch::new();
    keep(&scratch, "token", format!("{TOKEN}\n"), 0o600);
    keep(&scratch, "read-only", TOKEN, 0o400);
    symlink("token", scratch.path("link")).unwrap();
    let named = |file| scratch.driver(&["--fresh", "in", "--token-file", file]);
    let in_the_environment = |variable: &str, value: &str| {
        let mut driver = scratch.driver(&["--fresh", "in"]);
        driver.env(variable, value);
        driver
    };
    for driver in [
        named("token"),
        named("read-only"),
        named("link"),
        in_the_environment("MAPMILL_TOKEN", TOKEN),
        in_the_environment("MAPMILL_TOKEN_FILE", "token"),
    ] {
        let (mut driver, address) = scratch.start_driver(driver);
        let mut worker = scratch.command(&["worker", "--quiet", "--driver", &address]);
        // Flags take precedence over the environment.
        worker.args(["--token-file", "link"]).env("MAPMILL_TOKEN_FILE", "nope");
        scratch.end(worker).silent();
        assert_eq!(driver.code(), 0);
    }
}

#[test]
fn worker_with_another_token_is_refused() {
    let scratch = Scratch::new();
    let mut command = scratch.driver(&["in"]);
    command.env("MAPMILL_TOKEN", "d".repeat(32));
    let (_driver, address) = scratch.start_driver(command);

    for (token, way_out) in [
        (
            None,
            "present a certificate (--tls), or the token that the driver was started with \
             (--token-file, MAPMILL_TOKEN)",
        ),
        (
            Some("w".repeat(32)),
            "present the token that the driver was started with, or a certificate (--tls)",
        ),
    ] {
        let mut worker = scratch.command(&["worker", "--driver", &address]);
        worker.envs(token.map(|token| ("MAPMILL_TOKEN", token)));
        let ended = scratch.end(worker);
        let said: Vec<_> = ended.stderr.lines().collect();
        let [refusal, advice] = said[..] else { panic!("{said:?}") };
        let expected = format!("mapmill: cannot work for the driver at {address}: ");
        assert!(refusal.starts_with(&expected) && refusal.contains("token"), "{refusal}");
        assert_eq!(advice, format!("mapmill: {way_out}"));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    }
}

#[test]
fn token_is_sent_unencrypted_on_loopback_only() {
    let scratch = Scratch::new();
    let token = |command: &mut Command| {
        command.env("MAPMILL_TOKEN", TOKEN);
    };
    for command in ["worker", "status"] {
        for driver in ["192.0.2.1:1", "[2001:db8::1]:1", "0.0.0.0:1", "[::ffff:192.0.2.1]:1"] {
            let sentence = format!(
                "the token would be sent to {driver} unencrypted; use TLS \
                 (--tls), or accept the risk with --insecure"
            );
            let mut refused = scratch.command(&[command, "--driver", driver]);
            token(&mut refused);
            scratch.refuses(refused, &sentence);
        }
        // Without a token there is no secret.
        for (driver, flag) in [("127.0.0.1:1", None), ("0.0.0.0:1", Some("--insecure"))] {
            let mut calls = scratch.command(&[command, "--driver", driver]);
            token(calls.args(flag));
            let mut calls = scratch.start(calls);
            calls.wait_for(if command == "worker" { "waiting for a driver" } else { "no driver" });
        }
    }
}

#[test]
fn same_setting_in_two_ways_is_refused() {
    let scratch = Scratch::new();
    keep(&scratch, "token", TOKEN, 0o600);
    let token = [("MAPMILL_TOKEN", OsStr::new(TOKEN))];
    let both = "MAPMILL_TOKEN and MAPMILL_TOKEN_FILE cannot be used together; remove one of them";
    let both_typed = "MAPMILL_TOKEN and --token-file cannot be used together; remove one of them";
    refused_everywhere(&scratch, &["--token-file", "token"], &token, both_typed);
    let variables = [token[0], ("MAPMILL_TOKEN_FILE", OsStr::new("token"))];
    refused_everywhere(&scratch, &[], &variables, both);

    let folder = ("MAPMILL_TLS", OsStr::new("a"));
    for other in ["MAPMILL_TLS_CERT", "MAPMILL_TLS_KEY", "MAPMILL_TLS_CA"] {
        let sentence =
            format!("MAPMILL_TLS and {other} cannot be used together; remove one of them");
        let variables = [folder, (other, OsStr::new("b"))];
        refused_everywhere(&scratch, &[], &variables, &sentence);
    }
    for (flag, value) in [("--tls-cert", "<FILE>"), ("--tls-key", "<FILE>"), ("--tls-ca", "<FILE>")]
    {
        let sentence = format!(
            "the argument '--tls <DIR>' cannot be used with '{flag} {value}' (see <command> --help)"
        );
        refused_everywhere(&scratch, &["--tls", "a", flag, "b"], &[], &sentence);
    }
}

#[test]
fn half_a_setting_is_refused() {
    let scratch = Scratch::new();
    let names = ["MAPMILL_TLS", "MAPMILL_TLS_CERT", "MAPMILL_TLS_KEY", "MAPMILL_TLS_CA"];
    for variable in names.into_iter().chain(["MAPMILL_TOKEN_FILE"]) {
        let sentence =
            format!("{variable} is empty; set it to a path, or remove it with: unset {variable}");
        refused_everywhere(&scratch, &[], &[(variable, OsStr::new(""))], &sentence);
    }
    let rest = "--tls-cert, --tls-key and --tls-ca must be used together (or use --tls with a \
                folder that holds all three)";
    let file = |variable| (variable, OsStr::new("b"));
    for (flags, variables, missing) in [
        (&["--tls-cert", "a"][..], &[][..], "--tls-key"),
        (&["--tls-key", "a", "--tls-ca", "b"], &[], "--tls-cert"),
        (&["--tls-cert", "a"], &[file("MAPMILL_TLS_KEY")], "--tls-ca"),
        // Flags take precedence over a folder in the environment.
        (&["--tls-cert", "a"], &[file("MAPMILL_TLS")], "--tls-key"),
        (&[], &[file("MAPMILL_TLS_CA")], "--tls-cert"),
    ] {
        let sentence = format!("{missing} is missing: {rest}");
        refused_everywhere(&scratch, flags, variables, &sentence);
    }
}

#[test]
fn insecure_together_with_tls_is_refused() {
    let scratch = Scratch::new();
    let sentence = "--insecure means no TLS, but TLS is configured; leave out --insecure";
    refused_everywhere(&scratch, &["--insecure", "--tls", "certs/driver"], &[], sentence);
    let variable = [("MAPMILL_TLS", OsStr::new("certs/driver"))];
    refused_everywhere(&scratch, &["--insecure"], &variable, sentence);
}

/// Its workers are its own processes, and the environment's settings are for other drivers.
#[test]
fn run_ignores_network_settings_of_the_environment() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["run", "--quiet", "in"]);
    command.env("MAPMILL_TOKEN", "hunter2").env("MAPMILL_TOKEN_FILE", "nope");
    for variable in ["MAPMILL_TLS", "MAPMILL_TLS_CERT", "MAPMILL_TLS_KEY", "MAPMILL_TLS_CA"] {
        command.env(variable, "nope");
    }
    scratch.end(command).silent();
}

/// Refused to a driver, a worker and a viewer, before anything is done.
#[track_caller]
fn refused_everywhere(
    scratch: &Scratch,
    flags: &[&str],
    variables: &[(&str, &OsStr)],
    sentence: &str,
) {
    for args in [&["driver", "in"][..], &["worker"], &["status"]] {
        let mut command = scratch.command(&[args, flags].concat());
        command.envs(variables.iter().copied());
        scratch.refuses(command, sentence);
    }
}

fn keep(scratch: &Scratch, name: &str, text: impl AsRef<[u8]>, mode: u32) {
    scratch.write(name, text);
    let mode = Permissions::from_mode(mode);
    fs::set_permissions(scratch.path(name), mode).expect("the test's own folder can be used");
}
