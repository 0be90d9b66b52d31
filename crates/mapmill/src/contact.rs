//! Finds the driver of a folder by the file that it has written there.

use std::fmt;
use std::path::{Path, PathBuf};

use rpc::{Addresses, Token};

use crate::messages::{Failure, SystemError};
use crate::shell::quoted;

/// How to call a driver.
pub(crate) struct Found {
    pub(crate) driver: Addresses,
    pub(crate) token: Option<Token>,
}

/// How to call the driver of `files`.
pub(crate) fn find(files: &Path) -> Result<Found, Failure> {
    let found = journal::contact(files).map_err(Failure::start)?;
    let none = || {
        let files = files.to_owned();
        if journal::is_driven(&files) {
            return Failure::output(Starting { files });
        }
        match journal::holds_job(&files) {
            true => Failure::output(NotRunning { files, driver: None }),
            false => Failure::output(NoJob { files }),
        }
    };
    let found = found.ok_or_else(none)?;
    // A driver that was killed has left the file. A program that listens there now is not called:
    // the token may be one that the user reuses.
    if found.host == driver::host_name() && !journal::is_driven(files) {
        return Err(not_running(files, &found.address.into()));
    }
    let token = found.token.map(|token| Token::parse(&token)).transpose();
    let token = token.map_err(|error| {
        Failure::start(SystemError::new(
            "use the token of the driver",
            std::io::Error::other(error),
        ))
    })?;
    Ok(Found { driver: found.address.into(), token })
}

/// The failure where the driver of `files` is gone.
pub(crate) fn not_running(files: &Path, driver: &Addresses) -> Failure {
    Failure::output(NotRunning { files: files.to_owned(), driver: Some(driver.clone()) })
}

/// A driver uses the folder, and does not listen yet.
#[derive(Debug)]
struct Starting {
    files: PathBuf,
}

impl fmt::Display for Starting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.display();
        write!(f, "the driver in {files} has not begun the job: it may still copy its input")
    }
}

impl std::error::Error for Starting {}

/// No driver runs in the folder.
#[derive(Debug)]
struct NotRunning {
    files: PathBuf,
    /// Where it was.
    driver: Option<Addresses>,
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = quoted(&self.files);
        match &self.driver {
            Some(driver) => write!(
                f,
                "no driver answers at {driver}; the job is not running; see mapmill why {files}"
            ),
            None => write!(f, "no driver runs in {files}; see mapmill why {files}"),
        }
    }
}

impl std::error::Error for NotRunning {}

/// The folder is not that of a job.
#[derive(Debug)]
struct NoJob {
    files: PathBuf,
}

impl fmt::Display for NoJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.display();
        match self.files.is_dir() {
            true => write!(
                f,
                "no driver runs in {files}, which holds no job; name the folder given to --files"
            ),
            false => write!(
                f,
                "there is no folder {files}; name the folder given to --files, or an address with \
                 --driver"
            ),
        }
    }
}

impl std::error::Error for NoJob {}
