//! A results folder that a driver of another machine has claimed: no lock of ours says so.

use std::fs;
use std::path::{Path, PathBuf};

use super::scratch::Scratch;

/// An unfinished job, whose driver gave its last sign of life just now, on another machine; and the
/// folder of its claim. The name of that machine moves the cursor and reorders text.
fn driven_elsewhere() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in"]));
    driver.kill();
    let claim = scratch.path("files/.mapmill/claims/1");
    let holder = "host b\u{1b}[2J\u{202e}\nprocess 7\naddress b:50051\nboot another\n";
    fs::write(file_of(&claim, "holder-"), holder).expect("the driver has claimed its folder");
    renew(&claim, 1000);
    (scratch, claim)
}

/// Gives the sign of life `beat`.
fn renew(claim: &Path, beat: u32) {
    fs::rename(file_of(claim, "beat-"), claim.join(format!("beat-{beat}"))).expect("ours");
}

fn file_of(claim: &Path, name: &str) -> PathBuf {
    let files = fs::read_dir(claim).expect("the claim is there");
    let mut files = files.map(|entry| entry.expect("it can be listed").path());
    files.find(|path| path.to_string_lossy().contains(name)).expect("a claim has one")
}

#[test]
fn job_that_is_driven_from_another_machine_is_running() {
    let (scratch, claim) = driven_elsewhere();
    let overview = scratch.run(&["why", "files"]).silent();
    assert!(overview.lines().next().is_some_and(|line| line.contains("running")), "{overview}");

    fs::rename(claim.join("beat-1000"), claim.join("released")).expect("ours");
    let overview = scratch.run(&["why", "files"]).silent();
    let first = overview.lines().next().unwrap_or_default();
    assert!(first.contains("was cut off"), "{overview}");
}

#[test]
fn name_of_another_driver_is_escaped_wherever_it_is_printed() {
    let (scratch, claim) = driven_elsewhere();
    let named = r"another driver (process 7 on b\u{1b}[2J\u{202e}, listening on b:50051)";

    let mut standby = scratch.start(scratch.driver(&["in", "--standby"]));
    standby.wait_for(&format!("standing by: {named} is running"));
    let mut refused = scratch.start(scratch.driver(&["in"]));
    refused.wait_for(&format!("{named} has not released the results folder"));
    renew(&claim, 1001);
    assert_eq!(refused.code(), 2, "{}", refused.log());
    assert!(refused.log().contains(&format!("is in use by {named}")), "{}", refused.log());
    for process in [&standby, &refused] {
        assert!(!process.raw_log().contains(['\u{1b}', '\u{202e}']), "{}", process.raw_log());
    }
}
