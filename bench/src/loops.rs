//! The hot loops, as the workers run them: what the benchmarks time and callgrind counts.

use std::num::NonZeroU32;

use words::{Counter, Rules, Tokenizer};

/// Separate `text` into words, put them into buckets, and forget them; returns their number.
#[must_use]
pub fn map(text: &[u8], buckets: NonZeroU32) -> u64 {
    tokenize(text, buckets, |_| ())
}

/// The intermediate that a job of one bucket makes of `text`.
#[must_use]
pub fn lines(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 1);
    tokenize(text, NonZeroU32::MIN, |pending| lines.extend_from_slice(pending));
    lines
}

/// Count the lines of an intermediate.
///
/// # Panics
///
/// When the last line has no end.
#[must_use]
pub fn reduce(lines: &[u8]) -> Counter {
    let mut counter = Counter::new();
    lines.chunks(BLOCK_BYTES).for_each(|block| counter.feed(block));
    assert!(counter.end_object(), "an intermediate ends with its last line");
    counter
}

fn tokenize(text: &[u8], buckets: NonZeroU32, mut write: impl FnMut(&[u8])) -> u64 {
    let mut tokenizer = Tokenizer::new(Rules::default(), buckets);
    tokenizer.begin(b"");
    let mut blocks = text.chunks(BLOCK_BYTES).peekable();
    while let Some(block) = blocks.next() {
        tokenizer.feed(block);
        if blocks.peek().is_none() {
            tokenizer.end();
        }
        for bucket in 0..buckets.get() {
            write(tokenizer.buckets().pending(bucket));
            tokenizer.buckets_mut().clear(bucket);
        }
    }
    tokenizer.words()
}

/// As workers read.
const BLOCK_BYTES: usize = 256 << 10;
