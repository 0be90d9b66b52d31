//! Hostile workers among honest ones: what they send is refused with its reason, and changes
//! nothing.
//!
//! They speak through `util/raw.rs`, which sends what our own client never would.

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

/// A job that waits for an idle worker for as long as this test may take.
fn job() -> TestJob {
    TestJob::new()
        .input(SENTENCE.repeat(SENTENCES))
        .map_tasks(MAP_TASKS)
        .reduce_tasks(REDUCE_TASKS)
        .flags(["--no-backup", "--worker-timeout", "60", "--task-timeout", "60"])
}

const SENTENCE: &str = "what they say is refused and changes nothing at all ";
const SENTENCES: usize = 1200;

/// An honest worker has its share of the input in 1.3 seconds.
const SLOW: [&str; 2] = ["--throttle", "6K"];

/// Sends an escape sequence to the terminal, ends the line, and begins another.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\rx\nmapmill: forged";

#[test]
fn protocol_violations_among_honest_workers_change_nothing() {
    let mut cluster = job().drive();
    for _ in 0..HONEST {
        cluster.worker(&SLOW);
    }
    let live: Vec<_> = (0..HONEST).map(|worker| cluster.running(Phase::Map, worker)).collect();
    let raw = Raw::connect(cluster.address());

    names_attempts_of_others(&raw, &live);
    misreports_its_own_attempts(&raw);
    fails_without_violations(&raw);
    // While it holds its task, the job is not over.
    let idler = HostileWorker::register(&raw, 9);
    idler.task();
    calls_with_unknown_ids(&raw, &live);
    sends_too_much(&raw);
    registers_ten_thousand_workers(&raw);
    idler.leave().expect("any worker may leave");
    cluster.maps_committed(MAP_TASKS as usize);
    stages_another_checksum(&raw);

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

/// Failures, progress and results of attempts that other workers hold, or no worker.
fn names_attempts_of_others(raw: &Raw, live: &[Attempt]) {
    let hostile = HostileWorker::register(raw, 1);
    let fatal = bytes(6, bytes(1, bytes(1, format!("../../etc/passwd{EVIL}"))));
    let unknown = Attempt { phase: Phase::Reduce, task: u32::MAX, number: u32::MAX };
    let why = "was never assigned to this worker";
    assert_denied(&hostile.report(live[0], &fatal), why);
    assert_denied(&hostile.beat(Some(live[1])), why);
    assert_denied(&hostile.report(unknown, &mapped(&[(4, 0, 2); REDUCE_TASKS as usize])), why);

    assert_excluded(&hostile);
    // It can come back as another worker, but not as the same.
    let again = raw.call("Register", registration(1, "hostile"));
    assert_denied(&again, "excluded from this job");
}

/// Ids that no worker has, and the numbers by which messages call the others.
fn calls_with_unknown_ids(raw: &Raw, live: &[Attempt]) {
    let hostile = HostileWorker::register(raw, 2);
    let mut id = hostile.id;
    for index in 0..1000 {
        id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let guess = HostileWorker { id: if index < 4 { index } else { id }, ..hostile.clone() };
        let read = |answer: Answer| answer.expect("an unknown worker is told to register");
        match index % 4 {
            0 => assert_eq!(read(guess.beat(Some(live[0]))).number(1), ORDER_REGISTER),
            1 => assert!(read(guess.next_task()).part(4).is_some(), "register again"),
            2 => assert_eq!(read(guess.leave()), Message::default()),
            _ => {
                let failed = bytes(6, bytes(6, []));
                assert_eq!(read(guess.report(live[1], &failed)).number(1), VERDICT_STALE);
            }
        }
    }
}

/// More than a message may hold, and more than a job can have.
fn sends_too_much(raw: &Raw) {
    let hostile = HostileWorker::register(raw, 3);
    let list = |entries| bytes(4, bytes(1, vec![0; entries]));
    let attempt = Attempt { phase: Phase::Map, task: 0, number: 0 };
    for (entries, code) in [
        (10_000_000, Code::OutOfRange),
        (100 << 20, Code::OutOfRange),
        (1_000_000, Code::InvalidArgument),
        (10_001, Code::InvalidArgument),
    ] {
        let (found, sentence) =
            hostile.report(attempt, &list(entries)).expect_err("it is too large");
        assert_eq!(found, code, "{entries} entries: {sentence}");
    }
    let many: Vec<Vec<u8>> =
        (0..20).map(|_| hostile.report_of(attempt, &list(1_000_000))).collect();
    for answer in raw.call_all("Report", many) {
        assert_eq!(answer.expect_err("it is too large").0, Code::InvalidArgument);
    }

    let register = registration(4, "hostile");
    for (what, more) in [
        ("half a million roots", bytes(5, []).repeat(500_000)),
        ("a long root", bytes(5, vec![b'/'; 5000])),
    ] {
        let refusal = raw.call("Register", [register.clone(), more].concat()).expect_err(what);
        assert_eq!(refusal.0, Code::InvalidArgument, "{what}");
    }
    // A long name is cut; a root is never opened by the driver.
    let name = format!("{EVIL}{}", "x".repeat(500_000));
    let named = [registration(5, &name), bytes(2, EVIL), bytes(5, "/../..")].concat();
    let answer = raw.call("Register", named).expect("any name is accepted");
    assert!(answer.part(3).is_some(), "the job's folders are outside of its root");
}

/// Reports of attempts that were assigned to it: wrong lists and lengths, links.
fn misreports_its_own_attempts(raw: &Raw) {
    let hostile = HostileWorker::register(raw, 6);
    let whole = [(4, 0xDEAD_BEEF, 2); REDUCE_TASKS as usize];

    let (attempt, _) = hostile.task();
    assert_stale(&hostile.report(attempt, &mapped(&whole[1..])), "too few buckets");
    assert_stale(&hostile.report(attempt, &mapped(&whole[1..])), "the same once more");

    let (attempt, staging) = hostile.task();
    stage(&staging, attempt, |bucket, path| {
        fs::write(path, if bucket == 3 { "a\nb\nc\n" } else { "a\nb\n" })
    });
    assert_stale(&hostile.report(attempt, &mapped(&whole)), "a file that is too long");

    let (attempt, staging) = hostile.task();
    let target = repository().join("Cargo.toml");
    stage(&staging, attempt, |_, path| symlink(&target, path));
    assert_stale(&hostile.report(attempt, &mapped(&whole)), "links in place of files");

    assert_excluded(&hostile);
}

/// Fewer than three violations: folders in place of files; then failures, which are none: other
/// files than those of its task, an error with a long text.
fn fails_without_violations(raw: &Raw) {
    let hostile = HostileWorker::register(raw, 7);
    let whole = [(4, 0xDEAD_BEEF, 2); REDUCE_TASKS as usize];

    let (attempt, staging) = hostile.task();
    stage(&staging, attempt, |_, path| fs::create_dir(path));
    assert_stale(&hostile.report(attempt, &mapped(&whole)), "folders in place of files");

    let (attempt, staging) = hostile.task();
    fs::create_dir_all(&staging).expect("the results folder can be written");
    for foreign in ["mr-999-0", "out-0", "..x", "journal.jsonl"] {
        fs::write(staging.join(foreign), EVIL).expect("our own folder can be written");
    }
    assert_stale(&hostile.report(attempt, &mapped(&whole)), "other files than its own");

    let (attempt, _) = hostile.task();
    let io = [bytes(1, EVIL), bytes(2, EVIL), number(3, 5), bytes(4, EVIL.repeat(20_000))].concat();
    let failed = hostile.report(attempt, &bytes(6, bytes(8, io)));
    assert_eq!(failed.expect("a failure is noted").number(1), VERDICT_ACCEPTED);
    hostile.leave().expect("any worker may leave");
}

fn registers_ten_thousand_workers(raw: &Raw) {
    let crowd = (0..10_000).map(|number| registration(1000 + number, &"n".repeat(255)));
    for answer in raw.call_all("Register", crowd.collect()) {
        assert!(answer.expect("a large fleet may register").part(1).is_some(), "registered");
    }
}

/// Another checksum may be the disk's fault: a failure, no violation.
fn stages_another_checksum(raw: &Raw) {
    let hostile = HostileWorker::register(raw, 8);
    let (attempt, staging) = hostile.task();
    assert_eq!(attempt.phase, Phase::Reduce);
    let words = words_in_bucket(attempt.task);
    stage(&staging, attempt, |_, path| fs::write(path, "odd 1\n"));
    let reduced = [bytes(1, [number(1, 6), fixed(2, 7)].concat()), number(2, words), number(3, 1)];
    assert_stale(&hostile.report(attempt, &bytes(5, reduced.concat())), "another checksum");
    hostile.leave().expect("any worker may leave");
}

/// How many words of the input the reduce task counts. A report with another number would fail the
/// job: which of the two phases was wrong is not known then.
fn words_in_bucket(bucket: u32) -> u64 {
    let words = SENTENCE.split_whitespace();
    let own = words.filter(|word| u32::from(word.as_bytes()[0]) % REDUCE_TASKS == bucket);
    (SENTENCES * own.count()) as u64
}

/// A map task left files of the reported length and another checksum. The reduce task that reads
/// them finds it.
#[test]
fn intermediates_with_another_checksum_are_made_again() {
    let mut cluster =
        TestJob::new().input("one two three ".repeat(500)).map_tasks(2).reduce_tasks(1).drive();
    let raw = Raw::connect(cluster.address());
    let hostile = HostileWorker::register(&raw, 1);
    let (attempt, staging) = hostile.task();
    stage(&staging, attempt, |_, path| fs::write(path, "odd\n"));
    let report = hostile.report(attempt, &bytes(4, mapped_bytes(&[(4, 1, 1)])));
    assert_eq!(report.expect("its length is right").number(1), VERDICT_ACCEPTED);
    hostile.leave().expect("any worker may leave");

    cluster.worker_called(1, &[]);
    assert_eq!(cluster.workers[0].code(), 0);
    let (ended, oracle) = cluster.end();
    let ended = ended.check_against(&oracle);
    assert!(ended.log.contains(&format!("lost w1 r0.a0 m{}", attempt.task)), "{}", ended.log);
}

/// It would count the bytes of the file as text.
#[test]
fn worker_that_does_not_say_that_it_reads_a_format_is_not_given_a_file_of_it() {
    let text = "one two three ".repeat(500);
    let encoded: Vec<u8> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut cluster = TestJob::new().input(encoded).map_tasks(1).reduce_tasks(1).drive();
    let raw = Raw::connect(cluster.address());
    let unable = HostileWorker::register(&raw, 1);

    let sentence =
        "1 map task waits for a worker that reads encodings; none of those connected does";
    cluster.driver.wait_until(sentence, |log| log.contains(sentence).then_some(()));
    let mut status = cluster.job.command("status");
    let status = status.args(["--json", "--driver", cluster.address()]).output();
    let status = status.expect("the program starts").stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).expect("--json prints JSON");
    let expected = serde_json::json!([{"abilities": ["encodings"], "tasks": 1}]);
    assert_eq!(status["stranded"], expected);
    unable.leave().expect("any worker may leave");

    cluster.worker_called(1, &[]);
    assert_eq!(cluster.workers[0].code(), 0);
    let (ended, _) = cluster.end();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let output = fs::read_to_string(ended.job.result("out/out-0")).expect("it is text");
    assert_eq!(output, "one 500\nthree 500\ntwo 500\n");
}

/// All texts and bytes that a caller can send, and what the driver does with each. It opens none of
/// them as a file.
#[test]
fn everything_that_could_be_a_path_is_known_and_never_opened() {
    let expected = BTreeMap::from([
        ("BadRecord.problem", "escaped and cut on arrival, shown"),
        ("ForeignStaging.path", "shown, with control characters escaped"),
        ("FormatUnknown.path", "the same"),
        ("InputDamaged.path", "the same"),
        ("InputChanged.path", "the same"),
        ("InputMissing.path", "the same"),
        ("Io.detail", "escaped and cut on arrival, shown"),
        ("Io.operation", "the same"),
        ("Io.path", "shown, with control characters escaped"),
        ("OutsideRoots.folder", "the same"),
        ("StagingDamaged.path", "the same"),
        ("Tampered.path", "the same"),
        ("Panicked.message", "escaped and cut on arrival, shown"),
        ("StagingDamaged.detail", "the same"),
        ("Tampered.detail", "the same"),
        ("FormatUnknown.detail", "the same"),
        ("InputDamaged.detail", "the same"),
        ("RegisterRequest.abilities", "compared with those that the driver knows"),
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
    assert_eq!(found, expected, "describe here what the code does with it");
}

/// A worker that sends whatever a test wants.
#[derive(Clone)]
struct HostileWorker<'raw> {
    raw: &'raw Raw,
    session: String,
    id: u64,
    files: PathBuf,
}

impl<'raw> HostileWorker<'raw> {
    #[track_caller]
    fn register(raw: &'raw Raw, instance: u64) -> Self {
        let answer = raw.call("Register", registration(instance, "hostile"));
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
            || self.next_task().expect("it is not excluded").part(1),
            || "a task for the hostile worker".to_owned(),
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
    [number(1, 1), bytes(2, "hostile 1.0"), bytes(3, instance), bytes(4, name)].concat()
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

/// Whatever it calls.
#[track_caller]
fn assert_excluded(hostile: &HostileWorker<'_>) {
    let attempt = Attempt { phase: Phase::Map, task: 0, number: 0 };
    let failed = bytes(6, bytes(6, []));
    for answer in
        [hostile.next_task(), hostile.beat(None), hostile.report(attempt, &failed), hostile.leave()]
    {
        assert_denied(&answer, "excluded from this job");
    }
}

/// No attempt of an honest worker was lost.
#[track_caller]
fn check_unaffected(ended: &Ended) {
    assert_eq!(ended.attempts_lost(), 0);
    let honest = |line: &&str| (0..HONEST).any(|worker| line.ends_with(&format!(" on w{worker}")));
    let mut assigned = 0;
    for line in ended.log.lines().filter(|line| line.contains(": start ")).filter(honest) {
        let attempt = line.split(' ').rev().nth(2).expect("start m0.a0 on w0");
        assigned += 1;
        assert!(!ended.log.contains(&format!(": discard {attempt}\n")), "{attempt} was lost");
    }
    assert_eq!(assigned, MAP_TASKS + REDUCE_TASKS, "the honest workers do all the work");
}

/// Each cause is in the log, and nothing in it steers a terminal or begins a line of its own.
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
        "excluded w2 (hostile) after 3 protocol violations",
        "refused a call of anyone at 127.0.0.1:",
        "which is excluded",
        "refused a worker without this root",
    ] {
        assert!(ended.log.contains(cause), "no `{cause}` in:\n{}", ended.log);
    }
    assert_eq!(ended.log.matches("excluded w").count(), 2, "{}", ended.log);
    let steers = |text: char| text.is_control() && text != '\n';
    assert!(!ended.log.contains(steers), "{:?}", ended.log);
    assert!(!ended.log.lines().any(|line| line.starts_with("mapmill: forged")), "{}", ended.log);
}

/// The same for the story in the journal.
#[track_caller]
fn check_story(ended: &Ended) {
    for task in (0..MAP_TASKS).map(|task| format!("m{task}")) {
        let output = ended.job.command("why").arg(&task).output().expect("the program starts");
        let story = String::from_utf8(output.stdout).expect("it is text");
        assert!(!story.contains(|text: char| text.is_control() && text != '\n'), "{story:?}");
        assert!(!story.lines().any(|line| line.starts_with("mapmill: forged")), "{story}");
    }
}

/// Of the driver, which is running.
#[track_caller]
fn peak_bytes(cluster: &Cluster) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.driver.pid()));
    let status = status.expect("the driver runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse);
    kib.expect("Linux reports the peak").map(|kib: u64| kib << 10).expect("it is a number")
}

/// As the `.proto` numbers them.
const ORDER_REGISTER: u64 = 4;
const VERDICT_ACCEPTED: u64 = 1;
const VERDICT_STALE: u64 = 2;
