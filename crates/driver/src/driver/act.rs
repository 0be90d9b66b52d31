//! What the scheduler wants done, and how the job comes to its end.

use std::time::Duration;

use rpc::message::{Failure, Outcome, Split, Task, TaskAnswer, Work};
use scheduler::{Action, AttemptId, Phase, WorkerId};
use store::{Check, layout};

use super::{Driver, Ended, Finish};
use crate::committer::{Commit, Errand};
use crate::journal::{CANCELLED, DONE, FAILED, Record};
use crate::plan::PlannedSplit;
use crate::reports::{Cause, digest};

impl Driver {
    /// Carries out everything the scheduler has decided.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.sched.poll_action() {
            match action {
                Action::Discard { attempt } => {
                    tracing::info!("discard {attempt}");
                    self.run_errand(Errand::Discard(self.staging(attempt)));
                    // In this order: where the disk is full, there may be room for a line then.
                    self.note_end(attempt);
                }
                Action::Exit { worker } => {
                    if let Some(poll) = self.polls.remove(&worker)
                        && poll.send(Ok(TaskAnswer::Exit)).is_ok()
                    {
                        self.roster.tell_end(worker);
                    }
                }
                Action::Publish { attempt } => self.publish(attempt),
                Action::Start { attempt, worker, .. } => self.start(&action, attempt, worker),
            }
        }
    }

    fn start(&mut self, action: &Action, attempt: AttemptId, worker: WorkerId) {
        let now = self.now();
        self.span_mut(attempt.task.phase).began.get_or_insert(now);
        self.roster.employ(worker);
        let answer = TaskAnswer::Task(self.describe(attempt));
        let poll = self.polls.remove(&worker);
        if poll.is_some_and(|poll| poll.send(Ok(answer)).is_ok()) {
            tracing::info!("{action}");
            self.note_start(attempt, worker);
        } else {
            // The worker's call was cut off: perhaps it has died while it waited. If it lives it
            // asks again; the task need not wait for that.
            tracing::info!("undelivered {worker} {attempt}");
            self.sched.handle_undelivered(now, worker, attempt);
        }
    }

    fn describe(&self, attempt: AttemptId) -> Task {
        let index = attempt.task.index;
        let (phase, work) = match attempt.task.phase {
            Phase::Map => {
                let splits = self.plan.splits(index).map(split).collect();
                (rpc::message::Phase::Map, Work::Map { splits })
            }
            Phase::Reduce => {
                let digests = self.reports.intermediates(index).into_iter();
                let digests = digests.map(|digest| rpc::message::Digest {
                    bytes: digest.bytes,
                    crc32: digest.crc32,
                });
                (rpc::message::Phase::Reduce, Work::Reduce { intermediates: digests.collect() })
            }
        };
        Task {
            attempt: rpc::message::Attempt { phase, task: index, number: attempt.number },
            staging: self.staging(attempt).to_string(),
            work,
        }
    }

    fn staging(&self, attempt: AttemptId) -> store::Staging {
        layout::staging(&self.terms.session.0, &attempt.to_string())
    }

    /// The scheduler took a report: have its objects published, unless the count is wrong.
    pub(super) fn publish(&mut self, attempt: AttemptId) {
        let span = self.span_of(attempt);
        let (worker, outcome) = self
            .reports
            .report(attempt)
            .expect("a report is kept before the scheduler's actions are polled");
        let (index, worker) = (attempt.task.index, self.roster.describe(*worker));
        let span = Some(span);
        let staging = self.staging(attempt);
        let is_awaited = self.is_awaited(attempt);
        let commit = match outcome {
            Outcome::Mapped { buckets, invalid_bytes } => {
                let buckets: Vec<_> =
                    buckets.iter().map(|bucket| (digest(bucket.digest), bucket.words)).collect();
                let objects = (0..).zip(&buckets);
                let objects = objects
                    .map(|(bucket, (digest, _))| (layout::intermediate(index, bucket), *digest));
                Commit {
                    attempt,
                    staging,
                    objects: objects.collect(),
                    check: Check::Length,
                    record: Record::map(
                        index,
                        attempt.number,
                        &worker,
                        span,
                        &buckets,
                        *invalid_bytes,
                    ),
                    is_awaited,
                }
            }
            Outcome::Reduced { output, words, distinct_words } => {
                if let Err(cause) = self.reports.check_conservation(index, *words) {
                    let now = self.now();
                    self.handle_published(now, attempt, Err(cause));
                    return;
                }
                Commit {
                    attempt,
                    staging,
                    objects: vec![(layout::output(index), digest(*output))],
                    check: Check::Checksum,
                    record: Record::Reduce {
                        task: index,
                        attempt: attempt.number,
                        worker,
                        span,
                        bytes: output.bytes,
                        crc32: output.crc32,
                        words: *words,
                        distinct_words: *distinct_words,
                    },
                    is_awaited,
                }
            }
            Outcome::Failed(_) => unreachable!("a failure is never taken for publication"),
        };
        self.run_errand(Errand::Commit(commit));
    }

    /// Whether somebody waits until the attempt is committed: who has reported it, or everybody,
    /// because little else is left to do in its phase.
    fn is_awaited(&self, attempt: AttemptId) -> bool {
        self.answers.contains_key(&attempt) || !self.has_much_to_do(attempt.task.phase)
    }

    /// Whether so many tasks are left to do in `phase` that haste pays. Everybody waits for the
    /// last of them.
    pub(super) fn has_much_to_do(&self, phase: Phase) -> bool {
        let counts = self.sched.snapshot();
        let counts = match phase {
            Phase::Map => counts.map,
            Phase::Reduce => counts.reduce,
        };
        counts.waiting + counts.running >= MUCH_TO_DO
    }

    pub(super) fn run_errand(&self, errand: Errand) {
        self.errands.send(errand).expect("the committer runs as long as the loop can send to it");
    }

    /// Once the job is decided, has the committer tidy up.
    pub(super) fn look_to_the_end(&mut self) {
        let (Some(outcome), Finish::NotYet) = (self.sched.outcome(), &self.finish) else { return };
        tracing::info!("job {outcome}");
        let (outcome, leftovers) = match outcome {
            scheduler::Outcome::Cancelled => (CANCELLED, Vec::new()),
            scheduler::Outcome::Done => (DONE, std::mem::take(&mut self.terms.leftovers)),
            scheduler::Outcome::Failed(_) => (FAILED, Vec::new()),
        };
        self.run_errand(Errand::Finish { outcome, leftovers });
        self.finish = Finish::Tidying;
    }

    /// Whether everything is tidy and everybody who lives was told, or enough time was given to it.
    pub(super) fn is_over(&self) -> bool {
        let Finish::Lingering { until, .. } = &self.finish else { return false };
        let now = self.now();
        let all_told = || !self.roster.untold().any(|worker| self.sched.knows(worker));
        now >= self.stay_until && (now >= *until || all_told())
    }

    pub(super) fn end(self) -> Ended {
        let snapshot = self.snapshot();
        // Waiting for the first worker is not the job's time.
        let first = self.spans.iter().filter_map(|span| span.began).min();
        let last = self.spans.iter().filter_map(|span| span.ended).max();
        let elapsed = match (first, last) {
            (Some(first), Some(last)) => last.0.saturating_sub(first.0),
            (None, _) | (_, None) => Duration::ZERO,
        };
        let finished = match self.finish {
            Finish::Lingering { result, .. } => result,
            Finish::NotYet | Finish::Tidying => Ok(()),
        };
        Ended {
            sched: self.sched,
            reports: self.reports,
            roster: self.roster,
            snapshot,
            elapsed,
            deserted: self.deserted,
            finished,
        }
    }
}

fn split(split: PlannedSplit<'_>) -> Split {
    Split {
        path: split.input.path.clone(),
        start: split.start,
        end: split.end,
        file_bytes: split.input.bytes,
        modified_seconds: split.input.modified.seconds,
        modified_nanos: split.input.modified.nanoseconds,
    }
}

/// Whether another attempt can do better.
pub(super) fn severity(cause: &Cause) -> scheduler::Failure {
    match cause {
        Cause::NotPublished(_) if cause.is_violation() => scheduler::Failure::Violation,
        // The bytes that were planned for are gone: whatever is counted now would be another job.
        Cause::Reported(Failure::InputChanged { .. } | Failure::InputMissing { .. })
        | Cause::Conservation { .. }
        | Cause::NotDurable(_)
        | Cause::NotJournaled(_) => scheduler::Failure::Fatal,
        Cause::Reported(
            Failure::DiskFull { .. }
            | Failure::InputUnreadable { .. }
            | Failure::IntermediateCorrupt { .. }
            | Failure::IntermediateMissing { .. }
            | Failure::Io { .. }
            | Failure::OutsideRoots { .. }
            | Failure::Panicked { .. }
            | Failure::StagingExists,
        )
        | Cause::Abandoned
        | Cause::NotPublished(_) => scheduler::Failure::Transient,
        Cause::Violation => scheduler::Failure::Violation,
    }
}

/// Tasks left in a phase, waiting or running. Chosen by eye.
pub(super) const MUCH_TO_DO: u32 = 3;
