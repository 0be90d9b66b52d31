//! What an event costs the scheduler, and a task in memory, by the size of the job.
//!
//! `cargo bench -p scheduler -- WORKERS:MAPS:REDUCES...` measures jobs of these sizes; without
//! arguments a small one, so that a test run over all targets stays short. The published series is
//! `1000:10000:10 1000:100000:10 10000:100000:10 10000:1000000:10`, and `100:1000:10000` for many
//! buckets, whose sizes every map task reports.
//!
//! Times are the least of several rounds (`ROUNDS=5`), batch by batch. Instructions vary less:
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*fleet*replay*' BENCH ROUNDS=1 1000:10000:10
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bench takes arguments, a clock, and prints"
)]

use std::io::Write;
use std::time::{Duration, Instant};
use std::{env, io};

use fleet::{Fleet, Size, replay};
use peak_alloc::PeakAlloc;
use scheduler::{Outcome, Scheduler};

#[path = "../tests/fleet/mod.rs"]
mod fleet;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() -> io::Result<()> {
    let mut rounds = 3;
    let mut sizes = Vec::new();
    for argument in env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        match argument.strip_prefix("ROUNDS=") {
            Some(number) => rounds = number.parse().expect("ROUNDS is a number"),
            None => sizes.push(parse(&argument)),
        }
    }
    if sizes.is_empty() {
        sizes.push(Size { workers: 100, maps: 1000, reduces: 10 });
    }
    for size in sizes {
        let mut least = play(size);
        for _ in 1..rounds {
            let again = play(size);
            for (least, again) in least.batches.iter_mut().zip(again.batches) {
                *least = again.min(*least);
            }
        }
        let took: Duration = least.batches.iter().sum();
        writeln!(
            io::stdout(),
            "{:6} workers {:8} maps {:6} reduces {:9} events {:5.0} ns/event {:5.2} million \
             events/s {:4} bytes/task",
            size.workers,
            size.maps,
            size.reduces,
            least.events,
            took.as_nanos() as f64 / least.events as f64,
            least.events as f64 / took.as_secs_f64() / 1e6,
            least.bytes / size.tasks() as usize,
        )?;
    }
    Ok(())
}

/// What a job took.
struct Measured {
    events: usize,
    /// How long each batch of events took.
    batches: Vec<Duration>,
    /// The most memory that the scheduler had, for workers and all.
    bytes: usize,
}

/// Do a whole job.
fn play(size: Size) -> Measured {
    let mut fleet = Fleet::new(size);
    let mut batch = Vec::with_capacity(BATCH);
    let mut measured = Measured { events: 0, batches: Vec::new(), bytes: 0 };
    let before = ALLOCATOR.current_usage();
    let mut scheduler = Scheduler::new(&size.job(), fleet::limits());
    let mut bytes = ALLOCATOR.current_usage() - before;
    while fleet.fill(&mut batch) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let start = Instant::now();
        replay(&mut scheduler, &batch, fleet.buckets());
        measured.batches.push(start.elapsed());
        measured.bytes = measured.bytes.max(bytes + ALLOCATOR.peak_usage() - before);
        bytes = bytes + ALLOCATOR.current_usage() - before;
        measured.events += batch.len();
    }
    assert_eq!(scheduler.outcome(), Some(&Outcome::Done));
    assert_eq!(scheduler.snapshot(), fleet.scheduler().snapshot());
    measured
}

fn parse(argument: &str) -> Size {
    let numbers: Vec<u32> = argument.split(':').filter_map(|number| number.parse().ok()).collect();
    let [workers, maps, reduces] = numbers[..] else {
        panic!("`{argument}` is not WORKERS:MAPS:REDUCES");
    };
    Size { workers, maps, reduces }
}

/// Events at a time: so few that some round has each to itself, on a busy machine.
const BATCH: usize = 1 << 12;
