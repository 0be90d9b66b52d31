//! Scratch files of a reduce attempt: objects in its staging folder, which it reads again and
//! removes.
//!
//! They are staged, so discarding the attempt or sweeping the folder removes them, whichever
//! process dies. They need not survive a crash, so they are not synced; they are verified when they
//! are read, as every object is.

use store::{Digest, Durability, StagedObject, Staging, Store, VerifiedObject, layout};

use crate::failure::{Interrupted, store_failure};
use crate::progress::Progress;

/// An attempt's staging folder as scratch space.
pub(super) struct Scratch<'attempt> {
    pub(super) store: &'attempt dyn Store,
    pub(super) staging: &'attempt Staging,
    pub(super) progress: &'attempt Progress,
    /// Objects created so far: a number is used once.
    created: u32,
}

/// An object that is being written.
pub(super) struct ScratchWriter<'attempt> {
    number: u32,
    object: Box<dyn StagedObject>,
    progress: &'attempt Progress,
}

/// An object that is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScratchFile {
    number: u32,
    digest: Digest,
}

impl<'attempt> Scratch<'attempt> {
    pub(super) fn new(
        store: &'attempt dyn Store,
        staging: &'attempt Staging,
        progress: &'attempt Progress,
    ) -> Self {
        Self { store, staging, progress, created: 0 }
    }

    pub(super) fn create(&mut self) -> Result<ScratchWriter<'attempt>, Interrupted> {
        let number = self.created;
        self.created += 1;
        let name = layout::run(number);
        let object = self.store.create(self.staging, &name, Durability::Verified);
        Ok(ScratchWriter {
            number,
            object: object.map_err(store_failure)?,
            progress: self.progress,
        })
    }

    pub(super) fn open(&self, kept: ScratchFile) -> Result<VerifiedObject, Interrupted> {
        let opened = self.store.open_staged(self.staging, &layout::run(kept.number));
        let verified = opened.and_then(|object| VerifiedObject::new(object, kept.digest));
        Ok(verified.map_err(store_failure)?)
    }

    /// Removes an object that is no longer needed.
    pub(super) fn remove(&self, kept: ScratchFile) -> Result<(), Interrupted> {
        let removed = self.store.unstage(self.staging, &layout::run(kept.number));
        removed.map_err(store_failure)?;
        self.progress.advance()
    }
}

impl ScratchWriter<'_> {
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Interrupted> {
        self.object.append(bytes).map_err(store_failure)?;
        faults::reach("worker::run-appended", "");
        self.progress.advance()
    }

    pub(super) fn finish(self) -> Result<ScratchFile, Interrupted> {
        let digest = self.object.finish().map_err(store_failure)?;
        faults::reach("worker::run-written", "");
        self.progress.advance()?;
        Ok(ScratchFile { number: self.number, digest })
    }
}

impl ScratchFile {
    pub(super) fn bytes(&self) -> u64 {
        self.digest.bytes
    }
}

/// Reads the next bytes and counts them as progress.
pub(super) fn read(
    object: &mut VerifiedObject,
    block: &mut [u8],
    progress: &Progress,
) -> Result<usize, Interrupted> {
    let length = object.read(block).map_err(store_failure)?;
    progress.advance()?;
    Ok(length)
}
