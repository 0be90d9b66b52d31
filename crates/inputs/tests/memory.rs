//! Files that are far larger than they look, and records that are larger than memory, are read in
//! bounded memory.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use inputs::{
    Column, Compression, Damage, Event, Field, Format, Limits, Problem, ReadError, Records, Source,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Held by each test: the peak is the process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Of a read, in bytes. Its buffers have half a megabyte, what it holds of a record 1 MiB, and
/// bzip2 needs 4 MB.
const PEAK_BYTES_MAX: usize = 8 << 20;

/// A file of which no byte is stored: `head`, then `count` times `unit`, then `tail`.
#[derive(Clone, Copy)]
struct Repeated<'a> {
    head: &'a [u8],
    unit: &'a [u8],
    count: u64,
    tail: &'a [u8],
}

impl Source for Repeated<'_> {
    type Error = Infallible;

    fn bytes(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + self.unit.len() as u64 * self.count
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let tail_start = self.bytes() - self.tail.len() as u64;
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let part = if at < self.head.len() as u64 {
                &self.head[at as usize..]
            } else if at < tail_start {
                let within = (at - self.head.len() as u64) % self.unit.len() as u64;
                &self.unit[within as usize..]
            } else {
                self.tail.get((at - tail_start) as usize..).unwrap_or_default()
            };
            if part.is_empty() {
                break;
            }
            let length = part.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&part[..length]);
            filled += length;
        }
        Ok(filled)
    }
}

/// What a read gives.
#[derive(Debug, Default, Eq, PartialEq)]
struct Found {
    text_bytes: u64,
    documents: u64,
    bad: Vec<Problem>,
    damage: Option<Damage>,
}

/// Reads all of it.
///
/// # Panics
///
/// When that takes more memory than [`PEAK_BYTES_MAX`].
#[track_caller]
fn read<S: Source<Error = Infallible> + Copy + Send>(source: S, format: &Format) -> Found {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let limits = Limits { memory_bytes: 32 << 20 };
    let mut events = inputs::open(source, format, 0..source.bytes(), limits)
        .expect("it has no index to be read");
    let mut found = Found::default();
    loop {
        match events.next_event() {
            Ok(None) => break,
            Ok(Some(Event::BadRecord(record))) => found.bad.push(record.problem),
            Ok(Some(Event::EndOfDocument)) => found.documents += 1,
            Ok(Some(Event::Text(text))) => found.text_bytes += text.len() as u64,
            Ok(Some(event @ (Event::Before(_) | Event::EndOfShare))) => {
                panic!("{event:?} of a whole file")
            }
            Err(ReadError::Damaged(damage)) => {
                found.damage = Some(damage);
                break;
            }
            Err(ReadError::Source(error)) => match error {},
        }
    }
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak < PEAK_BYTES_MAX, "{format}: {peak}");
    found
}

#[track_caller]
fn check(source: Repeated<'_>, records: Records, text_bytes: u64, documents: u64) {
    let format = Format { records, ..Format::default() };
    let expected = Found { text_bytes, documents, ..Found::default() };
    assert_eq!(read(source, &format), expected);
}

/// A line, a column and a record of 100 MB.
#[test]
fn records_of_a_hundred_megabytes_are_read_in_bounded_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const COUNT: u64 = 1000;
    const BYTES: u64 = 100_000_000;
    let words = b"the words \n\n".iter().copied().cycle();
    let unit: Vec<u8> = words.clone().take(100_000).collect();
    let wet = format!("WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {BYTES}\r\n\r\n");
    let skipped = wet.replace("conversion", "metadata");
    for (head, documents) in [(wet, 1), (skipped, 0)] {
        let record = Repeated { head: head.as_bytes(), unit: &unit, count: COUNT, tail: b"\r\n" };
        check(record, Records::Wet, documents * BYTES, documents);
    }
    let quoted = Repeated { head: b"a,b\n1,\"", unit: &unit, count: COUNT, tail: b"\"\n2,x\n" };
    let csv = |name: &str| Records::Csv { column: Column::Name(name.to_owned()), delimiter: b',' };
    check(quoted, csv("b"), BYTES + 1, 2);
    check(quoted, csv("a"), 2, 2);
    let unit: Vec<u8> = words.map(|byte| byte.max(b' ')).take(100_000).collect();
    let (head, tail) = (&b"{\"a\":\""[..], &b"\"}\n{\"b\":\"x\"}"[..]);
    let line = Repeated { head, unit: &unit, count: COUNT, tail };
    let json_lines = |field| Records::JsonLines { field: Field::parse(field).unwrap() };
    check(line, json_lines("a"), BYTES, 2);
    check(line, json_lines("b"), 1, 2);
}

#[test]
fn ten_million_levels_are_one_bad_record() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for unit in [&b"{\"a\":"[..], b"["] {
        let (head, tail) = (&b"{\"a\":"[..], &b"\n{\"a\":\"x\"}\n"[..]);
        let records = Records::JsonLines { field: Field::parse("a").unwrap() };
        let format = Format { records, ..Format::default() };
        let found = read(Repeated { head, unit, count: 10_000_000, tail }, &format);
        let bad = vec![Problem::TooDeep];
        assert_eq!(found, Found { text_bytes: 1, documents: 1, bad, damage: None });
    }
}

/// Each is begun once: if one took time for all before it, this would not end.
#[test]
fn million_empty_members_are_read() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    let unit = encoder.finish().unwrap();
    let source = Repeated { head: b"", unit: &unit, count: 1_000_000, tail: b"" };
    let format = Format { compression: Compression::Gzip, ..Format::default() };
    assert_eq!(read(source, &format), Found { documents: 1, ..Found::default() });
}

/// A quarter of a gigabyte of zeros, in files of half a megabyte or less.
#[test]
fn hundreds_of_megabytes_of_zeros_are_read_in_bounded_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const BYTES: u64 = 256 << 20;
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(9));
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    let xz = {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    for (compression, file) in
        [(Compression::Gzip, gzip), (Compression::Bzip2, bzip2), (Compression::Xz, xz)]
    {
        assert!(file.len() < 2 << 20, "{}", file.len());
        let format = Format { compression, ..Format::default() };
        let found = read(&file[..], &format);
        assert_eq!(found, Found { text_bytes: BYTES, documents: 1, ..Found::default() });
    }
}

fn write_zeros(encoder: &mut impl std::io::Write, bytes: u64) {
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&zeros).expect("memory can be written");
    }
}
