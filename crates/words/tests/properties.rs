//! Everything the crate promises, compared with counters that are written as plainly as can be.
//!
//! The oracle for text is in `naive`: the cuts of splits and the sizes of blocks must not change a
//! single word.
//!
//! A failure prints the smallest input that it was seen with, and keeps its seed beside this file;
//! `PROPTEST_RNG_SEED=N` starts a run from seed N.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use words::{Counter, Level, Rules, Table, Tokenizer, WordRule, write_line};

use line::parse_line;
use naive::{ALL_RULES, check_splits, naive_words, read_split};

mod line;
mod naive;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_split_has_the_words_that_start_in_it(
        file in text(),
        cuts in vec(any::<Index>(), 0..6),
        blocks in blocks(),
        rules in rules(),
        buckets in 1_u32..30,
    ) {
        let cuts = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
        check_splits(&file, cuts, &blocks, rules, buckets);
    }

    #[test]
    fn random_bytes_are_split_as_well(
        file in vec(any::<u8>(), 0..200),
        cuts in vec(any::<Index>(), 0..6),
        blocks in blocks(),
        rules in rules(),
        buckets in 1_u32..30,
    ) {
        let cuts = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
        check_splits(&file, cuts, &blocks, rules, buckets);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn table_is_a_map_in_order(
        alike in vec((vec(0_u8..3, 0..22), 0_u64..1000), 0..100),
        // Enough to make it grow, and up to forty bytes long.
        many in vec(any::<u32>(), 0..1000),
    ) {
        let many = many.iter().map(|&n| (n.to_string().repeat(n as usize % 5).into_bytes(), 1));
        let adds: Vec<_> = alike.into_iter().chain(many).collect();
        let mut expected = BTreeMap::<&[u8], u64>::new();
        for (word, count) in &adds {
            *expected.entry(word).or_default() += count;
        }
        for level in Level::all() {
            let mut table = Table::at_level(level);
            adds.iter().for_each(|(word, count)| table.add(word, *count));
            prop_assert_eq!(table.len(), expected.len());
            prop_assert_eq!(table.is_empty(), expected.is_empty());
            let sorted = table.into_sorted(|| ());
            prop_assert_eq!(sorted.len(), expected.len());
            prop_assert!(sorted.iter().eq(expected.clone()));
        }
    }

    #[test]
    fn counter_counts_lines_whatever_the_blocks(
        objects in vec(lines(), 1..4),
        blocks in vec(1_usize..90, 1..5),
    ) {
        check_lines(&objects, &blocks)?;
    }

    #[test]
    fn lines_that_fill_windows_are_counted_as_well(
        // Some lines are longer than a window.
        objects in vec((lines(), 1_usize..60, 0_usize..9000), 1..3),
        blocks in vec(3000_usize..20_000, 1..3),
    ) {
        let objects: Vec<_> = objects
            .into_iter()
            .map(|(lines, times, giant)| [lines.repeat(times), vec![b'g'; giant], lines].concat())
            .collect();
        check_lines(&objects, &blocks)?;
    }

    #[test]
    fn line_that_was_written_is_parsed(word in vec(any::<u8>(), 0..20), count in any::<u64>()) {
        let mut out = Vec::new();
        write_line(&mut out, &word, count);
        prop_assert_eq!(out.pop(), Some(b'\n'));
        prop_assert_eq!(&out, &[&word, b" ".as_slice(), count.to_string().as_bytes()].concat());
        prop_assert_eq!(parse_line(&out), Some((word.as_slice(), count)));
    }

    #[test]
    fn line_that_is_parsed_was_written(line in vec(select(b"a 0019".as_slice()), 0..8)) {
        if let Some((word, count)) = parse_line(&line) {
            let mut out = Vec::new();
            write_line(&mut out, word, count);
            prop_assert_eq!(out, [line.as_slice(), b"\n"].concat());
        }
    }

    #[test]
    fn words_of_all_maps_are_counted_once(
        files in vec(text(), 1..4),
        rules in rules(),
    ) {
        let mut tokenizer = Tokenizer::new(rules, NonZeroU32::MIN);
        let mut counter = Counter::new();
        let mut expected = BTreeMap::<Vec<u8>, u64>::new();
        for file in &files {
            let mut intermediate = [Vec::new()];
            read_split(&mut tokenizer, file, 0..file.len(), &[100], &mut intermediate);
            counter.feed(&intermediate[0]);
            prop_assert!(counter.end_object());
            for word in naive_words(file, rules) {
                *expected.entry(word.bytes).or_default() += 1;
            }
        }
        prop_assert_eq!(counter.words(), tokenizer.words());
        let sorted = counter.into_table().into_sorted(|| ());
        let expected = expected.iter().map(|(word, &count)| (word.as_slice(), count));
        prop_assert!(sorted.iter().eq(expected));
    }
}

#[test]
fn every_byte_at_every_position_around_every_cut() {
    for file in ["aé€😀 b", "x 𝒜b€1", "Ⱥ İ\u{A0}ñ"] {
        for (position, byte) in (0..file.len()).flat_map(|at| (0..=0xFF).map(move |b| (at, b))) {
            let mut file = file.as_bytes().to_vec();
            file[position] = byte;
            for rules in ALL_RULES {
                // Splits of one byte are cut on both sides of it.
                check_splits(&file, (0..=file.len()).collect(), &[1], rules, 5);
                check_splits(&file, vec![position], &[3], rules, 5);
            }
        }
    }
}

#[test]
fn every_text_of_five_awkward_bytes_cut_everywhere() {
    let bytes = [b'a', b' ', 0x80, 0xBF, 0xC3, 0xE2, 0xF0];
    for code in 0..bytes.len().pow(5) {
        let file: Vec<u8> =
            (0..5).map(|digit| bytes[code / bytes.len().pow(digit) % bytes.len()]).collect();
        for rules in ALL_RULES {
            check_splits(&file, (0..=5).collect(), &[1], rules, 3);
        }
    }
}

#[test]
fn giant_word_is_never_held() {
    const BLOCK: usize = 1 << 16;
    const WORD: u64 = 64 << 20;
    // The letter whose lower case grows most: two bytes become three.
    for (letter, lower_len) in [("x", 1), ("Ⱥ", 3)] {
        let block = letter.repeat(BLOCK / letter.len());
        let rules = Rules { words: WordRule::Letters, ignore_case: true };
        let mut tokenizer = Tokenizer::new(rules, NonZeroU32::new(4).unwrap());
        tokenizer.begin(b"");
        let mut written = 0;
        for fed in 0..WORD / BLOCK as u64 {
            // The second half of the word is behind the split.
            if fed < WORD / BLOCK as u64 / 2 {
                tokenizer.feed(block.as_bytes());
            } else {
                assert!(tokenizer.feed_beyond(block.as_bytes()));
            }
            assert!(pending(&tokenizer, 4) <= 3 * BLOCK);
            for bucket in 0..4 {
                let pending = tokenizer.buckets().pending(bucket).len();
                tokenizer.buckets_mut().clear_first(bucket, pending);
                written += pending as u64;
            }
        }
        tokenizer.end();
        assert_eq!(written, WORD / letter.len() as u64 * lower_len);
        assert_eq!(pending(&tokenizer, 4), 1, "the newline is left");
        assert_eq!(tokenizer.words(), 1);
    }
}

#[test]
fn pending_lines_are_never_much_longer_than_their_block() {
    for text in ["a b c d ", "Ⱥ Ⱥ ", "İ", "it is a word or two "] {
        let block = text.repeat(1000);
        for rules in ALL_RULES {
            let mut tokenizer = Tokenizer::new(rules, NonZeroU32::new(3).unwrap());
            tokenizer.begin(b"");
            tokenizer.feed(block.as_bytes());
            assert!(pending(&tokenizer, 3) <= 3 * block.len());
            tokenizer.end();
        }
    }
}

#[test]
fn count_is_behind_the_last_space() {
    assert_eq!(parse_line(b"a b 7"), Some((b"a b".as_slice(), 7)));
    assert_eq!(parse_line(b" 7"), Some((b"".as_slice(), 7)));
    assert_eq!(parse_line(b"y 18446744073709551615"), Some((b"y".as_slice(), u64::MAX)));
}

#[test]
fn what_was_never_written_is_not_a_line() {
    for line in ["", "a", "a ", "a b", "a -1", "a +1", "a 01", "a 1 ", "a 18446744073709551616"] {
        assert_eq!(parse_line(line.as_bytes()), None, "{line:?}");
    }
}

/// The pending bytes of so many buckets together.
fn pending(tokenizer: &Tokenizer, buckets: u32) -> usize {
    (0..buckets).map(|bucket| tokenizer.buckets().pending(bucket).len()).sum()
}

/// Counts objects that come in blocks of these sizes, at every level of instructions.
fn check_lines(objects: &[Vec<u8>], blocks: &[usize]) -> Result<(), TestCaseError> {
    let mut expected = BTreeMap::<&[u8], u64>::new();
    let mut complete = Vec::new();
    for object in objects {
        let mut lines: Vec<_> = object.split(|&byte| byte == b'\n').collect();
        complete.push(lines.pop().unwrap_or_default().is_empty());
        for line in lines {
            *expected.entry(line).or_default() += 1;
        }
    }
    for level in Level::all() {
        let mut counter = Counter::at_level(level);
        for (object, &complete) in objects.iter().zip(&complete) {
            let mut rest = object.as_slice();
            for size in blocks.iter().cycle() {
                let block;
                (block, rest) = rest.split_at(rest.len().min(*size));
                counter.feed(block);
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(counter.end_object(), complete);
        }
        prop_assert_eq!(counter.words(), expected.values().sum::<u64>());
        let sorted = counter.into_table().into_sorted(|| ());
        prop_assert!(sorted.iter().eq(expected.clone()), "{:?}", level);
    }
    Ok(())
}

/// Lines of few different bytes, in which words repeat.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    vec(select(b"aab\n\n\0\xFFqz".as_slice()), 0..300)
}

/// Text in which every awkward piece of a word is next to every other.
fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(fragment(), 0..40).prop_map(|fragments| fragments.concat())
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words =
        ["a", "The", "DON", "word", "naïve", "İstanbul", "ΣΑΣ", "ẞ", "\u{212A}", "Ⱥ", "中文"];
    let characters =
        ["é", "€", "😀", "𝒜", "𐐀", "ǅ", "\u{301}", "\u{345}", "\u{10FFFF}", "\u{FFFD}"];
    let gaps = [" ", "  ", "\n", "\r\n", "\t", "\0", "'", "2", "\u{1C}"];
    let wide_gaps = ["\u{85}", "\u{A0}", "\u{2028}", "\u{3000}", "\u{200B}", "\u{FEFF}"];
    let broken: [&[u8]; 12] = [
        b"\x80",
        b"\xBF",
        b"\xC3",
        b"\xE2\x82",
        b"\xF0\x9F\x98",
        b"\xF0",
        b"\xFF",
        b"\xC0\x80",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xE0\x9F\xBF",
        b"\xF0\x8F\xBF\xBF",
    ];
    let strings = |strings: &[&str]| {
        select(strings.iter().map(|string| string.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    prop_oneof![
        4 => strings(&words),
        2 => strings(&characters),
        4 => strings(&gaps),
        1 => strings(&wide_gaps),
        2 => select(broken.map(<[u8]>::to_vec).to_vec()),
        1 => vec(any::<u8>(), 1..4),
        // Longer than the 64 bytes of a chunk.
        1 => (select(vec!["x", "É"]), 30_usize..150).prop_map(|(one, n)| one.repeat(n).into_bytes()),
    ]
}

/// Sizes on both sides of the 64 bytes of a chunk, and of several chunks.
fn blocks() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![2 => 1_usize..90, 1 => 90_usize..400], 1..5)
}

fn rules() -> impl Strategy<Value = Rules> {
    select(ALL_RULES.to_vec())
}
