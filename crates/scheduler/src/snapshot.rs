//! The job in numbers, for status views.
//!
//! The scheduler keeps most of these counts anyway, so a snapshot costs next to nothing. Nothing
//! here derives a wire format: the driver has its own twins of these types.

use std::fmt;

/// The job at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// The map tasks.
    pub map: PhaseCounts,
    /// The reduce tasks.
    pub reduce: PhaseCounts,
    /// The workers that are registered.
    pub workers: WorkerCounts,
    /// The attempts made so far, over all tasks.
    pub attempts: AttemptCounts,
    /// How often the intermediates of a map task were lost and it had to run again, over all tasks.
    pub maps_recalled: u64,
    /// Reports that came too late or from the wrong worker, and were answered `Stale`.
    pub stale_reports: u64,
}

/// The tasks of one phase by their status. `tasks` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PhaseCounts {
    /// All tasks.
    pub tasks: u32,
    /// With no live attempt. Reduce tasks wait while map tasks run.
    pub waiting: u32,
    /// With one live attempt, or two.
    pub running: u32,
    /// Reported, and being published.
    pub publishing: u32,
    /// Done, also before the driver was restarted: a reduce task for good, a map task until its
    /// intermediates are found to be lost.
    pub committed: u32,
}

/// The workers that are registered and not forgotten.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WorkerCounts {
    /// All workers.
    pub alive: u32,
    /// Workers that failed or lost too many attempts to be given work while others are alive.
    pub set_aside: u32,
}

/// The attempts that count against one worker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Strikes {
    /// As [`AttemptCounts::failed`].
    pub failed: u32,
    /// As [`AttemptCounts::lost`].
    pub lost: u32,
}

impl Strikes {
    pub(crate) fn all(self) -> u32 {
        self.failed.saturating_add(self.lost)
    }
}

/// The attempts so far. Those not counted as failed or lost run, won, or ended without a failure.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AttemptCounts {
    /// All attempts.
    pub started: u64,
    /// Reported as failed by the worker, not publishable, or stuck.
    pub failed: u64,
    /// Lost with their worker.
    pub lost: u64,
    /// Started to race another attempt of their task.
    pub backups: u64,
    /// Backups that won.
    pub backups_won: u64,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "map {}", self.map)?;
        writeln!(f, "reduce {}", self.reduce)?;
        writeln!(f, "workers alive={} set_aside={}", self.workers.alive, self.workers.set_aside)?;
        let AttemptCounts { started, failed, lost, backups, backups_won } = self.attempts;
        writeln!(f, "attempts started={started} failed={failed} lost={lost}")?;
        if backups > 0 {
            writeln!(f, "backups started={backups} won={backups_won}")?;
        }
        writeln!(f, "maps recalled={}", self.maps_recalled)?;
        write!(f, "reports stale={}", self.stale_reports)
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { failed, lost: 0 } => write!(f, "{failed} failed"),
            Self { failed: 0, lost } => write!(f, "{lost} lost"),
            Self { failed, lost } => write!(f, "{failed} failed, {lost} lost"),
        }
    }
}

impl fmt::Display for PhaseCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tasks, waiting, running, publishing, committed } = self;
        write!(
            f,
            "tasks={tasks} waiting={waiting} running={running} publishing={publishing} \
             committed={committed}"
        )
    }
}
