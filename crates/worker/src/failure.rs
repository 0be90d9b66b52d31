//! Why an attempt stops before its end, and how errors of the store are reported.

use std::io;
use std::path::{Path, PathBuf};

use rpc::message::{Failure, Users};
use store::{InputError, StoreError};

/// Why an attempt stopped before its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Interrupted {
    /// The driver no longer needs it.
    Abandoned,
    /// It cannot be done here.
    Failed(Failure),
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The failure that an error about an input is reported as.
pub(crate) fn input_failure(error: InputError) -> Failure {
    let unreadable =
        |path: &Path, operation: String, source: &io::Error| Failure::InputUnreadable {
            path: path.to_owned(),
            operation,
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
            users: users(path, source),
        };
    match error {
        InputError::Changed { path, then_bytes, now_bytes } => {
            Failure::InputChanged { path, then_bytes, now_bytes }
        }
        InputError::Dangling { path, .. } | InputError::Missing { path } => {
            Failure::InputMissing { path }
        }
        InputError::Linked { path } => Failure::InputUnreadable {
            path,
            operation: "open".to_owned(),
            os_error: 0,
            detail: BEHIND_A_LINK.to_owned(),
            users: None,
        },
        InputError::NoFiles { .. }
        | InputError::Oversized { .. }
        | InputError::StreamTwice { .. } => {
            unreachable!("a worker opens files, it does not list them")
        }
        InputError::NotAFile { path, kind } => Failure::InputUnreadable {
            path,
            operation: "read".to_owned(),
            os_error: 0,
            detail: format!("it has become {kind}"),
            users: None,
        },
        InputError::OutsideRoots { path } => Failure::OutsideRoots { folder: path },
        InputError::Read { path, offset, source } => {
            unreadable(&path, format!("read byte {offset} of"), &source)
        }
        InputError::Unreadable { path, source } => unreadable(&path, "open".to_owned(), &source),
    }
}

/// The failure that an error about an object of the job is reported as.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Full { place, source, .. } => Failure::DiskFull {
            path: place,
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
        },
        StoreError::Refused { operation, place, source } => Failure::Io {
            users: users(&place, &source),
            path: place,
            operation: operation.to_string(),
            os_error: source.raw_os_error().unwrap_or(0),
            detail: source.to_string(),
        },
        StoreError::Begun { ref name }
        | StoreError::Gone { ref name }
        | StoreError::Lost { ref name, .. } => Failure::StagingDamaged {
            path: PathBuf::from(name.as_str()),
            detail: error.to_string(),
        },
        StoreError::Tampered { place, found } => {
            Failure::Tampered { path: place, detail: format!("it {found}") }
        }
        StoreError::OutsideRoots { place } => Failure::OutsideRoots { folder: place },
    }
}

/// Which users are behind a refusal, if it is one of permissions.
fn users(path: &Path, source: &io::Error) -> Option<Users> {
    let users = (source.kind() == io::ErrorKind::PermissionDenied).then(|| store::Users::of(path));
    users.flatten().map(|store::Users { ours, owner }| Users { worker: ours, owner })
}

/// A driver names real paths: this one has changed since, or leads elsewhere on this machine.
pub(crate) const BEHIND_A_LINK: &str =
    "there is a symbolic link on the way, and links are not followed";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use store::Operation;

    use super::*;

    /// A file that a process creates belongs to it, so the test may run as any user.
    #[test]
    fn users_are_named_where_permission_is_denied_and_only_there() {
        const EACCES: i32 = 13;
        const EPERM: i32 = 1;
        const EIO: i32 = 5;
        let folder = tempfile::tempdir().unwrap();
        let us = folder.path().metadata().unwrap().uid();
        let theirs = Path::new("/").metadata().unwrap().uid();
        let ours = folder.path().canonicalize().unwrap().join("missing/out-0");
        for (path, owner) in [(ours, us), ("/missing".into(), theirs)] {
            for (code, denied) in [(EACCES, true), (EPERM, true), (EIO, false)] {
                let (operation, source) = (Operation::Create, io::Error::from_raw_os_error(code));
                let refused = StoreError::Refused { operation, place: path.clone(), source };
                let source = io::Error::from_raw_os_error(code);
                let unreadable = InputError::Unreadable { path: path.clone(), source };
                let expected = denied.then_some(Users { worker: us, owner });
                assert_eq!(store_failure(refused).users(), expected, "{code}");
                assert_eq!(input_failure(unreadable).users(), expected, "{code}");
            }
        }
    }
}
