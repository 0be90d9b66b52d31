//! Files of every encoding, page version and compression, against what was written.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::*;
use crate::testing::{Document, read_all};

const LIMITS: Limits = Limits { memory_bytes: 64 << 20 };

/// How a file is written.
#[derive(Clone, Copy, Debug)]
struct Written {
    encoding: Option<Encoding>,
    compression: Compression,
    version: WriterVersion,
    rows_in_a_group: usize,
}

const PLAIN: Written = Written {
    encoding: Some(Encoding::PLAIN),
    compression: Compression::UNCOMPRESSED,
    version: WriterVersion::PARQUET_1_0,
    rows_in_a_group: 7,
};

/// A file with the column `message.body`, an integer, and a list of strings.
fn file(rows: &[Option<Vec<u8>>], written: Written) -> Vec<u8> {
    let schema = "message schema {
        required int32 id;
        optional group message { optional binary body (STRING); }
        repeated binary tags (STRING);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut properties = WriterProperties::builder()
        .set_compression(written.compression)
        .set_writer_version(written.version)
        .set_data_page_row_count_limit(3)
        .set_write_batch_size(1);
    if let Some(encoding) = written.encoding {
        properties = properties
            .set_dictionary_enabled(false)
            .set_column_encoding(ColumnPath::from("message.body"), encoding);
    }
    let mut file = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut file, schema, Arc::new(properties.build())).unwrap();
    for rows in rows.chunks(written.rows_in_a_group) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i32> = (0..rows.len() as i32).collect();
        column.typed::<parquet::data_type::Int32Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> =
            rows.iter().flatten().map(|text| ByteArray::from(text.clone())).collect();
        let levels: Vec<i16> = rows
            .iter()
            .enumerate()
            .map(|(row, text)| if text.is_some() { 2 } else { row as i16 % 2 })
            .collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let zeros = vec![0; rows.len()];
        column.typed::<ByteArrayType>().write_batch(&[], Some(&zeros), Some(&zeros)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    file
}

fn open(file: &[u8], range: Range<u64>) -> Result<Vec<Document>, DamageKind> {
    match Parquet::new(file, "message.body", range, LIMITS) {
        Ok(events) => read_all(events),
        Err(ReadError::Damaged(damage)) => Err(damage.kind),
        Err(ReadError::Source(never)) => match never {},
    }
}

fn whole(file: &[u8]) -> Result<Vec<Document>, DamageKind> {
    open(file, 0..file.len() as u64)
}

fn documents(rows: &[Option<Vec<u8>>]) -> Vec<Document> {
    rows.iter().map(|text| Document::Text(text.clone().unwrap_or_default())).collect()
}

fn compressions() -> Vec<Compression> {
    vec![Compression::UNCOMPRESSED, Compression::ZSTD(ZstdLevel::default())]
}

fn rows() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    let text = prop_oneof![
        Just(b"the same text in many rows".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(prop::option::weighted(0.8, text), 0..40)
}

fn any_written() -> impl Strategy<Value = Written> {
    let encodings = vec![
        None,
        Some(Encoding::PLAIN),
        Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        Some(Encoding::DELTA_BYTE_ARRAY),
    ];
    let versions = vec![WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    (
        prop::sample::select(encodings),
        prop::sample::select(compressions()),
        prop::sample::select(versions),
        1..20_usize,
    )
        .prop_map(|(encoding, compression, version, rows_in_a_group)| Written {
            encoding,
            compression,
            version,
            rows_in_a_group,
        })
}

proptest! {
    #[test]
    fn every_row_is_a_document_of_one_share(
        rows in rows(),
        written in any_written(),
        cuts in prop::collection::vec(any::<u64>(), 0..5),
    ) {
        let file = file(&rows, written);
        let bytes = file.len() as u64;
        let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut % bytes).collect();
        cuts.extend([0, bytes]);
        cuts.sort_unstable();
        let mut read = Vec::new();
        for ends in cuts.windows(2) {
            read.extend(open(&file, ends[0]..ends[1]).unwrap());
        }
        prop_assert_eq!(read, documents(&rows));
    }

    #[test]
    fn damaged_file_is_damage_or_other_text_and_no_panic(
        rows in rows(),
        written in any_written(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut file = file(&rows, written);
        for (place, byte) in changes {
            let place = place % file.len();
            file[place] = byte;
        }
        let _ = whole(&file);
    }

    #[test]
    fn any_header_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, length)) = header::PageHeader::parse(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}

#[test]
fn columns_of_text_are_found_by_name_and_number() {
    let file = file(&[Some(b"a".to_vec())], PLAIN);
    let find = |chosen| match columns(&&file[..], chosen, LIMITS).unwrap() {
        Columns::Found(column) => Ok(column),
        Columns::Others(columns) => Err(columns),
        Columns::Unread(name) => panic!("its pages are in {name}"),
    };
    let others = Err(vec!["message.body".to_owned()]);
    assert_eq!(find(Some(Chosen::Name("message.body"))), Ok("message.body".to_owned()));
    assert_eq!(find(Some(Chosen::Number(2))), Ok("message.body".to_owned()));
    // An integer, a list, a group, and none at all.
    for chosen in ["id", "tags", "message", "body"] {
        assert_eq!(find(Some(Chosen::Name(chosen))), others, "{chosen}");
    }
    for chosen in [1, 3, 4] {
        assert_eq!(find(Some(Chosen::Number(chosen))), others, "{chosen}");
    }
    assert_eq!(find(None), others);
}

#[test]
fn file_that_is_cut_anywhere_is_damaged() {
    let rows = vec![Some(b"some text".to_vec()); 20];
    let file = file(&rows, PLAIN);
    assert_eq!(whole(&file), Ok(documents(&rows)));
    for length in 0..file.len() {
        assert!(whole(&file[..length]).is_err(), "cut at {length}");
    }
}

/// Its header says what no page of the file has.
#[test]
fn page_that_claims_much_memory_is_refused() {
    let rows = vec![Some(b"some text".to_vec()); 3];
    let file = file(&rows, PLAIN);
    let metadata = metadata(&&file[..], LIMITS).unwrap();
    let chunk = metadata.row_group(0).column(1);
    let start = chunk.data_page_offset() as usize;
    let (header, length) = header::PageHeader::parse(&file[start..]).unwrap();
    assert_eq!(header.values, 3);
    let claim = |uncompressed: i64, values: i64| {
        let zigzag = |value: i64| {
            let mut value = (value << 1 ^ value >> 63) as u64;
            let mut bytes = Vec::new();
            while value >= 0x80 {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
            bytes
        };
        let page = &file[start + length..][..header.compressed_bytes as usize];
        let mut made = vec![0x15, 0, 0x15];
        made.extend(zigzag(uncompressed));
        made.push(0x15);
        made.extend(zigzag(page.len() as i64));
        made.extend([0x2C, 0x15]);
        made.extend(zigzag(values));
        made.extend([0x15, 0, 0x15, 6, 0x15, 6, 0, 0]);
        made.extend(page);
        let mut pages = Pages {
            range: 0..made.len() as u64,
            compression: Compression::ZSTD(ZstdLevel::default()),
            bytes_max: 1 << 20,
            rows_max: 0,
        };
        match pages.next(&&made[..]) {
            Ok(page) => Ok(page.is_some()),
            Err(NoPage::Damaged(kind)) => Err(kind),
            Err(NoPage::Source(never)) => match never {},
        }
    };
    assert_eq!(claim((1 << 31) - 1, 3), Err(DamageKind::Memory { max: 1 << 20 }));
    assert_eq!(claim(-1, 3), Err(DamageKind::Malformed));
    assert_eq!(claim(100, 3), Err(DamageKind::Malformed));
    assert_eq!(claim(0, (1 << 31) - 1), Ok(true));
    assert_eq!(claim(0, -1), Err(DamageKind::Malformed));
}

/// What the library does not write in this build.
#[test]
fn pages_of_every_compression_are_decompressed() {
    let text = b"to be or not to be, that is the question".repeat(9);
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap()
    };
    let lz4 = lz4_flex::block::compress(&text);
    let framed = [&(text.len() as u32).to_be_bytes()[..], &(lz4.len() as u32).to_be_bytes(), &lz4];
    let mut zstd = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut zstd[..], &text, 1).unwrap();
    zstd.truncate(length);
    for (compression, stored) in [
        (Compression::UNCOMPRESSED, text.clone()),
        (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(&text).unwrap()),
        (Compression::GZIP(GzipLevel::default()), gzip),
        (Compression::ZSTD(ZstdLevel::default()), zstd),
        (Compression::LZ4_RAW, lz4.clone()),
        (Compression::LZ4, framed.concat()),
        (Compression::LZ4, lz4),
    ] {
        let pages = Pages { range: 0..0, compression, bytes_max: 1 << 20, rows_max: 0 };
        assert_eq!(pages.decompress(&stored, text.len()), Ok(text.clone()), "{compression:?}");
        if compression != Compression::UNCOMPRESSED {
            for wrong in [text.len() - 1, text.len() + 1] {
                let found = pages.decompress(&stored, wrong);
                assert_eq!(found, Err(DamageKind::Malformed), "{compression:?}");
            }
        }
    }
}
