//! Lines that are torn, damaged or lost, and records that are read as they were written.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::*;
use crate::ending::{Death, Ending, FailureKind};
use crate::record::{Phase, Span, escape, unescape};

fn begin(epoch: u64) -> Record {
    Record::Begin {
        epoch,
        job: "00ff".to_owned(),
        build: "mapmill 0.1.0".to_owned(),
        started_unix_seconds: 1,
        map_tasks: 6,
        reduce_tasks: 4,
        words: "letters".to_owned(),
        ignore_case: false,
    }
}

fn map(task: u32) -> Record {
    let digest = Digest { bytes: 5, crc32: u32::MAX };
    let span = Some(Span { started_ms: 3, ended_ms: 7 });
    Record::map(task, 0, "w1 (host:7)", span, &[(digest, 2), (digest, 0)], 3)
}

#[test]
fn what_was_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    assert_eq!(read(&path).unwrap().records, []);

    let mut journal = Journal::create(&path, &[begin(1)]).unwrap();
    journal.append(&[map(0), map(1)]).unwrap();
    journal.append(&[Record::End { outcome: "done".to_owned() }]).unwrap();

    let end = Record::End { outcome: "done".to_owned() };
    assert_eq!(read(&path).unwrap().records, [begin(1), map(0), map(1), end]);
}

/// Whatever the last line has lost, the next record does not become part of it.
#[test]
fn journal_is_resumed_behind_its_last_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut whole = Vec::new();
    write_record(&mut whole, &begin(1));
    let mut lines = whole.clone();
    write_record(&mut lines, &map(0));
    let resume =
        Record::Resume { epoch: 2, build: "mapmill 0.1.0".to_owned(), started_unix_seconds: 2 };
    for length in whole.len()..lines.len() {
        fs::write(&path, &lines[..length]).unwrap();
        let history = read(&path).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let before = inode();

        let mut journal = Journal::resume(&path, &history, &resume).unwrap();
        journal.append(&[map(1)]).unwrap();
        assert_ne!(inode(), before, "what may not be on the disk is not written anew");

        let expected = [begin(1), resume.clone(), map(1)];
        assert_eq!(read(&path).unwrap().records, expected, "{length} bytes");
    }
}

#[test]
fn new_journal_replaces_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    Journal::create(&path, &[begin(1), map(0)]).unwrap();

    Journal::create(&path, &[begin(2)]).unwrap();

    assert_eq!(read(&path).unwrap().records, [begin(2)]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Half a record may be in the file: what is written behind it is lost with it, although its
/// sync went well. So nothing is, even if there is room again.
#[test]
fn after_an_error_nothing_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = Journal::create(&path, &[begin(1)]).unwrap();

    let file = std::mem::replace(&mut journal.file, Journal::on_full_disk().file);
    let error = journal.append(&[map(0)]).unwrap_err();
    assert!(matches!(error, JournalError::Io { operation: "append to", .. }), "{error}");

    journal.file = file;
    let error = journal.append(&[map(1)]).unwrap_err();
    assert!(matches!(error, JournalError::GivenUp { .. }), "{error}");
    assert_eq!(read(&path).unwrap().records, [begin(1)]);
}

/// For the disk may be full, which is what the note is about; and there may be room again.
#[test]
fn note_that_finds_no_room_is_left_out_and_the_next_commit_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let note = Record::Recalled { map: 1, reduce: 2, attempt: 0, sentence: "gone".to_owned() };
    let resume =
        Record::Resume { epoch: 2, build: "mapmill 0.1.0".to_owned(), started_unix_seconds: 2 };
    let mut journal = Journal::create(&path, &[begin(1)]).unwrap();
    let mut expected = vec![begin(1)];
    // A file that is new, and one that is appended to.
    for task in 0..2 {
        journal.note(std::slice::from_ref(&note)).unwrap();
        // A part of another one was written, and the rest did not fit.
        journal.file.write(&[b'x'; 4096]).unwrap();
        journal.file.cut(journal.whole_bytes).unwrap();
        journal.append(&[map(task)]).unwrap();

        expected.extend([note.clone(), map(task)]);
        let history = read(&path).unwrap();
        assert_eq!(history.records, expected);
        journal = Journal::resume(&path, &history, &resume).unwrap();
        expected.push(resume.clone());
    }
}

/// Half a note that stays would swallow the next record.
#[test]
fn after_a_note_that_cannot_be_cut_off_nothing_more_is_written() {
    let mut journal = Journal::on_full_disk();
    let note = Record::Recalled { map: 1, reduce: 2, attempt: 0, sentence: "gone".to_owned() };

    let error = journal.note(&[note]).unwrap_err();
    assert!(matches!(error, JournalError::Io { operation: "append a note to", .. }), "{error}");
    let error = journal.append(&[map(1)]).unwrap_err();
    assert!(matches!(error, JournalError::GivenUp { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_records_are_read_again(records in prop::collection::vec(any_record(), 0..20)) {
        let mut lines = Vec::new();
        for record in &records {
            write_record(&mut lines, record);
        }
        let whole_bytes = lines.len() as u64;
        prop_assert_eq!(parse(&lines), Ok(Recorded { records, whole_bytes }));
    }

    /// Nothing that happens to a file makes reading it panic, or a record that was not written.
    #[test]
    fn damage_never_makes_a_record(
        records in prop::collection::vec(any_record(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        let mut lines = Vec::new();
        for record in &records {
            write_record(&mut lines, record);
        }
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
    fn any_text_is_taken_for_a_path(text: String) {
        unescape(&text);
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let buckets = prop::collection::vec(any::<(u64, u32, u64)>(), 0..5);
    prop_oneof![
        any::<u64>().prop_map(begin),
        (any::<u32>(), any::<u32>(), any::<String>(), buckets, any::<u64>(), span()).prop_map(
            |(task, attempt, worker, buckets, invalid_bytes, span)| Record::Map {
                task,
                attempt,
                worker,
                span: Some(span).filter(|span| span.ended_ms > 0),
                buckets,
                invalid_bytes
            }
        ),
        (any::<String>(), any::<(u64, i64, u32)>()).prop_map(|(path, numbers)| {
            let (bytes, modified_seconds, modified_nanos) = numbers;
            Record::Input { path, bytes, modified_seconds, modified_nanos }
        }),
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
        any::<String>().prop_map(|outcome| Record::End { outcome }),
        any_note(),
    ]
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
        (attempt, span(), bytes, any_ending()).prop_map(
            |((phase, (task, attempt), worker), span, bytes, ending)| Record::Ended {
                phase,
                task,
                attempt,
                worker,
                span,
                bytes,
                ending
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
        (failure, any::<Option<String>>(), text())
            .prop_map(|(failure, path, sentence)| { Ending::Failed { failure, path, sentence } }),
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
    let mut lines = Vec::new();
    write_record(&mut lines, &begin(1));
    let first = lines.len();
    write_record(&mut lines, &map(0));

    for length in 0..lines.len() {
        let expected = if length < first { (vec![], 0) } else { (vec![begin(1)], first) };
        let (records, whole_bytes) = (expected.0, expected.1 as u64);
        let history = Ok(Recorded { records, whole_bytes });
        assert_eq!(parse(&lines[..length]), history, "{length} bytes");
    }
    let whole_bytes = lines.len() as u64;
    assert_eq!(parse(&lines), Ok(Recorded { records: vec![begin(1), map(0)], whole_bytes }));
}

/// Flip every bit of the first of two lines: its number is told, and nothing is read as
/// something else.
#[test]
fn damaged_line_in_the_middle_is_told() {
    let mut lines = Vec::new();
    write_record(&mut lines, &begin(1));
    let first = lines.len();
    write_record(&mut lines, &map(0));

    for index in 0..first - 1 {
        for bit in 0..8 {
            let mut damaged = lines.clone();
            damaged[index] ^= 1 << bit;
            // The case of a hexadecimal digit of the checksum is a bit, too.
            assert_eq!(parse(&damaged), Err(1), "byte {index}, bit {bit}");
        }
    }
}
