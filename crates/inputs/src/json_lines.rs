//! JSON lines: one field of each line is a document.
//!
//! A record is held until it is over, and judged as a whole: a bad one gives no text. One with more
//! than [`PAUSE_BYTES`] of text is given as it is read, so that memory is bounded; if it turns
//! out to be bad, or if its field occurs again (the last one counts), the read ends.

use std::ops::Range;

use crate::blocks::{Blocks, Event, Events};
use crate::damage::{Damage, DamageKind, ReadError};
use crate::format::Field;
use crate::record::{BadRecord, Problem};

mod scanner;

use scanner::{PAUSE_BYTES, Scanned, Scanner};

/// The documents of JSON lines that begin in a range of their text.
pub(crate) struct JsonLines<B> {
    blocks: B,
    scanner: Scanner,
    /// Where `blocks` are, in bytes of the text.
    offset: u64,
    /// Where the current line begins.
    line_start: u64,
    /// Its number, from 1; `None` if the read has begun inside of the text.
    line: Option<u64>,
    /// Lines that begin here or behind are of another share.
    end: u64,
    next: Next,
}

/// What the next call gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// The end of the document whose text was given last.
    EndOfDocument,
    /// The next line.
    Line,
    /// The first line, behind a byte order mark, of which so many bytes were taken.
    Mark { taken: u8 },
    /// The rest of a line, of which what the scanner holds was given.
    Rest,
    /// Nothing: all lines are read.
    Nothing,
    /// The first line, behind the line feed of the one before, which is of another share.
    SecondLine,
}

impl<B: Blocks> JsonLines<B> {
    /// `blocks` begin [`LOOKBEHIND`] bytes before `range`, or with the text.
    pub(crate) fn new(blocks: B, field: &Field, range: &Range<u64>) -> Self {
        let is_first = range.start == 0;
        let offset = range.start.saturating_sub(LOOKBEHIND);
        Self {
            blocks,
            scanner: Scanner::new(field),
            offset,
            line_start: offset,
            line: is_first.then_some(1),
            end: range.end,
            next: match range.is_empty() {
                true => Next::Nothing,
                false if is_first => Next::Mark { taken: 0 },
                false => Next::SecondLine,
            },
        }
    }

    fn take(&mut self, bytes: usize) {
        self.blocks.take(bytes);
        self.offset += bytes as u64;
    }

    /// A line feed was taken, or the text is over.
    fn end_line(&mut self, is_text_over: bool) {
        self.line_start = self.offset;
        self.line = self.line.map(|line| line + 1);
        let is_over = is_text_over || self.line_start >= self.end;
        self.next = if is_over { Next::Nothing } else { Next::Line };
    }

    /// Takes everything through the next line feed.
    fn skip_line(&mut self) -> Result<(), ReadError<B::Error>> {
        loop {
            let block = self.blocks.pending()?;
            let length = block.len();
            match memchr::memchr(b'\n', block) {
                Some(index) => {
                    self.take(index + 1);
                    self.end_line(false);
                    return Ok(());
                }
                None if length == 0 => {
                    self.end_line(true);
                    return Ok(());
                }
                None => self.take(length),
            }
        }
    }

    /// Takes the rest of a byte order mark, of which `taken` bytes were taken.
    fn skip_mark(&mut self, taken: u8) -> Result<(), ReadError<B::Error>> {
        const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
        self.next = Next::Line;
        let Some(&expected) = BYTE_ORDER_MARK.get(usize::from(taken)) else { return Ok(()) };
        if self.blocks.pending()?.first() == Some(&expected) {
            self.take(1);
            self.next = Next::Mark { taken: taken + 1 };
        } else if taken > 0 {
            self.scanner.fail(Problem::Syntax);
        }
        Ok(())
    }

    /// Reads until there is something to give.
    fn advance(&mut self) -> Result<Given, ReadError<B::Error>> {
        loop {
            match self.next {
                Next::Nothing => return Ok(Given::Nothing),
                Next::EndOfDocument => {
                    self.scanner.begin();
                    let is_text_over = self.blocks.pending()?.is_empty();
                    self.end_line(is_text_over);
                    return Ok(Given::EndOfDocument);
                }
                Next::Mark { taken } => self.skip_mark(taken)?,
                Next::SecondLine => self.skip_line()?,
                Next::Rest => {
                    self.scanner.text.clear();
                    self.next = Next::Line;
                }
                Next::Line => {
                    if let Some(given) = self.read_line()? {
                        return Ok(given);
                    }
                }
            }
        }
    }

    /// Reads a block, or to the end of the line.
    fn read_line(&mut self) -> Result<Option<Given>, ReadError<B::Error>> {
        let block = self.blocks.pending()?;
        let is_text_over = block.is_empty();
        let (taken, scanned) = match is_text_over {
            true => (0, Some(self.scanner.end_of_text())),
            false => self.scanner.scan(block),
        };
        let is_given = self.scanner.is_given;
        let (offset, number) = (self.line_start, self.line);
        self.take(taken);
        let given = match scanned {
            None if self.scanner.text.len() > PAUSE_BYTES => {
                self.next = Next::Rest;
                self.scanner.is_given = true;
                return Ok(Some(Given::Text));
            }
            None => return Ok(None),
            Some(Scanned::Bad(problem)) if is_given => {
                let (kind, offset) = (DamageKind::Record(problem), self.blocks.bytes_read());
                return Err(Damage { kind, offset, text_offset: self.line_start }.into());
            }
            Some(Scanned::Document) if !self.scanner.text.is_empty() => {
                self.next = Next::EndOfDocument;
                return Ok(Some(Given::Text));
            }
            Some(Scanned::Bad(problem)) => Some(Given::Bad(BadRecord { offset, number, problem })),
            Some(Scanned::Document) => Some(Given::EndOfDocument),
            Some(Scanned::Blank) => None,
        };
        self.scanner.begin();
        self.end_line(is_text_over);
        Ok(given)
    }
}

/// What a call gives.
enum Given {
    Bad(BadRecord),
    EndOfDocument,
    Nothing,
    /// That of the scanner.
    Text,
}

impl<B: Blocks> Events for JsonLines<B> {
    type Error = B::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<B::Error>> {
        Ok(match self.advance()? {
            Given::Bad(record) => Some(Event::BadRecord(record)),
            Given::EndOfDocument => Some(Event::EndOfDocument),
            Given::Nothing => None,
            Given::Text => Some(Event::Text(&self.scanner.text)),
        })
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

/// How many bytes in front of a range a read begins, unless the range begins the text: whether the
/// byte before is a line feed decides where the first line begins.
pub(crate) const LOOKBEHIND: u64 = 1;

#[cfg(test)]
mod tests;
