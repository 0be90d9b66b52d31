//! Fail points that tests can trigger.

use std::fmt::Display;
use std::io;
use std::sync::Once;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Reads `FAILPOINTS`, the first time it is called.
pub fn arm() {
    static ARMED: Once = Once::new();
    // Not `FailScenario`: it clears what was set within the process, and can be set up only once.
    ARMED.call_once(|| {
        let points = std::env::var("FAILPOINTS").unwrap_or_default();
        for point in points.split(';').filter(|point| !point.is_empty()) {
            let (name, actions) = point.split_once('=').expect("a point is NAME=ACTIONS");
            fail::cfg(name, actions).expect("actions are as the crate `fail` has them");
        }
    });
}

/// The process reaches `point`, with `subject`: `point` or `point@subject` may be triggered.
pub fn reach(point: &str, subject: impl Display) {
    trigger(point, subject, || {}).expect("no operation can fail at this point");
}

/// As [`reach`], where the operating system may refuse: `return(5)` is an input/output error.
///
/// # Errors
///
/// The error that the test names.
pub fn refuse(point: &str, subject: impl Display) -> io::Result<()> {
    trigger(point, subject, || {})
}

/// As [`refuse`], before `bytes` are written: if it is triggered, half of them are written first (a
/// torn write).
///
/// # Errors
///
/// The error that the test names.
pub fn tear(
    point: &str,
    subject: impl Display,
    write: impl FnOnce(&[u8]) -> io::Result<()>,
    bytes: &[u8],
) -> io::Result<()> {
    trigger(point, subject, || {
        // Half of a batch may be whole lines: then nothing would be torn.
        let half = &bytes[..bytes.len() / 2];
        let half = write(half.strip_suffix(b"\n").unwrap_or(half));
        half.expect("the fault is ours, not the disk's");
    })
}

/// The limit of a resource: `available`, or less if the test says so.
pub fn limit(point: &str, available: u64) -> u64 {
    let Some(text) = planned(point) else { return available };
    text.parse::<u64>().expect("a limit is a number").min(available)
}

fn trigger(point: &str, subject: impl Display, before: impl FnOnce()) -> io::Result<()> {
    let names = [point.to_owned(), format!("{point}@{subject}")];
    let Some(text) = names.iter().find_map(|name| planned(name)) else { return Ok(()) };
    before();
    match text.as_str() {
        "abort" => die(Signal::ABORT),
        "hang" => hang(),
        "hoard" => hoard(),
        "kill" => die(Signal::KILL),
        code => {
            let code = code.parse().expect("a point returns a kind of fault, or an error number");
            Err(io::Error::from_raw_os_error(code))
        }
    }
}

/// What the test sets the point to return.
fn planned(name: &str) -> Option<String> {
    fail::fail_point!(name, |text: Option<String>| Some(text.unwrap_or_default()));
    None
}

/// Flushes, drops and prints nothing.
fn die(signal: Signal) -> ! {
    let _ = kill_process(getpid(), signal);
    hang()
}

/// Like an endless loop, but leaves the core to the test's other processes.
fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Allocates address space only, which counts against a limit and costs the machine nothing.
fn hoard() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![0_u8; 64 << 20]));
    }
}
