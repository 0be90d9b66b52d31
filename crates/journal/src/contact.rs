//! Where the driver of a folder can be called, beside its journal: `.mapmill/driver.json`.
//!
//! The file is for the user of the driver alone: it may hold the token. It is there while the
//! driver runs. A driver that was killed leaves it behind, which its lock tells.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::{FolderLock, OwnerError, journal_file, layout, require_ownership};

/// How to call a driver.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contact {
    /// `HOST:PORT`.
    pub address: String,
    /// The name of the driver's machine.
    pub host: String,
    /// Whether connections need TLS. A caller then has a certificate, and the token is not here.
    pub tls: bool,
    /// What every call must present, if anything.
    pub token: Option<String>,
}

/// Hides the token: it must never reach a log.
impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The file of a running driver, which is removed when this is dropped.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
    text: Vec<u8>,
}

/// Writes how to call the driver of `files`, which holds the folder's lock.
///
/// # Errors
///
/// Errors of the system.
pub fn announce(files: &Path, contact: &Contact) -> io::Result<Announcement> {
    let path = path(files);
    // From the moment at which it has its name it is whole, and no other user can read it.
    let new = path.with_extension("new");
    let text = serde_json::to_vec(contact)?;
    let written = journal_file::create(&new)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| journal_file::rename(&new, &path));
    if written.is_err() {
        // Half a file takes space that other files need.
        let _ = journal_file::remove(&new);
    }
    written.map(|()| Announcement { path, text })
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // A driver that has taken over has put its own there. A file that stays is as that of a
        // driver that was killed.
        if journal_file::read(&self.path).is_ok_and(|text| text == self.text) {
            let _ = journal_file::remove(&self.path);
        }
    }
}

/// How to call the driver of `files`; `None` if no driver has announced itself.
///
/// # Errors
///
/// When another user could have written it; errors of the system.
pub fn contact(files: &Path) -> Result<Option<Contact>, ContactError> {
    // A caller sends its token where the file says.
    require_ownership(files).map_err(ContactError::Owner)?;
    let path = path(files);
    let text = match journal_file::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text,
    };
    let parsed = text.and_then(|text| Ok(serde_json::from_slice(&text)?));
    parsed.map(Some).map_err(|source| ContactError::Read { path, source })
}

/// Whether a driver runs in `files`, if it can be told: on another machine it may not be.
pub fn is_driven(files: &Path) -> bool {
    FolderLock::is_held(files)
}

/// It is not known how to call a driver.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// Another user may have written it.
    #[error(transparent)]
    Owner(OwnerError),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn path(files: &Path) -> PathBuf {
    files.join(layout::driver().as_str())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_contact_is_read_while_its_driver_runs_by_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path();
        store::Local::create(files).unwrap();
        assert_eq!(contact(files).unwrap(), None);
        let token = Some("secret".to_owned());
        let written =
            Contact { address: "a:1".to_owned(), host: "h".to_owned(), tls: false, token };
        assert!(!format!("{written:?}").contains("secret"));

        // What a driver that was killed has left is replaced.
        let path = path(files);
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(contact(files).is_err());
        let announcement = announce(files, &written).unwrap();
        assert_eq!(contact(files).unwrap(), Some(written));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(announcement);
        assert_eq!(contact(files).unwrap(), None);
    }

    #[test]
    fn a_contact_that_another_user_may_have_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        store::Local::create(folder.path()).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = contact(folder.path());
        assert!(matches!(refused, Err(ContactError::Owner(_))), "{refused:?}");
    }
}
