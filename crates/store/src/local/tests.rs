//! The behaviour of a store on a file system, beyond the contract of every store.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::*;
use crate::watchdog::in_time;

#[test]
fn creating_twice_is_harmless_and_bookkeeping_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("some/files");
    Local::create(&root).unwrap();
    let store = Local::create(&root).unwrap();

    assert_eq!(store.root(), root);
    for folder in [root.join(Folder::Hidden.as_str()), staging_root(&store)] {
        assert_eq!(permissions(&folder), 0o700, "{}", folder.display());
    }
    let staging = layout::staging_folder("job", "m0.a0");
    store.stage(&staging).unwrap();
    assert_eq!(permissions(&store.path(staging.name())), 0o700);
}

#[test]
fn a_folder_that_is_no_store_is_not_opened() {
    let parent = tempfile::tempdir().unwrap();
    let refusal = Local::open(&parent.path().join("files")).unwrap_err();
    assert!(matches!(refusal, StoreError::Refused { operation: Operation::Open, .. }), "{refusal}");
}

#[test]
fn a_hidden_folder_that_others_may_read_is_made_private() {
    let (root, store) = new_store();
    let hidden = root.path().join(Folder::Hidden.as_str());
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o755)).unwrap();
    Local::create(store.root()).unwrap();
    assert_eq!(permissions(&hidden), 0o700);
}

#[test]
fn nothing_that_is_created_is_world_writable() {
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("some/files");
    Local::create(&root).unwrap();
    rustix::process::umask(umask);
    for folder in ["", "..", ".mapmill", "intermediate", "out"] {
        let mode = permissions(&root.join(folder));
        assert_eq!(mode & 0o002, 0, "{folder} {mode:o}");
    }
}

/// Kernels without `openat2` open one component after the other.
#[test]
fn contract_holds_without_openat2() {
    for (_, clause) in crate::contract::CLAUSES {
        let (_root, store) = new_store();
        let folder = Anchor::open(store.root()).unwrap().without_openat2();
        clause(&Local::within(store.root, Arc::new(folder)).unwrap());
    }
}

#[test]
fn links_in_place_of_folders_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), root.path().join(Folder::Output.as_str())).unwrap();
    let refusal = Local::create(root.path()).unwrap_err();
    assert!(matches!(refusal, StoreError::Tampered { found: NOT_A_FOLDER, .. }), "{refusal}");
}

#[test]
fn links_and_fifos_are_neither_read_nor_published() {
    let (_root, store) = new_store();
    let name = layout::output(0);
    let path = store.path(&name);
    symlink("/etc/passwd", &path).unwrap();
    assert_not_a_file(store.open(&name).map(|_| ()));

    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (store_too, name_too) = (store.clone(), name.clone());
    assert_not_a_file(in_time(move || store_too.open(&name_too).map(|_| ())));

    let staging = layout::staging_folder("job", "r0.a0");
    store.stage(&staging).unwrap();
    symlink("/etc/passwd", store.path(&layout::staged(&staging, &name))).unwrap();
    let digest = Digest::of(&fs::read("/etc/passwd").unwrap());
    assert_not_a_file(store.verify_staged(&staging, &name, digest));
    assert_not_a_file(store.publish(&staging, &name, digest));
}

#[test]
fn a_planted_link_is_not_written_through() {
    let (root, store) = new_store();
    let name = layout::output(0);
    let staging = layout::staging_folder("job", "r0.a0");
    let victim = root.path().join("victim");
    store.stage(&staging).unwrap();
    symlink(&victim, store.path(&layout::staged(&staging, &name))).unwrap();

    let refusal = store.create(&staging, &name, Durability::Verified).err();
    assert!(matches!(refusal, Some(StoreError::Begun { .. })), "{refusal:?}");
    assert!(!victim.exists());
}

#[test]
fn a_staged_file_that_was_replaced_is_not_appended_to() {
    let (_root, store) = new_store();
    let name = layout::output(0);
    let staging = layout::staging_folder("job", "r0.a0");
    store.stage(&staging).unwrap();
    let mut staged = store.create(&staging, &name, Durability::Verified).unwrap();
    staged.pause();

    let path = store.path(&layout::staged(&staging, &name));
    // Renamed and not removed, so that its inode is not reused.
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::write(&path, "").unwrap();
    let refusal = staged.append(b"a").unwrap_err();
    assert!(matches!(refusal, StoreError::Gone { .. }), "{refusal}");
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn paused_objects_hold_no_handles() {
    const BUCKETS: u32 = 500;
    let (root, store) = new_store();
    let staging = layout::staging_folder("job", "m0.a0");
    store.stage(&staging).unwrap();
    let mut objects: Vec<_> = (0..BUCKETS)
        .map(|bucket| {
            let name = layout::intermediate(0, bucket);
            let mut object = store.create(&staging, &name, Durability::Verified).unwrap();
            object.pause();
            object
        })
        .collect();
    assert_eq!(handles_below(root.path()), 0);

    for object in &mut objects {
        object.append(b"word\n").unwrap();
        object.pause();
    }
    assert_eq!(handles_below(root.path()), 0);
}

#[test]
fn discarding_ends_while_a_worker_keeps_writing() {
    let (_root, store) = new_store();
    for round in 0..8 {
        let staging = layout::staging_folder("job", &format!("m0.a{round}"));
        store.stage(&staging).unwrap();
        let created = AtomicU32::new(0);
        let write = || loop {
            let name = layout::intermediate(0, created.fetch_add(1, Ordering::Relaxed));
            if let Err(error) = store.create(&staging, &name, Durability::Verified) {
                return error;
            }
        };
        thread::scope(|scope| {
            let writers = [scope.spawn(write), scope.spawn(write)];
            while created.load(Ordering::Relaxed) < 100 {
                thread::yield_now();
            }
            store.discard(&staging).unwrap();
            for end in writers.map(|writer| writer.join().unwrap()) {
                assert!(matches!(end, StoreError::Gone { .. }), "{end}");
            }
        });
    }
    assert_eq!(fs::read_dir(staging_root(&store).join("job")).unwrap().count(), 0);
}

#[test]
fn leftovers_of_an_interrupted_discard_are_swept() {
    let (_root, store) = new_store();
    let staging = layout::staging_folder("job", "m0.a0");
    store.stage(&staging).unwrap();
    let job = staging_root(&store).join("job");
    fs::create_dir(job.join(layout::trash_name(OsStr::new("m1.a0")))).unwrap();
    fs::create_dir(staging_root(&store).join(layout::trash_name(OsStr::new("old-job")))).unwrap();
    fs::write(staging_root(&store).join("stray"), "").unwrap();

    assert_eq!(store.sweep().unwrap(), 1);
    assert_eq!(fs::read_dir(staging_root(&store)).unwrap().count(), 0);
}

#[test]
fn a_folder_that_vanished_is_not_mistaken_for_a_lost_attempt() {
    let (root, store) = new_store();
    let (name, staging) = (layout::output(0), layout::staging_folder("job", "r0.a0"));
    store.stage(&staging).unwrap();
    let staged = store.create(&staging, &name, Durability::Verified).unwrap();
    let digest = staged.finish().unwrap();
    fs::remove_dir(root.path().join(Folder::Output.as_str())).unwrap();

    let refusal = store.publish(&staging, &name, digest).unwrap_err();
    assert!(
        matches!(refusal, StoreError::Refused { operation: Operation::Publish, .. }),
        "{refusal}"
    );
}

fn new_store() -> (tempfile::TempDir, Local) {
    let root = tempfile::tempdir().unwrap();
    let store = Local::create(root.path()).unwrap();
    (root, store)
}

fn staging_root(store: &Local) -> PathBuf {
    store.root().join(layout::staging_root())
}

fn permissions(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// How many files below `root` this process has open, and not `root` itself.
fn handles_below(root: &Path) -> usize {
    let handles = fs::read_dir("/proc/self/fd").unwrap();
    let targets = handles.filter_map(|handle| fs::read_link(handle.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(root) && target != root).count()
}

#[track_caller]
fn assert_not_a_file(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Tampered { found: NOT_A_FILE, .. })), "{result:?}");
}
