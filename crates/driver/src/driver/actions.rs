//! The scheduler's actions become answers to workers and errands of the committer.

use journal::{ReduceCommit, Winner};
use rpc::message::{Outcome, TaskAnswer};
use scheduler::{Action, AttemptId, Phase, Time, WorkerId};
use store::Durability;

use super::{Driver, notes};
use crate::cause::Cause;
use crate::committer::{Commit, Errand};
use crate::ids;

impl Driver {
    /// Carries out everything the scheduler has decided.
    pub(super) fn carry_out_actions(&mut self) {
        while let Some(action) = self.sched.poll_action() {
            match action {
                Action::Discard { attempt } => {
                    tracing::info!("discard {attempt}");
                    self.send(Errand::Discard(self.spec.staging(attempt)));
                    // In this order: on a full disk, discarding makes space for the note.
                    self.note_end(attempt);
                }
                Action::Exit { worker } => {
                    if let Some(poll) = self.pending.take_poll(worker)
                        && poll.send(Ok(TaskAnswer::Exit)).is_ok()
                    {
                        self.members.roster.note_knows_end(worker);
                    }
                }
                Action::Publish { attempt } => self.publish(self.clock.now(), attempt),
                Action::SetAside { worker, strikes } => {
                    let known_as = self.members.roster.describe(worker);
                    tracing::warn!(
                        "set aside {known_as}: {strikes}; it gets no more tasks while other workers \
                         are alive"
                    );
                }
                Action::Start { attempt, worker, .. } => self.start(&action, attempt, worker),
            }
        }
    }

    fn start(&mut self, action: &Action, attempt: AttemptId, worker: WorkerId) {
        let now = self.clock.now();
        self.view.note_start(now, attempt.task.phase);
        self.members.roster.note_assigned(worker);
        let task = self.spec.describe(attempt, |bucket| self.reports.intermediates(bucket));
        let poll = self.pending.take_poll(worker);
        if poll.is_some_and(|poll| poll.send(Ok(TaskAnswer::Task(task))).is_ok()) {
            tracing::info!("{action}");
            let record = notes::record_of(&self.sched, attempt);
            let known_as = self.members.roster.describe(worker);
            if let Some(note) = self.notes.start(attempt, &record, known_as) {
                self.send(Errand::Note(note));
            }
        } else {
            // The worker's call was cut off: it may have died while it waited. If it lives it asks
            // again; the task need not wait for that.
            tracing::info!("undelivered {worker} {attempt}");
            self.sched.handle_undelivered(now, worker, attempt);
        }
    }

    /// `attempt` is over and has not committed.
    fn note_end(&mut self, attempt: AttemptId) {
        let end = self.notes.end(attempt, &self.sched, &mut self.reports, &self.members.roster);
        if end.is_handed_back {
            self.members.note_handed_back(end.at, end.worker);
        }
        self.send(Errand::Note(end.note));
    }

    /// The scheduler accepted a report: have its objects published, unless words were lost.
    pub(super) fn publish(&mut self, now: Time, attempt: AttemptId) {
        self.notes.forget(attempt);
        match self.commit_of(now, attempt) {
            Ok(commit) => self.send(Errand::Commit(commit)),
            Err(cause) => self.reject(now, attempt, cause),
        }
    }

    fn commit_of(&self, now: Time, attempt: AttemptId) -> Result<Commit, Cause> {
        let (worker, outcome) = self
            .reports
            .report(attempt)
            .expect("a report is kept before the scheduler's actions are polled");
        let (task, number) = (attempt.task.index, attempt.number);
        let worker = self.members.roster.describe(*worker);
        let first = || self.spec.first_bad_record(task, outcome);
        self.reports.check_bad_records(self.spec.bad_records_max.unwrap_or(u64::MAX), first)?;
        let span = Some(notes::span(&notes::record_of(&self.sched, attempt), now));
        let winner = Winner { task, attempt: number, worker, span };
        let (objects, durability, record) = match outcome {
            Outcome::Mapped { buckets, findings } => {
                let commit = ids::map_commit(buckets, findings);
                let objects = commit.objects(task).collect();
                (objects, Durability::Verified, commit.into_record(winner))
            }
            &Outcome::Reduced { output, words, distinct_words } => {
                self.reports.check_conservation(task, words)?;
                let commit = ReduceCommit { output: ids::digest(output), words, distinct_words };
                (vec![commit.object(task)], Durability::Durable, commit.into_record(winner))
            }
            Outcome::Failed(_) => unreachable!("a failure is never accepted for publication"),
        };
        let staging = self.spec.staging(attempt);
        let is_awaited = self.is_awaited(attempt);
        Ok(Commit { attempt, staging, objects, durability, record, is_awaited })
    }

    /// Whether a worker waits until the attempt is committed: the one that has reported it, or all
    /// of them, because little else is left to do in its phase.
    fn is_awaited(&self, attempt: AttemptId) -> bool {
        self.pending.has_report(attempt) || !self.has_much_to_do(attempt.task.phase)
    }

    /// Whether enough tasks are left in `phase` to keep the workers busy. All of them wait for the
    /// last ones.
    pub(super) fn has_much_to_do(&self, phase: Phase) -> bool {
        let counts = self.sched.snapshot();
        let counts = match phase {
            Phase::Map => counts.map,
            Phase::Reduce => counts.reduce,
        };
        counts.waiting + counts.running >= MUCH_TO_DO
    }
}

/// Tasks left in a phase, waiting or running. Chosen by eye.
pub(super) const MUCH_TO_DO: u32 = 3;
