//! The workers of `mapmill run`: they end with it, however it ends.

mod util;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use util::job::TestJob;
use util::process::poll;

/// How long workers may outlive a `mapmill run` that was killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// In the first of these moments no worker is started yet, in the last all have registered.
#[test]
fn workers_end_with_the_run_that_started_them_whenever_it_is_killed() {
    let jobs: Vec<TestJob> = (0..30)
        .map(|moment| {
            let job = TestJob::new().input("a b a").workers(4).flags(["--throttle", "1"]);
            let mut run = job.start_run();
            // The passing of time is what is tried.
            std::thread::sleep(Duration::from_millis(2 * moment));
            run.kill();
            job
        })
        .collect();
    let killed = Instant::now();

    for job in &jobs {
        let folder = job.path("").canonicalize().expect("the job's folder is there");
        poll(
            || {
                let left = processes_in(&folder);
                assert!(left.is_empty() || killed.elapsed() < FAREWELL, "{left:?}");
                left.is_empty().then_some(())
            },
            || "workers to end".to_owned(),
        );
    }
}

#[test]
fn workers_that_the_system_kills_are_explained_and_end_a_job_with_commits_as_failed() {
    let job = TestJob::new().input("over the network ".repeat(800)).map_tasks(8).workers(2);
    let job = job.flags(["--throttle", "2K"]);
    let mut run = job.start_run();
    run.wait_for(": published m");
    // The workers that replace them are killed before they can register.
    while run.ended().is_none() {
        for worker in run.children() {
            // It may have ended already.
            let _ = kill_process(worker, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    let log = run.log();
    let why = "killed by signal 9 (SIGKILL), probably out of memory (see --memory)";
    assert!(log.contains(&format!(" ended: {why}; starting another\n")), "{log}");
    let last = format!("the last ones exited within a second: {why}\n");
    assert!(log.contains(&last), "{log}");
    assert_eq!(run.code(), 1);
}

/// Each lives for less than a second, but not as many in a row as end the fleet.
#[test]
fn task_that_the_system_kills_sixteen_workers_for_ends_the_job_and_advises_once() {
    let job = TestJob::new().input("over the network ".repeat(800)).map_tasks(1).workers(1);
    let job = job.flags(["--throttle", "500"]);
    let mut run = job.start_run();
    for attempt in 0..16 {
        run.wait_for(&format!(": start m0.a{attempt} on w{attempt}"));
        for worker in run.children() {
            kill_process(worker, Signal::KILL).expect("it does not end by itself");
        }
    }
    run.wait();

    let log = run.log();
    let (killed, why) = ("killed by signal 9 (SIGKILL)", "probably out of memory (see --memory)");
    assert_eq!(log.matches(&format!(" ended: {killed}, {why}; starting another\n")).count(), 1);
    assert_eq!(log.matches(&format!("{killed}; starting another\n")).count(), 15);
    assert!(log.contains("m0 lost too many workers\n  m0.a0 on w0 ("), "{log}");
    assert!(log.ends_with(&format!("mapmill: {killed}: {why}\n")), "{log}");
    assert_eq!(run.code(), 1);
}

/// The processes that work in `folder`, by their command lines.
fn processes_in(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("the system lists its processes").flatten();
    let in_folder = processes
        .map(|process| process.path())
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder));
    let lines = in_folder.map(|process| fs::read(process.join("cmdline")).unwrap_or_default());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
