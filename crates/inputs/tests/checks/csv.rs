//! Any bytes are read as crate `csv` reads them.

use std::num::NonZeroU32;

use inputs::{Column, DamageKind, Format, Problem, Records};

use super::{BYTE_ORDER_MARK, Document, read, whole};

/// The bytes in front of the text: the column and the delimiter, and the size of blocks.
const HEAD: usize = 2;

/// Reads the second column of `data`, or the one called `b`.
///
/// # Panics
///
/// When a record is read differently than by crate `csv`.
pub fn check(data: &[u8]) {
    let Some((&[choice, step], file)) = data.split_first_chunk::<HEAD>() else { return };
    let delimiter = if choice & 1 == 0 { b',' } else { b'\t' };
    let has_header = choice & 2 != 0;
    let column = match has_header {
        true => Column::Name("b".to_owned()),
        false => Column::Number(NonZeroU32::MIN.saturating_add(1)),
    };
    let format = Format { records: Records::Csv { column, delimiter }, ..Format::default() };
    let found = read(file, &format, whole(file), 1 + usize::from(step));
    assert_eq!(read(file, &format, whole(file), usize::MAX), found);

    let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let damage = found.damage.map(|damage| damage.kind);
    let mut records = twin(text, delimiter);
    let mut index = 1;
    if has_header && !records.is_empty() {
        let header = records.remove(0);
        match header.iter().position(|name| name == b"b") {
            Some(position) => index = position,
            // The header itself may be open.
            None => {
                let is_open = records.is_empty() && is_open(text, delimiter);
                let unfinished = DamageKind::Record(Problem::Unfinished);
                let kind = if is_open { unfinished } else { DamageKind::NoColumn };
                assert_eq!((damage, &found.documents[..]), (Some(kind), &[][..]));
                return;
            }
        }
    }
    if is_open(text, delimiter) {
        assert_eq!(damage, Some(DamageKind::Record(Problem::Unfinished)));
        // The record that is open; it may be the header.
        records.pop();
    } else {
        assert_eq!(damage, None);
    }
    assert_eq!(found.documents.len(), records.len());
    for (document, record) in found.documents.iter().zip(records) {
        match (document, record.get(index)) {
            (Document::Text(text), Some(expected)) => assert_eq!(text, expected),
            (Document::Bad(bad), None) => assert_eq!(bad.problem, Problem::NoColumn),
            (document, expected) => panic!("{document:?}, expected {expected:?}"),
        }
    }
}

fn twin(text: &[u8], delimiter: u8) -> Vec<Vec<Vec<u8>>> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    // Behind an empty line, the reader removes no byte order mark.
    let text = [b"\n", text].concat();
    let records = builder.from_reader(&text[..]).into_byte_records();
    let fields = |record: csv::ByteRecord| record.iter().map(<[u8]>::to_vec).collect();
    records.map(|record| fields(record.expect("memory can be read"))).collect()
}

/// Whether the text ends within quotes.
fn is_open(text: &[u8], delimiter: u8) -> bool {
    #[derive(PartialEq)]
    enum State {
        Begin,
        Bare,
        Quoted,
        /// Behind a quote within quotes.
        Quote,
    }
    let mut state = State::Begin;
    for &byte in text {
        state = match (state, byte) {
            (State::Begin | State::Quote, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) => State::Quoted,
            (_, b'\r' | b'\n') => State::Begin,
            (_, byte) if byte == delimiter => State::Begin,
            _ => State::Bare,
        };
    }
    state == State::Quoted
}
