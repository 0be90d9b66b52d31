//! The hot loops, as the workers run them: what the benchmarks time and callgrind counts.

use std::num::NonZeroU32;

use words::{Counter, Level, Rules, Sorted, Tokenizer, write_line};

/// How text becomes words.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The instructions to do it with.
    pub level: Level,
    /// What a word is.
    pub rules: Rules,
    /// How many buckets there are for words.
    pub buckets: NonZeroU32,
}

/// The defaults of a job.
impl Default for Reading {
    fn default() -> Self {
        let buckets = NonZeroU32::new(4).expect("4 is not 0");
        Self { level: Level::best(), rules: Rules::default(), buckets }
    }
}

/// Separate `text` into words, put them into buckets, and forget them; returns their number.
#[must_use]
pub fn map(text: &[u8], reading: Reading) -> u64 {
    tokenize(text, reading, |_| ())
}

/// The intermediate that a job of one bucket makes of `text`.
#[must_use]
pub fn lines(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 1);
    let reading = Reading { buckets: NonZeroU32::MIN, ..Reading::default() };
    tokenize(text, reading, |pending| lines.extend_from_slice(pending));
    lines
}

/// Count the lines of an intermediate.
///
/// # Panics
///
/// When the last line has no end.
#[must_use]
pub fn reduce(lines: &[u8], level: Level) -> Counter {
    let mut counter = Counter::at_level(level);
    lines.chunks(BLOCK_BYTES).for_each(|block| counter.feed(block));
    assert!(counter.end_object(), "an intermediate ends with its last line");
    counter
}

/// The output of `sorted`, behind what is in `out`.
pub fn write(sorted: &Sorted, out: &mut Vec<u8>) {
    sorted.iter().for_each(|(word, count)| write_line(out, word, count));
}

fn tokenize(text: &[u8], reading: Reading, mut write: impl FnMut(&[u8])) -> u64 {
    let Reading { level, rules, buckets } = reading;
    let mut tokenizer = Tokenizer::at_level(level, rules, buckets);
    tokenizer.begin(b"");
    let mut blocks = text.chunks(BLOCK_BYTES).peekable();
    while let Some(block) = blocks.next() {
        tokenizer.feed(block);
        if blocks.peek().is_none() {
            tokenizer.end();
        }
        for bucket in 0..buckets.get() {
            let pending = tokenizer.buckets().pending(bucket);
            write(pending);
            let written = pending.len();
            tokenizer.buckets_mut().clear_first(bucket, written);
        }
    }
    tokenizer.words()
}

/// As workers read.
const BLOCK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use words::WordRule;

    use super::*;

    #[test]
    fn loops_do_the_work_of_a_job_at_every_level() {
        // Its last word ends with it.
        let text = "\nb a, b's A\u{e9}".repeat(BLOCK_BYTES / 10);
        let words = 5 * (BLOCK_BYTES / 10) as u64;
        for level in Level::all() {
            let reading = Reading { level, ..Reading::default() };
            assert_eq!(map(text.as_bytes(), reading), words);
            let rules = Rules { words: WordRule::Whitespace, ..Rules::default() };
            assert_eq!(map(text.as_bytes(), Reading { rules, ..reading }), words / 5 * 4);

            let lines = lines(text.as_bytes());
            let counter = reduce(&lines, level);
            assert_eq!(counter.words(), words);
            let mut out = Vec::new();
            write(&counter.into_table().into_sorted(|| ()), &mut out);
            let once = words / 5;
            let counts = format!("A\u{e9} {once}\na {once}\nb {}\ns {once}\n", 2 * once);
            assert_eq!(String::from_utf8_lossy(&out), counts);
        }
    }
}
