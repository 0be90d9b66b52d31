//! What the tokenizer must find, written as plainly as can be.
//!
//! It shares no code with the crate: it reads a whole file with the decoder of `std`, without
//! splits and blocks.

use std::num::NonZeroU32;
use std::ops::Range;

use words::{Level, Rules, Tokenizer, WordRule, bucket_of};

/// Every rule there is.
pub const ALL_RULES: [Rules; 4] = [
    Rules { words: WordRule::Letters, ignore_case: false },
    Rules { words: WordRule::Letters, ignore_case: true },
    Rules { words: WordRule::Whitespace, ignore_case: false },
    Rules { words: WordRule::Whitespace, ignore_case: true },
];

/// Read `file` in splits that are cut at `cuts`, at every level of instructions that this CPU has,
/// and compare every one of them with the oracle.
#[track_caller]
pub fn check_splits(
    file: &[u8],
    mut cuts: Vec<usize>,
    blocks: &[usize],
    rules: Rules,
    buckets: u32,
) {
    cuts.extend([0, file.len()]);
    cuts.sort_unstable();
    let words = naive_words(file, rules);
    for level in Level::all() {
        check_level(level, file, &words, &cuts, blocks, rules, buckets);
    }
}

#[track_caller]
fn check_level(
    level: Level,
    file: &[u8],
    words: &[NaiveWord],
    cuts: &[usize],
    blocks: &[usize],
    rules: Rules,
    buckets: u32,
) {
    let count = NonZeroU32::new(buckets).expect("not zero");
    let mut tokenizer = Tokenizer::at_level(level, rules, count);

    for cut in cuts.windows(2) {
        let split = cut[0]..cut[1];
        let invalid_bytes = tokenizer.invalid_bytes();
        let mut found = vec![Vec::new(); buckets as usize];
        read_split(&mut tokenizer, file, split.clone(), blocks, &mut found);

        let mut lines = vec![Vec::new(); buckets as usize];
        for word in words.iter().filter(|word| split.contains(&word.start)) {
            let line = &mut lines[(word.first % buckets) as usize];
            line.extend_from_slice(&word.bytes);
            line.push(b'\n');
        }
        let context =
            || format!("{split:?} of {file:x?} under {rules:?} in blocks of {blocks:?}, {level:?}");
        assert_eq!(found, lines, "words of {}", context());
        let found = tokenizer.invalid_bytes() - invalid_bytes;
        let expected = naive_invalid_bytes(file, &split);
        assert_eq!(found, expected, "invalid bytes of {}", context());
    }

    assert_eq!(tokenizer.words(), words.len() as u64);
    for bucket in 0..buckets {
        let expected = words.iter().filter(|word| bucket_of(word.first, count) == bucket);
        assert_eq!(tokenizer.buckets().words(bucket), expected.count() as u64);
    }
}

/// Read one split as a worker does. Writes the buckets to `files` after every block.
pub fn read_split(
    tokenizer: &mut Tokenizer,
    file: &[u8],
    split: Range<usize>,
    blocks: &[usize],
    files: &mut [Vec<u8>],
) {
    let write = |tokenizer: &mut Tokenizer, files: &mut [Vec<u8>]| {
        for (bucket, file) in (0..).zip(files) {
            let pending = tokenizer.buckets().pending(bucket);
            file.extend_from_slice(pending);
            let written = pending.len();
            tokenizer.buckets_mut().clear_first(bucket, written);
        }
    };
    let mut sizes = blocks.iter().copied().cycle();
    let mut next_block = |rest: &mut Range<usize>| {
        let end = rest.end.min(rest.start + sizes.next().unwrap_or(1));
        let block = &file[rest.start..end];
        rest.start = end;
        block
    };

    let before = split.start.saturating_sub(Tokenizer::LOOKBEHIND)..split.start;
    let mut beyond = split.end..file.len();
    let mut inside = split;
    tokenizer.begin(&file[before]);
    while !inside.is_empty() {
        tokenizer.feed(next_block(&mut inside));
        write(tokenizer, files);
    }
    while !beyond.is_empty() && tokenizer.feed_beyond(next_block(&mut beyond)) {
        write(tokenizer, files);
    }
    tokenizer.end();
    write(tokenizer, files);
}

/// A word, where it is, and the scalar value that decides its bucket.
pub struct NaiveWord {
    pub start: usize,
    pub first: u32,
    pub bytes: Vec<u8>,
}

/// All words of a file: decode it whole, then split where the rule says.
pub fn naive_words(file: &[u8], rules: Rules) -> Vec<NaiveWord> {
    let units = naive_units(file);
    let separates = |&(_, unit): &(usize, Result<char, u8>)| match (rules.words, unit) {
        (WordRule::Letters, unit) => !unit.is_ok_and(char::is_alphabetic),
        (WordRule::Whitespace, unit) => unit.is_ok_and(char::is_whitespace),
    };
    let mut words = Vec::new();
    for run in units.split(separates).filter(|run| !run.is_empty()) {
        let mut firsts = Vec::new();
        let mut bytes = Vec::new();
        for &(_, unit) in run {
            let spelled = match unit {
                Err(byte) => {
                    firsts.push(u32::from(byte));
                    bytes.push(byte);
                    continue;
                }
                Ok(character) if rules.ignore_case => String::from_iter(character.to_lowercase()),
                Ok(character) => String::from(character),
            };
            firsts.extend(spelled.chars().map(u32::from));
            bytes.extend(spelled.into_bytes());
        }
        words.push(NaiveWord { start: run[0].0, first: firsts[0], bytes });
    }
    words
}

/// Bytes of `split` that are in no character of the whole file.
fn naive_invalid_bytes(file: &[u8], split: &Range<usize>) -> u64 {
    let units = naive_units(file);
    units.iter().filter(|(start, unit)| unit.is_err() && split.contains(start)).count() as u64
}

/// The characters of a file and the bytes between them, each with its position.
fn naive_units(file: &[u8]) -> Vec<(usize, Result<char, u8>)> {
    let mut units = Vec::new();
    let mut start = 0;
    for chunk in file.utf8_chunks() {
        for (at, character) in chunk.valid().char_indices() {
            units.push((start + at, Ok(character)));
        }
        start += chunk.valid().len();
        for &byte in chunk.invalid() {
            units.push((start, Err(byte)));
            start += 1;
        }
    }
    units
}
