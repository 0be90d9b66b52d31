//! Reading an object and checking, on the way, that it is what was written.
//!
//! A loop and not a callback: an attempt can be abandoned between two blocks, and its caller just
//! stops asking. What was read is only known to be good when
//! [`next_block`](VerifiedReader::next_block) has answered `None`; until then nothing made from it
//! may leave the attempt.

use crate::digest::{Digest, Digester};
use crate::error::StoreError;
use crate::store::Object;

/// Reads one object through, block by block.
pub struct VerifiedReader<'block> {
    object: Box<dyn Object>,
    expected: Digest,
    /// Of everything handed out so far.
    digester: Digester,
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
        assert!(
            !block.is_empty(),
            "a block of no bytes never gets to the end of {}",
            object.name()
        );
        let reader = Self { object, expected, digester: Digester::new(), block };
        match reader.object.bytes() {
            bytes if bytes == expected.bytes => Ok(reader),
            found_bytes => Err(reader.wrong_length(found_bytes)),
        }
    }

    /// The next bytes, or `None` when all of them were read and are those that were written.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, StoreError> {
        let left = self.expected.bytes - self.digester.bytes();
        if left == 0 {
            self.check_end()?;
            return Ok(None);
        }
        let wanted =
            usize::try_from(left).map_or(self.block.len(), |left| left.min(self.block.len()));
        let length = self.object.read(&mut self.block[..wanted])?;
        if length == 0 {
            return Err(self.wrong_length(self.digester.bytes()));
        }
        let block = &self.block[..length];
        self.digester.update(block);
        Ok(Some(block))
    }

    /// Read what is left, for nothing but the check.
    pub fn verify(mut self) -> Result<(), StoreError> {
        while self.next_block()?.is_some() {}
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), StoreError> {
        let beyond = self.object.read(&mut self.block[..1])?;
        if beyond > 0 {
            return Err(self.wrong_length(self.expected.bytes + beyond as u64));
        }
        let found = self.digester.digest();
        if found != self.expected {
            let name = self.object.name().clone();
            return Err(StoreError::Corrupt { name, expected: self.expected, found });
        }
        Ok(())
    }

    fn wrong_length(&self, found_bytes: u64) -> StoreError {
        let name = self.object.name().clone();
        StoreError::WrongLength { name, expected_bytes: self.expected.bytes, found_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{self, Name};

    #[test]
    fn an_object_that_ends_early_while_it_is_read_is_noticed() {
        let mut block = [0; 4];
        let object = Liar { name: layout::output(0), says: 6, gives: b"abcde" };
        let mut reader = VerifiedReader::new(Box::new(object), Digest::of(b"abcdef"), &mut block)
            .expect("the length it says is the expected one");

        assert_eq!(reader.next_block().unwrap(), Some(&b"abcd"[..]));
        assert_eq!(reader.next_block().unwrap(), Some(&b"e"[..]));
        assert_wrong_length(reader.next_block().map(|_| ()), 6, 5);
    }

    #[test]
    fn an_object_that_grows_while_it_is_read_is_noticed() {
        let mut block = [0; 4];
        let object = Liar { name: layout::output(0), says: 5, gives: b"abcde+" };
        let reader = VerifiedReader::new(Box::new(object), Digest::of(b"abcde"), &mut block)
            .expect("the length it says is the expected one");

        assert_wrong_length(reader.verify(), 5, 6);
    }

    /// An object whose length changes between opening and reading it.
    struct Liar {
        name: Name,
        says: u64,
        gives: &'static [u8],
    }

    impl Object for Liar {
        fn name(&self) -> &Name {
            &self.name
        }

        fn bytes(&self) -> u64 {
            self.says
        }

        fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
            let length = block.len().min(self.gives.len());
            let (now, later) = self.gives.split_at(length);
            block[..length].copy_from_slice(now);
            self.gives = later;
            Ok(length)
        }
    }

    #[track_caller]
    fn assert_wrong_length(result: Result<(), StoreError>, expected: u64, found: u64) {
        match result {
            Err(StoreError::WrongLength { expected_bytes, found_bytes, .. }) => {
                assert_eq!((expected_bytes, found_bytes), (expected, found));
            }
            other => panic!("wrong length expected, not {other:?}"),
        }
    }
}
