//! Secrets are not shown: not in anything that is printed, logged or kept, and not as an argument.
//!
//! A canary for a token, and private keys whose numbers are known. All libraries log at their
//! finest level, some calls are made to fail, and then everything that could be seen is searched
//! for the secrets, for every eighth part of them, and for the usual ways to print bytes.

mod util;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Pid;
use util::job::TestJob;
use util::process::{Process, poll};

/// No part of it occurs by chance: checksums and ids are hexadecimal.
const TOKEN: &str = "tweet-Zq7xKw3vJh9pRm2sYb5nGd8cLt4z.Canary";

/// A guessed token.
const WRONG: &str = "Guessed~Vx6uQo1iWe3rPa7sNf9gHj2kMz5y-Finch";

/// Not a token: it has blanks in it.
const MALFORMED: &str = "Magpie Xk4vTu8b Ir2nOy6m Lw5qZe1h~Rook.Jackdaw";

/// What other users or readers of logs can see.
struct Shown(Vec<(String, Vec<u8>)>);

impl Shown {
    fn add(&mut self, place: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.push((place.into(), text.into()));
    }

    /// What all users of the machine see of a process.
    fn arguments(&mut self, process: &mut Process) {
        let pid = process.pid();
        // Nothing before it has them, and when it has ended.
        let arguments = poll(
            || {
                let ended = process.ended().is_some();
                let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                (ended || !arguments.is_empty()).then_some(arguments)
            },
            || format!("the arguments of {pid}"),
        );
        self.add(format!("the arguments of {pid}"), arguments);
    }

    /// Every file in `folder`, but for those that are to hold a secret.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("our own folder can be read") {
            let path = entry.expect("our own folder can be read").path();
            if path.is_dir() {
                self.files(&path);
            } else if path.file_name().is_some_and(|name| name != "key.pem")
                && !path.parent().is_some_and(|folder| folder.ends_with(SECRETS))
            {
                self.add(path.display().to_string(), fs::read(&path).expect("it is ours"));
            }
        }
    }

    /// The places that show a part of `secret`, and which part, in what form.
    fn leaks(&self, secret: &[u8]) -> Vec<String> {
        self.places_of(&forms(secret))
    }

    /// The places with one of `forms`, and with which. All have eight bytes at least.
    fn places_of(&self, forms: &[Vec<u8>]) -> Vec<String> {
        let mut by_head = HashMap::<&[u8], Vec<&[u8]>>::new();
        for form in forms {
            by_head.entry(&form[..8]).or_default().push(form);
        }
        let mut places = Vec::new();
        for (place, text) in &self.0 {
            let found = text.windows(8).enumerate().find_map(|(at, head)| {
                by_head.get(head)?.iter().find(|form| text[at..].starts_with(form))
            });
            places.extend(found.map(|form| format!("{place}: {}", form.escape_ascii())));
        }
        places
    }

    #[track_caller]
    fn hold_nothing_of(&self, secrets: &[(&str, &[u8])]) {
        for (name, secret) in secrets {
            assert_eq!(self.leaks(secret), [""; 0], "something shows {name}");
        }
    }

    /// Checks that the libraries did log.
    #[track_caller]
    fn assert_said(&self, text: &str) {
        let said = |(_, shown): &(String, Vec<u8>)| String::from_utf8_lossy(shown).contains(text);
        assert!(self.0.iter().any(said), "no one logged `{text}`");
    }
}

/// Every part of eight bytes, as it is, in hexadecimal, in base64 and as a list of numbers.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let digits = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    let numbers = |part: &[u8]| part.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut forms = Vec::new();
    for part in secret.windows(8) {
        forms.push(part.to_vec());
        for joint in ["", " ", ":", ", "] {
            forms.push(digits(part).join(joint).into_bytes());
            forms.push(digits(part).join(joint).to_uppercase().into_bytes());
        }
        forms.push(numbers(part).join(", ").into_bytes());
    }
    // Wherever they begin, some nine of them are twelve digits of their own.
    for part in secret.windows(9) {
        forms.push(base64(part).into_bytes());
    }
    forms
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Of three, six, nine ... bytes.
fn base64(bytes: &[u8]) -> String {
    let digits = |three: &[u8]| {
        let number = three.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[number >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(digits).collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|&digit| digit == byte));
    let bits: Vec<_> =
        digits.flat_map(|digit| (0..6).rev().map(move |at| digit >> at & 1)).collect();
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, &bit| byte << 1 | bit as u8);
    bits.chunks_exact(8).map(byte).collect()
}

/// The number that makes a key private: in PKCS#8 over P-256 it comes behind a head of 36 bytes.
fn private_number(key: &Path) -> Vec<u8> {
    let text = fs::read_to_string(key).expect("mapmill certs has made it");
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = from_base64(&body);
    assert_eq!(der[31..36], [2, 1, 1, 4, 32], "a key of P-256");
    der[36..68].to_vec()
}

/// Where the tests keep the secrets.
const SECRETS: &str = "secrets";

/// In it every process logs as much as it can.
fn job() -> TestJob {
    let job = TestJob::new().input("a b a\n").variable("RUST_LOG", "trace");
    job.file(Path::new(SECRETS).join("token"), format!("{TOKEN}\n"))
        .file(Path::new(SECRETS).join("wrong"), WRONG)
        .file(Path::new(SECRETS).join("malformed"), MALFORMED)
        .file(Path::new(SECRETS).join("open"), TOKEN)
}

/// Only this user may read the files in `SECRETS`, except for one.
fn close(job: &TestJob) {
    for (name, mode) in [("token", 0o600), ("wrong", 0o600), ("malformed", 0o600), ("open", 0o644)]
    {
        let path = job.path(SECRETS).join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
}

/// A driver that waits, and its address.
#[track_caller]
fn start_driver(job: &TestJob, flags: &[&str], variables: &[(&str, &str)]) -> (Process, String) {
    let flags = [&["-vv", "--listen", "127.0.0.1:0", "-n", "2", "-m", "2"], flags].concat();
    let mut command = job.command("driver");
    command.args(flags).envs(variables.iter().copied());
    let mut driver = job.start("driver", command);
    let address = driver.wait_until("its address", |log| {
        let (_, rest) = log.split_once("waiting for workers on ")?;
        Some(rest.split_once(';')?.0.to_owned())
    });
    (driver, address)
}

/// Runs `mapmill ARGUMENTS` to its end, notes its arguments, and returns its exit code.
#[track_caller]
fn run(job: &TestJob, shown: &mut Shown, arguments: &[&str], variables: &[(&str, &str)]) -> i32 {
    let mut command = job.command(arguments[0]);
    command.args(&arguments[1..]).envs(variables.iter().copied());
    let name = format!("process-{}", shown.0.len());
    let mut process = job.start(&name, command);
    shown.arguments(&mut process);
    process.code()
}

/// Viewers of a job, and viewers that are refused.
#[track_caller]
fn look(job: &TestJob, shown: &mut Shown, address: &str, rest: &[&str]) {
    let status = [&["status", "--driver", address], rest, &["--token-file"]].concat();
    let mut ask = |flags: &[&str]| run(job, shown, &[&status, flags].concat(), &[]);
    assert_eq!(ask(&["secrets/token"]), 0);
    assert_eq!(ask(&["secrets/token", "--json"]), 0);
    assert_eq!(ask(&["secrets/wrong"]), 2);
}

/// Workers that are refused, for their credentials or before they present them.
#[track_caller]
fn refuse(job: &TestJob, shown: &mut Shown, address: &str, rest: &[&str]) {
    let worker = [&["worker", "-vv", "--driver", address], rest].concat();
    for (flags, variables) in [
        (&["--token-file", "secrets/wrong"][..], &[][..]),
        (&["--token-file", "secrets/malformed"], &[]),
        (&["--token-file", "secrets/open"], &[]),
        (&["--token-file", "secrets/token"], &[("MAPMILL_TOKEN", TOKEN)]),
        (&[], &[("MAPMILL_TOKEN", WRONG)]),
        (&[], &[("MAPMILL_TOKEN", MALFORMED)]),
    ] {
        assert_eq!(run(job, shown, &[&worker[..], flags].concat(), variables), 2, "{flags:?}");
    }
}

/// The job comes to its end; the first worker's text thread panics once.
#[track_caller]
fn work(job: &TestJob, shown: &mut Shown, mut driver: Process, address: &str, rest: &[&str]) {
    let worker = |name: &str, flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = job.command("worker");
        command.args(["-vv", "--driver", address]).args(rest).args(flags);
        command.envs(variables.iter().copied());
        job.start(name, command)
    };
    let places = [("FAILPOINTS", "worker::map=1*panic")];
    let mut first = worker("worker-of-a-file", &["--token-file", "secrets/token"], &places);
    first.wait_for("the worker panicked");
    let second = worker("worker-of-a-variable", &[], &[("MAPMILL_TOKEN", TOKEN)]);
    shown.arguments(&mut driver);
    for mut worker in [first, second] {
        shown.arguments(&mut worker);
        assert_eq!(worker.code(), 0);
    }
    assert_eq!(driver.code(), 0);
    for arguments in
        [&["top"][..], &["why", "--json", "files"], &["why", "files", "m0"], &["verify"]]
    {
        assert_eq!(run(job, shown, arguments, &[]), 0, "{arguments:?}");
    }
}

const TOKENS: [(&str, &[u8]); 3] = [
    ("the token", TOKEN.as_bytes()),
    ("a token that was refused", WRONG.as_bytes()),
    ("a token that is none", MALFORMED.as_bytes()),
];

#[test]
fn unencrypted_token_is_on_the_wire_only() {
    let job = job();
    close(&job);
    let mut shown = Shown(Vec::new());
    let (driver, address) = start_driver(&job, &[], &[("MAPMILL_TOKEN", TOKEN)]);
    look(&job, &mut shown, &address, &[]);
    refuse(&job, &mut shown, &address, &[]);
    work(&job, &mut shown, driver, &address, &[]);

    shown.files(&job.path(""));
    // Frames of h2, and what the driver logs about callers without the token.
    shown.assert_said("send frame=Headers");
    shown.assert_said("received frame=Headers");
    shown.hold_nothing_of(&TOKENS);
}

#[test]
fn neither_token_nor_keys_are_shown_where_there_are_certificates() {
    let job = job();
    close(&job);
    let mut shown = Shown(Vec::new());
    assert_eq!(run(&job, &mut shown, &["certs", "init", "certs"], &[]), 0);
    assert_eq!(run(&job, &mut shown, &["certs", "init", "other"], &[]), 0);
    assert_eq!(run(&job, &mut shown, &["certs", "show", "--json", "certs"], &[]), 0);
    let flags = ["--tls", "certs/driver", "--token-file", "secrets/token"];
    let (driver, address) = start_driver(&job, &flags, &[]);
    look(&job, &mut shown, &address, &["--tls", "certs/viewer"]);
    refuse(&job, &mut shown, &address, &["--tls", "certs/worker"]);
    let worker = ["worker", "-vv", "--driver", &address, "--tls"];
    for folder in ["other/worker", "certs/driver", "certs/viewer", "certs"] {
        let arguments = [&worker[..], &[folder]].concat();
        assert_eq!(run(&job, &mut shown, &arguments, &[]), 2, "{folder}");
    }
    let mixed = ["--tls-cert", "certs/worker/cert.pem", "--tls-key", "certs/viewer/key.pem"];
    let mixed = [&worker[..4], &mixed, &["--tls-ca", "certs/worker/ca.pem"]].concat();
    assert_eq!(run(&job, &mut shown, &mixed, &[]), 2);
    work(&job, &mut shown, driver, &address, &["--tls", "certs/worker"]);

    shown.files(&job.path(""));
    shown.assert_said("send frame=Headers");
    shown.hold_nothing_of(&TOKENS);
    for folder in ["authority", "driver", "worker", "viewer"] {
        let key = private_number(&job.path("certs").join(folder).join("key.pem"));
        shown.hold_nothing_of(&[(folder, &key)]);
    }
}

/// It makes its token itself, and passes it to its workers in their environment.
#[test]
fn token_of_a_run_is_not_shown() {
    let job = TestJob::new().sample().variable("RUST_LOG", "trace");
    let mut shown = Shown(Vec::new());
    let mut command = job.command("run");
    command.args(["-vv", "--json", "-w", "1", "--throttle", "1M"]);
    let mut process = job.start("run", command);
    let worker = poll(
        || process.children().pop().map(Pid::as_raw_nonzero),
        || "a worker process".to_owned(),
    );
    let read = |what: &str| fs::read(format!("/proc/{worker}/{what}")).unwrap_or_default();
    // Until it has executed the program, it has our environment.
    let token = poll(
        || {
            let variables = read("environ");
            let mut variables = variables.split(|&byte| byte == 0);
            variables.find_map(|it| it.strip_prefix(b"MAPMILL_TOKEN=").map(<[u8]>::to_vec))
        },
        || "the token of the run".to_owned(),
    );
    shown.arguments(&mut process);
    shown.add("the arguments of a worker", read("cmdline"));
    assert_eq!(process.code(), 0);

    shown.files(&job.path(""));
    assert_eq!(token.len(), 64);
    // Half of it at least: a checksum is eight hexadecimal digits, and may be those of this token.
    let halves: Vec<_> = token.windows(32).map(<[u8]>::to_vec).collect();
    assert_eq!(shown.places_of(&halves), [""; 0]);
}

/// The search finds planted leaks.
#[test]
fn planted_leaks_are_found() {
    let find =
        |text: &[u8]| Shown(vec![("there".to_owned(), text.to_vec())]).leaks(TOKEN.as_bytes());
    let part = &TOKEN.as_bytes()[5..14];
    let numbers: Vec<_> = part.iter().map(ToString::to_string).collect();
    for leak in [
        TOKEN.to_owned(),
        format!("the token begins with {}", &TOKEN[..8]),
        part.iter().map(|byte| format!("{byte:02x}")).collect(),
        part.iter().map(|byte| format!("{byte:02X}")).collect(),
        format!("[{}]", numbers.join(", ")),
        format!("{part:02x?}"),
        base64(part),
        format!("authorization: \"Bearer {TOKEN}\""),
    ] {
        assert_eq!(find(leak.as_bytes()).len(), 1, "{leak}");
    }
    assert_eq!(find(b"Token(..)"), [""; 0]);
    assert_eq!(from_base64(&base64(part)), part);

    // Through the program, and among its arguments.
    let job = job();
    let mut shown = Shown(Vec::new());
    let mut command = Command::new("sleep");
    command.arg("60").env("nothing", TOKEN);
    let mut quiet = job.start("quiet", command);
    shown.arguments(&mut quiet);
    assert_eq!(shown.leaks(TOKEN.as_bytes()), [""; 0], "an environment is not shown");
    assert_eq!(run(&job, &mut shown, &["worker", "--root", TOKEN], &[]), 2);
    let mut telling = Command::new("sh");
    telling.args(["-c", "sleep 60; exit", TOKEN]);
    let mut telling = job.start("telling", telling);
    shown.arguments(&mut telling);
    shown.files(&job.path("logs"));
    let places = shown.leaks(TOKEN.as_bytes());
    assert!(places.iter().any(|place| place.contains(".stderr")), "{places:?}");
    assert!(places.iter().any(|place| place.starts_with("the arguments")), "{places:?}");
}
