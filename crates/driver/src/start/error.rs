//! Why a job cannot start.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use inputs::NotText;
use journal::{DiskFault, JournalError};
use store::{Holder, InputError, LockError, OwnerError, StoreError};

use crate::claim::{ClaimLost, TakeError, named};
use crate::recovery::Difference;

/// Why a job cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or belongs to another machine.
    #[error("cannot listen on {address}{}", of_name(.name.as_deref()))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// As the user wrote it, if it stands for several addresses.
        name: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// An input that can be read only once cannot be copied.
    #[error("cannot copy {input} into {}", files.display())]
    Copy {
        /// What messages call it.
        input: String,
        /// The results folder.
        files: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The results folder cannot be read or written.
    #[error("cannot use {} for the results", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The results folder is a file.
    #[error("{} is a file, but the results need a folder", path.display())]
    FilesIsAFile {
        /// The path.
        path: PathBuf,
    },
    /// The results folder holds files that are no results.
    #[error("{} is not a result of mapmill{}", path.display(), and_more(*others))]
    Foreign {
        /// The first such file.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// Another user can change the results folder, or a folder in it.
    #[error("{0}; {hint}", hint = owner_hint(.0))]
    FilesNotOurs(OwnerError),
    /// An input does not exist or cannot be read.
    #[error(transparent)]
    Input(UnusableInput),
    /// An input is in the results folder.
    #[error("input {} is in the results folder {}", input.display(), files.display())]
    InputInFiles {
        /// The input.
        input: PathBuf,
        /// The results folder.
        files: PathBuf,
    },
    /// A driver on another machine, or on another mount of the results folder, uses it.
    #[error("{} is in use by another driver{}", files.display(), named(.holder.as_ref()))]
    InUse {
        /// The results folder.
        files: PathBuf,
        /// The other driver, if its claim names it.
        holder: Option<Holder>,
    },
    /// The journal of an earlier job cannot be read, or a new one cannot be written.
    #[error("cannot begin the journal")]
    Journal(#[source] JournalError),
    /// The results folder cannot be locked.
    #[error("cannot lock the results folder")]
    Lock(#[source] LockError),
    /// Another driver uses the results folder.
    #[error("cannot lock the results folder")]
    Locked(#[source] LockError),
    /// Other machines can reach the address, and nothing protects it.
    #[error(
        "{address} can be reached from other machines, which could read everything and take part"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// An input is not text, or it is not clear which part of it is.
    #[error("{} {why}{}", input(path), and_more_inputs(*others))]
    NotText {
        /// The first such input; not absolute if it is a copy of standard input or of a FIFO.
        path: PathBuf,
        /// What it is.
        why: NotText,
        /// How many more there are.
        others: usize,
    },
    /// The results folder holds an unfinished job that differs from this one.
    #[error(
        "{} holds an unfinished job that differs from this one ({differences})",
        files.display()
    )]
    OtherJob {
        /// The results folder.
        files: PathBuf,
        /// How the jobs differ.
        differences: Differences,
    },
    /// The driver that this one stood by for has run another job.
    #[error("the other driver ran a job in {} that is not this one ({differences})", files.display())]
    OtherJobRan {
        /// The results folder.
        files: PathBuf,
        /// How the jobs differ.
        differences: Differences,
    },
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers")]
    Randomness(#[source] getrandom::Error),
    /// The host to listen on has no known address.
    #[error("`{address}` does not resolve to an address")]
    Resolve {
        /// As the user wrote it.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// An input that can be read only once is given to a standby.
    #[error("a standby cannot take over a job that reads {input}: it can be read only once")]
    StandbyStream {
        /// What messages call it.
        input: String,
    },
    /// The user interrupted the wait for another driver, or the copying of an input.
    #[error("interrupted")]
    Stopped,
    /// An input that can be read only once cannot be read.
    #[error("cannot read {input}")]
    Stream {
        /// What messages call it.
        input: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not start another thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// Too many map tasks, or too many reduce tasks.
    #[error("{given} {kind} tasks are too many; at most {max} are possible")]
    TooManyTasks {
        /// `map` or `reduce`.
        kind: &'static str,
        /// How many were asked for.
        given: u32,
        /// How many are allowed.
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
    /// The description of one map task does not fit in a message.
    #[error(
        "map task {task} would read too many files: their names take {bytes} bytes, and a message holds at most {}",
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
    /// What is wrong with the disk, if that is why the job cannot start.
    pub fn disk(&self) -> Option<DiskFault> {
        if let Self::Files { source: StoreError::Full { .. }, .. } = self {
            Some(DiskFault::Full)
        } else if let Self::Lock(LockError::Io { source, .. }) = self {
            store::is_full(source).then_some(DiskFault::Full)
        } else if let Self::Copy { source, .. } = self {
            store::is_full(source).then_some(DiskFault::Full)
        } else if let Self::Journal(error) = self {
            error.disk()
        } else {
            None
        }
    }
}

/// How two jobs differ; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Differences(pub Vec<Difference>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{difference}")?;
        }
        Ok(())
    }
}

fn owner_hint(error: &OwnerError) -> &'static str {
    match error {
        OwnerError::WorldWritable { .. } => "close it with `chmod o-w`",
        OwnerError::Foreign { .. } | OwnerError::Unreadable(_) => "run the driver as that user",
    }
}

fn of_name(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(", one of the addresses of `{name}`"))
}

pub(crate) fn claim_error(error: TakeError<StartError>, files: &Path) -> StartError {
    let files = files.to_owned();
    match error {
        TakeError::InUse(holder) => StartError::InUse { files, holder },
        TakeError::Stopped => StartError::Stopped,
        TakeError::Store(source) => StartError::Files { path: files, source },
        TakeError::Unwanted(error) => error,
    }
}

pub(super) fn lost_error(lost: ClaimLost, files: &Path) -> StartError {
    let holder = match lost {
        ClaimLost::TakenOver { by } => by,
        ClaimLost::NotRenewed { .. } | ClaimLost::Removed => None,
    };
    StartError::InUse { files: files.to_owned(), holder }
}

pub(super) fn lock_error(error: LockError) -> StartError {
    match error {
        LockError::Held { .. } => StartError::Locked(error),
        LockError::Io { .. } => StartError::Lock(error),
    }
}

fn input(path: &Path) -> String {
    let shown = path.display();
    if path.is_absolute() { format!("input {shown}") } else { shown.to_string() }
}

fn and_more_inputs(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (and 1 more input is not text)".to_owned(),
        others => format!(" (and {others} more inputs are not text)"),
    }
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

/// An input that no job can use. Its message says what is wrong and what the user can do.
#[derive(Debug)]
pub struct UnusableInput(InputError);

impl UnusableInput {
    /// Whether `path` was named, and does not exist.
    pub fn is_missing(&self, path: &Path) -> bool {
        matches!(&self.0, InputError::Missing { path: missing } if missing == path)
    }

    fn way_out(&self) -> &'static str {
        match &self.0 {
            InputError::Dangling { .. } => "; repair the link, or remove it",
            InputError::Missing { .. } => "; name the files and folders to read",
            InputError::NoFiles { filter: Some(_), .. } => {
                " (hidden files and results of jobs are skipped); name other files to match"
            }
            InputError::NoFiles { filter: None, .. } => {
                " (hidden files and results of jobs are skipped); name the files and folders to read"
            }
            InputError::NotAFile { .. } => "; save its output in a file, or leave it out",
            InputError::StreamTwice { .. } => "; name it once",
            InputError::Oversized { .. } => "; copy it to another file first, and name the copy",
            InputError::Unreadable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                " (allow reading it, or leave it out)"
            }
            InputError::Unreadable { .. } => " (repair it, or leave it out)",
            // Only while a job runs: when its content is read, and in a worker with roots.
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
