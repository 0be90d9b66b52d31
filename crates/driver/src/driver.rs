//! The one task that owns the scheduler. Everyone else talks to it over `events`.
//!
//! ```text
//! service ──Event──►┐                      ┌──Errand──► committer
//! committer ─Event─►│ loop: scheduler,book │
//! timeouts ────────►┘                      └──answers─► service, Snapshot ─► observers
//! ```
//!
//! Here events become calls of the scheduler, and its actions become answers and errands. What is
//! decided is decided there; what was reported is kept in the [`Book`]. The loop never waits for a
//! disk or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Registered, Running, Session,
    Status, TaskAnswer, Verdict, WordRules,
};
use scheduler::{AttemptId, Beat, Phase, Scheduler, TaskId, Time, WorkerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::book::{Book, Cause};
use crate::committer::Errand;
use crate::crew::Crew;
use crate::faults;
use crate::journal::JournalError;
use crate::plan::Plan;
use crate::recovery::Recovered;
use crate::status::Snapshot;
use crate::story::Death;

mod act;
mod note;
mod view;

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
        caller: Caller,
        running: Option<Running>,
        reply: oneshot::Sender<Order>,
    },
    /// A worker goes away for good.
    Leave {
        caller: Caller,
        reply: oneshot::Sender<()>,
    },
    NextTask {
        caller: Caller,
        reply: oneshot::Sender<TaskAnswer>,
    },
    /// An attempt's objects have their final names and are recorded, or not.
    Published {
        attempt: AttemptId,
        result: Result<(), Cause>,
    },
    Register {
        register: Register,
        reply: oneshot::Sender<RegisterAnswer>,
    },
    Report {
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
        reply: oneshot::Sender<Verdict>,
        /// The caller asks for its next task as well, unless the answer is stale; and will not
        /// wait for the disk.
        next: Option<oneshot::Sender<TaskAnswer>>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
}

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
    book: Book,
    crew: Crew,
    plan: Arc<Plan>,
    terms: Terms,
    /// Calls for a task that wait for one.
    polls: BTreeMap<WorkerId, oneshot::Sender<TaskAnswer>>,
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
    verdict: oneshot::Sender<Verdict>,
    next: Option<(WorkerId, oneshot::Sender<TaskAnswer>)>,
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
    pub(crate) book: Book,
    pub(crate) crew: Crew,
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
        errands: std_mpsc::Sender<Errand>,
        snapshots: watch::Sender<Snapshot>,
    ) -> Self {
        let started = Instant::now();
        Self {
            started,
            looked: started,
            paused: Duration::ZERO,
            sched,
            book: Book::new(plan.map_tasks().get(), terms.reduce_tasks),
            crew: Crew::default(),
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
            let bucket_bytes = self.book.enter_map(map, commit, self.plan.task_bytes(map));
            self.sched.restore_map(map, &bucket_bytes);
        }
        for (reduce, commit) in recovered.reduces {
            self.book.enter_reduce(reduce, commit);
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
            Event::Heartbeat { caller, running, reply } => {
                let _ = reply.send(self.handle_heartbeat(now, &caller, running));
            }
            Event::Leave { caller, reply } => {
                self.handle_leave(now, &caller);
                let _ = reply.send(());
            }
            Event::NextTask { caller, reply } => self.handle_next_task(now, &caller, reply),
            Event::Published { attempt, result } => self.handle_published(now, attempt, result),
            Event::Register { register, reply } => {
                let _ = reply.send(self.handle_register(now, register));
            }
            Event::Report { caller, attempt, outcome, reply, next } => {
                if let Some(worker) = self.member(now, &caller) {
                    let next = next.map(|next| (worker, next));
                    let reporter = Reporter { verdict: reply, next };
                    self.handle_report(now, worker, attempt_id(attempt), outcome, reporter);
                } else {
                    tracing::info!("stale report of {} from another session", attempt_id(attempt));
                    let _ = reply.send(Verdict::Stale);
                }
            }
            Event::Status { reply } => {
                let _ = reply.send(self.status());
            }
        }
    }

    fn handle_register(&mut self, now: Time, register: Register) -> RegisterAnswer {
        if register.protocol != rpc::PROTOCOL {
            let Register { protocol, build, name, .. } = register;
            tracing::warn!(protocol, build, name, "refused a worker of another version");
            let build = rpc::BUILD.to_owned();
            return RegisterAnswer::VersionMismatch { protocol: rpc::PROTOCOL, build };
        }
        let allowed = |folder: &PathBuf| {
            register.roots.is_empty() || register.roots.iter().any(|root| folder.starts_with(root))
        };
        if let Some(folder) = self.terms.folders.iter().find(|folder| !allowed(folder)) {
            tracing::warn!(name = register.name, folder = %folder.display(), "refused a worker without this root");
            return RegisterAnswer::OutsideRoots { folder: folder.clone() };
        }
        let worker = self.crew.enroll(register.instance, register.name);
        self.crew.hear(now, worker);
        if self.sched.outcome().is_some() {
            self.crew.tell_end(worker);
            return RegisterAnswer::Exit;
        }
        tracing::info!(worker = self.crew.describe(worker), "register {worker}");
        self.sched.handle_register(now, worker);
        RegisterAnswer::Registered(Registered {
            session: self.terms.session.clone(),
            worker: worker.0,
            number: worker.0,
            heartbeat: self.terms.heartbeat,
            files: self.terms.files.clone(),
            rules: self.terms.rules,
            buckets: self.terms.reduce_tasks,
        })
    }

    /// The worker that calls, if it belongs to this session. It may have been taken for dead.
    fn member(&mut self, now: Time, caller: &Caller) -> Option<WorkerId> {
        let worker = self.crew.member(caller.worker)?;
        (caller.session == self.terms.session).then_some(())?;
        self.crew.hear(now, worker);
        Some(worker)
    }

    fn handle_next_task(&mut self, now: Time, caller: &Caller, reply: oneshot::Sender<TaskAnswer>) {
        let Some(worker) = self.member(now, caller) else {
            let _ = reply.send(TaskAnswer::Register);
            return;
        };
        self.give_task(now, worker, reply);
    }

    fn give_task(&mut self, now: Time, worker: WorkerId, reply: oneshot::Sender<TaskAnswer>) {
        tracing::debug!("idle {worker}");
        self.sched.handle_idle(now, worker);
        if self.sched.outcome().is_some() {
            self.crew.tell_end(worker);
            let _ = reply.send(TaskAnswer::Exit);
        } else if self.sched.knows(worker) {
            // A call that waited before is dropped with this, and so answered: its caller has made
            // this one.
            self.polls.insert(worker, reply);
        } else {
            let _ = reply.send(TaskAnswer::Register);
        }
    }

    fn handle_leave(&mut self, now: Time, caller: &Caller) {
        if let Some(worker) = self.member(now, caller) {
            tracing::info!("leave {worker}");
            self.polls.remove(&worker);
            self.sched.handle_leave(now, worker);
        }
    }

    fn handle_heartbeat(&mut self, now: Time, caller: &Caller, running: Option<Running>) -> Order {
        let Some(worker) = self.member(now, caller) else { return Order::Register };
        let beat = running.map(|running| Beat {
            attempt: attempt_id(running.attempt),
            progress: running.progress,
            bytes: running.bytes,
        });
        let order = self.sched.handle_heartbeat(now, worker, beat);
        match order {
            scheduler::Order::Abandon => Order::Abandon,
            scheduler::Order::Continue => {
                if let Some(running) = running
                    && self.is_open(attempt_id(running.attempt))
                {
                    self.book.beat(now, attempt_id(running.attempt), running);
                }
                Order::Continue
            }
            scheduler::Order::Exit => {
                self.crew.tell_end(worker);
                Order::Exit
            }
            scheduler::Order::Register => Order::Register,
        }
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
                tracing::warn!("failed {worker} {attempt}: {failure}");
                self.fail_reported(now, worker, attempt, Cause::Reported(failure))
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. })
                if !self.book.fits(attempt, &outcome) =>
            {
                tracing::warn!("failed {worker} {attempt}: the report does not fit the task");
                let _ = self.fail_reported(now, worker, attempt, Cause::Unfit);
                // That it is noted as a failure is not what a worker would take "accepted" for.
                scheduler::Verdict::Stale
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. }) => {
                faults::reach("driver::reported", attempt.task.phase);
                let verdict = self.sched.handle_done(now, worker, attempt);
                tracing::info!("done {worker} {attempt}: {verdict}");
                if verdict == scheduler::Verdict::Stale && faults::is_wrong("driver::no-fence") {
                    self.book.keep_report(attempt, worker, outcome);
                    self.publish(attempt);
                } else if verdict == scheduler::Verdict::Publishing {
                    self.book.keep_report(attempt, worker, outcome);
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
        let keeps_up = self.book.publishing().saturating_mul(files) <= PUBLISHING_FILES_MAX;
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
        if reporter.verdict.send(verdict).is_ok()
            && !is_stale
            && let Some((worker, next)) = reporter.next
        {
            self.give_task(now, worker, next);
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
            self.book.fail(attempt, cause);
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
                let bucket_bytes = self.book.commit(attempt, task_bytes);
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
        self.book.fail(attempt, cause);
        self.sched.handle_publish_failed(now, attempt, severity);
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
