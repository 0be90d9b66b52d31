//! What a reduce attempt writes for itself: objects in its staging folder, read again and removed.
//!
//! Being staged they are found by whoever discards the attempt or sweeps the folder, whatever died.
//! They need not survive anything, so nothing is synced; but what is read is checked, as everything
//! is that a disk has had.

use store::{Digest, Durability, StagedObject, Staging, Store, VerifiedObject, layout};

use crate::failure::{Interrupted, store_failure};
use crate::progress::Progress;

/// The place, and how far the attempt is.
pub(super) struct Scratch<'attempt> {
    pub(super) store: &'attempt dyn Store,
    pub(super) staging: &'attempt Staging,
    pub(super) progress: &'attempt Progress,
    /// Objects begun so far: a number is used once.
    begun: u32,
}

/// An object that is being written.
pub(super) struct Draft<'attempt> {
    number: u32,
    object: Box<dyn StagedObject>,
    progress: &'attempt Progress,
}

/// An object that is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    number: u32,
    digest: Digest,
}

impl<'attempt> Scratch<'attempt> {
    pub(super) fn new(
        store: &'attempt dyn Store,
        staging: &'attempt Staging,
        progress: &'attempt Progress,
    ) -> Self {
        Self { store, staging, progress, begun: 0 }
    }

    pub(super) fn begin(&mut self) -> Result<Draft<'attempt>, Interrupted> {
        let number = self.begun;
        self.begun += 1;
        let name = layout::run(number);
        let object = self.store.create(self.staging, &name, Durability::Verified);
        Ok(Draft { number, object: object.map_err(store_failure)?, progress: self.progress })
    }

    pub(super) fn open(&self, kept: Kept) -> Result<VerifiedObject, Interrupted> {
        let opened = self.store.open_staged(self.staging, &layout::run(kept.number));
        let verified = opened.and_then(|object| VerifiedObject::new(object, kept.digest));
        Ok(verified.map_err(store_failure)?)
    }

    /// It is not needed any more.
    pub(super) fn remove(&self, kept: Kept) -> Result<(), Interrupted> {
        let removed = self.store.unstage(self.staging, &layout::run(kept.number));
        removed.map_err(store_failure)?;
        self.progress.advance()
    }
}

impl Draft<'_> {
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Interrupted> {
        self.object.append(bytes).map_err(store_failure)?;
        faults::reach("worker::run-appended", "");
        self.progress.advance()
    }

    pub(super) fn finish(self) -> Result<Kept, Interrupted> {
        let digest = self.object.finish().map_err(store_failure)?;
        faults::reach("worker::run-written", "");
        self.progress.advance()?;
        Ok(Kept { number: self.number, digest })
    }
}

impl Kept {
    pub(super) fn bytes(&self) -> u64 {
        self.digest.bytes
    }
}

/// Reads on, as an attempt that gets on by it.
pub(super) fn read(
    object: &mut VerifiedObject,
    room: &mut [u8],
    progress: &Progress,
) -> Result<usize, Interrupted> {
    let length = object.read(room).map_err(store_failure)?;
    progress.advance()?;
    Ok(length)
}
