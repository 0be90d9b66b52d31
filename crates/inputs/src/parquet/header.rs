//! The header of a page, in Thrift's compact protocol ("Thrift Compact protocol encoding" of Apache
//! Thrift, and `parquet.thrift`).
//!
//! Read here, and not by the library, because it says how much memory the page takes before any of
//! that is allocated.

/// What a page is, as far as its text needs it. Numbers are as the file has them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct PageHeader {
    pub(super) kind: i64,
    pub(super) uncompressed_bytes: i64,
    pub(super) compressed_bytes: i64,
    pub(super) values: i64,
    /// Of data pages of version 2: how many of the values are null.
    pub(super) nulls: i64,
    pub(super) encoding: i64,
    /// Of data pages of version 1.
    pub(super) definition_encoding: i64,
    /// Of data pages of version 2: the lengths of their levels, and whether the rest is compressed.
    pub(super) definition_bytes: i64,
    pub(super) repetition_bytes: i64,
    pub(super) is_plain: bool,
}

/// The kinds of pages.
pub(super) const DATA_PAGE: i64 = 0;
pub(super) const INDEX_PAGE: i64 = 1;
pub(super) const DICTIONARY_PAGE: i64 = 2;
pub(super) const DATA_PAGE_V2: i64 = 3;

/// Why there is no header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoHeader {
    /// It is longer than the bytes.
    Longer,
    Malformed,
}

impl PageHeader {
    /// The header at the start of `bytes`, and its length.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize), NoHeader> {
        let mut header = Self::default();
        let mut thrift = Thrift { bytes, at: 0, depth: 0 };
        thrift.fields(&mut |thrift, id, kind| {
            match id {
                1 => header.kind = thrift.number(kind)?,
                2 => header.uncompressed_bytes = thrift.number(kind)?,
                3 => header.compressed_bytes = thrift.number(kind)?,
                5 | 7 | 8 if kind == STRUCT => header.part(id, thrift)?,
                _ => thrift.skip(kind)?,
            }
            Ok(())
        })?;
        Ok((header, thrift.at))
    }

    /// The part of the header that only pages of its kind have.
    fn part(&mut self, part: i64, thrift: &mut Thrift<'_>) -> Result<(), NoHeader> {
        const DATA: i64 = 5;
        const DATA_V2: i64 = 8;
        thrift.fields(&mut |thrift, id, kind| {
            match (part, id) {
                (_, 1) => self.values = thrift.number(kind)?,
                (DATA_V2, 2) => self.nulls = thrift.number(kind)?,
                (DATA_V2, 4) => self.encoding = thrift.number(kind)?,
                (DATA_V2, 5) => self.definition_bytes = thrift.number(kind)?,
                (DATA_V2, 6) => self.repetition_bytes = thrift.number(kind)?,
                (DATA_V2, 7) if kind == FALSE => self.is_plain = true,
                (DATA_V2, _) => thrift.skip(kind)?,
                (_, 2) => self.encoding = thrift.number(kind)?,
                (DATA, 3) => self.definition_encoding = thrift.number(kind)?,
                (_, _) => thrift.skip(kind)?,
            }
            Ok(())
        })
    }
}

/// A reader of the compact protocol.
struct Thrift<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
    depth: u32,
}

type Field<'field> = &'field mut dyn FnMut(&mut Thrift<'_>, i64, u8) -> Result<(), NoHeader>;

impl Thrift<'_> {
    fn byte(&mut self) -> Result<u8, NoHeader> {
        let byte = self.bytes.get(self.at).ok_or(NoHeader::Longer)?;
        self.at += 1;
        Ok(*byte)
    }

    fn varint(&mut self) -> Result<u64, NoHeader> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(NoHeader::Malformed)
    }

    /// A signed number.
    fn zigzag(&mut self) -> Result<i64, NoHeader> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The value of a field, which must be a number.
    fn number(&mut self, kind: u8) -> Result<i64, NoHeader> {
        if matches!(kind, I16 | I32 | I64) { self.zigzag() } else { Err(NoHeader::Malformed) }
    }

    /// Every field of a structure: `field` takes its value.
    fn fields(&mut self, field: Field<'_>) -> Result<(), NoHeader> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(NoHeader::Malformed);
        }
        let mut id = 0_i64;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                self.depth -= 1;
                return Ok(());
            }
            id = match byte >> 4 {
                0 => self.zigzag()?,
                step => id.wrapping_add(step.into()),
            };
            field(self, id, byte & 0x0F)?;
        }
    }

    fn skip(&mut self, kind: u8) -> Result<(), NoHeader> {
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | SET => {
                let byte = self.byte()?;
                let length = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                let kind = byte & 0x0F;
                for _ in 0..length {
                    // In a list, a truth value has a byte of its own.
                    if matches!(kind, TRUE | FALSE) { self.pass(1)? } else { self.skip(kind)? }
                }
                Ok(())
            }
            STRUCT => self.fields(&mut |thrift, _, kind| thrift.skip(kind)),
            _ => Err(NoHeader::Malformed),
        }
    }

    fn pass(&mut self, bytes: u64) -> Result<(), NoHeader> {
        let rest = (self.bytes.len() - self.at) as u64;
        if bytes > rest {
            return Err(NoHeader::Longer);
        }
        self.at += bytes as usize;
        Ok(())
    }
}

/// As deep as headers are, and some more.
const DEPTH_MAX: u32 = 16;

/// The types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;
