//! Two drivers in one results folder, where a lock of the system does not keep them apart.
//!
//! The lock's file is removed, so the second driver locks another: as on two mounts of a shared
//! folder whose locks are local to each. What keeps the drivers apart then is the claim. On real
//! mounts: `.ci/shared_folders.py`.

mod util;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use util::cluster::{Cluster, free_address};
use util::job::TestJob;
use util::process::Process;

/// The first driver of a job, with two map tasks committed; its worker has more to do.
#[track_caller]
fn first_driver() -> Cluster {
    let mut cluster = TestJob::new().sample().map_tasks(12).drive();
    cluster.worker(&["--throttle", "300K"]);
    cluster.maps_committed(2);
    cluster
}

/// A driver of the same job at another address.
#[track_caller]
fn second_driver(cluster: &Cluster, flags: &[&str]) -> (Process, String) {
    let address = free_address();
    let flags = [&["--listen", address.as_str()], flags].concat();
    let driver = cluster.job.start("second", cluster.job.job_command("driver", &flags));
    (driver, address)
}

#[track_caller]
fn standby(cluster: &Cluster) -> (Process, String) {
    let (mut driver, address) = second_driver(cluster, &["--standby"]);
    driver.wait_for(&format!("standing by: another driver ({}", holder(&cluster.driver)));
    (driver, address)
}

/// From now on no other driver is kept out by the lock of the first.
#[track_caller]
fn remove_lock(cluster: &Cluster) {
    let lock = cluster.job.result(".mapmill/lock");
    fs::remove_file(lock).expect("the driver has created it");
}

/// How messages name a driver.
fn holder(driver: &Process) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("process {} on {host}, listening on ", driver.pid())
}

/// The second driver does what is left of the job, with a worker of its own: all of it, and
/// nothing else.
#[track_caller]
fn finish_with(mut cluster: Cluster, second: Process, address: &str) {
    cluster.workers[0].kill();
    let mut worker = cluster.job.command("worker");
    worker.args(["--driver", address]);
    cluster.workers.push(cluster.job.start("second-worker", worker));
    cluster.driver = second;
    let ended = cluster.finish();
    let verified = ended.job.command("verify").output().expect("the program starts");
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn second_driver_is_refused_though_the_file_of_the_lock_was_removed() {
    let cluster = first_driver();
    remove_lock(&cluster);

    let (mut second, _) = second_driver(&cluster, &[]);
    assert_eq!(second.code(), 2);
    let said = format!(
        "is in use by another driver ({}{}); wait for the other job",
        holder(&cluster.driver),
        cluster.address()
    );
    second.wait_for(&said);
    cluster.finish();
}

#[test]
fn standby_takes_over_at_once_from_a_driver_that_is_dead_for_certain() {
    let mut cluster = first_driver();
    let (mut second, address) = standby(&cluster);

    let killed = cluster.driver.kill();
    second.wait_for("resuming the job");
    assert!(killed.elapsed() < PROVED_MAX, "it took over after {:?}", killed.elapsed());
    finish_with(cluster, second, &address);
}

/// Each waits for more than 10 s, so all at once.
#[test]
fn silent_driver_is_superseded_after_ten_seconds() {
    thread::scope(|scope| {
        scope.spawn(driver_that_was_killed_and_cannot_be_proved_dead);
        scope.spawn(driver_that_was_stopped_ends_and_names_its_successor);
        scope.spawn(driver_that_died_between_two_steps_of_its_claim);
    });
}

fn driver_that_was_killed_and_cannot_be_proved_dead() {
    let mut cluster = first_driver();
    remove_lock(&cluster);
    let (mut second, address) = standby(&cluster);

    let killed = cluster.driver.kill();
    second.wait_for("resuming the job");
    assert!(killed.elapsed() > SILENT_MIN, "it took over after {:?}", killed.elapsed());
    finish_with(cluster, second, &address);
}

fn driver_that_was_stopped_ends_and_names_its_successor() {
    let mut cluster = first_driver();
    remove_lock(&cluster);
    let (mut second, address) = standby(&cluster);

    let stopped = Instant::now();
    cluster.driver.signal(Signal::STOP);
    second.wait_for("resuming the job");
    assert!(stopped.elapsed() > SILENT_MIN, "it took over after {:?}", stopped.elapsed());
    second.wait_for("waiting for workers on ");
    cluster.driver.signal(Signal::CONT);
    assert_eq!(cluster.driver.code(), 3);
    let successor = format!("another driver took over ({}{address})", holder(&second));
    cluster.driver.wait_for(&successor);
    finish_with(cluster, second, &address);
}

/// No process is named in its claim.
fn driver_that_died_between_two_steps_of_its_claim() {
    let job = TestJob::new().sample().workers(1);
    fs::create_dir_all(job.result(".mapmill/claims/7")).expect("our own folder can be written");

    let began = Instant::now();
    let ended = job.run().check();
    assert!(began.elapsed() > DEAD_AFTER, "it waited for {:?}", began.elapsed());
    assert!(ended.log.contains("another driver has not released the results folder"));
    assert!(ended.job.result(".mapmill/claims/8/released").exists());
    assert!(!ended.job.result(".mapmill/claims/7").exists());
}

/// How long a driver gives no sign of life before another takes over.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// The last sign of life may be as old as the time between two.
const SILENT_MIN: Duration = Duration::from_secs(7);

/// On a busy machine; less than without a proof.
const PROVED_MAX: Duration = Duration::from_secs(6);
