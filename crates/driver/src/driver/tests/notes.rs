//! Notes on attempts for the journal: one of each start, and why an attempt did not commit.

use super::*;
use journal::Death;

/// `endings` as people read them.
fn sentences(endings: Vec<(String, Option<u64>, Ending)>) -> Vec<String> {
    let sentence = |(attempt, bytes, ending): (String, Option<u64>, Ending)| match bytes {
        Some(bytes) => format!("{attempt} after {bytes} bytes: {ending}"),
        None => format!("{attempt}: {ending}"),
    };
    endings.into_iter().map(sentence).collect()
}

#[tokio::test(start_paused = true)]
async fn start_is_noted_once_however_often_the_worker_asks() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    tokio::time::sleep(SECOND).await;
    bench.task(&caller).await;
    bench.task(&caller).await;

    bench.assert_no_errand().await;
    let started = Record::Started {
        phase: journal::Phase::Map,
        task: 0,
        attempt: 0,
        worker: "w0 (host:1)".to_owned(),
        at_ms: 1000,
    };
    assert_eq!(*bench.notes.borrow(), [started]);
}

#[tokio::test(start_paused = true)]
async fn record_of_a_commit_has_its_span() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    tokio::time::sleep(SECOND).await;
    let task = bench.task(&caller).await;
    tokio::time::sleep(2 * SECOND).await;
    bench.report(&caller, task.attempt, mapped(3)).await;

    let record = bench.commit().await.record;
    let Record::Map { span: Some(span), .. } = record else { panic!("{record:?}") };
    assert_eq!((span.started_ms, span.ended_ms), (1000, 3000));
}

#[tokio::test(start_paused = true)]
async fn silence_and_lack_of_progress_are_distinguished_and_measured() {
    let bench = Bench::new(2, 1);
    let (silent, still) = (bench.register(1).await, bench.register(2).await);
    let lost = bench.task(&silent).await;
    let stuck = bench.task(&still).await;
    assert_eq!(bench.beat(&silent, Some(running(lost.attempt, 7))).await, Order::Continue);
    tokio::time::sleep(SECOND).await;
    assert_eq!(bench.beat(&still, Some(running(stuck.attempt, 5))).await, Order::Continue);
    for _ in 0..11 {
        tokio::time::sleep(SECOND).await;
        let _ = bench.beat(&still, Some(running(stuck.attempt, 5))).await;
    }
    bench.discard().await;
    bench.discard().await;

    let expected = [
        "m0.a0 after 7 bytes: lost: the worker was silent for 10.0 s",
        "m1.a0 after 5 bytes: stuck: heartbeats arrived, but the attempt made no progress for 10.0 s",
    ];
    assert_eq!(sentences(bench.endings()), expected);
}

#[tokio::test(start_paused = true)]
async fn task_of_a_worker_that_was_seen_to_die_is_reassigned_at_once() {
    let bench = Bench::new(1, 1);
    let (victim, heir) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&victim).await;
    let answer = bench.next_task(&heir).await;

    let (instance, death) = ([1; 16], Death::Signalled { signal: 9 });
    assert!(bench.events.send(Event::Died { instance, death }).await.is_ok());

    let Ok(TaskAnswer::Task(again)) = soon(answer).await else { panic!("a task expected") };
    assert_eq!(again.attempt, map(0, 1));
    assert_eq!(bench.discard().await, task.staging);
    let expected = "m0.a0: the worker process died: killed by signal 9 (SIGKILL)";
    assert_eq!(sentences(bench.endings()), [expected]);
    assert_eq!(
        bench.status().await.attempts.lost,
        1,
        "it counts, or a task that kills its workers would never end"
    );

    // A process that never registered, and one whose death is known.
    for instance in [[9; 16], [1; 16]] {
        let death = Death::Exited { exit_code: 1 };
        assert!(bench.events.send(Event::Died { instance, death }).await.is_ok());
    }
    bench.assert_no_errand().await;
}

#[tokio::test(start_paused = true)]
async fn recall_is_noted_with_its_reason_and_the_attempt_that_found_it() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    bench.map_and_commit(&caller, 3).await;
    let task = bench.task(&caller).await;
    let failure = Failure::IntermediateMissing { map: 0 };
    bench.report(&caller, task.attempt, Outcome::Failed(failure.clone())).await;
    // The worker repeats its report: the map task is not recalled again.
    bench.report(&caller, task.attempt, Outcome::Failed(failure)).await;
    bench.discard().await;
    bench.assert_no_errand().await;

    let recalls = bench
        .notes
        .borrow()
        .iter()
        .filter(|note| matches!(note, Record::Recalled { .. }))
        .cloned()
        .collect::<Vec<_>>();
    let sentence = "intermediate of map task 0 is missing".to_owned();
    assert_eq!(recalls, [Record::Recalled { map: 0, reduce: 0, attempt: 0, sentence }]);
    let expected = "r0.a0: intermediate of map task 0 is missing; m0 runs again first";
    assert_eq!(sentences(bench.endings()), [expected]);
}

#[tokio::test(start_paused = true)]
async fn ending_is_the_cause_that_was_reported() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    for (outcome, sentence) in [
        (failed(), "the attempt's staging folder was there already"),
        (reduced(1), "the worker's report does not fit its task"),
    ] {
        let task = bench.task(&caller).await;
        bench.report(&caller, task.attempt, outcome).await;
        bench.discard().await;
        let expected = format!("m0.a{}: {sentence}", task.attempt.number);
        assert_eq!(sentences(bench.endings()), [expected]);
    }
    let task = bench.task(&caller).await;
    bench.report(&caller, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    let error = StoreError::Lost { name: store::layout::intermediate(0, 0), loss: Loss::Missing };
    bench.published(&commit, Err(Cause::NotPublished(error))).await;
    bench.discard().await;
    let expected = "m0.a2: not published: intermediate/mr-0-0 is missing";
    assert_eq!(sentences(bench.endings()), [expected]);

    let task = bench.task(&caller).await;
    bench.leave(&caller).await.unwrap();
    assert_eq!(bench.discard().await, task.staging);
    let expected = "m0.a3: handed back: the worker was told to stop";
    assert_eq!(sentences(bench.endings()), [expected]);
}
