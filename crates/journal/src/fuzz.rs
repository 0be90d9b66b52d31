//! What the fuzz target `journal` checks: what is read of a journal is a part of what was written.
//! Compiled for it and for tests only.
//!
//! Fuzzing does not guess checksums. So `data` is read twice: as it is, and with a checksum put
//! around each of its lines. The checksums themselves stay as they are.

use std::io::Write;

use store::Digest;

use crate::commits::Commits;
use crate::lines::{encode, parse};
use crate::log::Recorded;
use crate::record::Record;
use crate::validate::validate;

/// Reads `data` as a journal, as it is and with each line as a record; tears it, damages it, and
/// appends to it.
///
/// # Panics
///
/// When something is read that was not written, or nothing can be appended.
pub fn check(data: &[u8]) {
    look_at(data);
    let sealed = sealed(data);
    look_at(&sealed);
    if let Ok(recorded) = parse(&sealed) {
        damage(&recorded.records);
        assert_resumable(&recorded);
    }
}

/// Each line of `data` as a record, up to the first that is none: for targets that begin where this
/// one ends.
pub fn records(data: &[u8]) -> Vec<Record> {
    parse(&sealed(data)).map_or_else(|_| Vec::new(), |read| read.records)
}

/// Each line as a record, with its checksum.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        let record = line.trim_ascii();
        let crc32 = Digest::of(record).crc32;
        write!(lines, "{{\"crc32\":\"{crc32:08x}\",\"record\":").expect("memory can be written");
        lines.extend_from_slice(record);
        lines.push(b'}');
        lines.extend(line.ends_with(b"\n").then_some(b'\n'));
    }
    lines
}

fn look_at(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let length = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum::<usize>();
    let whole = parse(bytes);
    match &whole {
        Ok(recorded) => {
            assert!(lines.len() - recorded.records.len() <= 1, "more than a torn line is left out");
            let length = length(&lines[..recorded.records.len()]);
            assert_eq!(recorded.end, length as u64);
            append(&bytes[..length], &recorded.records);
        }
        Err(number) => {
            assert!((1..lines.len()).contains(number), "line {number} is not before the last");
            let before = parse(&bytes[..length(&lines[..number - 1])]);
            assert_eq!(before.map(|recorded| recorded.records.len()), Ok(number - 1));
            let alone = parse(lines[number - 1]);
            assert_eq!(alone, Ok(Recorded::default()), "line {number} is not damaged");
        }
    }
    let cut = somewhere(bytes, bytes.len() + 1);
    match (whole, parse(&bytes[..cut])) {
        (Ok(whole), Ok(torn)) => assert!(whole.records.starts_with(&torn.records)),
        (Err(damaged), Ok(torn)) => assert!(torn.records.len() < damaged),
        (Err(damaged), Err(found)) => assert_eq!(damaged, found),
        (Ok(_), Err(number)) => panic!("tearing has damaged line {number}"),
    }
}

/// What is appended behind the last whole line is read with what was there.
fn append(whole: &[u8], records: &[Record]) {
    let resume = Record::Resume { epoch: 2, build: String::new(), started_unix_seconds: 0 };
    let lines = [whole, &encode(std::slice::from_ref(&resume))].concat();
    let expected = [records, &[resume]].concat();
    assert_eq!(parse(&lines).map(|recorded| recorded.records), Ok(expected));
}

/// What is read is written as it is read again; with any bit of it flipped, it is refused, or left
/// out at the end: one line, or two that have lost the line feed between them.
fn damage(records: &[Record]) {
    let mut lines = encode(records);
    assert_eq!(parse(&lines).map(|recorded| recorded.records).as_deref(), Ok(records));
    let bit = somewhere(&lines, 8 * lines.len());
    if let Some(byte) = lines.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
        look_at_damaged(&lines, records);
    }
}

fn look_at_damaged(lines: &[u8], written: &[Record]) {
    match parse(lines) {
        Ok(recorded) => {
            assert!(written.starts_with(&recorded.records), "something else was written");
            assert!((1..=2).contains(&(written.len() - recorded.records.len())));
        }
        Err(number) => assert!((1..written.len()).contains(&number), "line {number}"),
    }
}

/// After valid records another epoch can begin, and their commits can be read.
fn assert_resumable(recorded: &Recorded) {
    if validate(&recorded.records).is_ok() {
        assert!(recorded.last_epoch() < u64::MAX, "no later epoch has a number");
        Commits::of(&recorded.records);
    }
}

/// A position below `below` that depends on all of `bytes`, so that a seed need not say it.
fn somewhere(bytes: &[u8], below: usize) -> usize {
    Digest::of(bytes).crc32 as usize % below.max(1)
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
pub(crate) mod replay;

#[test]
fn every_cut_and_every_flipped_bit_costs_the_last_records_or_is_reported() {
    let lines = sealed(include_bytes!("../../../fuzz/seeds/journal/records"));
    let Recorded { records, .. } = parse(&lines).expect("the seed is whole");
    for cut in 0..lines.len() {
        look_at(&lines[..cut]);
        let whole = lines[..cut].iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(parse(&lines[..cut]).map(|recorded| recorded.records.len()), Ok(whole));
    }
    for bit in 0..8 * lines.len() {
        let mut lines = lines.clone();
        lines[bit / 8] ^= 1 << (bit % 8);
        look_at_damaged(&lines, &records);
    }
}

#[test]
fn seeds_are_read_as_they_were_written_or_refused() {
    replay::replay("journal", check);
}
