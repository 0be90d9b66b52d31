//! The pages of a column, read and decompressed within a limit of memory.
//!
//! Decompressed here, and not by the library, whose decoders of gzip and LZ4 write as much as a
//! page holds, whatever its header says.

use std::collections::VecDeque;
use std::io::Read as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::header::{DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, INDEX_PAGE, NoHeader, PageHeader};
use crate::damage::DamageKind;
use crate::source::{Source, read_full};

/// Pages on their way to the library's reader of columns, which takes them one by one.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<VecDeque<Page>>>);

impl Queue {
    pub(super) fn push(&self, page: Page) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(page);
    }

    fn pop(&self) -> Option<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Iterator for Queue {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<ParquetResult<Page>> {
        self.pop().map(Ok)
    }
}

impl PageReader for Queue {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        Ok(self.pop())
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        Err(ParquetError::General("pages are not skipped".to_owned()))
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        Err(ParquetError::General("pages are not skipped".to_owned()))
    }
}

/// Why a page cannot be read.
pub(super) enum NoPage<E> {
    Damaged(DamageKind),
    Source(E),
}

impl<E> From<DamageKind> for NoPage<E> {
    fn from(kind: DamageKind) -> Self {
        Self::Damaged(kind)
    }
}

/// The pages of one column in one row group.
pub(super) struct Pages {
    /// Those that were not read yet.
    pub(super) range: Range<u64>,
    pub(super) compression: Compression,
    /// What a page may take, as it is and decompressed.
    pub(super) bytes_max: u64,
    /// Rows of the last page that may be decoded at once.
    pub(super) rows_max: u64,
}

impl Pages {
    /// The next page; none at the end.
    pub(super) fn next<S: Source>(&mut self, source: &S) -> Result<Option<Page>, NoPage<S::Error>> {
        loop {
            if self.range.is_empty() {
                return Ok(None);
            }
            let header = self.header(source)?;
            let length = self.length(header.compressed_bytes)?;
            if length as u64 > self.range.end - self.range.start {
                return Err(DamageKind::Truncated.into());
            }
            let start = self.range.start;
            self.range.start += length as u64;
            if header.kind == INDEX_PAGE {
                continue;
            }
            let mut stored = vec![0; length];
            let read = read_full(source, start, &mut stored).map_err(NoPage::Source)?;
            if read < length {
                return Err(DamageKind::Truncated.into());
            }
            let page = self.page(&header, stored)?;
            self.rows_max = self.rows_max(&header);
            return Ok(Some(page));
        }
    }

    fn header<S: Source>(&mut self, source: &S) -> Result<PageHeader, NoPage<S::Error>> {
        let rest = self.range.end - self.range.start;
        // Statistics in it may be long.
        let mut wanted = HEADER_BYTES;
        loop {
            let mut bytes = vec![0; wanted.min(rest) as usize];
            let length = read_full(source, self.range.start, &mut bytes).map_err(NoPage::Source)?;
            match PageHeader::parse(&bytes[..length]) {
                Ok((header, length)) => {
                    self.range.start += length as u64;
                    return Ok(header);
                }
                Err(NoHeader::Longer) if wanted < rest && wanted < self.bytes_max => wanted *= 4,
                Err(NoHeader::Longer) => return Err(DamageKind::Truncated.into()),
                Err(NoHeader::Malformed) => return Err(DamageKind::Malformed.into()),
            }
        }
    }

    /// A length that a header says.
    fn length(&self, bytes: i64) -> Result<usize, DamageKind> {
        match u64::try_from(bytes) {
            Err(_) => Err(DamageKind::Malformed),
            Ok(bytes) if bytes > self.bytes_max => Err(DamageKind::Memory { max: self.bytes_max }),
            Ok(bytes) => Ok(bytes as usize),
        }
    }

    /// Decoded, a value of this encoding may be as long as all before it: what begins as they do is
    /// left out in the page.
    fn rows_max(&self, header: &PageHeader) -> u64 {
        let is_shortened = encoding(header.encoding) == Ok(Encoding::DELTA_BYTE_ARRAY);
        let bytes = header.uncompressed_bytes.unsigned_abs().max(1);
        if is_shortened { (self.bytes_max / bytes).clamp(1, ROWS_MAX) } else { ROWS_MAX }
    }

    fn page(&self, header: &PageHeader, stored: Vec<u8>) -> Result<Page, DamageKind> {
        let number = |value: i64| u32::try_from(value).map_err(|_| DamageKind::Malformed);
        let bytes = self.length(header.uncompressed_bytes)?;
        let (num_values, encoding) = (number(header.values)?, encoding(header.encoding)?);
        match header.kind {
            DATA_PAGE => Ok(Page::DataPage {
                buf: self.decompress(&stored, bytes)?.into(),
                num_values,
                encoding,
                def_level_encoding: levels_encoding(header.definition_encoding)?,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            }),
            DICTIONARY_PAGE => Ok(Page::DictionaryPage {
                buf: self.decompress(&stored, bytes)?.into(),
                num_values,
                encoding,
                is_sorted: false,
            }),
            DATA_PAGE_V2 => {
                let (definition, repetition) =
                    (self.length(header.definition_bytes)?, self.length(header.repetition_bytes)?);
                let levels = definition + repetition;
                if levels > stored.len() || levels > bytes {
                    return Err(DamageKind::Malformed);
                }
                let (before, rest) = stored.split_at(levels);
                let rest = match header.is_plain {
                    true => rest.to_vec(),
                    false => self.decompress(rest, bytes - levels)?,
                };
                Ok(Page::DataPageV2 {
                    buf: Bytes::from([before, &rest].concat()),
                    num_values,
                    encoding,
                    num_nulls: number(header.nulls)?,
                    num_rows: num_values,
                    def_levels_byte_len: number(header.definition_bytes)?,
                    rep_levels_byte_len: number(header.repetition_bytes)?,
                    is_compressed: false,
                    statistics: None,
                })
            }
            _ => Err(DamageKind::Malformed),
        }
    }

    /// What `stored` holds, which must be `bytes` long.
    pub(super) fn decompress(&self, stored: &[u8], bytes: usize) -> Result<Vec<u8>, DamageKind> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let mut text = vec![0; bytes];
        let length = match self.compression {
            Compression::UNCOMPRESSED => return Ok(stored.to_vec()),
            Compression::SNAPPY => snap::raw::Decoder::new().decompress(stored, &mut text).ok(),
            Compression::ZSTD(_) => zstd_safe::decompress(&mut text[..], stored).ok(),
            Compression::LZ4_RAW => lz4_flex::block::decompress_into(stored, &mut text).ok(),
            Compression::LZ4 => hadoop_lz4(stored, &mut text),
            Compression::GZIP(_) => {
                let mut decoder = flate2::read::MultiGzDecoder::new(stored);
                let is_whole = decoder.read_exact(&mut text).is_ok();
                (is_whole && decoder.read(&mut [0]).is_ok_and(|more| more == 0)).then_some(bytes)
            }
            Compression::BROTLI(_) | Compression::LZO => None,
        };
        if length == Some(bytes) { Ok(text) } else { Err(DamageKind::Malformed) }
    }
}

/// Hadoop's frames: the lengths of a block and of what it holds, big-endian. Some writers left them
/// out.
fn hadoop_lz4(stored: &[u8], text: &mut [u8]) -> Option<usize> {
    fn framed(mut stored: &[u8], text: &mut [u8]) -> Option<usize> {
        let mut filled = 0;
        while let Some((bytes, rest)) = stored.split_first_chunk::<4>() {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (block, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            let room = text.get_mut(filled..)?.get_mut(..u32::from_be_bytes(*bytes) as usize)?;
            filled += lz4_flex::block::decompress_into(block, room).ok()?;
            stored = rest;
        }
        stored.is_empty().then_some(filled)
    }
    let bytes = text.len();
    framed(stored, text)
        .filter(|&filled| filled == bytes)
        .or_else(|| lz4_flex::block::decompress_into(stored, text).ok())
}

fn encoding(number: i64) -> Result<Encoding, DamageKind> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        _ => return Err(DamageKind::Malformed),
    })
}

/// That of levels; old files have bits.
fn levels_encoding(number: i64) -> Result<Encoding, DamageKind> {
    #[expect(deprecated, reason = "old files have it")]
    match number {
        3 => Ok(Encoding::RLE),
        4 => Ok(Encoding::BIT_PACKED),
        _ => Err(DamageKind::Malformed),
    }
}

/// Rows that are decoded at once, at most. The text of most is that of one page.
pub(super) const ROWS_MAX: u64 = 1024;

/// Read at once for a header: most have some 30 bytes, and 200 with statistics.
const HEADER_BYTES: u64 = 1 << 10;
