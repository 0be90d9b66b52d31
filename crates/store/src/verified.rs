//! Reading an object, and checking meanwhile that it is what was written.
//!
//! A loop and not a callback: an attempt can be abandoned between two blocks, and then its caller
//! just stops reading. What was read is verified only when
//! [`next_block`](VerifiedReader::next_block) has returned `None`; until then nothing made from it
//! may leave the attempt.

use crate::digest::{Digest, Digester};
use crate::error::{Loss, StoreError};
use crate::store::Object;

/// One object that is read through, into buffers of its reader.
///
/// For a reader that keeps a part of what it has read; all others use [`VerifiedReader`].
pub struct VerifiedObject {
    object: Box<dyn Object>,
    expected: Digest,
    /// Has everything that was read so far.
    digester: Digester,
}

impl VerifiedObject {
    /// Read `object`, which must be `expected`. A length that differs is noticed here, before
    /// anything is read.
    pub fn new(object: Box<dyn Object>, expected: Digest) -> Result<Self, StoreError> {
        let object = Self { object, expected, digester: Digester::new() };
        match object.object.bytes() {
            bytes if bytes == expected.bytes => Ok(object),
            found_bytes => Err(object.wrong_length(found_bytes)),
        }
    }

    /// Read the next bytes to the beginning of `buffer`. 0: everything was read, and is what was
    /// written.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        assert!(!buffer.is_empty(), "no buffer to read {} to its end", self.object.name());
        let left = self.expected.bytes - self.digester.bytes();
        if left == 0 {
            self.check_end(buffer)?;
            return Ok(0);
        }
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let length = self.object.read(&mut buffer[..wanted])?;
        if length == 0 {
            return Err(self.wrong_length(self.digester.bytes()));
        }
        self.digester.update(&buffer[..length]);
        Ok(length)
    }

    fn check_end(&mut self, buffer: &mut [u8]) -> Result<(), StoreError> {
        let beyond = self.object.read(&mut buffer[..1])?;
        if beyond > 0 {
            return Err(self.wrong_length(self.expected.bytes + beyond as u64));
        }
        let found = self.digester.digest();
        if found != self.expected {
            let loss = Loss::Corrupt { expected: self.expected, found };
            return Err(StoreError::Lost { name: self.object.name().clone(), loss });
        }
        Ok(())
    }

    fn wrong_length(&self, found_bytes: u64) -> StoreError {
        let loss = Loss::WrongLength { expected_bytes: self.expected.bytes, found_bytes };
        StoreError::Lost { name: self.object.name().clone(), loss }
    }
}

/// Reads one object through, block by block.
pub struct VerifiedReader<'block> {
    object: VerifiedObject,
    block: &'block mut [u8],
}

impl<'block> VerifiedReader<'block> {
    /// Read `object`, which must be `expected`, `block.len()` bytes at a time. A length that
    /// differs is noticed here, before anything is read.
    pub fn new(
        object: Box<dyn Object>,
        expected: Digest,
        block: &'block mut [u8],
    ) -> Result<Self, StoreError> {
        Ok(Self { object: VerifiedObject::new(object, expected)?, block })
    }

    /// The next bytes, or `None` when all were read and are those that were written.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, StoreError> {
        let length = self.object.read(self.block)?;
        Ok(if length == 0 { None } else { Some(&self.block[..length]) })
    }

    /// Read the rest, only to check it.
    pub fn verify(mut self) -> Result<(), StoreError> {
        while self.next_block()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{self, Name};

    #[test]
    fn an_object_that_ends_early_while_it_is_read_is_noticed() {
        let mut block = [0; 4];
        let object = Changing { name: layout::output(0), bytes: 6, content: b"abcde" };
        let mut reader = VerifiedReader::new(Box::new(object), Digest::of(b"abcdef"), &mut block)
            .expect("its length is the expected one");

        assert_eq!(reader.next_block().unwrap(), Some(&b"abcd"[..]));
        assert_eq!(reader.next_block().unwrap(), Some(&b"e"[..]));
        assert_wrong_length(reader.next_block().map(|_| ()), 6, 5);
    }

    #[test]
    fn an_object_that_grows_while_it_is_read_is_noticed() {
        let mut block = [0; 4];
        let object = Changing { name: layout::output(0), bytes: 5, content: b"abcde+" };
        let reader = VerifiedReader::new(Box::new(object), Digest::of(b"abcde"), &mut block)
            .expect("its length is the expected one");

        assert_wrong_length(reader.verify(), 5, 6);
    }

    /// An object whose length changes between opening and reading it.
    struct Changing {
        name: Name,
        bytes: u64,
        content: &'static [u8],
    }

    impl Object for Changing {
        fn name(&self) -> &Name {
            &self.name
        }

        fn bytes(&self) -> u64 {
            self.bytes
        }

        fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
            let length = block.len().min(self.content.len());
            let (now, later) = self.content.split_at(length);
            block[..length].copy_from_slice(now);
            self.content = later;
            Ok(length)
        }
    }

    #[track_caller]
    fn assert_wrong_length(result: Result<(), StoreError>, expected: u64, found: u64) {
        match result {
            Err(StoreError::Lost { loss, .. }) => {
                let expected = Loss::WrongLength { expected_bytes: expected, found_bytes: found };
                assert_eq!(loss, expected);
            }
            other => panic!("wrong length expected, not {other:?}"),
        }
    }
}
