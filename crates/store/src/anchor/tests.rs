//! Opening what is below and nothing outside, with `openat2` and step by step.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::fs::{mkfifoat, mknodat};

use super::*;
use crate::watchdog::in_time;

const LOOP: Option<i32> = Some(Errno::LOOP.raw_os_error());
const NOTDIR: Option<i32> = Some(Errno::NOTDIR.raw_os_error());
const XDEV: Option<i32> = Some(Errno::XDEV.raw_os_error());

#[test]
fn files_below_are_opened_however_their_path_is_written() {
    for_both_ways(|top, folder| {
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/file"), "text").unwrap();

        for path in ["a/b/file", "./a/b/file", "a//b/file", "a/./b/file"] {
            assert_eq!(read(top, path).unwrap(), "text", "{path}");
        }
        assert_eq!(read(&top.folder("a/b").unwrap(), "file").unwrap(), "text");
        assert_eq!(top.list("a").unwrap(), ["b"]);
        assert_eq!(top.list("").unwrap(), ["a"]);
        top.sync("a/b").unwrap();
    });
}

#[test]
fn nothing_leads_above() {
    for_both_ways(|top, folder| {
        fs::write(folder.parent().unwrap().join("secret"), "secret").unwrap();
        fs::create_dir(folder.join("a")).unwrap();
        let absolute = folder.parent().unwrap().join("secret");

        for path in ["../secret", "a/../../secret", absolute.to_str().unwrap()] {
            assert_eq!(read(top, path).unwrap_err().raw_os_error(), XDEV, "{path}");
            let created = top.create_file(path).unwrap_err();
            assert_eq!(created.raw_os_error(), XDEV, "{path}");
        }
        assert_eq!(top.folder("..").unwrap_err().raw_os_error(), XDEV);
        let planted = Path::new("../planted");
        assert_eq!(top.entry(planted).unwrap_err().raw_os_error(), XDEV);
    });
}

#[test]
fn no_link_is_followed_wherever_it_is_and_wherever_it_leads() {
    for_both_ways(|top, folder| {
        let outside = folder.parent().unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::create_dir(folder.join("real")).unwrap();
        fs::write(folder.join("real/file"), "text").unwrap();
        symlink(outside, folder.join("out")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        symlink("real", folder.join("inside")).unwrap();
        symlink("real/file", folder.join("link")).unwrap();

        for path in ["out/secret", "up/secret", "inside/file", "link"] {
            assert_eq!(read(top, path).unwrap_err().raw_os_error(), LOOP, "{path}");
            assert_eq!(top.reopen_file(path).unwrap_err().raw_os_error(), LOOP, "{path}");
        }
        for path in ["out", "up", "inside"] {
            assert_eq!(top.folder(path).unwrap_err().raw_os_error(), LOOP, "{path}");
            assert_eq!(top.list(path).unwrap_err().raw_os_error(), LOOP, "{path}");
            let new = format!("{path}/new");
            assert_eq!(top.create_file(&new).unwrap_err().raw_os_error(), LOOP, "{path}");
            assert_eq!(top.entry(Path::new(&new)).unwrap_err().raw_os_error(), LOOP, "{path}");
        }
        assert!(!outside.join("new").exists() && !folder.join("real/new").exists());
        // The link itself can be looked at, replaced and removed.
        let (from, to) = (Path::new("real/file"), Path::new("link"));
        let link = top.entry(to).unwrap();
        assert_eq!(kind(&link.look().unwrap().unwrap()), rustix::fs::FileType::Symlink);
        top.entry(from).unwrap().rename(&link).unwrap();
        assert_eq!(read(top, "link").unwrap(), "text");
        top.entry(Path::new("out")).unwrap().remove_file().unwrap();
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    });
}

/// As `/proc/self/fd/3`, which is no link to a path, and leads anywhere.
#[test]
fn magic_link_of_the_kernel_is_not_followed() {
    for_both_ways(|top, folder| {
        fs::write(folder.join("file"), "text").unwrap();
        let file = File::open(folder.join("file")).unwrap();
        let path = format!("{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&file));
        assert_eq!(fs::read(Path::new("/proc").join(&path)).unwrap(), b"text");
        let proc = Anchor { stepwise: top.stepwise, ..Anchor::open(Path::new("/proc")).unwrap() };
        assert_eq!(read(&proc, &path).unwrap_err().raw_os_error(), LOOP);
    });
}

/// Every check of the path would find a folder; now and then it is a link when it is used.
#[test]
fn a_link_that_is_swapped_in_at_any_moment_is_not_followed() {
    const ENOUGH: u32 = 500;
    const ROUNDS_MAX: u32 = 1_000_000;
    for_both_ways(|top, folder| {
        let outside = folder.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        fs::create_dir(folder.join("a")).unwrap();
        fs::write(folder.join("a/file"), "text").unwrap();
        symlink(&outside, folder.join("b")).unwrap();

        let (mut read_it, mut met_link) = (0, 0);
        let swapping = Swapping::start(folder, "a", "b");
        for _ in 0..ROUNDS_MAX {
            if read_it >= ENOUGH && met_link >= ENOUGH {
                break;
            }
            match read(top, "a/file") {
                Ok(text) => {
                    assert_eq!(text, "text");
                    read_it += 1;
                }
                Err(error) => {
                    // Step by step, it may be a folder again when its kind is read.
                    assert!([LOOP, NOTDIR].contains(&error.raw_os_error()), "{error}");
                    met_link += 1;
                }
            }
            if let Ok(file) = top.create_file("a/new") {
                drop(file);
                // If this fails, it is there under the other name.
                let _ = top.entry(Path::new("a/new")).and_then(|new| new.remove_file());
            }
        }
        drop(swapping);
        assert!(read_it.min(met_link) >= ENOUGH, "{read_it} read it, {met_link} met the link");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was created outside");
    });
}

#[test]
fn opening_a_fifo_never_waits() {
    for_both_ways(|top, folder| {
        let again = || Anchor { stepwise: top.stepwise, ..Anchor::open(folder).unwrap() };
        mkfifoat(&top.handle, "fifo", Mode::from_raw_mode(0o600)).unwrap();
        let top = again();
        let file = in_time(move || top.open_file("fifo")).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        drop(file);

        let top = again();
        let file = in_time(move || top.entry(Path::new("fifo")).unwrap().open_file()).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        drop(file);

        let path = folder.join("fifo");
        assert!(in_time(move || open_anywhere(&path)).is_ok());
        // It has no reader; that is an error, and no reason to wait.
        let top = again();
        let refusal = in_time(move || top.reopen_file("fifo")).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(Errno::NXIO.raw_os_error()));
    });
}

#[test]
fn files_are_only_created_new() {
    for_both_ways(|top, folder| {
        let victim = folder.join("victim");
        symlink(&victim, folder.join("dangling")).unwrap();
        fs::write(folder.join("old"), "old").unwrap();
        for path in ["dangling", "old"] {
            let refusal = top.create_file(path).unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::AlreadyExists, "{path}");
        }
        assert!(!victim.exists());
        assert_eq!(top.open_or_create("dangling").unwrap_err().raw_os_error(), LOOP);
        assert!(!victim.exists());

        drop(top.open_or_create("ours").unwrap());
        assert_eq!(fs::metadata(folder.join("ours")).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn a_tree_is_removed_and_nothing_behind_a_link_in_it() {
    for_both_ways(|top, folder| {
        let outside = folder.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "text").unwrap();
        fs::create_dir_all(folder.join("doomed/a/b")).unwrap();
        fs::write(folder.join("doomed/a/b/file"), "").unwrap();
        symlink(&outside, folder.join("doomed/a/link")).unwrap();
        symlink(outside.join("file"), folder.join("doomed/link")).unwrap();
        symlink(&outside, folder.join("link")).unwrap();

        let entry = top.entry(Path::new("doomed")).unwrap();
        entry.remove_tree(OsStr::new("doomed")).unwrap();
        entry.remove_tree(OsStr::new("link")).unwrap();
        let gone = entry.remove_tree(OsStr::new("gone")).unwrap_err();

        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
        assert!(outside.join("file").exists());
    });
}

/// A tree of another user must not exhaust our stack or our handles.
#[test]
fn a_tree_that_is_nested_too_deep_is_left() {
    for_both_ways(|top, folder| {
        let nested = |levels: u32| (0..levels).map(|_| "a").collect::<PathBuf>();
        fs::create_dir_all(folder.join(nested(DEPTH_MAX))).unwrap();
        let entry = top.entry(Path::new("a")).unwrap();
        entry.remove_tree(OsStr::new("a")).unwrap();

        fs::create_dir_all(folder.join(nested(DEPTH_MAX + 1))).unwrap();
        let refusal = entry.remove_tree(OsStr::new("a")).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(Errno::NAMETOOLONG.raw_os_error()));
    });
}

/// Making a device needs privileges; without them no user can plant one either.
#[test]
fn the_kind_of_a_device_is_that_of_a_device() {
    for_both_ways(|top, _| {
        let null = rustix::fs::makedev(1, 3);
        let (kind_of, mode) = (rustix::fs::FileType::CharacterDevice, Mode::from_raw_mode(0o600));
        if mknodat(&top.handle, "null", kind_of, mode, null).is_ok() {
            let seen = top.entry(Path::new("null")).unwrap().look().unwrap().unwrap();
            assert_eq!(kind(&seen), kind_of);
        }
    });
}

#[test]
fn a_real_path_has_no_link_all_the_way() {
    let parent = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(parent.path()).unwrap();
    fs::create_dir_all(real.join("a/b")).unwrap();
    symlink("a", real.join("link")).unwrap();

    assert!(Anchor::open_real(&real.join("a/b")).is_ok());
    for path in ["link", "link/b"] {
        let refusal = Anchor::open_real(&real.join(path)).unwrap_err();
        assert_eq!(refusal.raw_os_error(), LOOP, "{path}");
        assert!(Anchor::open(&real.join(path)).is_ok());
    }
    assert!(Anchor::open_real(Path::new("a")).is_err());
}

/// Swaps two names in a folder, again and again, until it is dropped.
pub(crate) struct Swapping {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapping {
    pub(crate) fn start(folder: &Path, a: &'static str, b: &'static str) -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let folder = File::open(folder).expect("it is there");
        let (swap, stopped) = (rustix::fs::RenameFlags::EXCHANGE, std::sync::Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut swaps = 0_u64;
            while !stopped.load(Ordering::Relaxed) || swaps % 2 == 1 {
                rustix::fs::renameat_with(&folder, a, &folder, b, swap)
                    .expect("both are there all the time");
                swaps += 1;
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().expect("dropped once").join().expect("it has swapped");
    }
}

/// Runs a test in a new folder twice: as this system opens files, and step by step.
#[track_caller]
fn for_both_ways(test: impl Fn(&Anchor, &Path)) {
    for stepwise in [false, true] {
        let parent = tempfile::tempdir().expect("the disk has space for a folder");
        let folder = parent.path().join("top");
        fs::create_dir(&folder).expect("its parent is new");
        let top = Anchor { stepwise, ..Anchor::open(&folder).expect("it is there") };
        test(&top, &folder);
    }
}

fn read(top: &Anchor, path: &str) -> io::Result<String> {
    io::read_to_string(top.open_file(path)?)
}
