//! Reduce attempts with any memory, on a real folder, compared with a map.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use rpc::message::{Attempt, Phase};
use store::{Local, Staging, Store};

use super::*;
use crate::budget::FLOOR_BYTES;
use crate::job::Job;
use crate::progress::Progress;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Without memory every few bytes become a run, and two are merged at once; with a little more
    /// the table grows, and long words are rare.
    #[test]
    fn output_is_the_same_whatever_the_memory(
        intermediates in prop::collection::vec(prop::collection::vec(words(), 0..60), 1..4),
        many in 0..3000_u32,
        memory in prop::sample::select(vec![0, 60 << 10, 100 << 10, 300 << 10, 64 << 20]),
    ) {
        // A run for each would take long.
        let many = if memory == 0 { many % 64 } else { many };
        let number = |number: u32| number.wrapping_mul(0x9E37_79B9) % 10_000_000;
        let numbers = (0..many).map(|at| number(at).to_string().into());
        let mut intermediates = intermediates;
        intermediates[0].extend(numbers);
        let bench = Bench::new(FLOOR_BYTES + memory);

        let total = bench.reduce(&intermediates).unwrap();

        let mut expected = BTreeMap::<&[u8], u64>::new();
        for word in intermediates.iter().flatten() {
            *expected.entry(word).or_default() += 1;
        }
        prop_assert_eq!(bench.output(), lines(&expected));
        prop_assert_eq!(total, (expected.values().sum(), expected.len() as u64));
        prop_assert!(bench.has_nothing_but_the_output());
    }
}

/// Few letters, so that words are often equal, or share long prefixes; some exceed the limit.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop::sample::select(b"aab\0\xFF ".as_slice());
    let lengths = prop::sample::select(vec![1, 2, 3, 7, 8, 9, 10, 12, 20, 800, 937, 938, 950]);
    lengths.prop_flat_map(move |length| prop::collection::vec(letters.clone(), length))
}

#[test]
fn long_words_are_sorted_among_the_others() {
    let bench = Bench::new(FLOOR_BYTES);
    let limit = Budget::new(FLOOR_BYTES).word_bytes();
    let long = b"x".repeat(3 * BLOCK_BYTES);
    let ended = |end: &[u8]| [&long, end].concat();
    let mut expected = BTreeMap::<&[u8], u64>::new();
    let words = [
        // Around the limit; equal to the beginning of long words; before and behind all of them.
        b"x".repeat(limit - 1),
        b"x".repeat(limit),
        b"x".repeat(limit + 1),
        b"xxxy".to_vec(),
        b"w".to_vec(),
        b"y".to_vec(),
        // They differ in the last byte, far behind the first block.
        ended(b"a"),
        ended(b""),
        ended(b"b"),
        ended(b"a"),
    ];
    for word in &words {
        *expected.entry(word).or_default() += 1;
    }

    let total = bench.reduce(&[words[..8].to_vec(), words[8..].to_vec()]).unwrap();

    assert_eq!(total, (10, 9));
    assert!(bench.output() == lines(&expected), "long words are not where they belong");
    assert!(bench.has_nothing_but_the_output());
}

#[test]
fn long_word_without_an_end_is_corrupt() {
    let bench = Bench::new(FLOOR_BYTES);
    let interrupted = bench.reduce_text(&[b"one\nabcdefghijklmnopqrstuvwxyz"]).unwrap_err();
    assert!(
        matches!(interrupted, Interrupted::Failed(Failure::IntermediateCorrupt { map: 0, .. })),
        "{interrupted:?}"
    );
}

#[test]
fn too_many_long_words_are_a_failure_of_their_own() {
    let bench = Bench::new(FLOOR_BYTES);
    let words: Vec<Vec<u8>> = (0..1025_u32).map(|n| format!("giant-{n:05}").into()).collect();

    assert_eq!(bench.reduce(&[words[1..].to_vec()]).unwrap(), (1024, 1024));
    let bench = Bench::new(FLOOR_BYTES);
    let interrupted = bench.reduce(&[words]).unwrap_err();

    let Interrupted::Failed(failure) = interrupted else { panic!("{interrupted:?}") };
    assert_eq!(
        failure.to_string(),
        "more than 1024 words are longer than 8 bytes; the worker needs more memory"
    );
}

/// Each byte of a run, lengths and counts included.
#[test]
fn flipped_byte_in_a_run_is_noticed() {
    for at in 0.. {
        let bench = Bench::new(FLOOR_BYTES);
        let progress = progress();
        let mut counter = bench.counter(&progress);
        counter.feed(b"one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\na-giant\n").unwrap();
        assert!(counter.end_object());
        // Of a run, a merged run, or the long word.
        let mut behind = at;
        let Some((path, mut bytes)) = bench.staged().iter().find_map(|run| {
            let path = bench.staging_path().join(run);
            let bytes = fs::read(&path).unwrap();
            let is_in = behind < bytes.len();
            behind -= if is_in { 0 } else { bytes.len() };
            is_in.then_some((path, bytes))
        }) else {
            assert!(at > 30, "only {at} bytes in runs");
            return;
        };
        let flip = 1 << (at % 8);
        bytes[behind] ^= flip;
        fs::write(&path, bytes).unwrap();

        let mut file = bench.create_output();
        match counter.write(&mut *file).map(|total| total.words) {
            Err(Interrupted::Failed(Failure::StagingDamaged { detail, .. })) => {
                assert!(detail.contains("is corrupt"), "{detail}");
            }
            other => panic!("byte {behind} of {} ^ {flip:#x}: {other:?}", path.display()),
        }
    }
}

#[test]
fn missing_run_is_a_failure_that_names_it() {
    let bench = Bench::new(FLOOR_BYTES);
    let progress = progress();
    let mut counter = bench.counter(&progress);
    counter.feed(b"one\ntwo\nthree\nfour\nfive\n").unwrap();
    let run = bench.staged().remove(0);
    fs::remove_file(bench.staging_path().join(&run)).unwrap();

    let mut file = bench.create_output();
    let interrupted = counter.write(&mut *file).map(|total| total.words).unwrap_err();

    assert!(
        format!("{interrupted:?}").contains(&format!("r0.a0/{run} is not staged")),
        "{interrupted:?}"
    );
}

#[test]
fn abandoned_attempt_stops_writing_runs() {
    let bench = Bench::new(FLOOR_BYTES);
    let progress = progress();
    let mut counter = bench.counter(&progress);
    counter.feed(b"one\ntwo\nthree\nfour\nfive\n").unwrap();
    let runs = bench.staged();
    progress.abandon();

    assert_eq!(counter.feed(b"one\ntwo\nthree\nfour\nfive\n"), Err(Interrupted::Abandoned));

    assert!(bench.staged().len() <= runs.len() + 1, "{:?}", bench.staged());
}

/// Two are merged at once, so there must never be more than a few.
#[test]
fn runs_stay_few_and_each_is_progress() {
    let bench = Bench::new(FLOOR_BYTES);
    let progress = progress();
    let mut counter = bench.counter(&progress);
    let mut most = 0;
    for number in 0..500_u32 {
        let before = progress.running().progress;
        counter
            .feed(format!("{:07}\n", number.wrapping_mul(7_654_321) % 10_000_000).as_bytes())
            .unwrap();
        assert!(number == 0 || progress.running().progress > before, "no progress at {number}");
        most = most.max(bench.staged().len());
    }
    assert!((5..=10).contains(&most), "{most} runs of 500 words");
    let mut file = bench.create_output();
    assert_eq!(counter.write(&mut *file).unwrap().words, 500);
}

/// One reduce attempt, and its folder.
struct Bench {
    folder: tempfile::TempDir,
    job: Job,
    staging: Staging,
}

impl Bench {
    fn new(memory_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::create(folder.path()).unwrap();
        let staging = layout::staging("job", layout::Phase::Reduce, 0, 0);
        store.stage(&staging).unwrap();
        let job = Job {
            session: rpc::message::Session("job".to_owned()),
            store: Arc::new(store),
            rules: words::Rules::default(),
            buckets: NonZeroU32::MIN,
            roots: store::Roots::new(&[]),
            throttle: None,
            memory_bytes,
            skip_bad_records: false,
        };
        Self { folder, job, staging }
    }

    /// Words and distinct words.
    fn reduce(&self, intermediates: &[Vec<Vec<u8>>]) -> Result<(u64, u64), Interrupted> {
        let line = |word: &Vec<u8>| [word.as_slice(), b"\n"].concat();
        let texts = intermediates.iter().map(|words| words.iter().flat_map(line).collect());
        let texts: Vec<Vec<u8>> = texts.collect();
        self.reduce_text(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn reduce_text(&self, texts: &[&[u8]]) -> Result<(u64, u64), Interrupted> {
        let mut digests = Vec::new();
        for (map, text) in (0..).zip(texts) {
            let name = layout::intermediate(map, 0);
            fs::write(self.folder.path().join(name.as_str()), text).unwrap();
            digests.push(digest::to_wire(store::Digest::of(text)));
        }
        let (job, staging, progress) = (&self.job, &self.staging, &*progress());
        match execute(AttemptContext { job, task: 0, staging, progress }, &digests)? {
            Outcome::Reduced { words, distinct_words, .. } => Ok((words, distinct_words)),
            other @ (Outcome::Failed(_) | Outcome::Mapped { .. }) => panic!("{other:?}"),
        }
    }

    fn counter<'attempt>(
        &'attempt self,
        progress: &'attempt Progress,
    ) -> SpillingCounter<'attempt> {
        let scratch = Scratch::new(&*self.job.store, &self.staging, progress);
        SpillingCounter::new(Budget::new(self.job.memory_bytes), scratch)
    }

    fn create_output(&self) -> Box<dyn store::StagedObject> {
        self.job.store.create(&self.staging, &layout::output(0), Durability::Durable).unwrap()
    }

    fn staging_path(&self) -> PathBuf {
        self.folder.path().join(self.staging.as_str())
    }

    fn output(&self) -> Vec<u8> {
        fs::read(self.staging_path().join(layout::output(0).file())).unwrap()
    }

    fn has_nothing_but_the_output(&self) -> bool {
        self.staged() == [layout::output(0).file()]
    }

    fn staged(&self) -> Vec<String> {
        let files = fs::read_dir(self.staging_path()).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn lines(counts: &BTreeMap<&[u8], u64>) -> Vec<u8> {
    let line = |(word, count): (&&[u8], &u64)| [word, format!(" {count}\n").as_bytes()].concat();
    counts.iter().flat_map(line).collect()
}

fn progress() -> Arc<Progress> {
    Progress::new(Attempt { phase: Phase::Reduce, task: 0, number: 0 })
}
