//! Any lines are read as by building a tree of each, in shares of any size.

use inputs::{Field, Format, Problem, Records};
use serde_json::Value;

use super::{BYTE_ORDER_MARK, Document, read, whole};

/// The bytes in front of the lines: the field, the size of blocks, and a cut of two bytes.
const HEAD: usize = 4;

/// Reads the lines of `data` as a whole, and as two shares.
///
/// # Panics
///
/// When a line is read differently than by building a tree, or when the shares have other records
/// than the whole.
pub fn check(data: &[u8]) {
    let Some((&[field, step, ref cut @ ..], file)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    let field = ["a", "a.b", "text"][usize::from(field) % 3];
    let step = 1 + usize::from(step);
    let cut = u64::from(u16::from_le_bytes(*cut)) % (file.len() as u64 + 1);
    let records = Records::JsonLines { field: Field::parse(field).expect("a field has names") };
    let format = Format { records, ..Format::default() };
    let found = read(file, &format, whole(file), usize::MAX);
    assert_eq!((&found.rest[..], found.damage), (&b""[..], None));
    assert_eq!(read(file, &format, whole(file), step), found);
    check_lines(file, field, &found.documents);
    let parts = [0..cut, cut..file.len() as u64];
    let parts = parts.into_iter().flat_map(|part| read(file, &format, part, step).documents);
    let unnumbered = |document| match document {
        Document::Bad(mut record) => {
            record.number = None;
            Document::Bad(record)
        }
        Document::Text(text) => Document::Text(text),
    };
    let expected = found.documents.into_iter().map(unnumbered);
    assert_eq!(parts.map(unnumbered).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn check_lines(file: &[u8], field: &str, documents: &[Document]) {
    let mut documents = documents.iter();
    let text = file.strip_prefix(BYTE_ORDER_MARK);
    let mut offset = if text.is_some() { BYTE_ORDER_MARK.len() as u64 } else { 0 };
    // A part of a mark, and nothing else, is a record that is bad.
    for (index, line) in text.unwrap_or(file).split(|&byte| byte == b'\n').enumerate() {
        let begin = if index == 0 { 0 } else { offset };
        offset += line.len() as u64 + 1;
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            continue;
        }
        let found = documents.next().expect("a line is a document, or bad");
        if let Document::Bad(record) = found {
            assert_eq!((record.offset, record.number), (begin, Some(index as u64 + 1)));
        }
        let Ok(line) = std::str::from_utf8(line) else { continue };
        match (twin(line, field), found) {
            (Twin::Text(text), Document::Text(found)) => assert_eq!(found, text.as_bytes()),
            (Twin::WrongType, Document::Bad(bad)) => assert_eq!(bad.problem, Problem::WrongType),
            (Twin::Bad, Document::Bad(bad)) => assert_ne!(bad.problem, Problem::WrongType),
            (Twin::Unknown, _) => {}
            (expected, found) => panic!("{line:?} is {found:?}, expected {expected:?}"),
        }
    }
    assert_eq!(documents.next(), None);
}

#[derive(Debug)]
enum Twin {
    Bad,
    Text(String),
    /// The twin refuses what is allowed.
    Unknown,
    WrongType,
}

fn twin(line: &str, field: &str) -> Twin {
    let value: Value = match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => {
            let error = error.to_string();
            // Half a pair of surrogates, 128 levels, and 1e999.
            let stricter = ["hex escape", "recursion limit", "number out of range"];
            let is_stricter = stricter.iter().any(|cause| error.contains(cause));
            return if is_stricter { Twin::Unknown } else { Twin::Bad };
        }
    };
    if !value.is_object() {
        return Twin::Bad;
    }
    let mut found = &value;
    for name in field.split('.') {
        let Some(next) = found.get(name) else { return Twin::Text(String::new()) };
        found = next;
    }
    match found {
        Value::Null => Twin::Text(String::new()),
        Value::String(text) => Twin::Text(text.clone()),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Twin::WrongType,
    }
}
