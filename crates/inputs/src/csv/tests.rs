//! Comma-separated values against crate `csv`.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::testing::{Document, Drip, read_all};

fn read_steps(
    file: &[u8],
    column: &Column,
    delimiter: u8,
    step: usize,
) -> Result<Vec<Document>, DamageKind> {
    read_all(Csv::new(Drip::input(file, step), column, delimiter))
}

fn read(file: &str, column: &Column) -> Result<Vec<Document>, DamageKind> {
    let whole = read_steps(file.as_bytes(), column, b',', usize::MAX);
    for step in [1, 2, 3] {
        assert_eq!(read_steps(file.as_bytes(), column, b',', step), whole, "in steps of {step}");
    }
    whole
}

fn name(name: &str) -> Column {
    Column::Name(name.to_owned())
}

fn number(number: u32) -> Column {
    Column::Number(NonZeroU32::new(number).unwrap())
}

fn texts(texts: &[&str]) -> Vec<Document> {
    texts.iter().map(|&text| text.into()).collect()
}

fn bad(offset: u64, number: u64, problem: Problem) -> Document {
    Document::Bad(BadRecord { offset, number: Some(number), problem })
}

#[test]
fn column_is_chosen_by_name_or_by_number() {
    let file = "id,text,url\n1,one,x\n2,two,y\n";
    assert_eq!(read(file, &name("text")), Ok(texts(&["one", "two"])));
    assert_eq!(read(file, &name("url")), Ok(texts(&["x", "y"])));
    assert_eq!(read(file, &number(2)), Ok(texts(&["text", "one", "two"])));
    assert_eq!(read(file, &name("Text")), Err(DamageKind::NoColumn));
    assert_eq!(read("", &name("text")), Ok(vec![]));
    let tabs = read_steps(b"a\tb\n1,2\t\"x\ty\"\n", &name("b"), b'\t', 3);
    assert_eq!(tabs, Ok(texts(&["x\ty"])));
}

#[test]
fn quotes_hold_delimiters_line_feeds_and_quotes() {
    let file = "a,\"b,c\"\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n2,\r\n\r\n3,\"\"";
    let expected = texts(&["two\r\nlines, \"quoted\"", "", ""]);
    assert_eq!(read(file, &name("b,c")), Ok(expected));
}

#[test]
fn records_without_the_column_are_bad_and_an_open_quote_is_damage() {
    let file = "a,b\n1,x\n2\n3,y\n";
    let expected = vec!["x".into(), bad(8, 3, Problem::NoColumn), "y".into()];
    assert_eq!(read(file, &name("b")), Ok(expected));
    let file = "a,b\n1,x\n2,\"y\n3,z\n";
    // It takes the rest of the file, which is no record to skip.
    let unfinished = Err(DamageKind::Record(Problem::Unfinished));
    assert_eq!(read(file, &name("b")), unfinished);
    assert_eq!(read("a,b\n1,x\n\"2,y\n3,z\n", &name("b")), unfinished);
    assert_eq!(read("a,\"b", &name("b")), unfinished);
}

/// The first one is removed where the text is decoded.
#[test]
fn byte_order_mark_within_the_text_is_a_part_of_it() {
    assert_eq!(read("\u{FEFF}a,b\n", &number(1)), Ok(texts(&["\u{FEFF}a"])));
    assert_eq!(read("\n\u{FEFF}a,b\n", &number(1)), Ok(texts(&["\u{FEFF}a"])));
}

#[test]
fn field_larger_than_is_held_is_given_in_parts() {
    let large = "x".repeat(3 * HELD_BYTES_MAX + 1);
    let column = name("b");
    let good = format!("a,b\n1,{large}\n2,y");
    let expected = texts(&[&large, "y"]);
    assert!(read_steps(good.as_bytes(), &column, b',', usize::MAX) == Ok(expected));
    let open = format!("a,b\n1,\"{large}");
    let found = read_steps(open.as_bytes(), &column, b',', usize::MAX);
    assert!(found == Err(DamageKind::Record(Problem::Unfinished)));
}

/// The second column of each record, if it has one.
fn twin(file: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let records = reader.byte_records();
    records.map(|record| record.unwrap().get(1).map(<[u8]>::to_vec)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_read_as_crate_csv_does(
        pieces in prop::collection::vec(
            prop::sample::select(&["a", ",", "\"", "\n", "\r\n", "\"\"", "\"b\"", " ", "\r", "é"][..]),
            0..20,
        ),
        step in 1..5_usize,
    ) {
        let file = pieces.concat();
        let found = match read_steps(file.as_bytes(), &number(2), b',', step) {
            Ok(found) => found,
            Err(kind) => {
                prop_assert_eq!(kind, DamageKind::Record(Problem::Unfinished));
                prop_assert!(file.contains('"'));
                return Ok(());
            }
        };
        let text = |document| match document {
            Document::Text(text) => Some(text),
            Document::Bad(bad) => {
                assert_eq!(bad.problem, Problem::NoColumn);
                None
            }
        };
        let found: Vec<_> = found.into_iter().map(text).collect();
        prop_assert_eq!(found, twin(file.as_bytes()));
    }
}
