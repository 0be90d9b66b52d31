//! Paths that a driver names, and the files that a worker opens for them.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::error::BEHIND_A_LINK;
use crate::watchdog::in_time;
use crate::{Store, layout};

#[test]
fn paths_outside_of_a_root_are_told_apart_by_their_names() {
    let root = Path::new("/data");
    assert_eq!(below(root, Path::new("/data/books/a.txt")), Some(Path::new("books/a.txt")));
    assert_eq!(below(root, Path::new("/data")), Some(Path::new("")));
    assert_eq!(below(Path::new("/"), Path::new("/data")), Some(Path::new("data")));
    for outside in ["/", "/database/a", "/data/../etc/passwd", "/data/a/../b", "data/a", ""] {
        assert_eq!(below(root, Path::new(outside)), None, "{outside}");
    }
}

#[test]
fn inputs_are_opened_below_the_roots_and_nowhere_else() {
    let bench = Bench::new();
    let roots = bench.roots();
    for path in ["data/file", "data/folder/file"] {
        assert_eq!(read(&roots, &bench.path(path)).unwrap(), "text");
    }

    symlink(bench.path("outside"), bench.path("data/out")).unwrap();
    symlink(bench.path("data/folder"), bench.path("data/in")).unwrap();
    symlink(bench.path("outside/file"), bench.path("data/link")).unwrap();
    for path in ["data/out/file", "data/in/file", "data/link"] {
        let refusal = read(&roots, &bench.path(path)).unwrap_err();
        assert!(matches!(refusal, InputError::Linked { .. }), "{path}: {refusal}");
    }
    for path in ["outside/file", "data/../outside/file", "data2/file"] {
        let refusal = read(&roots, &bench.path(path)).unwrap_err();
        assert!(matches!(refusal, InputError::OutsideRoots { .. }), "{path}: {refusal}");
    }
    let refusal = read(&roots, &bench.path("data/missing/file")).unwrap_err();
    assert!(matches!(refusal, InputError::Missing { .. }), "{refusal}");
    let none = Roots::new(&[]);
    let refusal = read(&none, &bench.path("data/file")).unwrap_err();
    assert!(matches!(refusal, InputError::OutsideRoots { .. }), "{refusal}");
}

#[test]
fn an_input_that_is_no_regular_file_is_refused_without_waiting() {
    let bench = Bench::new();
    assert!(Command::new("mkfifo").arg(bench.path("data/fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(bench.path("data/socket")).unwrap();
    let paths = [
        (bench.path("data/fifo"), "a FIFO"),
        (bench.path("data/socket"), "a socket"),
        (bench.path("data/folder"), "a folder"),
        (bench.path("data"), "a folder"),
    ];
    for (path, expected) in paths {
        let roots = bench.roots();
        let refused = path.clone();
        let refusal = in_time(move || read(&roots, &refused)).unwrap_err();
        let is_refused = matches!(refusal, InputError::NotAFile { kind, .. } if kind == expected);
        assert!(is_refused, "{}: {refusal}", path.display());
    }
    let everything = Roots::new(&["/".into()]);
    for device in ["/dev/zero", "/dev/full", "/dev/null", "/dev/tty"].map(Path::new) {
        if device.exists() {
            let refusal = read(&everything, device).unwrap_err();
            let is_refused = matches!(refusal, InputError::NotAFile { kind: "a device", .. });
            assert!(is_refused, "{}: {refusal}", device.display());
        }
    }
}

#[test]
fn a_name_with_a_zero_byte_is_refused_in_words() {
    let bench = Bench::new();
    let mut path = bench.path("data/file").into_os_string().into_vec();
    path.extend(b"\0.txt");
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));

    let refusal = read(&bench.roots(), &path).unwrap_err();
    let is_refused = matches!(&refusal, InputError::Unreadable { source, .. }
        if source.to_string() == "its name has a zero byte");
    assert!(is_refused, "{refusal:?}");
    let refusal = bench.roots().open_store(&path).unwrap_err();
    assert!(matches!(refusal, StoreError::Refused { .. }), "{refusal}");
}

/// A root stays the folder that it was, whatever is put in its place.
#[test]
fn a_root_in_use_that_is_swapped_for_a_link_keeps_its_files() {
    let bench = Bench::new();
    let roots = bench.roots();
    read(&roots, &bench.path("data/file")).unwrap();
    fs::rename(bench.path("data"), bench.path("moved")).unwrap();
    symlink(bench.path("outside"), bench.path("data")).unwrap();

    assert_eq!(read(&roots, &bench.path("data/file")).unwrap(), "text");
    let refusal = read(&bench.roots(), &bench.path("data/file")).unwrap_err();
    assert!(matches!(refusal, InputError::Linked { .. }), "{refusal}");
}

#[test]
fn more_roots_than_are_held_are_opened_for_each_use() {
    let bench = Bench::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for number in 0..=HELD_MAX {
        let path = bench.path(&format!("many/{number}"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("file"), "text").unwrap();
        paths.push(path);
    }
    let roots = Roots::new(&paths);
    let last = paths.last().unwrap();
    assert_eq!(read(&roots, &last.join("file")).unwrap(), "text");

    fs::rename(last, bench.path("many/moved")).unwrap();
    symlink(bench.path("outside"), last).unwrap();
    let refusal = read(&roots, &last.join("file")).unwrap_err();
    assert!(matches!(refusal, InputError::Linked { .. }), "{refusal}");
}

#[test]
fn a_store_is_opened_below_the_roots_and_nowhere_else() {
    let bench = Bench::new();
    let roots = bench.roots();
    Local::create(&bench.path("data/files")).unwrap();
    Local::create(&bench.path("outside")).unwrap();
    symlink(bench.path("outside"), bench.path("data/link")).unwrap();

    let store = roots.open_store(&bench.path("data/files")).unwrap();
    assert_eq!(store.root(), bench.path("data/files"));
    assert!(store.intermediates().unwrap().is_empty());
    let refusal = roots.open_store(&bench.path("data/link")).unwrap_err();
    assert!(matches!(refusal, StoreError::Tampered { found: BEHIND_A_LINK, .. }), "{refusal}");
    for path in ["outside", "data/../outside", "data/files/../../outside"] {
        let refusal = roots.open_store(&bench.path(path)).unwrap_err();
        assert!(matches!(refusal, StoreError::OutsideRoots { .. }), "{path}: {refusal}");
    }
    let refusal = roots.open_store(&bench.path("data/folder")).unwrap_err();
    assert!(matches!(refusal, StoreError::Refused { .. }), "{refusal}");
    // The store itself may be a root.
    let roots = Roots::new(&[bench.path("data/files")]);
    let store = roots.open_store(&bench.path("data/files")).unwrap();
    store.stage(&layout::staging_folder("job", "m0.a0")).unwrap();
}

/// Two folders that each hold a file of the same name; one of them is a root.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("the disk has space for a folder") };
        for (path, text) in
            [("data/file", "text"), ("data/folder/file", "text"), ("outside/file", "secret")]
        {
            let path = bench.path(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("its parent is new");
            fs::write(path, text).expect("its folder is there");
        }
        bench
    }

    fn path(&self, below: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).expect("it is there").join(below)
    }

    fn roots(&self) -> Roots {
        Roots::new(&[self.path("data")])
    }
}

fn read(roots: &Roots, path: &Path) -> Result<String, InputError> {
    let (file, _) = roots.open_input(path)?;
    io::read_to_string(file).map_err(unreadable(path))
}
