//! How the loop ends: when the job is over, interrupted, or without workers.

use super::*;

#[tokio::test(start_paused = true)]
async fn loop_ends_as_soon_as_all_workers_know_of_the_end() {
    let bench = Bench::new(1, 1);
    let (worker, idle) = (bench.register(1).await, bench.register(2).await);
    bench.map_and_commit(&worker, 3).await;
    let task = bench.task(&worker).await;
    let waiting = bench.next_task(&idle).await;
    let verdict = bench.report(&worker, task.attempt, reduced(3)).await;
    let commit = bench.commit().await;
    assert_eq!(commit.objects[0].0.as_str(), "out/out-0");
    bench.published(&commit, Ok(())).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert!(matches!(soon(waiting).await, Ok(TaskAnswer::Exit)));
    assert_eq!(bench.finish().await, Recorded::Done);
    assert_eq!(bench.status().await.state, JobState::Done);
    // One worker is left; its next call tells it.
    assert!(matches!(soon(bench.next_task(&worker).await).await, Ok(TaskAnswer::Exit)));

    let told = Instant::now();
    let ended = bench.ended().await;
    assert_eq!(told.elapsed(), Duration::ZERO);
    assert_eq!(ended.sched.outcome(), Some(&JobOutcome::Done));
    assert_eq!(ended.snapshot.reduce.counts.words, 3);
    assert!(ended.finished.is_ok());
}

#[tokio::test(start_paused = true)]
async fn worker_that_never_calls_again_delays_the_end_for_a_moment_only() {
    let mut bench = Bench::new(1, 1);
    let _silent = bench.register(1).await;
    bench.cancel();
    assert_eq!(bench.finish().await, Recorded::Cancelled);

    let began = Instant::now();
    bench.ended().await;
    assert_eq!(began.elapsed(), LINGER_MAX);
}

#[tokio::test(start_paused = true)]
async fn cancel_ends_what_waits_and_runs_and_keeps_what_is_being_published() {
    let mut bench = Bench::new(2, 1);
    let (publishing, busy) = (bench.register(1).await, bench.register(2).await);
    let idle = bench.register(3).await;
    let (first, second) = (bench.task(&publishing).await, bench.task(&busy).await);
    let waiting = bench.next_task(&idle).await;
    let mut verdict = bench.report(&publishing, first.attempt, mapped(3)).await;
    let commit = bench.commit().await;

    bench.cancel();
    assert!(matches!(soon(waiting).await, Ok(TaskAnswer::Exit)));
    assert_eq!(bench.discard().await, second.staging);
    assert_eq!(bench.beat(&busy, Some(running(second.attempt, 1))).await, Order::Exit);
    let late = bench.report(&busy, second.attempt, mapped(3)).await;
    assert_eq!(soon(late).await, Ok(Verdict::Stale));

    // The committer was in the middle of it.
    assert_eq!(verdict.try_recv(), Err(TryRecvError::Empty));
    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(bench.finish().await, Recorded::Cancelled);
    assert!(matches!(soon(bench.next_task(&publishing).await).await, Ok(TaskAnswer::Exit)));
    assert_eq!(bench.ended().await.sched.outcome(), Some(&JobOutcome::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn worker_that_registers_after_the_end_is_told_to_exit() {
    let mut bench = Bench::new(1, 1);
    let silent = bench.register(1).await;
    bench.cancel();
    assert_eq!(bench.finish().await, Recorded::Cancelled);

    assert_eq!(bench.present(presentation(2)).await, RegisterAnswer::Exit);
    assert_eq!(bench.beat(&silent, None).await, Order::Exit);
    bench.ended().await;
}

#[tokio::test(start_paused = true)]
async fn job_without_workers_is_cancelled_after_its_wait_and_not_before() {
    let bench = Bench::waiting_for_workers(3 * SECOND);
    let caller = bench.register(1).await;
    for _ in 0..5 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(bench.beat(&caller, None).await, Order::Continue);
    }
    bench.leave(&caller).await.unwrap();

    assert_eq!(bench.finish_in_time().await, Recorded::NoWorkers);
    let deserted = Deserted { waited: Some(3 * SECOND), stranded: Vec::new() };
    assert_eq!(bench.ended().await.deserted, Some(deserted));
}

/// `mapmill run` cannot keep its workers alive: the user has not interrupted the job.
#[tokio::test(start_paused = true)]
async fn job_whose_workers_cannot_be_kept_alive_is_not_recorded_as_interrupted() {
    let mut bench = Bench::new(1, 1);

    bench.end_early(EarlyEnd::NoWorkers);

    assert_eq!(bench.finish().await, Recorded::NoWorkers);
    let deserted = Deserted { waited: None, stranded: Vec::new() };
    assert_eq!(bench.ended().await.deserted, Some(deserted));
}
