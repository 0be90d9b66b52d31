//! What a protocol violation costs, and that no correct worker is charged with one.

use rpc::Role;

use super::*;

fn holder_of(name: &str) -> Peer {
    let identity = Identity::Certified { role: Role::Worker, name: name.to_owned() };
    Peer { identity, address: None }
}

fn called(name: &str, instance: u8) -> Register {
    Register { name: name.to_owned(), ..presentation(instance) }
}

#[track_caller]
fn assert_denied<T: std::fmt::Debug>(answer: Result<T, Refusal>, why: &str) {
    match answer {
        Err(Refusal::Denied { reason }) => assert!(reason.contains(why), "{reason}"),
        answer => panic!("denied expected, not {answer:?}"),
    }
}

/// A worker calls with an id that cannot be guessed, and messages call it by a short number.
#[tokio::test(start_paused = true)]
async fn id_on_the_wire_is_not_the_number_in_messages() {
    let bench = Bench::new(1, 1);
    let one = bench.register(1).await;
    let answer = bench.present(presentation(2)).await;
    let RegisterAnswer::Registered(other) = answer else { panic!("{answer:?}") };

    assert_eq!(other.number, 1);
    assert!(one.worker > 1000 && other.worker > 1000 && one.worker != other.worker);
    // The numbers grant nothing.
    for worker in [0, 1] {
        let caller = Caller { worker, ..one.clone() };
        assert_eq!(bench.beat(&caller, None).await, Order::Register);
    }
    assert_eq!(bench.status().await.violations, 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_never_assigned_to_the_caller_are_refused() {
    let reduce = Attempt { phase: rpc::message::Phase::Reduce, task: 0, number: 0 };
    for attempt in [map(0, 1), map(1, 0), map(u32::MAX, u32::MAX), reduce] {
        for outcome in [mapped(3), reduced(3), failed()] {
            let bench = Bench::new(1, 1);
            let caller = bench.register(1).await;
            bench.task(&caller).await;
            let verdict = bench.report(&caller, attempt, outcome).await;
            assert_denied(soon(verdict).await, "was never assigned to this worker");
            let order = bench.beat_as(anyone(), &caller, Some(running(attempt, 1))).await;
            assert_denied(order, "was never assigned to this worker");
            bench.assert_no_errand().await;
            assert_eq!(bench.status().await.violations, 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attempt_of_another_worker_cannot_be_failed_renewed_or_won() {
    let bench = Bench::new(2, 1);
    let (honest, violator) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&honest).await;
    let verdict = bench.report(&violator, task.attempt, failed()).await;
    assert_denied(soon(verdict).await, "m0.a0 was never assigned to this worker");
    let order = bench.beat_as(anyone(), &violator, Some(running(task.attempt, u64::MAX))).await;
    assert_denied(order, "m0.a0 was never assigned to this worker");
    let held = bench.next_task(&violator).await;
    let Ok(TaskAnswer::Task(held)) = soon(held).await else { panic!("a task expected") };
    let waiting = bench.register(3).await;
    let heir = bench.next_task(&waiting).await;

    // The third time.
    let verdict = bench.report(&violator, task.attempt, mapped(3)).await;
    assert_denied(soon(verdict).await, "m0.a0 was never assigned to this worker");

    // The task that it held is reassigned at once, and what it staged is discarded.
    assert_eq!(bench.discard().await, held.staging);
    let Ok(TaskAnswer::Task(again)) = soon(heir).await else { panic!("a task expected") };
    assert_eq!(again.attempt, map(held.attempt.task, 1));
    let why = "excluded from this job";
    assert_denied(soon(bench.next_task(&violator).await).await, why);
    assert_denied(bench.beat_as(anyone(), &violator, None).await, why);
    assert_denied(soon(bench.report(&violator, held.attempt, mapped(3)).await).await, why);
    assert_denied(bench.leave(&violator).await, why);
    assert_denied(bench.present_as(anyone(), presentation(2)).await, why);
    // The owner of the attempt has lost nothing.
    let verdict = bench.report(&honest, task.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    bench.published(&commit, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    let status = bench.status().await;
    assert_eq!((status.violations, status.attempts.failed, status.attempts.lost), (3, 0, 0));
}

/// It need not call again to be told.
#[tokio::test(start_paused = true)]
async fn waiting_call_of_a_worker_that_is_excluded_is_denied() {
    let bench = Bench::new(1, 1);
    let (busy, violator) = (bench.register(1).await, bench.register(2).await);
    let task = bench.task(&busy).await;
    let waiting = bench.next_task(&violator).await;
    for _ in 0..3 {
        let order = bench.beat_as(anyone(), &violator, Some(running(task.attempt, 1))).await;
        assert_denied(order, "was never assigned");
    }

    assert_denied(soon(waiting).await, "excluded from this job");
}

#[tokio::test(start_paused = true)]
async fn impossible_report_is_a_failure_and_a_violation() {
    let reports = [
        // Not as many buckets as there are.
        Outcome::Mapped { buckets: Vec::new(), findings: Findings::default() },
        // Another phase.
        reduced(1),
        // More words than bytes. Two of these in one sum would overflow.
        Outcome::Mapped { buckets: vec![bucket(8, u64::MAX)], findings: Findings::default() },
    ];
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    for (number, report) in (0..).zip(reports) {
        let task = bench.task(&caller).await;
        assert_eq!(task.attempt, map(0, number));
        // A repeated report is the same violation.
        for _ in 0..2 {
            let verdict = soon(bench.report(&caller, task.attempt, report.clone()).await).await;
            match verdict {
                Ok(verdict) => assert_eq!(verdict, Verdict::Stale),
                Err(refusal) => assert_denied::<()>(Err(refusal), "excluded from this job"),
            }
        }
        assert_eq!(bench.discard().await, task.staging);
        assert_eq!(bench.status().await.violations, u64::from(number) + 1);
    }
    assert_eq!(bench.status().await.attempts.failed, 3);
    assert_denied(soon(bench.next_task(&caller).await).await, "excluded from this job");
}

/// The driver need not read what is staged to reject it.
#[tokio::test(start_paused = true)]
async fn report_of_more_bytes_than_the_input_can_become_is_a_violation() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let task = bench.task(&caller).await;
    let huge = Outcome::Mapped { buckets: vec![bucket(61, 1)], findings: Findings::default() };

    let verdict = soon(bench.report(&caller, task.attempt, huge).await).await;

    assert_eq!(verdict.unwrap(), Verdict::Stale);
    assert_eq!(bench.discard().await, task.staging);
    assert_eq!(bench.status().await.violations, 1);
    // As much as ten bytes may become: what is staged decides.
    let task = bench.task(&caller).await;
    let large = Outcome::Mapped { buckets: vec![bucket(60, 1)], findings: Findings::default() };
    let _verdict = bench.report(&caller, task.attempt, large).await;
    assert_eq!(bench.status().await.violations, 1);
}

/// These count for the worker, not for its certificate: its machine may be broken, and other
/// machines may show the same certificate.
#[tokio::test(start_paused = true)]
async fn worker_that_stages_other_files_than_it_reports_is_excluded_alone() {
    let bench = Bench::new(3, 1);
    let peer = || holder_of("fleet");
    let caller = bench.register_as(peer(), called("fleet:a:1", 1)).await;
    let other = bench.register_as(peer(), called("fleet:b:1", 2)).await;
    let name = store::layout::intermediate(0, 0);
    for error in [
        StoreError::Lost {
            name: name.clone(),
            loss: Loss::WrongLength { expected_bytes: 8, found_bytes: 7 },
        },
        StoreError::Lost {
            name,
            loss: Loss::WrongLength { expected_bytes: 0, found_bytes: u64::MAX },
        },
        StoreError::Tampered { place: "/data/files/x".into(), found: "is not a regular file" },
    ] {
        let request = |reply| Request::NextTask { reply };
        let answer = soon(bench.call(peer(), caller.clone(), request).await).await;
        let Ok(TaskAnswer::Task(task)) = answer else { panic!("{answer:?}") };
        let verdict = bench.report_as(peer(), &caller, task.attempt, mapped(3)).await;
        let commit = bench.commit().await;
        bench.published(&commit, Err(Cause::NotPublished(error))).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
        assert_eq!(bench.discard().await, task.staging);
    }

    assert_denied(bench.beat_as(peer(), &caller, None).await, "excluded from this job");
    assert_eq!(bench.beat_as(peer(), &other, None).await, Ok(Order::Continue));
    assert_eq!(bench.status().await.violations, 3);
}

/// Whatever the network and the clocks do to a correct worker.
#[tokio::test(start_paused = true)]
async fn late_repeated_and_reordered_messages_are_no_violations() {
    let bench = Bench::new(2, 1);
    let (late, other) = (bench.register(1).await, bench.register(2).await);
    let before = Caller { session: Session("6f1e-e0".to_owned()), ..late.clone() };
    let lost = bench.task(&late).await;
    for _ in 0..11 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(bench.beat(&other, None).await, Order::Continue);
    }
    assert_eq!(bench.discard().await, lost.staging);
    let done = bench.map_and_commit(&other, 3).await;
    let missing = bench.task(&other).await;
    let verdict = bench.report(&other, missing.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    // It was told to stop, and has discarded what it had just reported.
    let name = commit.objects[0].0.clone();
    let error = StoreError::Gone { name: name.clone() };
    bench.published(&commit, Err(Cause::NotPublished(error))).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
    bench.discard().await;
    // What it stages next has lost a bit on the disk.
    let flipped = bench.task(&other).await;
    let verdict = bench.report(&other, flipped.attempt, mapped(3)).await;
    let commit = bench.commit().await;
    let (expected, found) = (commit.objects[0].1, store::Digest { bytes: 6, crc32: 1 });
    let error = StoreError::Lost { name, loss: Loss::Corrupt { expected, found } };
    bench.published(&commit, Err(Cause::NotPublished(error))).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Stale));

    for _ in 0..5 {
        for attempt in [lost.attempt, map(7, 7)] {
            for caller in [&before, &Caller { worker: 5, ..late.clone() }] {
                let verdict = bench.report(caller, attempt, mapped(3)).await;
                assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
                assert_eq!(bench.beat(caller, Some(running(attempt, 1))).await, Order::Register);
            }
        }
        for outcome in [
            mapped(3),
            failed(),
            Outcome::Mapped { buckets: vec![], findings: Findings::default() },
        ] {
            let verdict = bench.report(&late, lost.attempt, outcome.clone()).await;
            assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
            let verdict = bench.report(&other, missing.attempt, outcome).await;
            assert_eq!(soon(verdict).await, Ok(Verdict::Stale));
        }
        let verdict = bench.report(&other, done.attempt, mapped(3)).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
        assert_eq!(bench.beat(&other, Some(running(done.attempt, 9))).await, Order::Continue);
        assert_eq!(bench.beat(&late, Some(running(lost.attempt, 9))).await, Order::Register);
        assert_eq!(bench.register(1).await, late);
        assert_eq!(bench.beat(&late, Some(running(lost.attempt, 9))).await, Order::Abandon);
        bench.leave(&late).await.unwrap();
    }
    assert_eq!(bench.status().await.violations, 0);
}

#[tokio::test(start_paused = true)]
async fn certificate_with_three_violations_is_excluded_with_all_its_workers() {
    let bench = Bench::new(2, 1);
    let honest = bench.register_as(holder_of("w1"), called("w1", 1)).await;
    let one = bench.register_as(holder_of("w2"), called("w2:host:1", 2)).await;
    let other = bench.register_as(holder_of("w2"), called("w2:host:2", 3)).await;

    // Another's name, id and instance: it does not matter which worker calls, or whether one does.
    let named = bench.present_as(holder_of("w2"), called("w1:host:9", 4)).await;
    assert_denied(named, "`w1:host:9` is not a name that its certificate grants");
    let borrowed = bench.beat_as(holder_of("w2"), &honest, None).await;
    assert_denied(borrowed, "the worker id in the call belongs to another worker");
    assert_eq!(bench.beat_as(holder_of("w2"), &one, None).await, Ok(Order::Continue));
    let taken = bench.present_as(holder_of("w2"), called("w2", 1)).await;
    assert_denied(taken, "another caller has registered as this worker process");

    for caller in [&one, &other, &Caller { worker: 5, ..one.clone() }] {
        let why = "excluded from this job";
        assert_denied(bench.beat_as(holder_of("w2"), caller, None).await, why);
        assert_denied(bench.present_as(holder_of("w2"), called("w2:host:3", 5)).await, why);
    }
    assert_eq!(bench.beat_as(holder_of("w1"), &honest, None).await, Ok(Order::Continue));
    let status = bench.status().await;
    assert_eq!((status.workers, status.violations), (1, 3));
}

/// Each task that is not taken costs the driver memory, and its journal a line.
#[tokio::test(start_paused = true)]
async fn worker_that_takes_no_answer_hits_a_rate_limit() {
    let bench = Bench::new(1, 1);
    let caller = bench.register(1).await;
    let mut started = 0;
    for _ in 0..1000 {
        let (reply, _) = oneshot::channel();
        let (peer, caller, request) = (anyone(), caller.clone(), Request::NextTask { reply });
        let event = Event::Call(Call { peer, caller, request });
        assert!(bench.events.send(event).await.is_ok());
        started = bench.status().await.attempts.started;
    }
    assert!((100..=102).contains(&started), "{started} attempts");
    let answer = soon(bench.next_task(&caller).await).await;
    assert!(matches!(answer, Err(Refusal::Busy { .. })), "{answer:?}");

    tokio::time::sleep(2 * SECOND).await;
    assert!(bench.task(&caller).await.attempt.number >= 100);
    assert_eq!(bench.status().await.violations, 0);
}
