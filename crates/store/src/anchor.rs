//! A folder that is held open, and everything below it reached from there.
//!
//! A path that somebody else names must not lead out of a folder: not by `..`, not by a symbolic
//! link, and not by one that takes a folder's place between a look and the opening. So nothing is
//! looked at by its path and opened later. The folder is held, and the kernel goes down from it in
//! one step (`openat2`) that ends with an error at whatever leads above (`RESOLVE_BENEATH`) and at
//! every link (`RESOLVE_NO_SYMLINKS`, `RESOLVE_NO_MAGICLINKS`). Links that stay inside end there as
//! well: the paths of a job are real paths, so a link on the way is news since then.
//!
//! Linux before 5.6, some sandboxes and other systems have no such step. There it is walked: each
//! component is opened relative to the one before, as a folder and not through a link.
//!
//! # Invariants
//!
//! * [`Anchor::open_at`] is the only way down. Everything else is done to one name in a folder that
//!   is held open ([`Entry`]), and never follows a link that has this name.
//! * Opening waits for nobody (`O_NONBLOCK`: a FIFO without a writer), makes nothing our terminal
//!   (`O_NOCTTY`) and is not inherited (`O_CLOEXEC`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

/// A folder that is held open.
#[derive(Debug)]
pub(crate) struct Anchor {
    handle: OwnedFd,
    /// Component by component, whatever the kernel has.
    walks: bool,
}

impl Anchor {
    /// The folder at `path`, wherever links lead: who uses this program names it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self { handle, walks: cfg!(not(target_os = "linux")) })
    }

    /// The folder at `path`, which is absolute, and free of links all the way.
    pub(crate) fn open_real(path: &Path) -> io::Result<Self> {
        let top = Path::new("/");
        let below = path.strip_prefix(top).map_err(|_| io::Error::from(Errno::INVAL))?;
        Self::open(top)?.folder(below)
    }

    /// The folder `below` this one.
    pub(crate) fn folder(&self, below: impl AsRef<Path>) -> io::Result<Self> {
        let handle = self.open_at(below.as_ref(), FOLDER, Mode::empty())?;
        Ok(Self { handle, walks: self.walks })
    }

    /// Open the file `below` this folder to read it. Whether it is a regular file is for the caller
    /// to look at; it is open then, but nobody has waited for it.
    pub(crate) fn open_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        Ok(self.open_at(below.as_ref(), OFlags::RDONLY | CAREFUL, Mode::empty())?.into())
    }

    /// Open the file `below` this folder once more, to write behind what is there.
    pub(crate) fn reopen_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let append = OFlags::WRONLY | OFlags::APPEND;
        Ok(self.open_at(below.as_ref(), append | CAREFUL, Mode::empty())?.into())
    }

    /// Create the file `below` this folder. Whatever is there already is an error, a link as well.
    ///
    /// It can be read by whom the process's umask allows, as everything that it creates: it is to
    /// be published, and until then lies in a folder that nobody else can enter.
    pub(crate) fn create_file(&self, below: impl AsRef<Path>) -> io::Result<File> {
        let create = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        Ok(self.open_at(below.as_ref(), create | CAREFUL, Mode::from_raw_mode(0o666))?.into())
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

    /// What the system says of this folder.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.handle)?)
    }

    /// Let nobody else into this folder.
    pub(crate) fn make_private(&self) -> io::Result<()> {
        // What is held may be a handle for going on from alone.
        let folder = self.open_at(Path::new(""), LISTED, Mode::empty())?;
        Ok(fchmod(folder, Mode::from_raw_mode(0o700))?)
    }

    /// The names in the folder `below` this one, sorted bytewise.
    pub(crate) fn list(&self, below: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        names(self.open_at(below.as_ref(), LISTED, Mode::empty())?)
    }

    /// Make the names in the folder `below` this one durable.
    pub(crate) fn sync(&self, below: impl AsRef<Path>) -> io::Result<()> {
        File::from(self.open_at(below.as_ref(), LISTED, Mode::empty())?).sync_all()
    }

    /// A name in a folder below this one, of whatever there is or will be.
    pub(crate) fn entry<'path>(&self, below: &'path Path) -> io::Result<Entry<'path>> {
        let name = below.file_name().ok_or(Errno::INVAL)?;
        let folder = below.parent().unwrap_or(Path::new(""));
        Ok(Entry { folder: self.open_at(folder, FOLDER, Mode::empty())?, name })
    }

    /// As on a system whose kernel cannot do it in one step.
    #[cfg(test)]
    pub(crate) fn on_foot(self) -> Self {
        Self { walks: true, ..self }
    }

    fn open_at(&self, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        #[cfg(target_os = "linux")]
        if !self.walks {
            use rustix::fs::{ResolveFlags, openat2};
            let beneath = ResolveFlags::BENEATH;
            let resolve = beneath | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.handle, below, flags, mode, resolve) {
                // Not there, or not allowed: some sandboxes say that of calls they do not know. If
                // it is the file that is not allowed, the walk is told so too. Or `..` and a rename
                // at the same time; on foot there is no `..`.
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
                answer => return Ok(answer?),
            }
        }
        walk(&self.handle, below, flags, mode)
    }
}

/// Opens what is `below` a folder, one component after the other.
fn walk(top: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
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
        let folder = step(held.as_ref().unwrap_or(top), name, FOLDER, Mode::empty())?;
        held = Some(folder);
    }
    step(held.as_ref().unwrap_or(top), last, flags, mode)
}

fn step(folder: &OwnedFd, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    match openat(folder, name, flags | OFlags::NOFOLLOW, mode) {
        // What is said of a link where a folder should be. `openat2` says that it is a link.
        Err(Errno::NOTDIR) if is_link(folder, name) => Err(Errno::LOOP.into()),
        answer => Ok(answer?),
    }
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let seen = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    seen.is_ok_and(|seen| kind(&seen) == rustix::fs::FileType::Symlink)
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

    /// What has this name, if anything; a link is what is seen, not what it leads to.
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

    /// Give what has this name the name `to`, in the place of what has that, even if it is a link.
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

    /// Remove whatever has the name `name` in this folder, with everything in it.
    pub(crate) fn demolish_here(&self, name: &OsStr) -> io::Result<()> {
        demolish(&self.folder, name, DEPTH_MAX)
    }
}

fn demolish(folder: &OwnedFd, name: &OsStr, depth: u32) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        // That it is a folder: Linux has a word of its own for it, POSIX has not.
        Err(refusal @ (Errno::ISDIR | Errno::PERM)) => {
            let inside = match openat(folder, name, LISTED | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(refusal.into()),
                answer => answer?,
            };
            let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
            for name in names(inside.try_clone()?)? {
                match demolish(&inside, &name, depth) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    answer => answer?,
                }
            }
            Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        }
        answer => Ok(answer?),
    }
}

/// Open the file at `path` to read it, wherever links lead: who uses this program names it.
pub(crate) fn open_anywhere(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | CAREFUL.difference(OFlags::NOFOLLOW);
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}

fn names(folder: OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::new(folder)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

/// What kind of a thing was looked at.
pub(crate) fn kind(seen: &Stat) -> rustix::fs::FileType {
    rustix::fs::FileType::from_raw_mode(seen.st_mode)
}

/// Whether a link was met where none may be.
pub(crate) fn is_met_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// For what may turn out to be a FIFO, a device, or a link.
const CAREFUL: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// To go on from: that needs no permission to read what is in it.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = LISTED;

/// To see what is in it.
const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How deep what is removed may be nested. Ours is two levels deep; more would cost our stack.
const DEPTH_MAX: u32 = 64;

#[cfg(test)]
mod tests;
