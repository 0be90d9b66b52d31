//! For tests: a source that gives little at once, and reads as values.

use std::convert::Infallible;

use crate::blocks::{Event, Events};
use crate::damage::{DamageKind, ReadError};
use crate::input::Input;
use crate::record::BadRecord;
use crate::source::Source;

/// Gives at most `step` bytes at once.
pub(crate) struct Drip<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) step: usize,
}

impl Source for Drip<'_> {
    type Error = Infallible;

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let length = buffer.len().min(self.step);
        self.bytes.read_at(offset, &mut buffer[..length])
    }
}

impl<'a> Drip<'a> {
    pub(crate) fn input(bytes: &'a [u8], step: usize) -> Input<Self> {
        Input::new(Self { bytes, step }, 0)
    }
}

/// What a read gives, with the text of each document in one piece.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Bad(BadRecord),
    Text(Vec<u8>),
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<E: Events + ?Sized> Events for Box<E> {
    type Error = E::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<E::Error>> {
        (**self).next_event()
    }

    fn bytes_read(&self) -> u64 {
        (**self).bytes_read()
    }
}

/// Reads everything.
pub(crate) fn read_all(
    mut events: impl Events<Error = Infallible>,
) -> Result<Vec<Document>, DamageKind> {
    let (mut documents, mut held) = (Vec::new(), Vec::new());
    loop {
        match events.next_event() {
            Ok(Some(Event::BadRecord(record))) => {
                assert_eq!(held, b"", "text was given of a bad record");
                documents.push(Document::Bad(record));
            }
            Ok(Some(event @ (Event::Before(_) | Event::EndOfShare))) => {
                panic!("{event:?} of a whole file")
            }
            Ok(Some(Event::EndOfDocument)) => {
                documents.push(Document::Text(std::mem::take(&mut held)));
            }
            Ok(Some(Event::Text(text))) => {
                assert!(!text.is_empty());
                held.extend_from_slice(text);
            }
            Ok(None) => return Ok(documents),
            Err(ReadError::Damaged(damage)) => return Err(damage.kind),
            Err(ReadError::Source(error)) => match error {},
        }
    }
}
