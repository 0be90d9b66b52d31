//! The one task that owns the scheduler. Everyone else talks to it over `events`.
//!
//! ```text
//! service ──Event──►┐                      ┌──Errand──► committer
//! committer ─Event─►│ scheduler,  reports  │
//! timeouts ────────►┘                      └──answers─► service, Snapshot ─► observers
//! ```
//!
//! Here events become calls of the scheduler, and its actions become answers and errands. What is
//! decided is decided there; what was reported is kept in [`Reports`]. The loop never waits for a
//! disk or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Session, Status,
    TaskAnswer, Verdict, WordRules,
};
use rpc::{Peer, Refusal};
use scheduler::{AttemptId, Beat, Phase, Scheduler, TaskId, Time, WorkerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::admission::{Admission, Chance, Violation};
use crate::committer::Errand;
use crate::journal::JournalError;
use crate::plan::Plan;
use crate::recovery::Recovered;
use crate::reports::{Cause, Reports};
use crate::roster::Roster;
use crate::status::Snapshot;
use crate::story::Death;

mod act;
mod note;
mod registration;
mod status_view;

/// What happens to the loop.
pub(crate) enum Event {
    /// The committer panicked: nobody would ever be told of what it had to do.
    CommitterDied,
    /// A worker process is dead, says its parent.
    Died {
        /// As it registered.
        name: String,
        death: Death,
    },
    /// The committer has done its last errand.
    Finished(Result<(), JournalError>),
    Heartbeat {
        peer: Peer,
        caller: Caller,
        running: Option<Running>,
        reply: Reply<Order>,
    },
    /// A worker goes away for good.
    Leave {
        peer: Peer,
        caller: Caller,
        reply: Reply<()>,
    },
    NextTask {
        peer: Peer,
        caller: Caller,
        reply: Reply<TaskAnswer>,
    },
    /// An attempt's objects have their final names and are recorded, or not.
    Published {
        attempt: AttemptId,
        result: Result<(), Cause>,
    },
    Register {
        peer: Peer,
        register: Register,
        reply: Reply<RegisterAnswer>,
    },
    Report {
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
        reply: Reply<Verdict>,
        /// The caller asks for its next task as well, unless the answer is stale; and will not
        /// wait for the disk.
        next: Option<Reply<TaskAnswer>>,
    },
    Status {
        reply: Reply<Status>,
    },
}

/// Where an answer goes, or why there is none.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the loop needs to know of the job, besides the plan.
pub(crate) struct Terms {
    pub(crate) session: Session,
    pub(crate) rules: WordRules,
    pub(crate) reduce_tasks: u32,
    pub(crate) files: PathBuf,
    /// Every folder that a worker must be allowed to use.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) heartbeat: Duration,
    pub(crate) leftovers: Vec<store::Name>,
    /// End the job when no worker was there for so long.
    pub(crate) worker_wait: Option<Duration>,
}

/// # Invariants
///
/// * An attempt in `answers` is being published: it is in the book's reports.
/// * At most one call of a worker waits in `polls`.
pub(crate) struct Driver {
    started: Instant,
    /// When the loop last looked at the clock.
    looked: Instant,
    /// How long this process did not get to run, all together. Left out of the scheduler's time.
    paused: Duration,
    sched: Scheduler,
    reports: Reports,
    admission: Admission,
    roster: Roster,
    plan: Arc<Plan>,
    terms: Terms,
    /// Calls for a task that wait for one.
    polls: BTreeMap<WorkerId, Reply<TaskAnswer>>,
    /// Reports that wait for their attempt to be published, by attempt.
    answers: BTreeMap<AttemptId, Vec<Reporter>>,
    /// The attempts that were given to a worker and are not over.
    begun: BTreeSet<AttemptId>,
    errands: std_mpsc::Sender<Errand>,
    snapshots: watch::Sender<Snapshot>,
    /// When each phase began to run, and when its last task was committed.
    spans: [Span; 2],
    finish: Finish,
    /// The loop does not end before.
    stay_until: Time,
    /// Since when no worker is there; `None` while one is.
    alone_since: Option<Time>,
    /// The job was ended because no worker was there for so long.
    deserted: Option<Duration>,
}

/// Who waits for what becomes of its report.
struct Reporter {
    verdict: Reply<Verdict>,
    next: Option<(WorkerId, Reply<TaskAnswer>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    began: Option<Time>,
    ended: Option<Time>,
}

/// What is left to do when the scheduler has decided how the job ends.
enum Finish {
    /// The job is running.
    NotYet,
    /// The committer is tidying up.
    Tidying,
    /// Only the workers have to be told, until `until`.
    Lingering { until: Time, result: Result<(), JournalError> },
}

/// How the loop ended.
pub(crate) struct Ended {
    pub(crate) sched: Scheduler,
    pub(crate) reports: Reports,
    pub(crate) roster: Roster,
    pub(crate) snapshot: Snapshot,
    /// From the start of the first attempt to the last commit.
    pub(crate) elapsed: Duration,
    /// How long no worker was there, if that ended the job.
    pub(crate) deserted: Option<Duration>,
    /// Whether the journal's last record is on disk.
    pub(crate) finished: Result<(), JournalError>,
}

impl Driver {
    pub(crate) fn new(
        sched: Scheduler,
        plan: Arc<Plan>,
        terms: Terms,
        chance: Chance,
        errands: std_mpsc::Sender<Errand>,
        snapshots: watch::Sender<Snapshot>,
    ) -> Self {
        let started = Instant::now();
        Self {
            started,
            looked: started,
            paused: Duration::ZERO,
            sched,
            reports: Reports::new(plan.map_tasks().get(), terms.reduce_tasks),
            admission: Admission::new(chance),
            roster: Roster::default(),
            plan,
            terms,
            polls: BTreeMap::new(),
            answers: BTreeMap::new(),
            begun: BTreeSet::new(),
            errands,
            snapshots,
            spans: [Span::default(); 2],
            finish: Finish::NotYet,
            stay_until: Time(Duration::ZERO),
            alone_since: None,
            deserted: None,
        }
    }

    /// Answers for so long at least, also when the job is over before.
    pub(crate) fn stay(self, at_least: Duration) -> Self {
        Self { stay_until: self.now() + at_least, ..self }
    }

    /// Goes on where an earlier life of the job was cut off. Before anything else happens.
    pub(crate) fn restore(mut self, recovered: Recovered) -> Self {
        for (map, times) in recovered.recalls {
            self.sched.restore_recalls(map, times);
        }
        for (map, commit) in recovered.maps {
            let bucket_bytes = self.reports.enter_map(map, commit, self.plan.task_bytes(map));
            self.sched.restore_map(map, &bucket_bytes);
        }
        for (reduce, commit) in recovered.reduces {
            self.reports.enter_reduce(reduce, commit);
            self.sched.restore_reduce(reduce);
        }
        self
    }

    /// Runs the job to its end, and until the workers know of it. `interrupted` ends it early.
    pub(crate) async fn drive(
        mut self,
        mut events: mpsc::Receiver<Event>,
        interrupted: impl Future<Output = ()>,
    ) -> Ended {
        let mut interrupted = Box::pin(interrupted);
        let mut cancelled = false;
        loop {
            self.look_for_workers();
            self.act();
            // Before the first event, too: an earlier life may have left nothing to do.
            self.look_to_the_end();
            self.publish_snapshot();
            if self.is_over() {
                return self.end();
            }
            let wait = self.longest_wait();
            // All branches are cancel safe: a lost race loses no event. The end goes first, so that
            // no flood of events can keep the user from it.
            tokio::select! {
                biased;
                () = &mut interrupted, if !cancelled => {
                    cancelled = true;
                    tracing::info!("cancel");
                    self.leave_out_pause(wait);
                    let now = self.now();
                    self.sched.handle_cancel(now);
                }
                event = events.recv() => {
                    let event = event.expect("the service holds a sender as long as the loop runs");
                    self.leave_out_pause(wait);
                    self.handle(event);
                    // Those who wait with it share what is done once in a turn.
                    for _ in 1..EVENTS_IN_A_TURN {
                        let Ok(event) = events.try_recv() else { break };
                        self.act();
                        self.handle(event);
                    }
                }
                () = sleep_or_forever(wait) => {
                    self.leave_out_pause(wait);
                    let now = self.now();
                    self.sched.handle_timeout(now);
                }
            }
        }
    }

    fn now(&self) -> Time {
        Time(self.started.elapsed().saturating_sub(self.paused))
    }

    /// Ends the job when no worker was there for too long.
    fn look_for_workers(&mut self) {
        if self.sched.outcome().is_some() || self.sched.snapshot().workers.alive > 0 {
            self.alone_since = None;
            return;
        }
        let now = self.now();
        let since = *self.alone_since.get_or_insert(now);
        let waited = now.0.saturating_sub(since.0);
        if self.terms.worker_wait.is_some_and(|wait| waited >= wait) {
            self.deserted = Some(waited);
            self.sched.handle_cancel(now);
        }
    }

    /// When waiting for a worker ends, if it does.
    fn patience_ends(&self) -> Option<Time> {
        Some(self.alone_since? + self.terms.worker_wait?)
    }

    /// Until the next deadline, if there is one; but not so long that a pause of this process
    /// would pass for it.
    fn longest_wait(&self) -> Option<Duration> {
        let deadline = match self.finish {
            Finish::NotYet | Finish::Tidying => {
                self.sched.poll_timeout().into_iter().chain(self.patience_ends()).min()
            }
            Finish::Lingering { .. } if self.now() < self.stay_until => Some(self.stay_until),
            Finish::Lingering { until, .. } => Some(until),
        };
        let left = deadline?.0.saturating_sub(self.now().0);
        Some(left.min(self.terms.heartbeat))
    }

    /// Notices that this process was stopped (SIGSTOP, a frozen machine) while it meant to `wait`.
    ///
    /// On the clock of the wall every lease has run out then, and the heartbeats that lie in the
    /// sockets would come too late. So the scheduler is not told of that time: everybody has as
    /// much of it left as before, less two heartbeats.
    fn leave_out_pause(&mut self, wait: Option<Duration>) {
        // Without a deadline the loop rightly sleeps for any time, and nobody has a lease to lose.
        if wait.is_some() {
            let pause = self.looked.elapsed().saturating_sub(2 * self.terms.heartbeat);
            if pause >= Duration::from_secs(1) {
                tracing::warn!("this process stood still for {:.1} s", pause.as_secs_f64());
            }
            self.paused += pause;
        }
        self.looked = Instant::now();
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        // A reply that cannot be sent: the caller has gone. It calls again if it lives.
        match event {
            Event::CommitterDied => panic!("the committer panicked"),
            Event::Died { name, death } => self.handle_died(now, &name, death),
            Event::Finished(result) => {
                self.finish = Finish::Lingering { until: now + LINGER_MAX, result };
            }
            Event::Heartbeat { peer, caller, running, reply } => {
                let _ = reply.send(self.handle_heartbeat(now, &peer, &caller, running));
            }
            Event::Leave { peer, caller, reply } => {
                let _ = reply.send(self.handle_leave(now, &peer, &caller));
            }
            Event::NextTask { peer, caller, reply } => {
                self.handle_next_task(now, &peer, &caller, reply);
            }
            Event::Published { attempt, result } => self.handle_published(now, attempt, result),
            Event::Register { peer, register, reply } => {
                let _ = reply.send(self.handle_register(now, &peer, register));
            }
            Event::Report { peer, caller, attempt, outcome, reply, next } => {
                match self.member(now, &peer, &caller, Some(attempt_id(attempt))) {
                    Ok(Some(worker)) => {
                        let next = next.map(|next| (worker, next));
                        let reporter = Reporter { verdict: reply, next };
                        self.handle_report(now, worker, attempt_id(attempt), outcome, reporter);
                    }
                    Ok(None) => {
                        tracing::info!(
                            "stale report of {} from another session",
                            attempt_id(attempt)
                        );
                        let _ = reply.send(Ok(Verdict::Stale));
                    }
                    Err(refusal) => {
                        let _ = reply.send(Err(refusal));
                    }
                }
            }
            Event::Status { reply } => {
                let _ = reply.send(Ok(self.status()));
            }
        }
    }

    fn handle_next_task(
        &mut self,
        now: Time,
        peer: &Peer,
        caller: &Caller,
        reply: Reply<TaskAnswer>,
    ) {
        match self.member(now, peer, caller, None) {
            Ok(Some(worker)) => self.give_task(now, worker, reply),
            Ok(None) => {
                let _ = reply.send(Ok(TaskAnswer::Register));
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
    }

    fn give_task(&mut self, now: Time, worker: WorkerId, reply: Reply<TaskAnswer>) {
        if let Err(refusal) = self.admission.may_be_given(now, worker) {
            let _ = reply.send(Err(refusal));
            return;
        }
        tracing::debug!("idle {worker}");
        self.sched.handle_idle(now, worker);
        if self.sched.outcome().is_some() {
            self.roster.tell_end(worker);
            let _ = reply.send(Ok(TaskAnswer::Exit));
        } else if self.sched.knows(worker) {
            // A call that waited before is dropped with this, and so answered: its caller has made
            // this one.
            self.polls.insert(worker, reply);
        } else {
            let _ = reply.send(Ok(TaskAnswer::Register));
        }
    }

    fn handle_leave(&mut self, now: Time, peer: &Peer, caller: &Caller) -> Result<(), Refusal> {
        if let Some(worker) = self.member(now, peer, caller, None)? {
            tracing::info!("leave {worker}");
            self.polls.remove(&worker);
            self.sched.handle_leave(now, worker);
        }
        Ok(())
    }

    fn handle_heartbeat(
        &mut self,
        now: Time,
        peer: &Peer,
        caller: &Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        let named = running.map(|running| attempt_id(running.attempt));
        let Some(worker) = self.member(now, peer, caller, named)? else {
            return Ok(Order::Register);
        };
        let beat = running.map(|running| Beat {
            attempt: attempt_id(running.attempt),
            progress: running.progress,
            bytes: running.bytes,
        });
        let order = self.sched.handle_heartbeat(now, worker, beat);
        Ok(match order {
            scheduler::Order::Abandon => Order::Abandon,
            scheduler::Order::Continue => {
                if let Some(running) = running
                    && self.is_open(attempt_id(running.attempt))
                {
                    self.reports.beat(now, attempt_id(running.attempt), running);
                }
                Order::Continue
            }
            scheduler::Order::Exit => {
                self.roster.tell_end(worker);
                Order::Exit
            }
            scheduler::Order::Register => Order::Register,
        })
    }

    /// Whether the attempt runs or is being published. A worker goes on naming an attempt that is
    /// committed until it has the answer; what it did is in the totals then, and would count twice.
    fn is_open(&self, attempt: AttemptId) -> bool {
        let record = self.sched.attempts(attempt.task).get(attempt.number as usize);
        record.is_some_and(|record| record.ended.is_none())
    }

    fn handle_report(
        &mut self,
        now: Time,
        worker: WorkerId,
        attempt: AttemptId,
        outcome: Outcome,
        reporter: Reporter,
    ) {
        let verdict = match outcome {
            Outcome::Failed(failure) => {
                // Whoever repeats it has been heard.
                match self.is_open(attempt) {
                    true => tracing::warn!("failed {worker} {attempt}: {failure}"),
                    false => tracing::debug!("failed {worker} {attempt}: {failure}"),
                }
                self.fail_reported(now, worker, attempt, Cause::Reported(failure))
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. })
                if !self.reports.fits(attempt, &outcome, self.plan.bytes()) =>
            {
                self.handle_unfit(now, worker, attempt);
                // That it is noted as a failure is not what a worker would take "accepted" for.
                scheduler::Verdict::Stale
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. }) => {
                faults::reach("driver::reported", attempt.task.phase);
                let verdict = self.sched.handle_done(now, worker, attempt);
                tracing::info!("done {worker} {attempt}: {verdict}");
                if verdict == scheduler::Verdict::Stale && faults::is_wrong("driver::no-fence") {
                    self.reports.keep_report(attempt, worker, outcome);
                    self.publish(attempt);
                } else if verdict == scheduler::Verdict::Publishing {
                    self.reports.keep_report(attempt, worker, outcome);
                    faults::reach("driver::decided", attempt.task.phase);
                    self.answer_decided(now, attempt, reporter);
                    return;
                }
                verdict
            }
        };
        let verdict = match verdict {
            scheduler::Verdict::Accepted => Verdict::Accepted,
            scheduler::Verdict::Publishing | scheduler::Verdict::Stale => Verdict::Stale,
        };
        self.answer(now, reporter, verdict);
    }

    /// The attempt won, and is about to be published. Who asks for its next task need not wait for
    /// that, as long as there is enough to do; but if too much is to be published already.
    fn answer_decided(&mut self, now: Time, attempt: AttemptId, mut reporter: Reporter) {
        let files = match attempt.task.phase {
            Phase::Map => self.terms.reduce_tasks as usize,
            Phase::Reduce => 1,
        };
        let keeps_up = self.reports.publishing().saturating_mul(files) <= PUBLISHING_FILES_MAX;
        if reporter.next.is_some() && keeps_up && self.has_much_to_do(attempt.task.phase) {
            self.answer(now, reporter, Verdict::Taken);
        } else {
            // It asks when it has the answer.
            reporter.next = None;
            let waiting = self.answers.entry(attempt).or_default();
            // Whoever repeats its report has given up the call before.
            waiting.retain(|reporter| !reporter.verdict.is_closed());
            waiting.push(reporter);
        }
    }

    fn answer(&mut self, now: Time, reporter: Reporter, verdict: Verdict) {
        let is_stale = verdict == Verdict::Stale;
        // Who has gone reports again, if it lives, and asks then.
        if reporter.verdict.send(Ok(verdict)).is_ok()
            && !is_stale
            && let Some((worker, next)) = reporter.next
        {
            self.give_task(now, worker, next);
        }
    }

    /// A successful report that does not fit its task: a failure of the attempt, and a lie. Whoever
    /// repeats it does not lie again.
    fn handle_unfit(&mut self, now: Time, worker: WorkerId, attempt: AttemptId) {
        let is_first = self.is_open(attempt);
        tracing::info!("failed {worker} {attempt}: the report does not fit the task");
        let verdict = self.fail_reported(now, worker, attempt, Cause::Violation);
        if is_first && verdict == scheduler::Verdict::Accepted {
            self.catch(now, worker, Violation::Report(attempt));
        }
    }

    fn fail_reported(
        &mut self,
        now: Time,
        worker: WorkerId,
        attempt: AttemptId,
        cause: Cause,
    ) -> scheduler::Verdict {
        let verdict = if let Cause::Reported(failure) = &cause
            && let Some(map) = failure.lost_map()
        {
            // The map task that wrote it runs again.
            tracing::info!("lost {worker} {attempt} m{map}");
            let recalled = self.sched.snapshot().maps_recalled;
            let verdict = self.sched.handle_lost(now, worker, attempt, map);
            if self.sched.snapshot().maps_recalled > recalled {
                self.note_recall(map, attempt, failure.to_string());
            }
            verdict
        } else {
            self.sched.handle_failed(now, worker, attempt, act::severity(&cause))
        };
        if verdict == scheduler::Verdict::Accepted {
            self.reports.fail(attempt, cause);
        }
        verdict
    }

    fn handle_published(&mut self, now: Time, attempt: AttemptId, result: Result<(), Cause>) {
        let verdict = match result {
            Ok(()) => {
                tracing::info!("published {attempt}");
                let task_bytes = match attempt.task.phase {
                    Phase::Map => self.plan.task_bytes(attempt.task.index),
                    Phase::Reduce => 0,
                };
                let bucket_bytes = self.reports.commit(attempt, task_bytes);
                self.sched.handle_published(now, attempt, &bucket_bytes);
                Verdict::Accepted
            }
            Err(cause) => {
                self.reject(now, attempt, cause);
                Verdict::Stale
            }
        };
        for reporter in self.answers.remove(&attempt).unwrap_or_default() {
            self.answer(now, reporter, verdict);
        }
    }

    /// What an attempt reported cannot be its task's output.
    fn reject(&mut self, now: Time, attempt: AttemptId, cause: Cause) {
        let cause_text = rpc::message::sentence(&cause);
        tracing::error!("publish_failed {attempt}: {cause_text}");
        let severity = act::severity(&cause);
        let is_violation = cause.is_violation();
        let reported = self.reports.report(attempt).map(|(worker, _)| *worker);
        self.reports.fail(attempt, cause);
        self.sched.handle_publish_failed(now, attempt, severity);
        if let Some(worker) = reported.filter(|_| is_violation) {
            self.catch(now, worker, Violation::Staged(attempt, cause_text));
        }
    }
}

fn attempt_id(attempt: Attempt) -> AttemptId {
    let phase = match attempt.phase {
        rpc::message::Phase::Map => Phase::Map,
        rpc::message::Phase::Reduce => Phase::Reduce,
    };
    AttemptId { task: TaskId { phase, index: attempt.task }, number: attempt.number }
}

async fn sleep_or_forever(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// So many events are dealt with before the loop looks at the clock, and at the user.
const EVENTS_IN_A_TURN: usize = 64;

/// Files that wait for the committer, before workers wait for it as well: it has to keep some 100
/// bytes for each of them.
const PUBLISHING_FILES_MAX: usize = 100_000;

/// How long the driver stays after the end for workers that were not told yet. A healthy one asks
/// at least once in a heartbeat, which is a second; the promise is that everything has ended two
/// seconds after the job.
const LINGER_MAX: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests;
