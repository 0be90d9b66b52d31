//! The progress of a running job: on a terminal one line that changes, elsewhere a line now and
//! then; and one for each phase that has ended.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use driver::{PhaseSnapshot, Removing, Snapshot};
use rpc::message::Stranded;
use tokio::sync::{oneshot, watch};

use crate::messages;
use crate::numbers::{bytes, grouped, plural, rate, seconds};
use crate::terminal;
use crate::verbosity::Verbosity;

mod line;

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
    let mut shown = Shown { redraws: terminal::can_redraw(), ..Shown::default() };
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        shown.update(&snapshot);
        shown.call_for_workers(&snapshot, &worker);
        shown.call_for_able_workers(&snapshot);
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
    shown.update(&last);
    terminal::erase();
}

/// What has been printed already.
#[derive(Debug, Default)]
struct Shown {
    /// The line of the map phase.
    map: bool,
    /// The line of the reduce phase.
    reduce: bool,
    /// How many map tasks run again, after all were committed.
    recalled: u32,
    /// What the driver removes at the end.
    removing: Removing,
    /// When the lack of workers was last reported, or first seen; `None` while there are workers.
    deserted: Option<Instant>,
    /// The tasks that no connected worker can do.
    stranded: Vec<Stranded>,
    /// Since when; `None` once they were reported.
    stranded_since: Option<Instant>,
    /// Whether a line can change in place.
    redraws: bool,
    /// Elsewhere, the last line about the running phase.
    milestone: Milestone,
}

/// How far a phase was when a line was printed about it.
#[derive(Clone, Copy, Debug, Default)]
struct Milestone {
    tenths: u64,
    elapsed: Duration,
}

impl Milestone {
    /// Whether the phase has done another tenth, or half a minute has passed. The first second of a
    /// phase is too early, and so is the second after a line.
    fn is_due(self, phase: &PhaseSnapshot) -> bool {
        let since = phase.elapsed.saturating_sub(self.elapsed);
        since >= EVERY || (since >= EVERY_MIN && tenths(phase) > self.tenths)
    }
}

fn tenths(phase: &PhaseSnapshot) -> u64 {
    line::percent(phase) / 10
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
            messages::log(format_args!("no worker is connected; start one with: {worker}"));
        }
    }

    /// Reports the tasks that no connected worker can do, once for each change that lasts.
    fn call_for_able_workers(&mut self, snapshot: &Snapshot) {
        let stranded = if snapshot.workers > 0 { &*snapshot.stranded } else { &[] };
        if self.stranded != stranded {
            self.stranded = stranded.to_vec();
            self.stranded_since = Some(Instant::now());
        }
        if self.stranded_since.take_if(|since| since.elapsed() >= LASTS).is_some() {
            for one in stranded {
                messages::log(format_args!("{one}; none of those connected does"));
            }
        }
    }

    /// Reports that intermediates were lost, and that the map tasks which made them run again.
    fn say_what_is_recalled(&mut self, map: &PhaseSnapshot) {
        if !self.map || self.reduce {
            return;
        }
        let recalled = map.counts.tasks - map.counts.committed;
        if recalled > self.recalled {
            let tasks = plural(map.counts.tasks, "task", "tasks");
            messages::say(format_args!(
                "map    {} of {tasks} run again: their intermediates were lost",
                grouped(recalled.into())
            ));
        }
        self.recalled = recalled;
    }

    fn say_what_is_removed(&mut self, removing: Removing) {
        let Removing { staging_folders, intermediates } = removing;
        if self.removing == removing {
            return;
        }
        self.removing = removing;
        if staging_folders >= REMOVED_SOON {
            let folders = grouped(staging_folders);
            messages::say(format_args!("removing {folders} staging folders ..."));
        }
        if intermediates >= REMOVED_SOON {
            let files = grouped(intermediates);
            messages::say(format_args!("removing {files} intermediate files ..."));
        }
    }

    fn update(&mut self, snapshot: &Snapshot) {
        if !self.map && has_ended(&snapshot.map) {
            (self.map, self.milestone) = (true, Milestone::default());
            messages::say_wrapped(
                "",
                format_args!("{}", line_of_ended("map", &snapshot.map, snapshot)),
            );
        }
        if !self.reduce && has_ended(&snapshot.reduce) {
            self.reduce = true;
            messages::say_wrapped(
                "",
                format_args!("{}", line_of_ended("reduce", &snapshot.reduce, snapshot)),
            );
        }
        self.say_what_is_recalled(&snapshot.map);
        self.say_what_is_removed(snapshot.removing);
        if snapshot.map.counts.tasks == 0 || self.reduce {
            return;
        }
        let (name, phase) =
            if self.map { ("reduce", &snapshot.reduce) } else { ("map", &snapshot.map) };
        if self.redraws {
            terminal::draw(line::fitting(name, phase, snapshot, terminal::columns_of_line()));
        } else if self.milestone.is_due(phase) {
            self.milestone = Milestone { tenths: tenths(phase), elapsed: phase.elapsed };
            messages::say_wrapped("", format_args!("{}", line::whole(name, phase, snapshot)));
        }
    }
}

fn has_ended(phase: &PhaseSnapshot) -> bool {
    let counts = phase.counts;
    counts.tasks > 0 && counts.committed == counts.tasks
}

/// A phase that has ended.
fn line_of_ended(name: &str, phase: &PhaseSnapshot, snapshot: &Snapshot) -> String {
    let counts = phase.counts;
    if phase.elapsed.is_zero() {
        let tasks = plural(counts.tasks, "task", "tasks");
        return format!("{name:<6} {tasks}, already done");
    }
    let resumed = match phase.resumed.tasks {
        0 => String::new(),
        tasks => format!(" ({} already done)", grouped(tasks.into())),
    };
    format!(
        "{name:<6} {}{resumed}, {}, {} in {} ({}); {} lost",
        plural(counts.tasks, "task", "tasks"),
        bytes(counts.bytes_done),
        plural(counts.words, "word", "words"),
        seconds(phase.elapsed),
        rate(phase.bytes_since_resume(), phase.elapsed),
        plural(snapshot.attempts.lost + snapshot.attempts.failed, "attempt", "attempts"),
    )
}

/// Fewer files or folders are removed in a moment.
const REMOVED_SOON: u64 = 100;

/// How long no worker can do a task before that is reported: others may be about to register.
const LASTS: Duration = Duration::from_secs(2);

/// How often to report that there is no worker.
const CALL_AGAIN: Duration = Duration::from_secs(10);

/// The longest time between two updates of the line.
const REDRAW: Duration = Duration::from_millis(200);

/// The shortest time between two updates: eyes see no faster change.
const REDRAW_MIN: Duration = Duration::from_millis(50);

/// Where no line can change in place, the longest time between two lines.
const EVERY: Duration = Duration::from_secs(30);

/// And the shortest.
const EVERY_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_each_tenth_and_each_half_minute() {
        let phase = |percent: u64, seconds: u64| {
            let mut phase =
                PhaseSnapshot { elapsed: Duration::from_secs(seconds), ..Default::default() };
            (phase.counts.bytes_total, phase.counts.bytes_done) = (1000, percent * 10);
            phase
        };
        let none = Milestone::default();
        assert!(!none.is_due(&phase(9, 29)) && none.is_due(&phase(9, 30)));
        assert!(!none.is_due(&phase(90, 0)) && none.is_due(&phase(10, 1)));
        let one = Milestone { tenths: 1, elapsed: Duration::from_secs(5) };
        assert!(!one.is_due(&phase(19, 34)) && one.is_due(&phase(19, 35)));
        assert!(!one.is_due(&phase(20, 5)) && one.is_due(&phase(20, 6)));
    }
}
