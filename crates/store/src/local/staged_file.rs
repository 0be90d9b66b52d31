//! A staged object that is written to a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::{file_id, refused};
use crate::anchor::Anchor;
use crate::digest::{Digest, Digester};
use crate::error::{Operation, StoreError};
use crate::layout::Name;
use crate::store::{Durability, StagedObject};

/// A staged object that is written to a file.
///
/// # Invariants
///
/// * `digester` has exactly the bytes of the file, unless `is_broken`.
/// * At most `SYNC_BYTES` and one append of a durable object are not on the disk.
pub(super) struct StagedFile {
    /// The store's.
    folder: Arc<Anchor>,
    /// Below the staging folder.
    name: Name,
    path: PathBuf,
    durability: Durability,
    /// `None` while paused.
    file: Option<File>,
    /// Device and inode of the file that was created.
    id: (u64, u64),
    digester: Digester,
    /// Appended since the last sync.
    unsynced_bytes: u64,
    /// An append failed: how much of it is in the file is unknown.
    is_broken: bool,
}

impl StagedFile {
    pub(super) fn create(
        folder: Arc<Anchor>,
        name: Name,
        path: PathBuf,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let file = match folder.create_file(name.as_str()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Begun { name });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Gone { name });
            }
            Err(source) => return Err(StoreError::refused(Operation::Create, &path, source)),
        };
        let id = file_id(&file.metadata().map_err(refused(Operation::Create, &path))?);
        Ok(Self {
            folder,
            name,
            path,
            durability,
            file: Some(file),
            id,
            digester: Digester::new(),
            unsynced_bytes: 0,
            is_broken: false,
        })
    }

    /// The file, opened again after a pause.
    fn file(&mut self) -> Result<&mut File, StoreError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        Ok(self.file.insert(file))
    }

    fn reopen(&self) -> Result<File, StoreError> {
        let not_staged = || StoreError::Gone { name: self.name.clone() };
        let file = match self.folder.reopen_file(self.name.as_str()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_staged()),
            Err(source) => return Err(StoreError::refused(Operation::Open, &self.path, source)),
        };
        let opened = file.metadata().map_err(refused(Operation::Open, &self.path))?;
        if file_id(&opened) != self.id {
            return Err(not_staged());
        }
        Ok(file)
    }

    fn sync_if_due(&mut self) -> Result<(), StoreError> {
        if self.durability == Durability::Durable && self.unsynced_bytes >= SYNC_BYTES {
            let synced = self.file()?.sync_data();
            synced.map_err(refused(Operation::Sync, &self.path))?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    fn try_append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file()?.write_all(bytes);
        written.map_err(refused(Operation::Append, &self.path))?;
        self.digester.update(bytes);
        self.unsynced_bytes += bytes.len() as u64;
        self.sync_if_due()
    }
}

impl StagedObject for StagedFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        assert!(!self.is_broken, "{} appended to after an append failed", self.name);
        let appended = self.try_append(bytes);
        self.is_broken = appended.is_err();
        appended
    }

    fn pause(&mut self) {
        self.file = None;
    }

    fn finish(mut self: Box<Self>) -> Result<Digest, StoreError> {
        assert!(!self.is_broken, "{} finished after an append failed", self.name);
        match self.durability {
            Durability::Durable => {
                let synced = self.file()?.sync_all();
                synced.map_err(refused(Operation::Sync, &self.path))?;
            }
            Durability::Verified => {}
        }
        Ok(self.digester.digest())
    }
}

/// A sync waits for everything written so far: a gigabyte at once on a slow disk would look like an
/// attempt without progress. 32 MiB take a third of a second at 100 MB/s.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn a_durable_object_is_synced_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut durable = create(&folder, 0, Durability::Durable);
        let mut verified = create(&folder, 1, Durability::Verified);
        let block = vec![b'a'; 20 * 1024 * 1024];

        for file in [&mut durable, &mut verified] {
            file.append(&block).unwrap();
            file.pause();
            assert_eq!(file.unsynced_bytes, 20 * 1024 * 1024);
            file.append(&block).unwrap();
        }
        assert_eq!(durable.unsynced_bytes, 0);
        assert_eq!(verified.unsynced_bytes, 40 * 1024 * 1024);
    }

    #[track_caller]
    fn create(folder: &tempfile::TempDir, bucket: u32, durability: Durability) -> StagedFile {
        let anchor = Arc::new(Anchor::open(folder.path()).unwrap());
        let name = Name::parse(layout::output(bucket).file()).unwrap();
        let path = folder.path().join(name.as_str());
        StagedFile::create(anchor, name, path, durability).unwrap()
    }
}
