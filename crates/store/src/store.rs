//! What every store promises, in the order in which an attempt needs it.
//!
//! ```text
//! worker: stage, (create, append*, finish)*     then it reports names and digests
//!         open_staged, unstage                  what it writes for itself alone
//! driver: verify_staged, publish, settle        or: discard
//! worker: open                                  what the driver says was published
//! ```
//!
//! Only the driver publishes. Calls are safe to repeat where a lost answer would make someone
//! repeat them: publish, settle, discard, unstage, sweep, remove. `stage` and `create` are the
//! opposite on purpose: an attempt that could begin twice could truncate what it has already
//! reported.

use std::ffi::OsString;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::layout::{Folder, Name, Staging};

/// Names to bytes.
pub trait Store: Send + Sync {
    /// The names directly in `folder`, sorted bytewise. A folder that is not there is empty.
    ///
    /// For taking stock only: what to read is known from the journal, never from a listing.
    fn list(&self, folder: Folder) -> Result<Vec<OsString>, StoreError>;

    /// Open a final object. It keeps giving the bytes it had when it was opened, whatever is
    /// published in its place meanwhile.
    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError>;

    /// Begin an attempt. Fails with [`StoreError::Begun`] if it was begun before.
    fn stage(&self, staging: &Staging) -> Result<(), StoreError>;

    /// Begin the object that will be `name`. Nobody sees it until it is published.
    fn create(
        &self,
        staging: &Staging,
        name: &Name,
        durability: Durability,
    ) -> Result<Box<dyn StagedObject>, StoreError>;

    /// Open an object that this attempt has finished, to read it again itself. Like a final object,
    /// it keeps giving its bytes when it is unstaged meanwhile.
    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError>;

    /// Throw away one object of an attempt that goes on without it, if it is there.
    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError>;

    /// Check that what is staged for `name` is what was reported.
    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
        check: Check,
    ) -> Result<(), StoreError>;

    /// Give what is staged its final name, at once, in place of whatever has that name.
    ///
    /// Checks the length only, see [`verify_staged`](Self::verify_staged). Nothing staged, but an
    /// object of that name with the expected length and checksum, means that it is done already.
    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError>;

    /// Make everything published in and removed from `folder` so far survive a power failure.
    fn settle(&self, folder: Folder) -> Result<(), StoreError>;

    /// Throw away what an attempt staged and did not publish, if anything, even while its worker is
    /// still writing.
    fn discard(&self, staging: &Staging) -> Result<(), StoreError>;

    /// Throw away everything that is staged, of all jobs. Returns how many attempts that was.
    fn sweep(&self) -> Result<u64, StoreError>;

    /// Remove a final object that no longer belongs, if it is there.
    fn remove(&self, name: &Name) -> Result<(), StoreError>;
}

/// An object being read, once, from its first byte to its last.
pub trait Object: Send {
    /// Its name.
    fn name(&self) -> &Name;

    /// Its length when it was opened.
    fn bytes(&self) -> u64;

    /// Read what comes next. Fills `block` unless the object ends before; 0 is the end.
    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError>;
}

/// An object being written. After an error the only thing to do with it is to drop it.
pub trait StagedObject: Send {
    /// Write what comes next.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Give the file handle back until the next append, so that an attempt with ten thousand
    /// buckets does not need ten thousand of them.
    fn release(&mut self);

    /// It is complete. Returns what was appended; that is what the attempt reports.
    fn finish(self: Box<Self>) -> Result<Digest, StoreError>;
}

/// What a finished object must survive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// A power failure: it is on the disk before `finish` returns.
    Durable,
    /// The death of its worker. Whoever reads it checks it, and has it made again if need be.
    Verified,
}

/// How closely to look at a staged object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Check {
    /// Read it all.
    Checksum,
    /// Look at its length.
    Length,
}
