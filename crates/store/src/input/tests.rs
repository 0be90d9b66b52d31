//! Input files that stay as planned, and others that change.

use std::error::Error;
use std::fs::FileTimes;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::list_inputs;
use crate::watchdog::in_time;

#[test]
fn a_range_is_read_up_to_the_planned_end() {
    let (_folder, input) = plan("hello world");
    let file = open(&input).unwrap();

    check_read(&file, 0, 5, "hello");
    check_read(&file, 6, 5, "world");
    check_read(&file, 6, 100, "world");
    check_read(&file, 11, 5, "");
    check_read(&file, u64::MAX, 5, "");
    check_read(&file, 3, 0, "");
    file.check().unwrap();
}

#[test]
fn an_empty_file_is_read_to_its_end_at_once() {
    let (_folder, input) = plan("");
    let file = open(&input).unwrap();
    check_read(&file, 0, 5, "");
    file.check().unwrap();
}

#[test]
fn a_file_that_grew_or_shrank_since_the_plan_is_refused() {
    for (now, now_bytes) in [("hello worlds", 12), ("hello", 5), ("", 0)] {
        let (_folder, input) = plan("hello world");
        fs::write(&input.path, now).unwrap();

        let refusal = open(&input).unwrap_err();
        let path = input.path.display();
        let expected =
            format!("input {path} changed during the job: 11 bytes then, {now_bytes} now");
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn a_file_of_the_same_length_that_was_modified_is_refused() {
    let (_folder, input) = plan("hello world");
    touch(&input.path);

    let refusal = open(&input).unwrap_err();
    let path = input.path.display();
    let expected = format!("input {path} was modified during the job (11 bytes then and now)");
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn a_file_that_changes_while_it_is_open_is_noticed_by_the_check() {
    let (_folder, input) = plan("hello world");
    let file = open(&input).unwrap();

    touch(&input.path);
    check_read(&file, 0, 5, "hello");
    assert!(matches!(file.check(), Err(InputError::Changed { now_bytes: 11, .. })));

    fs::write(&input.path, "hello world, and more").unwrap();
    check_read(&file, 6, 100, "world");
    assert!(matches!(file.check(), Err(InputError::Changed { now_bytes: 21, .. })));
}

#[test]
fn a_file_that_shrinks_while_it_is_open_is_noticed_by_the_read() {
    let (_folder, input) = plan("hello world");
    let file = open(&input).unwrap();
    fs::write(&input.path, "hello").unwrap();

    check_read(&file, 0, 5, "hello");
    let refusal = file.read_at(3, &mut [0; 5]).unwrap_err();
    assert!(matches!(refusal, InputError::Changed { then_bytes: 11, now_bytes: 5, .. }));
    // The error has the length, wherever the read began.
    let refusal = file.read_at(8, &mut [0; 5]).unwrap_err();
    assert!(matches!(refusal, InputError::Changed { then_bytes: 11, now_bytes: 5, .. }));
}

#[test]
fn a_file_that_vanished_is_missing() {
    let (_folder, input) = plan("hello world");
    fs::remove_file(&input.path).unwrap();

    let refusal = open(&input).unwrap_err();
    let expected = format!("input {} does not exist", input.path.display());
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn a_file_that_became_a_fifo_is_refused_without_waiting() {
    let (_folder, input) = plan("hello world");
    fs::remove_file(&input.path).unwrap();
    assert!(Command::new("mkfifo").arg(&input.path).status().unwrap().success());

    let expected = format!("input {} is a FIFO, not a regular file", input.path.display());
    let refusal = in_time(move || open(&input)).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_told_apart_from_one_that_is_missing() {
    const EACCES: i32 = 13;
    const ENOENT: i32 = 2;
    let sort = |code| unreadable(Path::new("a"))(io::Error::from_raw_os_error(code));

    assert!(matches!(sort(ENOENT), InputError::Missing { .. }));
    let refusal = sort(EACCES);
    assert_eq!(refusal.to_string(), "cannot read input a");
    assert!(refusal.source().is_some());
}

fn open(input: &Input) -> Result<InputFile, InputError> {
    let folder = input.path.parent().expect("a file is in a folder");
    InputFile::open(&Roots::new(&[folder.to_owned()]), input)
}

/// A file, and the plan's entry for it.
fn plan(text: &str) -> (TempDir, Input) {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap().join("input.txt");
    fs::write(&path, text).unwrap();
    let inputs = list_inputs(&[path], None).unwrap().inputs;
    (folder, inputs.into_iter().next().unwrap())
}

/// Modify the time only, by enough for the coarsest of file systems.
fn touch(path: &Path) {
    let later = SystemTime::now() + Duration::from_secs(10);
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(later)).unwrap();
}

#[track_caller]
fn check_read(file: &InputFile, offset: u64, wanted: usize, expected: &str) {
    let mut buffer = vec![0; wanted];
    let length = file.read_at(offset, &mut buffer).unwrap();
    assert_eq!(&buffer[..length], expected.as_bytes());
}
