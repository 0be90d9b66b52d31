//! The job as a state machine: events in, actions out.
//!
//! The branching is here; the state is in [`Tasks`], [`Workers`] and [`Backups`], each of which
//! keeps its own invariants. Every event passes through `handle`, which first expires what is due:
//! it makes no difference whether the caller called [`Scheduler::handle_timeout`] in time, because
//! every message that arrives at a deadline or after it is late.
//!
//! # Invariants
//!
//! * A live attempt is held by exactly one worker, which is alive, and the worker holds no other.
//! * After the job has ended no attempt is live, no worker is idle, and the outcome never changes.

use std::collections::{BTreeSet, VecDeque};

use crate::abilities::Abilities;
use crate::action::{Action, Heartbeat, Order, Verdict};
use crate::attempt::{AttemptRecord, End, Role};
use crate::backup::{Backups, Next};
use crate::id::{AttemptId, Phase, TaskId, WorkerId};
use crate::job::{Failure, Job, JobFailure, Limits, Outcome, Reason};
use crate::snapshot::{AttemptCounts, Snapshot, Strikes};
use crate::task::{AttemptStatus, Task};
use crate::tasks::Tasks;
use crate::time::Time;
use crate::waiting::turn;
use crate::workers::{Due, Workers};

/// One job, from its first task to its outcome.
///
/// Methods come in four kinds, told apart by name:
///
/// - `restore_*`: something had happened before the caller was restarted. Before anything else.
/// - `handle_*`: something happened. Takes `now`; never waits, never fails. Time does not run
///   backwards: a `now` before the latest one counts as the latest.
/// - `poll_*`: what the caller should do next. Call after every `handle_*`, actions first.
/// - everything else: a question about the present, `&self`.
///
/// Nothing that a *worker* reports can make it panic. What the *caller* reports about its own
/// actions must be true, or it panics: a publication that was never asked for leads to a wrong
/// count.
///
/// An event costs O(log n) in tasks and workers, besides the actions that it causes and the bucket
/// sizes that it brings. Only the end of the job visits every worker, and only the end of the first
/// map phase every reduce task; waiting tasks are looked at until one is found that an idle worker
/// has not failed; the running tasks are visited when no task waits and a worker is
/// idle: `backup.rs` says how often.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    /// Whether anything has happened. From then on nothing can be restored.
    begun: bool,
    /// The latest time passed in.
    now: Time,
    tasks: Tasks,
    workers: Workers,
    backups: Backups,
    /// What the caller has not polled yet, oldest first.
    actions: VecDeque<Action>,
    /// `None` while the job runs.
    outcome: Option<Outcome>,
    attempt_counts: AttemptCounts,
    stale_reports: u64,
}

/// What happens.
impl Scheduler {
    /// A job without workers.
    ///
    /// # Panics
    ///
    /// If the job has no map task or no reduce task, or a timeout is zero.
    #[must_use]
    pub fn new(job: &Job, limits: Limits) -> Self {
        assert!(!limits.worker_timeout.is_zero(), "a worker needs time to be heard from");
        assert!(!limits.task_timeout.is_zero(), "an attempt needs time to make progress");
        let needed = job.map_needs.iter().fold(Abilities::NONE, |all, one| all.union(*one));
        Self {
            begun: false,
            now: Time::default(),
            tasks: Tasks::new(job),
            workers: Workers::new(limits.worker_failures_max.get(), needed),
            backups: Backups::new(limits.backups, limits.worker_timeout),
            actions: VecDeque::new(),
            outcome: None,
            attempt_counts: AttemptCounts::default(),
            stale_reports: 0,
            limits,
        }
    }

    /// Map task `map` was committed before the caller was restarted, with buckets of these sizes.
    ///
    /// It is as if an attempt had just been published, except that the task has no attempts: they
    /// are numbered from 0 again. A job whose tasks are all restored is done at once.
    ///
    /// # Panics
    ///
    /// If an event was handled before, the task does not exist or is committed already, or the
    /// number of buckets is wrong.
    pub fn restore_map(&mut self, map: u32, bucket_bytes: &[u64]) {
        let map = TaskId::map(map);
        self.assert_restorable(map);
        self.tasks.commit_map(map, bucket_bytes, Task::restore);
        self.finish_if_done();
    }

    /// Reduce task `reduce` was committed before the caller was restarted: it never runs again.
    ///
    /// That holds even if a map task is not committed, because it was recalled after this one had
    /// read its intermediates. Map and reduce tasks may be restored in any order.
    ///
    /// # Panics
    ///
    /// If an event was handled before, or the task does not exist or is committed already.
    pub fn restore_reduce(&mut self, reduce: u32) {
        let reduce = TaskId::reduce(reduce);
        self.assert_restorable(reduce);
        self.tasks.change(reduce, Task::restore);
        self.finish_if_done();
    }

    /// The intermediates of map task `map` were lost `times` times before the caller was restarted.
    /// That counts towards the limit, and ends the job at once if it had been reached.
    ///
    /// # Panics
    ///
    /// If an event was handled before, or the task does not exist.
    pub fn restore_recalls(&mut self, map: u32, times: u32) {
        let map = TaskId::map(map);
        self.assert_restorable(map);
        self.tasks.change(map, |task| task.restore_recalls(times));
        self.give_up_if_exhausted(map);
    }

    /// `worker` registers, and can be given work that it has the abilities for when it asks.
    ///
    /// May be repeated. A worker that was forgotten is alive again, without the attempt it held and
    /// with the failures it had. What it turned out to lack it lacks for the rest of the job.
    pub fn handle_register(&mut self, now: Time, worker: WorkerId, abilities: Abilities) {
        self.handle(now, |this| {
            let heard_by = this.now + this.limits.worker_timeout;
            this.workers.add(this.now, worker, abilities, heard_by);
            // A waiting task may be for it, and not for those that are idle.
            this.backups.reconsider();
        });
    }

    /// `worker` asks for work.
    ///
    /// Sooner or later one [`Action::Start`] or [`Action::Exit`] answers it. Idempotent: a worker
    /// that waits keeps its place in the queue and is answered once, and one that holds a live
    /// attempt is given the same again, because the first answer must have been lost.
    ///
    /// A worker that is not known is not answered. Ask [`knows`](Self::knows) *after* this call:
    /// the worker's deadline may have expired with it.
    pub fn handle_idle(&mut self, now: Time, worker: WorkerId) {
        self.handle(now, |this| {
            if !this.hear(worker) {
                return;
            }
            if let Some(attempt) = this.workers.ask(worker) {
                let role = this.tasks.record(attempt).role;
                this.actions.push_back(Action::Start { attempt, worker, role });
            } else {
                this.backups.reconsider();
            }
        });
    }

    /// `worker` is alive and may run an attempt.
    ///
    /// Only progress that has grown renews the attempt's own deadline. An attempt that was reported
    /// may still be named, until the worker receives the answer.
    pub fn handle_heartbeat(
        &mut self,
        now: Time,
        worker: WorkerId,
        running: Option<Heartbeat>,
    ) -> Order {
        self.handle(now, |this| {
            let known = this.hear(worker);
            if this.outcome.is_some() {
                return Order::Exit;
            }
            if !known {
                return Order::Register;
            }
            match running {
                Some(heartbeat) => this.advance(worker, heartbeat),
                None => Order::Continue,
            }
        })
    }

    /// `worker` says that `attempt` is done and its output staged.
    ///
    /// The first report of a live attempt causes an [`Action::Publish`]. An attempt that raced it
    /// is superseded, also if the publication fails. Idempotent: the answer is
    /// [`Verdict::Publishing`] until the output is published, then [`Verdict::Accepted`].
    pub fn handle_done(&mut self, now: Time, worker: WorkerId, attempt: AttemptId) -> Verdict {
        self.handle(now, |this| {
            this.hear(worker);
            match this.tasks.attempt_status_for(worker, attempt) {
                Some(AttemptStatus::Live) => {
                    this.publish(worker, attempt);
                    Verdict::Publishing
                }
                Some(AttemptStatus::Publishing) => Verdict::Publishing,
                Some(AttemptStatus::Ended(End::Committed)) => Verdict::Accepted,
                Some(AttemptStatus::Ended(_)) | None => this.stale(),
            }
        })
    }

    /// The output of `attempt` is published and recorded: its task is committed.
    ///
    /// `bucket_bytes` is the size of each bucket of a map attempt, one for each reduce task; for a
    /// reduce attempt it is empty. Those of a map task that ran again change no size. Idempotent,
    /// even after the task was recalled. A publication that was under way when the job ended still
    /// commits its task, as the record says, but no longer changes the outcome.
    ///
    /// # Panics
    ///
    /// If the attempt was not to be published or its publication failed, or the number of buckets
    /// is wrong.
    pub fn handle_published(&mut self, now: Time, attempt: AttemptId, bucket_bytes: &[u64]) {
        self.handle(now, |this| {
            if this.is_publishing(attempt, End::Committed) {
                this.commit(attempt, bucket_bytes);
            }
        });
    }

    /// The output of `attempt` was not as reported, or could not be published. Counts as a failed
    /// attempt. Idempotent.
    ///
    /// # Panics
    ///
    /// If the attempt was not to be published, or was published.
    pub fn handle_publish_failed(&mut self, now: Time, attempt: AttemptId, failure: Failure) {
        self.handle(now, |this| {
            if this.is_publishing(attempt, End::Rejected) {
                this.fail(attempt, End::Rejected, failure);
            }
        });
    }

    /// `worker` says that `attempt` failed.
    ///
    /// Idempotent: the answer is [`Verdict::Accepted`] again, and it counts once.
    pub fn handle_failed(
        &mut self,
        now: Time,
        worker: WorkerId,
        attempt: AttemptId,
        failure: Failure,
    ) -> Verdict {
        self.handle(now, |this| {
            this.hear(worker);
            match this.tasks.attempt_status_for(worker, attempt) {
                Some(AttemptStatus::Live) => {
                    this.fail(attempt, End::Failed, failure);
                    Verdict::Accepted
                }
                Some(AttemptStatus::Ended(End::Failed | End::Unable)) => Verdict::Accepted,
                Some(AttemptStatus::Ended(_) | AttemptStatus::Publishing) | None => this.stale(),
            }
        })
    }

    /// `worker` says that `attempt`, which reduces, cannot continue: its intermediate of map task
    /// `map` is missing or damaged.
    ///
    /// The attempt ends, which counts as no failure. The map task is recalled: it waits again,
    /// ahead of all reduce tasks, of which none starts before it is committed again; those that run
    /// continue. It is *not* recalled if its present output is younger than the attempt, which may
    /// have read the one before; nor if it already runs again. Recalling one map task
    /// [`Limits::failures_max`] times ends the job.
    ///
    /// Idempotent: the answer is [`Verdict::Accepted`] again, and it counts once. If there is no
    /// such map task, or the attempt does not reduce, it is an ordinary failure.
    pub fn handle_lost(
        &mut self,
        now: Time,
        worker: WorkerId,
        attempt: AttemptId,
        map: u32,
    ) -> Verdict {
        self.handle(now, |this| {
            this.hear(worker);
            let map = TaskId::map(map);
            let reads = attempt.task.phase == Phase::Reduce && this.tasks.find(map).is_some();
            let end = if reads { End::Starved } else { End::Failed };
            match this.tasks.attempt_status_for(worker, attempt) {
                Some(AttemptStatus::Live) if reads => {
                    this.starve(attempt, map);
                    Verdict::Accepted
                }
                Some(AttemptStatus::Live) => {
                    this.fail(attempt, End::Failed, Failure::Transient);
                    Verdict::Accepted
                }
                Some(AttemptStatus::Ended(before)) if before == end => Verdict::Accepted,
                Some(AttemptStatus::Ended(_) | AttemptStatus::Publishing) | None => this.stale(),
            }
        })
    }

    /// After `attempt` had lost one intermediate, the caller has looked at the others: those of map
    /// task `map` are lost too. Returns whether it is recalled, as by
    /// [`handle_lost`](Self::handle_lost).
    ///
    /// A reduce attempt ends at the first one that is lost. If all were, and each attempt named
    /// one, there would be an attempt for each map task, and each would read all that come before.
    pub fn handle_missing(&mut self, now: Time, attempt: AttemptId, map: u32) -> bool {
        self.handle(now, |this| {
            let starved = this.tasks.attempt_status(attempt);
            let is_starved = starved == Some(AttemptStatus::Ended(End::Starved));
            is_starved && this.outcome.is_none() && this.recall(attempt, TaskId::map(map))
        })
    }

    /// `attempt` could not be delivered to `worker`: the call that asked for work was disconnected.
    ///
    /// Its task waits again at once, and that counts as no failure, however often it happens. The
    /// worker stays registered, asks again if it is alive, and is forgotten if it is not. Nothing
    /// changes if the attempt has ended, or a heartbeat has named it: then the worker received it.
    ///
    /// Report it of the latest answer only. A worker that asked again in the meantime was given the
    /// same attempt, and would lose it just after starting.
    pub fn handle_undelivered(&mut self, now: Time, worker: WorkerId, attempt: AttemptId) {
        self.handle(now, |this| {
            let live = this.tasks.attempt_status_for(worker, attempt) == Some(AttemptStatus::Live);
            let task = this.tasks.find(attempt.task);
            if live && task.is_some_and(|task| !task.is_confirmed(attempt)) {
                this.end(attempt, End::Undelivered);
            }
        });
    }

    /// `worker` leaves for good. Its task waits again at once, and that counts as no failure.
    ///
    /// An attempt that it has reported is published all the same.
    pub fn handle_leave(&mut self, now: Time, worker: WorkerId) {
        self.handle(now, |this| this.forget(worker, End::Left));
    }

    /// `worker` has died, as its parent process saw: there is no need to wait for
    /// [`Limits::worker_timeout`]. Its attempt is lost, and counts as that.
    ///
    /// An attempt that it has reported is published all the same.
    pub fn handle_died(&mut self, now: Time, worker: WorkerId) {
        self.handle(now, |this| this.forget(worker, End::Lost));
    }

    /// The user interrupts the job.
    pub fn handle_cancel(&mut self, now: Time) {
        self.handle(now, |this| this.finish(Outcome::Cancelled));
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.handle(now, |_| {});
    }
}

/// What to do next.
impl Scheduler {
    /// The next action for the caller. Poll until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match (self.workers.next_deadline(), self.backups.deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (time, None) | (None, time) => time,
        }
    }
}

/// The present state.
impl Scheduler {
    /// How the job ended; `None` while it runs.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Whether `worker` is registered and not forgotten.
    #[must_use]
    pub fn knows(&self, worker: WorkerId) -> bool {
        self.workers.knows(worker)
    }

    /// All attempts at a task since the caller was started, in order. Empty for a task that does
    /// not exist.
    #[must_use]
    pub fn attempts(&self, task: TaskId) -> &[AttemptRecord] {
        self.tasks.find(task).map_or(&[], Task::attempts)
    }

    /// The workers that were set aside, dead or alive, and their strikes.
    pub fn set_aside(&self) -> impl Iterator<Item = (WorkerId, Strikes)> {
        self.workers.set_aside()
    }

    /// What `worker` has failed and lost, dead or alive, if it is set aside.
    #[must_use]
    pub fn strikes_if_set_aside(&self, worker: WorkerId) -> Option<Strikes> {
        self.workers.strikes_if_set_aside(worker)
    }

    /// The map tasks that wait, and that no worker which works or asks for work can do: what they
    /// need, and how many need that. They wait until such a worker registers.
    pub fn stranded(&self) -> impl Iterator<Item = (Abilities, u32)> {
        let needing = self.tasks.waiting_maps().filter(|&(needs, _)| needs != Abilities::NONE);
        needing.filter(|&(needs, _)| !self.workers.has_able(needs))
    }

    /// The job in numbers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            map: self.tasks.counts(Phase::Map),
            reduce: self.tasks.counts(Phase::Reduce),
            workers: self.workers.counts(),
            attempts: self.attempt_counts,
            maps_recalled: self.tasks.maps_recalled(),
            stale_reports: self.stale_reports,
        }
    }

    /// Recompute every index from scratch and compare: for tests, and slow.
    ///
    /// # Panics
    ///
    /// If an invariant does not hold.
    #[doc(hidden)]
    pub fn assert_consistent(&self) {
        self.tasks.assert_consistent();
        self.workers.assert_consistent();

        let live: BTreeSet<AttemptId> = self.tasks.all().flat_map(Task::live).collect();
        let held: BTreeSet<AttemptId> = self.workers.attempts().into_iter().collect();
        assert_eq!(live, held, "the live attempts are not those that workers hold");
        for &attempt in &live {
            assert_eq!(self.workers.attempt(self.tasks.worker(attempt)), Some(attempt));
        }

        assert!(self.poll_timeout().is_none_or(|time| time > self.now), "a deadline was missed");

        assert!(
            self.next_start().is_none() || self.outcome.is_some(),
            "a task and a worker wait for each other"
        );
        self.backups.assert_consistent(self.now, &self.tasks, &self.workers);
        if self.outcome.is_some() {
            assert!(held.is_empty(), "{held:?} are live after the end");
            assert_eq!(
                self.workers.eligible(Abilities::NONE).next(),
                None,
                "a worker still waits after the end"
            );
        }
    }
}

impl Scheduler {
    /// Expire what is due, let `event` happen, and only then start attempts. Any earlier, and one
    /// might start on a worker that is about to be forgotten, or is leaving.
    fn handle<R>(&mut self, now: Time, event: impl FnOnce(&mut Self) -> R) -> R {
        self.begun = true;
        self.now = self.now.max(now);
        while let Some((time, due)) = self.workers.due(self.now) {
            match due {
                Due::Absent(worker) => self.workers.note_absent(worker),
                Due::Progress(worker, attempt) => self.expire(time, worker, attempt),
                Due::Rested(worker) => {
                    self.workers.rest_ends(worker);
                    self.backups.reconsider();
                }
                Due::Worker(worker) => self.forget(worker, End::Lost),
            }
        }
        let answer = event(self);
        self.dispatch();
        answer
    }

    /// `attempt` made no progress until `time`. It is stuck if its worker was heard from lately.
    ///
    /// For a worker that dies between two heartbeats, the deadline of its attempt may pass before
    /// its own. Silence is no evidence that the attempt was stuck: if it counted as such, a fleet
    /// that is being killed would end the job after `failures_max` deaths instead of `losses_max`.
    fn expire(&mut self, time: Time, worker: WorkerId, attempt: AttemptId) {
        let silence_max = self.limits.worker_timeout / 2;
        let heard_by = self.workers.heard_by(worker);
        if heard_by.is_some_and(|heard_by| heard_by <= time + silence_max) {
            self.end(attempt, End::Lost);
            self.give_up_if_exhausted(attempt.task);
        } else {
            self.fail(attempt, End::Stuck, Failure::Transient);
        }
    }

    /// `worker` was heard from. Returns whether it is known.
    fn hear(&mut self, worker: WorkerId) -> bool {
        self.workers.hear(worker, self.now + self.limits.worker_timeout)
    }

    /// Answer the idle workers that can be given an attempt, or all of them if the job is over.
    fn dispatch(&mut self) {
        if self.outcome.is_some() {
            let exits = self.workers.dismiss().into_iter().map(|worker| Action::Exit { worker });
            self.actions.extend(exits);
            return;
        }
        while let Some((task, worker)) = self.next_start() {
            self.start(task, worker, Role::First);
        }
        while let Next::Start(backups) = self.backups.poll(self.now, &self.tasks, &self.workers) {
            for (task, worker) in backups {
                self.start(task, worker, Role::Backup);
            }
        }
    }

    /// The next task that an idle worker may do, and the worker that should do it. While another
    /// worker could do a task, one that has failed or lost it must not; if all have, the one that
    /// did so last is passed over.
    ///
    /// A task is skipped only if every idle worker that can do it has failed it.
    fn next_start(&self) -> Option<(TaskId, WorkerId)> {
        // Asked after every event, and mostly none is.
        if !self.workers.has_idle() {
            return None;
        }
        let groups = self.tasks.startable().filter_map(|(needs, mut tasks)| {
            let first = self.workers.first_eligible(needs)?;
            tasks.find_map(|task| Some((task, self.worker_for(task, first)?)))
        });
        // Only one group if the tasks are to reduce.
        let (task, worker) = groups.min_by_key(|(task, _)| turn(task))?;
        Some((task.id(), worker))
    }

    /// The idle worker that should do `task`. `first` is the first that can.
    fn worker_for(&self, task: &Task, first: WorkerId) -> Option<WorkerId> {
        if task.attempts().is_empty() {
            return Some(first);
        }
        let (failed_by, needs) = (task.failed_by(), task.needs());
        let mut eligible = self.workers.eligible(needs);
        if failed_by.is_empty() {
            Some(first)
        } else if self.workers.has_candidate_besides(&failed_by, needs) {
            eligible.find(|worker| !failed_by.contains(worker))
        } else {
            eligible.find(|&worker| Some(worker) != task.failed_last_by()).or(Some(first))
        }
    }

    /// Grant an attempt at `task` to `worker`.
    fn start(&mut self, task: TaskId, worker: WorkerId, role: Role) {
        let now = self.now;
        let attempt = self.tasks.change(task, |task| task.grant(now, worker, role));
        self.workers.occupy(worker, attempt, now + self.limits.task_timeout);
        self.backups.reconsider();
        self.attempt_counts.started += 1;
        self.attempt_counts.backups += u64::from(role == Role::Backup);
        self.actions.push_back(Action::Start { attempt, worker, role });
    }

    /// `worker` reports the progress of an attempt. Returns whether it should continue.
    fn advance(
        &mut self,
        worker: WorkerId,
        Heartbeat { attempt, progress, bytes }: Heartbeat,
    ) -> Order {
        let now = self.now;
        match self.tasks.attempt_status_for(worker, attempt) {
            Some(AttemptStatus::Live) => {
                let advance = |task: &mut Task| task.advance(now, attempt, progress, bytes);
                if self.tasks.change(attempt.task, advance) {
                    self.workers.expect_progress(worker, attempt, now + self.limits.task_timeout);
                }
                self.backups.hear(now, attempt.task, &self.tasks, &self.workers);
                Order::Continue
            }
            // The report has overtaken the heartbeat. To abandon the attempt would delete the files
            // that are being published.
            Some(AttemptStatus::Publishing | AttemptStatus::Ended(End::Committed)) => {
                Order::Continue
            }
            Some(AttemptStatus::Ended(_)) | None => Order::Abandon,
        }
    }

    /// `attempt` is the first of its task to report: it is published, and the other superseded.
    fn publish(&mut self, worker: WorkerId, attempt: AttemptId) {
        let now = self.now;
        if let Some(task) = self.tasks.find(attempt.task) {
            self.backups.learn(now, task, attempt);
        }
        let superseded = self.tasks.change(attempt.task, |task| task.report(now, attempt));
        self.release(worker, attempt);
        self.actions.push_back(Action::Publish { attempt });
        if let Some(superseded) = superseded {
            self.release(self.tasks.worker(superseded), superseded);
            self.actions.push_back(Action::Discard { attempt: superseded });
        }
    }

    /// `attempt`, which was being published, wins.
    fn commit(&mut self, attempt: AttemptId, bucket_bytes: &[u64]) {
        let now = self.now;
        match attempt.task.phase {
            Phase::Map => {
                let commit = |task: &mut Task| task.commit(now, attempt);
                self.tasks.commit_map(attempt.task, bucket_bytes, commit);
            }
            Phase::Reduce => {
                assert!(bucket_bytes.is_empty(), "{attempt} reduces: it has no buckets");
                self.tasks.change(attempt.task, |task| task.commit(now, attempt));
            }
        }
        let winner = self.tasks.record(attempt);
        self.workers.note_commit(winner.worker);
        self.attempt_counts.backups_won += u64::from(winner.role == Role::Backup);
        // The phase may be another one now.
        self.backups.reconsider();
        self.finish_if_done();
    }

    /// `attempt` found its intermediate of `map` missing or damaged.
    fn starve(&mut self, attempt: AttemptId, map: TaskId) {
        self.end(attempt, End::Starved);
        self.recall(attempt, map);
    }

    /// Recalls `map` if `attempt` has read its present output. Returns whether it did.
    fn recall(&mut self, attempt: AttemptId, map: TaskId) -> bool {
        let started = self.tasks.record(attempt).started;
        let is_lost = self.tasks.find(map).is_some_and(|task| task.is_committed_since(started));
        if is_lost {
            self.tasks.recall(map);
            self.give_up_if_exhausted(map);
        }
        is_lost
    }

    /// `worker` is dead or has left, and its live attempt ends.
    fn forget(&mut self, worker: WorkerId, end: End) {
        let attempt = self.workers.forget(worker);
        self.backups.reconsider();
        if let Some(attempt) = attempt {
            self.end(attempt, end);
            self.give_up_if_exhausted(attempt.task);
        }
    }

    /// `attempt` failed.
    fn fail(&mut self, attempt: AttemptId, end: End, failure: Failure) {
        let needs = self.tasks.find(attempt.task).map_or(Abilities::NONE, Task::needs);
        let is_report = end == End::Failed;
        let is_unable = failure == Failure::Unable && is_report && needs != Abilities::NONE;
        let end = match failure {
            Failure::Violation => End::Violation,
            Failure::Unable if is_unable => End::Unable,
            Failure::Fatal | Failure::Transient | Failure::Unable => end,
        };
        self.end(attempt, end);
        if is_unable {
            self.workers.note_unable(self.tasks.worker(attempt), needs);
        }
        match failure {
            Failure::Fatal => self.give_up(attempt.task, Reason::Fatal),
            Failure::Transient | Failure::Unable | Failure::Violation => {
                self.give_up_if_exhausted(attempt.task);
            }
        }
    }

    /// `attempt` ends without winning.
    fn end(&mut self, attempt: AttemptId, end: End) {
        let now = self.now;
        self.tasks.change(attempt.task, |task| task.end(now, attempt, end));
        self.release(self.tasks.worker(attempt), attempt);
        self.actions.push_back(Action::Discard { attempt });
        match end {
            End::Failed | End::Rejected | End::Stuck | End::Violation => {
                self.attempt_counts.failed += 1;
            }
            End::Lost => self.attempt_counts.lost += 1,
            End::Abandoned
            | End::Superseded { .. }
            | End::Committed
            | End::Left
            | End::Starved
            | End::Unable
            | End::Undelivered => {}
        }
        let record = self.tasks.record(attempt);
        if record.is_strike() {
            let worker = record.worker;
            if let Some(strikes) = self.workers.strike(now, worker, end) {
                self.actions.push_back(Action::SetAside { worker, strikes });
            }
        }
    }

    /// `attempt` is no longer live: its worker is free and no deadline applies.
    fn release(&mut self, worker: WorkerId, attempt: AttemptId) {
        self.workers.release(worker, attempt, self.now + self.limits.worker_timeout);
        self.backups.reconsider();
    }

    fn give_up_if_exhausted(&mut self, task: TaskId) {
        let exhausted = self.tasks.find(task).and_then(|task| {
            let another_could = self.workers.has_candidate_besides(&task.failed_by(), task.needs());
            task.exhausted(&self.limits, another_could)
        });
        if let Some(reason) = exhausted {
            self.give_up(task, reason);
        }
    }

    fn give_up(&mut self, task: TaskId, reason: Reason) {
        self.finish(Outcome::Failed(JobFailure { task, reason }));
    }

    /// Every task counts, not only the reduce tasks: those may all have been restored while a map
    /// task that was recalled was not, and its intermediates are part of the result.
    fn finish_if_done(&mut self) {
        if self.tasks.are_committed(Phase::Map) && self.tasks.are_committed(Phase::Reduce) {
            self.finish(Outcome::Done);
        }
    }

    /// The job is over, unless it was before. `dispatch` answers the waiting workers.
    fn finish(&mut self, outcome: Outcome) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(outcome);
        self.backups.stop();
        for attempt in self.workers.attempts() {
            self.end(attempt, End::Abandoned);
        }
    }

    fn assert_restorable(&self, task: TaskId) {
        assert!(!self.begun, "{task} restored after something had happened");
        assert!(self.tasks.find(task).is_some(), "{task} restored, which does not exist");
    }

    /// Whether `attempt` is being published; if not, it must have ended as the caller reports
    /// again.
    fn is_publishing(&self, attempt: AttemptId, again: End) -> bool {
        match self.tasks.attempt_status(attempt) {
            Some(AttemptStatus::Publishing) => true,
            Some(AttemptStatus::Ended(end)) if end == again => false,
            Some(AttemptStatus::Ended(End::Violation)) if again == End::Rejected => false,
            status @ (Some(AttemptStatus::Ended(_) | AttemptStatus::Live) | None) => {
                panic!("{attempt} was never to be {again}: {status:?}")
            }
        }
    }

    fn stale(&mut self) -> Verdict {
        self.stale_reports += 1;
        Verdict::Stale
    }
}
