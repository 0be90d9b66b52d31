//! Encodings: text to UTF-8.
//!
//! A sequence that is no character becomes one byte 0xFF, which is in no UTF-8: so it separates
//! words, and counts as one invalid byte.

use encoding_rs::{Decoder, DecoderResult};

use crate::blocks::Blocks;
use crate::damage::ReadError;
use crate::format::Encoding;

impl Encoding {
    /// UTF-32, little-endian. The WHATWG Encoding Standard does not have it.
    pub const UTF_32LE: Self = Self::named("UTF-32LE");
    /// UTF-32, big-endian.
    pub const UTF_32BE: Self = Self::named("UTF-32BE");
    /// UTF-16, little-endian.
    pub const UTF_16LE: Self = Self::named("UTF-16LE");
    /// UTF-16, big-endian.
    pub const UTF_16BE: Self = Self::named("UTF-16BE");

    /// The encoding with this name or label, in any case: `windows-1252`, `latin1`, `sjis`.
    pub fn of_label(label: &str) -> Option<Self> {
        let is = |encoding: &Self| label.trim().eq_ignore_ascii_case(encoding.name());
        if let Some(utf_32) = [Self::UTF_32LE, Self::UTF_32BE].into_iter().find(is) {
            return Some(utf_32);
        }
        let found = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(Self::named(found.name()))
    }
}

/// `blocks` in UTF-8, without a byte order mark at their start.
pub(crate) fn decoded<'s, B: Blocks + Send + 's>(
    blocks: B,
    encoding: Encoding,
) -> Box<dyn Blocks<Error = B::Error> + Send + 's> {
    let kind = match encoding {
        Encoding::UTF_8 => return Box::new(Unmarked { blocks, head: None }),
        Encoding::UTF_32LE => Kind::Utf32(u32::from_le_bytes),
        Encoding::UTF_32BE => Kind::Utf32(u32::from_be_bytes),
        other => {
            let found = encoding_rs::Encoding::for_label(other.name().as_bytes());
            let found = found.expect("an encoding has the name of one");
            Kind::Other(Box::new(found.new_decoder_with_bom_removal()))
        }
    };
    let text = Vec::with_capacity(TEXT_BYTES);
    Box::new(Decoded {
        blocks,
        kind,
        rest: Vec::new(),
        is_last: false,
        has_begun: false,
        text,
        taken: 0,
    })
}

/// UTF-8, without the byte order mark.
struct Unmarked<B> {
    blocks: B,
    /// What is left of the first bytes, once they are read.
    head: Option<Vec<u8>>,
}

impl<B: Blocks> Unmarked<B> {
    /// The first bytes, as many as a mark has, without a mark.
    fn read_head(&mut self) -> Result<Vec<u8>, ReadError<B::Error>> {
        let mut head = Vec::new();
        while head.len() < BYTE_ORDER_MARK.len() {
            match self.blocks.pending()? {
                [] => break,
                block => {
                    let length = block.len().min(BYTE_ORDER_MARK.len() - head.len());
                    head.extend_from_slice(&block[..length]);
                    self.blocks.take(length);
                }
            }
        }
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(head)
    }
}

impl<B: Blocks> Blocks for Unmarked<B> {
    type Error = B::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<B::Error>> {
        if self.head.is_none() {
            self.head = Some(self.read_head()?);
        }
        match &self.head {
            Some(head) if !head.is_empty() => Ok(head),
            Some(_) | None => self.blocks.pending(),
        }
    }

    fn take(&mut self, bytes: usize) {
        match &mut self.head {
            Some(head) if !head.is_empty() => drop(head.drain(..bytes.min(head.len()))),
            Some(_) | None => self.blocks.take(bytes),
        }
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

struct Decoded<B> {
    blocks: B,
    kind: Kind,
    /// Bytes that are not decoded yet.
    rest: Vec<u8>,
    /// Whether no more bytes come.
    is_last: bool,
    has_begun: bool,
    /// What is decoded; `text[taken..]` is not taken.
    text: Vec<u8>,
    taken: usize,
}

enum Kind {
    /// Four bytes to a scalar value.
    Utf32(fn([u8; 4]) -> u32),
    Other(Box<Decoder>),
}

impl<B: Blocks> Blocks for Decoded<B> {
    type Error = B::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<B::Error>> {
        if self.taken == self.text.len() {
            self.text.clear();
            self.taken = 0;
        }
        while self.text.is_empty() && !(self.is_last && self.rest.is_empty()) {
            if !self.is_last && self.rest.len() < UNIT_BYTES_MAX {
                let block = self.blocks.pending()?;
                let length = block.len();
                self.rest.extend_from_slice(block);
                self.is_last = length == 0;
                self.blocks.take(length);
            }
            match &mut self.kind {
                Kind::Utf32(scalar) => {
                    let scalar = *scalar;
                    self.decode_utf32(scalar);
                }
                Kind::Other(decoder) => {
                    let taken = decode(decoder, &self.rest, self.is_last, &mut self.text);
                    self.rest.drain(..taken);
                }
            }
        }
        Ok(&self.text[self.taken..])
    }

    fn take(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.text.len());
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes_read()
    }
}

impl<B: Blocks> Decoded<B> {
    fn decode_utf32(&mut self, scalar: fn([u8; 4]) -> u32) {
        let (units, rest) = self.rest.as_chunks::<4>();
        for &unit in units {
            let value = scalar(unit);
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            match char::from_u32(value) {
                Some('\u{FEFF}') if is_first => {}
                Some(character) => {
                    let mut utf_8 = [0; 4];
                    self.text.extend_from_slice(character.encode_utf8(&mut utf_8).as_bytes());
                }
                None => self.text.push(NO_CHARACTER),
            }
        }
        if self.is_last && !rest.is_empty() {
            self.text.push(NO_CHARACTER);
            self.rest.clear();
            return;
        }
        let taken = self.rest.len() - rest.len();
        self.rest.drain(..taken);
    }
}

/// Decodes of `bytes` what fits into the capacity of `text`. Returns how much was taken.
fn decode(decoder: &mut Decoder, bytes: &[u8], is_last: bool, text: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    loop {
        let begin = text.len();
        text.resize(TEXT_BYTES, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(
            &bytes[taken..],
            &mut text[begin..],
            is_last,
        );
        taken += read;
        text.truncate(begin + written);
        match result {
            DecoderResult::Malformed(..) if text.len() + CHARACTER_BYTES_MAX <= TEXT_BYTES => {
                text.push(NO_CHARACTER);
            }
            // It stands behind the space that is left for a character.
            DecoderResult::Malformed(..) => {
                text.push(NO_CHARACTER);
                return taken;
            }
            DecoderResult::InputEmpty | DecoderResult::OutputFull => return taken,
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// In no UTF-8.
const NO_CHARACTER: u8 = 0xFF;

/// How much text is given at once.
const TEXT_BYTES: usize = 256 << 10;

/// What a decoder wants as space for one more character.
const CHARACTER_BYTES_MAX: usize = 16;

/// The most bytes that any encoding has for a character.
const UNIT_BYTES_MAX: usize = 8;

#[cfg(test)]
mod tests;
