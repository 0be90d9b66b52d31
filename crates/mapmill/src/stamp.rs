//! When a line was logged and by which process: `12.3 s driver: `.
//!
//! On a terminal the time is that since the start; elsewhere, where lines of several machines are
//! compared and kept, it is the time in UTC. A worker of `mapmill run` prints no time: its parent,
//! which prints its lines, adds it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::numbers::rfc3339;
use crate::terminal;

/// The process that logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Speaker {
    Driver,
    Worker,
    /// A worker whose parent prints its lines, with their time.
    WorkerOfRun,
}

/// The time of a line.
#[derive(Clone, Copy, Debug)]
enum Clock {
    None,
    SinceStart(Instant),
    Utc,
}

/// From now on, lines have a stamp.
pub(crate) fn start(speaker: Speaker) {
    let clock = match speaker {
        Speaker::WorkerOfRun => Clock::None,
        Speaker::Driver | Speaker::Worker if terminal::is_stderr() => {
            Clock::SinceStart(Instant::now())
        }
        Speaker::Driver | Speaker::Worker => Clock::Utc,
    };
    let _ = STAMP.set((clock, speaker));
}

/// The driver has numbered this worker.
pub(crate) fn number(worker: u64) {
    NUMBER.store(worker, Ordering::Relaxed);
}

/// Before a line of the log.
pub(crate) fn log() -> String {
    let Some((clock, speaker)) = STAMP.get() else { return String::new() };
    let number = NUMBER.load(Ordering::Relaxed);
    match speaker {
        Speaker::Driver => format!("{}driver: ", time(*clock)),
        Speaker::Worker | Speaker::WorkerOfRun if number == UNKNOWN => {
            format!("{}worker: ", time(*clock))
        }
        Speaker::Worker | Speaker::WorkerOfRun => format!("{}w{number}: ", time(*clock)),
    }
}

/// Before a message to a user: nothing on a terminal, where the user sees when it appears.
pub(crate) fn message() -> String {
    match STAMP.get() {
        Some((Clock::None | Clock::Utc, _)) => log(),
        Some((Clock::SinceStart(_), _)) | None => String::new(),
    }
}

/// Before a line that a worker of `mapmill run` has printed.
pub(crate) fn relayed() -> String {
    STAMP.get().map(|(clock, _)| time(*clock)).unwrap_or_default()
}

fn time(clock: Clock) -> String {
    match clock {
        Clock::None => String::new(),
        Clock::SinceStart(start) => format!("{:.1} s ", start.elapsed().as_secs_f64()),
        Clock::Utc => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{} ", rfc3339(since))
        }
    }
}

static STAMP: OnceLock<(Clock, Speaker)> = OnceLock::new();

/// Of this worker.
static NUMBER: AtomicU64 = AtomicU64::new(UNKNOWN);

const UNKNOWN: u64 = u64::MAX;
