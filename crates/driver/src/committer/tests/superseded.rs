//! A committer whose driver was frozen while another took over.

use super::*;

/// The folder belongs to the driver that has taken over.
#[test]
fn superseded_committer_publishes_records_and_removes_nothing() {
    let mut bench = Bench::new();
    let (first, second) = (bench.stage_map(0, "one\n"), bench.stage_output(1, "one 1\n"));
    let (discarded, staged) = (first.staging.clone(), bench.staged());
    let (sender, told) = std_mpsc::channel();
    let committer = bench.committer(sender);
    bench.claims.set(2, ClaimState::Held(Some(Beat::FIRST)));
    let finish = Errand::Finish { outcome: Outcome::Done, leftovers: Vec::new() };
    let (errands, receiver) = std_mpsc::channel();
    for errand in
        [Errand::Commit(first), Errand::Discard(discarded), Errand::Commit(second), finish]
    {
        errands.send(errand).unwrap();
    }
    drop(errands);
    committer.run(receiver);

    let told: Vec<_> = told.iter().map(|told| describe(&told)).collect();
    assert_eq!(told, ["another driver took over (process 0 on h2)"]);
    assert!(bench.recorded().is_empty());
    assert!(!bench.exists(&layout::intermediate(0, 0)) && !bench.exists(&layout::output(1)));
    assert_eq!(bench.staged(), staged);
}

/// It was frozen as it listed those of an earlier job: what it finds is its successor's.
#[test]
fn intermediates_are_not_removed_by_a_driver_that_was_superseded_as_it_listed_them() {
    for drop_intermediates in [false, true] {
        let mut bench = Bench::new();
        bench.faults.insert("takeover at list");
        bench.drop_intermediates = drop_intermediates;
        bench.is_new_job = !drop_intermediates;
        let name = layout::intermediate(0, 0);
        fs::write(bench.local.path(&name), "of the successor").unwrap();

        bench.run([Errand::Finish { outcome: Outcome::Done, leftovers: Vec::new() }]);

        assert!(bench.exists(&name), "drop_intermediates: {drop_intermediates}");
    }
}

/// It was frozen after it had published, and before the record.
#[test]
fn batch_is_not_recorded_by_a_driver_that_was_superseded_meanwhile() {
    let mut bench = Bench::new();
    let commit = Commit { is_awaited: false, ..bench.stage_map(0, "one\n") };
    let (sender, told) = std_mpsc::channel();
    let committer = Committer { group_commit_wait: SECOND / 10, ..bench.committer(sender) };
    let (errands, receiver) = std_mpsc::channel();
    errands.send(Errand::Commit(commit)).unwrap();
    let thread = std::thread::spawn(move || committer.run(receiver));
    let began = Instant::now();
    while !bench.exists(&layout::intermediate(0, 0)) {
        assert!(began.elapsed() < 60 * SECOND, "it is not published");
        std::thread::yield_now();
    }
    bench.claims.set(2, ClaimState::Held(None));

    let told = told.recv().map(|told| describe(&told));
    assert_eq!(told.as_deref(), Ok("another driver took over (process 0 on h2)"));
    assert!(bench.recorded().is_empty());
    drop(errands);
    thread.join().unwrap();
}

/// Its open journal may have become that of its successor.
#[test]
fn note_is_not_written_by_a_driver_that_was_superseded_meanwhile() {
    let mut bench = Bench::new();
    let commit = bench.stage_map(0, "one\n");
    let (sender, told) = std_mpsc::channel();
    let committer = bench.committer(sender);
    let (errands, receiver) = std_mpsc::channel();
    let thread = std::thread::spawn(move || committer.run(receiver));
    errands.send(Errand::Commit(commit)).unwrap();
    assert_eq!(told.recv().map(|told| describe(&told)).as_deref(), Ok("m0.a0 published"));
    bench.claims.set(2, ClaimState::Held(None));
    let recalled = Record::Recalled { map: 1, reduce: 0, attempt: 0, sentence: "gone".to_owned() };
    errands.send(Errand::Note(recalled)).unwrap();
    drop(errands);
    thread.join().unwrap();

    let told: Vec<_> = told.iter().map(|told| describe(&told)).collect();
    assert_eq!(told, ["another driver took over (process 0 on h2)"]);
    assert_eq!(bench.recorded(), ["m0.a0"]);
}

/// By an older driver of another job, frozen before its `rename`.
#[test]
fn output_that_was_replaced_after_its_commit_is_found_before_the_end_is_recorded() {
    for (text, is_intact) in [("one 1\n", true), ("two 1\n", false), ("other 1\n", false)] {
        let mut bench = Bench::new();
        let commit = bench.stage_output(0, "one 1\n");
        assert_eq!(commit.objects[0].0, layout::output(0));
        let (sender, told) = std_mpsc::channel();
        let committer = bench.committer(sender);
        let (errands, receiver) = std_mpsc::channel();
        errands.send(Errand::Commit(commit)).unwrap();
        let thread = std::thread::spawn(move || committer.run(receiver));
        assert_eq!(told.recv().map(|told| describe(&told)).as_deref(), Ok("r0.a0 published"));

        let path = bench.local.path(&layout::output(0));
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
        errands.send(Errand::Finish { outcome: Outcome::Done, leftovers: Vec::new() }).unwrap();

        let told = told.recv().map(|told| describe(&told));
        let expected = if is_intact { "finished" } else { "out/out-0 was replaced" };
        assert_eq!(told.as_deref(), Ok(expected), "{text}");
        assert_eq!(bench.exists(&layout::output(0)), is_intact, "{text}");
        drop(errands);
        thread.join().unwrap();
    }
}
