//! Comma-separated values (RFC 4180): one column is text, and each record a document.
//!
//! Parsed by `csv-core`, field by field, so that a field may be larger than memory. As with JSON
//! lines, a record is held until it is over, unless its text is larger than [`HELD_BYTES_MAX`].

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use crate::blocks::{Blocks, Event, Events};
use crate::damage::{Damage, DamageKind, ReadError};
use crate::format::Column;
use crate::record::{BadRecord, Problem};

/// The documents of comma-separated values.
pub(crate) struct Csv<B> {
    blocks: B,
    reader: Reader,
    column: Chosen,
    /// A part of a field, as the reader gives it.
    part: Box<[u8]>,
    /// Of the chosen column of this record, or of a field of the header.
    text: Vec<u8>,
    place: Place,
    next: Next,
}

/// Which column is text.
enum Chosen {
    /// At this index.
    Index(usize),
    /// The first record will tell.
    Name(String),
}

/// Where the read is.
struct Place {
    /// In bytes of the text.
    offset: u64,
    /// Where the record begins.
    record_start: u64,
    /// The number of the record, from 1.
    record: u64,
    /// The index of the field in its record.
    field: usize,
    /// Whether the record names the columns.
    is_header: bool,
}

/// What the next call does first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// Begins a record.
    Begin,
    /// Gives the end of the document whose text was given.
    EndOfDocument,
    /// Reads on in the record, of which what is held was given.
    Rest,
    /// Nothing: all records are read.
    Nothing,
}

impl<B: Blocks> Csv<B> {
    pub(crate) fn new(blocks: B, column: &Column, delimiter: u8) -> Self {
        let is_header = matches!(column, Column::Name(_));
        let column = match column {
            Column::Name(name) => Chosen::Name(name.clone()),
            Column::Number(number) => Chosen::Index(number.get() as usize - 1),
        };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
        // An empty line: the reader would remove a second byte order mark, if its first block began
        // with all of it.
        reader.read_field(b"\n", &mut [0]);
        Self {
            blocks,
            reader,
            column,
            part: vec![0; PART_BYTES].into_boxed_slice(),
            text: Vec::new(),
            place: Place { offset: 0, record_start: 0, record: 0, field: 0, is_header },
            next: Next::Begin,
        }
    }

    /// The names in the first record. `None` if it is damaged, or does not end, unless the text
    /// `is_whole`.
    pub(crate) fn read_header(mut self, is_whole: bool) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut name = Vec::new();
        if !self.begin_record().ok()? {
            return None;
        }
        loop {
            let block = self.blocks.pending().ok()?;
            if block.is_empty() && !is_whole {
                return None;
            }
            let (result, taken, made) = self.reader.read_field(block, &mut self.part);
            name.extend_from_slice(&self.part[..made]);
            self.take(taken);
            let is_over = match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => continue,
                ReadFieldResult::Field { record_end } => record_end,
                ReadFieldResult::End => true,
            };
            names.push(String::from_utf8_lossy(&name).into_owned());
            name.clear();
            if is_over {
                return Some(names);
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        self.blocks.take(bytes);
        self.place.offset += bytes as u64;
    }

    /// Skips the line feed of the record before, and empty lines. False at the end of the text.
    fn begin_record(&mut self) -> Result<bool, ReadError<B::Error>> {
        loop {
            let block = self.blocks.pending()?;
            let skipped = block.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (is_over, is_all) = (block.is_empty(), skipped == block.len());
            self.take(skipped);
            if is_over {
                return Ok(false);
            }
            if !is_all {
                let place = &mut self.place;
                (place.record_start, place.record) = (place.offset, place.record + 1);
                place.field = 0;
                self.text.clear();
                return Ok(true);
            }
        }
    }

    /// Reads until there is something to give.
    fn advance(&mut self) -> Result<Given, ReadError<B::Error>> {
        loop {
            match self.next {
                Next::Nothing => return Ok(Given::Nothing),
                Next::EndOfDocument => {
                    self.next = Next::Begin;
                    return Ok(Given::EndOfDocument);
                }
                Next::Begin => {
                    if !self.begin_record()? {
                        self.next = Next::Nothing;
                        continue;
                    }
                }
                Next::Rest => self.text.clear(),
            }
            if let Some(given) = self.read_record()? {
                return Ok(given);
            }
        }
    }

    /// Reads to the end of the record, or until too much is held. `None`: it was the header.
    fn read_record(&mut self) -> Result<Option<Given>, ReadError<B::Error>> {
        loop {
            let pending = self.blocks.pending()?;
            // The reader does not say whether the text ends within quotes. Another line feed tells:
            // there, it is a part of the field.
            let is_over = pending.is_empty();
            let block = if is_over { b"\n" } else { pending };
            let (result, taken, made) = self.reader.read_field(block, &mut self.part);
            // An open quote takes the rest of the file: that is no record to skip.
            if is_over && made > 0 {
                return Err(self.damage(DamageKind::Record(Problem::Unfinished)));
            }
            let taken = if is_over { 0 } else { taken };
            if self.is_chosen() {
                self.text.extend_from_slice(&self.part[..made]);
            }
            self.take(taken);
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {
                    if self.text.len() > HELD_BYTES_MAX && self.place.is_header {
                        return Err(self.damage(DamageKind::Record(Problem::TooLarge)));
                    }
                    if self.text.len() > HELD_BYTES_MAX {
                        self.next = Next::Rest;
                        return Ok(Some(Given::Text));
                    }
                }
                ReadFieldResult::Field { record_end } => {
                    self.end_header_field();
                    self.place.field += 1;
                    if record_end {
                        return self.end_record();
                    }
                }
                // The record has ended before.
                ReadFieldResult::End => return self.end_record(),
            }
        }
    }

    /// Whether the field that is being read is held.
    fn is_chosen(&self) -> bool {
        match &self.column {
            Chosen::Index(index) => *index == self.place.field,
            Chosen::Name(_) => true,
        }
    }

    /// A field has ended: of the header, it may be the name of the column.
    fn end_header_field(&mut self) {
        if let Chosen::Name(name) = &self.column {
            if name.as_bytes() == self.text {
                self.column = Chosen::Index(self.place.field);
            }
            self.text.clear();
        }
    }

    fn end_record(&mut self) -> Result<Option<Given>, ReadError<B::Error>> {
        let index = match &self.column {
            // This was the header, and the column is not in it.
            Chosen::Name(_) => return Err(self.damage(DamageKind::NoColumn)),
            Chosen::Index(index) => *index,
        };
        self.next = Next::Begin;
        if std::mem::take(&mut self.place.is_header) {
            return Ok(None);
        }
        if index >= self.place.field {
            let (offset, number) = (self.place.record_start, Some(self.place.record));
            let problem = Problem::NoColumn;
            return Ok(Some(Given::Bad(BadRecord { offset, number, problem })));
        }
        if self.text.is_empty() {
            return Ok(Some(Given::EndOfDocument));
        }
        self.next = Next::EndOfDocument;
        Ok(Some(Given::Text))
    }

    fn damage(&self, kind: DamageKind) -> ReadError<B::Error> {
        let (offset, text_offset) = (self.blocks.bytes_read(), self.place.record_start);
        Damage { kind, offset, text_offset }.into()
    }
}

/// What a call gives.
enum Given {
    Bad(BadRecord),
    EndOfDocument,
    Nothing,
    Text,
}

impl<B: Blocks> Events for Csv<B> {
    type Error = B::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<B::Error>> {
        Ok(match self.advance()? {
            Given::Bad(record) => Some(Event::BadRecord(record)),
            Given::EndOfDocument => Some(Event::EndOfDocument),
            Given::Nothing => None,
            Given::Text => Some(Event::Text(&self.text)),
        })
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

/// How much of a field is read at once.
const PART_BYTES: usize = 64 << 10;

/// How much text of a record is held before it is given.
const HELD_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
