//! Workers that lie, among workers that do not: what they say is refused for what is wrong with it,
//! and changes nothing.
//!
//! The liars speak through `util/raw.rs`, which says what our own client never would.

mod util;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tonic::Code;

use util::cluster::{Attempt, Cluster, Phase};
use util::job::{Ended, TestJob, repository};
use util::process::poll;
use util::raw::{Answer, Message, Raw, bytes, fixed, fixed_list, number, numbers};

const MAP_TASKS: u32 = 8;
const REDUCE_TASKS: u32 = 6;
const HONEST: usize = 2;

/// A job that waits for a worker that does nothing, as long as this test may take.
fn job() -> TestJob {
    TestJob::new()
        .input(SENTENCE.repeat(SENTENCES))
        .map_tasks(MAP_TASKS)
        .reduce_tasks(REDUCE_TASKS)
        .flags(["--no-backup", "--worker-timeout", "60", "--task-timeout", "60"])
}

const SENTENCE: &str = "what they say is refused and changes nothing at all ";
const SENTENCES: usize = 1200;

/// The honest have a share of the input in 1.3 seconds.
const SLOW: [&str; 2] = ["--throttle", "6K"];

/// What escapes to the terminal, ends the line, and begins another.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\rx\nmapmill: forged";

#[test]
fn liars_among_honest_workers_change_nothing() {
    let mut cluster = job().drive();
    for _ in 0..HONEST {
        cluster.worker(&SLOW);
    }
    let living: Vec<_> = (0..HONEST).map(|worker| cluster.running(Phase::Map, worker)).collect();
    let raw = Raw::connect(cluster.address());

    speaks_for_others(&raw, &living);
    lies_about_its_own(&raw);
    fails_and_leaves(&raw);
    // As long as it has that, the job is not over.
    let idler = Liar::register(&raw, 9);
    idler.task();
    calls_with_any_id(&raw, &living);
    says_too_much(&raw);
    comes_ten_thousand_times(&raw);
    idler.leave().expect("who goes may go");
    cluster.maps_committed(MAP_TASKS as usize);
    reduces_to_something_else(&raw);

    let peak = peak_bytes(&cluster);
    for worker in 0..HONEST {
        assert_eq!(cluster.workers[worker].code(), 0, "w{worker}");
    }
    let (ended, oracle) = cluster.end();
    let ended = ended.check_against(&oracle);
    assert!(peak < 200 << 20, "the driver took {peak} bytes");
    check_unaffected(&ended);
    check_log(&ended);
    check_story(&ended);
}

/// Failures, progress and results of attempts that others hold, or nobody.
fn speaks_for_others(raw: &Raw, living: &[Attempt]) {
    let liar = Liar::register(raw, 1);
    let fatal = bytes(6, bytes(1, bytes(1, format!("../../etc/passwd{EVIL}"))));
    let nobodys = Attempt { phase: Phase::Reduce, task: u32::MAX, number: u32::MAX };
    let why = "was never assigned to this worker";
    assert_denied(&liar.report(living[0], &fatal), why);
    assert_denied(&liar.beat(Some(living[1])), why);
    assert_denied(&liar.report(nobodys, &mapped(&[(4, 0, 2); REDUCE_TASKS as usize])), why);

    assert_shut_out(&liar);
    // Nobody is kept from coming as another; but not as the same.
    let again = raw.call("Register", registration(1, "liar"));
    assert_denied(&again, "shut out of this job");
}

/// Ids that nobody has, and the numbers that messages have for the others.
fn calls_with_any_id(raw: &Raw, living: &[Attempt]) {
    let liar = Liar::register(raw, 2);
    let mut id = liar.id;
    for index in 0..1000 {
        id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let guess = Liar { id: if index < 4 { index } else { id }, ..liar.clone() };
        let read = |answer: Answer| answer.expect("who is not known is asked to register");
        match index % 4 {
            0 => assert_eq!(read(guess.beat(Some(living[0]))).number(1), ORDER_REGISTER),
            1 => assert!(read(guess.next_task()).part(4).is_some(), "register again"),
            2 => assert_eq!(read(guess.leave()), Message::default()),
            _ => {
                let failed = bytes(6, bytes(6, []));
                assert_eq!(read(guess.report(living[1], &failed)).number(1), VERDICT_STALE);
            }
        }
    }
}

/// More than a message may hold, and more than a job can have.
fn says_too_much(raw: &Raw) {
    let liar = Liar::register(raw, 3);
    let list = |entries| bytes(4, bytes(1, vec![0; entries]));
    let attempt = Attempt { phase: Phase::Map, task: 0, number: 0 };
    for (entries, code) in [
        (10_000_000, Code::OutOfRange),
        (100 << 20, Code::OutOfRange),
        (1_000_000, Code::InvalidArgument),
        (10_001, Code::InvalidArgument),
    ] {
        let (found, sentence) = liar.report(attempt, &list(entries)).expect_err("it is too much");
        assert_eq!(found, code, "{entries} entries: {sentence}");
    }
    let many: Vec<Vec<u8>> = (0..20).map(|_| liar.report_of(attempt, &list(1_000_000))).collect();
    for answer in raw.call_all("Report", many) {
        assert_eq!(answer.expect_err("it is too much").0, Code::InvalidArgument);
    }

    let register = registration(4, "liar");
    for (what, more) in [
        ("half a million roots", bytes(5, []).repeat(500_000)),
        ("a long root", bytes(5, vec![b'/'; 5000])),
    ] {
        let refusal = raw.call("Register", [register.clone(), more].concat()).expect_err(what);
        assert_eq!(refusal.0, Code::InvalidArgument, "{what}");
    }
    // A name is cut, and a root is nothing that the driver opens.
    let name = format!("{EVIL}{}", "x".repeat(500_000));
    let named = [registration(5, &name), bytes(2, EVIL), bytes(5, "/../..")].concat();
    let answer = raw.call("Register", named).expect("a name is taken as it is");
    assert!(answer.part(3).is_some(), "the job's folders are outside of its root");
}

/// Reports about attempts that it was given: lists, lengths, links, folders.
fn lies_about_its_own(raw: &Raw) {
    let liar = Liar::register(raw, 6);
    let whole = [(4, 0xDEAD_BEEF, 2); REDUCE_TASKS as usize];

    let (attempt, _) = liar.task();
    assert_stale(&liar.report(attempt, &mapped(&whole[1..])), "too few buckets");
    assert_stale(&liar.report(attempt, &mapped(&whole[1..])), "the same once more");

    let (attempt, staging) = liar.task();
    stage(&staging, attempt, |bucket, path| {
        fs::write(path, if bucket == 3 { "a\nb\nc\n" } else { "a\nb\n" })
    });
    assert_stale(&liar.report(attempt, &mapped(&whole)), "a file that is too long");

    let (attempt, staging) = liar.task();
    let target = repository().join("Cargo.toml");
    stage(&staging, attempt, |_, path| symlink(&target, path));
    assert_stale(&liar.report(attempt, &mapped(&whole)), "links in place of files");

    assert_shut_out(&liar);
}

/// What is no lie, or not yet: a folder in place of a file, nothing staged, and other files than
/// those of its task.
fn fails_and_leaves(raw: &Raw) {
    let liar = Liar::register(raw, 7);
    let whole = [(4, 0xDEAD_BEEF, 2); REDUCE_TASKS as usize];

    let (attempt, staging) = liar.task();
    stage(&staging, attempt, |_, path| fs::create_dir(path));
    assert_stale(&liar.report(attempt, &mapped(&whole)), "folders in place of files");

    let (attempt, staging) = liar.task();
    fs::create_dir_all(&staging).expect("the results folder can be written");
    for foreign in ["mr-999-0", "out-0", "..x", "journal.jsonl"] {
        fs::write(staging.join(foreign), EVIL).expect("our own folder can be written");
    }
    assert_stale(&liar.report(attempt, &mapped(&whole)), "other files than its own");

    let (attempt, _) = liar.task();
    let io = [bytes(1, EVIL), bytes(2, EVIL), number(3, 5), bytes(4, EVIL.repeat(20_000))].concat();
    let failed = liar.report(attempt, &bytes(6, bytes(8, io)));
    assert_eq!(failed.expect("a failure is noted").number(1), VERDICT_ACCEPTED);
    liar.leave().expect("who goes may go");
}

fn comes_ten_thousand_times(raw: &Raw) {
    let crowd = (0..10_000).map(|number| registration(1000 + number, &"n".repeat(255)));
    for answer in raw.call_all("Register", crowd.collect()) {
        assert!(answer.expect("a large fleet may come").part(1).is_some(), "registered");
    }
}

/// Another checksum: that may be the disk, so it is a failure and no more.
fn reduces_to_something_else(raw: &Raw) {
    let liar = Liar::register(raw, 8);
    let (attempt, staging) = liar.task();
    assert_eq!(attempt.phase, Phase::Reduce);
    let words = words_in_bucket(attempt.task);
    stage(&staging, attempt, |_, path| fs::write(path, "lie 1\n"));
    let reduced = [bytes(1, [number(1, 6), fixed(2, 7)].concat()), number(2, words), number(3, 1)];
    assert_stale(&liar.report(attempt, &bytes(5, reduced.concat())), "another checksum");
    liar.leave().expect("who goes may go");
}

/// How many words of the input the reduce task counts. Whoever says another number ends the job: it
/// is not known then which of the two phases was wrong.
fn words_in_bucket(bucket: u32) -> u64 {
    let words = SENTENCE.split_whitespace();
    let own = words.filter(|word| u32::from(word.as_bytes()[0]) % REDUCE_TASKS == bucket);
    (SENTENCES * own.count()) as u64
}

/// What a map task made has the reported length and another checksum. Whoever reads it finds that.
#[test]
fn intermediates_with_another_checksum_are_made_again() {
    let mut cluster =
        TestJob::new().input("one two three ".repeat(500)).map_tasks(2).reduce_tasks(1).drive();
    let raw = Raw::connect(cluster.address());
    let liar = Liar::register(&raw, 1);
    let (attempt, staging) = liar.task();
    stage(&staging, attempt, |_, path| fs::write(path, "lie\n"));
    let report = liar.report(attempt, &bytes(4, mapped_bytes(&[(4, 1, 1)])));
    assert_eq!(report.expect("its length is right").number(1), VERDICT_ACCEPTED);
    liar.leave().expect("who goes may go");

    cluster.worker_called(1, &[]);
    assert_eq!(cluster.workers[0].code(), 0);
    let (ended, oracle) = cluster.end();
    let ended = ended.check_against(&oracle);
    assert!(ended.log.contains(&format!("lost w1 r0.a0 m{}", attempt.task)), "{}", ended.log);
}

/// All texts and bytes that a caller can send, and what becomes of each. There is no name of a file
/// among them that the driver would open.
#[test]
fn everything_that_could_be_a_path_is_known_and_never_opened() {
    let expected = BTreeMap::from([
        ("InputChanged.path", "shown, with control characters escaped"),
        ("InputMissing.path", "the same"),
        ("Io.detail", "escaped and cut on arrival, shown"),
        ("Io.operation", "the same"),
        ("Io.path", "shown, with control characters escaped"),
        ("OutsideRoots.folder", "the same"),
        ("Panicked.message", "escaped and cut on arrival, shown"),
        ("RegisterRequest.build", "the same"),
        ("RegisterRequest.instance", "compared with others"),
        ("RegisterRequest.name", "compared with the certificate, escaped and cut, shown"),
        ("RegisterRequest.roots", "compared with the job's folders"),
        ("HeartbeatRequest.session", "compared with the session"),
        ("LeaveRequest.session", "the same"),
        ("NextTaskRequest.session", "the same"),
        ("ReportRequest.session", "the same"),
    ]);
    let proto = repository().join("proto");
    let file = proto.join("mapmill/v1/mapmill.proto");
    let descriptors = protox::compile([file], [proto]).expect("the .proto compiles");
    let pool = prost_reflect::DescriptorPool::from_file_descriptor_set(descriptors)
        .expect("the .proto is whole");
    let service = pool.get_service_by_name("mapmill.v1.Driver").expect("the driver is a service");

    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut messages: Vec<_> = service.methods().map(|method| method.input()).collect();
    while let Some(message) = messages.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            let kind = field.kind();
            if let Some(part) = kind.as_message() {
                messages.push(part.clone());
            } else if matches!(kind, prost_reflect::Kind::String | prost_reflect::Kind::Bytes) {
                found.insert(format!("{}.{}", message.name(), field.name()));
            }
        }
    }
    let expected: BTreeSet<String> = expected.into_keys().map(ToOwned::to_owned).collect();
    assert_eq!(found, expected, "say here, and in the code, what becomes of it");
}

/// A worker that says what it likes.
#[derive(Clone)]
struct Liar<'raw> {
    raw: &'raw Raw,
    session: String,
    id: u64,
    files: PathBuf,
}

impl<'raw> Liar<'raw> {
    #[track_caller]
    fn register(raw: &'raw Raw, instance: u64) -> Self {
        let answer = raw.call("Register", registration(instance, "liar"));
        let answer = answer.expect("anyone may register here");
        let registered = answer.part(1).expect("anyone may register here");
        let (session, files) = (registered.text(1), registered.text(4).into());
        Self { raw, session, id: registered.number(2), files }
    }

    fn caller(&self) -> Vec<u8> {
        [bytes(1, &self.session), number(2, self.id)].concat()
    }

    fn next_task(&self) -> Answer {
        self.raw.call("NextTask", self.caller())
    }

    /// The next task, as soon as there is one, and its staging folder.
    #[track_caller]
    fn task(&self) -> (Attempt, PathBuf) {
        let task = poll(
            || self.next_task().expect("it is not shut out").part(1),
            || "a task for a liar".to_owned(),
        );
        let attempt = task.part(1).expect("a task is an attempt");
        let phase = if attempt.number(1) == 1 { Phase::Map } else { Phase::Reduce };
        let number = |field| u32::try_from(attempt.number(field)).expect("it is a uint32");
        let attempt = Attempt { phase, task: number(2), number: number(3) };
        (attempt, self.files.join(task.text(2)))
    }

    fn beat(&self, attempt: Option<Attempt>) -> Answer {
        let running = attempt.map(|attempt| bytes(3, [named(1, attempt), number(2, 9)].concat()));
        self.raw.call("Heartbeat", [self.caller(), running.unwrap_or_default()].concat())
    }

    fn report(&self, attempt: Attempt, outcome: &[u8]) -> Answer {
        self.raw.call("Report", self.report_of(attempt, outcome))
    }

    fn report_of(&self, attempt: Attempt, outcome: &[u8]) -> Vec<u8> {
        [self.caller(), named(3, attempt), outcome.to_vec()].concat()
    }

    fn leave(&self) -> Answer {
        self.raw.call("Leave", self.caller())
    }
}

fn registration(instance: u64, name: &str) -> Vec<u8> {
    let instance = u128::from(instance).to_le_bytes();
    [number(1, 1), bytes(2, "liar 1.0"), bytes(3, instance), bytes(4, name)].concat()
}

fn named(field: u64, attempt: Attempt) -> Vec<u8> {
    let phase = match attempt.phase {
        Phase::Map => 1,
        Phase::Reduce => 2,
    };
    let (task, count) = (number(2, attempt.task.into()), number(3, attempt.number.into()));
    bytes(field, [number(1, phase), task, count].concat())
}

/// A successful report: length, checksum and words of each bucket.
fn mapped(buckets: &[(u64, u32, u64)]) -> Vec<u8> {
    bytes(4, mapped_bytes(buckets))
}

fn mapped_bytes(buckets: &[(u64, u32, u64)]) -> Vec<u8> {
    let lengths: Vec<u64> = buckets.iter().map(|bucket| bucket.0).collect();
    let checksums: Vec<u32> = buckets.iter().map(|bucket| bucket.1).collect();
    let words: Vec<u64> = buckets.iter().map(|bucket| bucket.2).collect();
    [numbers(1, &lengths), fixed_list(2, &checksums), numbers(3, &words)].concat()
}

/// Makes the staging folder, and in it whatever `make` puts where the task's files should be.
#[track_caller]
fn stage(
    staging: &std::path::Path,
    attempt: Attempt,
    make: impl Fn(u32, PathBuf) -> std::io::Result<()>,
) {
    fs::create_dir_all(staging).expect("the results folder can be written");
    let task = attempt.task;
    let names: Vec<String> = match attempt.phase {
        Phase::Map => (0..REDUCE_TASKS).map(|bucket| format!("mr-{task}-{bucket}")).collect(),
        Phase::Reduce => vec![format!("out-{task}")],
    };
    for (bucket, name) in (0..).zip(names) {
        make(bucket, staging.join(name)).expect("our own folder can be written");
    }
}

#[track_caller]
fn assert_denied(answer: &Answer, why: &str) {
    let Err((code, sentence)) = answer else { panic!("{why}: {answer:?}") };
    assert_eq!(*code, Code::PermissionDenied, "{sentence}");
    assert!(sentence.contains(why), "{sentence}");
}

#[track_caller]
fn assert_stale(answer: &Answer, what: &str) {
    let verdict = answer.as_ref().map(|answer| answer.number(1));
    assert_eq!(verdict, Ok(VERDICT_STALE), "{what}");
}

/// Whatever it asks.
#[track_caller]
fn assert_shut_out(liar: &Liar<'_>) {
    let attempt = Attempt { phase: Phase::Map, task: 0, number: 0 };
    let failed = bytes(6, bytes(6, []));
    for answer in [liar.next_task(), liar.beat(None), liar.report(attempt, &failed), liar.leave()] {
        assert_denied(&answer, "shut out of this job");
    }
}

/// Nothing that an honest worker was given came to nothing.
#[track_caller]
fn check_unaffected(ended: &Ended) {
    assert_eq!(ended.attempts_lost(), 0);
    let honest = |line: &&str| (0..HONEST).any(|worker| line.ends_with(&format!(" on w{worker}")));
    let mut given = 0;
    for line in ended.log.lines().filter(|line| line.contains(": start ")).filter(honest) {
        let attempt = line.split(' ').rev().nth(2).expect("start m0.a0 on w0");
        given += 1;
        assert!(!ended.log.contains(&format!(": discard {attempt}\n")), "{attempt} was lost");
    }
    assert_eq!(given, MAP_TASKS + REDUCE_TASKS, "the honest do all the work");
}

/// Each cause is in the log, and nothing in it speaks to a terminal or begins a line of its own.
#[track_caller]
fn check_log(ended: &Ended) {
    for cause in [
        "(violation 1 of 3)",
        "(violation 3 of 3)",
        "m0.a0 was never assigned to this worker",
        "r4294967295.a4294967295 was never assigned to this worker",
        "malformed message: more buckets than a job has reduce tasks",
        "malformed message: more than 1000 roots",
        "malformed message: a path of more than 4096 bytes",
        "reported something else than its task asks for",
        "has 6 bytes, expected 4",
        "is not a regular file",
        "is not staged, or was discarded",
        "out-",
        "is corrupt: 6 bytes",
        "shut out w2 (liar) after 3 protocol violations",
        "refused a call of anyone at 127.0.0.1:",
        "which is shut out",
        "refused a worker without this root",
    ] {
        assert!(ended.log.contains(cause), "no `{cause}` in:\n{}", ended.log);
    }
    assert_eq!(ended.log.matches("shut out w").count(), 2, "{}", ended.log);
    let steers = |text: char| text.is_control() && text != '\n';
    assert!(!ended.log.contains(steers), "{:?}", ended.log);
    assert!(!ended.log.lines().any(|line| line.starts_with("mapmill: forged")), "{}", ended.log);
}

/// The same of the story that the journal keeps.
#[track_caller]
fn check_story(ended: &Ended) {
    for task in (0..MAP_TASKS).map(|task| format!("m{task}")) {
        let output = ended.job.command("why").arg(&task).output().expect("the program starts");
        let story = String::from_utf8(output.stdout).expect("it is text");
        assert!(!story.contains(|text: char| text.is_control() && text != '\n'), "{story:?}");
        assert!(!story.lines().any(|line| line.starts_with("mapmill: forged")), "{story}");
    }
}

/// Of the driver, which lives.
#[track_caller]
fn peak_bytes(cluster: &Cluster) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.driver.pid()));
    let status = status.expect("the driver runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse);
    kib.expect("Linux tells the peak").map(|kib: u64| kib << 10).expect("it is a number")
}

/// As the `.proto` numbers them.
const ORDER_REGISTER: u64 = 4;
const VERDICT_ACCEPTED: u64 = 1;
const VERDICT_STALE: u64 = 2;
