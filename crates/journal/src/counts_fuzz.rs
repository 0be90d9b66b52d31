//! What the fuzz target `counts` checks: outputs are merged as a naive reader merges them, or are
//! refused. Compiled for it and for tests only.

use std::collections::BTreeMap;

use store::{Digest, Name, Object, StoreError, VerifiedObject, layout};

use crate::counts::{ByWord, CountsError};

/// Reads the parts of `data` between zero bytes as outputs. The first byte says in which pieces.
///
/// # Panics
///
/// When other words are read than a naive reader finds, or when damage is not noticed.
pub fn check(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let texts: Vec<_> =
        data.split(|&byte| byte == 0).take(OUTPUTS_MAX).map(<[u8]>::to_vec).collect();
    let read = read(objects(&texts, usize::from(first) + 1), MEMORY_BYTES);
    match naive(&texts) {
        Some(expected) => assert_eq!(read.expect("outputs of a job"), expected),
        None => assert!(read.is_err(), "not the outputs of a job: {read:?}"),
    }
}

/// All words, or why there are none.
pub(crate) fn read(
    objects: Vec<(Name, VerifiedObject)>,
    memory_bytes: usize,
) -> Result<Vec<(Vec<u8>, u64)>, CountsError> {
    let mut merged = ByWord::merge(objects, memory_bytes)?;
    let mut words = Vec::new();
    while let Some((word, count)) = merged.next_word()? {
        words.push((word.to_vec(), count));
    }
    Ok(words)
}

/// The same, without blocks, prefixes and heaps: `None` for what is not the outputs of a job.
fn naive(texts: &[Vec<u8>]) -> Option<Vec<(Vec<u8>, u64)>> {
    let mut words = BTreeMap::new();
    for text in texts {
        let mut last: Option<&[u8]> = None;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let (word, count) = naive_line(line)?;
            if last.replace(word).is_some_and(|last| last >= word) {
                return None;
            }
            if words.insert(word.to_vec(), count).is_some() {
                return None;
            }
        }
    }
    Some(words.into_iter().collect())
}

fn naive_line(line: &[u8]) -> Option<(&[u8], u64)> {
    let line = line.strip_suffix(b"\n")?;
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    let (word, digits) = (&line[..space], &line[space + 1..]);
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let count = str::from_utf8(digits).ok()?.parse().ok()?;
    is_number.then_some((word, count))
}

/// Outputs with these texts, of which one read returns at most a piece.
pub(crate) fn objects(texts: &[Vec<u8>], piece: usize) -> Vec<(Name, VerifiedObject)> {
    let object = |(index, text): (u32, &Vec<u8>)| {
        let name = layout::output(index);
        let object = InMemory { bytes: text.clone(), read: 0, piece, name: name.clone() };
        let object = VerifiedObject::new(Box::new(object), Digest::of(text));
        (name, object.expect("it has its length"))
    };
    (0..).zip(texts).map(object).collect()
}

/// An object in memory.
pub(crate) struct InMemory {
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: usize,
    pub(crate) piece: usize,
    pub(crate) name: Name,
}

impl Object for InMemory {
    fn name(&self) -> &Name {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
        let rest = &self.bytes[self.read..];
        let length = rest.len().min(block.len()).min(self.piece);
        block[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

/// As many as a small job has.
const OUTPUTS_MAX: usize = 9;

/// Enough for every line of a fuzzed output.
const MEMORY_BYTES: usize = 1 << 24;

#[test]
fn seeds_are_merged_or_refused() {
    crate::fuzz::replay::replay("counts", check);
}
