//! Members of every format: whole, many, cut, damaged, and of absurd size.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::testing::Drip;

const LIMITS: Limits = Limits { memory_bytes: 64 << 20 };

/// One member with `text`.
fn member(compression: Compression, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::None => out.extend_from_slice(text),
        Compression::Bzip2 => {
            let mut encoder =
                ::bzip2::write::BzEncoder::new(&mut out, ::bzip2::Compression::new(1));
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Bgzf | Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::new(1));
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut out);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(&mut out, 1);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap();
        }
        Compression::Zstd | Compression::ZstdSeekable => {
            let mut context = zstd_safe::CCtx::create();
            context.set_parameter(zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
            out.resize(zstd_safe::compress_bound(text.len()), 0);
            let length = context.compress2(&mut out[..], text).unwrap();
            out.truncate(length);
        }
    }
    out
}

fn read_steps(
    compression: Compression,
    file: &[u8],
    step: usize,
) -> Result<Vec<u8>, (Vec<u8>, Damage)> {
    let mut blocks = decompressed(Drip { bytes: file, step }, compression, LIMITS);
    let mut text = Vec::new();
    loop {
        let length = match blocks.pending() {
            Ok([]) => {
                assert_eq!(blocks.bytes_read(), file.len() as u64);
                return Ok(text);
            }
            Ok(block) => {
                text.extend_from_slice(block);
                block.len()
            }
            Err(ReadError::Damaged(damage)) => {
                assert_eq!(damage.text_offset, text.len() as u64);
                assert!(damage.offset <= file.len() as u64);
                return Err((text, damage));
            }
            Err(ReadError::Source(error)) => match error {},
        };
        blocks.take(length);
    }
}

fn read(compression: Compression, file: &[u8]) -> Result<Vec<u8>, DamageKind> {
    read_steps(compression, file, usize::MAX).map_err(|(_, damage)| damage.kind)
}

/// Text that compresses to about a half.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"etaoin shrdlu\n"[(state >> 16) as usize % 14]
    };
    (0..length).map(letter).collect()
}

#[test]
fn members_follow_each_other_whatever_their_size() {
    for compression in Compression::ALL {
        let sizes = [0, 1, 0, 300_000, 1, 7, 0];
        let texts: Vec<_> = sizes.iter().map(|&length| text(length)).collect();
        let file: Vec<u8> = texts.iter().flat_map(|text| member(compression, text)).collect();
        for step in [1, 7, 4096, usize::MAX] {
            assert_eq!(read_steps(compression, &file, step), Ok(texts.concat()), "{compression:?}");
        }
    }
}

#[test]
fn thousands_of_members_are_read() {
    for compression in Compression::ALL {
        let file = member(compression, b"a word\n").repeat(5_000);
        assert_eq!(read(compression, &file), Ok(b"a word\n".repeat(5_000)), "{compression:?}");
    }
}

#[test]
fn empty_file_has_no_text() {
    for compression in Compression::ALL {
        assert_eq!(read(compression, b""), Ok(vec![]), "{compression:?}");
    }
}

/// As `gzip` and tapes have it. What else follows is no part of the format.
#[test]
fn zeros_after_the_last_member_are_padding_and_other_bytes_are_damage() {
    for compression in Compression::ALL {
        let file = member(compression, b"text");
        for zeros in [1, 4, 1_000_000] {
            let padded = [&file[..], &vec![0; zeros]].concat();
            assert_eq!(read(compression, &padded), Ok(b"text".to_vec()), "{compression:?}");
        }
        let trailing = [&file[..], b"\0\0garbage"].concat();
        assert_eq!(read(compression, &trailing), Err(DamageKind::Trailing), "{compression:?}");
        assert!(read(compression, b"\0\0\0\0").is_err(), "{compression:?}");
    }
}

#[test]
fn file_that_is_cut_anywhere_is_truncated() {
    for compression in Compression::ALL {
        let text = text(3_000);
        let first = member(compression, b"first");
        let file = [&first[..], &member(compression, &text)].concat();
        for cut in 1..file.len() {
            let expected =
                if cut == first.len() { Ok(b"first".to_vec()) } else { Err(DamageKind::Truncated) };
            assert_eq!(read(compression, &file[..cut]), expected, "{compression:?} at {cut}");
        }
        // What comes before the cut is given.
        let (before, _) = read_steps(compression, &file[..file.len() - 4], usize::MAX).unwrap_err();
        assert!(before.starts_with(b"first"));
    }
}

/// Except for a few that say nothing of the text: flags, time and system of a gzip header, the size
/// of blocks of bzip2, and tables that it does not use.
#[test]
fn flipped_bit_is_damage() {
    for (compression, harmless_max) in [
        (Compression::Bzip2, 20),
        (Compression::Gzip, 7 * 8),
        (Compression::Lz4, 0),
        (Compression::Xz, 0),
        (Compression::Zstd, 8),
    ] {
        let text = text(2_000);
        let file = member(compression, &text);
        let mut harmless = 0;
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = read(compression, &flipped) {
                assert!(read == text, "{compression:?}: bit {bit} of {}", file.len());
                harmless += 1;
            }
        }
        assert!(harmless <= harmless_max, "{compression:?}: {harmless}");
    }
}

#[test]
fn skippable_frames_are_skipped() {
    let skippable = b"\x5A\x2A\x4D\x18\x03\0\0\0abc";
    for compression in [Compression::Lz4, Compression::Zstd] {
        let frame = member(compression, b"text");
        let file = [&skippable[..], &frame, skippable, skippable, &frame].concat();
        assert_eq!(read(compression, &file), Ok(b"texttext".to_vec()), "{compression:?}");
        let cut = [&skippable[..], &frame, &skippable[..9]].concat();
        assert_eq!(read(compression, &cut), Err(DamageKind::Truncated), "{compression:?}");
    }
}

/// A window or a dictionary is allocated before the first byte is decoded.
#[test]
fn window_or_dictionary_above_the_limit_is_refused() {
    let mut zstd = zstd_safe::CCtx::create();
    zstd.set_parameter(zstd_safe::CParameter::WindowLog(27)).unwrap();
    zstd.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    zstd.set_parameter(zstd_safe::CParameter::EnableLongDistanceMatching(true)).unwrap();
    let mut file = vec![0; 1 << 10];
    let mut out = zstd_safe::OutBuffer::around(&mut file[..]);
    let mut input = zstd_safe::InBuffer::around(b"text");
    zstd.compress_stream(&mut out, &mut input).unwrap();
    zstd.end_stream(&mut out).unwrap();
    let length = out.pos();
    let max = LIMITS.memory_bytes;
    assert_eq!(read(Compression::Zstd, &file[..length]), Err(DamageKind::Memory { max }));

    let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    options.dict_size(1 << 30);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let check = liblzma::stream::Check::Crc64;
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, check).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(b"text").unwrap();
    let file = encoder.finish().unwrap();
    assert_eq!(read(Compression::Xz, &file), Err(DamageKind::Memory { max }));
}

#[test]
fn source_that_cannot_be_read_is_no_damage() {
    struct Failing(Vec<u8>);
    impl Source for Failing {
        type Error = u64;

        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, u64> {
            let half = self.0.len() / 2;
            match half - (half.min(offset as usize)) {
                0 => Err(offset),
                left => {
                    let length = left.min(buffer.len());
                    buffer[..length].copy_from_slice(&self.0[offset as usize..][..length]);
                    Ok(length)
                }
            }
        }
    }
    for compression in Compression::ALL {
        let file = member(compression, &text(1_000));
        let half = file.len() as u64 / 2;
        let mut blocks = decompressed(Failing(file), compression, LIMITS);
        let error = loop {
            let length = match blocks.pending() {
                Ok(block) => block.len(),
                Err(error) => break error,
            };
            assert!(length > 0, "{compression:?} has ended");
            blocks.take(length);
        };
        assert!(matches!(error, ReadError::Source(offset) if offset == half), "{compression:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_round_trip_in_any_members_and_steps(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
        step in 1..50_usize,
        index in 0..5_usize,
    ) {
        let compression = Compression::ALL[index];
        let file: Vec<u8> = texts.iter().flat_map(|text| member(compression, text)).collect();
        prop_assert_eq!(read_steps(compression, &file, step), Ok(texts.concat()));
    }

    /// Neither panics nor endless loops, whatever the bytes are.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut file in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        is_made in any::<bool>(),
        index in 0..5_usize,
    ) {
        let compression = Compression::ALL[index];
        if is_made {
            file = member(compression, &file);
        }
        for (index, byte) in changes {
            if !file.is_empty() {
                let index = index.index(file.len());
                file[index] = byte;
            }
        }
        let _ = read(compression, &file);
    }
}
