//! `mapmill clean` and `--drop-intermediates` remove the intermediates of a finished job, and of no
//! other.

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use crate::util::cluster::FAIL_POINTS;
use crate::util::process::{Process, poll};

use super::scratch::{Ended, Scratch};

/// A finished job over a few words, in `files`.
fn finished(flags: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("inputs/a", "one two three four five six seven eight nine ten\n");
    scratch.run(&[&["run", "inputs", "-q"], flags].concat()).silent();
    scratch
}

#[test]
fn clean_removes_the_intermediates_of_a_finished_job_and_what_is_staged() {
    let scratch = finished(&[]);
    scratch.write("files/.mapmill/staging/00ff-e1/m0.a0/mr-0-0", "five\n");

    assert_eq!(
        scratch.run(&["clean"]).silent(),
        "files: removed 24 intermediate files (49 B) and 1 staging folder (5 B)\n"
    );

    assert_eq!(intermediates(&scratch), 0);
    assert_eq!(entries(&scratch, "files/.mapmill/staging"), 0);
    assert_eq!(scratch.run(&["clean"]).silent(), "files: nothing to remove\n");
    check_readers(&scratch);
}

#[test]
fn job_drops_its_intermediates_if_it_is_told_to() {
    let scratch = finished(&["--drop-intermediates"]);
    assert_eq!(intermediates(&scratch), 0);
    check_readers(&scratch);
    // The last of two flags that contradict each other counts.
    scratch.run(&["run", "inputs", "-q", "--drop-intermediates", "--keep-intermediates"]).silent();
    assert_eq!(intermediates(&scratch), 24);
}

/// What reads a job that has no intermediates any more; then the same job runs again.
#[track_caller]
fn check_readers(scratch: &Scratch) {
    let journal = fs::read_to_string(scratch.path("files/.mapmill/journal.jsonl"));
    let journal = journal.expect("a job has a journal");
    assert_eq!(journal.matches(r#"{"kind":"intermediates_removed"}"#).count(), 1, "{journal}");
    assert_eq!(
        scratch.run(&["verify"]).silent(),
        "files: the intermediates were removed and are not checked; 4 output files are as recorded \
         (69 B); 10 words emitted, and as many counted\n"
    );
    assert!(scratch.run(&["top"]).silent().contains("eight"));
    assert!(scratch.run(&["why"]).silent().contains("done"));

    scratch.run(&["run", "inputs", "-q"]).silent();
    assert_eq!(intermediates(scratch), 24);
    assert!(scratch.run(&["verify"]).silent().contains("24 intermediate files"));
}

#[test]
fn job_that_is_not_done_is_not_cleaned() {
    let scratch = Scratch::new();
    refused(
        &scratch.run(&["clean", "nowhere"]),
        "mapmill: nowhere holds no journal of a job; name the folder given to --files\n",
    );
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in"]));
    refused(
        &scratch.run(&["clean"]),
        &format!(
            "mapmill: cannot lock the results folder: {} is in use by another driver (process {}); \
             wait for the job to end\n",
            scratch.path("files").display(),
            driver.pid()
        ),
    );
    driver.kill();
    refused(
        &scratch.run(&["clean"]),
        "mapmill: the job in files is not done: its reduce tasks need the intermediates; run it \
         again with the same arguments\n",
    );
}

/// On another mount the lock is another one, and only the claim names the driver.
#[test]
fn clean_is_refused_during_a_job_whose_driver_holds_another_lock() {
    let scratch = finished(&[]);
    let (driver, address) = scratch.start_driver(scratch.driver(&["in"]));
    fs::remove_file(scratch.path("files/.mapmill/lock")).expect("the driver has created it");
    scratch.write("files/.mapmill/staging/00ff-e2/m0.a0/mr-0-0", "five\n");
    let before = fs::read(scratch.path(JOURNAL)).expect("a job has a journal");

    let ended = scratch.run(&["clean"]);

    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let pid = driver.pid();
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&format!("mapmill: files is in use by another driver (process {pid} "))
    );
    assert!(last.ends_with(&format!("listening on {address}); wait for the job to end")), "{last}");
    assert_eq!(fs::read(scratch.path(JOURNAL)).expect("it is still there"), before);
    assert_eq!(entries(&scratch, "files/.mapmill/staging"), 1);
}

/// Paused with the journal in its hands. The lock does not keep a standby out: it takes over by the
/// claim.
#[test]
fn standby_waits_for_the_end_of_clean_and_its_results_stay() {
    let scratch = finished(&[]);
    let mut clean = pausing(&scratch, "driver::begin-written=sleep(3000)");
    let is_drafted = || {
        let hidden = scratch.path("files/.mapmill");
        let drafts = [hidden.join("journal.new"), hidden.join("claims/2/journal")];
        drafts.iter().any(|draft| draft.exists()).then_some(())
    };
    poll(is_drafted, || "the draft of the journal".to_owned());

    let (mut driver, address) = scratch.start_driver(scratch.driver(&["in", "--standby"]));
    scratch.run(&["worker", "-q", "--driver", &address]).silent();
    assert_eq!(driver.code(), 0);

    assert_eq!(clean.code(), 0);
    scratch.run(&["verify"]).silent();
    let waited = format!("standing by: another driver (process {}", clean.pid());
    assert!(driver.log().contains(&waited), "{}", driver.log());
}

/// A clean that was frozen finds that a driver has claimed the next epoch, and does no more.
#[test]
fn clean_stops_when_a_driver_has_taken_over() {
    for (pause, left) in [("clean::claimed=sleep(2000)", 24), ("clean::removed=sleep(200)", 8)] {
        let scratch = finished(&[]);
        let before = fs::read(scratch.path(JOURNAL)).expect("a job has a journal");
        let clean = pausing(&scratch, pause);
        let begun = || match left {
            24 => scratch.path("files/.mapmill/claims/2/beat-0").exists().then_some(()),
            _ => (intermediates(&scratch) < 24).then_some(()),
        };
        poll(begun, || "the claim, or the first removal".to_owned());
        let claim = scratch.path("files/.mapmill/claims/3");
        fs::DirBuilder::new().mode(0o700).create(claim).expect("a driver claims like this");

        let ended = Ended::of(clean);

        assert_eq!(ended.code, 3, "{}", ended.stderr);
        assert_eq!(
            ended.stderr,
            "mapmill: cannot remove all intermediates and staging in files: another driver took \
             over; run the same command again when no job runs there\n"
        );
        assert_eq!(intermediates(&scratch), left);
        let is_unchanged = fs::read(scratch.path(JOURNAL)).expect("it is still there") == before;
        assert_eq!(is_unchanged, left == 24);
    }
}

/// `mapmill clean` with a fail point.
fn pausing(scratch: &Scratch, points: &str) -> Process {
    let mut clean = scratch.command(&["clean"]);
    clean.env(FAIL_POINTS, points);
    scratch.start(clean)
}

#[track_caller]
fn refused(ended: &Ended, sentence: &str) {
    assert_eq!((ended.code, &ended.stdout[..], &ended.stderr[..]), (2, "", sentence));
}

fn intermediates(scratch: &Scratch) -> usize {
    entries(scratch, "files/intermediate")
}

fn entries(scratch: &Scratch, folder: &str) -> usize {
    fs::read_dir(scratch.path(folder)).expect("the folder is there").count()
}

const JOURNAL: &str = "files/.mapmill/journal.jsonl";
