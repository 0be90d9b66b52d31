//! Real processes, real signals: whatever dies, hangs or is damaged, the answer is right or there
//! is none.
//!
//! Every test shows that its fault has struck: the attempt it was meant for was started and did not
//! report. Workers that are to be hit are slowed down, so that there is time to hit them.

mod util;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use util::cluster::{Cluster, Phase};
use util::job::{TestJob, results};

/// How long after its deadline a task may be reassigned: our machine is shared.
const SLACK: Duration = Duration::from_millis(1500);

/// Timeouts, made short.
const QUICK: [&str; 2] = ["--worker-timeout", "2"];
const QUICK_TIMEOUT: Duration = Duration::from_secs(2);

/// A job that reassigns only what a worker has lost: backups would often be faster.
fn patient() -> TestJob {
    TestJob::new().flags(["--no-backup"])
}

/// A job of `bytes` bytes that considers silent workers dead soon.
fn job(bytes: usize) -> TestJob {
    patient().input(text(bytes)).flags(QUICK)
}

/// Words with all kinds of first letters.
fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for index in 0_u32.. {
        text.extend([index * 7 % 26, index / 26 % 26, index / 676 % 26].map(|at| b'a' + at as u8));
        text.push(if index % 10 == 9 { b'\n' } else { b' ' });
        if text.len() >= bytes {
            break;
        }
    }
    text.truncate(bytes);
    text
}

#[test]
fn worker_killed_in_a_map_task_is_replaced() {
    let mut cluster = job(60_000).drive();
    // It would take ten seconds for its share, and makes progress all the time.
    let victim = cluster.worker(&["--throttle", "1000"]);
    let attempt = cluster.running(Phase::Map, victim);
    let other = cluster.worker(&[]);
    cluster.maps_committed(5);
    let killed = cluster.workers[victim].kill();

    assert_eq!(cluster.reassigned_to(attempt), other);
    assert!(killed.elapsed() < QUICK_TIMEOUT + SLACK, "{:?}", killed.elapsed());
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    assert_eq!(ended.attempts_lost(), 1);
}

#[test]
fn worker_killed_in_a_reduce_task_is_replaced() {
    let mut cluster = job(60_000).map_tasks(2).reduce_tasks(2).drive();
    let victim = cluster.worker(&["--throttle", "60K"]);
    let attempt = cluster.running(Phase::Reduce, victim);
    let killed = cluster.workers[victim].kill();
    let other = cluster.worker(&[]);

    assert_eq!(cluster.reassigned_to(attempt), other);
    assert!(killed.elapsed() < QUICK_TIMEOUT + SLACK, "{:?}", killed.elapsed());
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    assert_eq!(ended.attempts_lost(), 1);
}

#[test]
fn by_default_killed_and_stopped_workers_are_replaced_within_ten_seconds() {
    let mut cluster = patient().sample().drive();
    let slow = ["--throttle", "60K"];
    let (victim, sleeper) = (cluster.worker(&slow), cluster.worker(&slow));
    let lost = [cluster.running(Phase::Map, victim), cluster.running(Phase::Map, sleeper)];
    cluster.signal(sleeper, Signal::STOP);
    let struck = cluster.workers[victim].kill();
    // It is busy until the sleeper wakes.
    let other = cluster.worker(&["--throttle", "150K"]);
    for attempt in lost {
        cluster.driver.wait_for(&format!(": discard {attempt}"));
    }
    assert!(struck.elapsed() < Duration::from_secs(10) + SLACK, "{:?}", struck.elapsed());
    for attempt in lost {
        assert_eq!(cluster.reassigned_to(attempt), other);
    }
    // The passing of time is the fault.
    thread::sleep(Duration::from_secs(15).saturating_sub(struck.elapsed()));
    cluster.signal(sleeper, Signal::CONT);

    cluster.workers[sleeper].wait_for("considers this worker lost");
    let ended = cluster.finish();
    for attempt in lost {
        ended.assert_lost(attempt);
    }
    assert_eq!(ended.attempts_lost(), 2);
    let [one, other] = lost.map(|attempt| format!("m{}", attempt.task));
    ended.assert_ran(&[&one, &other]);
}

#[test]
fn worker_that_is_told_to_stop_hands_its_task_back_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut cluster = patient().input(text(20_000)).map_tasks(1).drive();
        let leaver = cluster.worker(&["--throttle", "1000"]);
        let attempt = cluster.running(Phase::Map, leaver);
        let other = cluster.worker(&["--throttle", "100K"]);
        cluster.signal(leaver, signal);

        assert_eq!(cluster.reassigned_to(attempt), other);
        let (status, left) = cluster.workers[leaver].wait();
        assert_eq!(status.code(), Some(130));
        cluster.workers[leaver].wait_for("its task is reassigned to another worker");
        assert!(left.elapsed() < SLACK, "reassigned after {:?}", left.elapsed());
        let ended = cluster.finish();
        ended.assert_lost(attempt);
        assert_eq!(ended.attempts_lost(), 0, "no worker is blamed");
    }
}

#[test]
fn workers_killed_one_after_the_other_do_not_fail_the_job() {
    let job = job(20_000).map_tasks(2).flags(["--attempts", "1"]);
    let mut cluster = job.drive();
    let mut lost = Vec::new();
    for _ in 0..3 {
        let victim = cluster.worker(&["--throttle", "1000"]);
        lost.push(cluster.running(Phase::Map, victim));
        cluster.workers[victim].kill();
    }
    cluster.worker(&[]);
    let ended = cluster.finish();
    for &attempt in &lost {
        ended.assert_lost(attempt);
    }
    assert_eq!(ended.attempts_lost(), 3);
}

#[test]
fn worker_that_sleeps_past_its_lease_registers_again_and_works_on() {
    let mut cluster = job(20_000).map_tasks(2).drive();
    let sleeper = cluster.worker(&["--throttle", "5K"]);
    let attempt = cluster.running(Phase::Map, sleeper);
    cluster.signal(sleeper, Signal::STOP);
    // Slow enough that the job still runs when the sleeper wakes.
    let other = cluster.worker(&["--throttle", "10K"]);
    assert_eq!(cluster.reassigned_to(attempt), other);
    cluster.signal(sleeper, Signal::CONT);

    cluster.workers[sleeper].wait_for("considers this worker lost");
    cluster.workers[sleeper].wait_for("the job is over");
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    assert_eq!(ended.attempts_lost(), 1);
    ended.assert_ran(&[&format!("m{}", attempt.task)]);
    let registered = ended.log.matches(&format!(": register w{sleeper} ")).count();
    assert_eq!(registered, 2, "the sleeper did not come back to the running job");
}

#[test]
fn worker_that_sleeps_through_the_end_changes_nothing() {
    let mut cluster = job(20_000).map_tasks(2).drive();
    let number = cluster.worker(&["--throttle", "5K", "--driver-timeout", "30"]);
    let attempt = cluster.running(Phase::Map, number);
    let mut sleeper = cluster.workers.remove(number);
    sleeper.signal(Signal::STOP);
    cluster.worker_called(1, &[]);
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    let before = results(&ended.job.result(""));
    sleeper.signal(Signal::CONT);

    assert_eq!(sleeper.code(), 0);
    sleeper.wait_for("the job is over");
    assert!(results(&ended.job.result("")) == before);
    // What it may have staged after the driver swept is swept by the next one.
    ended.job.run().check();
}

#[test]
fn task_without_progress_is_reassigned_and_its_worker_told() {
    let job = patient().input(text(20_000)).map_tasks(2).flags(["--task-timeout", "1"]);
    let mut cluster = job.drive();
    let sleeper = cluster.worker(&["--throttle", "5K"]);
    let attempt = cluster.running(Phase::Map, sleeper);
    cluster.signal(sleeper, Signal::STOP);
    let other = cluster.worker(&["--throttle", "10K"]);
    assert_eq!(cluster.reassigned_to(attempt), other);
    cluster.signal(sleeper, Signal::CONT);

    let told = format!("the driver no longer needs map task {}, attempt 0", attempt.task);
    cluster.workers[sleeper].wait_for(&told);
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    // It is stuck, which is a failure.
    assert_eq!(ended.attempts_lost(), 0);
    assert_eq!(ended.report()["attempts"]["failed"], 1);
    ended.assert_ran(&[&format!("m{}", attempt.task)]);
}

#[test]
fn driver_without_workers_says_so_and_ends_after_worker_wait() {
    let mut cluster = job(20_000).map_tasks(2).flags(["--worker-wait", "12"]).drive();
    let worker = cluster.worker(&["--throttle", "1000"]);
    cluster.running(Phase::Map, worker);
    cluster.workers[worker].kill();

    let hint = format!("no worker is connected; start one with: mapmill worker --driver {}", {
        cluster.address()
    });
    cluster.driver.wait_for(&hint);
    assert_eq!(cluster.driver.code(), 1);
    cluster
        .driver
        .wait_for("no worker was connected for 12 s: the job stops; run the same command again");
}

#[test]
fn workers_leave_when_their_driver_is_killed() {
    let mut cluster = job(20_000).map_tasks(1).drive();
    let flags = ["--throttle", "1000", "--driver-timeout", "2"];
    let busy = cluster.worker(&flags);
    cluster.running(Phase::Map, busy);
    let idle = cluster.worker(&flags);
    let killed = cluster.driver.kill();

    for worker in [busy, idle] {
        let (status, at) = cluster.workers[worker].wait();
        assert_eq!(status.code(), Some(1), "w{worker}");
        assert!(at - killed < Duration::from_secs(3) + SLACK, "after {:?}", at - killed);
        cluster.workers[worker].wait_for("has not answered for 2 s; giving up");
    }
    assert!(!cluster.job.result("out/out-0").exists());
}

#[test]
fn driver_that_sleeps_past_all_leases_reassigns_nothing() {
    let mut cluster = job(20_000).map_tasks(2).drive();
    let worker = cluster.worker(&["--throttle", "5K"]);
    cluster.running(Phase::Map, worker);
    cluster.driver.signal(Signal::STOP);
    // The passing of time is the fault.
    thread::sleep(QUICK_TIMEOUT + Duration::from_secs(1));
    cluster.driver.signal(Signal::CONT);

    let ended = cluster.finish();
    assert!(ended.log.contains("this process was paused"), "{}", ended.log);
    assert_eq!(ended.attempts_lost(), 0);
    ended.assert_ran(&[]);
}

#[test]
fn idle_worker_and_then_all_workers_may_die() {
    let mut cluster = job(60_000).map_tasks(2).drive();
    let slow = cluster.worker(&["--throttle", "1000"]);
    let attempt = cluster.running(Phase::Map, slow);
    let idle = cluster.worker(&[]);
    cluster.maps_committed(1);
    cluster.workers[idle].kill();
    cluster.workers[slow].kill();

    cluster.driver.wait_for(&format!(": discard {attempt}"));
    cluster.worker(&[]);
    cluster.worker(&[]);
    let ended = cluster.finish();
    ended.assert_lost(attempt);
    // The other worker was dead when the task was assigned to it: that was noticed at once.
    assert_eq!(ended.attempts_lost(), 1);
    assert_eq!(ended.report()["workers"], 4);
}

/// The input of a running job is changed: the job fails and says how.
#[track_caller]
fn check_changed_input(change: impl FnOnce(&Path), parts: &[&str]) {
    let mut cluster = job(30_000).map_tasks(3).drive();
    let worker = cluster.worker(&["--throttle", "20K"]);
    cluster.running(Phase::Map, worker);
    let input = cluster.job.path("inputs/000.txt");
    change(&input);

    assert_eq!(cluster.workers[worker].code(), 0, "the worker is not to blame");
    let (ended, oracle) = cluster.end();
    let name = fs::canonicalize(input.parent().expect("the inputs folder")).expect("it is there");
    let name = name.join("000.txt").display().to_string();
    let parts = [&["ended the job", "cannot succeed", name.as_str()], parts].concat();
    ended.check_failed(&oracle, &[0, 1, 2, 3], &parts);
}

#[test]
fn input_that_shrinks_fails_the_job() {
    let shrink = |input: &Path| {
        OpenOptions::new().write(true).open(input).unwrap().set_len(10_000).unwrap();
    };
    check_changed_input(shrink, &["30000 bytes at start, 10000 now"]);
}

#[test]
fn input_that_grows_fails_the_job() {
    let grow = |input: &Path| {
        OpenOptions::new().append(true).open(input).unwrap().write_all(b" more").unwrap();
    };
    check_changed_input(grow, &["30000 bytes at start, 30005 now"]);
}

#[test]
fn input_that_is_modified_fails_the_job() {
    let touch = |input: &Path| {
        let later = SystemTime::now() + Duration::from_secs(1);
        File::open(input).unwrap().set_modified(later).unwrap();
    };
    check_changed_input(touch, &["was modified during the job (30000 bytes then and now)"]);
}

#[test]
fn input_that_disappears_fails_the_job() {
    check_changed_input(|input| fs::remove_file(input).unwrap(), &["disappeared during the job"]);
}

/// An intermediate is damaged between the phases: the map task that made it runs again, and no
/// other.
#[track_caller]
fn check_damaged_intermediate(damage: impl FnOnce(&Path), part: &str) {
    let mut cluster = job(60_000).map_tasks(3).drive();
    let mapper = cluster.worker(&["--throttle", "60K"]);
    cluster.maps_committed(3);
    cluster.workers[mapper].kill();
    let bucket = unread_bucket(&cluster);
    damage(&cluster.job.result(format!("intermediate/mr-1-{bucket}")));
    for _ in 0..2 {
        cluster.worker(&[]);
    }

    let ended = cluster.finish();
    assert!(ended.log.contains(&format!("r{bucket}.a0: {part}")), "{}", ended.log);
    assert!(ended.log.contains(": published m1.a1\n"), "{}", ended.log);
    for untouched in ["start m0.a1", "start m2.a1", "start m1.a2"] {
        assert!(!ended.log.contains(untouched), "{untouched}: {}", ended.log);
    }
}

/// A bucket that no attempt has read.
fn unread_bucket(cluster: &Cluster) -> u32 {
    let log = cluster.driver.log();
    let bucket = (0..4).find(|bucket| !log.contains(&format!(": start r{bucket}.")));
    bucket.expect("one worker does not do four tasks at once")
}

#[test]
fn intermediate_with_a_flipped_bit_is_not_counted() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    check_damaged_intermediate(flip, "intermediate of map task 1 is damaged");
}

#[test]
fn truncated_intermediate_is_not_counted() {
    let cut = |path: &Path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        // At the end of a line, so that what is left looks right.
        file.set_len(file.metadata().unwrap().len() - 4).unwrap();
    };
    check_damaged_intermediate(cut, "intermediate of map task 1 is damaged");
}

#[test]
fn missing_intermediate_is_not_read_as_an_empty_one() {
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    check_damaged_intermediate(remove, "intermediate of map task 1 is missing");
}

/// Each reduce attempt ends at the first that is lost. If each named one, the last would be found
/// by the twelfth attempt, and each attempt would read all that are there again.
#[test]
fn map_tasks_whose_intermediates_are_all_lost_run_again_together() {
    let mut cluster = job(60_000).map_tasks(12).drive();
    let mapper = cluster.worker(&["--throttle", "120K"]);
    cluster.maps_committed(12);
    cluster.workers[mapper].kill();
    for file in fs::read_dir(cluster.job.result("intermediate")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    for _ in 0..2 {
        cluster.worker(&[]);
    }

    let ended = cluster.finish();
    assert_eq!(ended.log.matches(": start m").count(), 24, "{}", ended.log);
    assert!(!ended.log.contains(".a3"), "{}", ended.log);
}

#[test]
fn two_drivers_do_not_share_a_folder() {
    let mut cluster = job(1000).drive();
    let listen = ["--listen", "127.0.0.1:0"];
    let mut second = cluster.job.start("second", cluster.job.job_command("driver", &listen));

    assert_eq!(second.code(), 2);
    second.wait_for("wait for the other job, or choose another folder with --files");
    cluster.worker(&[]);
    cluster.finish();
}
