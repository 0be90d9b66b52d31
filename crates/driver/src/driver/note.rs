//! What the loop has the journal remember of attempts: notes, for `mapmill why`.
//!
//! They go to the committer, and nothing waits for them. Here the scheduler's word for an end and
//! what the book knows of its cause become what is told of it, whether the journal tells it or the
//! job that failed.

use scheduler::{AttemptId, AttemptRecord, End, TaskId, Time, WorkerId};

use super::Driver;
use crate::committer::Errand;
use crate::journal::Record;
use crate::reports::Cause;
use crate::story::{AttemptStory, Death, Ending, Fate, Span};

impl Driver {
    /// `attempt` was given to its worker; perhaps again, because the first answer was lost.
    pub(super) fn note_start(&mut self, attempt: AttemptId, worker: WorkerId) {
        if self.begun.insert(attempt) {
            let started = self.record(attempt).started;
            self.run_errand(Errand::Note(Record::Started {
                phase: attempt.task.phase.into(),
                task: attempt.task.index,
                attempt: attempt.number,
                worker: self.roster.describe(worker),
                at_ms: milliseconds(started),
            }));
        }
    }

    /// `attempt` is over and has not committed.
    pub(super) fn note_end(&mut self, attempt: AttemptId) {
        self.begun.remove(&attempt);
        let record = self.record(attempt);
        let (ended, end) = record.ended.expect("an attempt is discarded when it has ended");
        let ending = self.ending(attempt, &record, ended, end);
        if matches!(end, End::Left | End::Undelivered) {
            self.admission.note_waste(ended, record.worker);
        }
        let bytes = self.reports.settle(attempt);
        self.run_errand(Errand::Note(Record::Ended {
            phase: attempt.task.phase.into(),
            task: attempt.task.index,
            attempt: attempt.number,
            worker: self.roster.describe(record.worker),
            span: Span { started_ms: milliseconds(record.started), ended_ms: milliseconds(ended) },
            bytes,
            ending: ending.clone(),
        }));
        self.reports.conclude(attempt, ending, bytes);
    }

    /// `attempt` found that what `map` should have left for it is lost.
    pub(super) fn note_recall(&self, map: u32, attempt: AttemptId, sentence: String) {
        self.run_errand(Errand::Note(Record::Recalled {
            map,
            reduce: attempt.task.index,
            attempt: attempt.number,
            sentence,
        }));
    }

    /// From the start of `attempt` to now, when it is reported.
    pub(super) fn span_of(&mut self, attempt: AttemptId) -> Span {
        self.begun.remove(&attempt);
        let started = self.record(attempt).started;
        Span { started_ms: milliseconds(started), ended_ms: milliseconds(self.now()) }
    }

    /// The worker process called `name` has died, says its parent process.
    pub(super) fn handle_died(&mut self, now: Time, name: &str, death: Death) {
        // The name has a process id, and the system gives those out again: the last one is meant.
        if let Some(worker) = self.roster.bury(name, death) {
            tracing::info!("died {worker}");
            self.polls.remove(&worker);
            self.sched.handle_died(now, worker);
        }
    }

    fn record(&self, attempt: AttemptId) -> AttemptRecord {
        self.sched.attempts(attempt.task)[attempt.number as usize]
    }

    fn ending(
        &mut self,
        attempt: AttemptId,
        record: &AttemptRecord,
        ended: Time,
        end: End,
    ) -> Ending {
        let since = |time: Time| milliseconds(ended).saturating_sub(milliseconds(time));
        match (end, self.reports.take_cause(attempt)) {
            (End::Starved, Some(Cause::Reported(failure))) => {
                let sentence = failure.to_string();
                Ending::Starved { map: failure.lost_map().unwrap_or_default(), sentence }
            }
            (End::Failed | End::Rejected | End::Starved | End::Violation, Some(cause)) => {
                Ending::of(&cause)
            }
            // The book knows what was reported. Without a report there is no more to say.
            (
                End::Abandoned
                | End::Committed
                | End::Failed
                | End::Rejected
                | End::Starved
                | End::Violation,
                _,
            ) => Ending::Abandoned,
            (End::Superseded { by }, _) => Ending::Superseded { by_backup: by > attempt.number },
            (End::Left, _) => Ending::Left,
            (End::Lost, _) => match self.roster.death(record.worker) {
                Some(death) => Ending::Died(death),
                None => Ending::Lost { silent_ms: since(self.roster.heard(record.worker)) },
            },
            (End::Stuck, _) => {
                let advanced = self.reports.advanced(attempt).unwrap_or(record.started);
                Ending::Stuck { still_ms: since(advanced) }
            }
            (End::Undelivered, _) => Ending::Undelivered,
        }
    }
}

impl super::Ended {
    /// Every attempt at `task` in this life, in order.
    pub(crate) fn stories(&self, task: TaskId) -> Vec<AttemptStory> {
        let records = (0..).zip(self.sched.attempts(task));
        let stories = records.map(|(number, record)| {
            let concluded = self.reports.conclusion(AttemptId { task, number });
            let (fate, bytes) = match (concluded, record.ended) {
                (Some((ending, bytes)), _) => (Fate::Ended(ending.clone()), *bytes),
                (None, Some(_)) => (Fate::Committed, None),
                (None, None) => (Fate::Running, None),
            };
            AttemptStory {
                life: 1,
                number,
                worker: self.roster.describe(record.worker),
                started: Some(record.started.0),
                ended: record.ended.map(|(time, _)| time.0),
                bytes,
                fate,
            }
        });
        stories.collect()
    }
}

fn milliseconds(time: Time) -> u64 {
    u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)
}
