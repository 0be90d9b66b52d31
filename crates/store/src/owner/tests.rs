//! Folders of which owners and modes are accepted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;
use crate::Local;

const US: u32 = 1000;
const ANOTHER: u32 = 1001;

#[test]
fn our_own_folder_and_one_of_root_are_ours() {
    for (us, owner) in [(US, US), (US, ROOT), (ROOT, ROOT), (ROOT, ANOTHER)] {
        for mode in [0o755, 0o700, 0o775, 0o1777] {
            let looks = fault(us, &stat(owner, mode), || unreachable!("nothing is suspicious"));
            assert_eq!(looks, None, "{us} {owner} {mode:o}");
        }
    }
}

#[test]
fn a_folder_of_another_is_not_ours_whatever_its_mode() {
    let foreign = Some(Fault::Foreign { owner: ANOTHER });
    for mode in [0o755, 0o775, 0o777, 0o1777] {
        let folder = stat(ANOTHER, mode);
        assert_eq!(fault(US, &folder, || None), foreign, "{mode:o}");
        assert_eq!(fault(US, &folder, || Some(stat(US, 0o600))), foreign, "{mode:o}");
    }
}

#[test]
fn world_writable_folder_is_refused_unless_it_is_sticky() {
    for us in [US, ROOT] {
        for (mode, open) in [(0o777, true), (0o757, true), (0o703, true), (0o1777, false)] {
            let looks = fault(us, &stat(us, mode), || Some(stat(us, 0o600)));
            assert_eq!(looks == Some(Fault::WorldWritable), open, "{mode:o}");
        }
        assert_eq!(fault(us, &stat(us, 0o777), || None), Some(Fault::WorldWritable));
    }
}

/// NFS with `all_squash`; and a file system without modes.
#[test]
fn what_a_file_system_reports_of_every_file_means_nothing() {
    const NOBODY: u32 = 65_534;
    assert_eq!(fault(US, &stat(NOBODY, 0o755), || Some(stat(NOBODY, 0o600))), None);
    assert_eq!(fault(US, &stat(US, 0o777), || Some(stat(US, 0o777))), None);
    assert_eq!(fault(US, &stat(NOBODY, 0o777), || Some(stat(NOBODY, 0o777))), None);
    // One of both does not excuse the other.
    let open = fault(US, &stat(NOBODY, 0o777), || Some(stat(NOBODY, 0o600)));
    assert_eq!(open, Some(Fault::WorldWritable));
    let foreign = fault(US, &stat(NOBODY, 0o777), || Some(stat(US, 0o777)));
    assert_eq!(foreign, Some(Fault::Foreign { owner: NOBODY }));
}

#[test]
fn each_folder_of_a_store_is_looked_at() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("files");
    require_ownership(&root).unwrap();
    Local::create(&root).unwrap();
    require_ownership(&root).unwrap();

    for below in ["", ".mapmill", "intermediate", "out"] {
        let path = if below.is_empty() { root.clone() } else { root.join(below) };
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let refusal = require_ownership(&root).unwrap_err();
        assert_eq!(refusal.to_string(), format!("{} is world-writable", path.display()));
        mode(0o1777);
        require_ownership(&root).unwrap();
        mode(0o755);
        assert!(
            fs::read_dir(&path)
                .unwrap()
                .all(|file| { !file.unwrap().file_name().to_str().unwrap().contains("probe") })
        );
    }
    fs::remove_dir(root.join("out")).unwrap();
    symlink(parent.path(), root.join("out")).unwrap();
    let refusal = require_ownership(&root).unwrap_err();
    let is_refused =
        matches!(refusal, OwnerError::Unreadable(StoreError::Tampered { found: NOT_A_FOLDER, .. }));
    assert!(is_refused, "{refusal}");
}

/// Only root can change the owner of a folder; and then root is the user of this test.
#[test]
fn root_may_work_in_the_folder_of_another() {
    let root = tempfile::tempdir().unwrap();
    if chown(root.path(), Some(ANOTHER), None).is_ok() {
        require_ownership(root.path()).unwrap();
    }
}

#[test]
fn link_planted_in_the_place_of_the_probe_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let victim = root.path().join("victim");
    symlink(&victim, root.path().join(layout::PROBE)).unwrap();
    let seen = probe(&Anchor::open(root.path()).unwrap()).unwrap();

    assert_eq!(seen.st_uid, rustix::process::geteuid().as_raw());
    assert!(!victim.exists());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A folder, or a file, with that owner and that mode.
fn stat(owner: u32, mode: u32) -> Stat {
    let root = Anchor::open(Path::new("/")).expect("there is one");
    let mut stat = root.stat().expect("it can be looked at");
    (stat.st_uid, stat.st_mode) = (owner, mode);
    stat
}

/// Nor is it looked up behind a link, which could name any user.
#[test]
fn owner_is_that_of_the_nearest_folder_that_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    fs::write(top.join("file"), "").unwrap();
    symlink("/", top.join("link")).unwrap();
    let ours = rustix::process::geteuid().as_raw();
    let theirs = if ours == ROOT { ANOTHER } else { ours };
    // Only root can change the owner.
    if ours == ROOT {
        chown(top.join("file"), Some(ANOTHER), None).unwrap();
    }

    for (below, owner) in
        [("file", theirs), ("missing", ours), ("missing/out/out-0", ours), ("link/missing", ours)]
    {
        assert_eq!(Users::of(&top.join(below)), Some(Users { ours, owner }), "{below}");
    }
    let root = fs::metadata("/").unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&root);
    assert_eq!(Users::of(Path::new("/missing/out")), Some(Users { ours, owner }));
    assert_eq!(Users::of(Path::new("out")), None);
}
