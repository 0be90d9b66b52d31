//! The independent naive counter: the rules of counting, in the dumbest way.
//!
//! Whole files in memory, one character at a time, a map from words to counts. It shares no line
//! with the program under test: neither its tokenizer nor its plan.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a word is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub whitespace: bool,
    pub ignore_case: bool,
}

/// All words of some files, in order.
#[derive(Debug)]
pub struct Oracle {
    words: Vec<Word>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are not part of a UTF-8 character.
    pub invalid_bytes: u64,
}

#[derive(Debug)]
struct Word {
    /// The offset of its first byte when the files are laid end to end.
    start: u64,
    text: Vec<u8>,
}

/// What a job must leave.
#[derive(Debug)]
pub struct Expected {
    /// Contents by path below the results folder: `out/out-0`.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub words: u64,
    pub distinct_words: u64,
}

/// All visible files below `arguments`, sorted by path, bytewise. Does not follow links.
pub fn list(folder: &Path, arguments: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for argument in arguments {
        walk(&folder.join(argument), &mut files);
    }
    files.sort_by_key(|path| path.as_os_str().as_bytes().to_vec());
    files
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a folder of the test can be read") {
        let entry = entry.expect("a folder of the test can be read");
        if !entry.file_name().as_bytes().starts_with(b".") {
            walk(&entry.path(), files);
        }
    }
}

impl Oracle {
    /// Reads `files`, laid end to end in this order.
    pub fn read(files: &[PathBuf], rules: Rules) -> Self {
        let mut oracle = Self { words: Vec::new(), bytes: 0, invalid_bytes: 0 };
        for file in files {
            let data = fs::read(file).expect("an input of the test can be read");
            oracle.read_one(&data, rules);
            oracle.bytes += data.len() as u64;
        }
        oracle
    }

    /// One file. Its end ends a word.
    fn read_one(&mut self, data: &[u8], rules: Rules) {
        let mut at = self.bytes;
        let mut word: Option<Word> = None;
        for chunk in data.utf8_chunks() {
            for character in chunk.valid().chars() {
                let belongs = match rules.whitespace {
                    true => !character.is_whitespace(),
                    false => character.is_alphabetic(),
                };
                if belongs {
                    let text = &mut word.get_or_insert(Word { start: at, text: Vec::new() }).text;
                    if rules.ignore_case {
                        let lower: String = character.to_lowercase().collect();
                        text.extend(lower.as_bytes());
                    } else {
                        text.extend(character.to_string().as_bytes());
                    }
                } else {
                    self.words.extend(word.take());
                }
                at += character.len_utf8() as u64;
            }
            for &byte in chunk.invalid() {
                self.invalid_bytes += 1;
                if rules.whitespace {
                    word.get_or_insert(Word { start: at, text: Vec::new() }).text.push(byte);
                } else {
                    self.words.extend(word.take());
                }
                at += 1;
            }
        }
        self.words.extend(word);
    }

    /// What a job of `map_tasks` and `reduce_tasks` must leave.
    pub fn expect(&self, map_tasks: u32, reduce_tasks: u32) -> Expected {
        let (n, m) = (u64::from(map_tasks), u64::from(reduce_tasks));
        let mut intermediates = BTreeMap::<(u64, u64), Vec<u8>>::new();
        let mut counts = vec![BTreeMap::<&[u8], u64>::new(); reduce_tasks as usize];
        for word in &self.words {
            // The last share that begins at or before the word.
            let map = (0..n).rev().find(|share| self.bytes * share / n <= word.start);
            let map = map.expect("the first share begins at 0");
            let bucket = first_letter(&word.text) % m;
            let lines = intermediates.entry((map, bucket)).or_default();
            lines.extend(&word.text);
            lines.push(b'\n');
            *counts[bucket as usize].entry(&word.text).or_default() += 1;
        }
        let mut files = BTreeMap::new();
        for (bucket, counts) in (0..m).zip(&counts) {
            let mut lines = Vec::new();
            for (word, count) in counts {
                lines.extend(*word);
                lines.extend(format!(" {count}\n").as_bytes());
            }
            files.insert(format!("out/out-{bucket}").into(), lines);
            for map in 0..n {
                let lines = intermediates.remove(&(map, bucket)).unwrap_or_default();
                files.insert(format!("intermediate/mr-{map}-{bucket}").into(), lines);
            }
        }
        let distinct_words = counts.iter().map(|counts| counts.len() as u64).sum();
        Expected { files, words: self.words.len() as u64, distinct_words }
    }
}

/// The scalar value of the first character; a byte that is not valid UTF-8 counts as its own value.
fn first_letter(word: &[u8]) -> u64 {
    let chunk = word.utf8_chunks().next().expect("a word is not empty");
    match chunk.valid().chars().next() {
        Some(character) => u64::from(u32::from(character)),
        None => u64::from(chunk.invalid()[0]),
    }
}
