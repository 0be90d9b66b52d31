//! The claims of drivers on a store: an epoch is claimed by exclusive creation.
//!
//! A driver claims an epoch before it reads the journal, and renews its claim while it is alive. A
//! driver that holds a lower epoch than the highest stops: [`Claims::list`] says so on every
//! machine, whereas a lock of the operating system is often local to one mount of a shared folder.
//!
//! ```text
//! .mapmill/claims/<epoch>/holder-<id>   the driver that holds it; the id is unique
//! .mapmill/claims/<epoch>/beat-<n>      renamed to beat-<n+1> by its holder, every few seconds
//! .mapmill/claims/<epoch>/released      in its place: the holder has ended
//! ```
//!
//! The folder of an epoch is created with `mkdir`. On two mounts of one shared folder, with four
//! racing processes, it had one winner in 100 of 100 rounds, `O_CREAT|O_EXCL` had two in 49, and
//! `link` in 15 (SeaweedFS). What others have done is always read by listing a folder: a client of
//! NFS caches that a name is absent, and asks its server when it opens a folder.
//!
//! Deliberately absent: clocks. How long to wait is up to the driver.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::anchor::Anchor;
use crate::error::{Operation, StoreError};
use crate::layout;
use crate::local::{list_folder, remove_in_use};
use crate::lock::{FolderLock, LockError};

mod sign;

pub use sign::Sign;

/// The epochs of a store, each claimed by one driver at most.
pub trait Claims: Send + Sync {
    /// The claimed epochs, ascending.
    ///
    /// # Errors
    ///
    /// When the store cannot be looked at.
    fn list(&self) -> Result<Vec<u64>, StoreError>;

    /// Claims `epoch` for `holder`, with [`Beat::FIRST`]; `false` if it is claimed already. The
    /// caller then has to look whether it is the highest.
    ///
    /// # Errors
    ///
    /// When the store refuses. The epoch may be claimed then.
    fn claim(&self, epoch: u64, holder: &Holder) -> Result<bool, StoreError>;

    /// Whether the claim of `epoch` is there, and is the one that was made through this value.
    /// Another driver may have claimed the same epoch, if the claims were removed meanwhile.
    ///
    /// # Errors
    ///
    /// When the store cannot be looked at.
    fn is_own(&self, epoch: u64) -> Result<bool, StoreError>;

    /// What a claim says about its holder; `None` if there is no such claim.
    ///
    /// # Errors
    ///
    /// When the store cannot be looked at.
    fn look(&self, epoch: u64) -> Result<Option<Claim>, StoreError>;

    /// The holder of `epoch` is alive: its beat `beat` becomes the next. Safe to repeat.
    ///
    /// # Errors
    ///
    /// When the claim was removed, or the store refuses.
    fn renew(&self, epoch: u64, beat: Beat) -> Result<(), StoreError>;

    /// The holder of `epoch`, whose beat is `beat`, has ended.
    ///
    /// # Errors
    ///
    /// As of [`renew`](Self::renew).
    fn release(&self, epoch: u64, beat: Beat) -> Result<(), StoreError>;

    /// Removes a claim that is below the highest, if it is there. The highest stays: epochs grow.
    ///
    /// # Errors
    ///
    /// When the store refuses.
    fn remove(&self, epoch: u64) -> Result<(), StoreError>;
}

/// The driver that holds a claim. For messages only: it is not verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holder {
    /// The name of its machine.
    pub host: String,
    /// Its process id there.
    pub process: u32,
    /// Where it listens, if it does so already.
    pub address: Option<String>,
}

impl Holder {
    /// This process, which listens at `address`.
    pub fn this_process(address: Option<String>) -> Self {
        Self { host: host_name(), process: std::process::id(), address }
    }
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)?;
        match &self.address {
            Some(address) => write!(f, ", listening on {address}"),
            None => Ok(()),
        }
    }
}

/// The number of times that a claim was renewed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Beat(pub u64);

impl Beat {
    /// That of a claim that was not renewed yet.
    pub const FIRST: Self = Self(0);

    /// After the next renewal.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a claim says about its holder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// `None` if the driver died, or was stopped, while it claimed.
    pub holder: Option<Holder>,
    /// Whether the holder is alive.
    pub state: ClaimState,
}

/// Whether the holder of a claim is alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimState {
    /// It is dead: it ran on this machine, and its lock is free.
    Dead,
    /// It was alive at its last beat; `None` before the first.
    Held(Option<Beat>),
    /// It has ended.
    Released,
}

/// The claims of a store in a folder of a file system.
///
/// A lock of the operating system is the fast path: a driver whose lock is free is known to be dead
/// without waiting. That is a proof only if it locked the very file that we lock. Two mounts have
/// different device numbers, and a file that was removed and created again has another inode.
#[derive(Debug)]
pub struct LocalClaims {
    /// Of the store.
    root: PathBuf,
    folder: Arc<Anchor>,
    lock: Mutex<Option<FolderLock>>,
    /// The name of the file `holder-<id>` in every claim that is made through this value.
    own: String,
}

impl LocalClaims {
    pub(crate) fn new(root: PathBuf, folder: Arc<Anchor>) -> Self {
        Self { root, folder, lock: Mutex::default(), own: unique_holder_file() }
    }

    /// Takes the store's lock, until this value is dropped. Does nothing if its file system has no
    /// locks.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] when another process holds it; when the system refuses.
    pub fn lock(&self) -> Result<(), LockError> {
        let mut held = self.held();
        if held.is_none() {
            *held = match FolderLock::acquire(&self.root) {
                Err(LockError::Io { source, .. }) if is_without_locks(&source) => None,
                lock => Some(lock?),
            };
        }
        Ok(())
    }

    /// Whether a driver holds the highest epoch, or may hold it.
    ///
    /// # Errors
    ///
    /// When the store cannot be looked at.
    pub fn is_held(&self) -> Result<bool, StoreError> {
        let claim = match self.list()?.last() {
            Some(&epoch) => self.look(epoch)?,
            None => None,
        };
        Ok(claim.is_some_and(|claim| matches!(claim.state, ClaimState::Held(_))))
    }

    /// Holds the lock from now on, even if a driver that was superseded still holds it.
    fn lock_anew(&self) {
        if let Err(LockError::Held { .. }) = self.lock() {
            // That driver keeps the lock of a file that no longer has a name.
            let _ = self.remove_file(layout::lock().as_str());
            let _ = self.lock();
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<FolderLock>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the holder that has written `signature` is certainly dead.
    fn is_dead(&self, signature: &Signature) -> bool {
        if signature.boot.is_none() || signature.boot != boot() {
            return false;
        }
        let had_lock = self.held().is_some();
        let is_dead = self.lock().is_ok() && self.lock_file() == signature.lock;
        if !had_lock && !is_dead {
            // This lock proves nothing, and a driver of this mount may need it.
            *self.held() = None;
        }
        is_dead
    }

    /// The file that we have locked.
    fn lock_file(&self) -> Option<(u64, u64)> {
        self.held().as_ref().and_then(FolderLock::file)
    }

    fn refused(
        &self,
        operation: Operation,
        below: &Path,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.root.join(below);
        move |source| StoreError::refused(operation, &path, source)
    }

    fn remove_file(&self, below: &str) -> io::Result<()> {
        self.folder.entry(Path::new(below))?.remove_file()
    }

    /// Puts a file in the folder of a claim.
    fn write(&self, below: &Path, text: &[u8]) -> Result<(), StoreError> {
        let written = || {
            let mut file = self.folder.create_private_file(below)?;
            file.write_all(text)
        };
        written().map_err(self.refused(Operation::Create, below))
    }

    /// `names` are those in the folder of the claim.
    fn read_signature(&self, epoch: u64, names: &[OsString]) -> Option<Signature> {
        let name = names.iter().find(|name| name.as_bytes().starts_with(HOLDER.as_bytes()))?;
        let file = self.folder.open_file(layout::claim(epoch).join(name)).ok()?;
        let mut text = String::new();
        file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
        Signature::parse(&text)
    }

    /// Renames the file of the beat.
    fn turn(&self, epoch: u64, beat: Beat, to: &str) -> Result<(), StoreError> {
        let from = layout::claim(epoch).join(beat_file(beat));
        let refused = self.refused(Operation::Renew, &from);
        let entry = match self.folder.entry(&from) {
            Ok(entry) => entry,
            Err(error) => return Err(refused(error)),
        };
        match entry.rename_here(OsStr::new(to)) {
            // A network file system may repeat a rename whose answer was lost.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = list_folder(&self.folder, &layout::claim(epoch));
                match names.is_ok_and(|names| names.iter().any(|name| name == to)) {
                    true => Ok(()),
                    false => Err(refused(error)),
                }
            }
            answer => answer.map_err(refused),
        }
    }
}

impl Claims for LocalClaims {
    fn list(&self) -> Result<Vec<u64>, StoreError> {
        let below = Path::new(layout::claims());
        let names =
            list_folder(&self.folder, below).map_err(self.refused(Operation::List, below))?;
        let mut epochs: Vec<u64> = names.iter().filter_map(layout::parse_claim).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn claim(&self, epoch: u64, holder: &Holder) -> Result<bool, StoreError> {
        let folder = layout::claim(epoch);
        let created = self.folder.entry(&folder).and_then(|entry| entry.create_folder(PRIVATE));
        match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            created => created.map_err(self.refused(Operation::Create, &folder))?,
        }
        self.lock_anew();
        let signature = Signature { holder: holder.clone(), boot: boot(), lock: self.lock_file() };
        self.write(&folder.join(&self.own), signature.to_string().as_bytes())?;
        self.write(&folder.join(beat_file(Beat::FIRST)), b"")?;
        Ok(true)
    }

    fn is_own(&self, epoch: u64) -> Result<bool, StoreError> {
        let folder = layout::claim(epoch);
        let names =
            list_folder(&self.folder, &folder).map_err(self.refused(Operation::List, &folder))?;
        Ok(names.iter().any(|name| *name == *self.own))
    }

    fn look(&self, epoch: u64) -> Result<Option<Claim>, StoreError> {
        let folder = layout::claim(epoch);
        let names = match self.folder.list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            names => names.map_err(self.refused(Operation::List, &folder))?,
        };
        let signature = self.read_signature(epoch, &names);
        let state = if names.iter().any(|name| name == RELEASED) {
            ClaimState::Released
        } else if signature.as_ref().is_some_and(|signature| self.is_dead(signature)) {
            ClaimState::Dead
        } else {
            ClaimState::Held(names.iter().filter_map(|name| parse_beat(name)).max())
        };
        Ok(Some(Claim { holder: signature.map(|signature| signature.holder), state }))
    }

    fn renew(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.turn(epoch, beat, &beat_file(beat.next()))
    }

    fn release(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.turn(epoch, beat, RELEASED)
    }

    fn remove(&self, epoch: u64) -> Result<(), StoreError> {
        let folder = layout::claim(epoch);
        let removed = self.folder.entry(&folder).and_then(|entry| remove_in_use(&entry));
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(self.refused(Operation::Remove, &folder)),
        }
    }
}

/// The content of `holder`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Signature {
    holder: Holder,
    /// When its machine was started, as an id of the kernel.
    boot: Option<String>,
    /// Device and inode of the file that it has locked.
    lock: Option<(u64, u64)>,
}

impl Signature {
    /// Ignores lines that it does not know: a later version may have written them.
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key)
        };
        let value = |key| value(key).map(|(_, value)| value.to_owned());
        let lock = value("lock").and_then(|lock| {
            let (device, inode) = lock.split_once(' ')?;
            Some((device.parse().ok()?, inode.parse().ok()?))
        });
        let process = value("process")?.parse().ok()?;
        let holder = Holder { host: value("host")?, process, address: value("address") };
        Some(Self { holder, boot: value("boot"), lock })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder: Holder { host, process, address }, boot, lock } = self;
        writeln!(f, "host {host}\nprocess {process}")?;
        if let Some(address) = address {
            writeln!(f, "address {address}")?;
        }
        if let Some(boot) = boot {
            writeln!(f, "boot {boot}")?;
        }
        if let Some((device, inode)) = lock {
            writeln!(f, "lock {device} {inode}")?;
        }
        Ok(())
    }
}

/// What identifies the present run of this machine's kernel; `None` if it has no such id.
fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim_end().to_owned()).filter(|boot| !boot.is_empty())
}

/// Whether the file system has no locks, or its server does not grant any.
fn is_without_locks(source: &io::Error) -> bool {
    source.kind() == io::ErrorKind::Unsupported
        || source.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

/// No other driver makes it: not in the same nanosecond, of a process with the same id.
fn unique_holder_file() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{HOLDER}{:x}-{:x}", since_1970.as_nanos(), std::process::id())
}

fn beat_file(Beat(beat): Beat) -> String {
    format!("{BEAT}{beat}")
}

fn parse_beat(file: &OsStr) -> Option<Beat> {
    file.to_str()?.strip_prefix(BEAT)?.parse().ok().map(Beat)
}

const BEAT: &str = "beat-";
const HOLDER: &str = "holder-";
const RELEASED: &str = "released";

/// No other user may look inside, as with all of `.mapmill`.
const PRIVATE: u32 = 0o700;

/// A host has 64 bytes at most (Linux), an address some 60.
const HOLDER_BYTES_MAX: u64 = 1024;

#[cfg(test)]
mod tests;
