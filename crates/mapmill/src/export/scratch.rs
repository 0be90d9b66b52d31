//! A file for words that do not fit in memory.
//!
//! It loses its name as soon as it is open, so it is gone when the process is, however that ends.
//! It is created when it is needed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::destination::hidden;
use super::error::ExportError;

#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    /// `None` before the first write.
    file: Option<File>,
    /// How much was written.
    bytes: u64,
}

impl Scratch {
    /// A file in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, file: None, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns where the bytes begin.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64, ExportError> {
        let start = self.bytes;
        self.write(bytes).map_err(|source| self.refused(source))?;
        self.bytes += bytes.len() as u64;
        Ok(start)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(without_a_name(&self.folder)?),
        };
        file.write_all(bytes)
    }

    /// Reads bytes that were written into all of `block`.
    pub(super) fn read(&self, block: &mut [u8], offset: u64) -> Result<(), ExportError> {
        let file = self.file.as_ref().expect("it was written");
        file.read_exact_at(block, offset).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: io::Error) -> ExportError {
        ExportError::Scratch { folder: self.folder.clone(), source }
    }
}

fn without_a_name(folder: &Path) -> io::Result<File> {
    let path = folder.join(hidden("export".as_ref()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
