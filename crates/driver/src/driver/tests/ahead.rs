//! Workers that ask for their next task in the report of the last one.

use super::*;
use crate::driver::actions::MUCH_TO_DO;

#[tokio::test(start_paused = true)]
async fn worker_that_asks_in_its_report_does_not_wait_for_the_record() {
    let bench = Bench::new(9, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;

    let (verdict, next) = bench.report_and_ask(&caller, task.attempt, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Taken));
    let next = soon(next).await.unwrap();
    let TaskAnswer::Task(Task { attempt: second, .. }) = next else { panic!("{next:?}") };
    assert_eq!(second, map(1, 0));
    let first = bench.commit().await;
    assert!(!first.is_awaited);

    // The answer was lost. By now the first attempt is recorded.
    bench.published(&first, Ok(())).await;
    let (verdict, again) = bench.report_and_ask(&caller, task.attempt, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(soon(again).await.unwrap(), next);

    // A task whose objects cannot be published is attempted again; its worker has another by now.
    let (verdict, next) = bench.report_and_ask(&caller, second, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Taken));
    let next = soon(next).await.unwrap();
    let TaskAnswer::Task(Task { attempt: third, .. }) = next else { panic!("{next:?}") };
    let commit = bench.commit().await;
    let error = StoreError::Gone { name: commit.objects[0].0.clone() };
    bench.published(&commit, Err(Cause::NotPublished(error))).await;
    assert_eq!(bench.discard().await, commit.staging.to_string());
    let (verdict, next) = bench.report_and_ask(&caller, third, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Taken));
    let next = soon(next).await.unwrap();
    let TaskAnswer::Task(Task { attempt, .. }) = next else { panic!("{next:?}") };
    assert_eq!(attempt, map(second.task, 1));

    // A report that does not count asks for nothing.
    let (verdict, next) = bench.report_and_ask(&caller, second, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    assert!(soon(next).await.is_err());
}

/// Reduce tasks cannot start before they are recorded.
#[tokio::test(start_paused = true)]
async fn last_commits_of_a_phase_are_awaited() {
    let bench = Bench::new(1 + MUCH_TO_DO, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let (verdict, next) = bench.report_and_ask(&caller, task.attempt, mapped(3)).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Taken));
    assert!(!bench.commit().await.is_awaited);
    let next = soon(next).await.unwrap();
    let TaskAnswer::Task(task) = next else { panic!("{next:?}") };

    let (mut verdict, next) = bench.report_and_ask(&caller, task.attempt, mapped(3)).await;

    let commit = bench.commit().await;
    assert!(commit.is_awaited);
    assert_eq!(verdict.try_recv(), Err(TryRecvError::Empty));
    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    // It asks when it has the answer.
    assert!(soon(next).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn workers_wait_for_a_disk_that_does_not_keep_up() {
    let buckets = PUBLISHING_FILES_MAX as u32 / 2 + 1;
    let mapped = || Outcome::Mapped {
        buckets: vec![bucket(0, 0); buckets as usize],
        findings: Findings::default(),
    };
    let bench = Bench::new(9, buckets);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let (verdict, next) = bench.report_and_ask(&caller, task.attempt, mapped()).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Taken));
    let next = soon(next).await.unwrap();
    let TaskAnswer::Task(task) = next else { panic!("{next:?}") };

    let (mut verdict, next) = bench.report_and_ask(&caller, task.attempt, mapped()).await;

    let (first, second) = (bench.commit().await, bench.commit().await);
    assert!(second.is_awaited);
    bench.published(&first, Ok(())).await;
    bench.status().await;
    assert_eq!(verdict.try_recv(), Err(TryRecvError::Empty));
    bench.published(&second, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    // It asks when it has the answer.
    assert!(soon(next).await.is_err());
}
