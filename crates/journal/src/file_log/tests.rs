//! Files that are torn, full, or taken over from an earlier epoch.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use super::*;
use crate::record::Outcome;
use crate::samples::{begin, map, recalled};

fn resume() -> Record {
    Record::Resume { epoch: 2, build: "mapmill 0.1.0".to_owned(), started_unix_seconds: 2 }
}

/// A results folder, and the log in it.
fn new_log() -> (TempDir, FileLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = FileLog::in_folder(folder.path());
    fs::create_dir(log.path().parent().unwrap()).unwrap();
    (folder, log)
}

/// A log that has begun with `records`.
fn begun(records: &[Record]) -> (TempDir, FileLog) {
    let (folder, mut log) = new_log();
    log.open(Opening::Begin(records)).unwrap();
    (folder, log)
}

fn resumed(files: &Path) -> FileLog {
    let mut log = FileLog::in_folder(files);
    let recorded = log.read().unwrap();
    log.open(Opening::Resume { recorded: &recorded, resume: &resume() }).unwrap();
    log
}

/// Puts the file of a full disk in place of the one that is open, which is returned.
fn fill_disk(log: &mut FileLog) -> FileState {
    let file = fs::File::options().write(true).open("/dev/full");
    let file = Box::new(file.expect("every Linux has /dev/full"));
    std::mem::replace(&mut log.state, FileState::Open { file, whole_bytes: 0 })
}

#[test]
fn what_was_written_is_read_again() {
    let (_folder, mut log) = new_log();
    assert_eq!(log.read().unwrap().records, []);

    log.open(Opening::Begin(&[begin(1)])).unwrap();
    log.append(&[map(0), map(1)]).unwrap();
    let end = Record::End { outcome: Outcome::Done };
    log.append(std::slice::from_ref(&end)).unwrap();

    assert_eq!(log.read().unwrap().records, [begin(1), map(0), map(1), end]);
}

/// Whatever the last line has lost, the next record does not become part of it.
#[test]
fn journal_is_resumed_behind_its_last_whole_record() {
    let (folder, log) = new_log();
    let whole = encode(&[begin(1)]);
    let lines = encode(&[begin(1), map(0)]);
    for length in whole.len()..lines.len() {
        fs::write(log.path(), &lines[..length]).unwrap();
        let inode = || fs::metadata(log.path()).unwrap().ino();
        let before = inode();

        let mut resumed = resumed(folder.path());
        resumed.append(&[map(1)]).unwrap();
        assert_ne!(inode(), before, "what may not be on the disk is not written anew");

        let expected = [begin(1), resume(), map(1)];
        assert_eq!(log.read().unwrap().records, expected, "{length} bytes");
    }
}

#[test]
fn new_journal_replaces_the_old_one() {
    let (_folder, mut log) = begun(&[begin(1), map(0)]);

    log.open(Opening::Begin(&[begin(2)])).unwrap();

    assert_eq!(log.read().unwrap().records, [begin(2)]);
    assert_eq!(fs::read_dir(log.path().parent().unwrap()).unwrap().count(), 1);
}

/// Half a record may be in the file: what is written behind it is lost with it, although its sync
/// succeeds. So nothing more is written, even if the disk has space again.
#[test]
fn after_an_error_nothing_more_is_written() {
    let (_folder, mut log) = begun(&[begin(1)]);
    let opened = fill_disk(&mut log);

    let error = log.append(&[map(0)]).unwrap_err();
    assert!(matches!(error, JournalError::Io { operation: "append to", .. }), "{error}");
    let error = log.append(&[map(1)]).unwrap_err();
    assert!(matches!(error, JournalError::Closed { .. }), "{error}");
    assert!(matches!(log.note(&[recalled(1)]), Err(JournalError::Closed { .. })));
    drop(opened);
    assert_eq!(log.read().unwrap().records, [begin(1)]);
}

/// A note about a full disk does not fit either, and the next commit may.
#[test]
fn note_that_does_not_fit_is_left_out_and_the_next_commit_is_not() {
    let (folder, mut log) = begun(&[begin(1)]);
    let mut expected = vec![begin(1)];
    // A file that is new, and one that is appended to.
    for task in 0..2 {
        log.note(&[recalled(1)]).unwrap();
        // A part of another one was written, and the rest did not fit.
        let FileState::Open { file, whole_bytes } = &mut log.state else { panic!("{log:?}") };
        file.write(&[b'x'; 4096]).unwrap();
        file.cut(*whole_bytes).unwrap();
        log.append(&[map(task)]).unwrap();

        expected.extend([recalled(1), map(task)]);
        assert_eq!(log.read().unwrap().records, expected);
        log = resumed(folder.path());
        expected.push(resume());
    }
}

/// Half a note that stays would swallow the next record.
#[test]
fn after_a_note_that_cannot_be_cut_off_nothing_more_is_written() {
    let (_folder, mut log) = begun(&[]);
    fill_disk(&mut log);

    let error = log.note(&[recalled(1)]).unwrap_err();
    assert!(matches!(error, JournalError::Io { operation: "append a note to", .. }), "{error}");
    let error = log.append(&[map(1)]).unwrap_err();
    assert!(matches!(error, JournalError::Closed { .. }), "{error}");
}
