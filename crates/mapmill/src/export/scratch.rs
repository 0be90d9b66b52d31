//! A file for words that do not fit in memory.
//!
//! It loses its name as soon as it is open, so it is gone when the process is, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::error::ExportError;

#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    file: File,
    /// How much was written.
    bytes: u64,
}

impl Scratch {
    /// A new file in `folder`.
    pub(super) fn create(folder: &Path) -> Result<Self, ExportError> {
        let refused = |source| ExportError::Scratch { folder: folder.to_owned(), source };
        let path = folder.join(format!(".export-{}.sorting", process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(refused)?;
        fs::remove_file(&path).map_err(refused)?;
        Ok(Self { folder: folder.to_owned(), file, bytes: 0 })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.file.write_all(bytes).map_err(|source| self.refused(source))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Reads the bytes from `offset` into all of `block`.
    pub(super) fn read(&self, block: &mut [u8], offset: u64) -> Result<(), ExportError> {
        self.file.read_exact_at(block, offset).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: io::Error) -> ExportError {
        ExportError::Scratch { folder: self.folder.clone(), source }
    }
}
