//! A full disk fails the job with a message; with space again, the same command resumes it.
//!
//! The small disk is a file system in memory, mounted where only the processes of the test see it.
//! On a system that does not allow this, these tests say so and do nothing.

mod util;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use util::cluster::FAIL_POINTS;
use util::job::{Ended, TestJob, entries};
use util::journal::{commits_in, records_in};
use util::process::Process;

/// The results folder is a disk of size `$0`. The command is run there, and again when the disk is
/// larger. What the first run leaves is copied to `first`; the results of the second stay in
/// `files`.
const TWICE: &str = r#"
mount -t tmpfs -o size="$0" tmpfs files || exit 99
"$@" >first.stdout 2>first.stderr
echo $? >first.code
cp -a files first
mount -o remount,size=64m files
"$@"
code=$?
cp -a files second && umount files && rmdir files && mv second files || exit 98
exit $code
"#;

/// A job that failed on a full disk, and was resumed on a larger one.
struct Twice {
    /// The driver's log when the disk was full.
    log: String,
    /// What was committed by then.
    before: BTreeMap<String, usize>,
    /// The second run.
    ended: Ended,
}

/// `None` if a small disk cannot be mounted here.
#[track_caller]
fn run_twice(job: TestJob, size: &str) -> Option<Twice> {
    fs::create_dir(job.path("files")).expect("our own folder can be written");
    if !can_mount(&job) {
        return None;
    }
    let run = job.job_command("run", &[]);
    let mut command = Command::new("unshare");
    command.current_dir(job.path("")).args(["-rm", "sh", "-c", TWICE, size]);
    command.arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut run = job.start("twice", command);
    run.wait();

    let read = |name: &str| fs::read_to_string(job.path(name)).expect("the first run was there");
    let log = read("first.stderr");
    assert_eq!(read("first.code").trim(), "1", "the disk was large enough: {log}");
    assert_eq!(entries(&job.path("first/.mapmill/staging")), [""; 0], "left staged: {log}");
    let before = commits_in(&job.path("first"));
    let ended = Ended::new(job, run).check();
    assert_resumed(&before, &ended);
    let verified = ended.job.command("verify").output().expect("the program starts");
    assert!(verified.status.success(), "{verified:?}");
    Some(Twice { log, before, ended })
}

fn can_mount(job: &TestJob) -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "mount", "-t", "tmpfs", "tmpfs"]).arg(job.path("files"));
    let can_mount = probe.output().is_ok_and(|output| output.status.success());
    if !can_mount {
        #[expect(clippy::print_stderr, reason = "a test that does nothing should say so")]
        {
            eprintln!("skipped: this system does not let us mount a small disk");
        }
    }
    can_mount
}

/// The tasks that were committed `before` did not run again.
#[track_caller]
fn assert_resumed(before: &BTreeMap<String, usize>, ended: &Ended) {
    assert!(ended.log.contains("resuming the job in"), "{}", ended.log);
    for task in before.keys() {
        let again = ended.log.contains(&format!(": start {task}."));
        assert!(!again, "{task} ran again: {}", ended.log);
    }
}

/// The error names the file, and the advice names the folder and its free space.
#[track_caller]
fn assert_says(twice: &Twice, file: &str, size: &str) {
    let Twice { log, ended, .. } = twice;
    let files = ended.job.path("files");
    for part in [
        format!("{file}: No space left on device (os error 28)"),
        format!("free some space in {} (", files.display()),
        format!(" free of {size} now), and run the job again, without --fresh"),
    ] {
        assert!(log.contains(&part), "no `{part}` in {log}");
    }
}

#[test]
fn job_without_space_for_intermediates_is_resumed_when_there_is_space() {
    let job = TestJob::new().sample().workers(2);
    let Some(twice) = run_twice(job, "400k") else { return };

    assert!(twice.log.contains("no space for "), "{}", twice.log);
    assert!(twice.log.contains(": No space left on device (os error 28)"), "{}", twice.log);
    assert_eq!(entries(&twice.ended.job.path("first/out")), [""; 0]);
    let report = fs::read(twice.ended.job.path("first.stdout")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["state"], "failed");
}

#[test]
fn job_without_space_for_outputs_is_resumed_when_there_is_space() {
    let job = TestJob::new().input(letters(40_000)).map_tasks(2).reduce_tasks(2).workers(2);
    let Some(twice) = run_twice(job, "280k") else { return };

    let bucket = usize::from(!twice.log.contains("reduce task 0 (bucket 0) ended the job"));
    assert_says(&twice, &format!("out-{bucket}"), "280.0 KiB");
    assert_eq!(twice.before.len(), 2, "both map tasks: {}", twice.log);
}

#[test]
fn job_without_space_for_runs_is_resumed_when_there_is_space() {
    // What is merged is there twice for a moment.
    let job = TestJob::new().input(letters(20_000)).map_tasks(2).reduce_tasks(2).workers(1);
    let job = job.variable(FAIL_POINTS, "worker::memory=return(0)");
    let Some(twice) = run_twice(job, "180k") else { return };

    assert!(twice.log.contains("/r0.a0/run-"), "{}", twice.log);
    assert_says(&twice, "", "180.0 KiB");
    assert_eq!(twice.before.len(), 2, "both map tasks: {}", twice.log);
}

#[test]
fn job_without_space_for_its_journal_is_resumed_when_there_is_space() {
    let job = many_records().workers(2);
    let Some(twice) = run_twice(job, "32k") else { return };

    assert_says(&twice, "journal.jsonl", "32.0 KiB");
    let records = records_in(&twice.ended.job.path("first"));
    let written_after = records.iter().any(|record| record["kind"] == "end");
    assert!(!written_after, "the end was written behind what could not be");
    assert!(twice.before.len() > 10, "{:?}", twice.before);
}

/// The system has one error for both: `No space left on device`.
#[test]
fn disk_without_inodes_is_told_from_one_without_space() {
    let script = r#"mount -t tmpfs -o size=16m,nr_inodes=12 tmpfs files || exit 99; "$@""#;
    let job = TestJob::new().sample().workers(1);
    let Some(mut run) = on_small_disk(&job, script, &["run", "inputs"]) else { return };

    assert_ne!(run.code(), 0);
    run.wait_for("No space left on device (os error 28)");
    let advice = run.wait_for("remove some files in ");
    assert!(advice.contains(" of 12 inodes free now, and "), "{advice}");
}

#[test]
fn disk_that_is_full_before_the_lock_is_written_has_its_advice() {
    let script = r#"
mount -t tmpfs -o size=4k tmpfs files && mkdir files/.mapmill || exit 99
echo x >files/.mapmill/filler
"$@""#;
    let job = TestJob::new().input("a b");
    let Some(mut run) = on_small_disk(&job, script, &["run"]) else { return };

    assert_eq!(run.code(), 2);
    run.wait_for("/.mapmill/lock: No space left on device (os error 28)");
    run.wait_for("free some space in ");
}

/// What was copied is removed before the free space is told.
#[test]
fn standard_input_that_does_not_fit_is_not_kept() {
    let script = r#"
mount -t tmpfs -o size=256k tmpfs files || exit 99
yes word | head -c 1000000 | "$@"
code=$?
find files -name 'input-*' >&2
exit $code"#;
    let job = TestJob::new();
    let Some(mut run) = on_small_disk(&job, script, &["run", "-"]) else { return };

    assert_eq!(run.code(), 2);
    let (log, files) = (run.log(), job.path("files"));
    let sentence = format!("cannot copy standard input into {}: No space left", files.display());
    assert!(log.contains(&sentence), "{log}");
    let advice = run.wait_for(" of 256.0 KiB now), and run the job again, with the same input");
    let free = advice.split_once('(').and_then(|(_, rest)| rest.split_once(".0 KiB free"));
    let free: u32 = free.and_then(|(free, _)| free.parse().ok()).expect("the free space is told");
    assert!(free > 200, "{advice}");
    assert!(!log.contains("input-"), "{log}");
}

#[test]
fn clean_on_a_read_only_disk_names_the_cause() {
    let script = r#"
mount -t tmpfs tmpfs files || exit 99
"$1" run inputs -q && mount -o remount,ro files || exit 98
"$@""#;
    let job = TestJob::new().input("a b");
    let Some(mut clean) = on_small_disk(&job, script, &["clean"]) else { return };

    assert_eq!(clean.code(), 2);
    let log = clean.log();
    assert!(
        log.ends_with(
            "/.mapmill/lock: Read-only file system (os error 30)
"
        ),
        "{log}"
    );
}

/// Runs a `script` with the arguments `mapmill` and `args`, in which `files` can be mounted. `None`
/// if a small disk cannot be mounted here.
#[track_caller]
fn on_small_disk(job: &TestJob, script: &str, args: &[&str]) -> Option<Process> {
    fs::create_dir(job.path("files")).expect("our own folder can be written");
    if !can_mount(job) {
        return None;
    }
    let program = job.command("").get_program().to_owned();
    let mut command = Command::new("unshare");
    command.current_dir(job.path("")).args(["-rm", "sh", "-c", script, "sh"]);
    command.arg(program).args(args);
    Some(job.start("small-disk", command))
}

/// A limit on the size of files is met by the journal, which is the largest.
#[test]
fn job_whose_journal_hits_a_file_size_limit_is_resumed_without_the_limit() {
    let job = many_records().workers(2);
    let run = job.job_command("run", &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 24 && exec \"$@\"", "sh"]);
    command.current_dir(job.path("")).arg(run.get_program()).args(run.get_args());
    let mut run = job.start("limited", command);

    assert_eq!(run.code(), 1);
    run.wait_for("journal.jsonl: File too large (os error 27)");
    run.wait_for("free some space in ");
    let before = job.commits();
    assert!(before.len() > 10, "{before:?}");
    assert!(!job.records().iter().any(|record| record["kind"] == "end"));
    assert_resumed(&before, &job.run().check());
}

/// The disk has space again at once: a second attempt would write behind half a line.
#[test]
fn failed_append_to_the_journal_is_not_repeated() {
    let journal = check_refusal(
        "driver::torn@map=2*off->1*return(28)",
        &["journal.jsonl: No space left on device (os error 28)", "free some space in "],
    );
    assert!(!journal.ends_with('\n'), "something was written behind half a line: {journal}");
}

/// A second sync may succeed without the bytes of the first.
#[test]
fn failed_sync_of_the_journal_is_not_repeated() {
    let journal = check_refusal(
        "driver::appended@map=2*off->1*return(5)",
        &["journal.jsonl: Input/output error (os error 5)", "check the disk of "],
    );
    assert!(!journal.contains(r#""kind":"end""#), "something was written after it: {journal}");
}

/// A write to the journal is refused once. The driver logs the `parts` and ends; started again it
/// resumes. Returns the journal as the first run left it.
#[track_caller]
fn check_refusal(place: &str, parts: &[&str]) -> String {
    let job = many_records().workers(1);
    let mut command = job.job_command("run", &[]);
    command.env(FAIL_POINTS, place);
    let mut run = job.start("refused", command);

    assert_eq!(run.code(), 1, "{place}");
    for part in
        [parts, &["is closed for writing because an earlier write failed", "and run the job again"]]
            .concat()
    {
        run.wait_for(part);
    }
    let journal = fs::read_to_string(job.result(".mapmill/journal.jsonl")).expect("it was begun");
    let before = job.commits();
    assert!(before.len() >= 2, "{before:?}");
    assert_resumed(&before, &job.run().check());
    journal
}

#[test]
fn journal_that_cannot_be_created_leaves_nothing_behind() {
    let job = many_records().workers(1);
    let mut command = job.job_command("run", &[]);
    command.env(FAIL_POINTS, "driver::begin-torn=return(28)");
    let mut run = job.start("refused", command);

    assert_eq!(run.code(), 2);
    run.wait_for("cannot begin the journal");
    run.wait_for("No space left on device (os error 28)");
    run.wait_for("free some space in ");
    assert_eq!(entries(&job.result(".mapmill")), ["claims", "lock", "staging"]);
    job.run().check();
}

/// A job whose journal is larger than all that it writes besides, the log of the test included:
/// few words, and records of many buckets.
fn many_records() -> TestJob {
    let text = format!("Ask for me {}", "1 ".repeat(1000));
    TestJob::new().input(text).map_tasks(50).reduce_tasks(40)
}

/// So many words of four letters, no word twice: what the map tasks write, the reduce tasks write
/// once more, with counts.
fn letters(count: u32) -> String {
    let word = |number: u32| [0, 4, 8, 12].map(|at| char::from(b'a' + (number >> at & 15) as u8));
    (0..count).flat_map(|number| word(number).into_iter().chain([' '])).collect()
}
