//! Stragglers: they do not delay the job, and no healthy worker is raced as one.
//!
//! The workers are slowed down with `--throttle`, so that a fleet of eight has the machine nearly
//! to itself: what is measured is which worker waits for which.

mod util;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use util::job::{Ended, TestJob};

/// The whole fleet, with the straggler.
const WORKERS: u32 = 8;

/// How much longer a job may take because one worker is slow. A fleet without it does 8/7 as long.
const RATIO_MAX: f64 = 1.3;

/// Bytes a second of a healthy worker. A straggler reads a twentieth of it.
const RATE: u64 = 200_000;

/// Eight healthy workers need five seconds, half of it for each phase, in five rounds of tasks. So
/// do seven, with one of them idle in the last round.
const BYTES: usize = 3_500_000;
const MAPS: u32 = 35;
const REDUCES: u32 = 35;

/// As many words with each of as many first letters as there are reduce tasks, so that those are as
/// large as each other: Cyrillic has enough letters in a row.
fn text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 5);
    for index in 0_u32.. {
        if text.len() >= bytes {
            break;
        }
        let first = 'А' as u32 + index % REDUCES;
        text.extend(char::from_u32(first));
        text.extend([index / 35 % 26, index / 910 % 26].map(|at| char::from(b'a' + at as u8)));
        text.push(' ');
    }
    text
}

/// The job on a fleet of which one worker reads at `rate`, from its first task to its last commit.
fn run(rate: u64, flags: &[&str]) -> Ended {
    let job = TestJob::new().input(text(BYTES)).map_tasks(MAPS).reduce_tasks(REDUCES);
    let mut cluster = job.flags(flags.iter().copied()).drive();
    cluster.worker(&["--throttle", &rate.to_string()]);
    for _ in 1..WORKERS {
        cluster.worker(&["--throttle", &RATE.to_string()]);
    }
    cluster.finish()
}

fn seconds(ended: &Ended) -> f64 {
    ended.report()["seconds"].as_f64().expect("the report says how long the job took")
}

fn attempts(ended: &Ended, kind: &str) -> u64 {
    ended.report()["attempts"][kind].as_u64().expect("the report counts attempts")
}

/// How often each task was started, by its name.
fn starts(ended: &Ended) -> BTreeMap<&str, u32> {
    let mut starts = BTreeMap::new();
    let started =
        ended.log.lines().filter_map(|line| line.split_once(": start ")?.1.split_once('.'));
    for (task, _) in started {
        *starts.entry(task).or_default() += 1;
    }
    starts
}

#[test]
fn worker_that_is_twenty_times_slower_does_not_delay_the_job() {
    let (pair, waited) = thread::scope(|scope| {
        let waited = scope.spawn(|| run(RATE / 20, &["--no-backup"]));
        let pair = || {
            let raced = scope.spawn(|| run(RATE / 20, &[]));
            let healthy = run(RATE, &[]);
            (healthy, raced.join().expect("the thread's own test has failed"))
        };
        let mut last = pair();
        // Our machine is shared: a pair that other work has slowed down is run again.
        for _ in 0..2 {
            let (healthy, raced) = &last;
            let in_time = seconds(raced) < RATIO_MAX * seconds(healthy);
            if in_time && attempts(healthy, "backups") == 0 {
                break;
            }
            last = pair();
        }
        (last, waited.join().expect("the thread's own test has failed"))
    });
    let (healthy, raced) = pair;
    let (base, time) = (seconds(&healthy), seconds(&raced));
    print(&format!(
        "all healthy: {base:.2} s; one 20 times slower: {time:.2} s, {:.2} times as long; without \
         backups {:.2} times",
        time / base,
        seconds(&waited) / base,
    ));

    assert_eq!(attempts(&healthy, "backups"), 0);
    assert_eq!(attempts(&waited, "backups"), 0);
    assert!(seconds(&waited) > 2.0 * base, "the straggler delayed nothing");
    assert!(time < RATIO_MAX * base, "{time:.2} s, not {base:.2} s");

    // The straggler was raced, and the loser of each race was discarded.
    let (started, won) = (attempts(&raced, "backups"), attempts(&raced, "backups_won"));
    assert!((1..=started).contains(&won), "{won} of {started} backups won");
    let raced_tasks: Vec<&str> =
        starts(&raced).into_iter().filter(|&(_, count)| count > 1).map(|(task, _)| task).collect();
    assert_eq!(raced_tasks.len() as u64, started, "{raced_tasks:?}");
    let is_slow = |task: &&str| raced.log.contains(&format!(": start {task}.a0 on w0\n"));
    assert!(raced_tasks.iter().any(is_slow), "{raced_tasks:?} were not slow");
    for task in raced_tasks {
        assert!(raced.log.contains(&format!(": start {task}.a1 on w")), "{task} was not raced");
        let discarded = raced.log.matches(&format!(": discard {task}.a")).count();
        assert_eq!(discarded, 1, "one attempt of {task} is superseded");
    }
    let log =
        fs::read_to_string(raced.job.path("logs/w0.stderr")).expect("its log is in the folder");
    assert!(log.contains("the driver no longer needs "), "the straggler was not told");
    assert_eq!(
        (attempts(&raced, "failed"), attempts(&raced, "lost")),
        (0, 0),
        "no worker is blamed"
    );
}

#[test]
fn every_task_runs_exactly_once_on_a_healthy_fleet() {
    for (bytes, workers, maps, reduces, throttle) in [
        // Tasks of more than a second: most of the fleet waits for the last ones.
        (900_000, 4, 5, 5, Some("150K")),
        // More workers than tasks.
        (300_000, 6, 2, 1, Some("100K")),
        (2_000_000, 4, 40, 26, None),
        (10, 3, 20, 20, None),
    ] {
        let job = TestJob::new().input(text(bytes)).map_tasks(maps).reduce_tasks(reduces);
        let job = job.workers(workers).flags(throttle.iter().flat_map(|rate| ["--throttle", rate]));
        let ended = job.run().check();
        let expected = (0..maps).map(|map| format!("m{map}"));
        let expected: BTreeMap<String, u32> = expected
            .chain((0..reduces).map(|reduce| format!("r{reduce}")))
            .map(|task| (task, 1))
            .collect();
        let starts: BTreeMap<String, u32> =
            starts(&ended).into_iter().map(|(task, count)| (task.to_owned(), count)).collect();
        assert_eq!(starts, expected, "{maps} maps and {reduces} reduces on {workers} workers");
        assert_eq!(attempts(&ended, "backups"), 0);
    }
}

#[test]
fn task_of_a_worker_killed_at_the_end_of_a_phase_is_raced_before_its_timeout() {
    let mut cluster = TestJob::new().input(text(200_000)).map_tasks(2).reduce_tasks(2).drive();
    let victim = cluster.worker(&["--throttle", "10K"]);
    let attempt = cluster.running(util::cluster::Phase::Map, victim);
    cluster.worker(&[]);
    cluster.maps_committed(1);
    cluster.workers[victim].kill();

    let ended = cluster.finish();
    assert!(ended.log.contains(&format!(": start {} on w1 as backup\n", attempt.next())));
    assert!(Duration::from_secs_f64(seconds(&ended)) < Duration::from_secs(10));
    assert_eq!(
        attempts(&ended, "lost"),
        0,
        "it was superseded before its worker was considered dead"
    );
}

#[expect(clippy::print_stdout, reason = "the ratio is what the test is for")]
fn print(line: &str) {
    println!("{line}");
}
