//! A folder that is held open, from which everything below it is opened.
//!
//! A path from a peer must not lead out of a folder: not by `..`, not by a symbolic link, and not
//! by a link that replaces a folder between a check and the opening (TOCTOU). So no path is checked
//! first and opened later. The folder is held open, and the kernel resolves the path below it in
//! one step (`openat2`), which fails at everything that leads above (`RESOLVE_BENEATH`) and at
//! every link (`RESOLVE_NO_SYMLINKS`, `RESOLVE_NO_MAGICLINKS`). It fails at links that stay inside
//! as well: the paths of a job are real paths, so a link on the way appeared after they were
//! resolved.
//!
//! Linux before 5.6, some sandboxes and other systems have no `openat2`. There the path is opened
//! step by step: each component relative to the one before, as a folder and not through a link.
//!
//! # Invariants
//!
//! * [`Anchor::open_at`] is the only way down. Every other operation is on one name in a folder
//!   that is held open ([`Entry`]), and never follows a link that has this name.
//! * Opening never waits (`O_NONBLOCK`: a FIFO without a writer), makes nothing our terminal
//!   (`O_NOCTTY`) and is not inherited (`O_CLOEXEC`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

/// A folder that is held open.
#[derive(Debug)]
pub(crate) struct Anchor {
    handle: OwnedFd,
    /// Whether to open component by component, without `openat2`.
    stepwise: bool,
}

impl Anchor {
    /// The folder at `path`, wherever links lead: the user names it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self { handle, stepwise: cfg!(not(target_os = "linux")) })
    }

    /// The folder at `path`, which is absolute and has no link in it.
    pub(crate) fn open_real(path: &Path) -> io::Result<Self> {
        let top = Path::new("/");
        let below = path.strip_prefix(top).map_err(|_| io::Error::from(Errno::INVAL))?;
        Self::open(top)?.folder(below)
    }

    /// The folder `below` this one.
    pub(crate) fn folder(&self, below: impl AsRef<Path>) -> io::Result<Self> {
        let handle = self.open_at(below.as_ref(), FOLDER, Mode::empty())?;
        Ok(Self { handle, stepwise: self.stepwise })
    }

    /// Open the file `below` this folder to read it. The caller checks whether it is a regular
    /// file; opening did not wait if it is not.
    pub(crate) fn open_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        Ok(self.open_at(below.as_ref(), OFlags::RDONLY | CAREFUL, Mode::empty())?.into())
    }

    /// Open the file `below` this folder again, to append to it.
    pub(crate) fn reopen_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let append = OFlags::WRONLY | OFlags::APPEND;
        Ok(self.open_at(below.as_ref(), append | CAREFUL, Mode::empty())?.into())
    }

    /// Create the file `below` this folder. If anything is there already, also a link, it fails.
    ///
    /// The process's umask decides which users can read it, as with all files of a process: it is
    /// to be published, and until then is in a folder that no other user can enter. Whatever the
    /// umask, none can write it.
    pub(crate) fn create_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let create = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        Ok(self.open_at(below.as_ref(), create | CAREFUL, Mode::from_raw_mode(0o644))?.into())
    }

    /// Open the file `below` this folder to read and write it, or create it for us alone.
    pub(crate) fn open_or_create(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let both = OFlags::RDWR | OFlags::CREATE;
        Ok(self.open_at(below.as_ref(), both | CAREFUL, Mode::from_raw_mode(0o600))?.into())
    }

    /// As [`create_file`](Self::create_file), for us alone.
    pub(crate) fn create_private_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        Ok(self.open_at(below.as_ref(), create | CAREFUL, Mode::from_raw_mode(0o600))?.into())
    }

    /// Owner, mode and other metadata of this folder.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.handle)?)
    }

    /// Close this folder to all other users.
    pub(crate) fn make_private(&self) -> io::Result<()> {
        // The handle may be good only for opening what is below (`O_PATH`).
        let folder = self.open_at(Path::new(""), LISTED, Mode::empty())?;
        Ok(fchmod(folder, Mode::from_raw_mode(0o700))?)
    }

    /// The names in the folder `below` this one, sorted bytewise.
    pub(crate) fn list(&self, below: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        names(self.open_at(below.as_ref(), LISTED, Mode::empty())?)
    }

    /// As [`list`](Self::list), each name with its type; links are not followed. Some file systems
    /// do not report types: there it is [`FileType::Unknown`].
    pub(crate) fn list_kinds(
        &self,
        below: impl AsRef<Path>,
    ) -> io::Result<Vec<(OsString, FileType)>> {
        names_and_kinds(self.open_at(below.as_ref(), LISTED, Mode::empty())?)
    }

    /// Make the names in the folder `below` this one durable.
    pub(crate) fn sync(&self, below: impl AsRef<Path>) -> io::Result<()> {
        File::from(self.open_at(below.as_ref(), LISTED, Mode::empty())?).sync_all()
    }

    /// A name in a folder below this one, whether there is a file of this name or not.
    pub(crate) fn entry<'path>(&self, below: &'path Path) -> io::Result<Entry<'path>> {
        let name = below.file_name().ok_or(Errno::INVAL)?;
        let folder = below.parent().unwrap_or(Path::new(""));
        Ok(Entry { folder: self.open_at(folder, FOLDER, Mode::empty())?, name })
    }

    /// As on a system without `openat2`.
    #[cfg(test)]
    pub(crate) fn without_openat2(self) -> Self {
        Self { stepwise: true, ..self }
    }

    fn open_at(&self, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        #[cfg(target_os = "linux")]
        if !self.stepwise {
            use rustix::fs::{ResolveFlags, openat2};
            let beneath = ResolveFlags::BENEATH;
            let resolve = beneath | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.handle, below, flags, mode, resolve) {
                // No such call, or not allowed: some sandboxes answer so to calls that they do not
                // know. If the file is not allowed, opening step by step fails as well. Or `..` and
                // a rename at the same time; step by step there is no `..`.
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
                answer => return Ok(answer?),
            }
        }
        open_stepwise(&self.handle, below, flags, mode)
    }
}

/// Opens what is `below` a folder, one component after the other.
fn open_stepwise(top: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut components = Vec::new();
    for component in below.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => components.push(name),
            Component::ParentDir | Component::Prefix(_) | Component::RootDir => {
                return Err(Errno::XDEV.into());
            }
        }
    }
    let (last, folders) = match components.split_last() {
        Some((last, folders)) => (*last, folders),
        None => (OsStr::new("."), &[][..]),
    };
    let mut held = None;
    for name in folders {
        let folder = open_component(held.as_ref().unwrap_or(top), name, FOLDER, Mode::empty())?;
        held = Some(folder);
    }
    open_component(held.as_ref().unwrap_or(top), last, flags, mode)
}

fn open_component(
    folder: &OwnedFd,
    name: &OsStr,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    match openat(folder, name, flags | OFlags::NOFOLLOW, mode) {
        // The error for a link in place of a folder. `openat2` reports a link.
        Err(Errno::NOTDIR) if is_link(folder, name) => Err(Errno::LOOP.into()),
        answer => Ok(answer?),
    }
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let seen = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    seen.is_ok_and(|seen| kind(&seen) == FileType::Symlink)
}

/// A name in a folder that is held open.
#[derive(Debug)]
pub(crate) struct Entry<'path> {
    folder: OwnedFd,
    name: &'path OsStr,
}

impl Entry<'_> {
    pub(crate) fn name(&self) -> &OsStr {
        self.name
    }

    /// The file of this name, if there is one; of a link, the link itself.
    pub(crate) fn look(&self) -> io::Result<Option<Stat>> {
        match statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            answer => Ok(Some(answer?)),
        }
    }

    /// As [`Anchor::open_file`].
    pub(crate) fn open_file(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | CAREFUL;
        Ok(openat(&self.folder, self.name, flags, Mode::empty())?.into())
    }

    /// Create a folder of this name.
    pub(crate) fn create_folder(&self, mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.folder, self.name, Mode::from_raw_mode(mode))?)
    }

    /// Rename the file of this name to `to`, in place of the file of that name, even if it is a
    /// link.
    pub(crate) fn rename(&self, to: &Entry<'_>) -> io::Result<()> {
        Ok(renameat(&self.folder, self.name, &to.folder, to.name)?)
    }

    /// As [`rename`](Self::rename), to another name in the same folder.
    pub(crate) fn rename_here(&self, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.folder, self.name, &self.folder, to)?)
    }

    /// Remove the file, or the link, of this name.
    pub(crate) fn remove_file(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, self.name, AtFlags::empty())?)
    }

    /// Remove the empty folder of this name.
    pub(crate) fn remove_folder(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, self.name, AtFlags::REMOVEDIR)?)
    }

    /// Remove the file or folder `name` in this folder, with everything in it.
    pub(crate) fn remove_tree(&self, name: &OsStr) -> io::Result<()> {
        remove_tree_in(&self.folder, name, DEPTH_MAX)
    }
}

fn remove_tree_in(folder: &OwnedFd, name: &OsStr, depth: u32) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        // It is a folder: Linux has an error of its own for that, POSIX has not.
        Err(refusal @ (Errno::ISDIR | Errno::PERM)) => {
            let inside = match openat(folder, name, LISTED | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(refusal.into()),
                answer => answer?,
            };
            let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
            for name in names(inside.try_clone()?)? {
                match remove_tree_in(&inside, &name, depth) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    answer => answer?,
                }
            }
            Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        }
        answer => Ok(answer?),
    }
}

/// Open the file at `path` to read it, wherever links lead: the user names it.
pub(crate) fn open_anywhere(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | CAREFUL.difference(OFlags::NOFOLLOW);
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}

fn names(folder: OwnedFd) -> io::Result<Vec<OsString>> {
    Ok(names_and_kinds(folder)?.into_iter().map(|(name, _)| name).collect())
}

fn names_and_kinds(folder: OwnedFd) -> io::Result<Vec<(OsString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::new(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push((name, entry.file_type()));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

/// The kind of a file.
pub(crate) fn kind(seen: &Stat) -> FileType {
    FileType::from_raw_mode(seen.st_mode)
}

/// Whether opening failed because of a link.
pub(crate) fn is_met_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Flags for opening what may be a FIFO, a device, or a link.
const CAREFUL: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// To open what is below: that needs no permission to read the folder.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = LISTED;

/// To read the names in a folder.
const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How deep a removed tree may be nested. Ours is two levels deep; more would cost stack.
const DEPTH_MAX: u32 = 64;

#[cfg(test)]
mod tests;
