//! The copy of an input that can be read only once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::anchor::Anchor;
use crate::input::{Input, Modified};
use crate::layout;
use crate::local::Local;

/// The copy of an input that can be read only once, in the claim of the driver that reads it.
///
/// It is removed when this value is dropped. If the driver dies before, the next one removes it
/// with the claim. It is private, as everything hidden is: workers run as the driver's user.
#[derive(Debug)]
pub struct InputCopy {
    folder: Arc<Anchor>,
    /// Below the store's folder.
    below: PathBuf,
    /// Absolute.
    path: PathBuf,
    /// `None` when the copy is complete.
    file: Option<File>,
}

impl Local {
    /// Create a copy, empty, in the claim of `epoch`. It is number `index` there; `name` is what
    /// messages call the input.
    ///
    /// # Errors
    ///
    /// When the claim was removed, or the system refuses.
    pub fn copy_input(&self, epoch: u64, index: usize, name: &OsStr) -> io::Result<InputCopy> {
        let below = layout::input_copy(epoch, index, name);
        let file = self.folder.create_private_file(&below)?;
        let (folder, path) = (Arc::clone(&self.folder), self.root.join(&below));
        Ok(InputCopy { folder, below, path, file: Some(file) })
    }
}

impl InputCopy {
    /// Write `bytes` at the end of a copy that is not complete.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open_file()?.write_all(bytes)
    }

    /// The copy is complete: as an input.
    ///
    /// It is synced: a disk that fails later, or a server that refuses what it was sent, would
    /// otherwise leave zeros in the text, and no error.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finish(&mut self) -> io::Result<Input> {
        let file = self.open_file()?;
        file.sync_all()?;
        let metadata = file.metadata()?;
        self.file = None;
        let path = self.path.clone();
        Ok(Input { path, bytes: metadata.len(), modified: Modified::of(&metadata) })
    }

    fn open_file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the copy is complete"))
    }
}

impl Drop for InputCopy {
    fn drop(&mut self) {
        // Before it is removed: NFS keeps a file that is open, under another name.
        self.file = None;
        // A driver that has taken over has removed it already. If the system refuses, the next job
        // in the folder removes it.
        let _ = self.folder.entry(&self.below).and_then(|entry| entry.remove_file());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::claims::{Claims, Holder};
    use crate::{InputFile, Roots, shown_input};

    #[test]
    fn copy_is_a_private_input_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let store = Local::create(&root).unwrap();
        store.claims().claim(3, &Holder::default()).unwrap();
        let mut copy = store.copy_input(3, 0, OsStr::new("standard input")).unwrap();
        copy.append(b"a b").unwrap();
        copy.append(b" a\n").unwrap();
        let input = copy.finish().unwrap();

        assert_eq!(input.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(shown_input(&input.path).to_str(), Some("standard input"));
        let read = InputFile::open(&Roots::new(&[root]), &input).unwrap();
        let mut block = [0; 16];
        assert_eq!(read.read_at(0, &mut block).unwrap(), 6);
        assert_eq!(&block[..6], b"a b a\n");

        drop(copy);
        assert!(!input.path.exists());
    }

    #[test]
    fn driver_that_takes_over_removes_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::create(folder.path()).unwrap();
        let claims = store.claims();
        claims.claim(3, &Holder::default()).unwrap();
        let copy = store.copy_input(3, 0, OsStr::new("standard input")).unwrap();
        claims.claim(4, &Holder::default()).unwrap();
        claims.remove(3).unwrap();
        assert!(!copy.path.exists());
        drop(copy);
        assert!(store.copy_input(3, 1, OsStr::new("a")).is_err(), "the claim is gone");
    }
}
