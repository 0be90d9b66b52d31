//! The counts of a finished job, read from its outputs and verified meanwhile.
//!
//! Each output is sorted by word, so all of them are merged as they are read: memory grows with the
//! number of outputs, not with the number of words. It is here, beside
//! [`verify()`](crate::verify()), because any program that reads results needs it: outputs without
//! their digests are not verified, and the digests are in the journal.
//!
//! What was read is verified only when everything was read. Until then nothing made from it may be
//! shown as a result.

use std::cmp::Ordering;
use std::ops::Range;
use std::path::Path;

use store::{Digest, Local, Name, Store, StoreError, VerifiedObject, VerifiedReader};

use crate::verify::{BLOCK_BYTES, VerifyError, finished};

/// The outputs of a finished job.
pub struct Counts {
    store: Local,
    outputs: Vec<(Name, Digest)>,
    words: u64,
    distinct_words: u64,
}

/// Why the outputs cannot be read to their end.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// A line is not `word count`, or not behind the line before it.
    #[error("line {line} of {name} is not a word and a count, or not in order")]
    NotAnOutput {
        /// The output.
        name: Name,
        /// The line, from 1.
        line: u64,
    },
    /// An output is missing, or other bytes are in it.
    #[error(transparent)]
    Lost(StoreError),
    /// A word is in two outputs.
    #[error("a word is in both {name} and {other}")]
    Repeated {
        /// An output.
        name: Name,
        /// Another output.
        other: Name,
    },
    /// A line does not fit in the memory for reading.
    #[error("line {line} of {name} has a word that does not fit in {memory_bytes} bytes of memory")]
    TooLong {
        /// The output.
        name: Name,
        /// The line, from 1.
        line: u64,
        /// The memory for reading.
        memory_bytes: usize,
    },
    /// An output cannot be read.
    #[error(transparent)]
    Unreadable(StoreError),
}

impl From<StoreError> for CountsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost { .. } => Self::Lost(error),
            StoreError::Begun { .. }
            | StoreError::Full { .. }
            | StoreError::Gone { .. }
            | StoreError::OutsideRoots { .. }
            | StoreError::Refused { .. }
            | StoreError::Tampered { .. } => Self::Unreadable(error),
        }
    }
}

impl Counts {
    /// The outputs of the job in `files`. Reads its journal, and no output.
    ///
    /// # Errors
    ///
    /// When there is no finished job, or the folder cannot be read.
    pub fn of(files: &Path) -> Result<Self, VerifyError> {
        let commits = finished(files)?.commits;
        let outputs = commits.reduces.iter().map(|(&reduce, commit)| commit.object(reduce));
        Ok(Self {
            store: Local::open(files)
                .map_err(|source| VerifyError::Files { path: files.to_owned(), source })?,
            outputs: outputs.collect(),
            words: commits.reduces.values().map(|commit| commit.words).sum(),
            distinct_words: commits.reduces.values().map(|commit| commit.distinct_words).sum(),
        })
    }

    /// The sum of all counts, as recorded.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// How many words there are, as recorded.
    pub fn distinct_words(&self) -> u64 {
        self.distinct_words
    }

    /// Reads every output, only to verify it.
    ///
    /// # Errors
    ///
    /// When an output is not as recorded.
    pub fn verify(&self) -> Result<(), CountsError> {
        let mut block = vec![0; BLOCK_BYTES];
        for (name, digest) in &self.outputs {
            let object = self.store.open(name)?;
            let reader = VerifiedReader::new(object, *digest, &mut block);
            reader.and_then(VerifiedReader::verify)?;
        }
        Ok(())
    }

    /// All words, in the order of their bytes. Buffers take `memory_bytes`, or 512 bytes an output
    /// if that is more. Every output is open at once.
    ///
    /// # Errors
    ///
    /// When an output is not as recorded.
    pub fn by_word(&self, memory_bytes: usize) -> Result<ByWord, CountsError> {
        let objects = self.outputs.iter().map(|(name, digest)| {
            let object = self.store.open(name)?;
            Ok::<_, StoreError>((name.clone(), VerifiedObject::new(object, *digest)?))
        });
        ByWord::merge(objects.collect::<Result<_, _>>()?, memory_bytes)
    }

    /// All words of one output after the other. Buffers take `memory_bytes`.
    ///
    /// # Errors
    ///
    /// When an output is not as recorded, or of `each`.
    pub fn by_output<E: From<CountsError>>(
        &self,
        memory_bytes: usize,
        mut each: impl FnMut(&[u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, digest) in &self.outputs {
            let object = self.store.open(name).map_err(CountsError::from)?;
            let object = VerifiedObject::new(object, *digest).map_err(CountsError::from)?;
            let mut words = ByWord::merge(vec![(name.clone(), object)], memory_bytes)?;
            while let Some((word, count)) = words.next_word()? {
                each(word, count)?;
            }
        }
        Ok(())
    }
}

/// The words of several outputs, merged in the order of their bytes.
///
/// # Invariants
///
/// * `order` is a heap: the word of each entry is after that of its parent, at `(index - 1) / 2`.
/// * Every output in `order` has a current line; the other outputs are read to their end.
pub struct ByWord {
    outputs: Vec<Output>,
    order: Vec<usize>,
    /// Whether the first word of `order` was returned.
    is_returned: bool,
    memory: Memory,
}

impl ByWord {
    pub(crate) fn merge(
        objects: Vec<(Name, VerifiedObject)>,
        memory_bytes: usize,
    ) -> Result<Self, CountsError> {
        // Half of the memory is for lines that do not fit in the buffer of their output.
        let block = memory_bytes / 2 / objects.len().max(1);
        let block = block.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        let left_bytes = memory_bytes.saturating_sub(objects.len() * block);
        let mut merged = Self {
            outputs: Vec::with_capacity(objects.len()),
            order: Vec::with_capacity(objects.len()),
            is_returned: false,
            memory: Memory { bytes: memory_bytes, left_bytes },
        };
        for (name, object) in objects {
            let mut output = Output::new(name, object, block);
            if output.advance(&mut merged.memory)? {
                merged.order.push(merged.outputs.len());
            }
            merged.outputs.push(output);
        }
        for index in (0..merged.order.len() / 2).rev() {
            merged.sift_down(index)?;
        }
        Ok(merged)
    }

    /// The next word and its count; `None` when all outputs were read, and are what was recorded.
    ///
    /// # Errors
    ///
    /// When an output is not as recorded, or not in order.
    pub fn next_word(&mut self) -> Result<Option<(&[u8], u64)>, CountsError> {
        if self.is_returned {
            let first = self.order[0];
            if !self.outputs[first].advance(&mut self.memory)? {
                self.order.swap_remove(0);
            }
            self.sift_down(0)?;
        }
        self.is_returned = !self.order.is_empty();
        Ok(self.order.first().map(|&first| {
            let output = &self.outputs[first];
            (output.word(), output.count)
        }))
    }

    /// Moves an entry down until its children are after it. In a job few do: words that begin with
    /// the same letter are in the same output.
    fn sift_down(&mut self, mut parent: usize) -> Result<(), CountsError> {
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= self.order.len() {
                return Ok(());
            }
            let is_right = right < self.order.len() && self.is_before(right, left)?;
            let child = if is_right { right } else { left };
            if self.is_before(parent, child)? {
                return Ok(());
            }
            self.order.swap(parent, child);
            parent = child;
        }
    }

    /// Whether the word of one entry is before that of another. Of two equal words one is compared
    /// with the other before either is returned: all entries above the lower one are equal too.
    fn is_before(&self, index: usize, other: usize) -> Result<bool, CountsError> {
        let (output, other) = (&self.outputs[self.order[index]], &self.outputs[self.order[other]]);
        match output.cmp_words(other) {
            Ordering::Less => Ok(true),
            Ordering::Greater => Ok(false),
            Ordering::Equal => {
                let (name, other) = (output.name.clone(), other.name.clone());
                Err(CountsError::Repeated { name, other })
            }
        }
    }
}

/// What the buffers of all outputs may take.
struct Memory {
    bytes: usize,
    left_bytes: usize,
}

/// One output that is being read.
///
/// Lines are not copied out of the block: there may be a billion.
struct Output {
    name: Name,
    object: VerifiedObject,
    block: Vec<u8>,
    /// Bytes of `block` that were read.
    filled: usize,
    /// The offset in `block` of the next line.
    next: usize,
    line: u64,
    /// The range in `block` of the line's word.
    word: Range<usize>,
    /// Its first eight bytes as a number, or all and zeros: in the order of words. Most words
    /// differ there, and comparing numbers takes a tenth of the time.
    prefix: u64,
    count: u64,
}

impl Output {
    fn new(name: Name, object: VerifiedObject, block: usize) -> Self {
        let block = vec![0; block];
        Self { name, object, block, filled: 0, next: 0, line: 0, word: 0..0, prefix: 0, count: 0 }
    }

    fn cmp_words(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.word().cmp(other.word()))
    }

    /// The word of the current line.
    fn word(&self) -> &[u8] {
        &self.block[self.word.clone()]
    }

    /// Advances to the next line; `false` at the end.
    fn advance(&mut self, memory: &mut Memory) -> Result<bool, CountsError> {
        self.line += 1;
        let mut searched = 0;
        let end = loop {
            let rest = &self.block[self.next + searched..self.filled];
            if let Some(way) = line_feed(rest) {
                break self.next + searched + way;
            }
            searched += rest.len();
            if !self.read_more(memory)? {
                return if searched == 0 { Ok(false) } else { Err(self.not_an_output()) };
            }
        };
        let line = &self.block[self.next..end];
        let (word_len, count) = parse(line).ok_or_else(|| self.not_an_output())?;
        let previous = std::mem::replace(&mut self.word, self.next..self.next + word_len);
        let word_prefix = prefix(&self.block[self.word.start..self.filled], word_len);
        let previous_prefix = std::mem::replace(&mut self.prefix, word_prefix);
        if self.line > 1 && self.prefix <= previous_prefix && *self.word() <= self.block[previous] {
            return Err(self.not_an_output());
        }
        self.count = count;
        self.next = end + 1;
        Ok(true)
    }

    /// Reads more bytes, and keeps the current line and all after it; `false` at the end of the
    /// output.
    fn read_more(&mut self, memory: &mut Memory) -> Result<bool, CountsError> {
        let done = self.word.start;
        self.block.copy_within(done..self.filled, 0);
        self.filled -= done;
        self.next -= done;
        self.word = 0..self.word.end - done;
        if self.filled == self.block.len() {
            let (more, memory_bytes) = (self.block.len(), memory.bytes);
            let left = memory.left_bytes.checked_sub(more);
            let too_long = || {
                let (name, line) = (self.name.clone(), self.line);
                CountsError::TooLong { name, line, memory_bytes }
            };
            memory.left_bytes = left.ok_or_else(too_long)?;
            self.block.reserve_exact(more);
            self.block.resize(self.filled + more, 0);
        }
        let read = self.object.read(&mut self.block[self.filled..]);
        let read = read?;
        self.filled += read;
        Ok(read > 0)
    }

    fn not_an_output(&self) -> CountsError {
        CountsError::NotAnOutput { name: self.name.clone(), line: self.line }
    }
}

/// The smallest buffer of an output.
const BLOCK_BYTES_MIN: usize = 512;

/// The first eight bytes of the word at the beginning of `bytes`, in the order of words. Bytes
/// behind the word are mostly there, and are removed.
fn prefix(bytes: &[u8], word_len: usize) -> u64 {
    let first = match bytes.first_chunk::<8>() {
        Some(&first) => first,
        None => {
            let mut first = [0; 8];
            first[..bytes.len()].copy_from_slice(bytes);
            first
        }
    };
    let others = u64::MAX.checked_shr(8 * word_len.min(8) as u32).unwrap_or(0);
    u64::from_be_bytes(first) & !others
}

/// Where the first line feed is. Lines have about ten bytes: eight are looked at together, and
/// more would be too many.
fn line_feed(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, &eight) in eights.iter().enumerate() {
        // Zero where a line feed is. The lowest high bit that a borrow sets is that of a zero.
        let zeros = u64::from_le_bytes(eight) ^ (LOW * u64::from(b'\n'));
        let found = zeros.wrapping_sub(LOW) & !zeros & HIGH;
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&byte| byte == b'\n')?;
    Some(8 * eights.len() + at)
}

/// `word count`: the length of the word, and the count. A word may have spaces; a count has none.
fn parse(line: &[u8]) -> Option<(usize, u64)> {
    if let [.., b' ', digit @ b'0'..=b'9'] = line {
        return Some((line.len() - 2, u64::from(digit - b'0')));
    }
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    let digits = &line[space + 1..];
    let count = digits.iter().try_fold(0_u64, |count, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { count.checked_mul(10)?.checked_add(u64::from(digit)) }
    });
    if digits.is_empty() { None } else { Some((space, count?)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use store::layout;

    use super::*;
    use crate::counts_fuzz::{InMemory, objects, read};

    proptest! {
        #[test]
        fn outputs_are_merged_in_the_order_of_their_words(
            counts in btree_map(vec(any::<u8>().prop_filter("ends a line", |&b| b != b'\n'), 1..40), 1..u64::MAX, 0..200),
            outputs in 1..9_usize,
            piece in 1..700_usize,
        ) {
            let mut texts = vec![Vec::new(); outputs];
            for (word, count) in &counts {
                let text = &mut texts[usize::from(word[0]) % outputs];
                text.extend([word.as_slice(), format!(" {count}\n").as_bytes()].concat());
            }
            let found = read(objects(&texts, piece), 1 << 16).unwrap();
            prop_assert_eq!(found, counts.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn word_in_two_outputs_is_found(
            words in vec(vec("[a-d]{1,2}", 0..9), 1..6),
        ) {
            let mut uses = BTreeMap::new();
            let mut texts = Vec::new();
            for mut words in words {
                words.sort();
                words.dedup();
                texts.push(words.iter().map(|word| format!("{word} 1\n")).collect::<String>().into_bytes());
                words.into_iter().for_each(|word| *uses.entry(word).or_insert(0) += 1);
            }
            let is_repeated = uses.values().any(|&uses| uses > 1);
            let read = || {
                let mut merged = ByWord::merge(objects(&texts, 8), 1 << 16)?;
                while merged.next_word()?.is_some() {}
                Ok(())
            };
            let found = matches!(read(), Err(CountsError::Repeated { .. }));
            prop_assert_eq!(found, is_repeated);
        }
    }

    proptest! {
        #[test]
        fn line_feed_is_the_first_one(bytes in vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40)) {
            prop_assert_eq!(line_feed(&bytes), bytes.iter().position(|&byte| byte == b'\n'));
        }

        #[test]
        fn prefixes_are_in_the_order_of_words(
            one in vec(0..3_u8, 0..12),
            other in vec(0..3_u8, 0..12),
            after in vec(any::<u8>(), 0..12),
        ) {
            let prefix = |word: &[u8]| prefix(&[word, &after].concat(), word.len());
            match prefix(&one).cmp(&prefix(&other)) {
                Ordering::Less => prop_assert!(one < other),
                Ordering::Greater => prop_assert!(one > other),
                Ordering::Equal => prop_assert!(
                    one.iter().take(8).chain(&[0; 8]).take(8).eq(
                        other.iter().take(8).chain(&[0; 8]).take(8)
                    )
                ),
            }
        }
    }

    #[test]
    fn lines_that_are_not_of_an_output_are_named() {
        for (text, line) in [
            ("words and more words\n", 1),
            ("a 1\nb\n", 2),
            ("a 1\nb 2", 2),
            ("a 1\nb +2\n", 2),
            ("a 18446744073709551616\n", 1),
            ("b 1\na 1\n", 2),
            ("a 1\na 1\n", 2),
        ] {
            let error = read(objects(&[text.as_bytes().to_vec()], 1_000), 1 << 16).unwrap_err();
            let sentence =
                format!("line {line} of out/out-0 is not a word and a count, or not in order");
            assert_eq!(error.to_string(), sentence, "{text:?}");
        }
    }

    #[test]
    fn words_take_the_memory_that_is_left() {
        let text = [vec![b'x'; 9_000], b" 1\n".to_vec()].concat();
        read(objects(&[text.clone(), b"y 1\n".to_vec()], 1_000), 40_000).unwrap();
        let error = read(objects(&[text, b"y 1\n".to_vec()], 1_000), 10_000).unwrap_err();
        let sentence = "line 1 of out/out-0 has a word that does not fit in 10000 bytes of memory";
        assert_eq!(error.to_string(), sentence);
    }

    #[test]
    fn an_output_that_is_not_as_recorded_is_noticed_before_the_end() {
        let mut objects = objects(&[b"a 1\nb 1\n".to_vec()], 4);
        let changed =
            InMemory { bytes: b"a 1\nb 2\n".to_vec(), read: 0, piece: 4, name: layout::output(0) };
        let digest = Digest::of(b"a 1\nb 1\n");
        objects[0].1 = VerifiedObject::new(Box::new(changed), digest).unwrap();
        let mut merged = ByWord::merge(objects, 1 << 16).unwrap();
        assert_eq!(merged.next_word().unwrap(), Some((&b"a"[..], 1)));
        assert_eq!(merged.next_word().unwrap(), Some((&b"b"[..], 2)));
        let error = merged.next_word().map(drop).unwrap_err();
        assert!(error.to_string().contains("out/out-0 is corrupt"));
    }
}
