//! Where the words go: stdout, or a file that appears when it is whole.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::ExportError;
use crate::messages;

/// What is written here.
#[derive(Debug)]
pub(super) struct Destination {
    place: Place,
    bytes: u64,
}

#[derive(Debug)]
enum Place {
    /// A regular file, which has another name until it is whole.
    File(Hidden),
    Stdout(File),
    /// A pipe or a device that has a name. It cannot be replaced.
    Stream {
        path: PathBuf,
        file: File,
    },
}

/// A file with a hidden name, removed unless it is published.
#[derive(Debug)]
struct Hidden {
    path: PathBuf,
    hidden: PathBuf,
    file: File,
    is_published: bool,
}

impl Destination {
    /// `None` is stdout.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, ExportError> {
        let opened = path.map_or_else(|| messages::data_file().map(Place::Stdout), Place::open);
        let place = opened.map_err(|source| {
            let place = path.map_or(STDOUT.to_owned(), |path| path.display().to_string());
            ExportError::write(place, source)
        })?;
        Ok(Self { place, bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.write_bytes(bytes).map_err(|source| self.refused(source))
    }

    /// As [`write`](Self::write), for a library that writes.
    pub(super) fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.place {
            Place::File(Hidden { file, .. }) | Place::Stdout(file) | Place::Stream { file, .. } => {
                file.write_all(bytes)?;
            }
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was written visible. Returns how many bytes it has.
    pub(super) fn publish(mut self) -> Result<u64, ExportError> {
        let published = match &mut self.place {
            Place::File(hidden) => hidden.publish(),
            Place::Stdout(_) | Place::Stream { .. } => Ok(()),
        };
        published.map_err(|error| self.refused(error))?;
        Ok(self.bytes)
    }

    fn refused(&self, source: io::Error) -> ExportError {
        ExportError::write(self.place(), source)
    }

    /// What a message calls it, after `cannot write`.
    pub(super) fn place(&self) -> String {
        match &self.place {
            Place::File(Hidden { path, .. }) | Place::Stream { path, .. } => {
                path.display().to_string()
            }
            Place::Stdout(_) => STDOUT.to_owned(),
        }
    }
}

impl Place {
    fn open(path: &Path) -> io::Result<Self> {
        // A link stays, and the file that it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            // A folder is refused here.
            let file = OpenOptions::new().write(true).open(&path)?;
            return Ok(Self::Stream { path, file });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let hidden = path.with_file_name(hidden(name));
        let file = OpenOptions::new().write(true).create_new(true).open(&hidden)?;
        Ok(Self::File(Hidden { path, hidden, file, is_published: false }))
    }
}

/// A hidden name that no other process has, nor one that was killed: in a container all may have
/// the same number.
pub(super) fn hidden(name: &OsStr) -> OsString {
    // Keys of the standard library's maps are random.
    let random = RandomState::new().build_hasher().finish();
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{random:016x}"));
    hidden
}

impl Hidden {
    fn publish(&mut self) -> io::Result<()> {
        // After a power failure there is the old file or the new one, and no empty one.
        self.file.sync_data()?;
        fs::rename(&self.hidden, &self.path)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// What a message calls stdout, after `cannot write`.
const STDOUT: &str = "to stdout";
