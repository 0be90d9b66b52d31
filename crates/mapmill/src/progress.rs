//! The progress of a running job on a terminal: one line that changes, and one for each phase that
//! has ended.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use driver::{PhaseSnapshot, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{oneshot, watch};

use crate::messages;
use crate::numbers::{bar_of, bytes, grouped, plural, rate, seconds};
use crate::verbosity::Verbosity;

/// Shows snapshots until the job is over, when the sender of `over` is dropped. `worker` is the
/// command that starts a worker.
pub(crate) async fn show(
    mut snapshots: watch::Receiver<Snapshot>,
    mut over: oneshot::Receiver<Infallible>,
    worker: String,
    verbosity: Verbosity,
) {
    if verbosity == Verbosity::Quiet {
        return;
    }
    // Hidden if stderr is not a terminal.
    let bar = messages::bars().add(ProgressBar::new(0));
    // Cut to the width of the terminal: a line that wraps cannot be drawn over.
    bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a constant"));
    let mut shown = Shown::default();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        shown.update(&bar, &snapshot);
        shown.call_for_workers(&snapshot, &worker);
        // Rates and times change even without a new snapshot. Cancel safe: the next turn sees a
        // change that this one missed.
        let turn = async {
            // An error means that the job is over.
            let _ = tokio::time::timeout(REDRAW, snapshots.changed()).await;
            tokio::time::sleep(REDRAW_MIN).await;
        };
        tokio::select! {
            biased;
            _ = &mut over => break,
            () = turn => {}
        }
    }
    let last = snapshots.borrow().clone();
    shown.update(&bar, &last);
    bar.finish_and_clear();
    messages::bars().set_draw_target(ProgressDrawTarget::hidden());
}

/// What has been printed already.
#[derive(Debug, Default)]
struct Shown {
    /// The line of the map phase.
    map: bool,
    /// The line of the reduce phase.
    reduce: bool,
    /// When the lack of workers was last reported, or first seen; `None` while there are workers.
    deserted: Option<Instant>,
}

impl Shown {
    /// Reports that no worker is connected: the job makes no progress, and the user may not know.
    fn call_for_workers(&mut self, snapshot: &Snapshot, worker: &str) {
        if snapshot.map.counts.tasks == 0 || snapshot.workers > 0 || self.reduce {
            self.deserted = None;
            return;
        }
        if self.deserted.get_or_insert_with(Instant::now).elapsed() >= CALL_AGAIN {
            self.deserted = Some(Instant::now());
            messages::say(format_args!("no worker is connected; start one with: {worker}"));
        }
    }

    fn update(&mut self, bar: &ProgressBar, snapshot: &Snapshot) {
        if !self.map && has_ended(&snapshot.map) {
            self.map = true;
            messages::say(format_args!("{}", line_of_ended("map", &snapshot.map, snapshot)));
        }
        if !self.reduce && has_ended(&snapshot.reduce) {
            self.reduce = true;
            messages::say(format_args!("{}", line_of_ended("reduce", &snapshot.reduce, snapshot)));
        }
        if snapshot.map.counts.tasks > 0 && !self.reduce {
            let (name, phase) =
                if self.map { ("reduce", &snapshot.reduce) } else { ("map", &snapshot.map) };
            // One call for the whole line: a second might be drawn without the first.
            bar.set_message(line_of_running(name, phase, snapshot));
        }
    }
}

fn has_ended(phase: &PhaseSnapshot) -> bool {
    let counts = phase.counts;
    counts.tasks > 0 && counts.committed == counts.tasks
}

/// A running phase, in a line that fits a narrow terminal.
fn line_of_running(name: &str, phase: &PhaseSnapshot, snapshot: &Snapshot) -> String {
    let counts = phase.counts;
    let done = counts.bytes_done as f64 / counts.bytes_total.max(1) as f64;
    let left = time_left(phase).map(|left| format!("  {left} left")).unwrap_or_default();
    format!(
        "{name:<6} {} {}/{}  {}  {} words  {}  {}  {} lost{left}",
        bar_of(done.min(1.0), BAR),
        counts.committed,
        counts.tasks,
        bytes(counts.bytes_done),
        grouped(counts.words),
        rate(counts.bytes_done, phase.elapsed),
        plural(snapshot.workers, "worker", "workers"),
        snapshot.attempts_lost + snapshot.attempts_failed,
    )
}

/// A phase that has ended.
fn line_of_ended(name: &str, phase: &PhaseSnapshot, snapshot: &Snapshot) -> String {
    let counts = phase.counts;
    if phase.elapsed.is_zero() {
        let tasks = plural(counts.tasks, "task", "tasks");
        return format!("{name:<6} {tasks}, already done");
    }
    format!(
        "{name:<6} {}, {}, {} in {} ({}); {} lost",
        plural(counts.tasks, "task", "tasks"),
        bytes(counts.bytes_done),
        plural(counts.words, "word", "words"),
        seconds(phase.elapsed),
        rate(counts.bytes_done, phase.elapsed),
        plural(snapshot.attempts_lost + snapshot.attempts_failed, "attempt", "attempts"),
    )
}

/// The time left at the average rate of the phase; `None` while the rate is unreliable.
fn time_left(phase: &PhaseSnapshot) -> Option<String> {
    let counts = phase.counts;
    if counts.bytes_done == 0 || phase.elapsed < Duration::from_secs(1) {
        return None;
    }
    let left = counts.bytes_total.saturating_sub(counts.bytes_done) as f64;
    let pace = phase.elapsed.as_secs_f64() / counts.bytes_done as f64;
    Some(seconds(Duration::try_from_secs_f64(left * pace).ok()?))
}

/// Columns of the bar.
const BAR: usize = 10;

/// How often to report that there is no worker.
const CALL_AGAIN: Duration = Duration::from_secs(10);

/// The longest time between two updates of the line.
const REDRAW: Duration = Duration::from_millis(200);

/// The shortest time between two updates: eyes see no faster change.
const REDRAW_MIN: Duration = Duration::from_millis(50);
