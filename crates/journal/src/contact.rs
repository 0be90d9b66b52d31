//! Where the driver of a folder can be called, beside its journal: `.mapmill/driver.json`.
//!
//! The file is for the user of the driver alone: it may hold the token. It is there while the
//! driver runs. A driver that was killed leaves it behind, which its lock and its claim tell.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{OwnerError, Sign, journal_file, layout, require_ownership};

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

/// Whether `files` holds the journal of a job.
pub fn holds_job(files: &Path) -> bool {
    files.join(layout::journal().as_str()).exists()
}

/// Whether a driver runs in `files`, on this machine or on another; `false` if that cannot be
/// determined. A driver of another machine that has given no sign of life in the last 10 s is
/// watched for 3 s, in which it would give one.
pub fn is_driven(files: &Path) -> bool {
    let look = || Sign::look(files).ok().flatten();
    let first = match look() {
        None => return false,
        Some(Sign::Locked) => return true,
        Some(claimed) => claimed,
    };
    if let Sign::Claimed { renewed, .. } = first
        // The clock of the file system's server may differ from ours.
        && renewed.elapsed().is_ok_and(|age| age < DEAD_AFTER)
    {
        return true;
    }
    let looks = (0..LOOKS).map(|_| {
        thread::sleep(LOOK_EVERY);
        look()
    });
    is_alive(first, looks)
}

/// Whether the driver whose claim was seen as `first` gives a sign of life in what is seen later.
fn is_alive(first: Sign, later: impl IntoIterator<Item = Option<Sign>>) -> bool {
    // `None`: it has ended.
    let changed = later.into_iter().find(|look| *look != Some(first));
    changed.flatten().is_some()
}

/// How long a driver's claim is not renewed before another driver may take over.
const DEAD_AFTER: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For 3 s: a driver renews its claim every 2 s, and a file system may show it late.
const LOOKS: u32 = 30;

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
    use std::time::SystemTime;

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

    /// The folder of a job whose driver, on another machine, gave its last sign of life at `beat`.
    fn driven_elsewhere(beat: SystemTime) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        store::Local::create(folder.path()).unwrap();
        let claim = folder.path().join(".mapmill/claims/4");
        fs::create_dir_all(&claim).unwrap();
        fs::write(claim.join("holder"), "host b\nprocess 7\nboot another\n").unwrap();
        fs::write(claim.join("beat-8"), "").unwrap();
        fs::File::open(&claim).unwrap().set_modified(beat).unwrap();
        (folder, claim)
    }

    #[test]
    fn folder_is_driven_from_another_machine_as_long_as_the_claim_is_renewed() {
        let (folder, claim) = driven_elsewhere(SystemTime::now());
        assert!(is_driven(folder.path()), "its claim was renewed just now");
        fs::rename(claim.join("beat-8"), claim.join("released")).unwrap();
        assert!(!is_driven(folder.path()), "its claim is released");
    }

    #[test]
    fn driver_of_another_machine_is_dead_when_its_claim_is_not_renewed() {
        let (folder, _) = driven_elsewhere(SystemTime::now() - Duration::from_secs(3600));
        assert!(!is_driven(folder.path()));
    }

    /// The clock of the file system's server may be wrong: no time is compared.
    #[test]
    fn driver_of_another_machine_is_alive_when_its_claim_is_renewed() {
        let claimed = |epoch, beat| {
            let renewed = SystemTime::UNIX_EPOCH;
            Sign::Claimed { epoch, beat: Some(store::Beat(beat)), renewed }
        };
        let first = claimed(4, 8);
        assert!(is_alive(first, [Some(first), Some(claimed(4, 9)), None]));
        assert!(is_alive(first, [Some(claimed(5, 0))]), "another has taken over");
        assert!(is_alive(first, [Some(first), Some(Sign::Locked)]));
        assert!(!is_alive(first, [Some(first), None]), "it has released its claim");
        assert!(!is_alive(first, [Some(first); 30]));
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
