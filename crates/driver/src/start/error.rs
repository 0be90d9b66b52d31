//! Why a job cannot start.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use journal::{DiskFault, JournalError};
use store::{InputError, LockError, OwnerError, StoreError};

/// The job could not start. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The results folder cannot be looked at or written.
    #[error("cannot use {} for the results", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The results folder is a file.
    #[error("{} is a file, where the results need a folder", path.display())]
    FilesIsAFile {
        /// The path.
        path: PathBuf,
    },
    /// The results folder holds something that is not ours.
    #[error("{} is not a result of mapmill{}", path.display(), and_more(*others))]
    Foreign {
        /// The first such file.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// The results folder, or one in it, can be changed by somebody who is not us.
    #[error("{0}; {hint}", hint = owner_hint(.0))]
    FilesNotOurs(OwnerError),
    /// An input is not there or cannot be read.
    #[error(transparent)]
    Input(UnusableInput),
    /// An input is in the folder that receives the results.
    #[error("input {} is in the results folder {}", input.display(), files.display())]
    InputInFiles {
        /// The input.
        input: PathBuf,
        /// The results folder.
        files: PathBuf,
    },
    /// The journal of an earlier job cannot be read, or a new one not be written.
    #[error("cannot begin the journal")]
    Journal(#[source] JournalError),
    /// The results folder cannot be locked.
    #[error("cannot lock the results folder")]
    Lock(#[source] LockError),
    /// Another driver uses the results folder.
    #[error("cannot lock the results folder")]
    Locked(#[source] LockError),
    /// The address is reachable by others, and nothing protects it.
    #[error(
        "{address} can be reached from other machines, which could read everything and take part"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system has no random numbers.
    #[error("no random numbers from the operating system")]
    Randomness(#[source] getrandom::Error),
    /// The host to listen on is not known.
    #[error("`{address}` does not resolve to an address")]
    Resolve {
        /// What was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Too many map tasks, or reduce tasks.
    #[error("{given} {kind} tasks are too many; at most {max} are possible")]
    TooManyTasks {
        /// Which.
        kind: &'static str,
        /// How many were asked for.
        given: u32,
        /// How many may be.
        max: u32,
    },
    /// Too many intermediates.
    #[error(
        "{map_tasks} map tasks times {reduce_tasks} reduce tasks make more than {} intermediates",
        rpc::limits::INTERMEDIATES_MAX
    )]
    TooManyIntermediates {
        /// `N`.
        map_tasks: u32,
        /// `M`.
        reduce_tasks: u32,
    },
    /// The description of one map task would be larger than a message may be.
    #[error(
        "map task {task} would read too many files: their names take {bytes} bytes, and a task has room for {}",
        rpc::limits::RESPONSE_BYTES_MAX
    )]
    TaskTooLarge {
        /// The task.
        task: u32,
        /// The size of its description.
        bytes: usize,
    },
}

impl StartError {
    /// What was wrong with the disk, if it was that and the message does not say what to do.
    pub fn disk(&self) -> Option<DiskFault> {
        if let Self::Files { source: StoreError::Full { .. }, .. } = self {
            Some(DiskFault::Full)
        } else if let Self::Journal(error) = self {
            error.disk()
        } else {
            None
        }
    }
}

fn owner_hint(error: &OwnerError) -> &'static str {
    match error {
        OwnerError::WorldWritable { .. } => "close it with `chmod o-w`",
        OwnerError::Foreign { .. } | OwnerError::Unreadable(_) => "run the driver as that user",
    }
}

pub(super) fn lock_error(error: LockError) -> StartError {
    match error {
        LockError::Held { .. } => StartError::Locked(error),
        LockError::Io { .. } => StartError::Lock(error),
    }
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

/// An input that no job can be made of. Says what is wrong with it, and the way out.
#[derive(Debug)]
pub struct UnusableInput(InputError);

impl UnusableInput {
    fn way_out(&self) -> &'static str {
        match &self.0 {
            InputError::Dangling { .. } => "; repair the link, or remove it",
            InputError::Missing { .. } => "; name the files and folders to read",
            InputError::NoFiles { .. } => {
                " (hidden files are skipped); name the files and folders to read"
            }
            InputError::NotAFile { .. } => "; save what it gives in a file, or leave it out",
            InputError::Unreadable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                " (allow reading it, or leave it out)"
            }
            InputError::Unreadable { .. } => " (repair it, or leave it out)",
            // Only later, when its content is read; and below its roots by a worker.
            InputError::Changed { .. }
            | InputError::Linked { .. }
            | InputError::OutsideRoots { .. }
            | InputError::Read { .. } => "",
        }
    }
}

impl fmt::Display for UnusableInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.way_out())
    }
}

impl Error for UnusableInput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

pub(crate) fn unusable_input(error: InputError) -> StartError {
    StartError::Input(UnusableInput(error))
}
