//! A poisoned task, which no worker survives or completes: it fails the job, by name, and costs
//! nothing else.
//!
//! The other tasks stay committed. Without the poison, the same command resumes the job and runs
//! none of them again.

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rustix::process::Signal;

use util::cluster::{FAIL_POINTS, Phase};
use util::job::{TestJob, entries};

/// What is wrong with one task, and how that fails the job.
struct Poison {
    /// One of the worker's places.
    place: &'static str,
    /// The driver's name of the task.
    task: &'static str,
    flags: &'static [&'static str],
    /// How many times it is attempted.
    attempts: usize,
    /// Parts of the messages.
    parts: &'static [&'static str],
    /// Address space of each process, in KiB.
    memory_max: Option<u32>,
}

/// As often as a task may fail, and as often as it may be lost with its worker.
const ATTEMPTS: usize = 4;
const LOSSES: usize = 16;

/// A lost worker takes this long to notice; sixteen may be lost. Nothing is raced, so that attempts
/// can be counted.
const QUICK: &[&str] = &["--worker-timeout", "0.5", "--no-backup"];

#[test]
fn map_task_that_panics_fails_the_job_and_kills_no_worker() {
    let log = check(Poison {
        place: "worker::map@5=panic(no such letter)",
        task: "m5",
        flags: &[],
        attempts: ATTEMPTS,
        parts: &["m5 failed too often", "the worker panicked: no such letter"],
        memory_max: None,
    });
    assert!(!log.contains("starting another"), "a worker died: {log}");
}

#[test]
fn reduce_task_that_panics_fails_the_job_and_kills_no_worker() {
    let log = check(Poison {
        place: "worker::reduce@3=panic",
        task: "r3",
        flags: &[],
        attempts: ATTEMPTS,
        parts: &["reduce task 3 (bucket 3) ended the job: r3 failed too often", "panicked"],
        memory_max: None,
    });
    assert!(!log.contains("starting another"), "a worker died: {log}");
}

#[test]
fn task_that_kills_its_workers_fails_the_job() {
    check(Poison {
        place: "worker::map@5=return(abort)",
        task: "m5",
        flags: QUICK,
        attempts: LOSSES,
        parts: &[
            "m5 lost too many workers",
            "ended: killed by signal 6 (SIGABRT); starting another",
        ],
        memory_max: None,
    });
}

#[test]
fn task_that_uses_all_memory_fails_the_job() {
    check(Poison {
        place: "worker::map@5=return(hoard)",
        task: "m5",
        flags: QUICK,
        attempts: LOSSES,
        parts: &["m5 lost too many workers", "memory allocation of 67108864 bytes failed"],
        memory_max: Some(2_000_000),
    });
}

#[test]
fn task_that_hangs_fails_the_job() {
    let log = check(Poison {
        place: "worker::map@5=return(hang)",
        task: "m5",
        flags: &["--task-timeout", "1", "--no-backup"],
        attempts: ATTEMPTS,
        parts: &["m5 failed too often", "stuck: heartbeats arrived, but the attempt made no"],
        memory_max: None,
    });
    assert!(!log.contains("starting another"), "a worker died: {log}");
}

#[test]
fn worker_with_a_stuck_attempt_stops_when_it_is_told_to() {
    let mut cluster = TestJob::new().input("a b c d").map_tasks(1).drive();
    let worker = cluster.worker_with_faults("worker::map=return(hang)");
    let attempt = cluster.running(Phase::Map, worker);
    cluster.signal(worker, Signal::TERM);

    assert_eq!(cluster.workers[worker].code(), 130);
    let other = cluster.worker(&[]);
    assert_eq!(cluster.reassigned_to(attempt), other);
    cluster.finish().assert_lost(attempt);
}

#[test]
fn worker_with_four_stuck_attempts_leaves() {
    let job = TestJob::new().input("a b c d").map_tasks(2);
    let flags = ["--task-timeout", "0.5", "--worker-timeout", "2", "--attempts", "9"];
    let mut cluster = job.flags(flags).drive();
    let worker = cluster.worker_with_faults("worker::map=return(hang)");

    assert_eq!(cluster.workers[worker].code(), 1);
    cluster.workers[worker]
        .wait_for("4 attempts are stuck and still hold memory and threads; start");
    cluster.worker(&[]);
    let ended = cluster.finish();
    assert_eq!(ended.log.matches(": discard m").count(), 5, "{}", ended.log);
}

/// Runs the poisoned job until it fails, and again without the poison until it is done. Returns the
/// log of the first run.
#[track_caller]
fn check(poison: Poison) -> String {
    let text = "Ask for me to-morrow, and you shall find me a grave man. ".repeat(60);
    let job = TestJob::new().input(text).map_tasks(6).workers(2).flags(poison.flags);
    let run = job.job_command("run", &[]);
    let mut command = Command::new("sh");
    let limit = poison.memory_max.map_or("unlimited".to_owned(), |kib| kib.to_string());
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &limit]);
    command.arg(run.get_program()).args(run.get_args());
    command.current_dir(job.path("")).env(FAIL_POINTS, poison.place);
    let mut run = job.start("poisoned", command);

    assert_eq!(run.code(), 1, "{}", poison.place);
    let log = run.log();
    let told = log.matches(&format!("\n  {}.a", poison.task)).count();
    assert_eq!(told, poison.attempts, "attempts in {log}");
    for part in poison.parts {
        assert!(log.contains(part), "no `{part}` in {log}");
    }
    if poison.task == "m5" {
        // The last of six shares.
        let path = fs::canonicalize(job.path("inputs/000.txt")).expect("it is there");
        let share = format!("map task 5 (bytes 2850 to 3420 of {}) ended the job", path.display());
        assert!(log.contains(&share), "no `{share}` in {log}");
    }
    assert_eq!(entries(&job.result(".mapmill/staging")), [""; 0], "left staged");
    let before: BTreeSet<_> = job.commits().into_keys().collect();
    assert!(before.len() >= 3 && !before.contains(poison.task), "{before:?}");

    let ended = job.run().check();
    assert!(ended.log.contains("resuming the job in"), "{}", ended.log);
    for task in before {
        let again = ended.log.contains(&format!(": start {task}."));
        assert!(!again, "{task} ran again: {}", ended.log);
    }
    log
}
