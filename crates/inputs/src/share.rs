//! The text of a share of a compressed file, and of what is around it.

use crate::blocks::{Blocks, Event, Events};
use crate::damage::ReadError;
use crate::index::{BEFORE_BYTES, Share};

/// The text of a share, from a few bytes in front of it to the end of the file.
///
/// The last byte of the share is held back until the decoder has passed its end: by then the index
/// was found to be right.
pub(crate) struct ShareText<B> {
    blocks: B,
    /// Text in front of what is given.
    skip: u64,
    /// Text up to the end of the share.
    left: u64,
    held: Option<[u8; 1]>,
}

impl<B: Blocks> ShareText<B> {
    /// `blocks` begin at the offset of the share. `before_bytes` in front of it are given.
    pub(crate) fn new(blocks: B, share: &Share, before_bytes: u64) -> Self {
        let skip = share.before_bytes - before_bytes;
        Self { blocks, skip, left: before_bytes + share.text_bytes, held: None }
    }
}

impl<B: Blocks> Blocks for ShareText<B> {
    type Error = B::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<B::Error>> {
        while self.skip > 0 {
            // The decoder reports an end that comes too early.
            let length = (self.blocks.pending()?.len() as u64).min(self.skip);
            self.blocks.take(length as usize);
            self.skip -= length;
        }
        if self.left == 1 && self.held.is_none() {
            self.held = self.blocks.pending()?.first().map(|&last| [last]);
            self.blocks.take(1);
            self.blocks.pending()?;
        }
        if let Some(held) = &self.held {
            return Ok(held);
        }
        let block = self.blocks.pending()?;
        let length = match self.left {
            0 => block.len(),
            left => (left - 1).min(block.len() as u64) as usize,
        };
        Ok(&block[..length])
    }

    fn take(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if self.held.take().is_some() {
            self.left = 0;
            return;
        }
        self.blocks.take(bytes);
        self.left = self.left.saturating_sub(bytes as u64);
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

/// A share of a file that is one document.
pub(crate) struct DocumentShare<B> {
    text: ShareText<B>,
    /// Text in front of the share that was not given yet.
    before_left: u64,
    /// Text of the share that was not given yet.
    left: u64,
    /// How much was given with the last call.
    given: usize,
    /// The text in front of the share; at the start of the file, what may be a byte order mark.
    first: Vec<u8>,
    next: Next,
}

/// What the next call gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// The text in front of the share.
    Before,
    /// The first bytes of the file.
    Start,
    /// Text of the share.
    Text,
    /// Text behind it.
    Behind,
    /// Nothing: no piece is in the share.
    Nothing,
}

impl<B: Blocks> DocumentShare<B> {
    /// `blocks` begin at the offset of the share.
    pub(crate) fn new(blocks: B, share: &Share) -> Self {
        let before_bytes = share.before_bytes.min(BEFORE_BYTES);
        Self {
            text: ShareText::new(blocks, share, before_bytes),
            before_left: before_bytes,
            left: share.text_bytes,
            given: 0,
            first: Vec::new(),
            next: match before_bytes {
                _ if share.range.is_empty() => Next::Nothing,
                0 => Next::Start,
                _ => Next::Before,
            },
        }
    }

    /// Takes text until `first` has `length` bytes, as far as there are so many.
    fn fill_first(&mut self, length: u64) -> Result<(), ReadError<B::Error>> {
        while (self.first.len() as u64) < length {
            let block = self.text.pending()?;
            let missing = length as usize - self.first.len();
            let taken = missing.min(block.len());
            if taken == 0 {
                break;
            }
            self.first.extend_from_slice(&block[..taken]);
            self.text.take(taken);
        }
        Ok(())
    }
}

impl<B: Blocks> Events for DocumentShare<B> {
    type Error = B::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<B::Error>> {
        self.text.take(std::mem::take(&mut self.given));
        match self.next {
            Next::Nothing => return Ok(None),
            Next::Before => {
                self.fill_first(self.before_left)?;
                self.next = Next::Text;
                return Ok(Some(Event::Before(&self.first)));
            }
            Next::Start => {
                let length = (BYTE_ORDER_MARK.len() as u64).min(self.left);
                self.fill_first(length)?;
                self.left -= length;
                self.next = Next::Text;
                if !self.first.is_empty() && self.first != BYTE_ORDER_MARK {
                    return Ok(Some(Event::Text(&self.first)));
                }
            }
            Next::Behind | Next::Text => {}
        }
        if self.next == Next::Text && self.left == 0 {
            self.next = Next::Behind;
            // Pieces without text are decoded as well: they may turn out to have some.
            self.text.pending()?;
            return Ok(Some(Event::EndOfShare));
        }
        let block = self.text.pending()?;
        self.given = match self.next {
            Next::Behind => block.len(),
            Next::Before | Next::Nothing | Next::Start | Next::Text => {
                self.left.min(block.len() as u64) as usize
            }
        };
        if self.next == Next::Text {
            self.left -= self.given as u64;
        }
        Ok(match &block[..self.given] {
            [] => None,
            text => Some(Event::Text(text)),
        })
    }

    fn bytes_read(&self) -> u64 {
        self.text.bytes_read()
    }
}

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
