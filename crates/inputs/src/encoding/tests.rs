//! Encodings against the standard library and against `encoding_rs` at once.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// Gives `bytes` in blocks of `step`.
struct Steps<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Blocks for Steps<'_> {
    type Error = Infallible;

    fn pending(&mut self) -> Result<&[u8], ReadError<Infallible>> {
        Ok(&self.bytes[..self.step.min(self.bytes.len())])
    }

    fn take(&mut self, bytes: usize) {
        self.bytes = &self.bytes[bytes..];
    }

    fn bytes_read(&self) -> u64 {
        0
    }
}

fn read(encoding: Encoding, bytes: &[u8], step: usize) -> Vec<u8> {
    let mut blocks = decoded(Steps { bytes, step }, encoding);
    let mut text = Vec::new();
    loop {
        let block = blocks.pending().unwrap();
        if block.is_empty() {
            return text;
        }
        text.extend_from_slice(block);
        let length = block.len();
        blocks.take(length);
    }
}

#[track_caller]
fn check(encoding: Encoding, bytes: &[u8], expected: &[u8]) {
    for step in [1, 2, 3, 4, 5, 1000] {
        assert_eq!(read(encoding, bytes, step), expected, "{encoding:?} in steps of {step}");
    }
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn utf_32(text: &str, to_bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().map(u32::from).flat_map(to_bytes).collect()
}

#[test]
fn text_is_the_same_in_every_encoding_and_a_mark_at_its_start_is_none_of_it() {
    let text = "naïve 中文 🦀 \u{FEFF}x";
    for mark in ["", "\u{FEFF}"] {
        let marked = format!("{mark}{text}");
        check(Encoding::UTF_8, marked.as_bytes(), text.as_bytes());
        check(Encoding::UTF_16LE, &utf_16(&marked, u16::to_le_bytes), text.as_bytes());
        check(Encoding::UTF_16BE, &utf_16(&marked, u16::to_be_bytes), text.as_bytes());
        check(Encoding::UTF_32LE, &utf_32(&marked, u32::to_le_bytes), text.as_bytes());
        check(Encoding::UTF_32BE, &utf_32(&marked, u32::to_be_bytes), text.as_bytes());
    }
    let windows = Encoding::of_label("windows-1252").unwrap();
    check(windows, b"na\xEFve \x80", "naïve €".as_bytes());
    let sjis = Encoding::of_label("SJIS").unwrap();
    check(sjis, b"\x93\xFA\x96{", "日本".as_bytes());
}

#[test]
fn what_is_no_character_becomes_one_invalid_byte() {
    check(Encoding::UTF_8, b"a\xFFb", b"a\xFFb");
    check(Encoding::UTF_8, b"\xEF\xBB", b"\xEF\xBB");
    // A lone surrogate, and half a unit at the end.
    check(Encoding::UTF_16LE, b"a\0\x00\xD8b\0c", b"a\xFFb\xFF");
    check(Encoding::UTF_32LE, b"a\0\0\0\0\xD8\0\0b\0\0\0\x01", b"a\xFFb\xFF");
    check(Encoding::UTF_32BE, b"\0\x11\0\0", b"\xFF");
    let sjis = Encoding::of_label("shift_jis").unwrap();
    check(sjis, b"a\x81", b"a\xFF");
}

#[test]
fn encodings_have_names_and_labels() {
    for (label, name) in [
        ("utf8", "UTF-8"),
        ("latin1", "windows-1252"),
        ("UTF-16le", "UTF-16LE"),
        ("utf-32be", "UTF-32BE"),
        (" gb18030 ", "gb18030"),
    ] {
        let encoding = Encoding::of_label(label).unwrap();
        assert_eq!(encoding.name(), name);
        assert_eq!(Encoding::of_label(name), Some(encoding));
    }
    assert_eq!(Encoding::of_label("utf8").unwrap(), Encoding::UTF_8);
    for label in ["", "klingon", "replacement", "UTF-7"] {
        assert_eq!(Encoding::of_label(label), None, "{label}");
    }
}

/// More invalid bytes than fit into one block of text.
#[test]
fn long_text_of_invalid_units_is_read() {
    let units = 3 * TEXT_BYTES;
    let text = read(Encoding::UTF_16LE, &b"\x00\xD8".repeat(units), 100_000);
    assert_eq!(text, vec![0xFF; units]);
}

proptest! {
    #[test]
    fn any_units_are_read_as_the_standard_library_does(
        units in prop::collection::vec(any::<u16>(), 0..40),
        step in 1..9_usize,
    ) {
        let units = units.into_iter().skip_while(|&unit| unit == 0xFEFF).collect::<Vec<_>>();
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let mut expected = Vec::new();
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => expected.extend(character.to_string().as_bytes()),
                Err(_) => expected.push(0xFF),
            }
        }
        prop_assert_eq!(read(Encoding::UTF_16BE, &bytes, step), expected);
    }

    #[test]
    fn any_bytes_are_read_the_same_in_any_steps(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        step in 1..9_usize,
        index in 0..6_usize,
    ) {
        let label = ["utf-8", "utf-16le", "utf-32le", "gb18030", "iso-2022-jp", "big5"][index];
        let encoding = Encoding::of_label(label).unwrap();
        prop_assert_eq!(read(encoding, &bytes, step), read(encoding, &bytes, usize::MAX));
    }
}
