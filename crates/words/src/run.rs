//! A run as bytes: distinct words in bytewise order, each with its count.
//!
//! An entry is the length of the word, its count (both as LEB128: seven bits a byte, the lowest
//! first), and the word. Usually that is two bytes more than the word, and no end has to be
//! searched for. A run has no checksum of its own: one attempt writes and reads it, and its store
//! verifies what is read.

use std::ops::Range;

/// Where an entry has its word, and the count of the word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// In the bytes that were read. The next entry begins where the word ends.
    pub word: Range<usize>,
    /// How often it occurred.
    pub count: u64,
}

/// Append the entry of `word` to a run.
#[inline]
pub fn write_entry(out: &mut Vec<u8>, word: &[u8], count: u64) {
    write_number(out, word.len() as u64);
    write_number(out, count);
    out.extend_from_slice(word);
}

/// The entry at the beginning of `bytes[at..]`. `None` if the bytes end before it does, or if
/// [`write_entry`] never writes such an entry.
#[must_use]
#[inline]
pub fn read_entry(bytes: &[u8], at: usize) -> Option<Entry> {
    let (length, at) = read_number(bytes, at)?;
    let (count, at) = read_number(bytes, at)?;
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(Entry { word: at..end, count })
}

#[inline]
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The seven lowest bits, and the bit that more bytes follow.
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A number that begins at `at`, and where it ends.
#[inline]
pub(crate) fn read_number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    match *bytes.get(at)? {
        byte @ 0..0x80 => Some((byte.into(), at + 1)),
        0x80.. => read_large_number(bytes, at),
    }
}

fn read_large_number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (index, &byte) in (0..NUMBER_BYTES_MAX).zip(&bytes[at..]) {
        let bits = u64::from(byte & 0x7F);
        let shifted = bits << (7 * index);
        if shifted >> (7 * index) != bits {
            return None;
        }
        number |= shifted;
        if byte < 0x80 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// Bytes of `u64::MAX`.
pub(crate) const NUMBER_BYTES_MAX: usize = 10;

/// Bytes of an entry in front of its word, at most.
pub const ENTRY_HEAD_BYTES_MAX: usize = 2 * NUMBER_BYTES_MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entry_is_length_count_word() {
        let mut run = Vec::new();
        write_entry(&mut run, b"the", 300);
        write_entry(&mut run, b"", u64::MAX);
        assert_eq!(&run[..6], b"\x03\xac\x02the");
        assert_eq!(read_entry(&run, 0), Some(Entry { word: 3..6, count: 300 }));
        assert_eq!(read_entry(&run, 6), Some(Entry { word: 17..17, count: u64::MAX }));
        assert_eq!(read_entry(&run, 17), None);
    }

    #[test]
    fn numbers_that_do_not_fit_are_no_entry() {
        // Eleven bytes; ten bytes with a bit too many; a length beyond the end.
        assert_eq!(read_entry(&[0x80; 30], 0), None);
        assert_eq!(read_entry(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01", 0), None);
        assert_eq!(read_entry(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01abc", 0), None);
    }

    proptest! {
        #[test]
        fn entries_are_read_back_and_parts_of_them_are_not(
            entries in prop::collection::vec((any::<Vec<u8>>(), any::<u64>(), 0..64_u32), 0..20),
        ) {
            let mut run = Vec::new();
            for (word, count, shift) in &entries {
                write_entry(&mut run, word, count >> shift);
            }
            let mut at = 0;
            for (word, count, shift) in &entries {
                let entry = read_entry(&run, at).unwrap();
                prop_assert_eq!(&run[entry.word.clone()], &word[..]);
                prop_assert_eq!(entry.count, count >> shift);
                for end in at..entry.word.end {
                    prop_assert_eq!(read_entry(&run[..end], at), None);
                }
                at = entry.word.end;
            }
            prop_assert_eq!(at, run.len());
        }

        #[test]
        fn whatever_is_read_is_in_the_bytes(bytes: Vec<u8>, at in 0..100_usize) {
            if let Some(entry) = read_entry(&bytes, at) {
                prop_assert!(at < entry.word.start && entry.word.end <= bytes.len());
            }
        }
    }
}
