//! Any bytes that may have an index are read in shares as they are read whole: the same text, or
//! damage.

use std::ops::Range;

use inputs::{Compression, Event, Format, Limits, ReadError};

use super::{Document, Drip, MEMORY_BYTES, TEXT_BYTES_MAX, read, whole};

/// The bytes in front of the file: two cuts of two bytes.
const HEAD: usize = 4;

/// Reads `data` in three shares, as BGZF if it begins as gzip does, and else as seekable Zstandard.
///
/// # Panics
///
/// When the shares give other text than the whole.
pub fn check(data: &[u8]) {
    let Some((&[a, b, c, d], file)) = data.split_first_chunk::<HEAD>() else { return };
    if file.is_empty() {
        return;
    }
    let compression = match file.starts_with(&[0x1F, 0x8B]) {
        true => Compression::Bgzf,
        false => Compression::ZstdSeekable,
    };
    let format = Format { compression, ..Format::default() };
    let cut = |low, high| u64::from(u16::from_le_bytes([low, high])) % file.len() as u64;
    let mut ends = [0, cut(a, b), cut(c, d), file.len() as u64];
    ends.sort_unstable();
    let mut text = Vec::new();
    for ends in ends.windows(2) {
        let range = ends[0]..ends[1];
        if range == whole(file) {
            return;
        }
        if range.is_empty() {
            continue;
        }
        match share(file, &format, range) {
            Some(share) => text.extend(share),
            None => return,
        }
    }
    let found = read(file, &format, whole(file), usize::MAX);
    match &found.documents[..] {
        [Document::Text(whole)] => assert_eq!(&text, whole),
        // A wrong header of Zstandard is found or not, as the buffers of libzstd are.
        _ => assert!(text.starts_with(&found.rest) || found.rest.len() >= TEXT_BYTES_MAX),
    }
}

/// The text of a share, unless it is damaged, or very long.
fn share(file: &[u8], format: &Format, range: Range<u64>) -> Option<Vec<u8>> {
    let limits = Limits { memory_bytes: MEMORY_BYTES };
    let mut events = inputs::open(Drip { bytes: file, step: usize::MAX }, format, range, limits);
    let events = match &mut events {
        Ok(events) => events,
        Err(ReadError::Damaged(_)) => return None,
        Err(ReadError::Source(error)) => match *error {},
    };
    let mut text = Vec::new();
    while text.len() < TEXT_BYTES_MAX {
        match events.next_event() {
            Ok(Some(Event::Text(part))) => text.extend_from_slice(part),
            Ok(Some(Event::Before(before))) => assert!(!before.is_empty()),
            Ok(Some(Event::EndOfShare) | None) => return Some(text),
            Ok(Some(event @ (Event::BadRecord(_) | Event::EndOfDocument))) => {
                panic!("{event:?} of a share")
            }
            Err(ReadError::Damaged(_)) => return None,
            Err(ReadError::Source(error)) => match error {},
        }
    }
    None
}
