//! How fast the hot loops are, in bytes a second on one core: `cargo bench -p bench`.
//!
//! 16 MiB each: more than any cache of one core holds, so that the text comes from memory, as it
//! does in a job. There is a bench of the tokenizer's rarer rules in `crates/words/benches/`.

use std::num::NonZeroU32;

use bench::loops;
use bench::texts::Text;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::Divan::default().sample_count(20).config_with_args().main();
}

/// Bytes of text to words in four buckets.
#[divan::bench(args = [Text::Prose, Text::Wide, Text::Mix, Text::Cyrillic, Text::Cjk, Text::Tokens])]
fn map(bencher: Bencher, text: Text) {
    let text = made(text);
    let bytes = BytesCount::of_slice(&text);
    bencher.counter(bytes).bench(|| loops::map(black_box(&text), BUCKETS));
}

/// There is no word to be found: this is the search for gaps alone.
#[divan::bench]
fn mask(bencher: Bencher) {
    let text = made(Text::Newlines);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| loops::map(black_box(&text), BUCKETS));
}

/// Lines of an intermediate to counts.
#[divan::bench(args = [Text::Prose, Text::Wide, Text::Mix, Text::Cyrillic, Text::Cjk, Text::Tokens])]
fn reduce(bencher: Bencher, text: Text) {
    let lines = loops::lines(&made(text));
    let bytes = BytesCount::of_slice(&lines);
    bencher.counter(bytes).bench(|| loops::reduce(black_box(&lines)));
}

/// A table of many words to their order; bytes are those of the words.
#[divan::bench(args = [Text::Prose, Text::Wide])]
fn sort(bencher: Bencher, text: Text) {
    let lines = loops::lines(&made(text));
    let sorted = loops::reduce(&lines).into_table().into_sorted(|| ());
    let bytes = BytesCount::new(sorted.iter().map(|(word, _)| word.len()).sum::<usize>());
    bencher
        .counter(bytes)
        .with_inputs(|| loops::reduce(&lines).into_table())
        .bench_values(|table| table.into_sorted(|| ()));
}

fn made(text: Text) -> Vec<u8> {
    text.make(16 << 20).expect("the sample texts, whose words it is made of, can be read")
}

const BUCKETS: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");
