//! Any file is found to be of some format, by which it is read, or is refused; text is not.

use std::num::NonZeroU32;
use std::path::Path;

use inputs::{
    Choice, Column, Compression, Encoding, ExamineError, Field, Format, HEAD_BYTES, Kind, NotText,
};

use super::{read, whole};

/// The bytes in front of the file: what the user has chosen, and the name.
const HEAD: usize = 2;

/// Looks at `data` as a file of some name, and reads it.
///
/// # Panics
///
/// When text is refused.
pub fn check(data: &[u8]) {
    let Some((&[choice, name], file)) = data.split_first_chunk::<HEAD>() else { return };
    let name = NAMES[usize::from(name) % NAMES.len()];
    let choice = choices(choice);
    let (is_auto, is_name_of_text) = (choice == Choice::default(), name == NAMES[0]);
    let mut head = vec![0; HEAD_BYTES];
    match inputs::examine(Path::new(name), &file, &mut head, &choice) {
        Ok(format) => {
            assert!(!format.to_string().is_empty());
            read(file, &format, whole(file), usize::MAX);
            if is_auto && is_name_of_text && is_plain_text(file) {
                assert_eq!(format, Format::default());
            }
        }
        Err(ExamineError::NotText(why)) => {
            assert!(!why.to_string().is_empty());
            let is_text = is_plain_text(file) && is_auto && is_name_of_text;
            assert!(!is_text, "{why}");
            assert_ne!(choice.kind, Kind::Text, "{why}");
            if let NotText::Invalid { percent } = why {
                assert!((10..=100).contains(&percent));
            }
        }
        Err(ExamineError::Source(error)) => match error {},
    }
}

/// What `docs/formats.md` calls text.
fn is_plain_text(file: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"%PDF-", b"PAR1", b"PARE", b"WARC/"];
    std::str::from_utf8(file).is_ok()
        && !file.contains(&0)
        && Compression::of(file) == Compression::None
        && !magics.iter().any(|magic| {
            file.starts_with(magic)
                || file
                    .strip_prefix(super::BYTE_ORDER_MARK)
                    .is_some_and(|text| text.starts_with(magic))
        })
}

fn choices(choice: u8) -> Choice {
    let none = Choice::default();
    let kind = |kind| Choice { kind, ..Choice::default() };
    let encoding = |label| Choice { encoding: Encoding::of_label(label), ..Choice::default() };
    let column = |column| Choice { column: Some(column), ..Choice::default() };
    match choice % 10 {
        1 => kind(Kind::Text),
        2 => kind(Kind::Wet),
        3 => Choice { field: Field::parse("a.b").ok(), ..kind(Kind::JsonLines) },
        4 => column(Column::Name("b".to_owned())),
        5 => column(Column::Number(NonZeroU32::MIN)),
        6 => Choice { kind: Kind::Tsv, ..column(Column::Name("b".to_owned())) },
        7 => encoding("windows-1252"),
        8 => encoding("utf-16le"),
        9 => encoding("utf-32be"),
        _ => none,
    }
}

/// The first says nothing.
const NAMES: [&str; 8] =
    ["a.txt", "a.jsonl", "a.gz", "a.jsonl.zst", "a.tsv", "a.csv.bz2", "a.wet.xz", "a.ndjson.lz4"];
