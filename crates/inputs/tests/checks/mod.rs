//! What the fuzz targets check of each reader: any bytes, in blocks of any size, are read as a slow
//! twin reads them.

#![allow(dead_code, reason = "every target needs one of the checks")]

pub mod csv;
pub mod decompress;
pub mod encoding;
pub mod examine;
pub mod json_lines;
pub mod shares;
pub mod wet;

use std::convert::Infallible;
use std::ops::Range;

use inputs::{BadRecord, Damage, Event, Format, Limits, ReadError, Source};

/// Gives at most `step` bytes at once.
#[derive(Clone, Copy)]
struct Drip<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Source for Drip<'_> {
    type Error = Infallible;

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let length = buffer.len().min(self.step);
        self.bytes.read_at(offset, &mut buffer[..length])
    }
}

/// What a read gives, with the text of each document in one piece.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Document {
    Bad(BadRecord),
    Text(Vec<u8>),
}

/// All that a read gives.
#[derive(Debug, Eq, PartialEq)]
struct Found {
    documents: Vec<Document>,
    /// Of a document that has not ended.
    rest: Vec<u8>,
    damage: Option<Damage>,
}

/// Reads what begins in `range` to its end, or [`TEXT_BYTES_MAX`] of text.
fn read(file: &[u8], format: &Format, range: Range<u64>, step: usize) -> Found {
    let limits = Limits { memory_bytes: MEMORY_BYTES };
    let (mut documents, mut rest, mut damage) = (Vec::new(), Vec::new(), None);
    let mut events = match inputs::open(Drip { bytes: file, step }, format, range, limits) {
        Ok(events) => events,
        Err(ReadError::Damaged(found)) => {
            return Found { documents, rest, damage: Some(found) };
        }
        Err(ReadError::Source(error)) => match error {},
    };
    let (mut bytes, mut bytes_read) = (0, 0);
    while bytes < TEXT_BYTES_MAX {
        match events.next_event() {
            Ok(None) => break,
            Ok(Some(Event::EndOfDocument)) => {
                documents.push(Document::Text(std::mem::take(&mut rest)));
            }
            Ok(Some(Event::Before(_) | Event::EndOfShare)) => panic!("the file is one share"),
            Ok(Some(Event::BadRecord(record))) => {
                assert!(rest.is_empty(), "text was given of a bad record");
                documents.push(Document::Bad(record));
            }
            Ok(Some(Event::Text(text))) => {
                assert!(!text.is_empty());
                bytes += text.len();
                rest.extend_from_slice(text);
            }
            Err(ReadError::Damaged(found)) => {
                assert!(found.offset <= file.len() as u64);
                damage = Some(found);
                break;
            }
            Err(ReadError::Source(error)) => match error {},
        }
        assert!((bytes_read..=file.len() as u64).contains(&events.bytes_read()));
        bytes_read = events.bytes_read();
    }
    Found { documents, rest, damage }
}

fn whole(file: &[u8]) -> Range<u64> {
    0..file.len() as u64
}

/// So that one input does not take seconds.
const TEXT_BYTES_MAX: usize = 4 << 20;

const MEMORY_BYTES: u64 = 16 << 20;

/// What a file has in front of its text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
