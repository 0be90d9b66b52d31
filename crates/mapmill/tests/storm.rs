//! A storm: every worker is killed about every 300 ms and the driver every second, over the whole
//! of a job. The bytes are the same, and no committed task runs again.
//!
//! A few megabytes and one run by default. `MAPMILL_STORM_MIB` and `MAPMILL_STORM_RUNS` make more
//! of it, `MAPMILL_BIN` names an optimized binary; `.ci/run storm` does that. The moments depend
//! on `MAPMILL_SEED`, and on the machine's scheduler.

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use util::cluster::Cluster;
use util::job::{Ended, TestJob, check_hidden, entries};
use util::oracle::{Oracle, Rules};
use util::random::Random;
use util::runs::Times;

/// The input is a text and copies of it, in a file each.
const COPIES: usize = 8;

const WORKERS: usize = 4;
/// Some for each copy.
const MAP_TASKS: u32 = 64;
/// One for each letter.
const REDUCE_TASKS: u32 = 26;

/// Less than this is no storm.
const WORKER_KILLS_MIN: usize = 30;
const DRIVER_KILLS_MIN: usize = 3;

/// More than this, and the job makes no progress.
const DRIVER_KILLS_MAX: usize = 100;

#[test]
fn storm_of_kills_changes_nothing() {
    let bytes = number("MAPMILL_STORM_MIB", 3) << 20;
    let mut random = Random::new();
    let calm = texts(&mut random, bytes).run();
    check_calm(&calm);
    for run in 0..number("MAPMILL_STORM_RUNS", 1) {
        let began = Instant::now();
        let Storm { worker_kills, driver_kills } = weather(&calm.job, bytes, &mut random);
        let took = began.elapsed();
        let story = format!(
            "run {run}: {:.1} s, {worker_kills} workers and {driver_kills} drivers killed",
            took.as_secs_f64()
        );
        #[expect(clippy::print_stderr, reason = "numbers that a report may want")]
        {
            eprintln!("{story}");
        }
        let is_storm = worker_kills >= WORKER_KILLS_MIN && driver_kills >= DRIVER_KILLS_MIN;
        assert!(is_storm, "{story}: that is no storm");
    }
}

fn number(variable: &str, default: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(default, |given| given.parse().expect("it is a whole number"))
}

/// A job over some equal files, full of words whose first letters are equally likely.
fn texts(random: &mut Random, bytes: usize) -> TestJob {
    let mut word = || {
        let mut word = Vec::new();
        word.extend((0..3 + random.below(12)).map(|_| b'a' + random.below(26) as u8));
        if random.below(20) == 0 {
            word.extend("é".as_bytes());
        }
        word.push(if random.below(10) == 0 { b'\n' } else { b' ' });
        word
    };
    let vocabulary: Vec<_> = (0..20_000).map(|_| word()).collect();
    let mut text = Vec::new();
    while text.len() < bytes / COPIES {
        text.extend(&vocabulary[random.below(vocabulary.len())]);
    }
    let job = TestJob::new().map_tasks(MAP_TASKS).reduce_tasks(REDUCE_TASKS);
    (0..COPIES).fold(job, |job, _| job.input(&text))
}

/// The results of the undisturbed job are those of the naive counter. It would take minutes over
/// all of the input, so it counts one of the copies: the others have equal shares.
#[track_caller]
fn check_calm(ended: &Ended) {
    assert_eq!(ended.code, 0, "{}", ended.log);
    let oracle = Oracle::read(&[ended.job.path("inputs/000.txt")], Rules::default());
    let expected = oracle.expect(MAP_TASKS / COPIES as u32, REDUCE_TASKS).files;
    let read = |name: String| {
        fs::read(ended.job.result(name)).expect("an undisturbed job leaves all its files")
    };
    for bucket in 0..REDUCE_TASKS {
        for map in 0..MAP_TASKS {
            let twin = format!("intermediate/mr-{}-{bucket}", map % (MAP_TASKS / COPIES as u32));
            let found = read(format!("intermediate/mr-{map}-{bucket}"));
            assert!(found == expected[Path::new(&twin)], "map task {map}, bucket {bucket}");
        }
        let name = format!("out/out-{bucket}");
        let mut counts = Vec::<u8>::new();
        for line in expected[Path::new(&name)].split_inclusive(|&byte| byte == b'\n') {
            let space = line.iter().position(|&byte| byte == b' ').expect("a word and a count");
            let (word, count) = (&line[..=space], line[space..].trim_ascii());
            let count: usize = str::from_utf8(count)
                .ok()
                .and_then(|text| text.parse().ok())
                .expect("a count has digits");
            counts.extend(word);
            counts.extend(format!("{}\n", count * COPIES).as_bytes());
        }
        assert!(read(name) == counts, "bucket {bucket}");
    }
}

/// How many processes were killed.
#[derive(Default)]
struct Storm {
    worker_kills: usize,
    driver_kills: usize,
}

/// The job of `calm` once more, in a storm. What it leaves is the same.
#[track_caller]
fn weather(calm: &TestJob, bytes: usize, random: &mut Random) -> Storm {
    let mut job = TestJob::new().map_tasks(MAP_TASKS).reduce_tasks(REDUCE_TASKS);
    for name in entries(&calm.path("inputs")) {
        let link = job.path("inputs").join(&name);
        fs::hard_link(calm.path("inputs").join(name), link).expect("both are in one file system");
    }
    job = job.flags(["--worker-timeout", "0.5", "--task-timeout", "2"]);
    let mut cluster = job.drive_unread();
    // A map task takes 80 ms then, and a reduce task 190 ms.
    let throttle = (bytes / 5).to_string();
    let flags = ["--throttle", throttle.as_str()];
    for _ in 0..WORKERS {
        cluster.worker(&flags);
    }
    let storm = rage(&mut cluster, &flags, random);

    // Workers that were started after the end wait for another driver.
    for worker in &mut cluster.workers {
        worker.kill();
    }
    assert_same(&calm.result(""), &cluster.job.result(""));
    let commits = cluster.job.commits();
    assert_eq!(commits.len(), (MAP_TASKS + REDUCE_TASKS) as usize);
    assert!(commits.values().all(|&times| times == 1), "{commits:?}");
    let verified = cluster.job.command("verify").output().expect("the program starts");
    assert!(verified.status.success(), "{verified:?}");
    // Unless it was killed between its last record and its end.
    if cluster.driver.code() == 0 {
        check_hidden(&cluster.job.result(".mapmill"));
    }
    storm
}

/// Kills until the job is done.
fn rage(cluster: &mut Cluster, flags: &[&str], random: &mut Random) -> Storm {
    let mut soon = |mean_ms: usize| {
        Instant::now() + Duration::from_millis((mean_ms / 2 + random.below(mean_ms)) as u64)
    };
    let mut storm = Storm::default();
    let mut before = Times::new();
    let mut workers_next = [0; WORKERS].map(|_| soon(300));
    let (mut began, mut driver_next, mut strikes_early) = (Instant::now(), soon(1000), false);
    loop {
        thread::sleep(GLANCE);
        let has_ended = cluster.driver.ended().is_some();
        let is_due =
            driver_next <= Instant::now() && (strikes_early || has_progressed(cluster, began));
        if has_ended || is_due {
            cluster.kill_driver();
            check_epoch(&cluster.driver.log(), &before);
            before = cluster.job.commits();
            if cluster.job.is_done() {
                return storm;
            }
            assert!(!has_ended, "the job failed: {}", cluster.driver.log());
            storm.driver_kills += 1;
            assert!(storm.driver_kills < DRIVER_KILLS_MAX, "the job makes no progress: {before:?}");
            cluster.start_driver_again(&[]);
            // Now and then while it reads what the epoch before has left.
            strikes_early = storm.driver_kills % 4 == 0;
            (began, driver_next) = (Instant::now(), soon(if strikes_early { 30 } else { 1000 }));
        }
        for (worker, next) in workers_next.iter_mut().enumerate() {
            if *next <= Instant::now() {
                *next = soon(300);
                if cluster.workers[worker].ended().is_some() {
                    assert_eq!(cluster.workers[worker].code(), 0, "it knows of the end");
                    continue;
                }
                let name = format!("storm-{}", storm.worker_kills);
                cluster.replace_worker(worker, &name, flags);
                storm.worker_kills += 1;
            }
        }
    }
}

/// Whether a driver that `began` then has committed something. On a busy machine a second is not
/// enough for that, and a job whose driver is always killed before it never ends.
fn has_progressed(cluster: &Cluster, began: Instant) -> bool {
    began.elapsed() > Duration::from_secs(4)
        || cluster.driver.log().matches(": published ").count() >= 2
}

/// A driver does not start tasks that were committed `before` its epoch, or in it, and counts no
/// protocol violation.
#[track_caller]
fn check_epoch(log: &str, before: &Times) {
    assert!(!log.contains("(violation "), "an honest worker violated the protocol: {log}");
    let mut committed: BTreeSet<_> = before.keys().map(String::as_str).collect();
    for line in log.lines() {
        let task = |verb| Some(line.split_once(verb)?.1.split_once(".a")?.0);
        if let Some(task) = task(": start ") {
            assert!(!committed.contains(task), "{task} ran again: {log}");
        } else if let Some(task) = task(": published ") {
            committed.insert(task);
        }
    }
}

/// The visible files of two results folders are the same, byte by byte.
#[track_caller]
fn assert_same(calm: &Path, stormy: &Path) {
    let visible = |folder: &Path| {
        let mut names = entries(folder);
        names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
        names
    };
    assert_eq!(visible(stormy), visible(calm));
    for folder in visible(calm) {
        let (calm, stormy) = (calm.join(&folder), stormy.join(&folder));
        let names = entries(&calm);
        assert_eq!(entries(&stormy), names);
        for name in names {
            let read = |folder: &Path| fs::read(folder.join(&name)).expect("results can be read");
            assert!(read(&stormy) == read(&calm), "{} is not the same", name.display());
        }
    }
}

/// How often the next moments to kill are checked.
const GLANCE: Duration = Duration::from_millis(5);
