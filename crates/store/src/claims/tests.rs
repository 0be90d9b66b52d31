//! Claims in a folder, as several drivers see them.

use std::fs;
use std::time::Duration;

use super::*;
use crate::Local;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Local::create(folder.path()).unwrap();
        Self { folder }
    }

    /// As another process sees them.
    fn claims(&self) -> LocalClaims {
        Local::open(self.folder.path()).unwrap().claims()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(".mapmill").join(below)
    }
}

fn holder() -> Holder {
    Holder { host: "a".to_owned(), process: 7, address: Some("[::1]:50051".to_owned()) }
}

fn state(claims: &LocalClaims, epoch: u64) -> ClaimState {
    claims.look(epoch).unwrap().unwrap().state
}

#[test]
fn an_epoch_is_claimed_once() {
    let folder = Folder::new();
    let (claims, others) = (folder.claims(), folder.claims());
    assert!(claims.list().unwrap().is_empty());

    assert!(claims.claim(1, &holder()).unwrap());
    assert!(!claims.claim(1, &Holder::default()).unwrap());
    assert!(!others.claim(1, &Holder::default()).unwrap());
    assert!(others.claim(2, &Holder::default()).unwrap());
    assert_eq!(claims.list().unwrap(), [1, 2]);
    assert_eq!(others.look(1).unwrap().unwrap().holder, Some(holder()));
}

#[test]
fn one_of_many_racing_drivers_claims_an_epoch() {
    let folder = Folder::new();
    let claims: Vec<LocalClaims> = (0..8).map(|_| folder.claims()).collect();
    for epoch in 1..=50 {
        let winners: usize = std::thread::scope(|scope| {
            let claim = |claims: &LocalClaims| usize::from(claims.claim(epoch, &holder()).unwrap());
            let racing: Vec<_> =
                claims.iter().map(|claims| scope.spawn(move || claim(claims))).collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(winners, 1, "epoch {epoch}");
    }
}

#[test]
fn a_claim_is_held_while_its_lock_is_and_dead_once_the_lock_is_free() {
    let folder = Folder::new();
    let (claims, others) = (folder.claims(), folder.claims());
    claims.lock().unwrap();
    assert!(claims.claim(1, &holder()).unwrap());

    assert_eq!(state(&others, 1), ClaimState::Held(Some(Beat(0))));
    claims.renew(1, Beat(0)).unwrap();
    assert_eq!(state(&others, 1), ClaimState::Held(Some(Beat(1))));
    drop(claims);
    assert_eq!(state(&others, 1), ClaimState::Dead);
}

/// As on another mount, where the lock is free, or after its file was removed.
#[test]
fn another_lock_file_proves_nothing() {
    let folder = Folder::new();
    let claims = folder.claims();
    assert!(claims.claim(1, &holder()).unwrap());
    fs::remove_file(folder.path("lock")).unwrap();

    let others = folder.claims();
    assert_eq!(state(&others, 1), ClaimState::Held(Some(Beat(0))));
    drop(claims);
    assert_eq!(state(&others, 1), ClaimState::Held(Some(Beat(0))), "the file is another one");
    // The look has released the lock: a driver of this mount gets it.
    folder.claims().lock().unwrap();
}

#[test]
fn a_driver_of_another_machine_is_not_dead_because_its_lock_is_free_here() {
    let folder = Folder::new();
    let claims = folder.claims();
    assert!(claims.claim(1, &holder()).unwrap());
    let file = folder.path("claims/1").join(&claims.own);
    let other_boot = fs::read_to_string(&file).unwrap().replace("boot ", "boot x");
    drop(claims);
    fs::write(&file, other_boot).unwrap();

    assert_eq!(state(&folder.claims(), 1), ClaimState::Held(Some(Beat(0))));
}

#[test]
fn a_superseded_driver_does_not_keep_its_successor_from_the_lock() {
    let folder = Folder::new();
    let (frozen, successor) = (folder.claims(), folder.claims());
    assert!(frozen.claim(1, &holder()).unwrap());
    assert!(successor.claim(2, &holder()).unwrap());

    let third = folder.claims();
    assert!(matches!(third.lock(), Err(LockError::Held { .. })));
    assert_eq!(state(&third, 2), ClaimState::Held(Some(Beat(0))));
    drop(frozen);
    assert!(matches!(third.lock(), Err(LockError::Held { .. })));
    drop(successor);
    assert_eq!(state(&third, 2), ClaimState::Dead);
}

#[test]
fn a_released_claim_is_free_and_a_removed_one_is_gone() {
    let folder = Folder::new();
    let (claims, others) = (folder.claims(), folder.claims());
    assert!(claims.claim(1, &holder()).unwrap());
    claims.renew(1, Beat(0)).unwrap();
    claims.release(1, Beat(1)).unwrap();
    assert_eq!(state(&others, 1), ClaimState::Released);

    others.remove(1).unwrap();
    others.remove(1).unwrap();
    assert_eq!(others.look(1).unwrap(), None);
    assert!(claims.renew(1, Beat(1)).is_err());
}

/// As when `.mapmill` is removed while a driver runs, and another one is started.
#[test]
fn a_claim_that_was_removed_and_made_again_is_not_own() {
    let folder = Folder::new();
    let (claims, others) = (folder.claims(), folder.claims());
    assert!(claims.claim(1, &holder()).unwrap());
    assert!(claims.is_own(1).unwrap());
    assert!(!others.is_own(1).unwrap());

    fs::remove_dir_all(folder.path("claims/1")).unwrap();
    assert!(!claims.is_own(1).unwrap());
    assert!(others.claim(1, &holder()).unwrap());
    assert!(!claims.is_own(1).unwrap());
    assert!(others.is_own(1).unwrap());
}

#[test]
fn renewing_twice_is_renewing_once() {
    let folder = Folder::new();
    let claims = folder.claims();
    assert!(claims.claim(1, &holder()).unwrap());
    claims.renew(1, Beat(0)).unwrap();
    claims.renew(1, Beat(0)).unwrap();
    assert_eq!(state(&folder.claims(), 1), ClaimState::Held(Some(Beat(1))));
    claims.release(1, Beat(1)).unwrap();
    claims.release(1, Beat(1)).unwrap();
}

#[test]
fn a_claim_whose_holder_died_as_it_claimed_is_held_by_an_unknown_driver() {
    let folder = Folder::new();
    fs::create_dir(folder.path("claims/3")).unwrap();
    fs::write(folder.path("claims/x"), "").unwrap();
    fs::create_dir(folder.path("claims/18446744073709551615")).unwrap();
    let claims = folder.claims();
    assert_eq!(claims.list().unwrap(), [3]);
    let claim = claims.look(3).unwrap().unwrap();
    assert_eq!(claim, Claim { holder: None, state: ClaimState::Held(None) });
}

#[test]
fn holders_read_what_they_write_and_ignore_what_later_versions_add() {
    let signature =
        Signature { holder: holder(), boot: Some("b-1".to_owned()), lock: Some((2, u64::MAX)) };
    let text = format!("later words\n{signature}");
    assert_eq!(Signature::parse(&text), Some(signature));
    for text in ["", "host", "host a", "host a\nprocess x", "process 1"] {
        assert_eq!(Signature::parse(text), None, "{text:?}");
    }
    assert_eq!(holder().to_string(), "process 7 on a, listening on [::1]:50051");
}

#[test]
fn a_driver_is_seen_by_its_lock_and_no_longer_when_it_is_dead() {
    let folder = Folder::new();
    assert_eq!(Sign::look(folder.folder.path()).unwrap(), None);
    let claims = folder.claims();
    claims.claim(1, &holder()).unwrap();
    assert_eq!(Sign::look(folder.folder.path()).unwrap(), Some(Sign::Locked));

    // Its lock is released, and the claim is not.
    drop(claims);
    assert_eq!(Sign::look(folder.folder.path()).unwrap(), None);
}

#[test]
fn a_driver_of_another_machine_is_seen_by_its_claim_until_that_is_released() {
    let folder = Folder::new();
    let claims = folder.claims();
    claims.claim(3, &holder()).unwrap();
    let file = folder.path("claims/3").join(&claims.own);
    fs::write(file, "host b\nprocess 7\nboot another\n").unwrap();
    claims.renew(3, Beat::FIRST).unwrap();
    let other = folder.claims();
    drop(claims);

    let seen = Sign::look(folder.folder.path()).unwrap();
    let Some(Sign::Claimed { epoch: 3, beat: Some(Beat(1)), renewed }) = seen else {
        panic!("{seen:?}")
    };
    assert!(renewed.elapsed().is_ok_and(|age| age < Duration::from_secs(60)), "{renewed:?}");
    // It has not taken the lock.
    assert!(!FolderLock::is_held(folder.folder.path()));

    other.release(3, Beat(1)).unwrap();
    assert_eq!(Sign::look(folder.folder.path()).unwrap(), None);
}
