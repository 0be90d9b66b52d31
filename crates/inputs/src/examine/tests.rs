//! What files are, and what is refused.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(name: &str, file: &[u8], expected: Result<Format, NotText>) {
    assert_eq!(find(name, file, &Choice::default()), expected, "{name}");
}

fn find(name: &str, file: &[u8], choice: &Choice) -> Result<Format, NotText> {
    let mut head = vec![0; HEAD_BYTES];
    examine(Path::new(name), &file, &mut head, choice).map_err(|error| match error {
        ExamineError::NotText(why) => why,
        ExamineError::Source(error) => match error {},
    })
}

fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf_32(text: &str) -> Vec<u8> {
    text.chars().flat_map(|character| u32::from(character).to_be_bytes()).collect()
}

const GZIP: Format =
    Format { compression: Compression::Gzip, encoding: Encoding::UTF_8, records: Records::None };

#[test]
fn text_is_text_whatever_it_begins_with() {
    for text in [
        "",
        "a",
        "\n",
        "MZ was a general.",
        "BM, II* and ID3 are letters; Rar! too. PK",
        "BZh9 is no stream",
        "#!/bin/sh\n",
        "{\"a\":1}",
        "<?xml version=\"1.0\"?><html>",
        "\u{1b}[31merror\u{1b}[0m\r\n",
        "हिन्दी ไทย 中文 🦀",
        "\u{FEFF}marked",
        "WARN/1.0",
    ] {
        check("a.txt", text.as_bytes(), Ok(Format::default()));
        check("a.txt.gz", &gzip(text.as_bytes()), Ok(GZIP));
    }
    // Some bytes are not UTF-8.
    check("a", b"na\xEFve, in a text of windows-1252 with few such letters", Ok(Format::default()));
    // A character that the end of the head cuts.
    let long = format!("{}é", "x".repeat(HEAD_BYTES - 1));
    check("a", &long.as_bytes()[..HEAD_BYTES], Ok(Format::default()));
}

#[test]
fn binary_files_are_refused_by_the_name_of_their_kind() {
    let binary = |extension| Err(NotText::Binary { extension, compression: Compression::None });
    check("a", b"%PDF-1.7\n%text", binary("pdf"));
    let parquet = match cfg!(feature = "parquet") {
        true => Err(NotText::Damaged { what: "Parquet", kind: DamageKind::Truncated }),
        false => binary("parquet"),
    };
    check("a", b"PAR1\x15\x04", parquet);
    check("a.lz4", b"\x02\x21\x4C\x18\x05\0\0\0text", binary("legacy lz4"));
    check("a.txt", b"PK\x03\x04\x14\0\0\0\x08\0", binary("zip"));
    check("a", b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", binary("png"));
    check("a", b"7z\xBC\xAF\x27\x1C\0\x04", binary("7z"));
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7FELF\x02\x01\x01");
    check("a", &elf, binary("elf"));
    check("a", b"text\0text", Err(NotText::Nul { compression: Compression::None }));
    check("a", &b"\xC3(\xFF\xFEab".repeat(9), Err(NotText::Invalid { percent: 50 }));

    let mut tar = vec![0; 1024];
    tar[..5].copy_from_slice(b"a.txt");
    tar[257..262].copy_from_slice(b"ustar");
    check("a.tar", &tar, binary("tar"));
    let inside = NotText::Binary { extension: "tar", compression: Compression::Gzip };
    check("a.tar.gz", &gzip(&tar), Err(inside.clone()));
    assert_eq!(inside.to_string(), "holds gzip of tar, not text");
    let inside = NotText::Nul { compression: Compression::Gzip };
    check("a.gz", &gzip(b"\0\x01\x02"), Err(inside));
}

#[test]
fn encodings_are_known_by_their_marks_and_suspected_without() {
    let text = "\u{FEFF}to be, or not";
    let marked = |encoding| Ok(Format { encoding, ..Format::default() });
    check("a", &utf_16(text), marked(Encoding::UTF_16LE));
    check("a", &utf_32(text), marked(Encoding::UTF_32BE));
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check("a", &big, marked(Encoding::UTF_16BE));
    let little: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    check("a", &little, marked(Encoding::UTF_32LE));

    let unmarked = |encoding| Err(NotText::Unmarked { encoding });
    check("a", &utf_16(&text[3..]), unmarked(Encoding::UTF_16LE));
    check("a", &utf_32(&text[3..]), unmarked(Encoding::UTF_32BE));
    check("a", &big[2..], unmarked(Encoding::UTF_16BE));
    check("a", &little[4..], unmarked(Encoding::UTF_32LE));
    check("a", &utf_16("Быть или не быть, вот"), unmarked(Encoding::UTF_16LE));

    // Bytes that no text has are in none, however it is encoded.
    let western = Encoding::of_label("windows-1252");
    let choice = Choice { encoding: western, ..Choice::default() };
    let png = find("a", b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", &choice);
    let compression = Compression::None;
    assert_eq!(png, Err(NotText::Binary { extension: "png", compression }));
    assert!(find("a", b"%PDF-1.7", &choice).is_err());
    let choice = Choice { encoding: Some(Encoding::UTF_16LE), ..Choice::default() };
    assert!(find("a", &b"\x00\xD8".repeat(20), &choice).is_err());

    // A choice is for the files that have no mark.
    let encoding = Encoding::of_label("windows-1252");
    let choice = Choice { encoding, ..Choice::default() };
    let found = |file: &[u8]| find("a", file, &choice).unwrap().encoding;
    assert_eq!(found(&b"\xE9\xE8".repeat(9)).name(), "windows-1252");
    assert_eq!(found(&utf_16(text)), Encoding::UTF_16LE);
    assert_eq!(found(text.as_bytes()), Encoding::UTF_8);
}

#[test]
fn compressions_are_known_by_their_content_and_their_names_must_agree() {
    for (head, compression) in [
        (&b"\x1F\x8B\x08\0"[..], Compression::Gzip),
        (b"\x28\xB5\x2F\xFD", Compression::Zstd),
        (b"\x5A\x2A\x4D\x18\x01\0\0\0x\x28\xB5\x2F\xFD", Compression::Zstd),
        (b"\x5A\x2A\x4D\x18\x01\0\0\0x\x04\x22\x4D\x18", Compression::Lz4),
        (b"\x04\x22\x4D\x18", Compression::Lz4),
        (b"\xFD7zXZ\0", Compression::Xz),
        (b"BZh91AY&SY", Compression::Bzip2),
        (b"BZh1\x17\x72\x45\x38\x50\x90", Compression::Bzip2),
        (b"BZh", Compression::None),
        (b"\x1F\x8B", Compression::None),
        (b"", Compression::None),
    ] {
        assert_eq!(Compression::of(head), compression, "{head:?}");
    }
    check("a", &gzip(b"text"), Ok(GZIP));
    check("a.gz", b"", Ok(Format::default()));
    let compression = Compression::Zstd;
    check("a.txt.ZST", b"text", Err(NotText::Misnamed { compression }));
    let (outer, inner) = (Compression::Gzip, Compression::Gzip);
    check("a.gz", &gzip(&gzip(b"text")), Err(NotText::Compressed { outer, inner }));
    let (compression, kind) = (Compression::Gzip, DamageKind::Malformed);
    check(
        "a.gz",
        b"\x1F\x8B\x08\xFFxxxxxxxxxxxx\0\0\0",
        Err(NotText::Damaged { what: compression.name(), kind }),
    );
    // Damage behind the head is for the job to find.
    let file = gzip(&b"to be or not to be ".repeat(100_000));
    check("a.gz", &file[..file.len() / 2], Ok(GZIP));
    let (compression, kind) = (Compression::Gzip, DamageKind::Truncated);
    check("a.gz", &file[..11], Err(NotText::Damaged { what: compression.name(), kind }));
}

/// A loop: as a recursion, it takes all of the stack.
#[test]
fn many_frames_to_skip_take_no_stack() {
    for (frame, expected) in
        [(&b"\x04\x22\x4D\x18"[..], Compression::Lz4), (b"", Compression::Zstd)]
    {
        let mut file = b"\x5A\x2A\x4D\x18\0\0\0\0".repeat(100_000);
        file.extend_from_slice(frame);
        assert_eq!(Compression::of(&file), expected);
    }
}

#[test]
fn records_are_chosen_or_asked_for() {
    let object = b"{\"id\":{\"x\":1},\"te\\\"xt\":\"a,b\",\"url\":[\"no\"]}\n{\"other\":1}\n";
    let fields = ["id", "te\\\"xt", "url"].map(str::to_owned).to_vec();
    let wanted = Err(NotText::FieldWanted { fields });
    check("a.jsonl", object, wanted.clone());
    check("a.ndjson.gz", &gzip(object), wanted);
    check("a.jsonl", b"not an object\n", Ok(Format::default()));
    check("a.json", object, Ok(Format::default()));

    let choose = |choice: Choice, name: &str, head: &[u8]| {
        find(name, head, &choice).map(|format| format.records)
    };
    let field = Field::parse("text").unwrap();
    let choice = Choice { field: Some(field.clone()), ..Choice::default() };
    assert_eq!(choose(choice, "a.txt", object), Ok(Records::JsonLines { field }));

    let column = Column::Name("b".to_owned());
    let by_name = |kind| Choice { kind, column: Some(column.clone()), ..Choice::default() };
    let csv = |delimiter| Ok(Records::Csv { column: column.clone(), delimiter });
    assert_eq!(choose(by_name(Kind::Auto), "x.csv", b"a,b\n1,2"), csv(b','));
    assert_eq!(choose(by_name(Kind::Auto), "x.tsv", b"a\tb\n1\t2"), csv(b'\t'));
    assert_eq!(choose(by_name(Kind::Tsv), "x", b"a\tb\n1\t2"), csv(b'\t'));
    assert_eq!(choose(by_name(Kind::Auto), "x", b"a\tb\n1\t2"), csv(b'\t'));
    assert_eq!(choose(by_name(Kind::Auto), "x", b""), csv(b','));
    let columns = vec!["a".to_owned(), "c,\n".to_owned()];
    let missing = Err(NotText::NoColumn { column: "b".to_owned(), columns });
    assert_eq!(choose(by_name(Kind::Csv), "x", b"\xEF\xBB\xBFa,\"c,\n\"\n1,2"), missing);
    check("a.csv", b"a,b\n", Ok(Format::default()));
    // A header that is longer than the head is for the job to read.
    let long = format!("{}b\n1,2\n", "a,".repeat(HEAD_BYTES));
    assert_eq!(choose(by_name(Kind::Csv), "x", long.as_bytes()), csv(b','));

    let wet = b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\nWARC/1.0\r\nWARC-Type: conversion\r\n";
    assert_eq!(choose(Choice::default(), "a", wet), Ok(Records::Wet));
    assert_eq!(choose(Choice::default(), "a.warc.wet", &wet[..20]), Ok(Records::Wet));
    check("a.warc", b"WARC/1.0\r\nWARC-Type: response\r\n\r\n\0", Err(NotText::Warc));
}

/// A block of bzip2 has 900 KB, one of LZ4 up to 4 MiB: the first one is read, however long.
#[test]
fn first_block_of_any_size_is_looked_into() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    })
    .take(6 << 20)
    .collect();
    let mut tar = noise.clone();
    tar[..512].fill(0);
    tar[257..262].copy_from_slice(b"ustar");
    let utf_16 = utf_16(&format!("\u{FEFF}{}", std::str::from_utf8(&noise[..3 << 20]).unwrap()));
    let lines = [b"{\"text\":\"".as_slice(), &noise, b"\"}\n"].concat();
    for compression in WITHOUT_INDEX {
        let found = |name, text| find(name, &compress(compression, text), &Choice::default());
        let is_tar = found("a", &tar);
        assert_eq!(
            is_tar,
            Err(NotText::Binary { extension: "tar", compression }),
            "{compression:?}"
        );
        assert_eq!(found("a", &utf_16).unwrap().encoding, Encoding::UTF_16LE, "{compression:?}");
        let fields = vec!["text".to_owned()];
        assert_eq!(found("a.jsonl", &lines), Err(NotText::FieldWanted { fields }));
    }
}

fn compress(compression: Compression, text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match compression {
        Compression::None => text.to_vec(),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::new(9));
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bgzf | Compression::Gzip => gzip(text),
        Compression::Lz4 => {
            let info =
                lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max4MB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, vec![]);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(vec![], 1);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd | Compression::ZstdSeekable => {
            let mut out = vec![0; zstd_safe::compress_bound(text.len())];
            let length = zstd_safe::compress(&mut out[..], text, 1).unwrap();
            out.truncate(length);
            out
        }
    }
}

#[test]
fn text_as_it_is_refuses_nothing() {
    let choice = Choice { kind: Kind::Text, ..Choice::default() };
    for head in [&b"\0\0"[..], b"%PDF-", &gzip(b"text"), b"\xFF\xFE"] {
        assert_eq!(find("a.gz", head, &choice), Ok(Format::default()));
    }
}

proptest! {
    #[test]
    fn any_text_without_nul_is_text(text in "[^\0]{0,200}") {
        prop_assume!(!["%PDF-", "PAR1", "PARE", "WARC/"].iter().any(|magic| text.starts_with(magic)));
        prop_assert_eq!(
            find("a.txt", text.as_bytes(), &Choice::default()),
            Ok(Format::default())
        );
    }

    #[test]
    fn any_bytes_are_something(head in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = find("a.jsonl", &head, &Choice::default());
    }
}

/// As the first bytes of a file tell them.
const WITHOUT_INDEX: [Compression; 5] =
    [Compression::Bzip2, Compression::Gzip, Compression::Lz4, Compression::Xz, Compression::Zstd];
