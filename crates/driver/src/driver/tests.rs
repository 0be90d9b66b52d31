//! The loop, driven through its events, with a committer that does what the test says and a clock
//! that stops unless all tasks wait.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use journal::{Ending, Outcome as Recorded, Plan, Record};
use rpc::Identity;
use rpc::message::{
    Attempt, Bucket, Caller, Digest, Failure, Findings, JobState, Registered, Session, Task,
    WordRule, WordRules, Work,
};
use scheduler::{Limits, Outcome as JobOutcome, Reason};
use store::{Input, Loss, Modified, StoreError};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::shutdown::LINGER_MAX;
use super::*;
use crate::committer::Commit;

mod abilities;
mod ahead;
mod end;
mod inputs;
mod notes;
mod violations;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn report_is_answered_after_its_commit_and_not_before() {
    let bench = Bench::new(2, 1);
    let caller = bench.register(1).await;

    let task = bench.task(&caller).await;
    assert_eq!(task.attempt, map(0, 0));
    assert!(task.staging.ends_with("/m0.a0"), "{}", task.staging);

    let mut verdict = bench.report(&caller, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    assert_eq!(commit.attempt.to_string(), "m0.a0");
    assert_eq!(commit.staging.as_str(), task.staging);
    assert_eq!(commit.objects[0].0.as_str(), "intermediate/mr-0-0");
    assert_eq!(verdict.try_recv(), Err(TryRecvError::Empty));

    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
}

#[tokio::test(start_paused = true)]
async fn report_is_idempotent() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;

    let first = bench.report(&caller, task.attempt, mapped(3)).await;
    let second = bench.report(&caller, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    bench.assert_no_errand().await;
    bench.published(&commit, Ok(())).await;
    assert_eq!(
        (soon(first).await, soon(second).await),
        (Ok(Verdict::Accepted), Ok(Verdict::Accepted))
    );

    // The answer was lost; the worker repeats its report long after.
    let third = bench.report(&caller, task.attempt, mapped(3)).await;
    assert_eq!(soon(third).await, Ok(Verdict::Accepted));
    bench.assert_no_errand().await;
}

#[tokio::test(start_paused = true)]
async fn asking_again_without_a_report_returns_the_same_attempt() {
    let bench = Bench::new(2, 1);
    let caller = bench.register(1).await;
    let first = bench.task(&caller).await;

    assert_eq!(bench.task(&caller).await, first);
}

#[tokio::test(start_paused = true)]
async fn waiting_call_is_dropped_when_its_worker_calls_again() {
    let bench = Bench::new(1, 1);
    let (busy, idle) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&busy).await;
    let first = bench.next_task(&idle).await;
    let mut second = bench.next_task(&idle).await;

    assert!(soon(first).await.is_err());
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));

    // The task that waits again is the answer to the second call.
    let verdict = bench.report(&busy, task.attempt, failed()).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(bench.discard().await, task.staging);
    let Ok(TaskAnswer::Task(again)) = soon(second).await else { panic!("a task expected") };
    assert_eq!(again.attempt, map(0, 1));
}

#[tokio::test(start_paused = true)]
async fn task_of_a_silent_worker_is_reassigned_to_a_waiting_one() {
    let bench = Bench::new(1, 1);
    let (silent, waiting) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&silent).await;
    let answer = bench.next_task(&waiting).await;
    for _ in 0..11 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(bench.beat(&waiting, None).await, Order::Continue);
    }

    let Ok(TaskAnswer::Task(again)) = soon(answer).await else { panic!("a task expected") };
    assert_eq!(again.attempt, map(0, 1));
    assert_eq!(bench.discard().await, task.staging);

    // It was stopped and resumes: each of its calls is answered.
    let verdict = bench.report(&silent, task.attempt, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    bench.assert_no_errand().await;
    assert_eq!(bench.beat(&silent, Some(running(task.attempt, 1))).await, Order::Register);
    assert!(matches!(soon(bench.next_task(&silent).await).await, Ok(TaskAnswer::Register)));
    assert_eq!(bench.register(1).await, silent);
}

#[tokio::test(start_paused = true)]
async fn attempt_without_progress_is_abandoned_though_its_worker_lives() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    for _ in 0..9 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(bench.beat(&caller, Some(running(task.attempt, 0))).await, Order::Continue);
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(bench.beat(&caller, Some(running(task.attempt, 0))).await, Order::Abandon);
    assert_eq!(bench.discard().await, task.staging);
}

/// All that was staged while the driver was paused is valid, and its workers are correct.
#[tokio::test(start_paused = true)]
async fn pause_of_the_driver_costs_no_worker_its_lease() {
    let bench = Bench::new(1, 1);
    let (busy, idle) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&busy).await;
    tokio::time::sleep(SECOND).await;

    // SIGSTOP, for an hour.
    tokio::time::advance(3600 * SECOND).await;

    assert_eq!(bench.beat(&busy, Some(running(task.attempt, 5))).await, Order::Continue);
    assert_eq!(bench.beat(&idle, None).await, Order::Continue);
    let verdict = bench.report(&busy, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
}

#[tokio::test(start_paused = true)]
async fn workers_that_died_in_a_pause_of_the_driver_are_considered_dead_later() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;

    tokio::time::advance(3600 * SECOND).await;
    tokio::time::sleep(10 * SECOND).await;

    assert_eq!(bench.discard().await, task.staging);
}

#[tokio::test(start_paused = true)]
async fn word_lost_between_the_phases_fails_the_job() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    bench.map_and_commit(&caller, 3).await;
    let task = bench.task(&caller).await;

    let verdict = bench.report(&caller, task.attempt, reduced(2)).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    assert_eq!(bench.discard().await, task.staging);
    assert_eq!(bench.finish().await, Recorded::Failed);
    assert_eq!(bench.beat(&caller, None).await, Order::Exit);
    let ended = bench.ended().await;
    assert_failed(&ended, "r0", Reason::Fatal);
    let cause = ended.reports.conclusion(ids::attempt_id(task.attempt)).unwrap().0.to_string();
    assert!(cause.contains("emitted 3 words into bucket 0, the reduce task counted 2"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn commit_that_cannot_be_recorded_or_made_durable_fails_the_job() {
    let path = PathBuf::from("journal");
    for cause in [
        Cause::NotJournaled(journal::JournalError::Closed { path }),
        Cause::NotDurable(StoreError::Lost { name: store::layout::output(0), loss: Loss::Missing }),
    ] {
        let bench = Bench::new(1, 1);
        let caller = bench.register(1).await;
        let task = bench.task(&caller).await;
        let verdict = bench.report(&caller, task.attempt, mapped(3)).await;
        let commit = bench.commit().await;

        bench.published(&commit, Err(cause)).await;

        assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
        assert_eq!(bench.discard().await, task.staging);
        assert_eq!(bench.finish().await, Recorded::Failed);
        assert!(matches!(soon(bench.next_task(&caller).await).await, Ok(TaskAnswer::Exit)));
        assert_failed(&bench.ended().await, "m0", Reason::Fatal);
    }
}

#[tokio::test(start_paused = true)]
async fn task_is_attempted_again_when_its_objects_cannot_be_published() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let verdict = bench.report(&caller, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    let error = StoreError::Gone { name: commit.objects[0].0.clone() };

    bench.published(&commit, Err(Cause::NotPublished(error))).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    assert_eq!(bench.discard().await, task.staging);
    assert_eq!(bench.task(&caller).await.attempt, map(0, 1));
}

/// Progress is for display: no value of it may do harm.
#[tokio::test(start_paused = true)]
async fn absurd_progress_does_no_harm_and_ends_with_its_attempt() {
    let bench = Bench::new(2, 1);
    let (one, other) = (bench.register(1).await, bench.register(2).await);
    let (first, second) = (bench.task(&one).await, bench.task(&other).await);
    let absurd =
        |attempt| Some(Running { attempt, progress: u64::MAX, bytes: u64::MAX, words: u64::MAX });
    assert_eq!(bench.beat(&one, absurd(first.attempt)).await, Order::Continue);
    assert_eq!(bench.beat(&other, absurd(second.attempt)).await, Order::Continue);

    bench.map_and_commit(&one, 3).await;
    assert_eq!(bench.status().await.map.bytes_done, bench.status().await.map.bytes_total);
    let verdict = bench.report(&other, second.attempt, failed()).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));

    assert_eq!(bench.status().await.map.words, 3);
}

/// A heartbeat that was on its way when the report was answered names an attempt that the totals
/// include.
#[tokio::test(start_paused = true)]
async fn heartbeat_of_a_committed_attempt_is_not_counted_twice() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.map_and_commit(&caller, 3).await;

    assert_eq!(bench.beat(&caller, Some(running(task.attempt, 9))).await, Order::Continue);

    assert_eq!(bench.status().await.map.words, 3);
}

#[tokio::test(start_paused = true)]
async fn callers_of_another_session_are_told_to_register() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let foreign = Caller { session: Session("before".to_owned()), worker: caller.worker };
    let unknown = Caller { worker: u64::MAX, ..caller.clone() };
    for caller in [foreign, unknown] {
        assert!(matches!(soon(bench.next_task(&caller).await).await, Ok(TaskAnswer::Register)));
        assert_eq!(bench.beat(&caller, None).await, Order::Register);
        let verdict = bench.report(&caller, task.attempt, mapped(3)).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    }
    bench.assert_no_errand().await;
}

#[tokio::test(start_paused = true)]
async fn worker_of_another_version_or_without_the_roots_is_refused() {
    let bench = Bench::new(1, 1);
    let other = Register { protocol: rpc::PROTOCOL + 1, ..presentation(1) };
    let build = rpc::BUILD.to_owned();
    let mismatch = RegisterAnswer::VersionMismatch { protocol: rpc::PROTOCOL, build };
    assert_eq!(bench.present(other).await, mismatch);

    let confined =
        Register { roots: vec!["/da".into(), "/data/books/a".into()], ..presentation(1) };
    let more = vec!["/data/files".into()];
    let outside = RegisterAnswer::OutsideRoots { folder: "/data/books".into(), more };
    assert_eq!(bench.present(confined).await, outside);

    let allowed = Register { roots: vec!["/data".into()], ..presentation(1) };
    assert!(matches!(bench.present(allowed).await, RegisterAnswer::Registered(_)));
    assert_eq!(bench.status().await.workers, 1);
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_committer_ends_the_loop() {
    let bench = Bench::new(1, 1);
    bench.events.send(Event::CommitterDied).await.unwrap();

    assert!(soon(bench.ended).await.is_err_and(|error| error.is_panic()));
}

/// The map task is recalled; what it makes again is not counted twice.
#[tokio::test(start_paused = true)]
async fn lost_intermediate_is_made_again_before_its_reduce_task_runs() {
    let bench = Bench::new(2, 1);
    let caller = bench.register(1).await;
    bench.map_and_commit(&caller, 3).await;
    bench.map_and_commit(&caller, 4).await;
    let reduce = bench.task(&caller).await;
    let read = bench.status().await.reduce.bytes_total;
    assert!(read > 0);
    let lost = Outcome::Failed(Failure::IntermediateMissing { map: 1 });
    let verdict = bench.report(&caller, reduce.attempt, lost).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(bench.discard().await, reduce.staging);

    let again = bench.task(&caller).await;
    assert_eq!(again.attempt, map(1, 1));
    // What the reduce phase reads is known: the map task makes the same again.
    let status = bench.status().await;
    assert_eq!((status.map.committed, status.reduce.bytes_total), (1, read));
    bench.map_and_commit(&caller, 4).await;

    assert_eq!(bench.status().await.map.words, 7);
    let reduce = bench.task(&caller).await;
    assert_eq!(reduce.attempt.number, 1);
    // As many words as were emitted: the output is published.
    let verdict = bench.report(&caller, reduce.attempt, reduced(7)).await;
    let commit = bench.commit().await;
    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(bench.finish().await, Recorded::Done);
}

/// A worker died while it waited for a task: the next task goes to a live one, at once.
#[tokio::test(start_paused = true)]
async fn task_is_reassigned_at_once_when_the_call_was_cut_off() {
    let bench = Bench::new(1, 1);
    let (busy, dead, idle) =
        (bench.register(1).await, bench.register(2).await, bench.register(3).await);
    let task = bench.task(&busy).await;
    drop(bench.next_task(&dead).await);
    let answer = bench.next_task(&idle).await;

    let verdict = bench.report(&busy, task.attempt, failed()).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    let Ok(TaskAnswer::Task(again)) = soon(answer).await else { panic!("a task expected") };
    assert_eq!(again.attempt, map(0, 2));
    let status = bench.status().await;
    assert_eq!((status.attempts.failed, status.attempts.lost), (1, 0));
}

/// An answer of the loop, when it comes.
#[derive(Debug)]
struct Answer<T>(oneshot::Receiver<Result<T, Refusal>>);

impl<T> Answer<T> {
    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map(|answer| answer.expect("nothing was wrong with the call"))
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Refusal::Gone)))
    }
}

/// A job over one file with ten bytes for each map task.
fn spec(map_tasks: u32, reduce_tasks: u32) -> JobSpec {
    let input = Input {
        path: "/data/books/a".into(),
        bytes: 10 * u64::from(map_tasks),
        modified: Modified { seconds: 0, nanoseconds: 0 },
    };
    JobSpec {
        session: Session("6f1e-e1".to_owned()),
        plan: Arc::new(Plan::new(
            vec![(input, journal::Format::default())],
            NonZeroU32::new(map_tasks).unwrap(),
        )),
        rules: WordRules { rule: WordRule::Letters, ignore_case: false },
        reduce_tasks,
        files: "/data/files".into(),
        folders: vec!["/data/books".into(), "/data/files".into()],
        heartbeat: SECOND,
        bad_records_max: None,
    }
}

/// A running loop, and the other ends of its channels.
struct Bench {
    events: mpsc::Sender<Event>,
    errands: std_mpsc::Receiver<Errand>,
    notes: RefCell<Vec<Record>>,
    cancel: Option<oneshot::Sender<EarlyEnd>>,
    ended: JoinHandle<Ended>,
}

impl Bench {
    /// A job over one file with ten bytes for each map task.
    fn new(map_tasks: u32, reduce_tasks: u32) -> Self {
        Self::with(map_tasks, reduce_tasks, None)
    }

    /// A small job that is cancelled after so long without a worker.
    fn waiting_for_workers(worker_wait: Duration) -> Self {
        Self::with(1, 1, Some(worker_wait))
    }

    /// A job of one reduce task in which so many bad records may be skipped.
    fn skipping(map_tasks: u32, bad_records_max: u64) -> Self {
        let spec = JobSpec { bad_records_max: Some(bad_records_max), ..spec(map_tasks, 1) };
        Self::of(spec, None)
    }

    fn with(map_tasks: u32, reduce_tasks: u32, worker_wait: Option<Duration>) -> Self {
        Self::of(spec(map_tasks, reduce_tasks), worker_wait)
    }

    fn of(spec: JobSpec, worker_wait: Option<Duration>) -> Self {
        let sched = Scheduler::new(&spec.for_scheduler(), Limits::default());
        let shutdown = Shutdown::new(Vec::new(), worker_wait, Duration::ZERO);
        let (events, inbox) = mpsc::channel(16);
        let (errands, orders) = std_mpsc::channel();
        let (cancel, cancelled) = oneshot::channel();
        let (snapshots, _) = watch::channel(Snapshot::default());
        let driver = Driver::new(sched, spec, shutdown, ids(), errands, snapshots);
        let ended = tokio::spawn(
            driver.drive(inbox, async { cancelled.await.expect("the bench holds the other end") }),
        );
        let notes = RefCell::default();
        Self { events, errands: orders, notes, cancel: Some(cancel), ended }
    }

    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        assert!(self.events.send(event(reply)).await.is_ok(), "the loop has ended");
        // Until the loop has handled it: what it answers at once is there then.
        let (reply, seen) = oneshot::channel();
        if self.events.send(Event::Status { reply }).await.is_ok() {
            // The loop may have ended with the event before.
            let _ = soon(seen).await;
        }
        Answer(answer)
    }

    async fn call<T>(
        &self,
        peer: Peer,
        caller: Caller,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Answer<T> {
        self.ask(|reply| Event::Call(Call { peer, caller, request: request(reply) })).await
    }

    async fn present(&self, register: Register) -> RegisterAnswer {
        self.present_as(anyone(), register).await.expect("nothing is wrong with it")
    }

    async fn present_as(&self, peer: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        soon(self.ask(|reply| Event::Register { peer, register, reply }).await).await
    }

    async fn register(&self, instance: u8) -> Caller {
        self.register_as(anyone(), presentation(instance)).await
    }

    async fn register_as(&self, peer: Peer, register: Register) -> Caller {
        match self.present_as(peer, register).await {
            Ok(RegisterAnswer::Registered(Registered { session, worker, .. })) => {
                Caller { session, worker }
            }
            answer => panic!("{answer:?}"),
        }
    }

    async fn next_task(&self, caller: &Caller) -> Answer<TaskAnswer> {
        let (peer, caller) = (anyone(), caller.clone());
        self.call(peer, caller, |reply| Request::NextTask { reply }).await
    }

    /// A task must be there at once.
    async fn task(&self, caller: &Caller) -> Task {
        match self.next_task(caller).await.try_recv() {
            Ok(TaskAnswer::Task(task)) => task,
            answer => panic!("a task expected, not {answer:?}"),
        }
    }

    async fn beat(&self, caller: &Caller, running: Option<Running>) -> Order {
        self.beat_as(anyone(), caller, running).await.expect("nothing is wrong with it")
    }

    async fn beat_as(
        &self,
        peer: Peer,
        caller: &Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        let caller = caller.clone();
        soon(self.call(peer, caller, |reply| Request::Heartbeat { running, reply }).await).await
    }

    async fn report(&self, caller: &Caller, attempt: Attempt, outcome: Outcome) -> Answer<Verdict> {
        self.report_as(anyone(), caller, attempt, outcome).await
    }

    async fn report_as(
        &self,
        peer: Peer,
        caller: &Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Answer<Verdict> {
        let caller = caller.clone();
        let report = |reply| Request::Report { attempt, outcome, reply, next: None };
        self.call(peer, caller, report).await
    }

    async fn report_and_ask(
        &self,
        caller: &Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> (Answer<Verdict>, Answer<TaskAnswer>) {
        let (caller, (next, answer)) = (caller.clone(), oneshot::channel());
        let (peer, next) = (anyone(), Some(next));
        let report = |reply| Request::Report { attempt, outcome, reply, next };
        (self.call(peer, caller, report).await, Answer(answer))
    }

    async fn leave(&self, caller: &Caller) -> Result<(), Refusal> {
        let (peer, caller) = (anyone(), caller.clone());
        soon(self.call(peer, caller, |reply| Request::Leave { reply }).await).await
    }

    async fn status(&self) -> Status {
        soon(self.ask(|reply| Event::Status { reply }).await).await.expect("anyone may look")
    }

    async fn published(&self, commit: &Commit, result: Result<(), Cause>) {
        let event = Event::Published { attempt: commit.attempt, result };
        assert!(self.events.send(event).await.is_ok(), "the loop has ended");
    }

    /// One map task, from the call for it to the commit.
    async fn map_and_commit(&self, caller: &Caller, words: u64) -> Task {
        let task = self.task(caller).await;
        assert!(matches!(task.work, Work::Map { .. }));
        let verdict = self.report(caller, task.attempt, mapped(words)).await;
        let commit = self.commit().await;
        self.published(&commit, Ok(())).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
        task
    }

    fn cancel(&mut self) {
        self.end_early(EarlyEnd::Interrupted);
    }

    fn end_early(&mut self, end: EarlyEnd) {
        let cancel = self.cancel.take().expect("cancelled once");
        cancel.send(end).expect("the loop runs");
    }

    async fn errand(&self) -> Errand {
        for _ in 0..100 {
            if let Some(errand) = self.try_errand() {
                return errand;
            }
            tokio::task::yield_now().await;
        }
        panic!("the committer has nothing to do");
    }

    /// The committer's next errand. Notes are set aside, and nothing else is lost.
    fn try_errand(&self) -> Option<Errand> {
        loop {
            match self.errands.try_recv().ok()? {
                Errand::FindLost { .. } => {}
                Errand::Note(note) => self.notes.borrow_mut().push(note),
                errand @ (Errand::Commit(_) | Errand::Discard(_) | Errand::Finish { .. }) => {
                    return Some(errand);
                }
            }
        }
    }

    /// How the attempts ended that did not commit, since the last call, with the bytes that they
    /// had read. There must be no other errand.
    fn endings(&self) -> Vec<(String, Option<u64>, Ending)> {
        let errand = self.try_errand();
        assert!(errand.is_none(), "{errand:?}");
        let ending = |note: Record| match note {
            Record::Ended { phase, task, attempt, bytes, ending, .. } => {
                let task = ids::scheduled_task(phase, task);
                Some((AttemptId { task, number: attempt }.to_string(), bytes, ending))
            }
            Record::Begin { .. }
            | Record::End { .. }
            | Record::Input { .. }
            | Record::IntermediatesRemoved
            | Record::Map { .. }
            | Record::Recalled { .. }
            | Record::Reduce { .. }
            | Record::Resume { .. }
            | Record::Started { .. } => None,
        };
        self.notes.borrow_mut().drain(..).filter_map(ending).collect()
    }

    async fn commit(&self) -> Commit {
        let errand = self.errand().await;
        let Errand::Commit(commit) = errand else { panic!("{errand:?}") };
        commit
    }

    async fn discard(&self) -> String {
        let errand = self.errand().await;
        let Errand::Discard(staging) = errand else { panic!("{errand:?}") };
        staging.to_string()
    }

    /// The committer has cleaned up.
    async fn finish(&self) -> Recorded {
        let errand = self.errand().await;
        let Errand::Finish { outcome, .. } = errand else { panic!("{errand:?}") };
        assert!(self.events.send(Event::Finished(Ok(()))).await.is_ok(), "the loop has ended");
        outcome
    }

    /// The same, for a job that ends later.
    async fn finish_in_time(&self) -> Recorded {
        for _ in 0..600 {
            if let Some(Errand::Finish { outcome, .. }) = self.try_errand() {
                assert!(self.events.send(Event::Finished(Ok(()))).await.is_ok(), "ended early");
                return outcome;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        panic!("the job does not end");
    }

    async fn assert_no_errand(&self) {
        self.status().await;
        let errand = self.try_errand();
        assert!(errand.is_none(), "{errand:?}");
    }

    async fn ended(self) -> Ended {
        soon(self.ended).await.expect("the loop does not panic")
    }
}

/// A call that is never answered fails the test: the clock advances while all tasks wait.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(60 * SECOND, answer).await.expect("an answer")
}

/// A caller of a driver that asks for no credentials.
fn anyone() -> Peer {
    Peer { identity: Identity::Anyone, address: None }
}

/// Ids that differ from the numbers of the scheduler.
fn ids() -> IdSource {
    let mut last = 0x6A09_E667_F3BC_C908;
    Box::new(move || {
        last += 7;
        Some(last)
    })
}

fn presentation(instance: u8) -> Register {
    Register {
        protocol: rpc::PROTOCOL,
        build: rpc::BUILD.to_owned(),
        instance: [instance; 16],
        name: format!("host:{instance}"),
        roots: Vec::new(),
        abilities: BTreeSet::new(),
    }
}

fn map(task: u32, number: u32) -> Attempt {
    Attempt { phase: rpc::message::Phase::Map, task, number }
}

fn running(attempt: Attempt, progress: u64) -> Running {
    Running { attempt, progress, bytes: progress, words: progress }
}

fn bucket(bytes: u64, words: u64) -> Bucket {
    Bucket { digest: Digest { bytes, crc32: 7 }, words }
}

/// One bucket, with words of three letters.
fn mapped(words: u64) -> Outcome {
    Outcome::Mapped { buckets: vec![bucket(4 * words, words)], findings: Findings::default() }
}

fn reduced(words: u64) -> Outcome {
    Outcome::Reduced { output: Digest { bytes: 6, crc32: 7 }, words, distinct_words: 1 }
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::StagingExists)
}

#[track_caller]
fn assert_failed(ended: &Ended, task: &str, reason: Reason) {
    match ended.sched.outcome() {
        Some(JobOutcome::Failed(failure)) => {
            assert_eq!((failure.task.to_string().as_str(), failure.reason), (task, reason));
        }
        outcome @ (Some(JobOutcome::Cancelled | JobOutcome::Done) | None) => panic!("{outcome:?}"),
    }
}
