//! A worker is given only files that it can read.

use std::path::Path;

use rpc::Ability;
use rpc::message::Stranded;

use super::*;

/// A job over a file of plain text and a larger one that is compressed, in a map task each.
fn mixed_spec() -> JobSpec {
    let input = |name: &str, bytes| Input {
        path: Path::new("/data/books").join(name),
        bytes,
        modified: Modified { seconds: 0, nanoseconds: 0 },
    };
    let compression = Some("gzip".to_owned());
    let gzip = journal::Format { compression, whole: true, ..journal::Format::default() };
    let inputs = vec![(input("a", 10), journal::Format::default()), (input("b.gz", 11), gzip)];
    JobSpec { plan: Arc::new(Plan::new(inputs, NonZeroU32::new(2).unwrap())), ..spec(2, 1) }
}

fn inputs_of(task: &Task) -> Vec<&str> {
    let Work::Map { splits } = &task.work else { panic!("{} does not map", task.attempt) };
    splits.iter().map(|split| split.path.to_str().unwrap()).collect()
}

fn able(instance: u8) -> Register {
    let abilities = BTreeSet::from([Ability::Gzip, Ability::Wet]);
    Register { abilities, ..presentation(instance) }
}

fn reads_gzip(tasks: u32) -> Vec<Stranded> {
    vec![Stranded { abilities: vec!["gzip".to_owned()], tasks }]
}

#[tokio::test(start_paused = true)]
async fn compressed_file_is_given_only_to_a_worker_that_can_read_it() {
    let bench = Bench::of(mixed_spec(), None);
    let unable = bench.register(1).await;
    assert_eq!(inputs_of(&bench.task(&unable).await), ["/data/books/a"]);
    assert_eq!(bench.status().await.stranded, reads_gzip(1));

    let able = bench.register_as(anyone(), able(2)).await;
    assert_eq!(inputs_of(&bench.task(&able).await), ["/data/books/b.gz"]);
    assert_eq!(bench.status().await.stranded, []);
}

#[tokio::test(start_paused = true)]
async fn worker_that_turns_out_to_be_unable_has_not_failed() {
    let bench = Bench::of(mixed_spec(), None);
    let mistaken = bench.register_as(anyone(), able(1)).await;
    for _ in 0..2 {
        let task = bench.task(&mistaken).await;
        let failure =
            Failure::FormatUnknown { path: "/data/books/b.gz".into(), detail: "?".into() };
        let verdict = bench.report(&mistaken, task.attempt, Outcome::Failed(failure)).await;
        assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    }
    let status = bench.status().await;
    // The second one was of plain text.
    assert_eq!((status.attempts.started, status.attempts.failed), (2, 1));
    assert_eq!(status.stranded, reads_gzip(1));
}

#[tokio::test(start_paused = true)]
async fn job_whose_workers_cannot_do_the_rest_is_cancelled_after_its_wait() {
    let bench = Bench::of(mixed_spec(), Some(3 * SECOND));
    let unable = bench.register(1).await;
    let task = bench.task(&unable).await;
    for _ in 0..5 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(bench.beat(&unable, Some(running(task.attempt, 1))).await, Order::Continue);
    }
    let verdict = bench.report(&unable, task.attempt, mapped(1)).await;
    bench.published(&bench.commit().await, Ok(())).await;
    assert_eq!(soon(verdict).await, Ok(Verdict::Accepted));
    for _ in 0..3 {
        assert_eq!(bench.beat(&unable, None).await, Order::Continue);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(bench.finish_in_time().await, Recorded::NoWorkers);
    let waited = Some(3 * SECOND);
    assert_eq!(bench.ended().await.deserted, Some(Deserted { waited, stranded: reads_gzip(1) }));
}
