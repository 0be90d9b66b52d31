//! `mapmill why`: what happened, from the journal, in words.

use std::fs::{self, OpenOptions};
use std::io::Write;

use journal::{
    BucketMade, Death, Ending, FailureKind, FileLog, Findings, Format, Log, Opening, Outcome,
    Phase, Record, Span, Strikes, Users, WordRule,
};
use serde_json::{Value, json};

use super::scratch::{Scratch, into_closed_pipe};

/// A job of two map tasks and one reduce task to which much has happened, in three epochs.
fn eventful() -> Scratch {
    let failed = Ending::Failed {
        failure: FailureKind::DiskFull,
        path: Some("/data/files/x".to_owned()),
        users: None,
        sentence: "no space for /data/files/x: No space left on device".to_owned(),
    };
    let sentence = "intermediate of map task 0 is missing".to_owned();
    scratch_with(&[
        started(Phase::Map, 0, 0, "w0 (host:7)", 20),
        started(Phase::Map, 1, 0, "w1 (host:8)", 30),
        ended(Phase::Map, 0, 0, "w0 (host:7)", (20, 1370), Some(40_960), failed),
        started(Phase::Map, 0, 1, "w0 (host:7)", 1400),
        resume(2, 1_795_303_485),
        started(Phase::Map, 0, 0, "w0 (host:7)", 10),
        ended(
            Phase::Map,
            0,
            0,
            "w0 (host:7)",
            (10, 700),
            None,
            Ending::Died(Death::Signalled { signal: 9 }),
        ),
        started(Phase::Map, 0, 1, "w2 (host:9)", 700),
        map(0, 1, "w2 (host:9)", (700, 900)),
        map(1, 0, "w1 (host:8)", (15, 12_800)),
        started(Phase::Reduce, 0, 0, "w1 (host:8)", 12_900),
        ended(
            Phase::Reduce,
            0,
            0,
            "w1 (host:8)",
            (12_900, 13_000),
            Some(6),
            Ending::Starved { map: 0, sentence: sentence.clone() },
        ),
        Record::Recalled { map: 0, reduce: 0, attempt: 0, sentence },
        end(Outcome::Cancelled),
        resume(3, 1_795_303_600),
        map(0, 0, "w0 (host:7)", (5, 105)),
        reduce("w1 (host:8)", (110, 160)),
        end(Outcome::Done),
    ])
}

#[test]
fn overview_summarizes_what_happened() {
    let expected = "\
the job in files is done
  input    1 file, 195.3 KiB
  driver 1 2026-11-21 23:24:35 UTC, cut off; last record after 1.40 s
  driver 2 2026-11-21 23:24:45 UTC, interrupted after 13.0 s
  driver 3 2026-11-21 23:26:40 UTC, done in 0.16 s

map: 2 of 2 tasks committed, 7 attempts
  did not count
    2 cut off with the driver: m0.a1 (driver 1), m1.a0 (driver 1)
    1 disk full: m0.a0 (driver 1)
    1 recalled: m0.a1 (driver 2)
    1 worker died: m0.a0 (driver 2)
  more than one attempt: m0 (5), m1 (2)
  slowest: m1 12.8 s, m0 0.10 s

reduce: 1 of 1 task committed, 2 attempts
  did not count
    1 intermediate lost: r0.a0 (driver 2)
  more than one attempt: r0 (2)
  slowest: r0 0.05 s

for the attempts at a task: mapmill why files TASK
";
    let scratch = eventful();
    assert_eq!(scratch.run(&["why"]).silent(), expected);
    assert_eq!(scratch.run(&["why", "files"]).silent(), expected);
}

#[test]
fn attempts_at_a_task_are_shown_in_order() {
    let expected = "\
map task 0 of the job in files: bytes 0 to 100000 of /data/a.txt
driver 1, 2026-11-21 23:24:35 UTC
  m0.a0 on w0 (host:7): started at 0.02 s, took 1.35 s, read 40.0 KiB
    no space for /data/files/x: No space left on device
  m0.a1 on w0 (host:7): started at 1.40 s
    cut off: its driver ended before it did
driver 2, 2026-11-21 23:24:45 UTC
  m0.a0 on w0 (host:7): started at 0.01 s, took 0.69 s
    the worker process died: killed by signal 9 (SIGKILL); probably out of memory (see --memory)
  m0.a1 on w2 (host:9): started at 0.70 s, took 0.20 s, read 97.7 KiB
    committed, and recalled when r0.a0 found: intermediate of map task 0 is missing
driver 3, 2026-11-21 23:26:40 UTC
  m0.a0 on w0 (host:7): started at 0.01 s, took 0.10 s, read 97.7 KiB
    committed: this is the one that counts
";
    let scratch = eventful();
    // As messages write it, and as people do.
    let ways: [&[&str]; 6] = [
        &["files", "m0"],
        &["m0"],
        &["map", "0"],
        &["map task 0"],
        &["files", "map", "task", "0"],
        &["files", "M0"],
    ];
    for way in ways {
        assert_eq!(scratch.run(&[&["why"], way].concat()).silent(), expected, "{way:?}");
    }
    let expected = "\
reduce task 0 of the job in files: bucket 0
driver 2, 2026-11-21 23:24:45 UTC
  r0.a0 on w1 (host:8): started at 12.9 s, took 0.10 s, read 6 B
    intermediate of map task 0 is missing; m0 runs again first
";
    let report = scratch.run(&["why", "files", "r0"]).silent();
    assert!(report.starts_with(expected), "{report}");
}

#[test]
fn one_attempt_can_be_asked_for() {
    let expected = "\
map task 0 of the job in files: bytes 0 to 100000 of /data/a.txt
driver 1, 2026-11-21 23:24:35 UTC
  m0.a1 on w0 (host:7): started at 1.40 s
    cut off: its driver ended before it did
driver 2, 2026-11-21 23:24:45 UTC
  m0.a1 on w2 (host:9): started at 0.70 s, took 0.20 s, read 97.7 KiB
    committed, and recalled when r0.a0 found: intermediate of map task 0 is missing
";
    let scratch = eventful();
    assert_eq!(scratch.run(&["why", "m0.a1"]).silent(), expected);
    assert_eq!(scratch.run(&["why", "files", "map task 0, attempt 1"]).silent(), expected);
}

#[test]
fn task_that_is_not_committed_says_why_not() {
    let scratch = scratch_with(&[]);
    let expected = "\
map task 1 of the job in files: bytes 100000 to 200000 of /data/a.txt
  not committed: the job was cut off
";
    assert_eq!(scratch.run(&["why", "m1"]).silent(), expected);
}

#[test]
fn programs_get_json() {
    let scratch = eventful();
    let overview = parse(&scratch.run(&["why", "--json"]).silent());
    assert_eq!(overview["state"], "done");
    assert_eq!(overview["lives"][0]["state"], "cut_off");
    assert_eq!(overview["lives"][1]["state"], "interrupted");
    assert_eq!(overview["map"]["committed"], 2);
    let cut_off = ["m0.a1 (driver 1)", "m1.a0 (driver 1)"];
    assert_eq!(overview["map"]["did_not_count"]["cut off with the driver"], json!(cut_off));

    let report = parse(&scratch.run(&["why", "files", "m0", "--json"]).silent());
    assert_eq!(report["splits"], json!([["/data/a.txt", 0, 100_000]]));
    assert_eq!(report["committed"], true);
    let first = json!({
        "attempt": "m0.a0", "life": 1, "worker": "w0 (host:7)", "started": 0.02, "seconds": 1.35,
        "bytes": 40_960, "counts": false, "cause": "disk full",
        "ending": {
            "outcome": "failed", "failure": "disk_full", "path": "/data/files/x",
            "sentence": "no space for /data/files/x: No space left on device",
        },
        "sentence": "no space for /data/files/x: No space left on device",
    });
    assert_eq!(report["attempts"][0], first);
    assert_eq!(report["attempts"][2]["ending"], json!({ "outcome": "died", "signal": 9 }));
    assert_eq!(report["attempts"][4]["counts"], true);
}

#[test]
fn unknown_task_or_attempt_is_refused_with_the_way_out() {
    let scratch = eventful();
    for (args, sentence) in [
        (&["nowhere"][..], "nowhere holds no journal of a job; name the folder given to --files"),
        (&["in"], "in holds no journal of a job; name the folder given to --files"),
        (&["files", "m2"], "there is no m2: the map tasks of this job are m0 to m1"),
        (&["files", "r1"], "there is no r1: the reduce tasks of this job are r0 to r0"),
        (&["files", "m0.a2"], "there is no m0.a2: m0 has had 5 attempts"),
        (&["files", "three"], "`three` names no task; write m0, r0, or m0.a1 for one attempt"),
    ] {
        scratch.refuses(scratch.command(&[&["why"], args].concat()), sentence);
    }
    let journal = scratch.path("files/.mapmill/journal.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[20] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let sentence = "cannot read the history of the job: files/.mapmill/journal.jsonl is damaged in line 1; \
                    move the folder away, or start the job over with --fresh";
    scratch.refuses(scratch.command(&["why"]), sentence);
}

#[test]
fn workers_that_were_set_aside_are_named_with_the_reason_and_the_way_out() {
    let sentence = "cannot open files: Permission denied (os error 13); \
                    the worker runs as uid 65534, the results belong to uid 0";
    let denied = Ending::Failed {
        failure: FailureKind::Io,
        path: None,
        users: Some(Users { worker: 65_534, owner: 0 }),
        sentence: sentence.to_owned(),
    };
    let lost = Ending::Lost { silent_ms: 11_000 };
    let end = |attempt, worker: &str, ending, set_aside| Record::Ended {
        phase: Phase::Map,
        task: 0,
        attempt,
        worker: worker.to_owned(),
        span: span((0, 10)),
        bytes: None,
        ending,
        set_aside,
    };
    let scratch = scratch_with(&[
        end(0, "w1 (host:8)", denied.clone(), None),
        end(1, "w1 (host:8)", denied.clone(), Some(Strikes { failed: 3, lost: 0 })),
        // It was given a last task when it was alone.
        end(2, "w1 (host:8)", denied, Some(Strikes { failed: 4, lost: 0 })),
        end(3, "w2 (host:9)", lost, Some(Strikes { failed: 1, lost: 2 })),
    ]);

    let overview = scratch.run(&["why"]).silent();
    let expected = "
workers set aside: no more tasks while others could do them
  w1 (host:8): 4 failed, 0 lost
    cannot open files: Permission denied (os error 13); the worker runs as uid 65534, the results \
                    belong to uid 0; run all workers as uid 0, or the driver as uid 65534 with another --files
  w2 (host:9): 1 failed, 2 lost
    lost: the worker was silent for 11.0 s
";
    assert!(overview.contains(expected), "{overview}");
    assert!(overview.contains("    3 not permitted: m0.a0, m0.a1, m0.a2\n"), "{overview}");
    let report = parse(&scratch.run(&["why", "--json"]).silent());
    let first = json!({
        "life": 1, "worker": "w1 (host:8)", "failed": 4, "lost": 0, "last": sentence,
    });
    assert_eq!(report["set_aside"][0], first);
    let attempt = scratch.run(&["why", "m0.a1"]).silent();
    assert!(attempt.contains("uid 0; run all workers as uid 0, or"), "{attempt}");
}

/// A reader may see any part of the line that a driver is writing.
#[test]
fn line_that_is_being_written_is_left_out() {
    let scratch = scratch_with(&[]);
    let journal = scratch.path("files/.mapmill/journal.jsonl");
    let before = scratch.run(&["why"]).silent();
    for piece in [r#"{"crc32":"#, r#""00000000","record":{"kind":"sta"#] {
        let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
        file.write_all(piece.as_bytes()).unwrap();
        assert_eq!(scratch.run(&["why"]).silent(), before);
    }
}

#[test]
fn names_of_workers_do_not_steer_the_terminal() {
    let scratch = scratch_with(&[started(Phase::Map, 0, 0, "w0 (\u{1b}[2J\n)", 20)]);
    let report = scratch.run(&["why", "m0"]).silent();
    assert!(report.contains("m0.a0 on w0 (\\u{1b}[2J\\n): started"), "{report}");
    assert_eq!(into_closed_pipe(scratch.command(&["why", "m0"])), Some(0));
}

/// The folder `files`, with a journal that continues with `records`.
fn scratch_with(records: &[Record]) -> Scratch {
    let scratch = Scratch::new();
    scratch.create("files/.mapmill");
    let begin = Record::Begin {
        epoch: 1,
        job: "00ff".to_owned(),
        build: "mapmill 0.1.0".to_owned(),
        started_unix_seconds: 1_795_303_475,
        map_tasks: 2,
        reduce_tasks: 1,
        words: WordRule::Letters,
        ignore_case: false,
    };
    let path = "/data/a.txt".to_owned();
    let input = Record::Input {
        path,
        bytes: 200_000,
        modified_seconds: 0,
        modified_nanos: 0,
        format: Format::default(),
    };
    let records = [&[begin, input], records].concat();
    let mut log = FileLog::in_folder(&scratch.path("files"));
    log.open(Opening::Begin(&records)).expect("the test's own folder can be written");
    scratch
}

fn resume(epoch: u64, started_unix_seconds: u64) -> Record {
    Record::Resume { epoch, build: "mapmill 0.1.0".to_owned(), started_unix_seconds }
}

fn started(phase: Phase, task: u32, attempt: u32, worker: &str, at_ms: u64) -> Record {
    Record::Started { phase, task, attempt, worker: worker.to_owned(), at_ms }
}

fn span((started_ms, ended_ms): (u64, u64)) -> Span {
    Span { started_ms, ended_ms }
}

fn ended(
    phase: Phase,
    task: u32,
    attempt: u32,
    worker: &str,
    times: (u64, u64),
    bytes: Option<u64>,
    ending: Ending,
) -> Record {
    let (worker, span) = (worker.to_owned(), span(times));
    Record::Ended { phase, task, attempt, worker, span, bytes, ending, set_aside: None }
}

fn map(task: u32, attempt: u32, worker: &str, times: (u64, u64)) -> Record {
    let (worker, span) = (worker.to_owned(), Some(span(times)));
    let buckets = vec![BucketMade::from((6, 7, 2))];
    Record::Map { task, attempt, worker, span, buckets, findings: Findings::default() }
}

fn reduce(worker: &str, times: (u64, u64)) -> Record {
    let (worker, span) = (worker.to_owned(), Some(span(times)));
    let (bytes, crc32, words, distinct_words) = (4, 7, 4, 1);
    Record::Reduce { task: 0, attempt: 0, worker, span, bytes, crc32, words, distinct_words }
}

fn end(outcome: Outcome) -> Record {
    Record::End { outcome }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).expect("one line of JSON")
}
