//! How fast the hot loops are, in bytes a second on one core: `cargo bench -p bench`.
//!
//! 16 MiB each: more than any cache of one core holds, so that the text comes from memory, as it
//! does in a job. `MAPMILL_TEXT` names a file to be read as well; an argument after `--` selects
//! the loops whose names contain it.

use std::env;
use std::fmt::{self, Display};
use std::fs;
use std::num::NonZeroU32;

use bench::loops::{self, Reading};
use bench::texts::Text;
use divan::counter::BytesCount;
use divan::{Bencher, black_box, black_box_drop};
use words::{Level, Rules, Table, WordRule};

fn main() {
    divan::Divan::default().sample_count(20).config_with_args().main();
}

/// Bytes of text to words in four buckets. Newlines contain no word: that is the search for gaps
/// alone.
#[divan::bench(args = with_file(&[
    Text::Prose, Text::Wide, Text::Mix, Text::Cyrillic, Text::Cjk, Text::Tokens, Text::Newlines,
]))]
fn map(bencher: Bencher, source: Source) {
    time_map(bencher, source, Reading::default());
}

/// The same with other rules, more buckets, and other letters, at every level of instructions.
#[divan::bench(args = variants())]
fn map_variants(bencher: Bencher, variant: Variant) {
    time_map(bencher, Source::Made(variant.text), variant.reading);
}

/// Lines of an intermediate to counts.
#[divan::bench(args = with_file(&[
    Text::Prose, Text::Wide, Text::Mix, Text::Cyrillic, Text::Cjk, Text::Tokens,
]))]
fn reduce(bencher: Bencher, source: Source) {
    time_reduce(bencher, source, Level::best());
}

/// The same at every level of instructions.
#[divan::bench(args = at_all_levels(&[("prose", Text::Prose), ("wide", Text::Wide)]))]
fn reduce_variants(bencher: Bencher, variant: Variant) {
    time_reduce(bencher, Source::Made(variant.text), variant.reading.level);
}

/// The same with so many words that no cache holds their table.
#[divan::bench]
fn reduce_beyond_caches(bencher: Bencher) {
    let text = Text::Wide.make(8 * TEXT_BYTES).expect("the sample texts can be read");
    let lines = loops::lines(&text);
    let bytes = BytesCount::of_slice(&lines);
    bencher.counter(bytes).bench(|| loops::reduce(black_box(&lines), Level::best()));
}

/// Words, all different, to a table; bytes are those of the words.
#[divan::bench(args = [Source::Made(Text::Prose), Source::Made(Text::Wide)])]
fn add(bencher: Bencher, source: Source) {
    let sorted = table(source).into_sorted(|| ());
    bencher.counter(word_bytes(&sorted)).bench(|| {
        let mut table = Table::new();
        sorted.iter().for_each(|(word, count)| table.add(word, count));
        table
    });
}

/// A table of many words to their order; bytes are those of the words.
#[divan::bench(args = [Source::Made(Text::Prose), Source::Made(Text::Wide)])]
fn sort(bencher: Bencher, source: Source) {
    let lines = loops::lines(&source.text());
    let counted = || loops::reduce(&lines, Level::best()).into_table();
    bencher
        .counter(word_bytes(&counted().into_sorted(|| ())))
        .with_inputs(counted)
        .bench_values(|table| table.into_sorted(|| ()));
}

/// Words in their order to lines of an output; bytes are those of the words.
#[divan::bench(args = [Source::Made(Text::Prose), Source::Made(Text::Wide)])]
fn write(bencher: Bencher, source: Source) {
    let sorted = table(source).into_sorted(|| ());
    let mut out = Vec::new();
    bencher.counter(word_bytes(&sorted)).bench_local(|| {
        out.clear();
        loops::write(black_box(&sorted), &mut out);
        black_box_drop(out.len());
    });
}

fn time_map(bencher: Bencher, source: Source, reading: Reading) {
    let text = source.text();
    let bytes = BytesCount::of_slice(&text);
    bencher.counter(bytes).bench(|| loops::map(black_box(&text), reading));
}

fn time_reduce(bencher: Bencher, source: Source, level: Level) {
    let lines = loops::lines(&source.text());
    let bytes = BytesCount::of_slice(&lines);
    bencher.counter(bytes).bench(|| loops::reduce(black_box(&lines), level));
}

fn table(source: Source) -> Table {
    loops::reduce(&loops::lines(&source.text()), Level::best()).into_table()
}

fn word_bytes(sorted: &words::Sorted) -> BytesCount {
    BytesCount::new(sorted.iter().map(|(word, _)| word.len()).sum::<usize>())
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// That `MAPMILL_TEXT` names.
    File,
    Made(Text),
}

impl Source {
    fn text(self) -> Vec<u8> {
        match self {
            Self::File => {
                let path = env::var_os(FILE).expect("it was set when this was chosen");
                let text = fs::read(path).expect("the file that MAPMILL_TEXT names can be read");
                text.repeat((TEXT_BYTES as usize).div_ceil(text.len().max(1)))
            }
            Self::Made(text) => {
                text.make(TEXT_BYTES).expect("the sample texts, whose words it has, can be read")
            }
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "MAPMILL_TEXT",
            Self::Made(text) => text.name(),
        })
    }
}

fn with_file(texts: &[Text]) -> Vec<Source> {
    let made = texts.iter().copied().map(Source::Made);
    made.chain(env::var_os(FILE).map(|_| Source::File)).collect()
}

#[derive(Clone, Copy, Debug)]
struct Variant {
    name: &'static str,
    text: Text,
    reading: Reading,
}

impl Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.reading.level.name())
    }
}

fn at_all_levels(texts: &[(&'static str, Text)]) -> Vec<Variant> {
    let at = |level| {
        let reading = Reading { level, ..Reading::default() };
        texts.iter().map(move |&(name, text)| Variant { name, text, reading })
    };
    Level::all().into_iter().flat_map(at).collect()
}

fn variants() -> Vec<Variant> {
    let text = Text::Prose;
    let mut variants = at_all_levels(&[("prose", text), ("cyrillic", Text::Cyrillic)]);
    for level in Level::all() {
        let plain = Reading { level, ..Reading::default() };
        for (name, words, ignore_case) in [
            ("ignoring case", WordRule::Letters, true),
            ("whitespace", WordRule::Whitespace, false),
            ("whitespace, ignoring case", WordRule::Whitespace, true),
        ] {
            let reading = Reading { rules: Rules { words, ignore_case }, ..plain };
            variants.push(Variant { name, text, reading });
        }
        let buckets = NonZeroU32::new(1000).expect("a thousand is not 0");
        variants.push(Variant {
            name: "1000 buckets",
            text,
            reading: Reading { buckets, ..plain },
        });
    }
    variants
}

const FILE: &str = "MAPMILL_TEXT";
const TEXT_BYTES: u64 = 16 << 20;
