//! Records as lines: `{"crc32":"9f0c21aa","record":{...}}`.
//!
//! The checksum is taken over the record's own bytes as they are in the line, so that a later
//! version, which would write the record otherwise, can still check it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Digest;

use crate::log::Recorded;
use crate::record::Record;

/// One line a record.
pub fn encode(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        write_line(&mut lines, record);
    }
    lines
}

/// What [`encode`] has written. The last line may be torn, as when a driver died while it wrote it:
/// it is left out.
///
/// # Errors
///
/// The number, from 1, of the first damaged line before the last.
pub fn parse(lines: &[u8]) -> Result<Recorded, usize> {
    let mut recorded = Recorded::default();
    let mut lines = lines.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse_line(line) {
            Some(record) => {
                recorded.records.push(record);
                recorded.end += line.len() as u64;
            }
            None if lines.peek().is_none() => break,
            None => return Err(index + 1),
        }
    }
    Ok(recorded)
}

#[derive(Deserialize, Serialize)]
struct Line<'line> {
    crc32: String,
    #[serde(borrow)]
    record: &'line RawValue,
}

fn checksum(record: &RawValue) -> String {
    format!("{:08x}", Digest::of(record.get().as_bytes()).crc32)
}

fn write_line(lines: &mut Vec<u8>, record: &Record) {
    let record = serde_json::value::to_raw_value(record)
        .expect("a record holds numbers and text only, which JSON can express");
    let line = Line { crc32: checksum(&record), record: &record };
    serde_json::to_writer(&mut *lines, &line).expect("writing to memory cannot fail");
    lines.push(b'\n');
}

pub(crate) fn parse_line(line: &[u8]) -> Option<Record> {
    let line: Line<'_> = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    (line.crc32 == checksum(line.record)).then_some(())?;
    serde_json::from_str(line.record.get()).ok()
}

#[cfg(test)]
mod tests;
