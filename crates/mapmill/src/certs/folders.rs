//! Folders with keys: made whole or not at all, and accessible to their owner only.
//!
//! Independent of the umask: a file gets its permissions as it is created, before there is a
//! secret in it, and a folder before there is a file in it; new folders are filled in a hidden one
//! beside them and then renamed. An existing file is never opened for writing.

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rpc::certs::{Authority, AuthorityError, CERTIFICATE_FILE, KEY_FILE, Pair};

use crate::way_out::{self, WayOut};

/// A folder to create.
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) contents: Vec<Content>,
}

/// A file in it.
pub(super) struct Content {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) access: Access,
}

/// Which users may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Public,
    Owner,
}

/// The command that creates folders: it decides on the advice when one already exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Init,
    Issue,
}

/// Creates `folders` in `parent`, and `parent` if it is missing: all of them, or nothing.
pub(super) fn make(parent: &Path, folders: &[Folder], purpose: Purpose) -> Result<(), FolderError> {
    for Folder { name, .. } in folders {
        let path = parent.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(FolderError::Exists { path, purpose });
        }
    }
    let is_new = !parent.exists();
    make_parent(parent)?;
    let hidden = parent.join(format!(".new-{}", std::process::id()));
    let made = fill(&hidden, folders).and_then(|()| publish(&hidden, parent, folders, purpose));
    // After success or failure: none of it may stay.
    let _ = fs::remove_dir_all(&hidden);
    if made.is_err() && is_new {
        // Only if it is empty.
        let _ = fs::remove_dir(parent);
    }
    made
}

/// Creates a file that only its owner can read.
pub(super) fn make_file(path: &Path, text: &str) -> Result<(), FolderError> {
    write_new(path, text, Access::Owner).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return FolderError::FileExists { path: path.to_owned() };
        }
        FolderError::io("write", path)(source)
    })
}

/// The authority in the folder `name` in `parent`, if no other user can have read its key.
pub(super) fn authority(
    parent: &Path,
    name: &str,
    now: SystemTime,
) -> Result<Authority, FolderError> {
    let folder = parent.join(name);
    let path = folder.join(KEY_FILE);
    let mut key = File::open(&path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            return FolderError::NoAuthority { parent: parent.to_owned() };
        }
        FolderError::io("read", &path)(source)
    })?;
    let metadata = key.metadata().map_err(FolderError::io("read", &path))?;
    if let Some(mode) = rpc::too_open(&metadata) {
        return Err(FolderError::Open { path, mode, chmod: "600" });
    }
    let mut key_pem = String::new();
    key.read_to_string(&mut key_pem).map_err(FolderError::io("read", &path))?;
    let path = folder.join(CERTIFICATE_FILE);
    let certificate_pem = fs::read_to_string(&path).map_err(FolderError::io("read", &path))?;
    let pair = Pair { certificate_pem, key_pem };
    Authority::load(pair, now).map_err(|source| FolderError::Authority { path: folder, source })
}

/// Creates `path`, or checks that no other user could replace what is in it.
fn make_parent(path: &Path) -> Result<(), FolderError> {
    if let Ok(metadata) = path.metadata() {
        let mode = metadata.permissions().mode() & 0o7777;
        if !metadata.is_dir() {
            return Err(FolderError::NoFolder { path: path.to_owned() });
        }
        if mode & 0o022 != 0 {
            return Err(FolderError::Open { path: path.to_owned(), mode, chmod: "go-w" });
        }
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above).map_err(FolderError::io("create", above))?;
    }
    make_private(path)
}

/// Creates a folder that only its owner can enter.
fn make_private(path: &Path) -> Result<(), FolderError> {
    DirBuilder::new().mode(0o700).create(path).map_err(FolderError::io("create", path))?;
    // The umask may have removed permissions that the owner needs.
    let permissions = Permissions::from_mode(0o700);
    fs::set_permissions(path, permissions).map_err(FolderError::io("create", path))
}

/// Creates `folders` in `hidden`, and syncs all of it.
fn fill(hidden: &Path, folders: &[Folder]) -> Result<(), FolderError> {
    make_private(hidden)?;
    for Folder { name, contents } in folders {
        let folder = hidden.join(name);
        make_private(&folder)?;
        for Content { name, text, access } in contents {
            let path = folder.join(name);
            write_new(&path, text, *access).map_err(FolderError::io("write", &path))?;
        }
        sync(&folder)?;
    }
    Ok(())
}

/// Moves the folders in `hidden` to their place in `parent`, or removes them all again.
fn publish(
    hidden: &Path,
    parent: &Path,
    folders: &[Folder],
    purpose: Purpose,
) -> Result<(), FolderError> {
    for (index, Folder { name, .. }) in folders.iter().enumerate() {
        let path = parent.join(name);
        // A folder replaces only an empty folder.
        if let Err(source) = fs::rename(hidden.join(name), &path) {
            for Folder { name, .. } in &folders[..index] {
                let _ = fs::remove_dir_all(parent.join(name));
            }
            let occupied = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotADirectory];
            if occupied.contains(&source.kind()) {
                return Err(FolderError::Exists { path, purpose });
            }
            return Err(FolderError::io("create", &path)(source));
        }
    }
    sync(parent)
}

fn write_new(path: &Path, text: &str, access: Access) -> io::Result<()> {
    let mode = match access {
        Access::Public => 0o644,
        Access::Owner => 0o600,
    };
    // No key is written through a planted link: it counts as existing even if its target does not.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // The file is new, and half a key is worse than none.
        let _ = fs::remove_file(path);
    }
    written
}

fn sync(folder: &Path) -> Result<(), FolderError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FolderError::io("sync", folder))
}

/// Keys could not be created or used.
#[derive(Debug)]
pub(super) enum FolderError {
    Authority { path: PathBuf, source: AuthorityError },
    Exists { path: PathBuf, purpose: Purpose },
    FileExists { path: PathBuf },
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    NoAuthority { parent: PathBuf },
    NoFolder { path: PathBuf },
    Open { path: PathBuf, mode: u32, chmod: &'static str },
}

impl FolderError {
    pub(super) fn way_out(&self) -> WayOut {
        match self {
            Self::Authority { source, .. } => way_out::of_authority(source),
            Self::Exists { .. }
            | Self::FileExists { .. }
            | Self::Io { .. }
            | Self::NoAuthority { .. }
            | Self::NoFolder { .. }
            | Self::Open { .. } => None,
        }
    }

    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::Exists { path, purpose } => {
                let way_out = match purpose {
                    Purpose::Init => {
                        "name another folder, or create more credentials with: mapmill certs issue"
                    }
                    Purpose::Issue => "choose another --name",
                };
                let path = path.display();
                write!(f, "{path} already exists, and is not overwritten: {way_out}")
            }
            Self::FileExists { path } => {
                let path = path.display();
                write!(f, "{path} already exists, and is not overwritten: name another file")
            }
            Self::Io { operation, path, .. } => write!(f, "cannot {operation} {}", path.display()),
            Self::NoAuthority { parent } => {
                let parent = parent.display();
                write!(
                    f,
                    "there is no authority in {parent}; create one with: mapmill certs init \
                     {parent}"
                )
            }
            Self::NoFolder { path } => {
                write!(f, "{} is a file; expected a folder", path.display())
            }
            Self::Open { path, mode, chmod } => {
                let path = path.display();
                let (what, or) = match *chmod {
                    "600" => ("read", " (640 if root owns it)"),
                    _ => ("changed", ""),
                };
                write!(
                    f,
                    "{path} can be {what} by other users (mode {mode:04o}); restrict it with: \
                     chmod {chmod} {path}{or}"
                )
            }
        }
    }
}

impl Error for FolderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Authority { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::Exists { .. }
            | Self::FileExists { .. }
            | Self::NoAuthority { .. }
            | Self::NoFolder { .. }
            | Self::Open { .. } => None,
        }
    }
}
