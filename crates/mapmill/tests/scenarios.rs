//! Lasting faults, several faults at a time, and many jobs at once.
//!
//! Single faults are in `faults.rs`.

mod util;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use util::cluster::{Cluster, Phase};
use util::job::{TestJob, entries};
use util::process::{Process, poll};
use util::runs::runs;

/// Words of every bucket.
const TEXT: &str = "every word goes into a bucket by the first of its letters\n";

/// Nothing is raced, so that attempts can be counted.
fn job() -> TestJob {
    TestJob::new().input(TEXT.repeat(1000)).flags(["--worker-timeout", "2", "--no-backup"])
}

/// A folder stands where an intermediate of map task 1 belongs: no attempt of it can be published.
fn block(cluster: &Cluster) -> std::path::PathBuf {
    let blocked = cluster.job.result("intermediate/mr-1-0");
    fs::create_dir_all(blocked.join("in the way")).expect("the results folder can be written");
    blocked
}

#[test]
fn lasting_fault_fails_the_job_which_is_resumed_without_it() {
    let mut cluster = job().map_tasks(3).drive();
    let blocked = block(&cluster);
    for _ in 0..2 {
        cluster.worker(&[]);
    }
    assert_eq!(cluster.driver.code(), 1);
    for worker in &mut cluster.workers {
        assert_eq!(worker.code(), 0, "it is not to blame");
    }
    let log = cluster.driver.log();
    assert!(log.contains("map task 1"), "{log}");
    assert!(log.contains("m1 failed too often"), "{log}");
    assert_eq!(runs(&log)["m1"], 4, "{log}");
    let before = cluster.job.commits();
    assert!(!before.contains_key("m1"));

    fs::remove_dir_all(blocked).unwrap();
    cluster.start_driver_again(&[]);
    cluster.worker_called(0, &[]);
    cluster.driver.wait_for(": job done");
    for task in before.keys() {
        assert!(!cluster.driver.log().contains(&format!(": start {task}.")), "{task} ran again");
    }
    cluster.finish();
}

#[test]
fn transient_fault_costs_one_attempt() {
    let mut cluster = job().map_tasks(3).drive();
    let blocked = block(&cluster);
    for _ in 0..2 {
        cluster.worker(&["--throttle", "100K"]);
    }
    cluster.driver.wait_for("publish_failed m1.a0");
    fs::remove_dir_all(blocked).unwrap();

    let ended = cluster.finish();
    assert_eq!(ended.report()["attempts"]["failed"], 1);
    ended.assert_ran(&["m1"]);
}

#[test]
fn workers_that_are_all_killed_at_once_cost_only_their_running_attempts() {
    let mut cluster = job().map_tasks(4).drive();
    let mut lost = Vec::new();
    for _ in 0..3 {
        let worker = cluster.worker(&["--throttle", "1000"]);
        lost.push(cluster.running(Phase::Map, worker));
    }
    for worker in &mut cluster.workers {
        worker.kill();
    }
    for _ in 0..2 {
        cluster.worker(&[]);
    }
    let ended = cluster.finish();
    for &attempt in &lost {
        ended.assert_lost(attempt);
    }
    assert_eq!(ended.attempts_lost(), 3);
    let again: Vec<_> = lost.iter().map(|attempt| format!("m{}", attempt.task)).collect();
    ended.assert_ran(&again.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Between the phases one intermediate is deleted, one is truncated, and one has a flipped bit.
#[test]
fn only_the_map_tasks_of_damaged_intermediates_run_again() {
    let mut cluster = job().map_tasks(6).reduce_tasks(4).drive();
    let mapper = cluster.worker(&["--throttle", "100K"]);
    cluster.maps_committed(6);
    cluster.workers[mapper].kill();
    let log = cluster.driver.log();
    let untouched = |bucket: &u32| !log.contains(&format!(": start r{bucket}."));
    let buckets: Vec<u32> = (0..4).filter(untouched).collect();
    let [one, two, three, ..] = buckets[..] else { panic!("the mapper reduced: {log}") };
    let intermediate =
        |map: u32, bucket: u32| cluster.job.result(format!("intermediate/mr-{map}-{bucket}"));
    fs::remove_file(intermediate(1, one)).unwrap();
    let cut = OpenOptions::new().write(true).open(intermediate(3, two)).unwrap();
    cut.set_len(cut.metadata().unwrap().len() / 2).unwrap();
    let mut bytes = fs::read(intermediate(4, three)).unwrap();
    bytes[10] ^= 0x20;
    fs::write(intermediate(4, three), bytes).unwrap();
    for _ in 0..2 {
        cluster.worker(&[]);
    }

    let ended = cluster.finish();
    for task in [3, 4] {
        let found = format!("intermediate of map task {task} is damaged");
        assert!(ended.log.contains(&found), "{}", ended.log);
    }
    // An attempt has missed it, or the driver has, as it looked for more after another loss.
    let missed = |line: &str| line.contains(" is missing") || line.contains(": missing r");
    assert!(ended.log.lines().any(missed), "{}", ended.log);
    let runs = runs(&ended.log);
    let maps: Vec<_> = (0..6).map(|map| runs[&format!("m{map}")]).collect();
    assert_eq!(maps, [1, 2, 1, 2, 2, 1], "{}", ended.log);
    assert_eq!(ended.report()["attempts"]["failed"], 0, "no worker is blamed");
}

#[test]
fn of_drivers_started_at_once_in_one_folder_one_runs() {
    let job = job();
    let listen = ["--listen", "127.0.0.1:0"];
    let start = |index| job.start(&format!("d{index}"), job.job_command("driver", &listen));
    let mut drivers: Vec<Process> = (0..8).map(start).collect();
    poll(
        || {
            let refused = drivers.iter_mut().filter_map(Process::ended).count();
            (refused == 7).then_some(())
        },
        || "seven drivers to be refused".to_owned(),
    );
    for driver in &mut drivers {
        if let Some((status, _)) = driver.ended() {
            assert_eq!(status.code(), Some(2), "{}", driver.log());
            driver.wait_for("wait for the other job");
        } else {
            driver.wait_for("waiting for workers");
        }
    }
}

#[test]
fn jobs_that_begin_at_the_same_moment_have_different_ids() {
    let jobs: Vec<TestJob> = (0..50).map(|_| TestJob::new().input("a")).collect();
    let start = |job: &TestJob| {
        job.start("driver", job.job_command("driver", &["--listen", "127.0.0.1:0"]))
    };
    let mut drivers: Vec<Process> = jobs.iter().map(start).collect();
    let mut ids = BTreeSet::new();
    for (job, driver) in jobs.iter().zip(&mut drivers) {
        driver.wait_for("waiting for workers");
        let id = job.records()[0]["job"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 32, "{id}: 128 bits, in hexadecimal digits");
        assert!(ids.insert(id), "two jobs have one id");
        assert_eq!(entries(&job.result(".mapmill/staging")), [""; 0]);
    }
}

/// Twenty workers try to reach a driver that was killed: often, so that they find the next one at
/// once, but not so often that they would overload it.
#[test]
fn workers_that_lost_their_driver_back_off() {
    const WORKERS: usize = 20;
    const SECONDS: usize = 3;
    let job = TestJob::new().input(TEXT.repeat(100)).map_tasks(1);
    let mut cluster = job.drive();
    let busy = cluster.worker(&["--throttle", "1000"]);
    cluster.running(Phase::Map, busy);
    for _ in 1..WORKERS {
        cluster.worker(&[]);
    }
    cluster.kill_driver();
    let began = Instant::now();
    let listener = TcpListener::bind(cluster.address()).expect("the driver has left it");
    listener.set_nonblocking(true).expect("sockets can be asked");
    let mut calls = 0;
    while began.elapsed() < Duration::from_secs(SECONDS as u64) {
        match listener.accept() {
            // The connection is closed at once.
            Ok(_) => calls += 1,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    drop(listener);
    // Two or three a second after a few attempts, and a heartbeat.
    let most = WORKERS * (SECONDS * 6 + 6);
    assert!((WORKERS..most).contains(&calls), "{calls} calls");

    cluster.start_driver_again(&[]);
    cluster.finish();
}
