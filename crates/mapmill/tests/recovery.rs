//! A driver that is killed, at any moment, and started again: the job is resumed.
//!
//! What the journal calls committed is not done again, and the results are the same bytes.

mod util;

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use util::cluster::{Cluster, Phase};
use util::job::{TestJob, results};
use util::random::Random;
use util::runs::Times;

/// A job that takes long enough to be killed in.
fn job() -> TestJob {
    TestJob::new().sample().map_tasks(12).flags(["--worker-timeout", "2"])
}

/// The job, after so many commits of map tasks, when all its processes are dead.
#[track_caller]
fn cut_off_after(maps: usize) -> Cluster {
    let mut cluster = job().drive();
    let worker = cluster.worker(&["--throttle", "400K"]);
    cluster.maps_committed(maps);
    cluster.kill_driver();
    cluster.workers[worker].kill();
    cluster
}

#[test]
fn killed_driver_resumes_where_it_was_and_its_workers_register_again() {
    let mut cluster = job().drive();
    let worker = cluster.worker(&["--throttle", "400K"]);
    cluster.maps_committed(5);
    cluster.running(Phase::Map, worker);
    cluster.kill_driver();
    let before = cluster.job.commits();
    assert!(before.len() >= 5, "{before:?}");

    cluster.start_driver_again(&[]);
    let said = format!("{} of 12 map tasks and 0 of 4 reduce tasks are done", before.len());
    cluster.driver.wait_for(&said);
    cluster.workers[worker].wait_for("considers this worker lost, or was restarted");

    cluster.driver.wait_for(&format!("map    12 tasks ({} already done), ", before.len()));
    cluster.driver.wait_for(&format!(" lost; {} tasks were already done", before.len()));
    let after = finish_and_count(cluster, &before);
    assert_eq!(after.len(), 16);
}

/// The job ends well; what was committed `before` was not begun again by this driver.
#[track_caller]
fn finish_and_count(mut cluster: Cluster, before: &Times) -> Times {
    cluster.driver.wait_for(": job done");
    cluster.driver.wait();
    let log = cluster.driver.log();
    for task in before.keys() {
        assert!(!log.contains(&format!(": start {task}.")), "{task} ran again: {log}");
    }
    let after = cluster.job.commits();
    for (task, times) in &after {
        assert_eq!(*times, 1, "{task} was committed {times} times");
    }
    cluster.finish();
    after
}

#[test]
fn driver_killed_again_and_again_loses_nothing() {
    let mut random = Random::new();
    let mut cluster = job().drive();
    for _ in 0..2 {
        cluster.worker(&["--throttle", "150K"]);
    }
    let mut before = Times::new();
    let mut epochs = 1;
    while epochs < 12 {
        thread::sleep(Duration::from_millis(100 + random.below(500) as u64));
        if cluster.driver.ended().is_some() {
            break;
        }
        cluster.kill_driver();
        let log = cluster.driver.log();
        for task in before.keys() {
            assert!(!log.contains(&format!(": start {task}.")), "{task} ran again: {log}");
        }
        before = cluster.job.commits();
        cluster.start_driver_again(&[]);
        epochs += 1;
    }
    assert!(epochs > 5, "the job was over after {epochs} epochs: nothing was tried");

    let after = finish_and_count(cluster, &before);
    assert_eq!(after.len(), 16);
}

#[test]
fn torn_record_is_cut_off_and_its_task_done_again() {
    let mut cluster = cut_off_after(3);
    let journal = cluster.job.result(".mapmill/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.truncate(bytes.len() - 7);
    fs::write(&journal, bytes).unwrap();
    let before = cluster.job.commits();

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for(&format!("{} of 12 map tasks", before.len()));
    cluster.worker_called(0, &[]);
    finish_and_count(cluster, &before);
}

#[test]
fn committed_task_whose_file_is_gone_is_done_again_and_no_other() {
    let mut cluster = cut_off_after(4);
    let mut before = cluster.job.commits();
    let lost = before.pop_first().expect("four tasks are committed").0;
    let name = format!("intermediate/mr-{}-2", &lost[1..]);
    fs::remove_file(cluster.job.result(name)).unwrap();

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for(&format!("{} of 12 map tasks", before.len()));
    cluster.worker_called(0, &[]);
    cluster.driver.wait_for(": job done");
    cluster.driver.wait();
    let log = cluster.driver.log();
    assert!(log.contains(&format!(": start {lost}.")), "{lost} did not run again: {log}");
    for task in before.keys() {
        assert!(!log.contains(&format!(": start {task}.")), "{task} ran again: {log}");
    }
    cluster.finish();
}

/// The last commit was recorded, and nothing after it.
#[test]
fn job_that_only_lacks_its_end_ends_at_once() {
    let mut cluster = job().drive();
    cluster.worker(&[]);
    cluster.driver.wait();
    cluster.workers[0].wait();
    let journal = cluster.job.result(".mapmill/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let (commits, end) = whole.trim_end().rsplit_once('\n').unwrap();
    assert!(end.contains(r#""outcome":"done""#), "{end}");
    fs::write(&journal, format!("{commits}\n")).unwrap();

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for("12 of 12 map tasks and 4 of 4 reduce tasks are done");
    cluster.driver.wait_for("already done; nothing was left to do");
    cluster.finish();
}

#[test]
fn interrupted_job_is_resumed_and_fresh_starts_over() {
    let mut cluster = job().drive();
    let worker = cluster.worker(&["--throttle", "400K"]);
    cluster.maps_committed(3);
    cluster.driver.signal(Signal::INT);
    assert_eq!(cluster.driver.code(), 130);
    assert_eq!(cluster.workers[worker].code(), 0, "it was told");
    let before = cluster.job.commits();

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for(&format!("{} of 12 map tasks", before.len()));
    cluster.kill_driver();
    cluster.start_driver_again(&["--fresh"]);
    cluster.worker_called(0, &[]);
    cluster.driver.wait_for(": start m0.");
    cluster.driver.wait();
    assert_eq!(cluster.job.commits().len(), 16);
    assert_eq!(cluster.job.records()[0]["epoch"], 3, "every driver had an epoch of its own");
    cluster.finish();
}

#[test]
fn mistake_in_the_arguments_does_not_discard_an_unfinished_job() {
    let mut cluster = cut_off_after(3);
    let before = cluster.job.commits();
    let files = results(&cluster.job.result(""));

    cluster.start_driver_again(&["--ignore-case"]);
    assert_eq!(cluster.driver.code(), 2);
    cluster.driver.wait_for(
        "holds an unfinished job that differs from this one (case: significant then, ignored now); \
         repeat the command of that job to resume it, choose another folder with --files, or discard that \
         job with --fresh",
    );
    assert_eq!(cluster.job.commits(), before);
    assert_eq!(results(&cluster.job.result("")), files);

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for(&format!("{} of 12 map tasks", before.len()));
    cluster.worker_called(0, &[]);
    finish_and_count(cluster, &before);
}

#[test]
fn journal_with_a_damaged_line_stops_the_driver_with_its_number() {
    let mut cluster = cut_off_after(3);
    let journal = cluster.job.result(".mapmill/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    let second = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 20;
    bytes[second] ^= 1;
    fs::File::create(&journal).unwrap().write_all(&bytes).unwrap();

    cluster.start_driver_again(&[]);
    assert_eq!(cluster.driver.code(), 2);
    cluster.driver.wait_for("is damaged in line 2; move the folder away, or start the job over");
}
