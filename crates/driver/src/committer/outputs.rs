//! Checks, before a job is recorded as done, that its outputs are still those that were committed.
//!
//! A driver of another job that was frozen between its last check and a `rename` may have replaced
//! one after it resumed (`claim.rs`). Most outputs are recognised by their length and inode; the
//! others are read.

use std::collections::BTreeMap;

use journal::Commits;
use store::{Digest, Identity, Name, Store, StoreError, VerifiedReader};

/// The outputs that are committed, by earlier epochs as well.
#[derive(Default)]
pub(crate) struct Outputs(BTreeMap<Name, Output>);

struct Output {
    digest: Digest,
    /// Of the object that was published, if the store knows it.
    identity: Option<Identity>,
}

impl Outputs {
    /// What earlier epochs have committed.
    pub(crate) fn of(recovered: &Commits) -> Self {
        let output = |(&reduce, commit): (&u32, &journal::ReduceCommit)| {
            let (name, digest) = commit.object(reduce);
            (name, Output { digest, identity: None })
        };
        Self(recovered.reduces.iter().map(output).collect())
    }

    /// Assumes that the objects that are there were committed: recovery has just read them.
    pub(super) fn identify(&mut self, store: &dyn Store) {
        for (name, output) in &mut self.0 {
            output.identity = identity(store, name);
        }
    }

    /// `name` was published just now.
    pub(super) fn add(&mut self, store: &dyn Store, name: &Name, digest: Digest) {
        let identity = identity(store, name);
        self.0.insert(name.clone(), Output { digest, identity });
    }

    /// The first output that is no longer what was committed.
    pub(super) fn find_replaced(&self, store: &dyn Store) -> Option<Name> {
        let is_intact = |name: &Name, Output { digest, identity: then }: &Output| {
            // On some network file systems a file may have another inode later.
            let now = identity(store, name);
            now.is_some() && now == *then || verify(store, name, *digest).is_ok()
        };
        let replaced = self.0.iter().find(|(name, output)| !is_intact(name, output));
        replaced.map(|(name, _)| name.clone())
    }
}

fn identity(store: &dyn Store, name: &Name) -> Option<Identity> {
    store.identify(name).ok().flatten()
}

/// Reads an object, and compares it with its digest.
///
/// # Errors
///
/// When it is missing, or another one; when the store refuses.
pub(crate) fn verify(store: &dyn Store, name: &Name, digest: Digest) -> Result<(), StoreError> {
    let mut block = vec![0; VERIFY_BLOCK_BYTES];
    VerifiedReader::new(store.open(name)?, digest, &mut block)?.verify()
}

/// Large enough that the calls cost nothing, small enough to stay in the cache.
const VERIFY_BLOCK_BYTES: usize = 256 * 1024;
