//! One run of one contender: what it used, and what it found.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::process::Used;

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) used: Used,
    /// The number of words, if the contender reports it.
    pub(crate) words: Option<u64>,
    pub(crate) distinct: Option<u64>,
    /// The checksum of all outputs of Mapmill, concatenated.
    pub(crate) crc: Option<u32>,
}

impl Sample {
    /// Of a process that reports no words.
    pub(crate) fn of_process(used: Used) -> Self {
        Self { used, words: None, distinct: None, crc: None }
    }

    /// Of a process that has left lines of `word count` in `path`, in any order. One without a word
    /// is left out.
    pub(crate) fn of_counts(used: Used, path: &Path) -> io::Result<Self> {
        let (mut words, mut distinct) = (0, 0);
        let mut lines = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            if let Some((word, count)) =
                text.trim_end().rsplit_once(' ').filter(|(word, _)| !word.is_empty())
            {
                let count: u64 = count.parse().map_err(|_| {
                    io::Error::other(format!("`{count}` after `{word}` is not a number"))
                })?;
                words += count;
                distinct += 1;
            }
            line.clear();
        }
        Ok(Self { used, words: Some(words), distinct: Some(distinct), crc: None })
    }

    /// Of a job of Mapmill that reports with `--json`, and the checksum of its outputs.
    pub(crate) fn of_report(used: Used, json: &[u8]) -> io::Result<Self> {
        let report: Value = serde_json::from_slice(json)?;
        let mut digest = crc32fast::Hasher::new();
        for output in report["outputs"].as_array().into_iter().flatten() {
            let mut file = File::open(output.as_str().unwrap_or_default())?;
            let mut block = vec![0; 1 << 20];
            loop {
                let length = file.read(&mut block)?;
                if length == 0 {
                    break;
                }
                digest.update(&block[..length]);
            }
        }
        let words = report["reduce"]["words"].as_u64();
        let distinct = report["distinct_words"].as_u64();
        Ok(Self { used, words, distinct, crc: Some(digest.finalize()) })
    }
}
