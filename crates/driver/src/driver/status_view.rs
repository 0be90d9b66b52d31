//! The job as observers see it: for progress bars, and for the `Status` call.

use std::time::Duration;

use rpc::message::{AttemptCounts, JobState, PhaseStatus, Session, Status};
use scheduler::{Outcome, Phase, PhaseCounts, Scheduler, Time};
use tokio::sync::watch;

use crate::ids;
use crate::reports::{Reports, Totals};
use crate::status::{Backups, PhaseSnapshot, Removing, Resumed, Snapshot};

/// Keeps the times that a snapshot needs, and sends snapshots to observers.
pub(super) struct StatusView {
    phases: Phases,
    removing: Removing,
    /// When the folder was clean and the end recorded.
    finished: Option<Time>,
    snapshots: watch::Sender<Snapshot>,
}

/// What a snapshot is made of.
#[derive(Clone, Copy)]
pub(super) struct Observed<'job> {
    pub(super) now: Time,
    pub(super) sched: &'job Scheduler,
    pub(super) reports: &'job Reports,
    pub(super) input_bytes: u64,
    pub(super) violations: u64,
}

/// When each phase began to run, when its last task was committed, and what was committed before.
#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    map: PhaseView,
    reduce: PhaseView,
}

#[derive(Clone, Copy, Debug, Default)]
struct PhaseView {
    began: Option<Time>,
    ended: Option<Time>,
    resumed: Resumed,
}

impl StatusView {
    pub(super) fn new(snapshots: watch::Sender<Snapshot>) -> Self {
        let (phases, removing) = (Phases::default(), Removing::default());
        Self { phases, removing, finished: None, snapshots }
    }

    /// The job is resumed with these tasks committed.
    pub(super) fn note_resumed(&mut self, counts: &scheduler::Snapshot, totals: Totals) {
        let Totals { input_bytes, intermediate_bytes_read, .. } = totals;
        self.phases.map.resumed = Resumed { tasks: counts.map.committed, bytes: input_bytes };
        self.phases.reduce.resumed =
            Resumed { tasks: counts.reduce.committed, bytes: intermediate_bytes_read };
    }

    /// An attempt of `phase` starts.
    pub(super) fn note_start(&mut self, now: Time, phase: Phase) {
        self.phases.of(phase).began.get_or_insert(now);
    }

    /// Notes which phases have ended.
    pub(super) fn note_ends(&mut self, now: Time, counts: &scheduler::Snapshot) {
        for (phase, counts) in [(Phase::Map, counts.map), (Phase::Reduce, counts.reduce)] {
            if counts.committed == counts.tasks {
                self.phases.of(phase).ended.get_or_insert(now);
            }
        }
    }

    /// The job is over, and this much has to be removed.
    pub(super) fn note_removing(&mut self, removing: Removing) {
        self.removing = removing;
    }

    /// The committer has done its last errand.
    pub(super) fn note_finished(&mut self, now: Time) {
        self.finished = Some(now);
    }

    /// Sends a snapshot to the observers.
    pub(super) fn publish(&self, job: Observed<'_>) {
        self.snapshots.send_replace(self.snapshot(job));
    }

    /// From the start of the first attempt until the folder is clean and the end is recorded: the
    /// wait for the first worker does not count.
    pub(super) fn elapsed(&self) -> Duration {
        let phases = [self.phases.map, self.phases.reduce];
        let first = phases.iter().filter_map(|times| times.began).min();
        let last = phases.iter().filter_map(|times| times.ended).chain(self.finished).max();
        match (first, last) {
            (Some(first), Some(last)) => last.0.saturating_sub(first.0),
            (None, _) | (_, None) => Duration::ZERO,
        }
    }

    pub(super) fn snapshot(&self, job: Observed<'_>) -> Snapshot {
        let Observed { now, sched, reports, input_bytes, violations } = job;
        let counts = sched.snapshot();
        let totals = reports.totals();
        let (map, reduce) = (reports.live.sum(Phase::Map), reports.live.sum(Phase::Reduce));
        // A map task that is recalled makes the same bytes again.
        let is_known = self.phases.map.ended.is_some();
        let map = PhaseStatus {
            bytes_total: input_bytes,
            // A task reads a little behind the end of its share.
            bytes_done: totals.input_bytes.saturating_add(map.bytes).min(input_bytes),
            words: totals.words_emitted.saturating_add(map.words),
            ..tasks(counts.map)
        };
        let reduce = PhaseStatus {
            bytes_total: if is_known { totals.intermediate_bytes } else { 0 },
            bytes_done: totals.intermediate_bytes_read.saturating_add(reduce.bytes),
            words: totals.words_counted.saturating_add(reduce.words),
            ..tasks(counts.reduce)
        };
        Snapshot {
            map: self.phases.map.snapshot(now, map),
            reduce: self.phases.reduce.snapshot(now, reduce),
            workers: counts.workers.alive,
            stranded: ids::stranded(sched),
            attempts: AttemptCounts {
                started: counts.attempts.started,
                failed: counts.attempts.failed,
                lost: counts.attempts.lost,
            },
            backups: Backups { started: counts.attempts.backups, won: counts.attempts.backups_won },
            stale_reports: counts.stale_reports,
            violations,
            removing: self.removing,
        }
    }

    /// The answer to a `Status` call.
    pub(super) fn status(&self, session: Session, job: Observed<'_>) -> Status {
        let snapshot = self.snapshot(job);
        let state = match job.sched.outcome() {
            None => JobState::Running,
            Some(Outcome::Cancelled) => JobState::Cancelled,
            Some(Outcome::Done) => JobState::Done,
            Some(Outcome::Failed(_)) => JobState::Failed,
        };
        Status {
            session,
            state,
            map: snapshot.map.counts,
            reduce: snapshot.reduce.counts,
            workers: snapshot.workers,
            attempts: snapshot.attempts,
            stale_reports: snapshot.stale_reports,
            violations: snapshot.violations,
            stranded: snapshot.stranded,
        }
    }
}

impl Phases {
    fn of(&mut self, phase: Phase) -> &mut PhaseView {
        match phase {
            Phase::Map => &mut self.map,
            Phase::Reduce => &mut self.reduce,
        }
    }
}

impl PhaseView {
    fn snapshot(&self, now: Time, counts: PhaseStatus) -> PhaseSnapshot {
        PhaseSnapshot { counts, elapsed: self.elapsed(now), resumed: self.resumed }
    }

    fn elapsed(&self, now: Time) -> Duration {
        self.began
            .map_or(Duration::ZERO, |began| self.ended.unwrap_or(now).0.saturating_sub(began.0))
    }
}

fn tasks(counts: PhaseCounts) -> PhaseStatus {
    PhaseStatus {
        tasks: counts.tasks,
        running: counts.running + counts.publishing,
        committed: counts.committed,
        ..PhaseStatus::default()
    }
}
