//! The words of short texts, and one split from call to call.

use super::*;
use crate::rules::WordRule;

const LETTERS: Rules = Rules { words: WordRule::Letters, ignore_case: false };
const LETTERS_LOWER: Rules = Rules { words: WordRule::Letters, ignore_case: true };
const WHITESPACE: Rules = Rules { words: WordRule::Whitespace, ignore_case: false };
const WHITESPACE_LOWER: Rules = Rules { words: WordRule::Whitespace, ignore_case: true };

#[test]
fn letters_are_words_and_the_rest_is_not() {
    check(LETTERS, "don't pay 2nd naïve_x\0y", &["don", "t", "pay", "nd", "naïve", "x", "y"]);
}

#[test]
fn whitespace_makes_words_of_everything_else() {
    check(WHITESPACE, "don't\u{a0}2nd\u{85}-\0-\u{1c}x\r\n", &["don't", "2nd", "-\0-\u{1c}x"]);
}

#[test]
fn lower_case_may_be_longer_and_not_alphabetic() {
    check(LETTERS_LOWER, "İX ΣΑΣ ẞ", &["i\u{307}x", "σασ", "ß"]);
    // U+0307 on its own separates words; as a part of a lower-case letter it does not.
    check(LETTERS_LOWER, "x\u{307}Y", &["x", "y"]);
    check(WHITESPACE_LOWER, "DON'T İ", &["don't", "i\u{307}"]);
}

#[test]
fn bucket_is_that_of_the_lower_case() {
    let mut tokenizer = tokenizer(LETTERS_LOWER, 128);
    // The last one is the Kelvin sign, whose lower case is ASCII.
    read(&mut tokenizer, "Alpha \u{212A}elvin".as_bytes());
    assert_eq!(tokenizer.buckets().pending(u32::from(b'a')), b"alpha\n");
    assert_eq!(tokenizer.buckets().pending(u32::from(b'k')), b"kelvin\n");
}

#[test]
fn invalid_byte_is_counted_and_separates_letters() {
    let mut tokenizer = tokenizer(LETTERS, 1);
    read(&mut tokenizer, b"ab\xFFcd\xE2\x82ef\xC3");
    assert_eq!(tokenizer.buckets().pending(0), b"ab\ncd\nef\n");
    assert_eq!(tokenizer.invalid_bytes(), 4);
}

#[test]
fn invalid_byte_begins_a_word_in_the_bucket_of_its_value() {
    let mut tokenizer = tokenizer(WHITESPACE_LOWER, 256);
    read(&mut tokenizer, b"\xE2\x82A \xE2");
    assert_eq!(tokenizer.buckets().pending(0xE2), b"\xE2\x82a\n\xE2\n");
    assert_eq!(tokenizer.invalid_bytes(), 3);
}

#[test]
fn invalid_byte_ends_a_word_although_a_character_could_begin_with_it() {
    // Whether 0xC2 is one is decided by the byte behind the word.
    for rules in [WHITESPACE, WHITESPACE_LOWER] {
        let mut tokenizer = tokenizer(rules, 1);
        tokenizer.begin(b"");
        tokenizer.feed(b"\xC8\xBA\xC2 a");
        assert!(!tokenizer.feed_beyond(b"b\xC2\n"));
        tokenizer.end();
        let first = if rules.ignore_case { "ⱥ" } else { "Ⱥ" };
        let expected = [first.as_bytes(), b"\xC2\nab\xC2\n"].concat();
        assert_eq!(tokenizer.buckets().pending(0), expected);
        assert_eq!(tokenizer.invalid_bytes(), 1);
    }
}

#[test]
fn split_inside_a_giant_word_emits_nothing_and_needs_nothing() {
    let mut tokenizer = tokenizer(LETTERS, 1);
    tokenizer.begin(b"xxxx");
    tokenizer.feed(&[b'x'; 1000]);
    assert!(!tokenizer.feed_beyond(b""));
    assert!(!tokenizer.feed_beyond(b"x y"));
    tokenizer.end();
    assert_eq!((tokenizer.buckets().pending(0), tokenizer.words()), (b"".as_slice(), 0));
}

#[test]
fn split_needs_more_until_its_word_and_its_character_are_complete() {
    let mut tokenizer = tokenizer(LETTERS, 1);
    tokenizer.begin(b"");
    tokenizer.feed(b"a \xF0\x9D");
    assert_eq!(tokenizer.words(), 1);
    assert!(tokenizer.feed_beyond(b""));
    assert!(tokenizer.feed_beyond(b"\x92"));
    assert!(tokenizer.feed_beyond(b"\x9Cbc"));
    assert!(!tokenizer.feed_beyond(b"d e"));
    tokenizer.end();
    assert_eq!(tokenizer.buckets().pending(0), "a\n𝒜bcd\n".as_bytes());
}

#[test]
fn word_is_streamed_and_counted_when_it_starts() {
    let mut tokenizer = tokenizer(LETTERS, 1);
    tokenizer.begin(b"");
    for part in [b"abc", b"def"] {
        tokenizer.feed(part);
        assert_eq!(tokenizer.buckets().pending(0), part);
        assert_eq!(tokenizer.words(), 1);
        tokenizer.buckets_mut().clear_first(0, 3);
    }
    tokenizer.end();
    assert_eq!(tokenizer.buckets().pending(0), b"\n");
}

#[test]
fn end_of_a_file_ends_a_word() {
    let mut tokenizer = tokenizer(LETTERS, 1);
    read(&mut tokenizer, b"one");
    read(&mut tokenizer, b"two");
    assert_eq!(tokenizer.buckets().pending(0), b"one\ntwo\n");
}

#[test]
fn tokenizer_anew_has_seen_nothing() {
    let text = b"two words\xff and the beginning of an \xc3".repeat(100);
    let mut used = tokenizer(LETTERS, 3);
    read(&mut used, &text);
    used.begin(b"a");
    used.feed(&text);
    let (mut anew, mut new) = (used.anew(), tokenizer(LETTERS, 3));
    assert_eq!((anew.words(), anew.invalid_bytes()), (0, 0));
    for text in [b"".as_slice(), b"other words \xff", &text] {
        read(&mut anew, text);
        read(&mut new, text);
        assert_eq!((anew.words(), anew.invalid_bytes()), (new.words(), new.invalid_bytes()));
        for bucket in 0..3 {
            assert_eq!(anew.buckets().pending(bucket), new.buckets().pending(bucket));
            assert_eq!(anew.buckets().words(bucket), new.buckets().words(bucket));
        }
    }
}

fn tokenizer(rules: Rules, buckets: u32) -> Tokenizer {
    Tokenizer::new(rules, NonZeroU32::new(buckets).unwrap())
}

fn read(tokenizer: &mut Tokenizer, file: &[u8]) {
    tokenizer.begin(b"");
    tokenizer.feed(file);
    tokenizer.end();
}

#[track_caller]
fn check(rules: Rules, text: &str, expected: &[&str]) {
    let mut tokenizer = tokenizer(rules, 1);
    read(&mut tokenizer, text.as_bytes());
    let pending = String::from_utf8(tokenizer.buckets().pending(0).to_vec()).unwrap();
    assert_eq!(pending.lines().collect::<Vec<_>>(), expected);
    assert_eq!(tokenizer.words(), expected.len() as u64);
}
