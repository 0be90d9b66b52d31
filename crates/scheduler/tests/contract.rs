//! What the scheduler requires of its caller: a breach panics.
//!
//! Every report of a worker is answered, true or not; the caller's reports about its own
//! publications and its own job must be true. A false one would be a wrong count for ever, so it
//! panics at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use scheduler::{
    Abilities, Action, AttemptId, Failure, Job, Limits, Role, Scheduler, TaskId, Time, Verdict,
    WorkerId,
};

#[test]
fn publishing_an_attempt_that_never_existed_panics() {
    let mut scheduler = scheduler();

    let panic = panic_of(|| scheduler.handle_published(at(0), M0_A0, &[1]));
    assert_eq!(panic, "m0.a0 was never to be committed: None");
}

#[test]
fn publishing_an_attempt_that_was_not_reported_panics() {
    let mut scheduler = scheduler();
    start(&mut scheduler);

    let panic = panic_of(|| scheduler.handle_published(at(0), M0_A0, &[1]));
    assert_eq!(panic, "m0.a0 was never to be committed: Some(Live)");
}

#[test]
fn revoking_a_publication_panics() {
    let mut scheduler = scheduler();
    report(&mut scheduler);
    scheduler.handle_published(at(0), M0_A0, &[1]);

    let panic = panic_of(|| scheduler.handle_publish_failed(at(0), M0_A0, Failure::Transient));
    assert_eq!(panic, "m0.a0 was never to be rejected: Some(Ended(Committed))");
}

#[test]
fn the_wrong_number_of_buckets_panics() {
    let mut scheduler = scheduler();
    report(&mut scheduler);

    let panic = panic_of(|| scheduler.handle_published(at(0), M0_A0, &[1, 2]));
    assert!(panic.contains("m0 left 2 buckets for 1 reduce tasks"), "{panic}");
}

#[test]
fn restoring_after_something_has_happened_panics() {
    let mut scheduler = scheduler();
    scheduler.handle_timeout(at(0));

    let panic = panic_of(|| scheduler.restore_map(0, &[1]));
    assert_eq!(panic, "m0 restored after something had happened");
    let panic = panic_of(|| scheduler.restore_reduce(0));
    assert_eq!(panic, "r0 restored after something had happened");
}

#[test]
fn restoring_a_task_twice_panics() {
    let mut scheduler = scheduler();
    scheduler.restore_reduce(0);

    let panic = panic_of(|| scheduler.restore_reduce(0));
    assert_eq!(panic, "restored r0 while Committed { winner: None }");
}

#[test]
fn restoring_a_task_that_does_not_exist_panics() {
    let mut scheduler = scheduler();

    let panic = panic_of(|| scheduler.restore_map(1, &[1]));
    assert_eq!(panic, "m1 restored, which does not exist");
    let panic = panic_of(|| scheduler.restore_reduce(1));
    assert_eq!(panic, "r1 restored, which does not exist");
}

#[test]
fn restoring_the_wrong_number_of_buckets_panics() {
    let mut scheduler = scheduler();

    let panic = panic_of(|| scheduler.restore_map(0, &[]));
    assert!(panic.contains("m0 left 0 buckets for 1 reduce tasks"), "{panic}");
}

#[test]
fn a_job_without_map_tasks_panics() {
    let job = Job { map_bytes: Vec::new(), map_needs: Vec::new(), reduce_tasks: 1 };

    let panic = panic_of(|| drop(Scheduler::new(&job, Limits::default())));
    assert_eq!(panic, "a job has at least one map task");
}

#[test]
fn time_does_not_run_backwards() {
    let mut scheduler = scheduler();
    scheduler.handle_timeout(at(20));
    start(&mut scheduler);

    assert_eq!(scheduler.attempts(TaskId::map(0))[0].started, at(20));
    assert_eq!(scheduler.poll_timeout(), Some(at(30)));
}

#[test]
fn a_timeout_without_end_never_comes() {
    let never = Limits { worker_timeout: Duration::MAX, task_timeout: Duration::MAX, ..limits() };
    let mut scheduler = Scheduler::new(&job(), never);
    start(&mut scheduler);
    scheduler.handle_timeout(at(u64::from(u32::MAX)));

    assert!(scheduler.knows(WORKER));
    assert_eq!(scheduler.attempts(TaskId::map(0))[0].ended, None);
}

#[test]
fn a_task_that_does_not_exist_has_no_attempts() {
    assert!(scheduler().attempts(TaskId::reduce(7)).is_empty());
}

const WORKER: WorkerId = WorkerId(1);
const M0_A0: AttemptId = AttemptId { task: TaskId::map(0), number: 0 };

fn scheduler() -> Scheduler {
    Scheduler::new(&job(), limits())
}

fn job() -> Job {
    Job { map_bytes: vec![10], map_needs: Vec::new(), reduce_tasks: 1 }
}

fn limits() -> Limits {
    Limits::default()
}

fn at(seconds: u64) -> Time {
    Time(Duration::from_secs(seconds))
}

fn start(scheduler: &mut Scheduler) {
    scheduler.handle_register(at(0), WORKER, Abilities::NONE);
    scheduler.handle_idle(at(0), WORKER);
    let action = scheduler.poll_action();
    assert_eq!(action, Some(Action::Start { attempt: M0_A0, worker: WORKER, role: Role::First }));
}

fn report(scheduler: &mut Scheduler) {
    start(scheduler);
    assert_eq!(scheduler.handle_done(at(0), WORKER, M0_A0), Verdict::Publishing);
}

/// What `breach` panics with.
#[track_caller]
fn panic_of(breach: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(breach)).expect_err("the breach goes unnoticed");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a panic is a text")).to_owned(),
    }
}
