//! Inputs that are not what their format says.

use rpc::message::BadRecord;

use super::*;

/// As a map task with `bad_records` bad records.
fn mapped_with(bad_records: u64) -> Outcome {
    let problem = "invalid syntax".to_owned();
    let bad = BadRecord { split: 0, offset: 7, number: Some(3), problem };
    let first_bad_records = vec![bad; usize::from(bad_records > 0)];
    let findings = Findings { bad_records, first_bad_records, ..Findings::default() };
    Outcome::Mapped { buckets: vec![bucket(4, 1)], findings }
}

/// Another worker would find the same damage, an hour later.
#[tokio::test(start_paused = true)]
async fn damaged_input_fails_the_job_at_the_first_attempt() {
    let bench = Bench::new(2, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let damaged = Failure::InputDamaged {
        path: "/data/books/a".into(),
        offset: 5,
        text_offset: 9,
        record: None,
        detail: "an early end".to_owned(),
    };

    let verdict = bench.report(&caller, task.attempt, Outcome::Failed(damaged)).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    assert_eq!(bench.discard().await, task.staging);
    assert_eq!(bench.finish().await, Recorded::Failed);
    let ended = bench.ended().await;
    assert_failed(&ended, "m0", Reason::Fatal);
    let cause = ended.reports.conclusion(ids::attempt_id(task.attempt)).unwrap().0.to_string();
    let expected =
        "input /data/books/a is damaged: an early end (at byte 5 of the file, byte 9 of its text)";
    assert_eq!(cause, expected);
}

#[tokio::test(start_paused = true)]
async fn bad_records_above_the_limit_of_the_job_fail_it() {
    let bench = Bench::skipping(3, 2);
    let caller = bench.register(1).await;
    for bad_records in [2, 0] {
        let task = bench.task(&caller).await;
        let verdict = bench.report(&caller, task.attempt, mapped_with(bad_records)).await;
        let commit = bench.commit().await;
        bench.published(&commit, Ok(())).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    }
    let task = bench.task(&caller).await;

    let verdict = bench.report(&caller, task.attempt, mapped_with(1)).await;

    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    assert_eq!(bench.discard().await, task.staging);
    assert_eq!(bench.finish().await, Recorded::Failed);
    let ended = bench.ended().await;
    assert_failed(&ended, "m2", Reason::Fatal);
    let cause = ended.reports.conclusion(ids::attempt_id(task.attempt)).unwrap().0.to_string();
    let expected = "3 bad records, and 2 are allowed; the first: \
                    record 3 of /data/books/a (invalid syntax)";
    assert_eq!(cause, expected);
}
