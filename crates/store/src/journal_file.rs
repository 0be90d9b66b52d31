//! The driver's own files, which are no objects: only the driver writes and renames them, in place.
//!
//! The path of such a file is the user's path of the store's folder, then names of ours. For
//! those no link is followed, and only a file that was created for it is opened to be written:
//! root may be working in a folder whose owner wants another file overwritten.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::anchor::Anchor;
use crate::layout::Folder;

/// All bytes of the file at `path`.
///
/// # Errors
///
/// `NotFound` if there is no such file; when it is not a regular file; errors of the system.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, length) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first `max` bytes of the file at `path`; all of a shorter one.
///
/// # Errors
///
/// As [`read`].
pub fn read_beginning(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last `max` bytes of the file at `path`; all of a shorter one.
///
/// # Errors
///
/// As [`read`].
pub fn read_end(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (mut file, length) = open(path)?;
    file.seek(SeekFrom::Start(length.saturating_sub(max)))?;
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Create an empty file at `path`, in place of what is there, if anything is.
///
/// # Errors
///
/// Errors of the system.
pub fn create(path: &Path) -> io::Result<File> {
    let (top, below) = split(path)?;
    match top.entry(&below)?.remove_file() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    top.create_private_file(below)
}

/// Rename the file at `from` to `to`, in place of what is there, if anything is.
///
/// # Errors
///
/// Errors of the system.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let ((from_top, from), (to_top, to)) = (split(from)?, split(to)?);
    from_top.entry(&from)?.rename(&to_top.entry(&to)?)
}

/// Remove the file at `path`.
///
/// # Errors
///
/// `NotFound` if there is no such file; errors of the system.
pub fn remove(path: &Path) -> io::Result<()> {
    let (top, below) = split(path)?;
    top.entry(&below)?.remove_file()
}

/// Make the names in the folder at `path` survive a power failure.
///
/// # Errors
///
/// Errors of the system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let (top, below) = split(path)?;
    top.sync(below)
}

/// The regular file at `path`, and its length.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let (top, below) = split(path)?;
    let file = top.open_file(below)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// The folder of the store, held open, and the names below it.
fn split(path: &Path) -> io::Result<(Anchor, PathBuf)> {
    let no_file = || io::Error::from(io::ErrorKind::InvalidInput);
    let hidden = |folder: &&Path| folder.ends_with(Folder::Hidden.as_str());
    // Outside of `.mapmill`, the last two names.
    let folder = path.ancestors().skip(1).find(hidden).or(path.parent()).ok_or_else(no_file)?;
    let top = folder.parent().unwrap_or(folder);
    let below = path.strip_prefix(top).map_err(|_| no_file())?.to_owned();
    below.file_name().ok_or_else(no_file)?;
    let top = if top.as_os_str().is_empty() { Path::new(".") } else { top };
    Ok((Anchor::open(top)?, below))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_created_anew_read_renamed_and_removed() {
        let (_folder, path) = new_path();
        let other = path.with_file_name("other");
        for text in ["one", "two"] {
            create(&path).unwrap().write_all(text.as_bytes()).unwrap();
            assert_eq!(read(&path).unwrap(), text.as_bytes());
            assert_eq!(read_end(&path, 9).unwrap(), text.as_bytes());
            assert_eq!(read_end(&path, 2).unwrap(), &text.as_bytes()[1..]);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        sync_folder(path.parent().unwrap()).unwrap();
        rename(&path, &other).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        remove(&other).unwrap();
        assert_eq!(remove(&other).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_in_the_place_of_a_file_are_replaced_and_never_followed() {
        let (folder, path) = new_path();
        let victim = folder.path().join("victim");
        fs::write(&victim, "years of work").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(read(&path).is_err());
        drop(create(&path).unwrap());
        assert!(fs::symlink_metadata(&path).unwrap().is_file());

        // A hard link to a file of another user.
        fs::remove_file(&path).unwrap();
        fs::hard_link(&victim, &path).unwrap();
        create(&path).unwrap().write_all(b"ours").unwrap();
        let other = path.with_file_name("other");
        symlink(&victim, &other).unwrap();
        rename(&path, &other).unwrap();
        assert_eq!(read(&other).unwrap(), b"ours");
        assert_eq!(fs::read(&victim).unwrap(), b"years of work");
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let (folder, path) = new_path();
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(path.parent().unwrap(), &elsewhere).unwrap();
        symlink(&elsewhere, path.parent().unwrap()).unwrap();
        fs::write(elsewhere.join("file"), "years of work").unwrap();

        assert!(read(&path).is_err() && create(&path).is_err() && remove(&path).is_err());
        assert!(rename(&path, &path.with_file_name("other")).is_err());
        assert!(sync_folder(path.parent().unwrap()).is_err());
        assert_eq!(fs::read(elsewhere.join("file")).unwrap(), b"years of work");
        // The user's path of the store's folder may be a link.
        symlink(folder.path(), folder.path().join("link")).unwrap();
        assert_eq!(read(&folder.path().join("link/elsewhere/file")).unwrap(), b"years of work");
    }

    fn new_path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("the disk has space for a folder");
        fs::create_dir(folder.path().join("own")).expect("its parent is new");
        let path = folder.path().join("own/file");
        (folder, path)
    }
}
