//! Wall clocks that jump, on the driver's machine and on the workers': leases do not depend on
//! them, and nor does anything else that counts.
//!
//! libfaketime stands between the program and its clock. It does not change the monotonic clock, as
//! on a machine whose time is set, nor the kernel's time in the attributes of files.

mod util;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use util::cluster::Phase;
use util::job::TestJob;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The clock of all processes of a job.
struct Clock {
    library: PathBuf,
    setting: PathBuf,
}

impl Clock {
    /// A clock that is right at first; `None`, and a line that says so, where it cannot be faked.
    fn of(job: TestJob) -> Option<(Self, TestJob)> {
        let Some(library) = libfaketime() else {
            #[expect(clippy::print_stderr, reason = "a test that does nothing should say so")]
            {
                eprintln!("skipped: libfaketime is not installed (Debian: libfaketime)");
            }
            return None;
        };
        let clock = Self { library, setting: job.path("clock") };
        clock.set(0);
        let job =
            clock.variables().iter().fold(job, |job, (name, value)| job.variable(name, value));
        Some((clock, job))
    }

    fn variables(&self) -> [(&'static str, String); 5] {
        let text = |path: &Path| path.to_str().expect("our own paths are text").to_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.setting)),
            // Read the file whenever the clock is read.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// Sets the clock wrong by so many seconds, from now on.
    fn set(&self, seconds: i64) {
        let new = self.setting.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("our own folder can be written");
        fs::rename(new, &self.setting).expect("our own folder can be written");
    }

    /// By how much the clock is wrong, as a program sees it.
    fn seen(&self) -> i64 {
        let mut date = Command::new("date");
        let output = date.arg("+%s").envs(self.variables()).output().expect("there is a `date`");
        let text = String::from_utf8(output.stdout).expect("digits are text");
        let seen: i64 = text.trim().parse().expect("it was asked for a number");
        seen - unix_seconds()
    }
}

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_secs()).expect("it is before the end of time")
}

/// In the folder of the C library, whatever the architecture.
fn libfaketime() -> Option<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir("/usr/lib").ok()?.flatten().collect();
    folders.sort_by_key(fs::DirEntry::file_name);
    let libraries = folders.iter().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.exists())
}

#[test]
fn wall_clocks_that_jump_while_a_job_runs_change_nothing() {
    let job = TestJob::new().sample().map_tasks(12).flags(["--worker-timeout", "2", "--no-backup"]);
    let Some((clock, job)) = Clock::of(job.flags(["--task-timeout", "2"])) else { return };
    let mut cluster = job.drive();
    for _ in 0..2 {
        cluster.worker(&["--throttle", "300K"]);
    }
    for process in cluster.workers.iter().chain([&cluster.driver]) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid())).unwrap();
        assert!(maps.contains("libfaketime"), "the clock of a process is its own");
    }
    for (committed, wrong) in [(2, HOUR), (4, -DAY), (6, 0), (8, 1000 * DAY), (10, -HOUR)] {
        cluster.maps_committed(committed);
        clock.set(wrong);
        assert!((clock.seen() - wrong).abs() <= 2, "{} instead of {wrong}", clock.seen());
    }
    cluster.running(Phase::Reduce, 0);
    clock.set(DAY);

    let ended = cluster.finish();
    assert_eq!(ended.attempts_lost(), 0);
    assert!(!ended.log.contains("this process was paused"), "{}", ended.log);
    assert!(ended.report()["seconds"].as_f64().unwrap() < 600.0, "{}", ended.report());
    ended.assert_ran(&[]);
}

#[test]
fn driver_that_is_started_again_in_another_year_resumes_its_job() {
    let job = TestJob::new().sample().map_tasks(12);
    let Some((clock, job)) = Clock::of(job) else { return };
    let mut cluster = job.drive();
    let worker = cluster.worker(&["--throttle", "400K"]);
    cluster.maps_committed(4);
    cluster.kill_driver();
    let before = cluster.job.commits();
    clock.set(-400 * DAY);
    cluster.start_driver_again(&[]);
    cluster.running(Phase::Map, worker);
    cluster.kill_driver();
    clock.set(400 * DAY);
    cluster.start_driver_again(&[]);

    cluster.driver.wait_for(": job done");
    let log = cluster.driver.log();
    for task in before.keys() {
        assert!(!log.contains(&format!(": start {task}.")), "{task} ran again: {log}");
    }
    let ended = cluster.finish();
    let records = ended.job.records();
    let started = records.iter().filter_map(|record| record["started_unix_seconds"].as_i64());
    let [first, second, third] = started.collect::<Vec<_>>()[..] else { panic!("{records:?}") };
    assert!((second - first + 400 * DAY).abs() < 600, "{first} {second}");
    assert!((third - first - 400 * DAY).abs() < 600, "{first} {third}");
    assert!(ended.job.commits().values().all(|&times| times == 1), "{:?}", ended.job.commits());
}
