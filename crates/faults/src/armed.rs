//! Places that strike, for tests.

use std::fmt::Display;
use std::io;
use std::sync::Once;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Reads `FAILPOINTS`, the first time it is called.
pub fn arm() {
    static ARMED: Once = Once::new();
    // Not `FailScenario`: it forgets what was set within the process, and can be had once only.
    ARMED.call_once(|| {
        let places = std::env::var("FAILPOINTS").unwrap_or_default();
        for place in places.split(';').filter(|place| !place.is_empty()) {
            let (name, actions) = place.split_once('=').expect("a place is NAME=ACTIONS");
            fail::cfg(name, actions).expect("actions are as the crate `fail` has them");
        }
    });
}

/// The process is at `place`, with `subject`: both `place` and `place@subject` may strike.
pub fn reach(place: &str, subject: impl Display) {
    strike(place, subject, || {}).expect("the operating system is not asked for anything here");
}

/// As [`reach`], where the operating system may refuse: `return(5)` is an input/output error.
///
/// # Errors
///
/// The error that the test names.
pub fn refuse(place: &str, subject: impl Display) -> io::Result<()> {
    strike(place, subject, || {})
}

/// As [`refuse`], where `bytes` are about to be written: half of them are before it strikes.
///
/// # Errors
///
/// The error that the test names.
pub fn tear(
    place: &str,
    subject: impl Display,
    write: impl FnOnce(&[u8]) -> io::Result<()>,
    bytes: &[u8],
) -> io::Result<()> {
    strike(place, subject, || {
        // Half of a batch may be whole lines: then nothing would be torn.
        let half = &bytes[..bytes.len() / 2];
        let half = write(half.strip_suffix(b"\n").unwrap_or(half));
        half.expect("the fault is ours, not the disk's");
    })
}

/// What the process may use: `available`, or less if the test says so.
pub fn limit(place: &str, available: u64) -> u64 {
    let Some(text) = planned(place) else { return available };
    text.parse::<u64>().expect("a limit is a number").min(available)
}

fn strike(place: &str, subject: impl Display, before: impl FnOnce()) -> io::Result<()> {
    let names = [place.to_owned(), format!("{place}@{subject}")];
    let Some(text) = names.iter().find_map(|name| planned(name)) else { return Ok(()) };
    before();
    match text.as_str() {
        "abort" => die(Signal::ABORT),
        "hang" => hang(),
        "hoard" => hoard(),
        "kill" => die(Signal::KILL),
        code => {
            let code = code.parse().expect("a place returns a way to die, or an error's number");
            Err(io::Error::from_raw_os_error(code))
        }
    }
}

/// What the test says the place should return.
fn planned(name: &str) -> Option<String> {
    fail::fail_point!(name, |text: Option<String>| Some(text.unwrap_or_default()));
    None
}

/// Flushes, drops and says nothing.
fn die(signal: Signal) -> ! {
    let _ = kill_process(getpid(), signal);
    hang()
}

/// As an endless loop does, but the test's other processes need the core.
fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Address space only, which counts against a limit and costs the machine nothing.
fn hoard() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![0_u8; 64 << 20]));
    }
}
