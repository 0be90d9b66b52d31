//! The formats with a line for each word: text, TSV, CSV and JSON lines.

use std::str;

use super::Sink;
use super::destination::Destination;
use super::error::ExportError;

pub(super) struct Lines {
    line: Line,
    destination: Destination,
    buffer: Vec<u8>,
    /// The last count and its digits: in the order of counts it is mostly the next one too.
    count: u64,
    digits: Vec<u8>,
    words_not_utf8: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    Csv,
    Jsonl,
    Text,
    Tsv,
}

impl Lines {
    pub(super) fn csv(destination: Destination) -> Self {
        let mut lines = Self::begin(Line::Csv, destination);
        lines.buffer.extend(b"word,count\n");
        lines
    }

    pub(super) fn jsonl(destination: Destination) -> Self {
        Self::begin(Line::Jsonl, destination)
    }

    pub(super) fn text(destination: Destination) -> Self {
        Self::begin(Line::Text, destination)
    }

    pub(super) fn tsv(destination: Destination) -> Self {
        Self::begin(Line::Tsv, destination)
    }

    fn begin(line: Line, destination: Destination) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let digits = b"0\n".to_vec();
        Self { line, destination, buffer, count: 0, digits, words_not_utf8: 0 }
    }

    /// A word of RFC 4180: with quotes around it if it has a comma, a quote or a carriage return.
    fn add_csv(&mut self, word: &[u8]) {
        if !word.iter().any(|byte| b",\"\r\n".contains(byte)) {
            self.buffer.extend(word);
            return;
        }
        self.buffer.push(b'"');
        for &byte in word {
            if byte == b'"' {
                self.buffer.push(b'"');
            }
            self.buffer.push(byte);
        }
        self.buffer.push(b'"');
    }

    /// A string of JSON. What is not UTF-8 becomes U+FFFD.
    fn add_json(&mut self, word: &[u8]) -> Result<(), ExportError> {
        let is_plain = |&byte: &u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if word.iter().all(is_plain) && str::from_utf8(word).is_ok() {
            self.buffer.push(b'"');
            self.buffer.extend(word);
            self.buffer.push(b'"');
            return Ok(());
        }
        self.words_not_utf8 += u64::from(str::from_utf8(word).is_err());
        let word = String::from_utf8_lossy(word);
        serde_json::to_writer(&mut self.buffer, &word).expect("a buffer takes any text");
        Ok(())
    }
}

impl Sink for Lines {
    fn add(&mut self, word: &[u8], count: u64) -> Result<(), ExportError> {
        if count != self.count {
            self.count = count;
            self.digits.clear();
            self.digits.extend(count.to_string().as_bytes());
            self.digits.extend(if self.line == Line::Jsonl { &b"}\n"[..] } else { b"\n" });
        }
        match self.line {
            Line::Csv => {
                self.add_csv(word);
                self.buffer.push(b',');
            }
            Line::Jsonl => {
                self.buffer.extend(b"{\"word\":");
                self.add_json(word)?;
                self.buffer.extend(b",\"count\":");
            }
            // As in the outputs: the count is what follows the last space, even if a word has one.
            Line::Text => {
                self.buffer.extend(word);
                self.buffer.push(b' ');
            }
            Line::Tsv => {
                if word.contains(&b'\t') {
                    let word = String::from_utf8_lossy(word).chars().take(WORD_SHOWN).collect();
                    return Err(ExportError::Tab { word });
                }
                self.buffer.extend(word);
                self.buffer.push(b'\t');
            }
        }
        self.buffer.extend(&self.digits);
        if self.buffer.len() >= BUFFER_BYTES {
            self.destination.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(Destination, u64), ExportError> {
        self.destination.write(&self.buffer)?;
        Ok((self.destination, self.words_not_utf8))
    }
}

/// How much is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The characters of a word that a message shows.
const WORD_SHOWN: usize = 40;
