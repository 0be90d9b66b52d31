//! The committer publishes, records and tells the loop, in this order; what failed is neither
//! published nor recorded.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};

use journal::{BucketMade, FileLog, MapCommit, Opening, Winner};
use scheduler::TaskId;
use store::{
    Beat, ClaimState, Durability, Identity, Local, Object, Operation, StagedObject, layout,
};

use super::*;
use crate::claim;
use crate::claim::memory::MemoryClaims;

mod disks;
mod superseded;

use disks::{Counting, Full};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn commit_is_published_then_recorded_then_told() {
    let mut bench = Bench::new();
    let commit = bench.stage_map(0, "one\n");

    let told = bench.run([Errand::Commit(commit)]);

    assert_eq!(told, ["m0.a0 published"]);
    assert_eq!(bench.final_text(&layout::intermediate(0, 0)), "one\n");
    assert_eq!(bench.recorded(), ["m0.a0"]);
    // When the file got its name, the journal had no record of it; when its staging was removed,
    // before the loop was told, it had.
    let expected =
        ["publish intermediate/mr-0-0, recorded: []", "discard m0.a0, recorded: [\"m0.a0\"]"];
    assert_eq!(bench.log()[..2], expected);
    assert_eq!(bench.staged(), 0);
}

#[test]
fn output_is_checked_in_full_and_durable_before_it_is_recorded() {
    let mut bench = Bench::new();
    let commit = bench.stage_output(0, "one 1\n");

    assert_eq!(bench.run([Errand::Commit(commit)]), ["r0.a0 published"]);

    let expected = [
        "verify out/out-0",
        "publish out/out-0, recorded: []",
        "settle out, recorded: []",
        "discard r0.a0, recorded: [\"r0.a0\"]",
    ];
    assert_eq!(bench.log()[..4], expected);
}

#[test]
fn output_that_differs_from_its_report_is_not_published() {
    let mut bench = Bench::new();
    let mut commit = bench.stage_output(0, "one 1\n");
    commit.objects[0].1.crc32 ^= 1;

    let told = bench.run([Errand::Commit(commit)]);

    assert!(told[0].starts_with("r0.a0 not published: .mapmill/staging/6f1e/r0.a0/"), "{told:?}");
    assert!(!bench.exists(&layout::output(0)));
    assert!(bench.recorded().is_empty());
}

#[test]
fn commits_that_wait_are_recorded_together() {
    let mut bench = Bench::new();
    let commits = [0, 1, 2].map(|task| Errand::Commit(bench.stage_output(task, "one 1\n")));

    let told = bench.run(commits);

    assert_eq!(told, ["r0.a0 published", "r1.a0 published", "r2.a0 published"]);
    assert_eq!(bench.recorded(), ["r0.a0", "r1.a0", "r2.a0"]);
    assert_eq!(bench.log().iter().filter(|line| line.starts_with("settle")).count(), 1);
}

/// Group commit: all commits that wait share one sync.
#[test]
fn hundreds_of_commits_take_a_handful_of_syncs() {
    let mut bench = Bench::new();
    let syncs = bench.count_syncs();
    let commits: Vec<_> =
        (0..600).map(|task| Errand::Commit(bench.stage_map(task, "one\n"))).collect();

    assert_eq!(bench.run(commits).len(), 600);

    assert_eq!(bench.recorded().len(), 600);
    // In batches of 256.
    assert_eq!(syncs.load(Ordering::Relaxed), 3);
}

#[test]
fn commit_that_is_not_awaited_shares_the_sync_of_the_next_that_is() {
    let mut bench = Bench::new();
    let syncs = bench.count_syncs();
    let patient = |commit| Commit { is_awaited: false, ..commit };
    let [first, second] = [0, 1].map(|task| patient(bench.stage_map(task, "one\n")));
    let third = bench.stage_map(2, "one\n");
    let (sender, told) = std_mpsc::channel();
    let committer = Committer { group_commit_wait: 600 * SECOND, ..bench.committer(sender) };
    let (errands, receiver) = std_mpsc::channel();
    let thread = std::thread::spawn(move || committer.run(receiver));

    for (task, commit) in [(0, first), (1, second)] {
        errands.send(Errand::Commit(commit)).unwrap();
        // The file has its name at once, and no record.
        let name = layout::intermediate(task, 0);
        let began = Instant::now();
        while !bench.exists(&name) {
            assert!(began.elapsed() < 60 * SECOND, "{name} is not published");
            std::thread::yield_now();
        }
    }
    assert!(told.try_recv().is_err());
    assert!(bench.recorded().is_empty());
    errands.send(Errand::Commit(third)).unwrap();
    let all = std::iter::from_fn(|| told.recv().ok().map(|told| describe(&told)));
    let all: Vec<_> = all.take(3).collect();

    assert_eq!(all, ["m0.a0 published", "m1.a0 published", "m2.a0 published"]);
    assert_eq!(bench.recorded(), ["m0.a0", "m1.a0", "m2.a0"]);
    assert_eq!(syncs.load(Ordering::Relaxed), 1);
    drop(errands);
    thread.join().unwrap();
    assert_eq!(bench.staged(), 0);
}

#[test]
fn commit_that_cannot_be_published_is_not_recorded_and_delays_no_other() {
    let mut bench = Bench::new();
    bench.faults.insert("publish intermediate/mr-1-0");
    let commits = [0, 1, 2].map(|task| Errand::Commit(bench.stage_map(task, "one\n")));

    let told = bench.run(commits);

    assert_eq!(told[0], "m1.a0 not published: cannot publish injected: injected");
    assert_eq!(told[1..], ["m0.a0 published", "m2.a0 published"]);
    assert_eq!(bench.recorded(), ["m0.a0", "m2.a0"]);
}

#[test]
fn after_a_failed_sync_none_of_its_outputs_is_recorded() {
    let mut bench = Bench::new();
    bench.faults.insert("settle out");
    let commits = [0, 1].map(|task| Errand::Commit(bench.stage_output(task, "one 1\n")));

    let told = bench.run(commits);

    let expected =
        ["r0.a0 not safe on the disk: cannot sync injected: injected", "r1.a0 no longer needed"];
    assert_eq!(told, expected);
    assert!(bench.recorded().is_empty());
}

#[test]
fn commit_that_cannot_be_recorded_is_reported_as_not_committed() {
    let mut bench = Bench::new();
    bench.journal = Some(on_full_disk());
    let commits = [0, 1].map(|task| Errand::Commit(bench.stage_map(task, "one\n")));

    let told = bench.run(commits);

    for (told, attempt) in told.iter().zip(["m0.a0", "m1.a0"]) {
        let expected = format!("{attempt} not committed: cannot append to ");
        assert!(told.starts_with(&expected) && told.contains("No space"), "{told}");
    }
}

/// The disk may have space for the second record, but it would follow half a line.
#[test]
fn after_a_record_that_failed_no_other_is_written() {
    let mut bench = Bench::new();
    bench.journal = Some(on_full_disk());
    let first = Errand::Commit(bench.stage_map(0, "one\n"));
    let finish = Errand::Finish { outcome: Outcome::Failed, leftovers: Vec::new() };

    let told = bench.run([first, finish]);

    assert!(told[1].contains(" is closed for writing because an earlier write failed"), "{told:?}");
}

#[test]
fn notes_come_before_the_commits_that_wait_with_them() {
    let mut bench = Bench::new();
    let first = Errand::Commit(bench.stage_map(0, "one\n"));
    let recalled = Record::Recalled { map: 1, reduce: 0, attempt: 0, sentence: "gone".to_owned() };

    bench.run([first, Errand::Note(recalled)]);

    assert_eq!(bench.recorded(), ["recalled m1", "m0.a0"]);
}

/// The record of the commit says when the attempt started.
#[test]
fn start_of_an_attempt_is_not_noted_beside_its_commit() {
    let mut bench = Bench::new();
    let first = Errand::Commit(bench.stage_map(0, "one\n"));
    let started = |task, attempt| {
        let (phase, worker) = (journal::Phase::Map, "w0".to_owned());
        Errand::Note(Record::Started { phase, task, attempt, worker, at_ms: 1 })
    };

    bench.run([started(0, 0), started(0, 1), first, started(1, 0)]);

    assert_eq!(bench.recorded(), ["note", "note", "m0.a0"]);
}

/// No process waits for a note.
#[test]
fn note_that_does_not_fit_on_the_disk_does_not_end_the_job() {
    let mut bench = Bench::new();
    bench.journal = Some(on_full_disk());
    let note = Record::Recalled { map: 1, reduce: 0, attempt: 0, sentence: "gone".to_owned() };

    assert!(bench.run([Errand::Note(note)]).is_empty());
}

#[test]
fn end_leaves_only_what_belongs_there() {
    let mut bench = Bench::new();
    let kept = Errand::Commit(bench.stage_map(0, "one\n"));
    bench.stage_map(7, "never reported\n");
    fs::write(bench.local.path(&layout::output(9)), "of an earlier job").unwrap();

    let leftovers = vec![layout::output(9), layout::output(10)];
    let told = bench.run([kept, Errand::Finish { outcome: Outcome::Done, leftovers }]);

    assert_eq!(told, ["m0.a0 published", "finished"]);
    assert_eq!(bench.recorded(), ["m0.a0", "end done"]);
    assert!(bench.exists(&layout::intermediate(0, 0)));
    assert!(!bench.exists(&layout::output(9)));
    assert_eq!(bench.staged(), 0);
}

/// The committer always has something else to do here.
#[test]
fn staging_of_commits_is_removed_as_fast_as_they_come_and_the_rest_is_counted() {
    let mut bench = Bench::new();
    bench.discards_max = 2;
    let patient = |commit| Commit { is_awaited: false, ..commit };
    let commits = (0..9).map(|task| patient(bench.stage_map(task, "one\n")));
    let mut errands: Vec<Errand> = commits.map(Errand::Commit).collect();
    errands.push(Errand::Finish { outcome: Outcome::Done, leftovers: Vec::new() });

    let told = bench.run(errands);

    assert_eq!(told[9..], ["removing 2 staging folders", "finished"]);
    let log = bench.log();
    let discarded = |line: &&String| line.starts_with("discard") && !line.contains("end done");
    assert_eq!(log.iter().filter(discarded).count(), 9, "{log:?}");
}

#[test]
fn all_intermediates_that_are_missing_or_short_are_found_at_once() {
    let mut bench = Bench::new();
    let mut errands = Vec::new();
    let digest = Digest::of(b"one\n");
    for (map, text) in [(0, Some("one\n")), (1, Some("on")), (2, None), (3, Some("one\n"))] {
        if let Some(text) = text {
            fs::write(bench.local.path(&layout::intermediate(map, 0)), text).unwrap();
        }
        let other = layout::intermediate(map, 1);
        fs::write(bench.local.path(&other), "").unwrap();
    }
    // Of another bucket than the one that is read.
    fs::remove_file(bench.local.path(&layout::intermediate(3, 1))).unwrap();
    let (attempt, _) = bench.attempt(TaskId::reduce(0));
    errands.push(Errand::FindLost { attempt, buckets: 2, expected: vec![digest; 4] });
    bench.is_new_job = false;

    let expected = "r0.a0 lost m1 intermediate/mr-1-0, m2 intermediate/mr-2-0, m3 \
                    intermediate/mr-3-1";
    assert_eq!(bench.run(errands), [expected]);
}

/// After the record of the end, so that a driver that dies in between leaves a job that is done.
#[test]
fn intermediates_are_dropped_when_the_end_is_recorded_and_not_if_the_job_has_failed() {
    for (outcome, end) in [(Outcome::Done, "end done"), (Outcome::Failed, "end failed")] {
        let mut bench = Bench::new();
        bench.drop_intermediates = true;
        let commit = Errand::Commit(bench.stage_map(0, "one\n"));

        let told = bench.run([commit, Errand::Finish { outcome, leftovers: Vec::new() }]);

        let log = bench.log();
        let removed = r#"remove intermediate/mr-0-0, recorded: ["m0.a0", "end done", "removed"]"#;
        let is_done = outcome == Outcome::Done;
        assert_eq!(log.iter().any(|line| line == removed), is_done, "{log:?}");
        assert_eq!(bench.exists(&layout::intermediate(0, 0)), !is_done);
        match is_done {
            true => assert_eq!(told[1..], ["removing 1 intermediates", "finished"]),
            false => assert_eq!(told[1..], ["finished"]),
        }
        assert_eq!(bench.recorded()[1], end);
    }
}

#[test]
fn thread_removes_staging_while_the_committer_has_other_things_to_do() {
    let bench = Bench::new();
    let mut discards = Discards::new(Arc::new(bench.local.clone()), 1);
    discards.use_a_thread().unwrap();
    for task in 0..5 {
        let (_, staging) = bench.attempt(TaskId::map(task));
        discards.add(staging);
        // One is being removed, one is queued, and `add` has waited for the others.
        assert!(discards.left() <= 2);
    }
    // Nothing is left to this thread.
    assert!(!discards.carry_out_one());
    discards.finish();
    assert_eq!((bench.staged(), discards.left()), (0, 0));
}

#[test]
fn intermediates_of_an_earlier_job_are_gone_before_the_first_commit() {
    let mut bench = Bench::new();
    let old = [layout::intermediate(0, 0), layout::intermediate(9, 9), layout::output(0)];
    for name in &old {
        fs::write(bench.local.path(name), "of an earlier job").unwrap();
    }
    let first = Errand::Commit(bench.stage_map(0, "one\n"));

    assert_eq!(bench.run([first]), ["m0.a0 published"]);

    let log = bench.log();
    let expected = ["remove intermediate/mr-0-0", "remove intermediate/mr-9-9", "publish"];
    assert!(log.iter().zip(expected).all(|(line, begin)| line.starts_with(begin)), "{log:?}");
    assert_eq!(bench.final_text(&old[0]), "one\n");
    assert_eq!(old.map(|name| bench.exists(&name)), [true, false, true]);
}

/// A worker that was assigned a task just before the job was cancelled may begin to stage later.
#[test]
fn staging_that_was_begun_after_the_end_is_swept_when_the_loop_ends() {
    let mut bench = Bench::new();
    let (errands, receiver) = std_mpsc::channel();
    let (sender, told) = std_mpsc::channel();
    let committer = bench.committer(sender);
    let thread = std::thread::spawn(move || committer.run(receiver));

    errands.send(Errand::Finish { outcome: Outcome::Cancelled, leftovers: Vec::new() }).unwrap();
    assert!(matches!(told.recv(), Ok(CommitterEvent::Finished(Ok(())))));
    bench.stage_map(0, "late\n");
    drop(errands);
    thread.join().unwrap();

    assert_eq!(bench.staged(), 0);
}

#[test]
fn loop_is_told_when_the_committer_panics() {
    let mut bench = Bench::new();
    bench.faults.insert("panic");
    let (errands, receiver) = std_mpsc::channel();
    let (sender, told) = std_mpsc::channel();
    let committer = bench.committer(sender);
    let thread = std::thread::spawn(move || committer.run(receiver));

    errands.send(Errand::Commit(bench.stage_map(0, "one\n"))).unwrap();

    assert!(matches!(told.recv(), Ok(CommitterEvent::Died)));
    assert!(thread.join().is_err());
}

/// A committer over a real folder, whose store logs its calls and fails on demand.
struct Bench {
    _folder: tempfile::TempDir,
    local: Local,
    faults: BTreeSet<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
    /// In place of the journal in the folder.
    journal: Option<Box<dyn Log>>,
    discards_max: usize,
    drop_intermediates: bool,
    is_new_job: bool,
    claims: Arc<MemoryClaims>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::create(folder.path()).unwrap();
        begun(FileLog::in_folder(folder.path()));
        let (faults, log) = (BTreeSet::new(), Arc::default());
        let (journal, discards_max) = (None, DISCARDS_MAX);
        Self {
            _folder: folder,
            local,
            faults,
            log,
            journal,
            discards_max,
            drop_intermediates: false,
            is_new_job: true,
            claims: Arc::default(),
        }
    }

    /// From now on counts how often the journal is synced.
    fn count_syncs(&mut self) -> Arc<AtomicUsize> {
        let syncs = Arc::default();
        let disk = Arc::new(Counting(Arc::clone(&syncs)));
        self.journal = Some(begun(FileLog::on(disk, self._folder.path())));
        syncs.store(0, Ordering::Relaxed);
        syncs
    }

    fn committer(&mut self, told: std_mpsc::Sender<CommitterEvent>) -> Committer {
        let store = Faulty {
            local: self.local.clone(),
            faults: self.faults.clone(),
            log: Arc::clone(&self.log),
            claims: Arc::clone(&self.claims),
        };
        let journal = self.journal.take();
        let journal = journal.unwrap_or_else(|| begun(FileLog::in_folder(self._folder.path())));
        let store: Arc<dyn Store> = Arc::new(store);
        Committer {
            discards: Discards::new(Arc::clone(&store), self.discards_max),
            store,
            journal,
            is_new_job: self.is_new_job,
            drop_intermediates: self.drop_intermediates,
            notify: Arc::new(move |what| drop(told.send(what))),
            group_commit_wait: Duration::ZERO,
            outputs: Outputs::default(),
            is_superseded: false,
            hold: Arc::new(claim::memory::hold(&self.claims)),
        }
    }

    /// Sends all errands at once; returns what the loop is told.
    fn run(&mut self, errands: impl IntoIterator<Item = Errand>) -> Vec<String> {
        let (sender, receiver) = std_mpsc::channel();
        errands.into_iter().for_each(|errand| sender.send(errand).unwrap());
        drop(sender);
        let (told, inbox) = std_mpsc::channel();
        self.committer(told).run(receiver);
        inbox.try_iter().map(|told| describe(&told)).collect()
    }

    fn stage_map(&self, task: u32, text: &str) -> Commit {
        let (attempt, staging) = self.attempt(TaskId::map(task));
        let name = layout::intermediate(task, 0);
        let digest = self.write(&staging, &name, text);
        let record = {
            let winner = Winner { task, attempt: 0, worker: "w0".to_owned(), span: None };
            let buckets = vec![BucketMade { digest, words: 1 }];
            MapCommit { buckets, findings: journal::Findings::default() }.into_record(winner)
        };
        Commit {
            attempt,
            staging,
            objects: vec![(name, digest)],
            durability: Durability::Verified,
            record,
            is_awaited: true,
        }
    }

    fn stage_output(&self, task: u32, text: &str) -> Commit {
        let (attempt, staging) = self.attempt(TaskId::reduce(task));
        let name = layout::output(task);
        let digest = self.write(&staging, &name, text);
        let Digest { bytes, crc32 } = digest;
        let worker = "w0".to_owned();
        let (words, distinct_words, span) = (1, 1, None);
        let record =
            Record::Reduce { task, attempt: 0, worker, span, bytes, crc32, words, distinct_words };
        Commit {
            attempt,
            staging,
            objects: vec![(name, digest)],
            durability: Durability::Durable,
            record,
            is_awaited: true,
        }
    }

    fn attempt(&self, task: TaskId) -> (AttemptId, Staging) {
        let attempt = AttemptId { task, number: 0 };
        let phase = match task.phase {
            scheduler::Phase::Map => layout::Phase::Map,
            scheduler::Phase::Reduce => layout::Phase::Reduce,
        };
        let staging = layout::staging("6f1e", phase, task.index, 0);
        self.local.stage(&staging).unwrap();
        (attempt, staging)
    }

    fn write(&self, staging: &Staging, name: &Name, text: &str) -> Digest {
        let mut file = self.local.create(staging, name, Durability::Verified).unwrap();
        file.append(text.as_bytes()).unwrap();
        file.finish().unwrap()
    }

    fn exists(&self, name: &Name) -> bool {
        self.local.path(name).exists()
    }

    fn final_text(&self, name: &Name) -> String {
        fs::read_to_string(self.local.path(name)).unwrap()
    }

    fn recorded(&self) -> Vec<String> {
        recorded(&self.local)
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// How many sessions have anything staged.
    fn staged(&self) -> usize {
        let staging = self.local.root().join(".mapmill/staging");
        fs::read_dir(staging)
            .unwrap()
            .filter(|job| {
                let job = job.as_ref().unwrap().path();
                fs::read_dir(job).unwrap().count() > 0
            })
            .count()
    }
}

fn recorded(local: &Local) -> Vec<String> {
    let journal = local.path(&layout::journal());
    let files = journal.ancestors().nth(2).expect("the journal is in a folder of its own");
    let records = FileLog::in_folder(files).read().unwrap().records;
    let describe = |record| match record {
        Record::Begin { .. } | Record::Input { .. } | Record::Resume { .. } => "other".to_owned(),
        Record::End { outcome } => format!("end {outcome}"),
        Record::IntermediatesRemoved => "removed".to_owned(),
        Record::Map { task, attempt, .. } => format!("m{task}.a{attempt}"),
        Record::Reduce { task, attempt, .. } => format!("r{task}.a{attempt}"),
        Record::Ended { .. } | Record::Started { .. } => "note".to_owned(),
        Record::Recalled { map, .. } => format!("recalled m{map}"),
    };
    records.into_iter().map(describe).collect()
}

fn describe(told: &CommitterEvent) -> String {
    match told {
        CommitterEvent::Died => panic!("the committer panicked"),
        CommitterEvent::Removing(Removing { staging_folders, intermediates: 0 }) => {
            format!("removing {staging_folders} staging folders")
        }
        CommitterEvent::Removing(Removing { intermediates, .. }) => {
            format!("removing {intermediates} intermediates")
        }
        CommitterEvent::FoundLost { attempt, names } => {
            let names: Vec<_> = names.iter().map(|(map, name)| format!("m{map} {name}")).collect();
            format!("{attempt} lost {}", names.join(", "))
        }
        CommitterEvent::Finished(Ok(())) => "finished".to_owned(),
        CommitterEvent::Finished(Err(error)) => with_causes(error),
        CommitterEvent::Superseded(lost) => lost.to_string(),
        CommitterEvent::Published { attempt, result: Ok(()) } => format!("{attempt} published"),
        CommitterEvent::Published { attempt, result: Err(cause) } => {
            format!("{attempt} {}", with_causes(cause))
        }
    }
}

struct Faulty {
    local: Local,
    /// Calls that fail.
    faults: BTreeSet<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
    claims: Arc<MemoryClaims>,
}

impl Faulty {
    fn call(&self, operation: Operation, call: &str) -> Result<(), StoreError> {
        assert!(!self.faults.contains("panic"), "a defect of the store");
        if self.faults.contains(call) {
            let source = std::io::Error::other("injected");
            return Err(StoreError::Refused { operation, place: "injected".into(), source });
        }
        let line = if operation == Operation::Read {
            call.to_owned()
        } else {
            format!("{call}, recorded: {:?}", recorded(&self.local))
        };
        self.log.lock().unwrap().push(line);
        Ok(())
    }
}

impl Store for Faulty {
    fn identify(&self, name: &Name) -> Result<Option<Identity>, StoreError> {
        self.local.identify(name)
    }

    fn intermediates(&self) -> Result<Vec<(u32, u32)>, StoreError> {
        if self.faults.contains("takeover at list") {
            self.claims.set(2, ClaimState::Held(Some(Beat::FIRST)));
        }
        self.local.intermediates()
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        self.local.open(name)
    }

    fn stage(&self, staging: &Staging) -> Result<(), StoreError> {
        self.local.stage(staging)
    }

    fn create(
        &self,
        staging: &Staging,
        name: &Name,
        durability: Durability,
    ) -> Result<Box<dyn StagedObject>, StoreError> {
        self.local.create(staging, name, durability)
    }

    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        self.local.open_staged(staging, name)
    }

    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError> {
        self.local.unstage(staging, name)
    }

    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError> {
        self.call(Operation::Read, &format!("verify {name}"))?;
        self.local.verify_staged(staging, name, expected)
    }

    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError> {
        self.call(Operation::Publish, &format!("publish {name}"))?;
        self.local.publish(staging, name, expected)
    }

    fn settle(&self, folder: Folder) -> Result<(), StoreError> {
        self.call(Operation::Sync, &format!("settle {folder}"))?;
        self.local.settle(folder)
    }

    fn discard(&self, staging: &Staging) -> Result<(), StoreError> {
        self.call(Operation::Discard, &format!("discard {}", staging.name().file()))?;
        self.local.discard(staging)
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.local.sweep()
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        self.call(Operation::Remove, &format!("remove {name}"))?;
        self.local.remove(name)
    }
}

/// A journal on a disk that is full.
fn on_full_disk() -> Box<dyn Log> {
    begun(FileLog::on(Arc::new(Full), Path::new("/dev/full")))
}

/// A journal without records.
fn begun(mut log: FileLog) -> Box<dyn Log> {
    log.open(Opening::Begin(&[])).unwrap();
    Box::new(log)
}
