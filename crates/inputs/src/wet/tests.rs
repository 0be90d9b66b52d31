//! Records of WARC: which of them are text, and headers of many forms.

use proptest::prelude::*;

use super::*;
use crate::testing::{Document, Drip, read_all};

fn record(kind: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\nContent-Length: {length}\r\n\r\n{text}\r\n\r\n"
    )
}

fn read(file: &[u8], step: usize) -> Result<Vec<Document>, DamageKind> {
    read_all(Wet::new(Drip::input(file, step)))
}

#[track_caller]
fn check(file: &str, expected: &[&str]) {
    let expected: Vec<Document> = expected.iter().map(|&text| text.into()).collect();
    for step in [1, 2, 7, 1000] {
        assert_eq!(read(file.as_bytes(), step).as_ref(), Ok(&expected), "in steps of {step}");
    }
}

#[test]
fn conversions_are_documents_and_other_records_are_skipped() {
    let file = [
        record("warcinfo", "Software: x\r\n\r\nWARC/1.0\r\n"),
        record("conversion", "one\r\n\r\ntwo\n"),
        record("metadata", ""),
        record("conversion", ""),
        record("conversion", "three"),
    ];
    check(&file.concat(), &["one\r\n\r\ntwo\n", "", "three"]);
    check("", &[]);
    check("\r\n\r\n", &[]);
}

#[test]
fn headers_may_be_written_in_many_ways() {
    check("WARC/1.1\nwarc-type:conversion\ncontent-length:  2 \n\nab\n\n", &["ab"]);
    check("WARC/1.0\r\nCONTENT-LENGTH: 2\r\nWARC-Type: Conversion\r\nX\r\n\r\nab", &["ab"]);
    check("WARC/1.1\nContent-Length: 2\nno field\n b\nWARC-Type: conversion\n\nab", &["ab"]);
    check("WARC/1.0\r\nContent-Length: 3\r\nX: a\r\n WARC-Type\r\n\r\nabc", &[]);
}

#[test]
fn headers_that_cannot_be_read_are_damage() {
    for (file, problem) in [
        ("hello", Problem::Unfinished),
        ("hello\n\n", Problem::Syntax),
        ("WARC/1.0\r\nWARC-Type: conversion\r\n\r\nab", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: -1\r\n\r\n", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: +5\r\n\r\nabcde", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length:\r\n\r\n", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: 1\r\n 2\r\n\r\nab", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: 2\nWARC-Type:\n\tconversion\n\nab", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n", Problem::Syntax),
        ("WARC/1.0\r\nContent-Length: 3\r\n\r\nab", Problem::Unfinished),
        ("WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 3\r\n\r\nab", Problem::Unfinished),
        ("WARC/1.0\r\nContent-Le", Problem::Unfinished),
    ] {
        for step in [1, 1000] {
            let found = read(file.as_bytes(), step);
            assert_eq!(found, Err(DamageKind::Record(problem)), "{file:?}");
        }
    }
    let endless = format!("WARC/1.0\r\nX: {}", "x".repeat(1 << 20));
    assert_eq!(read(endless.as_bytes(), 1000), Err(DamageKind::Record(Problem::TooLarge)));
}

proptest! {
    #[test]
    fn any_texts_are_read(
        texts in prop::collection::vec(("(conversion|warcinfo)", "\\PC{0,9}(\r\n\r\n)?"), 0..6),
        step in 1..9_usize,
    ) {
        let file: String = texts.iter().map(|(kind, text)| record(kind, text)).collect();
        let is_text = |(kind, _): &&(String, String)| kind == "conversion";
        let expected = texts.iter().filter(is_text).map(|(_, text)| text.as_str().into());
        prop_assert_eq!(read(file.as_bytes(), step), Ok(expected.collect()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        mut file in prop::collection::vec(any::<u8>(), 0..100),
        has_header in any::<bool>(),
        step in 1..9_usize,
    ) {
        if has_header {
            file.splice(0..0, *b"WARC/1.0\nContent-Length: 7\n\n");
        }
        prop_assert_eq!(read(&file, step), read(&file, usize::MAX));
    }
}
