//! `--memory` is kept, whatever is counted: the kernel reports each worker's peak.

mod util;

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;

use util::command::mapmill;
use util::job::TestJob;
use util::process::{Process, poll};

const MIB: u64 = 1 << 20;

/// More words than fit, and one that is longer than all of the memory.
#[test]
fn worker_stays_within_its_memory_whatever_the_words() {
    let usual = peak_of_a_worker("256MiB", &wide_text());
    let least = peak_of_a_worker("40MiB", &wide_text());
    let longest = peak_of_a_worker("40MiB", &"x".repeat(41 << 20));
    let floor = floor();

    // When all words fit, the table alone is larger.
    assert!(usual > 48 * MIB, "the words would have fitted: {usual}");
    // 10 MiB of the worker's own needs are in the budget. The program under test is not optimized,
    // and larger.
    let most = 40 * MIB + floor.saturating_sub(10 * MIB);
    assert!(least < most, "{least} bytes with 40 MiB, {floor} of them before it began");
    assert!(longest < most, "{longest} bytes with 40 MiB, {floor} of them before it began");
}

/// 25 MB of words, of which 7 MB fit.
#[test]
fn export_stays_within_its_memory() {
    let words: String = wide_text().split(' ').map(|word| word.repeat(3) + " ").collect();
    let mut cluster = TestJob::new().input(words).map_tasks(2).reduce_tasks(3).drive();
    cluster.worker(&[]);
    let (ended, oracle) = cluster.end();
    let ended = ended.check_against(&oracle);
    let files = ended.job.path("files");

    let by_word = peak_of_an_export(&files, &["--memory", "32MiB"]);
    let by_count = peak_of_an_export(&files, &["--sort", "count", "--memory", "32MiB"]);
    let usual = peak_of_an_export(&files, &["--sort", "count"]);
    let floor = floor();

    assert!(usual > by_count + 8 * MIB, "the words would have fitted: {usual}, {by_count}");
    // 16 MiB of the program's own needs are in the budget.
    let most = 32 * MIB + floor.saturating_sub(16 * MIB);
    assert!(by_word < most, "{by_word} bytes with 32 MiB, {floor} of them before it began");
    assert!(by_count < most, "{by_count} bytes with 32 MiB, {floor} of them before it began");
}

/// The peak of an export to a pipe that is not read. By then all words were sorted.
#[track_caller]
fn peak_of_an_export(files: &Path, args: &[&str]) -> u64 {
    let mut command = mapmill();
    command.arg("export").arg(files).args(args).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 1]).expect("it writes");
    let peak = peak_of(child.id()).expect("it waits for its reader, or to be waited for");
    io::copy(&mut stdout, &mut io::sink()).expect("it writes");
    assert!(child.wait().expect("our own child").success());
    peak
}

#[test]
fn memory_below_the_minimum_is_refused() {
    for (flag, why) in [
        ("39MiB", "a worker needs at least 40.0 MiB"),
        ("0", "expected bytes, such as 1000000, 500K, or 20MiB"),
    ] {
        for verb in ["run", "worker"] {
            let job = TestJob::new();
            let output = job.command(verb).args(["--memory", flag]).output();
            let output = output.expect("the program starts");
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{log}");
            assert!(log.contains(flag) && log.contains(why), "{log}");
        }
    }
}

/// A million words, no word twice, and too long for the smallest slots of a table.
fn wide_text() -> String {
    let letter = |rest: u32| char::from(b'a' + (rest % 26) as u8);
    let word = |number: u32| {
        let mixed = number.wrapping_mul(0x9E37_79B9);
        (0..8).map(move |at| letter(mixed / 26_u32.pow(at.min(6)))).chain([' '])
    };
    (0..1_000_000).flat_map(word).collect()
}

/// Counts `text` with one worker; checks every file; returns the worker's peak.
#[track_caller]
fn peak_of_a_worker(memory: &str, text: &str) -> u64 {
    let mut cluster = TestJob::new().input(text).map_tasks(2).reduce_tasks(1).drive();
    let worker = cluster.worker(&["--memory", memory]);
    let mut peak = 0;
    let story = || format!("the end of a worker with {memory}");
    poll(
        || {
            let worker = &mut cluster.workers[worker];
            peak = peak_bytes(worker).unwrap_or(peak);
            worker.ended()
        },
        story,
    );
    // Its driver reads the longest word once more, to show how it begins.
    let (ended, oracle) = cluster.end();
    ended.check_against(&oracle);
    peak
}

/// What a worker takes before it has done anything.
#[track_caller]
fn floor() -> u64 {
    let job = TestJob::new();
    let mut command = job.command("worker");
    command.args(["-v", "--driver", "127.0.0.1:9"]);
    let mut worker = job.start("idle", command);
    worker.wait_for("waiting for a driver");
    peak_bytes(&worker).expect("it waits for a driver")
}

/// `None` when it has ended.
fn peak_bytes(process: &Process) -> Option<u64> {
    peak_of(process.pid())
}

/// `None` when it has ended.
fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
