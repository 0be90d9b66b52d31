//! What the journal remembers of attempts that did not commit: notes, for `mapmill why`.
//!
//! They go to the committer, and nothing waits for them. Here the scheduler's word for an end and
//! the cause that was reported become how the attempt ended, for the journal as for the job that
//! failed.

use std::collections::BTreeSet;

use journal::{AttemptHistory, Ending, Fate, Record, SetAside, Span, Strikes};
use rpc::message::Failure;
use scheduler::{AttemptId, AttemptRecord, End, Scheduler, TaskId, Time, WorkerId};

use crate::cause::Cause;
use crate::ids;
use crate::reports::Reports;
use crate::roster::Roster;

/// Which attempts have a note of their start.
#[derive(Default)]
pub(super) struct Notes {
    /// The attempts that were assigned to a worker and are not over.
    started: BTreeSet<AttemptId>,
}

/// An attempt is over that did not commit.
pub(super) struct Over {
    pub(super) worker: WorkerId,
    pub(super) at: Time,
    /// The worker had not begun it.
    pub(super) is_handed_back: bool,
    pub(super) note: Record,
}

impl Notes {
    /// `attempt` was assigned to its worker. The note, unless there is one already: the first
    /// answer was lost then.
    pub(super) fn start(
        &mut self,
        attempt: AttemptId,
        record: &AttemptRecord,
        worker: String,
    ) -> Option<Record> {
        self.started.insert(attempt).then(|| Record::Started {
            phase: ids::recorded_phase(attempt.task.phase),
            task: attempt.task.index,
            attempt: attempt.number,
            worker,
            at_ms: milliseconds(record.started),
        })
    }

    /// `attempt` is about to commit. The record of that has a time of its own.
    pub(super) fn forget(&mut self, attempt: AttemptId) {
        self.started.remove(&attempt);
    }

    /// `attempt` is over and has not committed.
    pub(super) fn end(
        &mut self,
        attempt: AttemptId,
        sched: &Scheduler,
        reports: &mut Reports,
        roster: &Roster,
    ) -> Over {
        self.forget(attempt);
        let record = record_of(sched, attempt);
        let (ended, end) = record.ended.expect("an attempt is discarded when it has ended");
        let ending = ending(attempt, &record, reports, roster);
        let bytes = reports.live.remove(attempt);
        let note = Record::Ended {
            phase: ids::recorded_phase(attempt.task.phase),
            task: attempt.task.index,
            attempt: attempt.number,
            worker: roster.describe(record.worker),
            span: span(&record, ended),
            bytes,
            ending: ending.clone(),
            set_aside: set_aside(record.worker, sched, roster),
        };
        reports.conclude(attempt, ending, bytes);
        let is_handed_back = matches!(end, End::Left | End::Undelivered);
        Over { worker: record.worker, at: ended, is_handed_back, note }
    }
}

/// `attempt` found that an intermediate of `map` is lost.
pub(super) fn recalled(map: u32, attempt: AttemptId, sentence: String) -> Record {
    Record::Recalled { map, reduce: attempt.task.index, attempt: attempt.number, sentence }
}

/// From the start of an attempt to `end`.
pub(super) fn span(record: &AttemptRecord, end: Time) -> Span {
    Span { started_ms: milliseconds(record.started), ended_ms: milliseconds(end) }
}

pub(super) fn record_of(sched: &Scheduler, attempt: AttemptId) -> AttemptRecord {
    sched.attempts(attempt.task)[attempt.number as usize]
}

/// What `worker` has failed and lost, if it gets no more tasks while others can do them. A worker
/// that is the only one never has to stand back.
fn set_aside(worker: WorkerId, sched: &Scheduler, roster: &Roster) -> Option<Strikes> {
    let strikes = sched.strikes_if_set_aside(worker).filter(|_| roster.added() > 1)?;
    Some(Strikes { failed: strikes.failed, lost: strikes.lost })
}

fn ending(
    attempt: AttemptId,
    record: &AttemptRecord,
    reports: &mut Reports,
    roster: &Roster,
) -> Ending {
    let (ended, end) = record.ended.expect("an attempt is discarded when it has ended");
    let since = |time: Time| milliseconds(ended).saturating_sub(milliseconds(time));
    let cause = reports.take_cause(attempt);
    match end {
        End::Abandoned => Ending::Abandoned,
        End::Committed => unreachable!("{attempt} won: it is not discarded"),
        End::Failed | End::Rejected | End::Starved | End::Unable | End::Violation => {
            let cause = cause.expect("an attempt fails when its cause is known");
            if let (End::Starved, Cause::Reported(failure)) = (end, &cause) {
                starved(failure)
            } else {
                Ending::from(&cause)
            }
        }
        End::Superseded { by } => Ending::Superseded { by_backup: by > attempt.number },
        End::Left => Ending::Left,
        End::Lost => match roster.death(record.worker) {
            Some(death) => Ending::Died(death),
            None => Ending::Lost { silent_ms: since(roster.last_call(record.worker)) },
        },
        End::Stuck => {
            let advanced = reports.live.advanced(attempt).unwrap_or(record.started);
            Ending::Stuck { still_ms: since(advanced) }
        }
        End::Undelivered => Ending::Undelivered,
    }
}

fn starved(failure: &Failure) -> Ending {
    let map = failure.lost_map().expect("an attempt starves when it names a lost map");
    Ending::Starved { map, sentence: failure.to_string() }
}

impl super::Ended {
    /// The workers that were set aside, in the order of their numbers.
    pub(crate) fn set_aside(&self) -> Vec<SetAside> {
        let named = self.sched.set_aside().filter_map(|(worker, _)| {
            let strikes = set_aside(worker, &self.sched, &self.roster)?;
            let last = self.last_strike(worker)?;
            Some(SetAside { epoch: 1, worker: self.roster.describe(worker), strikes, last })
        });
        named.collect()
    }

    /// How the attempt ended that `worker` failed or lost last.
    fn last_strike(&self, worker: WorkerId) -> Option<Ending> {
        let strikes = self.reports.conclusions().filter_map(|(attempt, ending)| {
            let record = record_of(&self.sched, attempt);
            let (ended, _) = record.ended.filter(|_| record.is_strike())?;
            (record.worker == worker).then_some((ended, ending))
        });
        strikes.max_by_key(|&(ended, _)| ended).map(|(_, ending)| ending.clone())
    }

    /// Every attempt at `task` in this epoch, in order.
    pub(crate) fn attempts(&self, task: TaskId) -> Vec<AttemptHistory> {
        let records = (0..).zip(self.sched.attempts(task));
        let attempts = records.map(|(number, record)| {
            let concluded = self.reports.conclusion(AttemptId { task, number });
            let (fate, bytes) = match (concluded, record.ended) {
                (Some((ending, bytes)), _) => (Fate::Ended(ending.clone()), *bytes),
                (None, Some(_)) => (Fate::Committed, None),
                (None, None) => (Fate::Running, None),
            };
            AttemptHistory {
                epoch: 1,
                number,
                worker: self.roster.describe(record.worker),
                started: Some(record.started.0),
                ended: record.ended.map(|(time, _)| time.0),
                bytes,
                fate,
            }
        });
        attempts.collect()
    }
}

fn milliseconds(time: Time) -> u64 {
    u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)
}
