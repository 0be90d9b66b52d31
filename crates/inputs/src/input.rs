//! The bytes of a source, through a buffer.

use crate::blocks::Blocks;
use crate::damage::ReadError;
use crate::source::Source;

/// Reads a source from some offset to its end.
pub(crate) struct Input<S> {
    source: S,
    buffer: Box<[u8]>,
    /// What was read and not yet taken: `buffer[taken..filled]`.
    taken: usize,
    filled: usize,
    /// Where the next read begins.
    offset: u64,
}

impl<S: Source> Input<S> {
    /// From byte `offset` of the file.
    pub(crate) fn new(source: S, offset: u64) -> Self {
        let buffer = vec![0; BLOCK_BYTES].into_boxed_slice();
        Self { source, buffer, taken: 0, filled: 0, offset }
    }

    /// What was read and not yet taken; reads more if that is nothing. Empty at the end of the
    /// file.
    pub(crate) fn pending(&mut self) -> Result<&[u8], S::Error> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            self.filled = self.source.read_at(self.offset, &mut self.buffer)?;
            self.offset += self.filled as u64;
        }
        Ok(&self.buffer[self.taken..self.filled])
    }

    /// Takes `bytes` of what is pending.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.filled);
    }

    /// How many bytes of the file come before what is pending.
    pub(crate) fn position(&self) -> u64 {
        self.offset - (self.filled - self.taken) as u64
    }
}

/// As it is.
impl<S: Source> Blocks for Input<S> {
    type Error = S::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<S::Error>> {
        Input::pending(self).map_err(ReadError::Source)
    }

    fn take(&mut self, bytes: usize) {
        Input::take(self, bytes);
    }

    fn bytes_read(&self) -> u64 {
        self.position()
    }
}

/// How much is read at once. Larger blocks were not faster.
pub(crate) const BLOCK_BYTES: usize = 128 << 10;
