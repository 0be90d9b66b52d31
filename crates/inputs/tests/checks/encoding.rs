//! Any bytes are decoded as `encoding_rs` and the standard library decode them at once.

use inputs::{Encoding, Format};

use super::{BYTE_ORDER_MARK, Document, read, whole};

/// The bytes in front of the text: the encoding, and the size of blocks.
const HEAD: usize = 2;

/// Decodes `data` by the encoding that its first byte says.
///
/// # Panics
///
/// When the text is another than if it is decoded at once.
pub fn check(data: &[u8]) {
    let Some((&[label, step], file)) = data.split_first_chunk::<HEAD>() else { return };
    let label = LABELS[usize::from(label) % LABELS.len()];
    let encoding = Encoding::of_label(label).expect("a label is one of an encoding");
    let format = Format { encoding, ..Format::default() };
    let found = read(file, &format, whole(file), 1 + usize::from(step));
    assert_eq!(read(file, &format, whole(file), usize::MAX), found);
    assert_eq!((&found.rest[..], found.damage), (&b""[..], None));
    let expected = match label {
        "utf-8" => file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file).to_vec(),
        "utf-16le" => utf_16(file, u16::from_le_bytes),
        "utf-16be" => utf_16(file, u16::from_be_bytes),
        "utf-32le" => utf_32(file, u32::from_le_bytes),
        "utf-32be" => utf_32(file, u32::from_be_bytes),
        label => {
            let twin = encoding_rs::Encoding::for_label(label.as_bytes());
            let (text, _) =
                twin.expect("a label is one of an encoding").decode_with_bom_removal(file);
            text.into_owned().into_bytes()
        }
    };
    let [Document::Text(text)] = &found.documents[..] else { panic!("not one document") };
    // UTF-8 is given as it is.
    let shown = if label == "utf-8" { text.clone() } else { replaced(text) };
    assert_eq!(shown, expected, "{label}");
}

/// With the character that others put where there is none.
fn replaced(text: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    for &byte in text {
        match byte {
            0xFF => replaced.extend_from_slice("\u{FFFD}".as_bytes()),
            byte => replaced.push(byte),
        }
    }
    replaced
}

fn utf_16(file: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let (units, rest) = file.as_chunks::<2>();
    let units = units.iter().map(|&bytes| unit(bytes));
    let characters = char::decode_utf16(units).map(|found| found.unwrap_or('\u{FFFD}'));
    let mut text: String = characters.collect();
    // Behind half a pair of surrogates it is one sequence with it.
    let is_one = text.ends_with('\u{FFFD}') && ends_with_high_surrogate(file, unit);
    if !rest.is_empty() && !is_one {
        text.push('\u{FFFD}');
    }
    text.strip_prefix('\u{FEFF}').unwrap_or(&text).as_bytes().to_vec()
}

fn ends_with_high_surrogate(file: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let (units, _) = file.as_chunks::<2>();
    units.last().is_some_and(|&bytes| (0xD800..0xDC00).contains(&unit(bytes)))
}

fn utf_32(file: &[u8], unit: fn([u8; 4]) -> u32) -> Vec<u8> {
    let (units, rest) = file.as_chunks::<4>();
    let character = |&bytes: &[u8; 4]| char::from_u32(unit(bytes)).unwrap_or('\u{FFFD}');
    let mut text: String = units.iter().map(character).collect();
    if !rest.is_empty() {
        text.push('\u{FFFD}');
    }
    text.strip_prefix('\u{FEFF}').unwrap_or(&text).as_bytes().to_vec()
}

/// All that have rules of their own.
const LABELS: [&str; 16] = [
    "utf-8",
    "utf-16le",
    "utf-16be",
    "utf-32le",
    "utf-32be",
    "windows-1252",
    "shift_jis",
    "gb18030",
    "gbk",
    "big5",
    "euc-jp",
    "euc-kr",
    "iso-2022-jp",
    "koi8-r",
    "macintosh",
    "x-user-defined",
];
