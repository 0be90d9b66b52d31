//! `mapmill clean` and `--drop-intermediates` remove the intermediates of a finished job, and of no
//! other.

use std::fs;

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
