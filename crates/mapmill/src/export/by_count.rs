//! Sorts words by count, the most frequent first, in bounded memory.
//!
//! Words arrive in the order of their bytes, so a stable sort by count alone puts words with the
//! same count in that order: no word is ever compared with another. What does not fit in memory is
//! sorted in parts, and each part is written to a scratch file as groups: a line with a count and a
//! number of words, and a line for each word with that count. Of equal counts the earlier part
//! comes first, so merging parts copies group after group.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::str;

use super::Each;
use super::error::ExportError;
use super::scratch::Scratch;

/// # Invariants
///
/// * `records` has no more than `records_max` records in `bytes_max` bytes.
/// * Parts are in the order in which their words arrived.
#[derive(Debug)]
pub(super) struct ByCount {
    /// For each word its count, its length and its bytes.
    records: Vec<u8>,
    record_count: usize,
    /// Half of the memory for sorting; the order of the records takes no more.
    bytes_max: usize,
    /// How many words are needed, if not all.
    top: Option<usize>,
    /// Words that do not occur more often are not needed: enough words before them do.
    floor: u64,
    folder: PathBuf,
    scratch: Option<Scratch>,
    parts: Vec<Part>,
}

/// Where a sorted part is in the scratch file.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    end: u64,
}

impl ByCount {
    /// Sorts in `memory_bytes`, and in a file in `folder`. Of `top` words and more, at least the
    /// `top` most frequent ones are returned.
    pub(super) fn new(folder: PathBuf, memory_bytes: usize, top: Option<u64>) -> Self {
        // Offsets of records have 32 bits.
        let bytes_max = (memory_bytes / 2).min(u32::MAX as usize);
        Self {
            records: Vec::with_capacity(bytes_max),
            record_count: 0,
            bytes_max,
            top: top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            floor: 0,
            folder,
            scratch: None,
            parts: Vec::new(),
        }
    }

    /// Words must arrive in the order of their bytes.
    pub(super) fn add(&mut self, word: &[u8], count: u64) -> Result<(), ExportError> {
        if count <= self.floor {
            return Ok(());
        }
        let bytes = HEADER_BYTES + word.len();
        if bytes > self.bytes_max {
            return Err(ExportError::TooLong { bytes: word.len() });
        }
        if self.records.len() + bytes > self.bytes_max || self.order_bytes() >= self.bytes_max {
            self.make_room(bytes)?;
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
            let order = self.sorted();
            for &offset in &order {
                let (count, word) = record(&self.records, offset);
                each(word, count)?;
            }
            return Ok(());
        }
        let order = self.sorted();
        self.write_part(&order)?;
        drop(order);
        let memory_bytes = 2 * self.bytes_max;
        self.records = Vec::new();
        let scratch = self.scratch.take().expect("there are parts");
        merge(&scratch, &self.parts, memory_bytes, self.top, each)
    }

    fn order_bytes(&self) -> usize {
        self.record_count * size_of::<u32>()
    }

    /// Makes room for a record: leaves out what is not needed, or writes a part.
    fn make_room(&mut self, bytes: usize) -> Result<(), ExportError> {
        let order = self.sorted();
        if let Some(top) = self.top
            && order.len() == top
        {
            let (least, _) = record(&self.records, order[top - 1]);
            self.floor = least;
            let kept: usize =
                order.iter().map(|&at| HEADER_BYTES + record(&self.records, at).1.len()).sum();
            if kept + bytes <= self.bytes_max / 2 && 2 * self.order_bytes() <= self.bytes_max {
                let mut records: Vec<u8> = Vec::with_capacity(kept);
                for &offset in &order {
                    let (_, word) = record(&self.records, offset);
                    let start = offset as usize;
                    records.extend(&self.records[start..start + HEADER_BYTES + word.len()]);
                }
                self.records.clear();
                self.records.extend(records);
                self.record_count = top;
                return Ok(());
            }
        }
        self.write_part(&order)?;
        self.records.clear();
        self.record_count = 0;
        Ok(())
    }

    /// The offsets of the records, in their final order, cut at `top`.
    ///
    /// Most words are rare: those are counted and put in their places, and only the few frequent
    /// ones are compared.
    fn sorted(&self) -> Vec<u32> {
        let offsets = || Offsets { records: &self.records, next: 0 };
        let mut numbers = [0_usize; RARE as usize + 1];
        for (_, count) in offsets() {
            numbers[count.min(RARE) as usize] += 1;
        }
        let mut places = [0_usize; RARE as usize + 1];
        let mut next = 0;
        for count in (0..=RARE as usize).rev() {
            places[count] = next;
            next += numbers[count];
        }
        let mut order = vec![0; self.record_count];
        for (offset, count) in offsets() {
            let place = &mut places[count.min(RARE) as usize];
            order[*place] = offset;
            *place += 1;
        }
        let frequent = &mut order[..numbers[RARE as usize]];
        frequent.sort_unstable_by_key(|&offset| (Reverse(record(&self.records, offset).0), offset));
        order.truncate(self.top.unwrap_or(usize::MAX));
        order
    }

    fn write_part(&mut self, order: &[u32]) -> Result<(), ExportError> {
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(Scratch::create(&self.folder)?),
        };
        let start = scratch.bytes();
        let mut buffer = Vec::with_capacity(BLOCK_BYTES);
        let count_of = |offset: &u32| record(&self.records, *offset).0;
        for group in order.chunk_by(|one, other| count_of(one) == count_of(other)) {
            let count = count_of(&group[0]);
            buffer.extend(format!("{count} {}\n", group.len()).as_bytes());
            for &offset in group {
                buffer.extend(record(&self.records, offset).1);
                buffer.push(b'\n');
                if buffer.len() >= BLOCK_BYTES {
                    scratch.append(&buffer)?;
                    buffer.clear();
                }
            }
        }
        scratch.append(&buffer)?;
        self.parts.push(Part { start, end: scratch.bytes() });
        Ok(())
    }
}

/// Calls `each` for the words of all parts, the most frequent first.
fn merge(
    scratch: &Scratch,
    parts: &[Part],
    memory_bytes: usize,
    top: Option<usize>,
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
    let mut wanted = top.unwrap_or(usize::MAX);
    loop {
        let most = readers.iter().map(|reader| reader.count).max().unwrap_or(0);
        if most == 0 {
            return Ok(());
        }
        for reader in readers.iter_mut().filter(|reader| reader.count == most) {
            while reader.left > 0 {
                if wanted == 0 {
                    return Ok(());
                }
                wanted -= 1;
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

/// The offsets and counts of records, in the order in which they arrived.
struct Offsets<'a> {
    records: &'a [u8],
    next: usize,
}

impl Iterator for Offsets<'_> {
    type Item = (u32, u64);

    fn next(&mut self) -> Option<(u32, u64)> {
        if self.next == self.records.len() {
            return None;
        }
        let offset = self.next as u32;
        let (count, word) = record(self.records, offset);
        self.next += HEADER_BYTES + word.len();
        Some((offset, count))
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

/// Words that occur less often are put in place without comparisons.
const RARE: u64 = 1024;

/// How much is written and read at once, at most and at least.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_BYTES_MIN: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_is_that_of_a_naive_sort(
            counts in btree_map("[a-c]{1,300}|[a-z]{1,6}", prop_oneof![4 => 1..4_u64, 1 => 1..3000_u64], 0..120),
            memory_bytes in 1_300..20_000_usize,
            top in proptest::option::of(1..150_u64),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorted = ByCount::new(folder.path().to_owned(), memory_bytes, top);
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
            expected.truncate(top.unwrap_or(u64::MAX) as usize);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    fn few_of_many_words_need_no_file() {
        let folder = PathBuf::from("/does/not/exist");
        let mut sorted = ByCount::new(folder, 4_000, Some(3));
        for number in 0..10_000_u64 {
            sorted.add(format!("{number:05}").as_bytes(), number % 1_000).unwrap();
        }
        let mut found = Vec::new();
        let finished = sorted.finish(&mut |word, count| {
            found.push((String::from_utf8(word.to_vec()).unwrap(), count));
            Ok(())
        });
        finished.unwrap();
        assert_eq!(found, ["00999", "01999", "02999"].map(|word| (word.to_owned(), 999)));
    }
}
