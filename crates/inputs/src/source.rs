//! Where the bytes of a file come from.

/// A file that is read at any offset, and that does not change while it is read.
pub trait Source {
    /// Why bytes cannot be read.
    type Error: Send;

    /// The length of the file.
    fn bytes(&self) -> u64;

    /// Reads the bytes at `offset`. Fills `buffer`, unless the end of the file comes before; 0 is
    /// that end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has changed.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error>;
}

impl<S: Source + ?Sized> Source for &S {
    type Error = S::Error;

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        (**self).read_at(offset, buffer)
    }
}

impl Source for [u8] {
    type Error = std::convert::Infallible;

    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let length = buffer.len().min(self.len() - offset);
        buffer[..length].copy_from_slice(&self[offset..offset + length]);
        Ok(length)
    }
}

/// Fills `buffer`, unless the end of the file comes before. Returns how much was read.
pub(crate) fn read_full<S: Source>(
    source: &S,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, S::Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}
