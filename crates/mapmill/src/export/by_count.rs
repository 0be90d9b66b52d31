//! Sorts words by count, the most frequent first, in bounded memory.
//!
//! Words arrive in the order of their bytes, so a stable sort by count alone puts words with the
//! same count in that order: no word is ever compared with another. Rare words are not even sorted
//! ([`Groups`]). If the others do not fit in memory they are sorted in parts, and each part is
//! written to a scratch file: for each count a line with it and the number of its words, and a line
//! for each word. Of equal counts the earlier part comes first.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::str;

use super::Each;
use super::error::ExportError;
use super::groups::{Groups, LAST_BYTES, RARE_MAX};
use super::scratch::Scratch;

/// # Invariants
///
/// * `records` and their order have no more than `bytes_max` bytes each.
/// * `records` and parts have words that are not rare, `rare` has the others.
/// * Parts are in the order in which their words arrived.
#[derive(Debug)]
pub(super) struct ByCount {
    /// For each word its count, its length and its bytes.
    records: Vec<u8>,
    record_count: usize,
    bytes_max: usize,
    parts: Vec<Part>,
    rare: Groups,
    scratch: Scratch,
}

/// Where a sorted part is in the scratch file.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    end: u64,
}

impl ByCount {
    /// Sorts in `memory_bytes`, of which [`LAST_BYTES`] is the least, and in a file in `folder`.
    pub(super) fn new(folder: PathBuf, memory_bytes: usize) -> Self {
        let memory_bytes = memory_bytes.saturating_sub(LAST_BYTES);
        // A sixth each for the records and their order. Offsets of records have 32 bits.
        let bytes_max = (memory_bytes / 6).clamp(BYTES_MIN, u32::MAX as usize);
        Self {
            records: Vec::new(),
            record_count: 0,
            bytes_max,
            parts: Vec::new(),
            rare: Groups::new(memory_bytes / 3 * 2),
            scratch: Scratch::new(folder),
        }
    }

    /// Words must arrive in the order of their bytes.
    pub(super) fn add(&mut self, word: &[u8], count: u64) -> Result<(), ExportError> {
        if count <= RARE_MAX {
            return self.rare.add(word, count, &mut self.scratch);
        }
        let bytes = HEADER_BYTES + word.len();
        if bytes > self.bytes_max {
            return Err(ExportError::TooLong { bytes: word.len() });
        }
        if self.records.len() + bytes > self.bytes_max || self.order_bytes() >= self.bytes_max {
            self.write_part()?;
        }
        if self.records.capacity() == 0 {
            // At once: a buffer that grows is copied, and takes twice its memory meanwhile.
            self.records.reserve_exact(self.bytes_max);
        }
        self.records.extend(count.to_le_bytes());
        self.records.extend((word.len() as u32).to_le_bytes());
        self.records.extend(word);
        self.record_count += 1;
        Ok(())
    }

    /// Calls `each` for the words, the most frequent first.
    pub(super) fn finish(mut self, each: &mut Each<'_>) -> Result<(), ExportError> {
        if self.parts.is_empty() {
            for &offset in &self.sorted() {
                let (count, word) = record(&self.records, offset);
                each(word, count)?;
            }
        } else {
            self.write_part()?;
            self.records = Vec::new();
            merge(&self.scratch, &self.parts, 2 * self.bytes_max, each)?;
        }
        self.rare.finish(&self.scratch, each)
    }

    fn order_bytes(&self) -> usize {
        self.record_count * size_of::<u32>()
    }

    /// The offsets of the records, in their final order.
    fn sorted(&self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.record_count);
        let mut next = 0;
        while next < self.records.len() {
            let offset = next as u32;
            order.push(offset);
            next += HEADER_BYTES + record(&self.records, offset).1.len();
        }
        order.sort_unstable_by_key(|&offset| (Reverse(record(&self.records, offset).0), offset));
        order
    }

    fn write_part(&mut self) -> Result<(), ExportError> {
        let order = self.sorted();
        let start = self.scratch.bytes();
        let mut buffer = Vec::with_capacity(BLOCK_BYTES);
        let count_of = |offset: &u32| record(&self.records, *offset).0;
        for group in order.chunk_by(|one, other| count_of(one) == count_of(other)) {
            let count = count_of(&group[0]);
            buffer.extend(format!("{count} {}\n", group.len()).as_bytes());
            for &offset in group {
                buffer.extend(record(&self.records, offset).1);
                buffer.push(b'\n');
                if buffer.len() >= BLOCK_BYTES {
                    self.scratch.append(&buffer)?;
                    buffer.clear();
                }
            }
        }
        self.scratch.append(&buffer)?;
        self.parts.push(Part { start, end: self.scratch.bytes() });
        self.records.clear();
        self.record_count = 0;
        Ok(())
    }
}

/// Calls `each` for the words of all parts, the most frequent first.
fn merge(
    scratch: &Scratch,
    parts: &[Part],
    memory_bytes: usize,
    each: &mut Each<'_>,
) -> Result<(), ExportError> {
    let block = (memory_bytes / 2 / parts.len()).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
    let mut left_bytes = memory_bytes.saturating_sub(parts.len() * block);
    let mut readers = Vec::with_capacity(parts.len());
    for &Part { start, end } in parts {
        let block = vec![0; block];
        let mut reader =
            Reader { scratch, next_read: start, end, block, filled: 0, next: 0, count: 0, left: 0 };
        reader.next_group(&mut left_bytes)?;
        readers.push(reader);
    }
    loop {
        let most = readers.iter().map(|reader| reader.count).max().unwrap_or(0);
        if most == 0 {
            return Ok(());
        }
        for reader in readers.iter_mut().filter(|reader| reader.count == most) {
            while reader.left > 0 {
                reader.left -= 1;
                each(reader.next_line(&mut left_bytes)?, most)?;
            }
            reader.next_group(&mut left_bytes)?;
        }
    }
}

/// Reads one part.
struct Reader<'a> {
    scratch: &'a Scratch,
    /// The next byte to read, and the one behind the last.
    next_read: u64,
    end: u64,
    block: Vec<u8>,
    filled: usize,
    /// The offset in `block` of the next line.
    next: usize,
    /// The count of the current group; 0 at the end.
    count: u64,
    /// Words left in the group.
    left: u64,
}

impl Reader<'_> {
    fn next_group(&mut self, left_bytes: &mut usize) -> Result<(), ExportError> {
        (self.count, self.left) = (0, 0);
        if self.next_read == self.end && self.next == self.filled {
            return Ok(());
        }
        let header = str::from_utf8(self.next_line(left_bytes)?).ok();
        let numbers = header.and_then(|header| {
            let (count, words) = header.split_once(' ')?;
            Some((count.parse().ok()?, words.parse().ok()?))
        });
        (self.count, self.left) = numbers.expect("the file has no name, so it is as written");
        Ok(())
    }

    fn next_line(&mut self, left_bytes: &mut usize) -> Result<&[u8], ExportError> {
        let mut searched = 0;
        let end = loop {
            let rest = &self.block[self.next + searched..self.filled];
            if let Some(way) = rest.iter().position(|&byte| byte == b'\n') {
                break self.next + searched + way;
            }
            searched += rest.len();
            self.read_more(left_bytes)?;
        };
        let line = self.next..end;
        self.next = end + 1;
        Ok(&self.block[line])
    }

    fn read_more(&mut self, left_bytes: &mut usize) -> Result<(), ExportError> {
        self.block.copy_within(self.next..self.filled, 0);
        self.filled -= self.next;
        self.next = 0;
        if self.filled == self.block.len() {
            let more = self.block.len();
            let left = left_bytes.checked_sub(more);
            *left_bytes = left.ok_or(ExportError::TooLong { bytes: self.filled })?;
            self.block.reserve_exact(more);
            self.block.resize(self.filled + more, 0);
        }
        let space = &mut self.block[self.filled..];
        let left = self.end - self.next_read;
        let length = usize::try_from(left).map_or(space.len(), |left| left.min(space.len()));
        assert!(length > 0, "every line of a part ends in it");
        self.scratch.read(&mut space[..length], self.next_read)?;
        self.next_read += length as u64;
        self.filled += length;
        Ok(())
    }
}

/// The count and the word of the record at `offset`.
fn record(records: &[u8], offset: u32) -> (u64, &[u8]) {
    let (header, rest) = records[offset as usize..].split_at(HEADER_BYTES);
    let (count, length) = header.split_at(size_of::<u64>());
    let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
    let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
    (count, &rest[..length as usize])
}

/// A count and a length.
const HEADER_BYTES: usize = size_of::<u64>() + size_of::<u32>();

/// How much is written and read at once, at most and at least.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_BYTES_MIN: usize = 512;

/// The least memory for records.
const BYTES_MIN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn order_is_that_of_a_naive_sort(
            counts in btree_map(
                "[a-c]{1,900}|[a-z]{1,6}",
                prop_oneof![1..4_u64, 50..70_u64, 1_000..1_010_u64],
                0..120,
            ),
            memory_bytes in 0..LAST_BYTES + 100_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorted = ByCount::new(folder.path().to_owned(), memory_bytes);
            for (word, &count) in &counts {
                sorted.add(word.as_bytes(), count).unwrap();
            }
            let mut found = Vec::new();
            let finished = sorted.finish(&mut |word, count| {
                found.push((String::from_utf8(word.to_vec()).unwrap(), count));
                Ok(())
            });
            finished.unwrap();

            let mut expected: Vec<_> = counts.into_iter().collect();
            expected.sort_by_key(|&(_, count)| Reverse(count));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    fn words_that_fit_in_memory_need_no_file() {
        let folder = PathBuf::from("/does/not/exist");
        let mut sorted = ByCount::new(folder, LAST_BYTES + 100_000);
        for number in 0..1_000_u64 {
            sorted.add(format!("{number:05}").as_bytes(), number + 1).unwrap();
        }
        let mut next = 1_000;
        let finished = sorted.finish(&mut |word, count| {
            assert_eq!((word, count), (format!("{:05}", next - 1).as_bytes(), next));
            next -= 1;
            Ok(())
        });
        finished.unwrap();
        assert_eq!(next, 0);
    }
}
