//! The one task that owns the scheduler. All other tasks send it events.
//!
//! ```text
//! service ──Event──►┐                      ┌──Errand──► committer
//! committer ─Event─►│ scheduler,  reports  │
//! timeouts ────────►┘                      └──answers─► service, Snapshot ─► observers
//! ```
//!
//! Here events become calls of the scheduler, and its actions become answers and errands
//! (`driver/actions.rs`). The scheduler decides; [`Reports`] keeps what was reported; [`Members`]
//! says which worker a call is from. The loop never waits for a disk or a network.

use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use journal::{Commits, Death};
use rpc::message::{
    Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use rpc::text::with_causes;
use rpc::{Peer, Refusal};
use scheduler::{AttemptId, Heartbeat, Scheduler, Time, WorkerId};
use store::Name;
use tokio::sync::{mpsc, watch};

use crate::admission::{IdSource, Rejection, Violation, exclusion};
use crate::cause::Cause;
use crate::committer::Errand;
use crate::ids;
use crate::job::EarlyEnd;
use crate::members::{Members, NotAdmitted};
use crate::reports::Reports;
use crate::roster::Roster;
use crate::spec::JobSpec;
use crate::status::Snapshot;

mod actions;
mod clock;
mod event;
mod notes;
mod pending;
mod shutdown;
mod status_view;

use clock::Clock;
use notes::Notes;
use pending::{PendingCalls, Reporter};
use status_view::{Observed, StatusView};

pub(crate) use event::{Call, Event, Reply, Request};
pub(crate) use shutdown::{Deserted, Shutdown, Unrecorded};

/// # Invariants
///
/// * A report that waits in `pending` is of an attempt that `reports` keeps.
pub(crate) struct Driver {
    clock: Clock,
    sched: Scheduler,
    spec: JobSpec,
    members: Members,
    reports: Reports,
    pending: PendingCalls,
    notes: Notes,
    errands: std_mpsc::Sender<Errand>,
    view: StatusView,
    shutdown: Shutdown,
}

/// How the loop ended.
pub(crate) struct Ended {
    pub(crate) sched: Scheduler,
    pub(crate) reports: Reports,
    pub(crate) roster: Roster,
    pub(crate) snapshot: Snapshot,
    /// From the start of the first attempt until the folder is clean and the end is recorded.
    pub(crate) elapsed: Duration,
    /// If the lack of workers cancelled the job.
    pub(crate) deserted: Option<Deserted>,
    /// Whether the journal's last record is on disk.
    pub(crate) finished: Result<(), Unrecorded>,
}

impl Driver {
    pub(crate) fn new(
        sched: Scheduler,
        spec: JobSpec,
        shutdown: Shutdown,
        ids: IdSource,
        errands: std_mpsc::Sender<Errand>,
        snapshots: watch::Sender<Snapshot>,
    ) -> Self {
        Self {
            clock: Clock::new(spec.heartbeat),
            sched,
            reports: Reports::new(spec.plan.map_tasks().get(), spec.reduce_tasks),
            spec,
            members: Members::new(ids),
            pending: PendingCalls::default(),
            notes: Notes::default(),
            errands,
            view: StatusView::new(snapshots),
            shutdown,
        }
    }

    /// Resumes the job where an earlier epoch was cut off. To be called before `drive`.
    pub(crate) fn restore(mut self, recovered: Commits) -> Self {
        for (map, times) in recovered.recalls {
            self.sched.restore_recalls(map, times);
        }
        for (map, commit) in recovered.maps {
            let task_bytes = self.spec.plan.task_bytes(map);
            let bucket_bytes = self.reports.enter_map(map, commit, task_bytes);
            self.sched.restore_map(map, &bucket_bytes);
        }
        for (reduce, commit) in recovered.reduces {
            self.reports.enter_reduce(reduce, commit);
            self.sched.restore_reduce(reduce);
        }
        self.view.note_resumed(&self.sched.snapshot(), self.reports.totals());
        self
    }

    /// Runs the job until it has ended and the workers know that. `ended_early` cancels it.
    pub(crate) async fn drive(
        mut self,
        mut events: mpsc::Receiver<Event>,
        ended_early: impl Future<Output = EarlyEnd>,
    ) -> Ended {
        let mut ended_early = Box::pin(ended_early);
        let mut cancelled = false;
        loop {
            self.cancel_if_abandoned();
            self.carry_out_actions();
            // Before the first event, too: an earlier epoch may have left nothing to do.
            self.begin_shutdown();
            self.publish_snapshot();
            if self.shutdown.is_over(self.clock.now(), || self.all_know_end()) {
                return self.into_ended();
            }
            let sleep = self.clock.sleep(self.deadline());
            // All branches are cancel safe: a branch that loses the race loses no event. The
            // interrupt is polled first, so that no flood of events can delay it.
            tokio::select! {
                biased;
                end = &mut ended_early, if !cancelled => {
                    cancelled = true;
                    tracing::info!("cancel");
                    match end {
                        EarlyEnd::Interrupted => {}
                        EarlyEnd::NoWorkers => self.shutdown.note_no_workers(),
                    }
                    self.clock.wake(sleep);
                    self.sched.handle_cancel(self.clock.now());
                }
                event = events.recv() => {
                    let event = event.expect("the service holds a sender as long as the loop runs");
                    self.clock.wake(sleep);
                    self.handle(event);
                    // Events that are queued already share the work that is done once a turn.
                    for _ in 1..EVENTS_IN_A_TURN {
                        let Ok(event) = events.try_recv() else { break };
                        self.carry_out_actions();
                        self.handle(event);
                    }
                }
                () = sleep_or_forever(sleep) => {
                    self.clock.wake(sleep);
                    self.sched.handle_timeout(self.clock.now());
                }
            }
        }
    }

    fn cancel_if_abandoned(&mut self) {
        let is_deserted = self.sched.outcome().is_none() && self.waits_for_a_worker();
        let now = self.clock.now();
        if self.shutdown.is_abandoned(now, is_deserted) {
            if self.sched.snapshot().workers.alive > 0 {
                self.shutdown.note_stranded(ids::stranded(&self.sched));
            }
            self.sched.handle_cancel(now);
        }
    }

    /// Whether there is no worker, or none that can do any of what is left.
    fn waits_for_a_worker(&self) -> bool {
        let snapshot = self.sched.snapshot();
        let map = snapshot.map;
        let stranded = || self.sched.stranded().map(|(_, tasks)| tasks).sum::<u32>();
        let reduce = snapshot.reduce;
        let open = map.running + map.publishing + reduce.running + reduce.publishing;
        let is_stranded = open == 0 && map.waiting > 0 && map.waiting == stranded();
        snapshot.workers.alive == 0 || is_stranded
    }

    /// Asks the committer to clean up, once the scheduler has decided how the job ends.
    fn begin_shutdown(&mut self) {
        if let Some(outcome) = self.sched.outcome()
            && let Some(errand) = self.shutdown.begin(outcome)
        {
            self.send(errand);
        }
    }

    fn all_know_end(&self) -> bool {
        !self.members.roster.unaware_of_end().any(|worker| self.sched.knows(worker))
    }

    fn deadline(&self) -> Option<Time> {
        self.shutdown.deadline(self.clock.now(), self.sched.poll_timeout())
    }

    fn publish_snapshot(&mut self) {
        self.view.note_ends(self.clock.now(), &self.sched.snapshot());
        self.view.publish(self.observed());
    }

    fn observed(&self) -> Observed<'_> {
        Observed {
            now: self.clock.now(),
            sched: &self.sched,
            reports: &self.reports,
            input_bytes: self.spec.plan.bytes(),
            violations: self.members.violations(),
        }
    }

    fn send(&self, errand: Errand) {
        self.errands.send(errand).expect("the committer runs as long as the loop can send to it");
    }

    fn into_ended(self) -> Ended {
        Ended {
            snapshot: self.view.snapshot(self.observed()),
            sched: self.sched,
            reports: self.reports,
            roster: self.members.roster,
            elapsed: self.view.elapsed(),
            deserted: self.shutdown.deserted(),
            finished: self.shutdown.into_finished(),
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.clock.now();
        // A reply that cannot be sent is dropped: the caller has disconnected, and a live worker
        // calls again.
        match event {
            Event::Call(call) => self.handle_call(now, call),
            Event::CommitterDied => panic!("the committer panicked"),
            Event::Died { instance, death } => self.handle_died(now, instance, death),
            Event::Finished(result) => {
                self.view.note_finished(now);
                self.shutdown.linger(now, result);
            }
            Event::FoundLost { attempt, names } => self.handle_found_lost(now, attempt, names),
            Event::Removing(removing) => self.view.note_removing(removing),
            Event::Published { attempt, result: Ok(()) } => self.handle_published(now, attempt),
            Event::Published { attempt, result: Err(cause) } => self.reject(now, attempt, cause),
            Event::Register { peer, register, reply } => {
                let _ = reply.send(self.handle_register(now, &peer, register));
            }
            Event::Status { reply } => {
                let _ = reply.send(Ok(self.status()));
            }
            Event::Superseded(lost) => {
                tracing::info!("superseded: {lost}");
                self.shutdown.supersede(lost);
            }
        }
    }

    fn status(&self) -> Status {
        self.view.status(self.spec.session.clone(), self.observed())
    }

    fn handle_register(
        &mut self,
        now: Time,
        peer: &Peer,
        register: Register,
    ) -> Result<RegisterAnswer, Refusal> {
        let sched = &self.sched;
        let is_alive = |worker| sched.knows(worker);
        let abilities = ids::abilities(register.abilities.iter().copied());
        let admitted = match self.members.register(now, peer, register, &self.spec, is_alive) {
            Ok(admitted) => admitted,
            Err(NotAdmitted::Denied(denial)) => return Err(self.exclude(now, denial)),
            Err(NotAdmitted::Unfit(answer)) => return Ok(answer),
        };
        let worker = admitted.worker;
        if self.sched.outcome().is_some() {
            self.members.roster.note_knows_end(worker);
            return Ok(RegisterAnswer::Exit);
        }
        tracing::info!(worker = self.members.roster.describe(worker), "register {worker}");
        self.sched.handle_register(now, worker, abilities);
        Ok(RegisterAnswer::Registered(self.spec.registered(admitted)))
    }

    /// Excludes the workers that a denial names. Returns the answer to the call that was denied.
    fn exclude(&mut self, now: Time, denial: Rejection) -> Refusal {
        for worker in denial.excluded {
            tracing::info!("leave {worker}");
            if let Some(poll) = self.pending.take_poll(worker) {
                let _ = poll.send(Err(exclusion()));
            }
            // The end of the job does not wait for it.
            self.members.roster.note_knows_end(worker);
            self.sched.handle_leave(now, worker);
        }
        denial.refusal
    }

    fn note_violation(&mut self, now: Time, worker: WorkerId, violation: Violation) -> Refusal {
        let denial = self.members.note_violation(now, worker, violation);
        self.exclude(now, denial)
    }

    fn handle_call(&mut self, now: Time, call: Call) {
        match self.identify(now, &call) {
            Ok(Some(worker)) => self.handle_request(now, worker, call.request),
            Ok(None) => call.request.answer_unknown(),
            Err(refusal) => call.request.refuse(refusal),
        }
    }

    /// The worker that calls, if it belongs to this session; it may be considered dead. An attempt
    /// that the call names must have been assigned to this worker, however it has ended since.
    fn identify(&mut self, now: Time, call: &Call) -> Result<Option<WorkerId>, Refusal> {
        let Call { peer, caller, request } = call;
        let identified = self.members.identify(now, peer, caller, &self.spec.session);
        let identified = identified.map_err(|denial| self.exclude(now, denial))?;
        let Some(worker) = identified else { return Ok(None) };
        if let Some(attempt) = request.attempt()
            && !self.was_assigned(worker, attempt)
        {
            return Err(self.note_violation(now, worker, Violation::Attempt(attempt)));
        }
        self.members.roster.note_call(now, worker);
        Ok(Some(worker))
    }

    fn was_assigned(&self, worker: WorkerId, attempt: AttemptId) -> bool {
        let record = self.sched.attempts(attempt.task).get(attempt.number as usize);
        record.is_some_and(|record| record.worker == worker)
    }

    fn handle_request(&mut self, now: Time, worker: WorkerId, request: Request) {
        match request {
            Request::Heartbeat { running, reply } => {
                let _ = reply.send(Ok(self.handle_heartbeat(now, worker, running)));
            }
            Request::Leave { reply } => {
                tracing::info!("leave {worker}");
                self.pending.take_poll(worker);
                self.sched.handle_leave(now, worker);
                let _ = reply.send(Ok(()));
            }
            Request::NextTask { reply } => self.handle_next_task(now, worker, reply),
            Request::Report { attempt, outcome, reply, next } => {
                let next = next.map(|next| (worker, next));
                let reporter = Reporter { verdict: reply, next };
                self.handle_report(now, worker, ids::attempt_id(attempt), outcome, reporter);
            }
        }
    }

    fn handle_next_task(&mut self, now: Time, worker: WorkerId, reply: Reply<TaskAnswer>) {
        if let Err(refusal) = self.members.check_rate(now, worker) {
            let _ = reply.send(Err(refusal));
            return;
        }
        tracing::debug!("idle {worker}");
        self.sched.handle_idle(now, worker);
        if self.sched.outcome().is_some() {
            self.members.roster.note_knows_end(worker);
            let _ = reply.send(Ok(TaskAnswer::Exit));
        } else if self.sched.knows(worker) {
            self.pending.hold_poll(worker, reply);
        } else {
            let _ = reply.send(Ok(TaskAnswer::Register));
        }
    }

    fn handle_heartbeat(&mut self, now: Time, worker: WorkerId, running: Option<Running>) -> Order {
        let heartbeat = running.map(|running| Heartbeat {
            attempt: ids::attempt_id(running.attempt),
            progress: running.progress,
            bytes: running.bytes,
        });
        match self.sched.handle_heartbeat(now, worker, heartbeat) {
            scheduler::Order::Abandon => Order::Abandon,
            scheduler::Order::Continue => {
                if let Some(running) = running {
                    let attempt = ids::attempt_id(running.attempt);
                    // A worker names an attempt that is committed until it has the answer. What the
                    // attempt did is in the totals by then, and would count twice.
                    if self.is_open(attempt) {
                        self.reports.live.note(now, attempt, running);
                    }
                }
                Order::Continue
            }
            scheduler::Order::Exit => {
                self.members.roster.note_knows_end(worker);
                Order::Exit
            }
            scheduler::Order::Register => Order::Register,
        }
    }

    /// Whether the attempt runs or is being published.
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
                // A repeated report was logged before.
                match self.is_open(attempt) {
                    true => tracing::warn!("failed {worker} {attempt}: {failure}"),
                    false => tracing::debug!("failed {worker} {attempt}: {failure}"),
                }
                self.handle_failed(now, worker, attempt, Cause::Reported(failure))
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. })
                if !self.spec.is_possible(attempt.task.phase, &outcome) =>
            {
                self.handle_impossible(now, worker, attempt);
                // Recorded as a failure: "accepted" would tell the worker otherwise.
                scheduler::Verdict::Stale
            }
            outcome @ (Outcome::Mapped { .. } | Outcome::Reduced { .. }) => {
                faults::reach("driver::reported", attempt.task.phase);
                let verdict = self.sched.handle_done(now, worker, attempt);
                tracing::info!("done {worker} {attempt}: {verdict}");
                if verdict == scheduler::Verdict::Publishing {
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

    /// The attempt won, and is about to be published. A worker that asks for its next task need not
    /// wait for that while there is enough to do, unless too much waits to be published already:
    /// then the late answer is backpressure, since the worker has no other task meanwhile.
    fn answer_decided(&mut self, now: Time, attempt: AttemptId, mut reporter: Reporter) {
        let files = self.spec.objects(attempt.task.phase);
        let keeps_up = self.reports.publishing().saturating_mul(files) <= PUBLISHING_FILES_MAX;
        if reporter.next.is_some() && keeps_up && self.has_much_to_do(attempt.task.phase) {
            self.answer(now, reporter, Verdict::Taken);
        } else {
            // It asks when it has the answer.
            reporter.next = None;
            self.pending.hold_report(attempt, reporter);
        }
    }

    fn answer(&mut self, now: Time, reporter: Reporter, verdict: Verdict) {
        let is_stale = verdict == Verdict::Stale;
        // A worker that has disconnected reports again if it is alive, and asks then.
        if reporter.verdict.send(Ok(verdict)).is_ok()
            && !is_stale
            && let Some((worker, next)) = reporter.next
        {
            self.handle_next_task(now, worker, next);
        }
    }

    /// A successful report that is impossible for its task: the attempt fails, and the worker has
    /// violated the protocol. A repeated report violates nothing more.
    fn handle_impossible(&mut self, now: Time, worker: WorkerId, attempt: AttemptId) {
        let is_first = self.is_open(attempt);
        tracing::info!("failed {worker} {attempt}: the report does not fit the task");
        let verdict = self.handle_failed(now, worker, attempt, Cause::Violation);
        if is_first && verdict == scheduler::Verdict::Accepted {
            self.note_violation(now, worker, Violation::Report(attempt));
        }
    }

    fn handle_failed(
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
                self.send(Errand::Note(notes::recalled(map, attempt, failure.to_string())));
                let expected = self.reports.intermediates(attempt.task.index);
                let buckets = self.spec.reduce_tasks;
                self.send(Errand::FindLost { attempt, buckets, expected });
            }
            verdict
        } else {
            self.sched.handle_failed(now, worker, attempt, cause.severity())
        };
        if verdict == scheduler::Verdict::Accepted {
            self.reports.fail(attempt, cause);
        }
        verdict
    }

    /// Whole folders may be lost, or all files that were written just before a power failure.
    fn handle_found_lost(&mut self, now: Time, attempt: AttemptId, names: Vec<(u32, Name)>) {
        for (map, name) in names {
            if self.sched.handle_missing(now, attempt, map) {
                tracing::info!("missing {attempt} m{map}");
                let sentence = format!("{name} is missing or short too");
                self.send(Errand::Note(notes::recalled(map, attempt, sentence)));
            }
        }
    }

    /// A worker process has died, as its parent process reports.
    fn handle_died(&mut self, now: Time, instance: [u8; 16], death: Death) {
        if let Some(worker) = self.members.note_death(instance, death) {
            tracing::info!("died {worker}");
            self.pending.take_poll(worker);
            self.sched.handle_died(now, worker);
        }
    }

    /// `attempt` is committed: its objects have their final names and are recorded.
    fn handle_published(&mut self, now: Time, attempt: AttemptId) {
        tracing::info!("published {attempt}");
        let bucket_bytes = self.reports.commit(attempt, self.spec.input_bytes(attempt.task));
        self.sched.handle_published(now, attempt, &bucket_bytes);
        for reporter in self.pending.take_reports(attempt) {
            self.answer(now, reporter, Verdict::Accepted);
        }
    }

    /// What `attempt` reported cannot become its task's output.
    fn reject(&mut self, now: Time, attempt: AttemptId, cause: Cause) {
        let explanation = with_causes(&cause);
        tracing::error!("publish_failed {attempt}: {explanation}");
        let severity = cause.severity();
        let violator = self.reports.report(attempt).map(|(worker, _)| *worker);
        let violator = violator.filter(|_| cause.is_violation());
        self.reports.fail(attempt, cause);
        self.sched.handle_publish_failed(now, attempt, severity);
        if let Some(worker) = violator {
            self.note_violation(now, worker, Violation::Staged(attempt, explanation));
        }
        for reporter in self.pending.take_reports(attempt) {
            self.answer(now, reporter, Verdict::Stale);
        }
    }
}

async fn sleep_or_forever(sleep: Option<Duration>) {
    match sleep {
        Some(sleep) => tokio::time::sleep(sleep).await,
        None => std::future::pending().await,
    }
}

/// Events handled in a turn, before the loop looks at the clock and the interrupt.
const EVENTS_IN_A_TURN: usize = 64;

/// Files that wait for the committer before workers wait for it as well (backpressure): it has to
/// keep some 100 bytes for each of them.
const PUBLISHING_FILES_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
