//! How fast words are found, at each level of instructions; counted and sorted, on one core.
//!
//! `cargo bench -p words -- TEXT...` reads the texts, repeated to at least 64 MiB; without
//! arguments it makes a small text up, so that a test run over all targets stays short.

use std::collections::BTreeSet;
use std::io::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use words::{Counter, Level, Rules, Table, Tokenizer, WordRule, write_line};

fn main() -> io::Result<()> {
    let paths: Vec<_> = env::args().skip(1).filter(|path| !path.starts_with("--")).collect();
    let mut text = Vec::new();
    for path in &paths {
        text.extend(fs::read(path)?);
    }
    if text.is_empty() {
        text = made_up_text(1 << 20);
    } else {
        text = text.repeat(TEXT_BYTES_MIN.div_ceil(text.len()));
    }
    writeln!(io::stdout(), "{} bytes of text, median of {ROUNDS} rounds", text.len())?;

    let four = NonZeroU32::new(4).expect("four is not zero");
    let many = NonZeroU32::new(1000).expect("a thousand is not zero");
    for (name, words, ignore_case, buckets) in [
        ("tokenize letters", WordRule::Letters, false, four),
        ("tokenize letters, 1000 buckets", WordRule::Letters, false, many),
        ("tokenize letters, ignore case", WordRule::Letters, true, four),
        ("tokenize whitespace", WordRule::Whitespace, false, four),
        ("tokenize whitespace, ignore case", WordRule::Whitespace, true, four),
    ] {
        let rules = Rules { words, ignore_case };
        for level in Level::all() {
            let name = format!("{name}, {}", level.name());
            report(&name, text.len(), || tokenize(&text, level, rules, buckets, |_| ()))?;
        }
    }

    let mut lines = Vec::new();
    let one = NonZeroU32::MIN;
    let append = |pending: &[u8]| lines.extend_from_slice(pending);
    tokenize(&text, Level::best(), Rules::default(), one, append);
    count_lines("count lines", &lines)?;

    let distinct = distinct_words(text.len() / 32);
    let bytes = distinct.iter().map(Vec::len).sum();
    let fill = || {
        let mut table = Table::new();
        distinct.iter().for_each(|word| table.add(word, 1));
        table
    };
    // Each word comes eight times, far apart, and the table is larger than the caches.
    let mut wide: Vec<u8> = Vec::new();
    for word in (0..8).flat_map(|_| &distinct) {
        wide.extend_from_slice(word);
        wide.push(b'\n');
    }
    count_lines("count lines, wide", &wide)?;
    report("add distinct words", bytes, || fill().len() as u64)?;
    let mut tables: Vec<_> = (0..ROUNDS).map(|_| fill()).collect();
    report("sort distinct words", bytes, || {
        tables.pop().expect("one table a round").into_sorted(|| ()).len() as u64
    })?;
    let sorted = fill().into_sorted(|| ());
    report("write distinct words", bytes, || {
        let mut out = Vec::new();
        sorted.iter().for_each(|(word, count)| write_line(&mut out, word, count));
        sorted.len() as u64
    })
}

/// Count `lines` as a reduce attempt would, with each level of instructions.
fn count_lines(name: &str, lines: &[u8]) -> io::Result<()> {
    for level in Level::all() {
        report(&format!("{name}, {level:?}"), lines.len(), || {
            let mut counter = Counter::at_level(level);
            lines.chunks(BLOCK).for_each(|block| counter.feed(block));
            assert!(counter.end_object(), "the tokenizer ends its last line");
            counter.words()
        })?;
    }
    Ok(())
}

/// Read `text` as one split, as a map attempt would; returns its number of words.
fn tokenize(
    text: &[u8],
    level: Level,
    rules: Rules,
    buckets: NonZeroU32,
    mut write: impl FnMut(&[u8]),
) -> u64 {
    let mut tokenizer = Tokenizer::at_level(level, rules, buckets);
    tokenizer.begin(b"");
    let mut blocks = text.chunks(BLOCK).peekable();
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

/// Time `round`, which returns a number of words, and print what it did a second.
fn report(name: &str, bytes: usize, mut round: impl FnMut() -> u64) -> io::Result<()> {
    let mut words = 0;
    let mut times = [Duration::ZERO; ROUNDS];
    for time in &mut times {
        let start = Instant::now();
        words = round();
        *time = start.elapsed();
    }
    times.sort_unstable();
    let seconds = times[ROUNDS / 2].as_secs_f64();
    writeln!(
        io::stdout(),
        "{name:42} {:7.0} MB/s {:7.1} million words/s  ({words} words)",
        bytes as f64 / seconds / 1e6,
        words as f64 / seconds / 1e6,
    )
}

/// English letter lengths and a skewed vocabulary, the same every time.
fn made_up_text(len: usize) -> Vec<u8> {
    let vocabulary: Vec<_> = distinct_words(4096).into_iter().collect();
    let mut text = Vec::new();
    let mut random = Random(1);
    while text.len() < len {
        let rank = 1 << random.below(12);
        let word = &vocabulary[rank + random.below(rank)];
        text.extend_from_slice(&word[..word.len().min(2 + random.below(8))]);
        text.extend_from_slice(if random.below(9) == 0 { b".\n" } else { b" " });
    }
    text
}

/// About `count` words of 4 to 12 letters, all different, in no order.
fn distinct_words(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(2);
    let mut seen = BTreeSet::new();
    let mut words = Vec::new();
    for _ in 0..count {
        let word: Vec<u8> =
            (0..4 + random.below(9)).map(|_| b'a' + random.below(26) as u8).collect();
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}

/// A multiplicative congruential generator: good enough to make words up.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

const ROUNDS: usize = 5;
const BLOCK: usize = 256 << 10;
const TEXT_BYTES_MIN: usize = 64 << 20;
