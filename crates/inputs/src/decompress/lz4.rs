//! LZ4 frames, on `lz4_flex`.
//!
//! Its decoder reads by itself, where those of the other formats are fed. It takes the end of the
//! file between two blocks of a frame for the end of the frame; here that is found to be one that
//! came too early, because the decoder has asked for bytes behind it.

use std::io::{self, BufRead, Read};

use lz4_flex::frame::FrameDecoder;

use super::skip_zeros;
use crate::blocks::Blocks;
use crate::damage::{Damage, DamageKind, ReadError};
use crate::input::Input;
use crate::source::Source;

pub(super) struct Lz4<S: Source> {
    /// Made anew for every frame: its buffers are of the size of the largest block of one frame,
    /// and its assertions fail if the next frame has smaller ones. Never `None` between two calls.
    decoder: Option<FrameDecoder<Feed<S>>>,
    is_inside: bool,
    /// Whether a frame came before.
    has_begun: bool,
    /// How much was taken.
    text_bytes: u64,
}

/// What the decoder reads from.
struct Feed<S: Source> {
    input: Input<S>,
    /// The decoder has asked for bytes behind the end of the file.
    has_hit_end: bool,
    /// Why the source could not be read.
    error: Option<S::Error>,
}

impl<S: Source> Read for Feed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pending = match self.input.pending() {
            Ok(pending) => pending,
            Err(error) => {
                self.error = Some(error);
                return Err(io::Error::other("the source cannot be read"));
            }
        };
        let length = pending.len().min(buffer.len());
        buffer[..length].copy_from_slice(&pending[..length]);
        self.has_hit_end |= pending.is_empty();
        self.input.take(length);
        Ok(length)
    }
}

impl<S: Source> Lz4<S> {
    pub(super) fn new(input: Input<S>) -> Self {
        let feed = Feed { input, has_hit_end: false, error: None };
        Self {
            decoder: Some(FrameDecoder::new(feed)),
            is_inside: false,
            has_begun: false,
            text_bytes: 0,
        }
    }

    fn decoder(&mut self) -> &mut FrameDecoder<Feed<S>> {
        self.decoder.as_mut().expect("replaced as soon as it is taken")
    }

    fn damage(&self, kind: DamageKind) -> ReadError<S::Error> {
        let offset = self.bytes_read();
        Damage { kind, offset, text_offset: self.text_bytes }.into()
    }

    /// Looks for the next frame. False at the end of the file.
    fn begin_frame(&mut self) -> Result<bool, ReadError<S::Error>> {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        let input = &mut self.decoder().get_mut().input;
        if has_begun {
            skip_zeros(input).map_err(ReadError::Source)?;
        }
        loop {
            let Some(&first) = input.pending().map_err(ReadError::Source)?.first() else {
                return Ok(false);
            };
            match first {
                FRAME => return Ok(true),
                _ if first & 0xF0 == SKIPPABLE => {
                    if !skip_frame(input).map_err(ReadError::Source)? {
                        return Err(self.damage(DamageKind::Truncated));
                    }
                }
                _ if has_begun => return Err(self.damage(DamageKind::Trailing)),
                _ => return Err(self.damage(DamageKind::Malformed)),
            }
        }
    }

    /// Decodes until there is something to give, if there is nothing. 0 at the end of the file.
    fn decode(&mut self) -> Result<usize, ReadError<S::Error>> {
        loop {
            if !self.is_inside && !self.begin_frame()? {
                return Ok(0);
            }
            self.is_inside = true;
            let decoded = self.decoder().fill_buf().map(<[u8]>::len);
            let feed = self.decoder().get_mut();
            if let Some(error) = feed.error.take() {
                return Err(ReadError::Source(error));
            }
            match decoded {
                Ok(0) if feed.has_hit_end => return Err(self.damage(DamageKind::Truncated)),
                Ok(0) => {
                    self.is_inside = false;
                    let ended = self.decoder.take().map(FrameDecoder::into_inner);
                    self.decoder = ended.map(FrameDecoder::new);
                }
                Ok(length) => return Ok(length),
                Err(_) if feed.has_hit_end => return Err(self.damage(DamageKind::Truncated)),
                Err(_) => return Err(self.damage(DamageKind::Malformed)),
            }
        }
    }
}

impl<S: Source> Blocks for Lz4<S> {
    type Error = S::Error;

    fn take(&mut self, bytes: usize) {
        self.text_bytes += bytes as u64;
        self.decoder().consume(bytes);
    }

    fn pending(&mut self) -> Result<&[u8], ReadError<S::Error>> {
        if self.decode()? == 0 {
            return Ok(&[]);
        }
        // What it has decoded is there: this does not read.
        let block = self.decoder().fill_buf();
        Ok(block.expect("a block that is decoded is given again"))
    }

    fn bytes_read(&self) -> u64 {
        self.decoder.as_ref().map_or(0, |decoder| decoder.get_ref().input.position())
    }
}

/// Skips a frame that has no text. False: the file ends within it.
fn skip_frame<S: Source>(input: &mut Input<S>) -> Result<bool, S::Error> {
    const HEADER_BYTES: usize = 8;
    let mut header = [0; HEADER_BYTES];
    for byte in &mut header {
        let Some(&next) = input.pending()?.first() else { return Ok(false) };
        *byte = next;
        input.take(1);
    }
    let [_, _, _, _, length @ ..] = header;
    let mut left = u32::from_le_bytes(length) as usize;
    while left > 0 {
        let pending = input.pending()?.len();
        if pending == 0 {
            return Ok(false);
        }
        input.take(pending.min(left));
        left -= pending.min(left);
    }
    Ok(true)
}

/// The first byte of a frame.
const FRAME: u8 = 0x04;

/// The first byte of a skippable frame, without its low four bits.
const SKIPPABLE: u8 = 0x50;
