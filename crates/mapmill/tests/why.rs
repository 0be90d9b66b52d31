//! What `mapmill why` says after real processes were really killed, stopped and started again.
//!
//! The journal is all that it has, so every sentence here was written before the fault was over.

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use util::cluster::{Attempt, Cluster, Phase};
use util::job::{Ended, TestJob};
use util::process::{Process, poll};

/// Silence that is shorter than this was not waited for: the default is ten seconds.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What `mapmill why files WHAT` prints.
#[track_caller]
fn why(job: &TestJob, what: impl ToString) -> String {
    let mut command = job.command("why");
    let output = command.args(["files", &what.to_string()]).output().expect("it can be started");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("messages are text")
}

/// What it says became of `attempt`, which `worker` made.
#[track_caller]
fn fate(report: &str, attempt: Attempt, worker: usize) -> String {
    let start = format!("  {attempt} on w{worker} (");
    let mut lines = report.lines().skip_while(|line| !line.starts_with(&start));
    let (first, second) = (lines.next(), lines.next());
    assert!(first.is_some_and(|line| line.contains("started at ")), "{attempt}: {report}");
    second.expect("two lines an attempt").trim_start().to_owned()
}

fn text(bytes: usize) -> Vec<u8> {
    "one two three four five six seven\n".bytes().cycle().take(bytes).collect()
}

/// The attempt that worker `w<number>` of `run` was given first, and its process.
#[track_caller]
fn first_of(run: &mut Process, number: usize) -> (Attempt, Pid) {
    let line = run.wait_for(&format!(": start m{number}.a0 on w"));
    let worker = line.rsplit_once('w').expect("the line that was asked for").1.to_owned();
    let line = run.wait_for(&format!(": register w{worker} "));
    let pid = line.rsplit_once(':').expect("host:pid").1;
    let pid = pid.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse().ok();
    let pid = pid.and_then(Pid::from_raw).expect("the id of a process");
    let task = u32::try_from(number).expect("a small number");
    (Attempt { phase: Phase::Map, task, number: 0 }, pid)
}

#[test]
fn killed_worker_of_run_loses_its_task_at_once_and_why_names_the_signal() {
    let flags = ["--workers", "2", "--throttle", "4K"];
    let job = TestJob::new().input(text(16_000)).map_tasks(2).flags(flags);
    let mut run = job.start_run();
    let (attempt, victim) = first_of(&mut run, 0);
    kill_process(victim, Signal::KILL).expect("our own grandchild takes signals");
    let struck = Instant::now();

    run.wait_for(&format!(": discard {attempt}"));
    run.wait_for(&format!(": start {} on w", attempt.next()));
    assert!(struck.elapsed() < AT_ONCE, "reassigned after {:?}", struck.elapsed());
    run.wait_for("ended: killed by signal 9 (SIGKILL), probably out of memory (see --memory); starting another");
    // Live, as soon as the committer has written it.
    let died = "\n    the worker process died: killed by signal 9 (SIGKILL)";
    let is_noted = |report: &String| report.contains(died) && report.contains("still running");
    poll(|| Some(why(&job, "m0")).filter(is_noted), || "the notes of both attempts".to_owned());

    run.wait();
    let ended = Ended::new(job, run).check();
    assert_eq!(ended.attempts_lost(), 1);
    let report = why(&ended.job, "m0");
    assert!(report.contains("killed by signal 9 (SIGKILL)"), "{report}");
    assert!(report.ends_with("    committed: this is the one that counts\n"), "{report}");
    let overview = ended.job.command("why").output().expect("it can be started").stdout;
    let overview = String::from_utf8(overview).expect("messages are text");
    assert!(overview.contains("    1 worker died: m0.a0\n"), "{overview}");
    assert!(overview.contains("more than one attempt: m0 (2)\n"), "{overview}");
}

#[test]
fn why_distinguishes_lost_workers_from_stuck_attempts() {
    let flags = ["--worker-timeout", "2", "--task-timeout", "10", "--no-backup"];
    let mut cluster = TestJob::new().input(text(40_000)).map_tasks(2).flags(flags).drive();
    let victim = cluster.worker(&["--throttle", "1000"]);
    let killed = cluster.running(Phase::Map, victim);
    let sleeper = cluster.worker(&["--throttle", "1000"]);
    let stopped = cluster.running(Phase::Map, sleeper);
    cluster.workers[victim].kill();
    cluster.signal(sleeper, Signal::STOP);
    cluster.worker(&[]);
    cluster.driver.wait_for(&format!(": discard {stopped}"));
    cluster.workers[sleeper].kill();
    let ended = cluster.finish();
    for (attempt, worker) in [(killed, victim), (stopped, sleeper)] {
        ended.assert_lost(attempt);
        let task = attempt.to_string();
        let told = fate(&why(&ended.job, task.split('.').next().expect("m0")), attempt, worker);
        assert!(told.starts_with("lost: the worker was silent for "), "{told}");
    }

    // Stopped for less than its worker's time, and more than its own.
    let flags = ["--worker-timeout", "10", "--task-timeout", "1"];
    let mut cluster = TestJob::new().input(text(40_000)).map_tasks(1).flags(flags).drive();
    let sleeper = cluster.worker(&["--throttle", "4K"]);
    let attempt = cluster.running(Phase::Map, sleeper);
    cluster.signal(sleeper, Signal::STOP);
    let other = cluster.worker(&["--throttle", "40K"]);
    assert_eq!(cluster.reassigned_to(attempt), other);
    cluster.signal(sleeper, Signal::CONT);
    let ended = cluster.finish();
    // The report counts as the history does.
    let attempts = &ended.report()["attempts"];
    assert_eq!((&attempts["failed"], &attempts["lost"]), (&1.into(), &0.into()), "{attempts}");
    let report = why(&ended.job, "m0");
    let told = fate(&report, attempt, sleeper);
    assert!(told.starts_with("stuck: heartbeats arrived, but the attempt made no"), "{told}");
    let told = fate(&report, attempt.next(), other);
    assert_eq!(told, "committed: this is the one that counts");
}

#[test]
fn attempts_that_ran_when_the_driver_was_killed_are_cut_off_with_it() {
    let mut cluster = TestJob::new().input(text(16_000)).map_tasks(2).drive();
    let worker = cluster.worker(&["--throttle", "8K"]);
    let attempt = cluster.running(Phase::Map, worker);
    let task = attempt.to_string().split('.').next().expect("m0").to_owned();
    // The line of the start is written by another thread than the log.
    let report = poll(
        || Some(why(&cluster.job, &task)).filter(|report| report.contains(&attempt.to_string())),
        || "the note of the start".to_owned(),
    );
    assert_eq!(fate(&report, attempt, worker), "still running");
    cluster.kill_driver();
    let report = why(&cluster.job, &task);
    assert_eq!(fate(&report, attempt, worker), "cut off: its driver ended before it did");
    assert!(report.ends_with("  not committed: the job was cut off\n"), "{report}");

    cluster.start_driver_again(&[]);
    let ended = cluster.finish();
    let report = why(&ended.job, &task);
    assert_eq!(fate(&report, attempt, worker), "cut off: its driver ended before it did");
    let (first, second) = report.split_once("\ndriver 2, ").expect("two drivers");
    assert!(first.contains("\ndriver 1, ") && second.contains("committed: this"), "{report}");
}

/// An intermediate is lost twice, and between the two the driver is killed.
#[test]
fn why_shows_recalls_and_their_bound_survives_a_restart() {
    let flags = ["--attempts", "2", "--worker-timeout", "2"];
    let job = TestJob::new().input(text(20_000)).map_tasks(2).reduce_tasks(2).flags(flags);
    let mut cluster = job.drive();
    let lost = |cluster: &Cluster| cluster.job.result("intermediate/mr-1-0");
    let recalls = |job: &TestJob| {
        let report = why(job, "m1");
        let is_recall = |line: &&str| {
            line.starts_with("    committed, and recalled when r0.a")
                && line.ends_with(" found: intermediate of map task 1 is missing")
        };
        report.lines().filter(is_recall).count()
    };

    let mapper = cluster.worker(&["--throttle", "20K"]);
    cluster.maps_committed(2);
    cluster.workers[mapper].kill();
    fs::remove_file(lost(&cluster)).expect("it is committed");
    // Too slow to get done with the map task again.
    let finder = cluster.worker(&["--throttle", "5K"]);
    poll(|| (recalls(&cluster.job) == 1).then_some(()), || "the note of a recall".to_owned());
    cluster.driver.wait_for("map    1 of 2 tasks run again: their intermediates were lost");
    cluster.kill_driver();
    cluster.workers[finder].kill();
    let report = why(&cluster.job, "m1");
    assert!(!report.contains("this is the one"), "{report}");

    cluster.start_driver_again(&[]);
    // The record that was recalled does not count, though nothing else has changed.
    cluster.driver.wait_for("1 of 2 map tasks and ");
    cluster.worker_called(0, &["--throttle", "20K"]);
    cluster.driver.wait_for(": published m1.a0");
    cluster.workers[2].kill();
    fs::remove_file(lost(&cluster)).expect("it is committed again");
    cluster.worker_called(1, &[]);
    cluster.driver.wait_for("the intermediates of m1 were lost too often");
    let (ended, _) = cluster.end();
    assert_eq!(ended.code, 1);
    assert_eq!(recalls(&ended.job), 2);
}

#[test]
fn failed_job_lists_its_attempts_in_the_words_of_why() {
    let flags = ["--worker-timeout", "2"];
    let mut cluster = TestJob::new().input(text(40_000)).map_tasks(1).flags(flags).drive();
    let victim = cluster.worker(&["--throttle", "1000"]);
    let lost = cluster.running(Phase::Map, victim);
    cluster.workers[victim].kill();
    fs::remove_file(cluster.job.path("inputs/000.txt")).expect("the test's own file");
    let worker = cluster.worker(&[]);
    assert_eq!(cluster.reassigned_to(lost), worker);
    let (ended, _) = cluster.end();

    assert_eq!(ended.code, 1);
    let (_, said) =
        ended.log.split_once(" ended the job: m0 cannot succeed\n").expect("it says so");
    let report = why(&ended.job, "m0");
    for (attempt, worker) in [(lost, victim), (lost.next(), worker)] {
        let told = fate(&report, attempt, worker);
        let line =
            said.lines().find(|line| line.starts_with(&format!("  {attempt} on w{worker} (")));
        assert!(line.is_some_and(|line| line.ends_with(&told)), "{told}: {said}");
    }
    assert!(fate(&report, lost.next(), worker).ends_with("disappeared during the job"), "{report}");
    assert!(report.ends_with("  not committed: the job failed\n"), "{report}");
    // The command that it names can be typed as it is.
    let (_, command) = said.split_once("details: mapmill ").expect("it names a command");
    let mut words = command.lines().next().expect("a line").split(' ');
    assert_eq!(words.next(), Some("why"));
    let output = ended.job.command("why").args(words).output().expect("it can be started").stdout;
    let told = String::from_utf8(output).expect("messages are text");
    assert_eq!(
        told.lines().skip(1).collect::<Vec<_>>(),
        report.lines().skip(1).collect::<Vec<_>>()
    );
}

/// Every read finds whole records, whatever is being written.
#[test]
fn journal_can_be_read_while_it_is_written() {
    let flags = ["--workers", "4"];
    let job = TestJob::new().input(text(40_000)).map_tasks(400).reduce_tasks(8).flags(flags);
    let mut run = job.start_run();
    run.wait_for(": start m0.a0 on ");
    let mut seen = BTreeSet::new();
    while run.ended().is_none() {
        let history = journal::history(&job.result("")).expect("a journal can always be read");
        seen.insert(history.attempted(journal::Phase::Map).count());
    }
    assert!(seen.len() > 10, "looked at {} moments only", seen.len());
    let history = journal::history(&job.result("")).expect("a journal can always be read");
    assert_eq!(history.state, journal::State::Done);
    assert_eq!(history.attempted(journal::Phase::Map).count(), 400);
    Ended::new(job, run).check();
}
