//! BGZF: gzip members of at most 64 KiB, of which each says how long it is ("Sequence
//! Alignment/Map Format Specification", section 4.1). `bgzip` writes it.

use super::{Piece, Pieces, malformed};
use crate::damage::ReadError;
use crate::source::{Source, read_full};

/// The blocks of a file.
pub(super) struct Blocks<'source, S>(pub(super) &'source S);

/// Whether the file is BGZF from its first block to the block that marks its end.
pub(super) fn is_bgzf<S: Source>(source: &S) -> Result<bool, S::Error> {
    let mut head = [0; HEADER_BYTES];
    let mut tail = [0; END.len()];
    let Some(tail_offset) = source.bytes().checked_sub(tail.len() as u64) else {
        return Ok(false);
    };
    let length = read_full(source, 0, &mut head)?;
    let tail_length = read_full(source, tail_offset, &mut tail)?;
    Ok(block_bytes(&head[..length]).is_some() && tail_length == tail.len() && tail == END)
}

impl<S: Source> Blocks<'_, S> {
    /// The length of the block at `offset`, if one begins there.
    fn bytes_at(&self, offset: u64) -> Result<Option<u64>, ReadError<S::Error>> {
        let mut header = [0; HEADER_BYTES];
        let length = read_full(self.0, offset, &mut header).map_err(ReadError::Source)?;
        let bytes = block_bytes(&header[..length]);
        Ok(bytes.filter(|bytes| offset + bytes <= self.0.bytes()))
    }

    fn piece(&self, offset: u64, bytes: u64) -> Result<Piece, ReadError<S::Error>> {
        let mut size = [0; 4];
        let at = offset + bytes - size.len() as u64;
        read_full(self.0, at, &mut size).map_err(ReadError::Source)?;
        Ok(Piece { offset, bytes, text_bytes: u32::from_le_bytes(size).into() })
    }
}

impl<S: Source> Pieces<S::Error> for Blocks<'_, S> {
    /// The bytes of a header may also occur within a block, if that holds BGZF itself and could
    /// not be compressed. So a header counts only if blocks follow each other from there for
    /// longer than a block can be, or up to the end of the file.
    fn at_or_behind(&self, offset: u64) -> Result<Option<Piece>, ReadError<S::Error>> {
        let mut window = vec![0; BLOCK_BYTES_MAX + HEADER_BYTES];
        let length = read_full(self.0, offset, &mut window).map_err(ReadError::Source)?;
        let window = &window[..length];
        for place in memchr::memmem::find_iter(window, &MAGIC) {
            let found = offset + place as u64;
            if let Some(bytes) = block_bytes(&window[place..])
                && self.leads_on(found)?
            {
                return self.piece(found, bytes).map(Some);
            }
        }
        // A block is never longer than the window, so this is the end of the file.
        if offset + (BLOCK_BYTES_MAX as u64) < self.0.bytes() {
            return Err(malformed(offset));
        }
        Ok(None)
    }

    fn at(&self, offset: u64) -> Result<Option<Piece>, ReadError<S::Error>> {
        if offset == self.0.bytes() {
            return Ok(None);
        }
        let bytes = self.bytes_at(offset)?.ok_or_else(|| malformed(offset))?;
        self.piece(offset, bytes).map(Some)
    }

    fn end(&self) -> u64 {
        self.0.bytes()
    }
}

impl<S: Source> Blocks<'_, S> {
    /// Whether blocks follow each other from `offset` on.
    fn leads_on(&self, mut offset: u64) -> Result<bool, ReadError<S::Error>> {
        let far = offset + BLOCK_BYTES_MAX as u64;
        while offset < self.0.bytes().min(far + 1) {
            let Some(bytes) = self.bytes_at(offset)? else { return Ok(false) };
            offset += bytes;
        }
        Ok(true)
    }
}

/// The length of the block that begins with `header`, if it is one. Other fields may stand beside
/// its length.
fn block_bytes(header: &[u8]) -> Option<u64> {
    let [0x1F, 0x8B, 0x08, 0x04, _, _, _, _, _, _, low, high, rest @ ..] = header else {
        return None;
    };
    let mut fields = rest.get(..usize::from(u16::from_le_bytes([*low, *high])))?;
    while let Some((name, content, behind)) = next_field(fields) {
        if let (b"BC", [low, high]) = (name, content) {
            let bytes = u64::from(u16::from_le_bytes([*low, *high])) + 1;
            return Some(bytes).filter(|&bytes| bytes >= BLOCK_BYTES_MIN);
        }
        fields = behind;
    }
    None
}

/// The name and the content of the first extra field of a gzip header, and those behind it.
fn next_field(fields: &[u8]) -> Option<(&[u8; 2], &[u8], &[u8])> {
    let (name, rest) = fields.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (content, behind) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    Some((name, content, behind))
}

/// How every block begins: gzip with extra fields.
const MAGIC: [u8; 4] = [0x1F, 0x8B, 0x08, 0x04];

/// As many bytes of a header as are looked at: those of `bgzip` have 18.
const HEADER_BYTES: usize = 64;

/// The length of a block is a number of 16 bits.
const BLOCK_BYTES_MAX: usize = 1 << 16;

/// A header, an empty block of DEFLATE, and what ends every member.
const BLOCK_BYTES_MIN: u64 = 28;

/// The empty block that ends a file.
const END: [u8; 28] = [
    0x1F, 0x8B, 0x08, 0x04, 0, 0, 0, 0, 0, 0xFF, 0x06, 0, 0x42, 0x43, 0x02, 0, 0x1B, 0, 0x03, 0, 0,
    0, 0, 0, 0, 0, 0, 0,
];
