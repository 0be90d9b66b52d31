//! `kill -9` at every single step of a commit, of a job's start and of its end: the job is resumed.
//!
//! The fail points are in the code of driver and worker (`faults::reach`); tidy checks that none is
//! left out here. At each the process really dies of SIGKILL, and that is asserted first. Then a
//! driver is started again with the same arguments, while the workers live on.

mod util;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::thread;

use rustix::process::Signal;

use util::cluster::{Cluster, FAIL_POINTS};
use util::job::{Ended, TestJob, entries};

/// Steps of a commit, the phases that have them, and which of the times at which they are reached
/// are tried: those of the first commit and of a later one.
const COMMIT: [(&str, &[&str], &[u32]); 13] = [
    ("driver::reported", &["map", "reduce"], &[1, 2]),
    ("driver::decided", &["map", "reduce"], &[1, 2]),
    ("driver::verify", &["map", "reduce"], &[1, 2]),
    ("driver::publish", &["map", "reduce"], &[1, 2]),
    // The first file of three, one in the middle, the last, and the first of another task.
    ("driver::renamed", &["map"], &[1, 2, 3, 4]),
    ("driver::renamed", &["reduce"], &[1, 2]),
    ("driver::settle", &[""], &[1, 2]),
    ("driver::settled", &[""], &[1, 2]),
    ("driver::append", &["map", "reduce"], &[1, 2]),
    ("driver::torn", &["map", "reduce"], &[1, 2]),
    ("driver::appended", &["map", "reduce"], &[1, 2]),
    ("driver::recorded", &["map", "reduce"], &[1, 2]),
    ("driver::discard", &["map", "reduce"], &[1, 2]),
];

/// The last step of all, for each task: a driver that dies between the answers.
const ANSWER: [(&str, &[&str], &[u32]); 1] = [("driver::answer", &["map", "reduce"], &[1, 2, 3])];

/// Before any task is assigned, whether the job is new or resumed.
const START: [(&str, &[&str], &[u32]); 8] = [
    ("driver::claimed", &[""], &[1]),
    ("driver::locked", &[""], &[1]),
    ("driver::swept", &[""], &[1]),
    ("driver::begin", &[""], &[1]),
    ("driver::begin-torn", &[""], &[1]),
    ("driver::begin-written", &[""], &[1]),
    ("driver::begin-renamed", &[""], &[1]),
    ("driver::begun", &[""], &[1]),
];

/// When all tasks are committed.
const END: [(&str, &[&str], &[u32]); 8] = [
    ("driver::finish", &["done"], &[1]),
    ("driver::tidied", &["done"], &[1]),
    ("driver::append", &["end"], &[1]),
    ("driver::torn", &["end"], &[1]),
    ("driver::appended", &["end"], &[1]),
    ("driver::recorded", &["end"], &[1]),
    ("driver::release", &[""], &[1]),
    ("driver::released", &[""], &[1]),
];

/// Steps of `mapmill clean`: the first of nine intermediates, and the last.
const CLEAN: [(&str, &[&str], &[u32]); 8] = [
    ("clean::claimed", &[""], &[1]),
    ("driver::begin", &[""], &[1]),
    ("driver::begin-torn", &[""], &[1]),
    ("driver::begin-written", &[""], &[1]),
    ("driver::begin-renamed", &[""], &[1]),
    ("driver::begun", &[""], &[1]),
    ("clean::removed", &[""], &[1, 9]),
    ("clean::swept", &[""], &[1]),
];

/// Steps of a worker, up to its report; the second bucket of three is between the files.
const WORKER: [(&str, &[&str], &[u32]); 7] = [
    ("worker::map", &[""], &[1, 2]),
    ("worker::reduce", &[""], &[1, 2]),
    ("worker::staged", &["map", "reduce"], &[1, 2]),
    ("worker::written", &["map"], &[1, 2, 3, 4]),
    ("worker::written", &["reduce"], &[1, 2]),
    ("worker::appended", &[""], &[1]),
    ("worker::report", &["map", "reduce"], &[1, 2]),
];

/// Steps of a reduce attempt without memory for its words: the first run, one of many, those that
/// are merged, and the first task and the second.
const RUNS: [(&str, &[&str], &[u32]); 3] = [
    ("worker::run-appended", &[""], &[1, 2, 30, 300]),
    ("worker::run-written", &[""], &[1, 2, 30, 300]),
    ("worker::merge", &[""], &[1, 2]),
];

/// The worker knows that its attempt has won.
const ANSWERED: [(&str, &[&str], &[u32]); 1] = [("worker::answered", &["map", "reduce"], &[1, 2])];

/// Clusters at once. Most of the time their processes wait for each other and for disks.
const AT_ONCE: usize = 8;

#[test]
fn job_is_resumed_after_its_driver_is_killed_at_any_step_of_a_commit() {
    at_once(deaths(&COMMIT), |death| check(small(), &[&death]));
}

#[test]
fn job_is_resumed_after_its_driver_is_killed_between_its_answers() {
    at_once(deaths(&ANSWER), |death| check(small(), &[&death]));
}

#[test]
fn driver_killed_at_any_step_of_its_start_starts_again() {
    at_once(deaths(&START), |death| check(small(), &[&death]));
}

#[test]
fn job_is_resumed_after_its_driver_is_killed_while_it_resumes() {
    let first = "driver::answer@map=1*off->return(kill)";
    at_once(deaths(&START), |death| check(small(), &[first, &death]));
}

#[test]
fn driver_killed_at_any_step_of_its_end_leaves_nothing_of_an_earlier_job() {
    at_once(deaths(&END), |death| {
        // One bucket more than the job that is killed.
        let job = small();
        let mut earlier = job.command("run");
        let earlier = earlier.args(["--workers", "1", "-n", "3", "-m", "4"]).output();
        let earlier = earlier.expect("the program starts");
        assert!(earlier.status.success(), "{earlier:?}");
        assert!(job.result("out/out-3").exists());
        check(job, &[&death]);
    });
}

/// The end is on record before: nothing is resumed.
#[test]
fn driver_killed_while_it_drops_intermediates_leaves_a_job_that_is_done() {
    at_once(vec![0, 4, 8], |removed| {
        let death = format!("driver::removed={removed}*off->return(kill)");
        let job = small().flags(["--drop-intermediates"]);
        let mut cluster = job.drive_with_faults(2, &death);
        die(&mut cluster, &death);

        assert!(cluster.job.is_done(), "{death}");
        verify(&cluster.job, &death);
        let cleaned = cluster.job.command("clean").output().expect("the program starts");
        let said = String::from_utf8_lossy(&cleaned.stdout);
        let left = match removed {
            8 => "nothing to remove".to_owned(),
            _ => format!("removed {} intermediate files", 8 - removed),
        };
        assert!(cleaned.status.success() && said.contains(&left), "{death}: {cleaned:?}");
        cluster.end();
    });
}

#[test]
fn clean_killed_at_any_step_leaves_a_finished_job_to_clean_again_or_to_replace() {
    at_once(deaths(&CLEAN), |death| {
        let job = small().workers(1);
        let output = |verb: &str, points: &str| {
            let mut command = job.command(verb);
            command.env(FAIL_POINTS, points).output().expect("the program starts")
        };
        let ended = job.job_command("run", &[]).output().expect("the program starts");
        assert!(ended.status.success(), "{ended:?}");

        let killed = output("clean", &death);
        assert_eq!(killed.status.signal(), Some(Signal::KILL.as_raw()), "{death}: {killed:?}");
        verify(&job, &death);
        let cleaned = output("clean", "");
        assert!(cleaned.status.success(), "{death}: {cleaned:?}");
        assert_eq!(entries(&job.result("intermediate")), [""; 0], "{death}");
        verify(&job, &death);

        let job = job.run().check().job;
        let mut command = job.command("clean");
        let killed = command.env(FAIL_POINTS, &death).output().expect("the program starts");
        assert_eq!(killed.status.signal(), Some(Signal::KILL.as_raw()), "{death}: {killed:?}");
        verify(&job.run().check().job, &death);
    });
}

#[test]
fn job_is_resumed_though_its_driver_is_killed_in_each_epoch() {
    let deaths = ["driver::renamed@map", "driver::torn@map", "driver::answer", "driver::settled"];
    let deaths = deaths.map(|place| format!("{place}=return(kill)"));
    check(small(), &deaths.each_ref().map(String::as_str));
}

#[test]
fn task_of_a_worker_killed_at_any_step_before_its_report_is_reassigned() {
    at_once(deaths(&WORKER), |death| check_worker(&death, 1));
}

#[test]
fn task_of_a_worker_killed_while_it_writes_or_merges_runs_is_reassigned() {
    let without_memory = |death| format!("worker::memory=return(0);{death}");
    at_once(deaths(&RUNS), |death| check_worker(&without_memory(death), 1));
}

#[test]
fn attempt_of_a_worker_killed_after_the_answer_stays_committed() {
    at_once(deaths(&ANSWERED), |death| check_worker(&death, 0));
}

#[test]
fn attempt_of_a_worker_killed_between_its_report_and_the_answer_is_committed() {
    at_once(vec!["map", "reduce"], |phase| {
        let hold = format!("driver::answer@{phase}=1*sleep(1500)");
        let mut cluster = small().drive_with_faults(0, &hold);
        cluster.worker(&[]);
        let done = format!(": done w0 {}", &phase[..1]);
        let line = cluster.driver.wait_for(&done);
        let attempt = line.split_once(": done w0 ").and_then(|(_, rest)| rest.split_once(':'));
        let attempt = attempt.expect("the log has that form").0.to_owned();
        cluster.workers[0].kill();
        let published = format!(": published {attempt}\n");
        assert!(!cluster.driver.log().contains(&published), "{attempt} was answered too soon");

        cluster.worker(&[]);
        let ended = finish(cluster, &BTreeSet::new(), &attempt);
        assert!(ended.log.contains(&published), "{}", ended.log);
        assert_eq!(ended.attempts_lost(), 0);
    });
}

/// Three map and three reduce tasks: nine intermediates.
fn small() -> TestJob {
    let text = "It was the best of times, it was the worst of times; naïve, Привет, 日本語. ";
    TestJob::new().input(text.repeat(50)).map_tasks(3).reduce_tasks(3)
}

/// The settings that have a process die at each place, each in turn.
fn deaths(table: &[(&str, &[&str], &[u32])]) -> Vec<String> {
    let mut deaths = Vec::new();
    for (place, phases, times) in table {
        for phase in *phases {
            let at = if phase.is_empty() { "" } else { "@" };
            for time in *times {
                deaths.push(format!("{place}{at}{phase}={}*off->return(kill)", time - 1));
            }
        }
    }
    deaths
}

/// Does `work` with all of `items`, some at a time.
fn at_once<Item: Send>(items: Vec<Item>, work: impl Fn(Item) + Sync) {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().expect("nothing panics while it is held").next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

/// A driver dies as the first of `deaths` says, is started again to die as the next one says, and
/// at last runs to the end of the job.
#[track_caller]
fn check(job: TestJob, deaths: &[&str]) {
    let mut cluster = job.drive_with_faults(2, deaths[0]);
    let mut before = die(&mut cluster, deaths[0]);
    for death in &deaths[1..] {
        cluster.start_driver_with_faults(&[], death);
        let after = die(&mut cluster, death);
        assert_kept(&cluster, &before, death);
        before = after;
    }
    if cluster.job.is_done() {
        // All results are there, and the workers may know of the end. Started again it is another
        // job.
        verify(&cluster.job, deaths);
        let (ended, _) = cluster.end();
        ended.job.run().check();
        return;
    }
    cluster.start_driver_again(&[]);
    finish(cluster, &before, deaths);
}

/// A worker dies as `death` says, and another is started; `lost` tasks are attempted again.
#[track_caller]
fn check_worker(death: &str, lost: u64) {
    let mut cluster = small().flags(["--worker-timeout", "0.5", "--no-backup"]).drive();
    let victim = cluster.worker_with_faults(death);
    let (status, _) = cluster.workers[victim].wait();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{death}: {status}");
    cluster.worker(&[]);
    let ended = finish(cluster, &BTreeSet::new(), death);
    assert_eq!(ended.attempts_lost(), lost, "{death}: {}", ended.log);
}

/// The driver dies at the place that was meant for it. Returns what it had committed.
#[track_caller]
fn die(cluster: &mut Cluster, death: &str) -> BTreeSet<String> {
    let (status, _) = cluster.driver.wait();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{death}: {status}");
    cluster.job.commits().into_keys().collect()
}

/// What was committed `before` this epoch was not attempted again in it.
#[track_caller]
fn assert_kept(cluster: &Cluster, before: &BTreeSet<String>, story: impl Debug) {
    let log = cluster.driver.log();
    for task in before {
        assert!(!log.contains(&format!(": start {task}.")), "{story:?}: {task} ran again: {log}");
    }
}

/// The job is done, with the right bytes and nothing besides, and all processes end with it.
#[track_caller]
fn finish(mut cluster: Cluster, before: &BTreeSet<String>, story: impl Debug) -> Ended {
    assert_eq!(cluster.driver.code(), 0, "{story:?}");
    for worker in &mut cluster.workers {
        let (status, _) = worker.wait();
        let is_victim = status.signal() == Some(Signal::KILL.as_raw());
        assert!(is_victim || status.success(), "{story:?}: a worker ended with {status}");
    }
    assert_kept(&cluster, before, &story);
    for (task, times) in cluster.job.commits() {
        assert_eq!(times, 1, "{story:?}: {task} was committed {times} times");
    }
    verify(&cluster.job, story);
    let (ended, oracle) = cluster.end();
    ended.check_against(&oracle)
}

#[track_caller]
fn verify(job: &TestJob, story: impl Debug) {
    let verified = job.command("verify").output().expect("the program starts");
    assert!(verified.status.success(), "{story:?}: {verified:?}");
}
