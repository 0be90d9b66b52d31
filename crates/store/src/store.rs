//! What every store promises, in the order in which an attempt needs it.
//!
//! ```text
//! worker: stage, (create, append*, finish)*     then it reports names and digests
//!         open_staged, unstage                  what it writes for itself alone
//! driver: verify_staged, publish, settle        or: discard
//! worker: open                                  what the driver says was published
//! ```
//!
//! Only the driver publishes. Calls are idempotent where a caller that loses the answer repeats
//! them: publish, settle, discard, unstage, sweep, remove. `stage` and `create` are the opposite on
//! purpose: an attempt that could begin twice could truncate what it has already reported.

use crate::digest::Digest;
use crate::error::StoreError;
use crate::layout::{Folder, Name, Staging};

/// Names to bytes.
pub trait Store: Send + Sync {
    /// The map task and bucket of every final intermediate, in ascending order.
    ///
    /// For removing those of an earlier job: what to read is in the journal, never in a listing.
    fn intermediates(&self) -> Result<Vec<(u32, u32)>, StoreError>;

    /// The identity of the object that has this final name now, if any. Another object has another
    /// identity. Cheap, and no proof: the bytes are not read.
    fn identify(&self, name: &Name) -> Result<Option<Identity>, StoreError>;

    /// Open a final object. The reader gets the bytes that it had when it was opened, whatever is
    /// published in its place meanwhile.
    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError>;

    /// Begin an attempt. Fails with [`StoreError::Begun`] if it was begun before.
    fn stage(&self, staging: &Staging) -> Result<(), StoreError>;

    /// Begin the object that will be `name`. It is invisible until it is published.
    fn create(
        &self,
        staging: &Staging,
        name: &Name,
        durability: Durability,
    ) -> Result<Box<dyn StagedObject>, StoreError>;

    /// Open an object that this attempt has finished, to read it in the same attempt. As with a
    /// final object, the reader gets its bytes even if it is unstaged meanwhile.
    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError>;

    /// Remove one object of an attempt that continues without it, if it is there.
    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError>;

    /// Read the object staged for `name`, and check that it is the one that was reported.
    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError>;

    /// Give the staged object its final name, atomically, in place of whatever has that name.
    ///
    /// Checks the length only, see [`verify_staged`](Self::verify_staged). If nothing is staged,
    /// but an object of that name has the expected length and checksum, it is published already.
    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError>;

    /// Make everything that was published in `folder` and removed from it so far survive a power
    /// failure.
    fn settle(&self, folder: Folder) -> Result<(), StoreError>;

    /// Remove what an attempt staged and did not publish, if anything, even while its worker is
    /// still writing.
    fn discard(&self, staging: &Staging) -> Result<(), StoreError>;

    /// Remove everything that is staged, of all jobs. Returns the number of attempts.
    fn sweep(&self) -> Result<u64, StoreError>;

    /// Remove a final object that is no longer part of the job, if it is there.
    fn remove(&self, name: &Name) -> Result<(), StoreError>;
}

/// What tells a final object from another of the same name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Its length.
    pub bytes: u64,
    /// A number that the store gives it: an inode, a hash of an `ETag`.
    pub number: u64,
}

/// An object being read, once, from its first byte to its last.
pub trait Object: Send {
    /// Its name.
    fn name(&self) -> &Name;

    /// Its length when it was opened.
    fn bytes(&self) -> u64;

    /// Read the next bytes. Fills `block` unless the object ends before; 0 is the end.
    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError>;
}

/// An object being written. After an error it can only be dropped.
pub trait StagedObject: Send {
    /// Write the next bytes.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Nothing is appended for a while. Until the next append the object holds no scarce resource,
    /// such as a file handle: an attempt with ten thousand buckets has ten thousand objects.
    fn pause(&mut self);

    /// Complete the object. Returns the digest of what was appended, for the attempt to report.
    fn finish(self: Box<Self>) -> Result<Digest, StoreError>;
}

/// What a finished object must survive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// A power failure: it is on the disk before `finish` returns.
    Durable,
    /// The death of its worker. Its readers check it, and have it made again if it is lost.
    Verified,
}
