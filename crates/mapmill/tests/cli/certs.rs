//! Keys and certificates: the files, their permissions, and what is refused.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::scratch::{Ended, Scratch};

/// `certs` as `mapmill certs init` makes it, with its output.
#[track_caller]
fn initialised() -> (Scratch, String) {
    let scratch = Scratch::new();
    let Ended { code, stdout, stderr } = scratch.run(&["certs", "init"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    (scratch, stderr)
}

/// All files and folders below `folder` with their permissions, by their names from there.
fn permissions(folder: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let metadata = fs::symlink_metadata(&path).expect("what was listed is there");
        let name = path.strip_prefix(folder).expect("it is below").display().to_string();
        found.insert(name, metadata.permissions().mode() & 0o7777);
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("the tester can read it");
            folders.extend(entries.map(|entry| entry.expect("it can be listed").path()));
        }
    }
    found
}

/// What a credentials folder holds, with its permissions.
fn credentials(name: &str) -> [(String, u32); 4] {
    let file = |file: &str| format!("{name}/{file}");
    let files = [(file("ca.pem"), 0o644), (file("cert.pem"), 0o644), (file("key.pem"), 0o600)];
    let [ca, cert, key] = files;
    [(name.to_owned(), 0o700), ca, cert, key]
}

#[track_caller]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the tester's own file");
}

#[track_caller]
fn shown(scratch: &Scratch, path: &str) -> serde_json::Value {
    let ended = scratch.run(&["certs", "show", "--json", path]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("it is JSON")
}

/// `openssl` with these arguments, and whether it succeeded: none if it is not installed. In CI it
/// must be.
fn openssl(folder: &Path, arguments: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new("openssl").current_dir(folder).args(arguments).output() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI wants openssl to be installed");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn files_are_accessible_to_their_owner_only_whatever_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let scratch = Scratch::new();
        let program = scratch.command(&[] as &[&str]);
        let program = program.get_program().to_str().expect("a plain name").to_owned();
        let mut shell = Command::new("sh");
        shell.current_dir(scratch.path("")).args(["-c"]).arg(format!(
            "umask {umask} && \"$0\" certs init a/certs && \"$0\" certs issue worker --name w7 \
             a/certs && \"$0\" certs token -o token"
        ));
        // Users other than root could not even enter `a`.
        scratch.create("a");
        let ended = scratch.end({
            shell.arg(program);
            shell
        });
        assert_eq!(ended.code, 0, "umask {umask}: {}", ended.stderr);

        let mut expected = BTreeMap::from([
            (String::new(), 0o700),
            ("authority".to_owned(), 0o700),
            ("authority/cert.pem".to_owned(), 0o644),
            ("authority/key.pem".to_owned(), 0o600),
        ]);
        expected.extend(["driver", "viewer", "w7", "worker"].iter().flat_map(|n| credentials(n)));
        assert_eq!(permissions(&scratch.path("a/certs")), expected, "umask {umask}");
        assert_eq!(permissions(&scratch.path("token"))[""], 0o600, "umask {umask}");
    }
}

#[test]
fn output_names_the_files_and_the_next_step_and_shows_no_key() {
    let scratch = Scratch::new();
    let arguments = ["certs", "init", "keys", "--host", "d.example", "--host", "::1"];
    let ended = scratch.run(&arguments);
    let said: Vec<&str> = ended.stderr.lines().collect();

    assert_eq!((ended.code, ended.stdout.as_str(), said.len()), (0, "", 4));
    let start = "mapmill: keys holds an authority, and credentials for a driver (d.example, ::1), \
                 workers and viewers, until 20";
    assert!(said[0].starts_with(start), "{}", said[0]);
    assert_eq!(
        said[1..],
        [
            "mapmill: copy keys/worker to the machines of the workers, and keep keys/authority \
             private: anyone who has its key can issue certificates",
            "mapmill: start a driver with: mapmill driver --listen 0.0.0.0:50051 --tls keys/driver",
            "mapmill: start a worker with: mapmill worker --driver d.example:50051 --tls \
             keys/worker",
        ]
    );
    let issued = scratch.run(&["certs", "issue", "worker", "--name", "w7", "keys"]);
    for folder in ["authority", "driver", "viewer", "w7", "worker"] {
        let key = fs::read_to_string(scratch.path(format!("keys/{folder}/key.pem"))).unwrap();
        for line in key.lines() {
            assert!(!ended.stderr.contains(line) && !issued.stderr.contains(line));
        }
    }
    let start = "mapmill: keys/w7 holds credentials for the worker w7, until 20";
    assert!(issued.stderr.starts_with(start), "{}", issued.stderr);
    let end = "\nmapmill: start a worker with: mapmill worker --driver HOST:50051 --tls keys/w7\n";
    assert!(issued.stderr.ends_with(end), "{}", issued.stderr);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the person who runs the tests should know what was not checked"
)]
fn openssl_reads_our_certificates() {
    let (scratch, _) = initialised();
    let folder = scratch.path("certs");
    let issue = ["certs", "issue", "driver", "--name", "d2", "--host", "d.example"];
    assert_eq!(scratch.run(&issue).code, 0);
    if openssl(&folder, &["version"]).is_none() {
        println!("skipped: no openssl");
        return;
    }
    // Its versions differ in how they space things out.
    let ask = |arguments: &[&str]| {
        let (content, said) = openssl(&folder, arguments).expect("it was there just now");
        let words: Vec<&str> = said.split_whitespace().collect();
        (content, words.join(" ").replace(" = ", "="))
    };
    let ends = [
        ("driver", "sslserver", "sslclient", "TLS Web Server Authentication"),
        ("d2", "sslserver", "sslclient", "TLS Web Server Authentication"),
        ("worker", "sslclient", "sslserver", "TLS Web Client Authentication"),
        ("viewer", "sslclient", "sslserver", "TLS Web Client Authentication"),
    ];
    for (name, good, bad, usage) in ends {
        let file = |file: &str| format!("{name}/{file}");
        let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        let verify =
            |purpose| ask(&["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &ca, &cert]);
        assert_eq!(verify(good), (true, format!("{cert}: OK")));
        let (content, said) = verify(bad);
        assert!(!content && said.contains("unsuitable certificate purpose"), "{said}");

        let (_, said) = ask(&["x509", "-in", &cert, "-noout", "-text"]);
        let role = name.replace("d2", "driver");
        for part in [
            &format!("URI:urn:mapmill:{role}:{name}"),
            &format!("Subject: CN={name} "),
            "NIST CURVE: P-256",
            "CA:FALSE",
            &format!("X509v3 Extended Key Usage: {usage} X509v3"),
            "X509v3 Key Usage: critical Digital Signature X509v3",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(said.matches("urn:mapmill:").count(), 1);
        let (_, public) = ask(&["x509", "-in", &cert, "-noout", "-pubkey"]);
        assert_eq!(ask(&["pkey", "-in", &key, "-pubout"]), (true, public));
        let (_, said) = ask(&["x509", "-in", &cert, "-noout", "-fingerprint", "-sha256"]);
        let digits = said.trim_end().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        let seen = shown(&scratch, &format!("certs/{name}"));
        assert_eq!(seen["certificates"][0]["sha256"], digits);
    }
    let (_, said) = ask(&["x509", "-in", "d2/cert.pem", "-noout", "-ext", "subjectAltName"]);
    assert!(said.ends_with(" URI:urn:mapmill:driver:d2, DNS:d.example"), "{said}");
    let (_, said) = ask(&["x509", "-in", "driver/cert.pem", "-noout", "-ext", "subjectAltName"]);
    let hosts = "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1";
    assert!(said.contains(hosts), "{said}");
    let (_, said) = ask(&["x509", "-in", "authority/cert.pem", "-noout", "-text"]);
    for part in ["critical CA:TRUE, pathlen:0 ", ": critical Certificate Sign, CRL Sign "] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // Keys as other tools make them.
    let key = fs::read_to_string(folder.join("worker/key.pem")).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn other_authority_of_the_same_name_is_distinguished() {
    let (scratch, _) = initialised();
    assert_eq!(scratch.run(&["certs", "init", "others"]).code, 0);
    let (folder, others) = (scratch.path("certs"), scratch.path("others"));
    fs::copy(others.join("worker/ca.pem"), folder.join("worker/ca.pem")).unwrap();

    let seen = shown(&scratch, "certs");
    let warning = "certs/worker/cert.pem was not issued by the authority in the ca.pem beside it";
    assert_eq!(seen["warnings"], serde_json::json!([warning]));
    let verify = ["verify", "-CAfile", "worker/ca.pem", "worker/cert.pem"];
    if let Some((content, said)) = openssl(&folder, &verify) {
        assert!(!content && said.contains("unable to get local issuer certificate"), "{said}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let (scratch, _) = initialised();
    let end = "already exists, and is not overwritten:";
    let other = "name another folder, or create more credentials with: mapmill certs issue";
    let init = |folder: &str| scratch.command(&["certs", "init", folder]);
    scratch.refuses(init("certs"), &format!("certs/authority {end} {other}"));
    // Whatever exists already, of any kind; and none of the rest is made.
    for name in ["driver", "worker", "viewer"] {
        let folder = format!("with-{name}");
        scratch.create(&folder);
        set_mode(&scratch.path(&folder), 0o755);
        symlink("nowhere", scratch.path(&folder).join(name)).unwrap();
        scratch.refuses(init(&folder), &format!("{folder}/{name} {end} {other}"));
    }
    let issue = |name: &str| scratch.command(&["certs", "issue", "worker", "--name", name]);
    for name in ["worker", "authority"] {
        let sentence = format!("certs/{name} {end} choose another --name");
        scratch.refuses(issue(name), &sentence);
    }
    scratch.write("certs/w7", "mine");
    scratch.refuses(issue("w7"), &format!("certs/w7 {end} choose another --name"));

    let token = |file: &str| scratch.command(&["certs", "token", "-o", file]);
    scratch.write("token", "mine");
    scratch.refuses(token("token"), &format!("token {end} name another file"));
    symlink("target", scratch.path("link")).unwrap();
    scratch.refuses(token("link"), &format!("link {end} name another file"));
    let sentence = "cannot write nowhere/token: No such file or directory (os error 2)";
    scratch.refuses(token("nowhere/token"), sentence);
}

#[test]
fn existing_folder_is_used_if_no_other_user_can_change_it() {
    let scratch = Scratch::new();
    scratch.write("keys/notes", "mine");
    let init = || scratch.command(&["certs", "init", "keys"]);
    for mode in [0o775, 0o757] {
        set_mode(&scratch.path("keys"), mode);
        let sentence = format!(
            "keys can be changed by other users (mode {mode:04o}); restrict it with: chmod go-w \
             keys"
        );
        scratch.refuses(init(), &sentence);
    }
    set_mode(&scratch.path("keys"), 0o755);
    assert_eq!(scratch.end(init()).code, 0);

    let found = permissions(&scratch.path("keys"));
    assert_eq!((found[""], found["driver"], found["driver/key.pem"]), (0o755, 0o700, 0o600));
    assert_eq!(fs::read_to_string(scratch.path("keys/notes")).unwrap(), "mine");
    let sentence = "in/a.txt is a file; expected a folder";
    scratch.refuses(scratch.command(&["certs", "init", "in/a.txt"]), sentence);
}

#[test]
fn failure_halfway_leaves_nothing_behind() {
    let scratch = Scratch::new();
    // The owner of this folder may make a folder in it, and write no byte.
    let program = scratch.command(&[] as &[&str]).get_program().to_owned();
    let mut shell = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" certs init new/keys";
    shell.current_dir(scratch.path("")).args(["-c", script]).arg(program);
    scratch.create("new");
    let sentence = "cannot write new/keys/.new-PID/authority/key.pem: File too large (os error 27)";
    let output = shell.output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The number is the process's id.
    let number: String = said
        .split_once(".new-")
        .map_or("", |(_, rest)| rest)
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    assert_eq!(said.replace(&number, "PID"), format!("mapmill: {sentence}\n"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_dir(scratch.path("new")).unwrap().count(), 0);
}

#[test]
fn names_days_and_hosts_have_rules() {
    let (scratch, _) = initialised();
    let refuses = |arguments: &[&str], sentence: &str| {
        scratch.refuses(scratch.command(&[&["certs"], arguments].concat()), sentence);
    };
    let long = "x".repeat(65);
    for name in ["", ".", "..", "a/b", "/etc", "a b", ".hidden", "_a", "naïve", &long] {
        let flag = format!("--name={name}");
        let rule = "expected 1 to 64 of the characters A-Z, a-z, 0-9, '.', '_' and '-', of which \
                    the first is a letter or a digit (see mapmill certs issue --help)";
        let value = format!("invalid value '{name}' for '--name <NAME>': {rule}");
        refuses(&["issue", "worker", &flag], &value);
    }
    for days in ["0", "3651", "-1", "soon"] {
        let value = format!("invalid value '{days}' for '--days <N>'");
        let rule = "expected a whole number from 1 to 3,650";
        let init = format!("{value}: {rule} (see mapmill certs init --help)");
        refuses(&["init", "new", "--days", days], &init);
        let issue = format!("{value}: {rule} (see mapmill certs issue --help)");
        refuses(&["issue", "viewer", "--name", "v", "--days", days], &issue);
    }
    for host in ["d.example:50051", "[::1]", "*.example", "http://d"] {
        let sentence = format!(
            "invalid value '{host}' for '--host <HOST>': expected the name or the address of a \
             host, without a port (see mapmill certs init --help)"
        );
        refuses(&["init", "new", "--host", host], &sentence);
    }
    for role in ["worker", "viewer"] {
        let sentence =
            format!("--host is only for a driver: no process connects to a {role}; leave it out");
        refuses(&["issue", role, "--name", "new", "--host", "a"], &sentence);
    }
    let sentence = "invalid value 'admin' for '<ROLE>'; possible values: driver, worker, viewer \
                    (see mapmill certs issue --help)";
    refuses(&["issue", "admin", "--name", "new"], sentence);
}

#[test]
fn authority_that_cannot_be_used_is_refused_with_a_way_out() {
    let (scratch, _) = initialised();
    let issue =
        |folder: &str| scratch.command(&["certs", "issue", "worker", "--name", "w", folder]);
    let sentence = "there is no authority in new; create one with: mapmill certs init new";
    scratch.refuses(issue("new"), sentence);

    let key = scratch.path("certs/authority/key.pem");
    for mode in [0o644, 0o660, 0o602] {
        set_mode(&key, mode);
        let sentence = format!(
            "certs/authority/key.pem can be read by other users (mode {mode:04o}); restrict it \
             with: chmod 600 certs/authority/key.pem (640 if root owns it)"
        );
        scratch.refuses(issue("certs"), &sentence);
    }
    set_mode(&key, 0o600);
    fs::copy(scratch.path("certs/worker/key.pem"), &key).unwrap();
    let sentence = "cannot use certs/authority: the key belongs to another certificate";
    scratch.refuses(issue("certs"), sentence);
    let certificate = scratch.path("certs/authority/cert.pem");
    fs::copy(scratch.path("certs/worker/cert.pem"), certificate).unwrap();
    let sentence =
        "cannot use certs/authority: the certificate of `worker` is not that of an authority";
    scratch.refuses(issue("certs"), sentence);
}

#[test]
fn certificates_are_shown_in_columns_and_the_authority_first() {
    let (scratch, _) = initialised();
    let issue =
        ["certs", "issue", "driver", "--name", "d.2", "--host", "10.0.0.1", "--days", "3650"];
    assert_eq!(scratch.run(&issue).code, 0);
    let table = scratch.run(&["certs", "show"]).silent();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split("  ").collect()).collect();
    let rows = rows.iter().map(|row| {
        row.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    });
    let rows: Vec<_> = rows.collect();

    assert_eq!(rows[0], ["folder", "role", "name", "valid until", "fingerprint", "hosts"]);
    let whose: Vec<_> = rows[1..].iter().map(|row| row[..2].join(" ")).collect();
    let expected = [
        "certs/authority authority",
        "certs/d.2 driver",
        "certs/driver driver",
        "certs/viewer viewer",
        "certs/worker worker",
    ];
    assert_eq!(whose, expected);
    assert_eq!((rows[2][2], rows[2][5], rows[4].len()), ("d.2", "10.0.0.1", 5));
    // An authority is valid as long as any certificate can be.
    assert_eq!(rows[1][3], rows[2][3]);

    for path in ["certs/worker", "certs/worker/cert.pem", "certs/worker/ca.pem"] {
        let one = scratch.run(&["certs", "show", path]).silent();
        assert_eq!(one.lines().count(), 2, "{one}");
        assert!(one.contains(&format!("\n{path}  ")), "{one}");
    }
    let seen = shown(&scratch, "certs/d.2");
    let certificate = &seen["certificates"][0];
    assert_eq!(certificate["usages"], serde_json::json!(["server"]));
    assert_eq!(certificate["hosts"], serde_json::json!(["10.0.0.1"]));
    let seconds = |name: &str| certificate[name].as_u64().expect("a number");
    let lasts = seconds("valid_until_unix_seconds") - seconds("valid_from_unix_seconds");
    // It ends with its authority, which was made before, and begins five minutes ago.
    let days = 3650 * 86_400;
    assert!((days..=days + 300).contains(&lasts), "{lasts}");
}

#[test]
fn problems_of_certificates_and_keys_are_shown() {
    let (scratch, _) = initialised();
    let path = |name: &str| scratch.path("certs").join(name);
    for (name, days) in [("late", "14"), ("later", "15")] {
        let issue = ["certs", "issue", "viewer", "--name", name, "--days", days];
        assert_eq!(scratch.run(&issue).code, 0);
    }
    set_mode(&path("authority/key.pem"), 0o644);
    fs::copy(path("viewer/key.pem"), path("driver/key.pem")).unwrap();
    fs::remove_file(path("viewer/ca.pem")).unwrap();
    fs::write(path("viewer/key.pem"), "no key").unwrap();
    fs::remove_file(path("worker/key.pem")).unwrap();
    fs::write(path("worker/ca.pem"), "no certificate").unwrap();
    fs::create_dir(path("z")).unwrap();
    fs::copy(path("later/key.pem"), path("z/cert.pem")).unwrap();

    let ended = scratch.run(&["certs", "show"]);
    assert_eq!(ended.code, 0);
    assert_eq!(ended.stdout.lines().count(), 7, "{}", ended.stdout);
    let warnings = [
        "certs/authority/key.pem can be read by other users (mode 0644); if none has read it: \
         chmod 600 \
         certs/authority/key.pem (640 if root owns it)",
        "certs/driver/key.pem does not belong to the cert.pem beside it",
        "certs/late expires in 13 days",
        "cannot use certs/viewer/key.pem: the private key cannot be read",
        "certs/viewer/ca.pem is missing",
        "certs/worker/key.pem is missing",
        "cannot use certs/worker/ca.pem: there is no certificate in it",
        "cannot use certs/z/cert.pem: there is something else than a certificate in it: \
         \"PRIVATE KEY\"",
    ];
    let said: Vec<_> = warnings.iter().map(|said| format!("mapmill: warning: {said}\n")).collect();
    assert_eq!(ended.stderr, said.concat());
    assert_eq!(shown(&scratch, "certs")["warnings"], serde_json::json!(warnings));
}

#[test]
fn folder_without_certificates_is_refused() {
    let (scratch, _) = initialised();
    let show = |path: &str| scratch.command(&["certs", "show", path]);
    for path in ["in", "nowhere"] {
        let sentence = format!(
            "there are no certificates in {path}; create some with: mapmill certs init {path}"
        );
        scratch.refuses(show(path), &sentence);
    }
    let sentence = "cannot use certs/driver/key.pem: there is something else than a certificate in \
                    it: \"PRIVATE KEY\"";
    scratch.refuses(show("certs/driver/key.pem"), sentence);
    scratch.refuses(show("in/a.txt"), "cannot use in/a.txt: there is no certificate in it");
}

#[test]
fn token_is_64_digits_that_nobody_had_before() {
    let scratch = Scratch::new();
    let tokens = [(); 2].map(|()| scratch.run(&["certs", "token"]).silent());
    for token in &tokens {
        let digits = token.strip_suffix('\n').expect("it ends its line");
        assert_eq!(digits.len(), 64);
        let is_digit = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
        assert!(digits.chars().all(is_digit), "{digits}");
    }
    assert_ne!(tokens[0], tokens[1]);

    let ended = scratch.run(&["certs", "token", "--output", "token"]);
    let said = "mapmill: token holds a token; start driver and workers with: --token-file \
                token\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", said));
    let written = fs::read_to_string(scratch.path("token")).unwrap();
    assert_eq!((written.len(), written.trim_end().len()), (65, 64));
    assert!(!tokens.contains(&written));
}
