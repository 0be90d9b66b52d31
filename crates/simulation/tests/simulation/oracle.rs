//! What the files must contain: counted naively, with none of the crates of this repository.

use std::collections::BTreeMap;

use rpc::message::{WordRule, WordRules};

/// The words of one bucket, each as often as it occurs, in order of bytes.
pub type Words = Vec<String>;

/// The words of `texts`, bucket by bucket.
pub fn buckets(texts: &[String], rules: WordRules, reduce_tasks: u32) -> Vec<Words> {
    let mut buckets = vec![Words::new(); reduce_tasks as usize];
    for text in texts {
        let is_gap = |c: char| match rules.rule {
            WordRule::Letters => !c.is_alphabetic(),
            WordRule::Whitespace => c.is_whitespace(),
        };
        for word in text.split(is_gap).filter(|word| !word.is_empty()) {
            let word: String = if rules.ignore_case {
                word.chars().flat_map(char::to_lowercase).collect()
            } else {
                word.to_owned()
            };
            let first = word.chars().next().map_or(0, u32::from);
            buckets[(first % reduce_tasks) as usize].push(word);
        }
    }
    for words in &mut buckets {
        words.sort_unstable();
    }
    buckets
}

/// An output: `word count`, sorted.
pub fn output(words: &Words) -> Vec<u8> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for word in words {
        *counts.entry(word.as_bytes()).or_default() += 1;
    }
    let mut bytes = Vec::new();
    for (word, count) in counts {
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(format!(" {count}\n").as_bytes());
    }
    bytes
}
