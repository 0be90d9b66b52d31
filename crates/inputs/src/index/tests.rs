//! Every cut of a file with an index gives its text once, and an index that is wrong is found out.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::blocks::Event;
use crate::format::{Field, Format, Records};
use crate::reader::{Limits, open};
use crate::testing::{Document, read_all};

const LIMITS: Limits = Limits { memory_bytes: 64 << 20 };

const INDEXED: [Compression; 2] = [Compression::Bgzf, Compression::ZstdSeekable];

/// `text` in pieces that end at `ends`, and at its end.
fn compressed(compression: Compression, text: &[u8], ends: &[usize]) -> Vec<u8> {
    let mut ends: Vec<usize> = ends.iter().map(|end| end % (text.len() + 1)).collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut start = 0;
    let pieces = ends.iter().map(|&end| &text[std::mem::replace(&mut start, end)..end]);
    if compression == Compression::Bgzf {
        let blocks = pieces.flat_map(bgzf_block).collect::<Vec<u8>>();
        return [blocks, bgzf_block(b"")].concat();
    }
    let mut entries = Vec::new();
    let mut file = Vec::new();
    for piece in pieces {
        let frame = zstd_frame(piece);
        entries.push((frame.len() as u32, piece.len() as u32));
        file.extend(frame);
    }
    file.extend(seek_table(&entries));
    file
}

/// As `bgzip` writes it.
fn bgzf_block(text: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(1));
    deflate.write_all(text).unwrap();
    let deflated = deflate.finish().unwrap();
    let deflated = if text.is_empty() { vec![3, 0] } else { deflated };
    let mut crc = flate2::Crc::new();
    crc.update(text);
    let bytes = u16::try_from(deflated.len() + 25).unwrap();
    let mut block = vec![0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 6, 0, b'B', b'C', 2, 0];
    block.extend(bytes.to_le_bytes());
    block.extend(deflated);
    block.extend(crc.sum().to_le_bytes());
    block.extend((text.len() as u32).to_le_bytes());
    block
}

fn zstd_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut frame[..], text, 1).unwrap();
    frame.truncate(length);
    frame
}

fn seek_table(entries: &[(u32, u32)]) -> Vec<u8> {
    let content: Vec<u8> = entries
        .iter()
        .flat_map(|(bytes, text_bytes)| [bytes.to_le_bytes(), text_bytes.to_le_bytes()].concat())
        .collect();
    let mut table = 0x184D_2A5E_u32.to_le_bytes().to_vec();
    table.extend((content.len() as u32 + 9).to_le_bytes());
    table.extend(content);
    table.extend((entries.len() as u32).to_le_bytes());
    table.push(0);
    table.extend(0x8F92_EAB1_u32.to_le_bytes());
    table
}

/// What a share of a document gives.
#[derive(Debug, Default, PartialEq)]
struct Given {
    before: Vec<u8>,
    text: Vec<u8>,
    behind: Vec<u8>,
}

fn read_share(file: &[u8], compression: Compression, range: Range<u64>) -> Result<Given, Damage> {
    let format = Format { compression, ..Format::default() };
    let (mut given, mut is_behind) = (Given::default(), false);
    let damage = |error| match error {
        ReadError::Damaged(damage) => damage,
        ReadError::Source(never) => match never {},
    };
    let mut events = open(file, &format, range, LIMITS).map_err(damage)?;
    while let Some(event) = events.next_event().map_err(damage)? {
        match event {
            Event::Before(before) => given.before = before.to_vec(),
            Event::Text(text) if is_behind => given.behind.extend_from_slice(text),
            Event::Text(text) => given.text.extend_from_slice(text),
            Event::EndOfShare => is_behind = true,
            Event::EndOfDocument | Event::BadRecord(_) => panic!("{event:?} of a share"),
        }
    }
    Ok(given)
}

/// Ranges from the start of a file to its end.
fn ranges(bytes: u64, cuts: &[u64]) -> Vec<Range<u64>> {
    let mut cuts: Vec<u64> = cuts.iter().map(|cut| 1 + cut % (bytes - 1)).collect();
    cuts.extend([0, bytes]);
    cuts.sort_unstable();
    let ranges = cuts.windows(2).map(|ends| ends[0]..ends[1]);
    ranges.filter(|range| !range.is_empty()).collect()
}

/// The text of all shares, if none is damaged.
fn read_shares(file: &[u8], compression: Compression, cuts: &[u64]) -> Result<Vec<Given>, Damage> {
    let ranges = ranges(file.len() as u64, cuts);
    ranges.into_iter().map(|range| read_share(file, compression, range)).collect()
}

fn index_of(file: &[u8], like: Compression) -> Compression {
    match indexed(&file, like) {
        Ok(compression) => compression,
        Err(never) => match never {},
    }
}

proptest! {
    #[test]
    fn shares_of_a_document_are_the_whole_once(
        text in prop::collection::vec(any::<u8>(), 1..3000),
        ends in prop::collection::vec(any::<usize>(), 1..30),
        cuts in prop::collection::vec(any::<u64>(), 1..6),
        is_repeated in any::<bool>(),
    ) {
        // Some pieces are tiny; some files are long, so that a decoder's buffer ends in them.
        let text = if is_repeated { text.repeat(200) } else { text };
        let ends: Vec<usize> = if is_repeated {
            (0..text.len()).step_by(30_000).chain(ends).collect()
        } else {
            ends
        };
        for compression in INDEXED {
            let file = compressed(compression, &text, &ends);
            let mut read: Vec<u8> = Vec::new();
            for given in read_shares(&file, compression, &cuts).unwrap() {
                if given == Given::default() {
                    continue;
                }
                let before = read.len().min(BEFORE_BYTES as usize);
                prop_assert_eq!(&given.before, &read[read.len() - before..]);
                read.extend(&given.text);
                prop_assert_eq!(&given.behind, &text[read.len()..]);
            }
            prop_assert_eq!(&read, &text);
        }
    }

    #[test]
    fn shares_of_json_lines_are_all_lines_once(
        words in prop::collection::vec("[a-z]{0,40}", 1..60),
        ends in prop::collection::vec(any::<usize>(), 1..30),
        cuts in prop::collection::vec(any::<u64>(), 1..6),
    ) {
        let line = |word: &String| format!("{{\"n\":[1,2],\"text\":\"{word}\"}}\n");
        let text: String = words.iter().map(line).collect();
        let field = Field::parse("text").unwrap();
        for compression in INDEXED {
            let file = compressed(compression, text.as_bytes(), &ends);
            let records = Records::JsonLines { field: field.clone() };
            let format = Format { compression, records, ..Format::default() };
            let mut read = Vec::new();
            for range in ranges(file.len() as u64, &cuts) {
                read.extend(read_all(open(&file[..], &format, range, LIMITS).unwrap()).unwrap());
            }
            let expected: Vec<Document> = words.iter().map(|word| word.as_str().into()).collect();
            prop_assert_eq!(read, expected);
        }
    }

    /// The table says of some frames that they are longer, and of others that they are shorter.
    #[test]
    fn wrong_table_is_damage_or_changes_nothing(
        text in "[a-z ]{200,600}",
        ends in prop::collection::vec(any::<usize>(), 2..12),
        cuts in prop::collection::vec(any::<u64>(), 1..6),
        errors in prop::collection::vec((any::<usize>(), any::<usize>(), 1..40_u32, any::<bool>()), 1..3),
    ) {
        let file = compressed(Compression::ZstdSeekable, text.as_bytes(), &ends);
        let table = zstd::Table::read(&&file[..]).unwrap().unwrap();
        let mut entries: Vec<(u32, u32)> = (table.entries()).collect();
        let frames = file.len() - seek_table(&entries).len();
        for (from, to, bytes, is_text) in errors {
            let (from, to) = (from % entries.len(), to % entries.len());
            let of = |entry: &mut (u32, u32)| if is_text { entry.1 } else { entry.0 };
            let bytes = bytes.min(of(&mut entries[from]).saturating_sub(1));
            let set = |entry: &mut (u32, u32), value| match is_text {
                true => entry.1 = value,
                false => entry.0 = value,
            };
            let (less, more) = (of(&mut entries[from]) - bytes, of(&mut entries[to]) + bytes);
            if from != to {
                set(&mut entries[from], less);
                set(&mut entries[to], more);
            }
        }
        let file = [&file[..frames], &seek_table(&entries)].concat();
        if let Ok(shares) = read_shares(&file, Compression::ZstdSeekable, &cuts) {
            let read: Vec<u8> = shares.into_iter().flat_map(|given| given.text).collect();
            prop_assert_eq!(read, text.into_bytes());
        }
    }

    /// Of a file that was changed, the shares never give other text than a read of the whole. Where
    /// only a header of Zstandard is wrong, libzstd finds that out or not, as its buffers are.
    #[test]
    fn shares_of_a_damaged_file_are_damaged_or_the_same_text(
        text in prop::collection::vec(any::<u8>(), 1..500),
        ends in prop::collection::vec(any::<usize>(), 1..8),
        cuts in prop::collection::vec(any::<u64>(), 1..4),
        place in any::<usize>(),
        byte in any::<u8>(),
    ) {
        for compression in INDEXED {
            let mut file = compressed(compression, &text, &ends);
            let place = place % file.len();
            file[place] = byte;
            if let Ok(shares) = read_shares(&file, compression, &cuts) {
                let read: Vec<u8> = shares.into_iter().flat_map(|given| given.text).collect();
                let format = Format { compression, ..Format::default() };
                let whole = open(&file[..], &format, 0..file.len() as u64, LIMITS).unwrap();
                if read != text {
                    prop_assert_eq!(read_all(whole), Ok(vec![Document::Text(read)]));
                }
            }
        }
    }
}

#[test]
fn files_with_an_index_are_known_by_both_ends() {
    let text = b"to be or not to be";
    let bgzf = compressed(Compression::Bgzf, text, &[5, 9]);
    assert_eq!(index_of(&bgzf, Compression::Gzip), Compression::Bgzf);
    // Without the block at the end it may be followed by anything.
    assert_eq!(index_of(&bgzf[..bgzf.len() - 28], Compression::Gzip), Compression::Gzip);
    assert_eq!(index_of(b"", Compression::Gzip), Compression::Gzip);

    let zstd = compressed(Compression::ZstdSeekable, text, &[5, 9]);
    assert_eq!(index_of(&zstd, Compression::Zstd), Compression::ZstdSeekable);
    assert_eq!(index_of(&zstd_frame(text), Compression::Zstd), Compression::Zstd);
    // A table of one frame allows no cut, and one that does not fit the file is not used.
    assert_eq!(
        index_of(&compressed(Compression::ZstdSeekable, text, &[]), Compression::Zstd),
        Compression::Zstd
    );
    let twice = [&zstd_frame(b"more"), &zstd[..]].concat();
    assert_eq!(index_of(&twice, Compression::Zstd), Compression::Zstd);
}

/// Its blocks hold BGZF that could not be compressed again.
#[test]
fn block_within_a_block_is_no_start_of_a_share() {
    let noise: Vec<u8> =
        (0..40_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let inner =
        compressed(Compression::Bgzf, &noise, &(0..40_000).step_by(900).collect::<Vec<_>>());
    let text = inner.repeat(4);
    let file =
        compressed(Compression::Bgzf, &text, &(0..text.len()).step_by(50_000).collect::<Vec<_>>());
    let cuts: Vec<u64> = (0..file.len() as u64).step_by(7_001).collect();
    let shares = read_shares(&file, Compression::Bgzf, &cuts).unwrap();
    let read: Vec<u8> = shares.into_iter().flat_map(|given| given.text).collect();
    assert!(read == text);
}
