//! Journals of eventful jobs, and their histories.

use super::*;
use store::Digest;

use crate::ending::FailureKind;
use crate::findings::Findings;
use crate::format::Format;
use crate::record::{BucketMade, WordRule};

const FULL: &str = "no space for /data/a";

/// Of two map tasks over ten bytes, and one reduce task.
fn begin() -> [Record; 2] {
    let begin = Record::Begin {
        epoch: 3,
        job: "00ff".to_owned(),
        build: "mapmill 0.1.0".to_owned(),
        started_unix_seconds: 1000,
        map_tasks: 2,
        reduce_tasks: 1,
        words: WordRule::Letters,
        ignore_case: false,
    };
    let path = "/data/a".to_owned();
    [
        begin,
        Record::Input {
            path,
            bytes: 10,
            modified_seconds: 0,
            modified_nanos: 0,
            format: Format::default(),
        },
    ]
}

fn resume() -> Record {
    Record::Resume { epoch: 4, build: "mapmill 0.1.0".to_owned(), started_unix_seconds: 2000 }
}

fn started(phase: Phase, task: u32, attempt: u32, at_ms: u64) -> Record {
    Record::Started { phase, task, attempt, worker: "w0 (host:1)".to_owned(), at_ms }
}

fn ended(phase: Phase, task: u32, attempt: u32, ending: Ending) -> Record {
    let span = Span { started_ms: 1000, ended_ms: 3000 };
    let worker = "w0 (host:1)".to_owned();
    Record::Ended { phase, task, attempt, worker, span, bytes: Some(2), ending, set_aside: None }
}

fn map(task: u32, attempt: u32) -> Record {
    let (worker, span) = ("w0 (host:1)".to_owned(), Some(Span { started_ms: 3, ended_ms: 7 }));
    let digest = Digest { bytes: 6, crc32: 7 };
    let buckets = vec![BucketMade { digest, words: 2 }];
    Record::Map { task, attempt, worker, span, buckets, findings: Findings::default() }
}

fn reduce(span: Option<Span>) -> Record {
    let worker = "w0 (host:1)".to_owned();
    let (bytes, crc32, words, distinct_words) = (4, 7, 4, 1);
    Record::Reduce { task: 0, attempt: 0, worker, span, bytes, crc32, words, distinct_words }
}

fn end(outcome: Outcome) -> Record {
    Record::End { outcome }
}

#[track_caller]
fn tell(records: impl IntoIterator<Item = Record>, is_driven: bool) -> History {
    let records: Vec<Record> = begin().into_iter().chain(records).collect();
    History::of(&records, is_driven).expect("a job begins")
}

/// `epoch.number: fate` of every attempt.
fn fates(history: &History, task: TaskId) -> Vec<String> {
    let attempts = history.attempts(task).iter();
    attempts
        .map(|attempt| format!("{}.{}: {}", attempt.epoch, attempt.number, attempt.fate))
        .collect()
}

#[test]
fn attempts_are_told_in_order_with_what_became_of_them() {
    let failure = FailureKind::DiskFull;
    let failed = Ending::Failed { failure, path: None, users: None, sentence: FULL.to_owned() };
    let history = tell(
        [
            started(Phase::Map, 1, 0, 1000),
            ended(Phase::Map, 1, 0, failed),
            started(Phase::Map, 1, 1, 3000),
            map(1, 1),
        ],
        true,
    );

    assert_eq!(history.state, State::Running);
    let attempts = history.attempts(TaskId::map(1));
    assert_eq!(
        fates(&history, TaskId::map(1)),
        [&format!("1.0: {FULL}"), "1.1: committed: this is the one that counts"]
    );
    assert_eq!(attempts[0].took(), Some(Duration::from_secs(2)));
    assert_eq!(attempts[0].bytes, Some(2));
    assert_eq!(attempts[1].took(), Some(Duration::from_millis(4)));
    assert_eq!(attempts[1].bytes, Some(5), "its share");
    assert_eq!(history.work(TaskId::map(1)), "bytes 5 to 10 of /data/a");
    assert!(history.is_committed(TaskId::map(1)) && !history.is_committed(TaskId::map(0)));
}

#[test]
fn attempts_that_run_are_running_as_long_as_a_driver_is_there() {
    let records = [started(Phase::Map, 0, 0, 5)];
    assert_eq!(fates(&tell(records.clone(), true), TaskId::map(0)), ["1.0: still running"]);

    let history = tell(records, false);
    assert_eq!(history.state, State::CutOff);
    assert_eq!(fates(&history, TaskId::map(0)), ["1.0: cut off: its driver ended before it did"]);
}

#[test]
fn every_epoch_counts_its_attempts_anew() {
    let history = tell(
        [started(Phase::Map, 0, 0, 5), resume(), started(Phase::Map, 0, 0, 9), map(0, 0)],
        true,
    );

    let expected = [
        "1.0: cut off: its driver ended before it did",
        "2.0: committed: this is the one that counts",
    ];
    assert_eq!(fates(&history, TaskId::map(0)), expected);
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(history.epochs[1].began_unix_seconds, 2000);
    assert_eq!(history.epochs[0].lasted, Duration::from_millis(5));
}

#[test]
fn task_whose_output_is_lost_is_won_again() {
    let sentence = "it is missing".to_owned();
    let recalled = Record::Recalled { map: 0, reduce: 0, attempt: 2, sentence };
    let history = tell([map(0, 0), recalled.clone()], true);
    assert!(!history.is_committed(TaskId::map(0)));

    let history = tell([map(0, 0), recalled, map(0, 1), resume(), map(0, 0)], true);
    let expected = [
        "1.0: committed, and recalled when r0.a2 found: it is missing",
        "1.1: committed, but its files were gone when the job was resumed",
        "2.0: committed: this is the one that counts",
    ];
    assert_eq!(fates(&history, TaskId::map(0)), expected);
    assert!(history.is_committed(TaskId::map(0)));
}

/// Of a version that wrote commits and nothing else.
#[test]
fn journal_without_notes_is_told_as_far_as_it_goes() {
    let line = r#"{"kind":"map","task":0,"attempt":1,"worker":"w0 (host:1)",
                   "buckets":[[6,7,2]],"invalid_bytes":0}"#;
    let map: Record = serde_json::from_str(line).expect("a line of an older version");
    let history = tell([map, reduce(None), end(Outcome::Done)], false);

    assert_eq!(history.state, State::Done);
    assert_eq!(fates(&history, TaskId::map(0)), ["1.1: committed: this is the one that counts"]);
    assert_eq!(history.attempts(TaskId::map(0))[0].took(), None);
    assert_eq!(history.attempts(TaskId::reduce(0))[0].bytes, Some(6), "what m0 left");
}

/// A publication that was under way when the job ended may fail after it.
#[test]
fn note_behind_the_end_changes_no_outcome() {
    let rejected = Ending::Rejected { disk: None, sentence: "not published".to_owned() };
    let history = tell([end(Outcome::Failed), ended(Phase::Map, 0, 0, rejected)], false);

    assert_eq!(history.state, State::Failed);
    assert_eq!(fates(&history, TaskId::map(0)), ["1.0: not published"]);
}

#[test]
fn what_is_no_journal_of_a_job_has_no_history() {
    assert!(History::of(&[], true).is_none());
    assert!(History::of(&[end(Outcome::Done)], true).is_none());
    // Tasks that the job does not have.
    let history = tell([map(u32::MAX, 0), map(7, 0), reduce(None)], false);
    assert_eq!(history.attempts(TaskId::map(7))[0].bytes, Some(0));
}

#[test]
fn journal_of_version_0_1_0_has_its_history() {
    let lines = include_bytes!("../../tests/journal-0.1.0.jsonl");
    let records = crate::lines::parse(lines).unwrap().records;
    let history = History::of(&records, false).unwrap();

    assert_eq!(history.state, State::Done);
    let ended: Vec<_> = history.epochs.iter().map(|epoch| (epoch.number, epoch.ended)).collect();
    assert_eq!(ended, [(1, None), (2, Some(State::Done))]);
    let expected = [
        "1.0: stuck: heartbeats arrived, but the attempt made no progress for 2.00 s",
        "1.1: no room for /data/files/a: No space left on device (os error 28)",
        "1.2: the worker process died: killed by signal 9 (SIGKILL)",
        "1.3: not committed: cannot append to files/.mapmill/journal.jsonl: No space left on \
         device (os error 28)",
        "2.0: committed: this is the one that counts",
    ];
    assert_eq!(fates(&history, TaskId::map(1)), expected);
    assert_eq!(fates(&history, TaskId::reduce(0))[0], "1.1: no longer needed: the job ended first");
}
