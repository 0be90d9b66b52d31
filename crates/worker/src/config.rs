//! How a worker is configured, and why it may end before the job does.

use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpc::{AddressError, Addresses, Credentials, Denial};
use store::duration;
use tokio::sync::watch;

use crate::notice::Notify;

/// What the user asked for.
#[derive(Clone)]
pub struct Config {
    /// Where the driver is, or the one that takes over from it.
    pub driver: Addresses,
    /// Folders below which the worker reads and writes, see [`real_roots`].
    pub roots: Vec<PathBuf>,
    /// The name for messages.
    pub name: String,
    /// Distinguishes this process from all other workers of the job. Set by a parent process that
    /// has to know it; otherwise it is random.
    pub instance: Option<[u8; 16]>,
    /// How long to wait for a driver that does not answer.
    pub patience: Patience,
    /// Sent with every call, if there are any.
    pub credentials: Credentials,
    /// Read at most so many bytes a second.
    pub throttle: Option<NonZeroU64>,
    /// Use at most so many bytes of memory. Below [`MEMORY_BYTES_MIN`](crate::MEMORY_BYTES_MIN)
    /// this is not guaranteed.
    pub memory_bytes: u64,
    /// Receives what the user should see.
    pub notify: Notify,
    /// Ends the worker early, in an orderly way.
    pub shutdown: Shutdown,
}

/// How long a worker waits for a driver that does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For its first answer. `None`: without limit, as workers may be started first.
    pub first: Option<Duration>,
    /// For the next one, once a driver has answered.
    pub later: Duration,
    /// Whether the worker waits for another driver when its job is over, as for its first.
    pub stays: bool,
}

/// The request that a worker stops. Clones share it; once made, it stays.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    /// The worker abandons its attempt, leaves the driver, and ends.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Ready once it was requested.
    pub(crate) async fn requested(&self) {
        // The sender lives as long as this future borrows it.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }
}

/// The worker ended before the job was over.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No driver can have that address.
    #[error(transparent)]
    Address(AddressError),
    /// One side does not accept the other's credentials.
    #[error("cannot work for the driver at {driver}")]
    Denied {
        /// Its address.
        driver: String,
        /// Why.
        source: Denial,
    },
    /// The driver stopped answering.
    #[error("the driver at {driver} has not answered for {}; giving up", duration::whole(*silent))]
    DriverLost {
        /// Its address.
        driver: String,
        /// For how long.
        silent: Duration,
    },
    /// No driver answered in the time that the user allowed for it.
    #[error("no driver has answered at {driver} for {}; giving up", duration::exact(*waited))]
    NoDriver {
        /// The address.
        driver: String,
        /// For how long the worker has waited.
        waited: Duration,
    },
    /// Abandoned attempts do not stop.
    #[error(
        "{attempts} attempts are stuck and still hold memory and threads; start the worker again"
    )]
    Hanging {
        /// How many.
        attempts: usize,
    },
    /// The job uses folders that this worker may not use.
    #[error(
        "the job uses {}, which {} in none of this worker's roots ({})",
        list(folders, " and "), if folders.len() == 1 { "is" } else { "are" }, list(roots, ", ")
    )]
    OutsideRoots {
        /// The folders.
        folders: Vec<PathBuf>,
        /// The roots.
        roots: Vec<PathBuf>,
    },
    /// The driver breaks the protocol.
    #[error("the driver at {driver} sent an answer that this worker cannot read: {message}")]
    Protocol {
        /// Its address.
        driver: String,
        /// What is wrong.
        message: String,
    },
    /// The user asked it to.
    #[error("stopped{}", if *had_task { "; its task is reassigned to another worker" } else { "" })]
    Stopped {
        /// Whether it was executing an attempt. What it has reported is the driver's.
        had_task: bool,
    },
    /// The operating system refused an operation that every worker needs.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The driver is of another version.
    #[error(
        "the driver is {theirs} (protocol {their_protocol}) and this worker {} (protocol {}); \
         use the same version on both sides",
        rpc::BUILD,
        rpc::PROTOCOL
    )]
    VersionMismatch {
        /// Its program and version.
        theirs: String,
        /// Its protocol version.
        their_protocol: u32,
    },
}

impl WorkerError {
    /// Whether the worker could not start; the job is not the cause.
    pub fn is_about_start(&self) -> bool {
        match self {
            Self::Address(_)
            | Self::Denied { .. }
            | Self::OutsideRoots { .. }
            | Self::Protocol { .. }
            | Self::System { .. }
            | Self::VersionMismatch { .. } => true,
            Self::DriverLost { .. }
            | Self::Hanging { .. }
            | Self::NoDriver { .. }
            | Self::Stopped { .. } => false,
        }
    }
}

fn list(folders: &[PathBuf], separator: &str) -> String {
    let folders: Vec<String> = folders.iter().map(|it| it.display().to_string()).collect();
    folders.join(separator)
}

/// A root is not a folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as a root", path.display())]
pub struct RootError {
    path: PathBuf,
    source: io::Error,
}

/// The real paths of `roots`, free of symbolic links, as the driver will name the job's folders.
///
/// # Errors
///
/// When one of them is not a folder that can be found.
pub fn real_roots(roots: &[PathBuf]) -> Result<Vec<PathBuf>, RootError> {
    let real = |path: &PathBuf| {
        let error = |source| RootError { path: path.clone(), source };
        let real = std::fs::canonicalize(path).map_err(error)?;
        if real.is_dir() { Ok(real) } else { Err(error(io::ErrorKind::NotADirectory.into())) }
    };
    roots.iter().map(real).collect()
}

/// Whether `path` is below one of `roots`. By its name alone: where it leads is checked when it is
/// opened, see [`store::Roots`].
pub(crate) fn is_below(roots: &[PathBuf], path: &Path) -> bool {
    roots.iter().any(|root| store::below(root, path).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_outside_the_roots_are_told_apart() {
        let roots = ["/data".into(), "/srv/a".into()];

        assert!(is_below(&roots, Path::new("/data/books/a.txt")));
        assert!(is_below(&roots, Path::new("/srv/a")));
        for outside in ["/", "/database/a", "/data/../etc/passwd", "/srv/ab", "data/a", "/srv"] {
            assert!(!is_below(&roots, Path::new(outside)), "{outside}");
        }
    }

    #[test]
    fn roots_are_resolved_to_real_paths() {
        let folder = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(folder.path()).unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();

        assert_eq!(real_roots(&[real.join("link")]).unwrap(), std::slice::from_ref(&real));
        assert!(real_roots(&[real.join("missing")]).is_err());
    }
}
