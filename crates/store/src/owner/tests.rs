//! Whose folders are taken, and whose are not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;
use crate::Local;

const US: u32 = 1000;
const ANOTHER: u32 = 1001;

#[test]
fn a_folder_of_our_own_is_ours_and_one_of_roots_too() {
    for (us, owner) in [(US, US), (US, ROOT), (ROOT, ROOT), (ROOT, ANOTHER)] {
        for mode in [0o755, 0o700, 0o775, 0o1777] {
            let looks = fault(us, &stat(owner, mode), || unreachable!("nothing is suspicious"));
            assert_eq!(looks, None, "{us} {owner} {mode:o}");
        }
    }
}

#[test]
fn a_folder_of_another_is_not_ours_whatever_its_mode() {
    let not_ours = Some(Fault::NotOurs { owner: ANOTHER });
    for mode in [0o755, 0o775, 0o777, 0o1777] {
        let folder = stat(ANOTHER, mode);
        assert_eq!(fault(US, &folder, || None), not_ours, "{mode:o}");
        assert_eq!(fault(US, &folder, || Some(stat(US, 0o600))), not_ours, "{mode:o}");
    }
}

#[test]
fn a_folder_that_everybody_may_write_is_open_unless_it_is_sticky() {
    for us in [US, ROOT] {
        for (mode, open) in [(0o777, true), (0o757, true), (0o703, true), (0o1777, false)] {
            let looks = fault(us, &stat(us, mode), || Some(stat(us, 0o600)));
            assert_eq!(looks == Some(Fault::Open), open, "{mode:o}");
        }
        assert_eq!(fault(us, &stat(us, 0o777), || None), Some(Fault::Open));
    }
}

/// NFS with `all_squash`; and a file system without modes.
#[test]
fn what_a_file_system_says_of_every_file_says_nothing() {
    const NOBODY: u32 = 65_534;
    assert_eq!(fault(US, &stat(NOBODY, 0o755), || Some(stat(NOBODY, 0o600))), None);
    assert_eq!(fault(US, &stat(US, 0o777), || Some(stat(US, 0o777))), None);
    assert_eq!(fault(US, &stat(NOBODY, 0o777), || Some(stat(NOBODY, 0o777))), None);
    // One of both is no excuse for the other.
    let open = fault(US, &stat(NOBODY, 0o777), || Some(stat(NOBODY, 0o600)));
    assert_eq!(open, Some(Fault::Open));
    let not_ours = fault(US, &stat(NOBODY, 0o777), || Some(stat(US, 0o777)));
    assert_eq!(not_ours, Some(Fault::NotOurs { owner: NOBODY }));
}

#[test]
fn each_folder_of_a_store_is_looked_at() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("files");
    require_own(&root).unwrap();
    Local::create(&root).unwrap();
    require_own(&root).unwrap();

    for below in ["", ".mapmill", "intermediate", "out"] {
        let path = if below.is_empty() { root.clone() } else { root.join(below) };
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let refusal = require_own(&root).unwrap_err();
        assert_eq!(refusal.to_string(), format!("everybody may write in {}", path.display()));
        mode(0o1777);
        require_own(&root).unwrap();
        mode(0o755);
        assert!(
            fs::read_dir(&path)
                .unwrap()
                .all(|file| { !file.unwrap().file_name().to_str().unwrap().contains("probe") })
        );
    }
    fs::remove_dir(root.join("out")).unwrap();
    symlink(parent.path(), root.join("out")).unwrap();
    let refusal = require_own(&root).unwrap_err();
    assert!(matches!(refusal, StoreError::NotAFolder { .. }), "{refusal}");
}

/// Only root can give a folder away; and then it is root who looks.
#[test]
fn root_may_work_in_the_folder_of_another() {
    let root = tempfile::tempdir().unwrap();
    if chown(root.path(), Some(ANOTHER), None).is_ok() {
        require_own(root.path()).unwrap();
    }
}

#[test]
fn what_was_planted_for_the_probe_is_not_believed() {
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
