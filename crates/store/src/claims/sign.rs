//! What a process that is no driver can see of a driver, without a change to the store.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Beat, Claims, LocalClaims, RELEASED, boot, parse_beat};
use crate::anchor::Anchor;
use crate::error::{Operation, StoreError};
use crate::layout;
use crate::lock::FolderLock;

/// A sign of a driver in a folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// A driver holds the folder's lock, as far as locks reach.
    Locked,
    /// The highest epoch is claimed and not released, by a driver on another machine or on another
    /// mount: it may be alive.
    Claimed {
        /// Its epoch.
        epoch: u64,
        /// Its last beat; `None` before the first.
        beat: Option<Beat>,
        /// When that was, by the clock of the file system's server.
        renewed: SystemTime,
    },
}

impl Sign {
    /// The sign of the driver of the store at `root`; `None` if no driver is at work there. Nothing
    /// is changed, and no driver is kept from its lock, which [`Claims::look`] may take.
    ///
    /// # Errors
    ///
    /// When the store cannot be looked at.
    pub fn look(root: &Path) -> Result<Option<Self>, StoreError> {
        if FolderLock::is_held(root) {
            return Ok(Some(Self::Locked));
        }
        let refused = |source| StoreError::refused(Operation::List, root, source);
        let folder = Anchor::open(root).map_err(refused)?;
        let claims = LocalClaims::new(root.to_owned(), Arc::new(folder));
        let Some(&epoch) = claims.list()?.last() else { return Ok(None) };
        let below = layout::claim(epoch);
        let seen = claims.folder.list(&below).and_then(|names| {
            let stat = claims.folder.folder(&below)?.stat()?;
            Ok((names, modified(stat.st_mtime, stat.st_mtime_nsec)))
        });
        let (names, renewed) = match seen {
            // Its successor has removed it in this moment: there is a driver.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Vec::new(), SystemTime::now())
            }
            seen => seen.map_err(claims.refused(Operation::List, &below))?,
        };
        if names.iter().any(|name| name == RELEASED) || claims.is_surely_dead(epoch, &names) {
            return Ok(None);
        }
        let beat = names.iter().filter_map(|name| parse_beat(name)).max();
        Ok(Some(Self::Claimed { epoch, beat, renewed }))
    }
}

impl LocalClaims {
    /// Whether the holder of `epoch` had locked the file that we see as the lock, in this run of
    /// the kernel. The caller has seen that this lock is free, and `names` in the claim's folder.
    fn is_surely_dead(&self, epoch: u64, names: &[OsString]) -> bool {
        let Some(signature) = self.read_signature(epoch, names) else { return false };
        let is_here = signature.boot.is_some() && signature.boot == boot();
        is_here && signature.lock.is_some() && signature.lock == FolderLock::file_at(&self.root)
    }
}

/// A time of the file system. One that cannot be represented is long past.
fn modified(seconds: impl TryInto<u64>, nanoseconds: impl TryInto<u32>) -> SystemTime {
    let seconds = seconds.try_into().unwrap_or_default();
    let nanoseconds = nanoseconds.try_into().unwrap_or_default();
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)).unwrap_or(UNIX_EPOCH)
}
