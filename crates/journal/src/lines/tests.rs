//! Lines that are torn, damaged or lost, and records that are read as they were written.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::disk::DiskFault;
use crate::ending::{Death, Ending, FailureKind, Users};
use crate::findings::{BadRecord, Findings};
use crate::format::{Column, Format, Records};
use crate::record::{BucketMade, Outcome, Phase, Span, Strikes, WordRule, escape, unescape};
use crate::samples::{begin, map};

proptest! {
    #[test]
    fn any_records_are_read_again(records in prop::collection::vec(any_record(), 0..20)) {
        let lines = encode(&records);
        let end = lines.len() as u64;
        prop_assert_eq!(parse(&lines), Ok(Recorded { records, end }));
    }

    /// Nothing that happens to a file makes reading it panic, or a record that was not written.
    #[test]
    fn damage_never_makes_a_record(
        records in prop::collection::vec(any_record(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        let mut lines = encode(&records);
        for (index, byte) in damage {
            let index = index.index(lines.len());
            lines[index] = byte;
        }
        lines.truncate(cut.index(lines.len() + 1));
        if let Ok(Recorded { records: read, .. }) = parse(&lines) {
            prop_assert!(read.len() <= records.len());
            prop_assert_eq!(&read[..], &records[..read.len()]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_two_paths_look_the_same(one in path(), other in path()) {
        prop_assert_eq!(one == other, escape(&one) == escape(&other));
        prop_assert_eq!(unescape(&escape(&one)), one);
    }

    #[test]
    fn any_text_is_read_as_a_path(text: String) {
        unescape(&text);
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let bucket = any::<(u64, u32, u64)>().prop_map(BucketMade::from);
    let buckets = prop::collection::vec(bucket, 0..5);
    prop_oneof![
        any::<u64>().prop_map(begin),
        (any::<u32>(), any::<u32>(), any::<String>(), buckets, any_findings(), span()).prop_map(
            |(task, attempt, worker, buckets, findings, span)| Record::Map {
                task,
                attempt,
                worker,
                span: Some(span).filter(|span| span.ended_ms > 0),
                buckets,
                findings
            }
        ),
        (any::<String>(), any::<(u64, i64, u32)>(), any_format()).prop_map(
            |(path, numbers, format)| {
                let (bytes, modified_seconds, modified_nanos) = numbers;
                Record::Input { path, bytes, modified_seconds, modified_nanos, format }
            }
        ),
        (any::<String>(), any::<(u32, u32, u64, u32, u64, u64)>(), span()).prop_map(
            |(worker, (task, attempt, bytes, crc32, words, distinct_words), span)| {
                Record::Reduce {
                    task,
                    attempt,
                    worker,
                    span: Some(span).filter(|span| span.ended_ms > 0),
                    bytes,
                    crc32,
                    words,
                    distinct_words,
                }
            }
        ),
        any_outcome().prop_map(|outcome| Record::End { outcome }),
        Just(Record::IntermediatesRemoved),
        any_note(),
    ]
}

fn any_findings() -> impl Strategy<Value = Findings> {
    let bad_record = (any::<(u32, u64)>(), any::<Option<u64>>(), any::<String>()).prop_map(
        |((split, offset), number, problem)| BadRecord { split, offset, number, problem },
    );
    let lists =
        (prop::collection::vec(any::<(u32, u64)>(), 0..3), prop::collection::vec(bad_record, 0..3));
    (any::<(u64, u64, u64)>(), lists).prop_map(|(numbers, (invalid_splits, first_bad_records))| {
        let (invalid_bytes, documents, bad_records) = numbers;
        Findings { invalid_bytes, invalid_splits, documents, bad_records, first_bad_records }
    })
}

fn any_format() -> impl Strategy<Value = Format> {
    let column =
        prop_oneof![any::<u32>().prop_map(Column::Number), any::<String>().prop_map(Column::Name)];
    let records = prop_oneof![
        (column, any::<char>()).prop_map(|(column, delimiter)| Records::Csv { column, delimiter }),
        any::<String>().prop_map(|field| Records::JsonLines { field }),
        any::<String>().prop_map(|column| Records::Parquet { column }),
        Just(Records::Wet),
    ];
    (any::<Option<String>>(), any::<Option<String>>(), prop::option::of(records), any::<bool>())
        .prop_map(|(compression, encoding, records, whole)| Format {
            compression,
            encoding,
            records,
            whole,
        })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Cancelled, Done, Failed, NoWorkers, Unknown};
    prop::sample::select(vec![Cancelled, Done, Failed, NoWorkers, Unknown])
}

fn span() -> impl Strategy<Value = Span> {
    (0..3_u64, any::<u64>()).prop_map(|(started_ms, ended_ms)| Span { started_ms, ended_ms })
}

fn any_note() -> impl Strategy<Value = Record> {
    let phase = prop::sample::select(vec![Phase::Map, Phase::Reduce]);
    let attempt = (phase, any::<(u32, u32)>(), any::<String>());
    let bytes = any::<Option<u64>>();
    prop_oneof![
        (attempt.clone(), any::<u64>()).prop_map(|((phase, (task, attempt), worker), at_ms)| {
            Record::Started { phase, task, attempt, worker, at_ms }
        }),
        (attempt, span(), bytes, any_ending(), any_strikes()).prop_map(
            |((phase, (task, attempt), worker), span, bytes, ending, set_aside)| Record::Ended {
                phase,
                task,
                attempt,
                worker,
                span,
                bytes,
                ending,
                set_aside
            }
        ),
        (any::<(u32, u32, u32)>(), any::<String>()).prop_map(
            |((map, reduce, attempt), sentence)| Record::Recalled {
                map,
                reduce,
                attempt,
                sentence
            }
        ),
    ]
}

fn any_strikes() -> impl Strategy<Value = Option<Strikes>> {
    any::<Option<(u32, u32)>>()
        .prop_map(|strikes| strikes.map(|(failed, lost)| Strikes { failed, lost }))
}

fn any_users() -> impl Strategy<Value = Option<Users>> {
    any::<Option<(u32, u32)>>()
        .prop_map(|users| users.map(|(worker, owner)| Users { worker, owner }))
}

fn any_ending() -> impl Strategy<Value = Ending> {
    let failure = prop::sample::select(vec![
        FailureKind::DiskFull,
        FailureKind::ForeignStaging,
        FailureKind::InputChanged,
        FailureKind::InputMissing,
        FailureKind::InputUnreadable,
        FailureKind::IntermediateCorrupt,
        FailureKind::IntermediateMissing,
        FailureKind::Io,
        FailureKind::OutsideRoots,
        FailureKind::Panicked,
        FailureKind::StagingDamaged,
        FailureKind::StagingExists,
        FailureKind::Tampered,
        FailureKind::TooManyLongWords,
        FailureKind::Other("clock_stopped".to_owned()),
    ]);
    let plain = vec![Ending::Abandoned, Ending::Left, Ending::Undelivered, Ending::Violation];
    let disk = prop::sample::select(vec![None, Some(DiskFault::Full), Some(DiskFault::Refused)]);
    let text = any::<String>;
    prop_oneof![
        prop::sample::select(plain),
        any::<(u32, u64, u64)>().prop_map(|(bucket, emitted, counted)| {
            Ending::Conservation { bucket, emitted, counted }
        }),
        any::<bool>().prop_map(|by_backup| Ending::Superseded { by_backup }),
        any::<i32>().prop_map(|exit_code| Ending::Died(Death::Exited { exit_code })),
        any::<i32>().prop_map(|signal| Ending::Died(Death::Signalled { signal })),
        (failure, any::<Option<String>>(), any_users(), text()).prop_map(
            |(failure, path, users, sentence)| Ending::Failed { failure, path, users, sentence }
        ),
        any::<u64>().prop_map(|silent_ms| Ending::Lost { silent_ms }),
        any::<u64>().prop_map(|still_ms| Ending::Stuck { still_ms }),
        (disk.clone(), text()).prop_map(|(disk, sentence)| Ending::NotCommitted { disk, sentence }),
        (disk, text()).prop_map(|(disk, sentence)| Ending::Rejected { disk, sentence }),
        (any::<u32>(), text()).prop_map(|(map, sentence)| Ending::Starved { map, sentence }),
    ]
}

/// Of few bytes, so that two of them are sometimes the same or nearly so.
fn path() -> impl Strategy<Value = PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let byte = prop::sample::select(b"\\x5c\xff\xc3\xa9".as_slice());
    prop::collection::vec(byte, 0..6).prop_map(|bytes| std::ffi::OsString::from_vec(bytes).into())
}

/// Cut the journal at every byte: the whole lines in front are read, the torn one is left out.
#[test]
fn torn_last_line_is_left_out() {
    let lines = encode(&[begin(1), map(0)]);
    let first = encode(&[begin(1)]).len();

    for length in 0..lines.len() {
        let expected = if length < first { (vec![], 0) } else { (vec![begin(1)], first) };
        let (records, end) = (expected.0, expected.1 as u64);
        assert_eq!(parse(&lines[..length]), Ok(Recorded { records, end }), "{length} bytes");
    }
    let end = lines.len() as u64;
    assert_eq!(parse(&lines), Ok(Recorded { records: vec![begin(1), map(0)], end }));
}

/// Flip every bit of the first of two lines: its number is reported, and nothing is read as
/// something else.
#[test]
fn damaged_line_in_the_middle_is_reported() {
    let lines = encode(&[begin(1), map(0)]);
    let first = encode(&[begin(1)]).len();

    for index in 0..first - 1 {
        for bit in 0..8 {
            let mut damaged = lines.clone();
            damaged[index] ^= 1 << bit;
            // The case of a hexadecimal digit of the checksum is a bit, too.
            assert_eq!(parse(&damaged), Err(1), "byte {index}, bit {bit}");
        }
    }
}

/// Lines of a journal that version 0.1.0 wrote, with the names that it had for some ends.
#[test]
fn journal_of_version_0_1_0_is_read_unchanged() {
    let lines = include_bytes!("../../tests/journal-0.1.0.jsonl");
    let read = parse(lines).expect("no line is damaged");
    assert_eq!(read.end, lines.len() as u64);
    assert_eq!(encode(&read.records), include_bytes!("../../tests/journal-0.1.0.jsonl"));
}

/// A program that does not know the last record reads all the others.
#[test]
fn record_of_removed_intermediates_is_a_torn_line_for_an_older_program() {
    let records = [begin(1), Record::End { outcome: Outcome::Done }, Record::IntermediatesRemoved];
    let lines = String::from_utf8(encode(&records)).unwrap();
    let unknown = lines.replace("intermediates_removed", "intermediates_painted");
    assert_ne!(lines, unknown);
    assert_eq!(parse(unknown.as_bytes()).unwrap().records, records[..2]);
}

#[test]
fn ends_that_had_other_names_are_read() {
    let superseded = Ending::Superseded { by_backup: true };
    for (json, ending) in [
        (concat!(r#"{"outcome":"bea"#, r#"ten","by_backup":true}"#), superseded),
        (r#"{"outcome":"unfit"}"#, Ending::Violation),
    ] {
        assert_eq!(serde_json::from_str::<Ending>(json).unwrap(), ending);
    }
}

/// A later version may have rules and outcomes that this one lacks.
#[test]
fn outcomes_and_rules_that_are_not_known_are_read_as_unknown() {
    let read = |json| serde_json::from_str::<Record>(json).unwrap();
    assert_eq!(
        read(r#"{"kind":"end","outcome":"postponed"}"#),
        Record::End { outcome: Outcome::Unknown }
    );
    assert_eq!(serde_json::from_str::<WordRule>(r#""sentences""#).unwrap(), WordRule::Unknown);
}
