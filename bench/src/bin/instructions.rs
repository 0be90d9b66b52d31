//! How many instructions the hot loops take: other processes on the machine do not change that.
//!
//! Runs itself under callgrind, once for each loop, compares the counts with those kept in
//! `bench/instructions.txt`, and fails when a loop has become more than 5 % longer. `--rewrite`
//! keeps the new counts: when a loop has become shorter, so that it stays so, or when it has become
//! longer for a reason that the commit gives.
//!
//! Instructions are not time: they ignore caches and branches. valgrind 3.19 does not support
//! AVX-512, so the AVX2 path is counted; valgrind shows every program the same virtual CPU, so the
//! counts are the same on all machines with AVX2. Without AVX2 nothing is counted.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use bench::loops::Reading;
use bench::texts::Text;
use bench::{loops, say, top};
use scheduler::{
    Abilities, Action, Heartbeat, Job, Limits, Order, Outcome, Phase, Scheduler, Time, WorkerId,
};
use words::{Counter, Level};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => ratchet(false),
        ["--rewrite"] => ratchet(true),
        ["--loop", name] => run_loop(name).map(|()| true),
        _ => Err(io::Error::other("usage: instructions [--rewrite]")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::note(error);
            ExitCode::FAILURE
        }
    }
}

type Loop = fn() -> io::Result<()>;

/// The loops, by their names in `instructions.txt`.
const LOOPS: [(&str, Loop); 8] = [
    ("map-prose", || map(Text::Prose)),
    ("map-cyrillic", || map(Text::Cyrillic)),
    ("map-cjk", || map(Text::Cjk)),
    ("map-newlines", || map(Text::Newlines)),
    ("reduce-prose", || reduce(Text::Prose)),
    ("reduce-wide", || reduce(Text::Wide)),
    ("sort-wide", sort),
    ("scheduler", || {
        schedule();
        Ok(())
    }),
];

fn run_loop(name: &str) -> io::Result<()> {
    let found = LOOPS.iter().find(|(known, _)| *known == name);
    let (_, run) = found.ok_or_else(|| io::Error::other(format!("no loop `{name}`")))?;
    run()
}

/// What callgrind counts happens in here, and nowhere else.
#[inline(never)]
fn counted_by_callgrind<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn map(text: Text) -> io::Result<()> {
    let text = text.make(TEXT_BYTES)?;
    // What a process does once, at its first letter that is not ASCII, would hide the loop.
    black_box(loops::map("\u{e9}".as_bytes(), Reading::default()));
    black_box(counted_by_callgrind(|| loops::map(&text, Reading::default())));
    Ok(())
}

fn reduce(text: Text) -> io::Result<()> {
    let lines = loops::lines(&text.make(TEXT_BYTES)?);
    black_box(counted_by_callgrind(|| loops::reduce(&lines, Level::best())));
    Ok(())
}

fn sort() -> io::Result<()> {
    let table = loops::reduce(&loops::lines(&Text::Wide.make(TEXT_BYTES)?), Level::best());
    black_box(counted_by_callgrind(|| Counter::into_table(table).into_sorted(|| ())));
    Ok(())
}

/// A job of many tasks in which nothing goes wrong; a heartbeat now and then.
fn schedule() {
    let job = Job { map_bytes: vec![1 << 20; 2_000], map_needs: Vec::new(), reduce_tasks: 100 };
    let bucket_bytes = vec![1 << 10; 100];
    counted_by_callgrind(|| {
        let mut scheduler = Scheduler::new(&job, Limits::default());
        let mut now = Time::default();
        let mut publishing = VecDeque::new();
        for worker in (0..50).map(WorkerId) {
            scheduler.handle_register(now, worker, Abilities::NONE);
            scheduler.handle_idle(now, worker);
        }
        while let Some(action) = scheduler.poll_action() {
            now.0 += std::time::Duration::from_millis(1);
            match action {
                Action::Start { attempt, worker, .. } => {
                    let heartbeat = Heartbeat { attempt, progress: 1, bytes: 1 };
                    let order = scheduler.handle_heartbeat(now, worker, Some(heartbeat));
                    assert_eq!(order, Order::Continue);
                    let verdict = scheduler.handle_done(now, worker, attempt);
                    assert_eq!(verdict, scheduler::Verdict::Publishing);
                    publishing.push_back(worker);
                }
                Action::Publish { attempt } => {
                    let leaves = match attempt.task.phase {
                        Phase::Map => bucket_bytes.as_slice(),
                        Phase::Reduce => &[],
                    };
                    scheduler.handle_published(now, attempt, leaves);
                    let worker = publishing.pop_front().expect("it was done before");
                    scheduler.handle_idle(now, worker);
                }
                Action::Discard { .. } | Action::Exit { .. } | Action::SetAside { .. } => {}
            }
            black_box(scheduler.poll_timeout());
        }
        assert_eq!(scheduler.outcome(), Some(&Outcome::Done));
    });
}

/// Count all loops and compare, or keep what was counted. False when a loop is too long.
fn ratchet(rewrite: bool) -> io::Result<bool> {
    if !has_avx2() {
        say::out("skipped: the counts are those of AVX2, which this CPU does not have");
        return Ok(true);
    }
    let path = top().join("bench/instructions.txt");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let kept = parse(&old);
    let mut found = Vec::new();
    let mut holds = true;
    for (name, _) in LOOPS {
        let count = count(name)?;
        let verdict = Verdict::new(count, kept.get(name).copied());
        say::out(format!("{name}: {count} instructions, {}", verdict.text()));
        holds &= !verdict.is_bad();
        found.push((name, count));
    }
    if rewrite {
        let comments = old.lines().filter(|line| line.starts_with('#'));
        let counts = found.iter().map(|(name, count)| format!("{name} {count}"));
        let lines: Vec<_> = comments.map(str::to_owned).chain(counts).collect();
        fs::write(path, lines.join("\n") + "\n")?;
        return Ok(true);
    }
    Ok(holds)
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// How many instructions callgrind counts in the loop called `name`.
fn count(name: &str) -> io::Result<u64> {
    let own: PathBuf = std::env::current_exe()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted_by_callgrind*"])
        .arg(own)
        .args(["--loop", name])
        .output()
        .map_err(|error| io::Error::other(format!("valgrind: {error}; apt-get install it")))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let collected = printed.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok()).filter(|&n| n > 0);
    count.filter(|_| output.status.success()).ok_or_else(|| {
        io::Error::other(format!("nothing was counted in {name}; valgrind printed:\n{printed}"))
    })
}

/// Lines of `name count`; those that begin with # are comments.
fn parse(text: &str) -> BTreeMap<&str, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// By so many percent.
    Longer(f64),
    New,
    Same(f64),
    Shorter(f64),
}

impl Verdict {
    fn new(count: u64, kept: Option<u64>) -> Self {
        let Some(kept) = kept else { return Self::New };
        let percent = (count as f64 / kept as f64 - 1.0) * 100.0;
        // In whole numbers, so that 5 % is 5 %.
        if count * 100 > kept * (100 + PERCENT_MAX) {
            Self::Longer(percent)
        } else if count * 100 < kept * (100 - PERCENT_MAX) {
            Self::Shorter(-percent)
        } else {
            Self::Same(percent)
        }
    }

    fn is_bad(self) -> bool {
        match self {
            Self::Longer(_) | Self::New => true,
            Self::Same(_) | Self::Shorter(_) => false,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Longer(by) => format!("{by:.1} % MORE than kept: make it shorter, or {HOW}"),
            Self::New => format!("and none is kept: {HOW}"),
            Self::Same(by) => format!("{by:+.1} %"),
            Self::Shorter(by) => format!("{by:.1} % fewer than kept: {HOW}, so that it stays so"),
        }
    }
}

const HOW: &str = "keep the new count with REWRITE=1 .ci/run instructions";
const PERCENT_MAX: u64 = 5;

/// Enough that a loop of a nanosecond a byte takes less than a second under callgrind.
const TEXT_BYTES: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_is_bad_and_less_is_reported() {
        let verdict = |count| Verdict::new(count, Some(1_000));
        assert!(verdict(1_051).is_bad() && verdict(1_051).text().contains("MORE"));
        assert!(!verdict(1_050).is_bad() && !verdict(1_000).is_bad());
        assert!(!verdict(949).is_bad() && verdict(949).text().contains("REWRITE"));
        assert!(Verdict::new(1, None).is_bad());
    }

    #[test]
    fn kept_counts_are_read_with_comments_between_them() {
        let kept = parse("# a comment\nmap-prose 12\nsort-wide 3\n");
        assert_eq!(kept, BTreeMap::from([("map-prose", 12), ("sort-wide", 3)]));
    }
}
