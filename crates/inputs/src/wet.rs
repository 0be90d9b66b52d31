//! WET: the text of web pages, as records of a WARC file (ISO 28500).
//!
//! The block of each record of the type `conversion` is a document; the others, such as
//! `warcinfo`, are skipped. A header that cannot be read ends the read, because it is not known
//! where the next record begins.

use crate::blocks::{Blocks, Event, Events};
use crate::damage::{Damage, DamageKind, ReadError};
use crate::record::Problem;

/// The documents of a WET file.
pub(crate) struct Wet<B> {
    blocks: B,
    /// Of the record that is being read.
    header: Vec<u8>,
    state: State,
    /// Bytes of what is pending that were given with the last call.
    given: usize,
    offset: u64,
    record_start: u64,
}

/// Where the read is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Between two records.
    Between,
    /// In the block of a record, with so many bytes to come.
    Block { left: u64, is_text: bool },
}

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Header {
    length: u64,
    is_text: bool,
}

impl<B: Blocks> Wet<B> {
    pub(crate) fn new(blocks: B) -> Self {
        let (header, state) = (Vec::new(), State::Between);
        Self { blocks, header, state, given: 0, offset: 0, record_start: 0 }
    }

    fn take(&mut self, bytes: usize) {
        self.blocks.take(bytes);
        self.offset += bytes as u64;
    }

    fn damage(&self, problem: Problem) -> ReadError<B::Error> {
        let (offset, text_offset) = (self.blocks.bytes_read(), self.record_start);
        Damage { kind: DamageKind::Record(problem), offset, text_offset }.into()
    }

    /// Takes the line feeds behind a record. False at the end of the text.
    fn begin_record(&mut self) -> Result<bool, ReadError<B::Error>> {
        loop {
            let block = self.blocks.pending()?;
            let skipped = block.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (is_over, is_all) = (block.is_empty(), skipped == block.len());
            self.take(skipped);
            if is_over || !is_all {
                self.record_start = self.offset;
                return Ok(!is_over);
            }
        }
    }

    /// Takes a header and the empty line behind it.
    fn read_header(&mut self) -> Result<Header, ReadError<B::Error>> {
        self.header.clear();
        loop {
            let block = self.blocks.pending()?;
            let (line, is_whole) = match memchr::memchr(b'\n', block) {
                Some(end) => (&block[..=end], true),
                None => (block, false),
            };
            let length = line.len();
            self.header.extend_from_slice(line);
            if length == 0 {
                return Err(self.damage(Problem::Unfinished));
            }
            self.take(length);
            if self.header.len() > HEADER_BYTES_MAX {
                return Err(self.damage(Problem::TooLarge));
            }
            let is_end = self.header.ends_with(b"\n\n") || self.header.ends_with(b"\n\r\n");
            if is_whole && is_end {
                return parse(&self.header).ok_or_else(|| self.damage(Problem::Syntax));
            }
        }
    }

    /// Reads until there is something to give. `Some(bytes)`: so much text is pending.
    fn advance(&mut self) -> Result<Given, ReadError<B::Error>> {
        let given = std::mem::take(&mut self.given);
        self.take(given);
        loop {
            match self.state {
                State::Between => {
                    if !self.begin_record()? {
                        return Ok(Given::Nothing);
                    }
                    let Header { length, is_text } = self.read_header()?;
                    self.state = State::Block { left: length, is_text };
                }
                State::Block { left: 0, is_text } => {
                    self.state = State::Between;
                    if is_text {
                        return Ok(Given::EndOfDocument);
                    }
                }
                State::Block { left, is_text } => {
                    let pending = self.blocks.pending()?.len();
                    if pending == 0 {
                        return Err(self.damage(Problem::Unfinished));
                    }
                    let length = usize::try_from(left).map_or(pending, |left| left.min(pending));
                    self.state = State::Block { left: left - length as u64, is_text };
                    if is_text {
                        self.given = length;
                        return Ok(Given::Text);
                    }
                    self.take(length);
                }
            }
        }
    }
}

/// What a call gives.
enum Given {
    EndOfDocument,
    Nothing,
    /// What is pending, as much as was given.
    Text,
}

impl<B: Blocks> Events for Wet<B> {
    type Error = B::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<B::Error>> {
        Ok(match self.advance()? {
            Given::EndOfDocument => Some(Event::EndOfDocument),
            Given::Nothing => None,
            Given::Text => Some(Event::Text(&self.blocks.pending()?[..self.given])),
        })
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

/// The version line, and then fields: names are the same in any case.
fn parse(header: &[u8]) -> Option<Header> {
    let mut lines = header.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let version = lines.next()?;
    if !version.starts_with(b"WARC/1.") && !version.starts_with(b"WARC/0.") {
        return None;
    }
    let (mut length, mut is_text) = (None, false);
    // Whether the field of the line before is one of the two that count.
    let mut is_known = false;
    for line in lines {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // It continues the value of that field, which was read without it.
            if is_known {
                return None;
            }
            continue;
        }
        is_known = false;
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        let is_type = name.eq_ignore_ascii_case(b"warc-type");
        is_known = is_length || is_type;
        if is_length {
            // `parse` alone would take a sign.
            let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
            length = Some(std::str::from_utf8(digits).ok()?.parse().ok()?);
        } else if is_type {
            is_text = value.eq_ignore_ascii_case(b"conversion");
        }
    }
    Some(Header { length: length?, is_text })
}

/// Of one record. Those of Common Crawl have some hundred bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
