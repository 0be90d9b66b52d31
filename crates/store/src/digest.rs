//! Length and checksum of an object: they show whether it is still what was written.
//!
//! CRC-32 as zlib, gzip and PNG have it (polynomial 0xEDB88320, reflected), because a worker in any
//! language finds it in its standard library, and because it runs at memory speed. It detects
//! accidents (every burst of up to 32 bits; of all others all but one in four billion), not
//! forgery: a process that can write below the store's root can write a matching checksum too.

use std::fmt;

/// The content of an object, in twelve bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Digest {
    /// The object's length.
    pub bytes: u64,
    /// CRC-32 of all its bytes; 0 when there are none.
    pub crc32: u32,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.update(bytes);
        digester.digest()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with crc32 {:08x}", self.bytes, self.crc32)
    }
}

/// Computes a [`Digest`] piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Digester {
    crc32: crc32fast::Hasher,
    bytes: u64,
}

impl Digester {
    /// The digester of no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc32.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes were added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of everything added.
    pub fn digest(&self) -> Digest {
        Digest { bytes: self.bytes, crc32: self.crc32.clone().finalize() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksum_is_that_of_zlib() {
        // The check value of CRC-32/ISO-HDLC, and what Python's `zlib.crc32(b"123456789")` gives.
        assert_eq!(Digest::of(b"123456789"), Digest { bytes: 9, crc32: 0xcbf4_3926 });
        assert_eq!(Digest::of(b""), Digest { bytes: 0, crc32: 0 });
        assert_eq!(Digest::of(b"123456789").to_string(), "9 bytes with crc32 cbf43926");
    }

    proptest! {
        #[test]
        fn pieces_give_the_digest_of_the_whole(bytes: Vec<u8>, cut: prop::sample::Index) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut digester = Digester::new();
            digester.update(head);
            digester.update(tail);
            prop_assert_eq!(digester.digest(), Digest::of(&bytes));
        }
    }
}
