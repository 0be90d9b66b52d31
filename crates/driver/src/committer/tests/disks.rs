//! Disks of a journal: one that is full, and one that counts its syncs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use journal::{Disk, DiskFile, ThisMachine};

#[derive(Debug)]
pub(super) struct Full;

impl Disk for Full {
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn create(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        const ENOSPC: i32 = 28;
        if bytes.is_empty() { Ok(()) } else { Err(io::Error::from_raw_os_error(ENOSPC)) }
    }

    fn cut(&mut self, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The disk of this machine, which counts the syncs of its files.
#[derive(Debug)]
pub(super) struct Counting(pub(super) Arc<AtomicUsize>);

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn DiskFile>,
    syncs: Arc<AtomicUsize>,
}

impl Disk for Counting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        ThisMachine.read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, syncs) = (ThisMachine.create(path)?, Arc::clone(&self.0));
        Ok(Box::new(CountingFile { file, syncs }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        ThisMachine.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        ThisMachine.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        ThisMachine.sync_folder(folder)
    }
}

impl DiskFile for CountingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.cut(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }
}
