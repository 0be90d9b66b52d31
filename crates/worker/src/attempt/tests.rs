//! Attempts on a real folder, compared with the simplest count possible.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rpc::message::{Attempt, Bucket, Digest, Findings, Format, Phase, Session, Split};
use store::{Local, Roots, layout};

use super::*;
use crate::budget::BLOCK_BYTES;
use crate::digest;
use crate::failure::BEHIND_A_LINK;
use crate::machine::open_store;

mod formats;

#[test]
fn one_map_and_one_reduce_count_a_text() {
    let bench = Bench::new(2, b"to be or not to be, that is 2b\xFF");

    let (buckets, invalid_bytes) = bench.map(0, &bench.whole());

    assert_eq!(invalid_bytes, 1);
    // 'b', 'n' and 't' are even.
    assert_eq!(bench.intermediate(0, 0), "to\nbe\nnot\nto\nbe\nthat\nb\n");
    assert_eq!(bench.intermediate(0, 1), "or\nis\n");
    assert_eq!(buckets.iter().map(|bucket| bucket.words).collect::<Vec<_>>(), [7, 2]);
    assert_eq!(bench.reduce(0, &[&buckets]), "b 1\nbe 2\nnot 1\nthat 1\nto 2\n");
    assert_eq!(bench.reduce(1, &[&buckets]), "is 1\nor 1\n");
}

/// Wherever the text is cut, in the mark as well, and although it is no white space.
#[test]
fn byte_order_mark_at_the_start_of_a_file_is_in_no_word() {
    let text = "\u{FEFF}The cat \u{FEFF}sat";
    for cut in 0..=text.len() {
        let mut bench = Bench::new(1, text.as_bytes());
        bench.job.rules.words = words::WordRule::Whitespace;
        let parts = [(0, cut), (cut, text.len())];
        let words = |(task, (start, end))| {
            let (_, invalid_bytes) = bench.map(task, &bench.splits(start, end));
            assert_eq!(invalid_bytes, 0);
            bench.intermediate(task, 0)
        };
        let found: String = (0..).zip(parts).map(words).collect();
        assert_eq!(found, "The\ncat\n\u{FEFF}sat\n", "cut at {cut}");
    }
}

#[test]
fn task_without_splits_makes_empty_files() {
    let bench = Bench::new(3, b"");
    let (buckets, _) = bench.map(0, &[]);

    let empty = Bucket { digest: Digest { bytes: 0, crc32: 0 }, words: 0 };
    assert_eq!(buckets, [empty; 3]);
    assert_eq!(bench.reduce(0, &[&buckets]), "");
}

#[test]
fn more_buckets_than_file_handles_hold_every_word() {
    let text: String = ('a'..='z').chain('α'..='ω').map(|c| format!("{c}{c} {c} ")).collect();
    let bench = Bench::new(1000, text.as_bytes());

    bench.check(&[17, 64]);
}

#[test]
fn word_much_longer_than_a_block_belongs_to_the_split_in_which_it_begins() {
    let giant = "x".repeat(3 * BLOCK_BYTES);
    let bench = Bench::new(2, format!("one {giant} two").as_bytes());

    bench.check(&[10, BLOCK_BYTES, 2 * BLOCK_BYTES]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cuts inside words, characters and invalid bytes.
    #[test]
    fn words_are_counted_once_wherever_the_text_is_cut(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        buckets in 1..6_u32,
    ) {
        let text = pieces.concat();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        Bench::new(buckets, &text).check(&cuts);
    }
}

const PIECES: &[&[u8]] = &[
    b"a",
    b"the",
    b" ",
    b"\n",
    b"\r\n",
    b"'",
    b"\0",
    b"7",
    b"\xFF",
    b"\xC3",
    b"\x80",
    b"\xF0\x9F",
    "é".as_bytes(),
    "中".as_bytes(),
    "𐐷".as_bytes(),
    "🦀".as_bytes(),
    "a\u{301}".as_bytes(),
];

#[test]
fn throttle_limits_the_rate_and_progress_grows() {
    let mut bench = Bench::new(1, &b"word ".repeat(4000));
    bench.job.throttle = NonZeroU64::new(100_000);
    let progress = progress();
    let began = Instant::now();

    bench.execute(&bench.map_task(0, bench.whole()), &progress).unwrap();

    // 20,000 bytes, in tenths of a second.
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    let running = progress.running();
    assert_eq!((running.bytes, running.words), (20_000, 4000));
    assert!(running.progress >= 2, "{running:?}");
}

#[test]
fn abandoned_attempt_stops_within_a_block_and_leaves_nothing() {
    let mut bench = Bench::new(2, &b"word ".repeat(100_000));
    // Each block takes a tenth of a second: the attempt is under way when it is abandoned.
    bench.job.throttle = NonZeroU64::new(10_000);
    let progress = progress();
    let abandoner = std::thread::spawn({
        let progress = Arc::clone(&progress);
        move || {
            while progress.running().bytes == 0 {
                std::thread::yield_now();
            }
            progress.abandon();
            progress.running().bytes
        }
    });

    let interrupted = bench.execute(&bench.map_task(0, bench.whole()), &progress).unwrap_err();

    assert_eq!(interrupted, Interrupted::Abandoned);
    let read = progress.running().bytes - abandoner.join().unwrap();
    assert!(read <= 1000, "{read} bytes were read after that");
    assert!(!bench.is_staged(&bench.map_task(0, Vec::new())));
}

#[test]
fn abandoned_reduce_attempt_leaves_nothing() {
    let mut bench = Bench::new(1, &b"word ".repeat(10_000));
    let (buckets, _) = bench.map(0, &bench.whole());
    bench.job.throttle = NonZeroU64::new(1000);
    let task = bench.reduce_task(0, vec![buckets[0].digest]);
    let progress = progress();
    progress.abandon();

    assert_eq!(bench.execute(&task, &progress), Err(Interrupted::Abandoned));
    assert_eq!(progress.running().bytes, 100);
    assert!(!bench.is_staged(&task));
}

#[test]
fn panic_is_a_failure_with_its_message() {
    let interrupted = guard(|| panic!("index {} out of bounds", 7)).unwrap_err();
    let message = "index 7 out of bounds".to_owned();
    assert_eq!(interrupted, Interrupted::Failed(Failure::Panicked { message }));

    let interrupted = guard(|| std::panic::panic_any(7)).unwrap_err();
    assert_eq!(
        interrupted,
        Interrupted::Failed(Failure::Panicked { message: "(no message)".to_owned() })
    );
}

/// The first execution may have been reported: its staged files must not change.
#[test]
fn attempt_is_executed_once_and_its_staging_is_not_touched_again() {
    let bench = Bench::new(1, b"one");
    let task = bench.map_task(0, bench.whole());
    bench.execute(&task, &progress()).unwrap();

    assert_eq!(bench.failure(&task), Failure::StagingExists);
    let staged = bench.path("files").join(&task.staging).join("mr-0-0");
    assert_eq!(fs::read(staged).unwrap(), b"one\n");
}

#[test]
fn name_that_is_not_a_staging_folder_is_refused() {
    let bench = Bench::new(1, b"one");
    for staging in
        ["", "../../etc", ".mapmill/staging/job", ".mapmill/staging/job/../a", "/tmp/a/b"]
    {
        let task = Task { staging: staging.to_owned(), ..bench.map_task(0, bench.whole()) };
        assert_eq!(bench.failure(&task), Failure::ForeignStaging { path: staging.into() });
    }
}

/// Another attempt may be writing in it, or will.
#[test]
fn staging_folder_of_another_attempt_is_refused() {
    let bench = Bench::new(1, b"one");
    let own = layout::staging("job", layout::Phase::Map, 0, 0).to_string();
    for (session, attempt) in
        [("job", "m0.a1"), ("job", "m1.a0"), ("job", "r0.a0"), ("job-2", "m0.a0"), ("job", "m0")]
    {
        let staging = own.replace("job/m0.a0", &format!("{session}/{attempt}"));
        let task = Task { staging: staging.clone(), ..bench.map_task(0, bench.whole()) };
        assert_eq!(bench.failure(&task), Failure::ForeignStaging { path: staging.into() });
        assert!(!bench.is_staged(&task));
    }
}

#[test]
fn input_outside_the_roots_is_not_read_whatever_leads_there() {
    let bench = Bench::new(1, b"one");
    let outside = tempfile::tempdir().unwrap();
    let secret = fs::canonicalize(outside.path()).unwrap().join("secret");
    fs::write(&secret, b"one").unwrap();
    let link = bench.path("link");
    symlink(&secret, &link).unwrap();
    let folder = bench.path("folder");
    symlink(outside.path(), &folder).unwrap();
    let dot_dot = bench.path("files/../input");

    let refuse = |path: PathBuf| {
        let split = Split { path, ..bench.whole()[0].clone() };
        let task = bench.map_task(0, vec![split]);
        let failure = bench.failure(&task);
        assert!(!bench.is_staged(&task));
        failure
    };
    for path in [secret, dot_dot, "input".into()] {
        assert_eq!(refuse(path.clone()), Failure::OutsideRoots { folder: path });
    }
    for path in [&link, &folder.join("secret")] {
        let (operation, detail) = ("open".to_owned(), BEHIND_A_LINK.to_owned());
        let (named, users) = (path.clone(), None);
        let unreadable =
            Failure::InputUnreadable { path: named, operation, os_error: 0, detail, users };
        assert_eq!(refuse(path.clone()), unreadable);
    }
}

#[test]
fn results_folder_outside_the_roots_is_not_opened() {
    let bench = Bench::new(1, b"");
    let roots = &bench.job.roots;
    let outside = tempfile::tempdir().unwrap();
    Local::create(outside.path()).unwrap();
    let link = bench.path("link");
    symlink(outside.path(), &link).unwrap();

    assert!(open_store(roots, &bench.path("files")).is_ok());
    let folder = outside.path().to_owned();
    let failure = open_store(roots, &folder).err().unwrap();
    assert_eq!(failure, Failure::OutsideRoots { folder });
    let failure = open_store(roots, &link).err().unwrap();
    assert!(failure.to_string().contains("behind a symbolic link"), "{failure}");
    let failure = open_store(roots, &bench.path("missing")).err().unwrap();
    assert!(matches!(failure, Failure::Io { os_error: 2, .. }), "{failure:?}");
}

#[test]
fn input_that_is_not_as_planned_is_never_counted() {
    let path = |bench: &Bench| bench.path("input");
    type Change = fn(&Path);
    let changes: [(Change, u64); 3] = [
        (|input| fs::write(input, b"one two three").unwrap(), 13),
        (|input| fs::write(input, b"one").unwrap(), 3),
        (
            |input| {
                let file = fs::File::options().write(true).open(input).unwrap();
                file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            },
            7,
        ),
    ];
    for (change, now_bytes) in changes {
        let bench = Bench::new(1, b"one two");
        let task = bench.map_task(0, bench.whole());
        change(&path(&bench));
        let expected = Failure::InputChanged { path: path(&bench), then_bytes: 7, now_bytes };
        assert_eq!(bench.failure(&task), expected);
        assert!(!bench.is_staged(&task));
    }

    let bench = Bench::new(1, b"one two");
    let task = bench.map_task(0, bench.whole());
    fs::remove_file(path(&bench)).unwrap();
    assert_eq!(bench.failure(&task), Failure::InputMissing { path: path(&bench) });
}

/// The words read until then were right, but do not count.
#[test]
fn input_that_grows_while_it_is_read_is_noticed() {
    let mut bench = Bench::new(1, &b"word ".repeat(400));
    bench.job.throttle = NonZeroU64::new(4_000);
    let (task, progress) = (bench.map_task(0, bench.whole()), progress());
    let writer = std::thread::spawn({
        let (input, progress) = (bench.path("input"), Arc::clone(&progress));
        move || {
            while progress.running().bytes == 0 {
                std::thread::yield_now();
            }
            let mut file = fs::File::options().append(true).open(input).unwrap();
            std::io::Write::write_all(&mut file, b"more").unwrap();
        }
    });

    let interrupted = bench.execute(&task, &progress).unwrap_err();

    writer.join().unwrap();
    let path = bench.path("input");
    let changed = Failure::InputChanged { path, then_bytes: 2000, now_bytes: 2004 };
    assert_eq!(interrupted, Interrupted::Failed(changed));
    assert!(!bench.is_staged(&task));
}

#[test]
fn intermediate_that_is_not_as_reported_is_named_with_its_map_task() {
    let bench = Bench::new(1, b"one two");
    let (whole, other) = (bench.map(0, &bench.whole()).0, bench.map(1, &[]).0);
    let task = bench.reduce_task(0, vec![other[0].digest; 2]);
    // Map task 0 says that it is empty, as map task 1 is.
    let expected = other[0].digest;
    let found = Digest { bytes: 8, crc32: 0 };
    let corrupt = Failure::IntermediateCorrupt { map: 0, expected, found };
    assert_eq!(bench.failure(&task), corrupt);
    assert!(!bench.is_staged(&task));

    let expected = whole[0].digest;
    let task = bench.reduce_task(0, vec![expected, other[0].digest]);
    let path = bench.path("files/intermediate/mr-0-0");
    fs::write(&path, b"one\nTwo\n").unwrap();
    let failure = bench.failure(&task);
    let is_corrupt = matches!(failure, Failure::IntermediateCorrupt { map: 0, expected: e, found }
        if e == expected && found.bytes == 8 && found.crc32 != expected.crc32);
    assert!(is_corrupt, "{failure:?}");

    fs::write(&path, b"one\nt").unwrap();
    let found = Digest { bytes: 5, crc32: 0 };
    let corrupt = Failure::IntermediateCorrupt { map: 0, expected, found };
    assert_eq!(bench.failure(&task), corrupt);

    fs::remove_file(&path).unwrap();
    assert_eq!(bench.failure(&task), Failure::IntermediateMissing { map: 0 });
    assert!(!bench.is_staged(&task));
}

/// As a worker in another language would write it that omits the last line feed.
#[test]
fn intermediate_whose_last_word_has_no_end_is_corrupt() {
    let bench = Bench::new(1, b"");
    let digest = digest::to_wire(store::Digest::of(b"one\ntwo"));
    fs::write(bench.path("files/intermediate/mr-0-0"), b"one\ntwo").unwrap();

    let failure = bench.failure(&bench.reduce_task(0, vec![digest]));

    let corrupt = Failure::IntermediateCorrupt { map: 0, expected: digest, found: digest };
    assert_eq!(failure, corrupt);
}

/// A folder with one input, and a results folder; below one root.
struct Bench {
    folder: tempfile::TempDir,
    text: Vec<u8>,
    job: Job,
    buffers: RefCell<Buffers>,
}

impl Bench {
    fn new(buckets: u32, text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("input"), text).unwrap();
        let job = Job {
            session: Session("job".to_owned()),
            store: Arc::new(Local::create(&root.join("files")).unwrap()),
            rules: words::Rules::default(),
            buckets: NonZeroU32::new(buckets).unwrap(),
            roots: Roots::new(&[root]),
            throttle: None,
            memory_bytes: 256 << 20,
            skip_bad_records: false,
        };
        Self { folder, text: text.to_owned(), job, buffers: RefCell::default() }
    }

    /// As its text thread does, one attempt after the other.
    fn execute(&self, task: &Task, progress: &Progress) -> Result<Outcome, Interrupted> {
        execute(&self.job, task, &mut self.buffers.borrow_mut(), progress)
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    /// The input from its first to its last byte.
    fn whole(&self) -> Vec<Split> {
        self.splits(0, self.text.len())
    }

    fn splits(&self, start: usize, end: usize) -> Vec<Split> {
        if start == end {
            return Vec::new();
        }
        let path = self.path("input");
        let input = store::list_inputs(std::slice::from_ref(&path), None).unwrap().inputs.remove(0);
        vec![Split {
            path,
            start: start as u64,
            end: end as u64,
            file_bytes: input.bytes,
            modified_seconds: input.modified.seconds,
            modified_nanos: input.modified.nanoseconds,
            format: Format::default(),
        }]
    }

    fn map_task(&self, task: u32, splits: Vec<Split>) -> Task {
        let attempt = Attempt { phase: Phase::Map, task, number: 0 };
        let staging = layout::staging("job", layout::Phase::Map, task, 0).to_string();
        Task { attempt, staging, work: Work::Map { splits } }
    }

    fn reduce_task(&self, task: u32, intermediates: Vec<Digest>) -> Task {
        let attempt = Attempt { phase: Phase::Reduce, task, number: 0 };
        let staging = layout::staging("job", layout::Phase::Reduce, task, 0).to_string();
        Task { attempt, staging, work: Work::Reduce { intermediates } }
    }

    /// Executes a map task, and publishes what it made as a driver would.
    fn map(&self, task: u32, splits: &[Split]) -> (Vec<Bucket>, u64) {
        let task = self.map_task(task, splits.to_vec());
        let outcome = self.execute(&task, &progress()).unwrap();
        let Outcome::Mapped { buckets, findings } = outcome else { panic!("{outcome:?}") };
        for (bucket, made) in (0..).zip(&buckets) {
            let name = layout::intermediate(task.attempt.task, bucket);
            self.publish(&task, &name, made.digest);
        }
        (buckets, findings.invalid_bytes)
    }

    /// Executes a reduce task over map tasks that left these buckets, and returns its output.
    fn reduce(&self, bucket: u32, maps: &[&[Bucket]]) -> String {
        let digests = maps.iter().map(|buckets| buckets[bucket as usize].digest).collect();
        let task = self.reduce_task(bucket, digests);
        let outcome = self.execute(&task, &progress()).unwrap();
        let Outcome::Reduced { output, words, distinct_words } = outcome else {
            panic!("{outcome:?}")
        };
        let emitted = maps.iter().map(|buckets| buckets[bucket as usize].words).sum::<u64>();
        assert_eq!(words, emitted);
        self.publish(&task, &layout::output(bucket), output);
        let text = self.read(&format!("files/out/out-{bucket}"));
        assert_eq!(text.lines().count() as u64, distinct_words);
        text
    }

    fn publish(&self, task: &Task, name: &store::Name, digest: Digest) {
        let digest = digest::from_wire(digest);
        let staging = Staging::parse(&task.staging).unwrap();
        self.job.store.verify_staged(&staging, name, digest).unwrap();
        self.job.store.publish(&staging, name, digest).unwrap();
    }

    fn intermediate(&self, map: u32, bucket: u32) -> String {
        self.read(&format!("files/intermediate/mr-{map}-{bucket}"))
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn failure(&self, task: &Task) -> Failure {
        match self.execute(task, &progress()) {
            Err(Interrupted::Failed(failure)) => failure,
            result @ (Ok(_) | Err(Interrupted::Abandoned)) => panic!("{result:?}"),
        }
    }

    fn is_staged(&self, task: &Task) -> bool {
        self.path("files").join(&task.staging).exists()
    }

    /// Cuts the input, maps every piece, reduces every bucket, and compares each file.
    fn check(&self, cuts: &[usize]) {
        let mut cuts = cuts.to_vec();
        cuts.extend([0, self.text.len()]);
        cuts.sort_unstable();
        let words = naive_words(&self.text);
        let mut counts = BTreeMap::new();
        let mut maps = Vec::new();
        for (task, cut) in (0..).zip(cuts.windows(2)) {
            let (buckets, _) = self.map(task, &self.splits(cut[0], cut[1]));
            let mut expected = vec![String::new(); self.job.buckets.get() as usize];
            for (_, word) in words.iter().filter(|(start, _)| (cut[0]..cut[1]).contains(start)) {
                let bucket = u32::from(word.chars().next().unwrap()) % self.job.buckets.get();
                expected[bucket as usize] += &format!("{word}\n");
                *counts.entry((bucket, word.clone())).or_insert(0) += 1;
            }
            for (bucket, expected) in (0..).zip(expected) {
                assert_eq!(self.intermediate(task, bucket), expected, "mr-{task}-{bucket}");
            }
            maps.push(buckets);
        }
        let maps: Vec<&[Bucket]> = maps.iter().map(Vec::as_slice).collect();
        for bucket in 0..self.job.buckets.get() {
            let counts = counts.range((bucket, String::new())..(bucket + 1, String::new()));
            let expected: String =
                counts.map(|((_, word), count)| format!("{word} {count}\n")).collect();
            assert_eq!(self.reduce(bucket, &maps), expected, "out-{bucket}");
        }
    }
}

/// Every run of letters, and where it begins.
fn naive_words(text: &[u8]) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut offset = 0;
    for chunk in text.utf8_chunks() {
        // An invalid byte ends a word, so none crosses from one chunk to the next.
        let mut word: Option<(usize, String)> = None;
        for (index, character) in chunk.valid().char_indices() {
            if character.is_alphabetic() {
                word.get_or_insert((offset + index, String::new())).1.push(character);
            } else {
                words.extend(word.take());
            }
        }
        words.extend(word);
        offset += chunk.valid().len() + chunk.invalid().len();
    }
    words
}

fn progress() -> Arc<Progress> {
    Progress::new(Attempt { phase: Phase::Map, task: 0, number: 0 })
}
