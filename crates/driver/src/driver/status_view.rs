//! The job as others see it: for progress bars, and for the `Status` call.

use std::time::Duration;

use rpc::message::{JobState, PhaseStatus, Status};
use scheduler::{Outcome, Phase, PhaseCounts};

use super::{Driver, Span};
use crate::status::{PhaseSnapshot, Snapshot};

impl Driver {
    pub(super) fn span_mut(&mut self, phase: Phase) -> &mut Span {
        match phase {
            Phase::Map => &mut self.spans[0],
            Phase::Reduce => &mut self.spans[1],
        }
    }

    /// Notes when a phase ends, and shows the job to whoever watches.
    pub(super) fn publish_snapshot(&mut self) {
        let now = self.now();
        let counts = self.sched.snapshot();
        for (phase, counts) in [(Phase::Map, counts.map), (Phase::Reduce, counts.reduce)] {
            if counts.committed == counts.tasks {
                self.span_mut(phase).ended.get_or_insert(now);
            }
        }
        self.snapshots.send_replace(self.snapshot());
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let counts = self.sched.snapshot();
        let totals = self.reports.totals();
        let [map_span, reduce_span] = self.spans;
        let (map, reduce) = (self.reports.live(Phase::Map), self.reports.live(Phase::Reduce));
        let maps_done = counts.map.committed == counts.map.tasks;
        Snapshot {
            map: PhaseSnapshot {
                bytes_total: self.plan.bytes(),
                // A task reads a little behind the end of its share.
                bytes_done: totals.input_bytes.saturating_add(map.bytes).min(self.plan.bytes()),
                words: totals.words_emitted.saturating_add(map.words),
                ..self.phase(counts.map, map_span)
            },
            reduce: PhaseSnapshot {
                bytes_total: if maps_done { totals.intermediate_bytes } else { 0 },
                bytes_done: totals.intermediate_bytes_read.saturating_add(reduce.bytes),
                words: totals.words_counted.saturating_add(reduce.words),
                ..self.phase(counts.reduce, reduce_span)
            },
            workers: counts.workers.alive,
            attempts_started: counts.attempts.started,
            attempts_failed: counts.attempts.failed,
            attempts_lost: counts.attempts.lost,
            backups_started: counts.attempts.backups,
            backups_won: counts.attempts.backups_won,
            stale_reports: counts.stale_reports,
            lies: self.admission.lies(),
        }
    }

    fn phase(&self, counts: PhaseCounts, span: Span) -> PhaseSnapshot {
        let elapsed = span.began.map_or(Duration::ZERO, |began| {
            span.ended.unwrap_or_else(|| self.now()).0.saturating_sub(began.0)
        });
        PhaseSnapshot {
            tasks: counts.tasks,
            running: counts.running + counts.publishing,
            committed: counts.committed,
            elapsed,
            ..PhaseSnapshot::default()
        }
    }

    pub(super) fn status(&self) -> Status {
        let snapshot = self.snapshot();
        let phase = |phase: PhaseSnapshot| PhaseStatus {
            tasks: phase.tasks,
            running: phase.running,
            committed: phase.committed,
            bytes_total: phase.bytes_total,
            bytes_done: phase.bytes_done,
            words: phase.words,
        };
        Status {
            session: self.terms.session.clone(),
            state: match self.sched.outcome() {
                None => JobState::Running,
                Some(Outcome::Cancelled) => JobState::Cancelled,
                Some(Outcome::Done) => JobState::Done,
                Some(Outcome::Failed(_)) => JobState::Failed,
            },
            map: phase(snapshot.map),
            reduce: phase(snapshot.reduce),
            workers: snapshot.workers,
            attempts_started: snapshot.attempts_started,
            attempts_failed: snapshot.attempts_failed,
            attempts_lost: snapshot.attempts_lost,
            stale_reports: snapshot.stale_reports,
            lies: snapshot.lies,
        }
    }
}
