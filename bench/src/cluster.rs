//! A driver and two workers as a user starts them one by one, with certificates or without.
//!
//! The workers are timed, from start to exit: a driver stays for at least a second, to be found by
//! workers that are started later. Connecting is part of the time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::run;
use crate::sample::Sample;
use crate::tools::Tools;

/// Killed when dropped: a race that fails leaves no process behind.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Count `inputs` once.
pub(crate) fn count(
    inputs: &[PathBuf],
    tls: bool,
    tools: &Tools,
    scratch: &Path,
) -> io::Result<Sample> {
    let credentials = |role: &str| match tls {
        true => vec!["--tls".to_owned(), format!("certs/{role}")],
        false => Vec::new(),
    };
    if tls {
        let mut keys = Command::new(&tools.mapmill);
        run("certs", keys.args(["certs", "init"]).current_dir(scratch), scratch)?;
    }
    let json = scratch.join("driver.stdout");
    let mut command = Command::new(&tools.mapmill);
    command.args(["driver", "--listen", "127.0.0.1:0", "--json"]).args(credentials("driver"));
    command.args(inputs).current_dir(scratch).stdin(Stdio::null());
    let mut driver = Driver(command.stdout(File::create(&json)?).stderr(Stdio::piped()).spawn()?);
    let stderr = driver.0.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?;
    let mut log = BufReader::new(stderr).lines();
    let mut address = None;
    while address.is_none() {
        let line = log
            .next()
            .ok_or_else(|| io::Error::other("the driver does not wait for workers"))??;
        address = address_in(&line);
    }
    // Its other output must not fill the pipe.
    let rest = std::thread::spawn(move || log.for_each(drop));

    let mut workers = Command::new("sh");
    workers.args(["-c", r#""$@" & one=$!; "$@" && wait $one"#, "sh"]).arg(&tools.mapmill);
    workers.args(["worker", "--quiet", "--root", "/", "--driver"]).args(address);
    workers.args(credentials("worker")).current_dir(scratch);
    let used = run("workers", &mut workers, scratch)?;

    let status = driver.0.wait()?;
    // It exits when the pipe closes.
    let _ = rest.join();
    if !status.success() {
        return Err(io::Error::other(format!("driver: {status}")));
    }
    Sample::of_report(used, &fs::read(json)?)
}

fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("waiting for workers on ")?;
    Some(rest.split_once(';')?.0.to_owned())
}
