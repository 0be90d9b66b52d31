//! The contract of every store, and `Local` held to it.
//!
//! Each clause is a function over any [`Store`]; the list at the end runs them, each on a new
//! store. The store of the simulation, which is in memory, is held to the same list. Objects are
//! damaged through the trait as well, by publishing other bytes under the same name.

use proptest::prelude::*;

use crate::layout::{self, Folder, Name, Phase, Staging};
use crate::{Digest, Durability, Local, Loss, Object, Store, StoreError, VerifiedReader};

fn staged_bytes_are_invisible_until_they_are_published(store: &dyn Store) {
    let (attempt, name) = (begin(store, "m0.a0"), layout::intermediate(0, 1));
    let digest = stage_object(store, &attempt, &name, b"word\n");
    assert!(matches!(store.open(&name), Err(StoreError::Lost { loss: Loss::Missing, .. })));
    assert!(store.intermediates().unwrap().is_empty());

    store.publish(&attempt, &name, digest).unwrap();
    check_content(store, &name, b"word\n");
    assert_eq!(store.intermediates().unwrap(), [(0, 1)]);
}

fn a_published_object_is_no_longer_staged(store: &dyn Store) {
    let (attempt, name) = (begin(store, "r0.a0"), layout::output(0));
    let digest = stage_object(store, &attempt, &name, b"word 1\n");
    store.publish(&attempt, &name, digest).unwrap();

    let again = store.verify_staged(&attempt, &name, digest);
    assert!(matches!(again, Err(StoreError::Gone { .. })), "{again:?}");
}

fn publishing_twice_is_publishing_once(store: &dyn Store) {
    let (attempt, name) = (begin(store, "r0.a0"), layout::output(0));
    let digest = stage_object(store, &attempt, &name, b"word 1\n");
    store.publish(&attempt, &name, digest).unwrap();
    store.publish(&attempt, &name, digest).unwrap();
    // Also after the rest of the attempt was discarded.
    store.discard(&attempt).unwrap();
    store.publish(&attempt, &name, digest).unwrap();
    check_content(store, &name, b"word 1\n");
}

fn publishing_nothing_over_other_bytes_is_refused(store: &dyn Store) {
    let name = layout::output(0);
    put(store, "r0.a0", &name, b"word 1\n");
    let attempt = begin(store, "r0.a1");

    // Other length; same length and other bytes; nothing there at all.
    for (name, reported) in
        [(&name, &b"words 1\n"[..]), (&name, b"word 2\n"), (&layout::output(1), b"word 1\n")]
    {
        let answer = store.publish(&attempt, name, Digest::of(reported));
        assert!(matches!(answer, Err(StoreError::Gone { .. })), "{answer:?}");
    }
    check_content(store, &name, b"word 1\n");
}

fn publishing_replaces_what_was_there(store: &dyn Store) {
    let name = layout::intermediate(0, 0);
    put(store, "m0.a0", &name, b"a longer object of an older job\n");
    put(store, "m0.a1", &name, b"word\n");
    check_content(store, &name, b"word\n");
    assert_eq!(store.intermediates().unwrap(), [(0, 0)]);
}

fn another_object_of_the_same_name_has_another_identity(store: &dyn Store) {
    let name = layout::output(0);
    assert_eq!(store.identify(&name).unwrap(), None);
    put(store, "r0.a0", &name, b"word 1\n");
    let first = store.identify(&name).unwrap();
    assert!(first.is_some_and(|first| first.bytes == 7), "{first:?}");
    assert_eq!(store.identify(&name).unwrap(), first);

    // An inode may be used again as soon as its file is gone.
    let opened = store.open(&name).unwrap();
    put(store, "r0.a1", &name, b"word 2\n");
    let second = store.identify(&name).unwrap();
    assert_ne!(second, first);
    drop(opened);
    store.remove(&name).unwrap();
    assert_eq!(store.identify(&name).unwrap(), None);
}

fn a_reader_keeps_the_bytes_it_opened(store: &dyn Store) {
    let name = layout::output(0);
    let old = put(store, "r0.a0", &name, b"old bytes\n");
    let opened = store.open(&name).unwrap();
    put(store, "r0.a1", &name, b"new\n");
    // If it were written in place, the reader would now see the new bytes.
    check_read(opened, old, b"old bytes\n");

    let opened = store.open(&name).unwrap();
    store.remove(&name).unwrap();
    check_read(opened, Digest::of(b"new\n"), b"new\n");
}

fn a_staged_object_of_the_wrong_length_is_not_published(store: &dyn Store) {
    let (attempt, name) = (begin(store, "r0.a0"), layout::output(0));
    stage_object(store, &attempt, &name, b"word 1\n");
    let answer = store.publish(&attempt, &name, Digest::of(b"word 10\n"));
    assert!(
        matches!(answer, Err(StoreError::Lost { loss: Loss::WrongLength { .. }, .. })),
        "{answer:?}"
    );
    assert!(matches!(store.open(&name), Err(StoreError::Lost { loss: Loss::Missing, .. })));
}

fn an_attempt_is_staged_once(store: &dyn Store) {
    let attempt = begin(store, "m0.a0");
    let name = layout::intermediate(0, 0);
    let digest = stage_object(store, &attempt, &name, b"word\n");

    let again = store.stage(&attempt);
    assert!(matches!(again, Err(StoreError::Begun { .. })), "{again:?}");
    let again = store.create(&attempt, &name, Durability::Verified).err();
    assert!(matches!(again, Some(StoreError::Begun { .. })), "{again:?}");
    // What was reported is still what is there.
    store.verify_staged(&attempt, &name, digest).unwrap();
    store.stage(&staging(JOB, "m0.a1")).unwrap();
    store.stage(&staging("job-2", "m0.a0")).unwrap();
}

fn nothing_is_created_in_an_attempt_that_was_not_staged(store: &dyn Store) {
    let attempt = staging(JOB, "m0.a0");
    let refusal = store.create(&attempt, &layout::output(0), Durability::Verified).err();
    assert!(matches!(refusal, Some(StoreError::Gone { .. })), "{refusal:?}");
}

fn a_discarded_attempt_leaves_nothing(store: &dyn Store) {
    let (attempt, name) = (begin(store, "m0.a0"), layout::intermediate(0, 0));
    let digest = stage_object(store, &attempt, &name, b"word\n");
    store.discard(&attempt).unwrap();
    store.discard(&attempt).unwrap();

    let answer = store.publish(&attempt, &name, digest);
    assert!(matches!(answer, Err(StoreError::Gone { .. })), "{answer:?}");
    assert!(store.intermediates().unwrap().is_empty());
    assert_eq!(store.sweep().unwrap(), 0);
}

fn discarding_keeps_what_was_published(store: &dyn Store) {
    let (attempt, kept, lost) =
        (begin(store, "m0.a0"), layout::intermediate(0, 0), layout::intermediate(0, 1));
    let digest = stage_object(store, &attempt, &kept, b"kept\n");
    stage_object(store, &attempt, &lost, b"lost\n");
    store.publish(&attempt, &kept, digest).unwrap();
    store.discard(&attempt).unwrap();
    check_content(store, &kept, b"kept\n");
    assert!(matches!(store.open(&lost), Err(StoreError::Lost { loss: Loss::Missing, .. })));
}

fn an_attempt_can_be_discarded_while_its_worker_writes(store: &dyn Store) {
    let (attempt, name) = (begin(store, "m0.a0"), layout::intermediate(0, 0));
    let mut open = store.create(&attempt, &name, Durability::Verified).unwrap();
    let other = layout::intermediate(0, 1);
    let mut paused = store.create(&attempt, &other, Durability::Verified).unwrap();
    open.append(b"word\n").unwrap();
    paused.pause();
    store.discard(&attempt).unwrap();

    // Whether a late append is refused or lost, it never becomes visible.
    if open.append(b"late\n").is_ok() {
        let _ = open.finish();
    }
    let late = paused.append(b"late\n");
    assert!(matches!(late, Err(StoreError::Gone { .. })), "{late:?}");
    let answer = store.publish(&attempt, &name, Digest::of(b"word\nlate\n"));
    assert!(matches!(answer, Err(StoreError::Gone { .. })), "{answer:?}");
    assert!(store.intermediates().unwrap().is_empty());
}

fn an_attempt_reads_again_what_it_has_finished(store: &dyn Store) {
    let attempt = begin(store, "r0.a0");
    let (one, other) = (layout::run(0), layout::run(1));
    let digest = stage_object(store, &attempt, &one, b"sorted\n");
    check_read(store.open_staged(&attempt, &one).unwrap(), digest, b"sorted\n");
    // Any number of times, and from no attempt but its own.
    check_read(store.open_staged(&attempt, &one).unwrap(), digest, b"sorted\n");
    let another = begin(store, "r0.a1");
    for (attempt, name) in [(&attempt, &other), (&another, &one)] {
        let missing = store.open_staged(attempt, name).err();
        assert!(matches!(missing, Some(StoreError::Gone { .. })), "{missing:?}");
    }
    assert!(matches!(store.open(&one), Err(StoreError::Lost { loss: Loss::Missing, .. })));
}

fn an_object_that_was_unstaged_is_no_longer_staged(store: &dyn Store) {
    let attempt = begin(store, "r0.a0");
    let (gone, kept) = (layout::run(0), layout::run(1));
    let digest = stage_object(store, &attempt, &gone, b"sorted\n");
    stage_object(store, &attempt, &kept, b"other\n");
    let opened = store.open_staged(&attempt, &gone).unwrap();
    store.unstage(&attempt, &gone).unwrap();
    store.unstage(&attempt, &gone).unwrap();

    let missing = store.open_staged(&attempt, &gone).err();
    assert!(matches!(missing, Some(StoreError::Gone { .. })), "{missing:?}");
    check_read(opened, digest, b"sorted\n");
    check_read(store.open_staged(&attempt, &kept).unwrap(), Digest::of(b"other\n"), b"other\n");
    store.discard(&attempt).unwrap();
    store.unstage(&attempt, &kept).unwrap();
    let missing = store.open_staged(&attempt, &kept).err();
    assert!(matches!(missing, Some(StoreError::Gone { .. })), "{missing:?}");
}

fn the_digest_is_that_of_what_was_appended(store: &dyn Store) {
    let attempt = begin(store, "m0.a0");
    for (bucket, durability) in [(0, Durability::Durable), (1, Durability::Verified)] {
        let name = layout::intermediate(0, bucket);
        let mut staged = store.create(&attempt, &name, durability).unwrap();
        for piece in ["1234", "", "56789"] {
            staged.append(piece.as_bytes()).unwrap();
        }
        let digest = staged.finish().unwrap();
        assert_eq!(digest, Digest { bytes: 9, crc32: 0xcbf4_3926 });
        store.verify_staged(&attempt, &name, digest).unwrap();
    }
}

fn appending_continues_after_a_pause(store: &dyn Store) {
    let attempt = begin(store, "m0.a0");
    for (bucket, durability) in [(0, Durability::Durable), (1, Durability::Verified)] {
        let name = layout::intermediate(0, bucket);
        let mut staged = store.create(&attempt, &name, durability).unwrap();
        staged.pause();
        for piece in ["one\n", "two\n", "three\n"] {
            staged.append(piece.as_bytes()).unwrap();
            staged.pause();
            staged.pause();
        }
        let digest = staged.finish().unwrap();
        store.publish(&attempt, &name, digest).unwrap();
        check_content(store, &name, b"one\ntwo\nthree\n");
    }
}

fn an_empty_object_is_an_object(store: &dyn Store) {
    let (attempt, name) = (begin(store, "m0.a0"), layout::intermediate(0, 0));
    let mut staged = store.create(&attempt, &name, Durability::Verified).unwrap();
    staged.pause();
    assert_eq!(staged.finish().unwrap(), Digest::default());
    store.publish(&attempt, &name, Digest::default()).unwrap();
    check_content(store, &name, b"");
}

fn a_staged_object_is_verified_in_full(store: &dyn Store) {
    let (attempt, name) = (begin(store, "r0.a0"), layout::output(0));
    let right = stage_object(store, &attempt, &name, b"word 1\n");
    let verify = |expected| store.verify_staged(&attempt, &name, expected);

    verify(right).unwrap();
    let found = verify(Digest::of(b"word 2\n"));
    assert!(matches!(found, Err(StoreError::Lost { loss: Loss::Corrupt { .. }, .. })), "{found:?}");
    let found = verify(Digest::of(b"word 11\n"));
    assert!(
        matches!(found, Err(StoreError::Lost { loss: Loss::WrongLength { .. }, .. })),
        "{found:?}"
    );
    let found = store.verify_staged(&attempt, &layout::output(1), Digest::default());
    assert!(matches!(found, Err(StoreError::Gone { .. })), "{found:?}");
}

fn damage_to_any_byte_is_noticed_by_the_reader(store: &dyn Store) {
    let name = layout::output(0);
    // A letter, the space, digits, the line ends, a NUL, bytes beyond ASCII; at the edges of
    // blocks.
    let written = b"word 17\na\0b 2\n\xc3\xa9t\xc3\xa9 3\n";
    let expected = put(store, "r1.a0", &name, written);
    for index in 0..written.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut damaged = written.to_vec();
            damaged[index] ^= flip;
            put(store, &format!("r{}.a{flip}", index + 2), &name, &damaged);
            match read(store, &name, expected) {
                Err(StoreError::Lost { name: named, loss }) => {
                    assert_eq!(named, name);
                    assert_eq!(loss, Loss::Corrupt { expected, found: Digest::of(&damaged) });
                }
                other => panic!("byte {index} ^ {flip:#x} went unnoticed: {other:?}"),
            }
        }
    }
}

fn an_object_cut_short_or_grown_is_noticed_by_the_reader(store: &dyn Store) {
    let name = layout::output(0);
    let written = b"word 17\nwords 3\n";
    let expected = Digest::of(written);
    for length in 0..written.len() {
        put(store, &format!("r0.a{length}"), &name, &written[..length]);
        let answer = read(store, &name, expected);
        assert!(
            matches!(answer, Err(StoreError::Lost { loss: Loss::WrongLength { .. }, .. })),
            "{length}: {answer:?}"
        );
    }
    put(store, "r1.a0", &name, b"word 17\nwords 3\n\n");
    let answer = read(store, &name, expected);
    assert!(
        matches!(answer, Err(StoreError::Lost { loss: Loss::WrongLength { .. }, .. })),
        "{answer:?}"
    );
}

fn a_reader_may_stop_before_the_end(store: &dyn Store) {
    let name = layout::output(0);
    let digest = put(store, "r0.a0", &name, b"word 17\nwords 3\n");
    let mut block = [0; 4];
    let mut reader = VerifiedReader::new(store.open(&name).unwrap(), digest, &mut block).unwrap();
    assert_eq!(reader.next_block().unwrap(), Some(&b"word"[..]));
}

fn an_object_that_was_removed_is_missing(store: &dyn Store) {
    let name = layout::output(4);
    put(store, "r4.a0", &name, b"word 1\n");
    store.remove(&name).unwrap();
    store.remove(&name).unwrap();
    match store.open(&name) {
        Err(StoreError::Lost { name: missing, loss: Loss::Missing }) => assert_eq!(missing, name),
        Err(other) => panic!("missing expected, not {other:?}"),
        Ok(_) => panic!("removed and still there"),
    }
}

fn a_sweep_removes_what_is_staged_of_all_jobs_and_nothing_else(store: &dyn Store) {
    let kept = layout::output(0);
    put(store, "r0.a0", &kept, b"word 1\n");
    let name = layout::intermediate(0, 0);
    let mut digest = Digest::default();
    for (job, attempt) in [("job-1", "m0.a0"), ("job-1", "m1.a0"), ("job-2", "m0.a0")] {
        let attempt = staging(job, attempt);
        store.stage(&attempt).unwrap();
        digest = stage_object(store, &attempt, &name, b"word\n");
    }
    // The three, and the one whose object was published.
    assert_eq!(store.sweep().unwrap(), 4);
    assert_eq!(store.sweep().unwrap(), 0);

    for (job, attempt) in [("job-1", "m0.a0"), ("job-1", "m1.a0"), ("job-2", "m0.a0")] {
        let answer = store.publish(&staging(job, attempt), &name, digest);
        assert!(matches!(answer, Err(StoreError::Gone { .. })), "{answer:?}");
    }
    check_content(store, &kept, b"word 1\n");
    // The store is as usable as before.
    put(store, "r0.a1", &kept, b"word 2\n");
}

fn intermediates_are_listed_in_ascending_order(store: &dyn Store) {
    assert!(store.intermediates().unwrap().is_empty());
    for (map, bucket) in [(10, 0), (9, 1), (0, 10), (0, 2), (100, 0)] {
        put(store, &format!("m{map}.a{bucket}"), &layout::intermediate(map, bucket), b"");
    }
    put(store, "r0.a0", &layout::output(0), b"");
    let expected = [(0, 2), (0, 10), (9, 1), (10, 0), (100, 0)];
    assert_eq!(store.intermediates().unwrap(), expected);
}

fn settling_is_safe_at_any_time(store: &dyn Store) {
    for folder in [Folder::Hidden, Folder::Intermediate, Folder::Output] {
        store.settle(folder).unwrap();
    }
    put(store, "r0.a0", &layout::output(0), b"word 1\n");
    store.settle(Folder::Output).unwrap();
    check_content(store, &layout::output(0), b"word 1\n");
}

#[test]
fn names_that_lead_out_of_the_store_cannot_be_made() {
    assert!(Name::parse("../escape").is_err());
    assert!(Name::parse("/escape").is_err());
    assert!(Name::parse(layout::journal().as_str()).is_err());
    let attempt = staging(JOB, "m0.a0");
    assert!(Staging::parse(&format!("{attempt}/..")).is_err());
    assert!(Staging::parse(&attempt.as_str().replace(JOB, "..")).is_err());
    assert_eq!(Staging::parse(attempt.as_str()), Ok(attempt));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_appended_is_read_back(
        pieces in prop::collection::vec((any::<Vec<u8>>(), any::<bool>()), 0..8),
        block_bytes in 1..200usize,
    ) {
        let root = tempfile::tempdir().unwrap();
        let store = Local::create(root.path()).unwrap();
        let (attempt, name) = (begin(&store, "m0.a0"), layout::intermediate(0, 0));
        let mut staged = store.create(&attempt, &name, Durability::Verified).unwrap();
        for (piece, is_paused) in &pieces {
            staged.append(piece).unwrap();
            if *is_paused {
                staged.pause();
            }
        }
        let digest = staged.finish().unwrap();
        store.publish(&attempt, &name, digest).unwrap();
        let expected = pieces.into_iter().flat_map(|(piece, _)| piece).collect::<Vec<_>>();
        let content = read_blocks(store.open(&name).unwrap(), digest, block_bytes).unwrap();
        prop_assert_eq!(content, expected);
    }
}

const JOB: &str = "6f1e-1";

/// Of an attempt that is written as it is in messages: `m3.a0`.
#[track_caller]
fn staging(session: &str, attempt: &str) -> Staging {
    let phase = if attempt.starts_with('m') { Phase::Map } else { Phase::Reduce };
    let (task, number) = attempt[1..].split_once(".a").expect("an attempt is `m3.a0`, or `r3.a0`");
    layout::staging(session, phase, task.parse().unwrap(), number.parse().unwrap())
}

#[track_caller]
fn begin(store: &dyn Store, attempt: &str) -> Staging {
    let staging = staging(JOB, attempt);
    store.stage(&staging).unwrap();
    staging
}

#[track_caller]
fn stage_object(store: &dyn Store, attempt: &Staging, name: &Name, bytes: &[u8]) -> Digest {
    let mut staged = store.create(attempt, name, Durability::Verified).unwrap();
    staged.append(bytes).unwrap();
    staged.finish().unwrap()
}

/// Stage and publish, in an attempt of its own.
#[track_caller]
fn put(store: &dyn Store, attempt: &str, name: &Name, bytes: &[u8]) -> Digest {
    let attempt = begin(store, attempt);
    let digest = stage_object(store, &attempt, name, bytes);
    store.publish(&attempt, name, digest).unwrap();
    digest
}

fn read(store: &dyn Store, name: &Name, expected: Digest) -> Result<Vec<u8>, StoreError> {
    read_blocks(store.open(name)?, expected, 5)
}

fn read_blocks(
    object: Box<dyn Object>,
    expected: Digest,
    block_bytes: usize,
) -> Result<Vec<u8>, StoreError> {
    let mut block = vec![0; block_bytes];
    let mut reader = VerifiedReader::new(object, expected, &mut block)?;
    let mut content = Vec::new();
    while let Some(bytes) = reader.next_block()? {
        content.extend_from_slice(bytes);
    }
    Ok(content)
}

#[track_caller]
fn check_read(object: Box<dyn Object>, expected: Digest, bytes: &[u8]) {
    assert_eq!(read_blocks(object, expected, 5).unwrap(), bytes);
}

#[track_caller]
fn check_content(store: &dyn Store, name: &Name, bytes: &[u8]) {
    assert_eq!(read(store, name, Digest::of(bytes)).unwrap(), bytes);
}

/// Every clause as a test of its own for [`Local`], each on a new store; and all clauses in a list,
/// for a store in another crate that includes this file.
macro_rules! clauses {
    ($($clause:ident)*) => {
        pub(crate) const CLAUSES: &[(&str, fn(&dyn Store))] =
            &[$((stringify!($clause), $clause)),*];

        mod local {
            $(#[test]
            fn $clause() {
                super::run_on_local(super::$clause);
            })*
        }
    };
}

fn run_on_local(clause: fn(&dyn Store)) {
    let root = tempfile::tempdir().unwrap();
    clause(&Local::create(root.path()).unwrap());
}

clauses! {
    a_discarded_attempt_leaves_nothing
    a_published_object_is_no_longer_staged
    a_reader_keeps_the_bytes_it_opened
    a_reader_may_stop_before_the_end
    a_staged_object_is_verified_in_full
    a_staged_object_of_the_wrong_length_is_not_published
    a_sweep_removes_what_is_staged_of_all_jobs_and_nothing_else
    an_attempt_can_be_discarded_while_its_worker_writes
    an_attempt_is_staged_once
    an_attempt_reads_again_what_it_has_finished
    an_empty_object_is_an_object
    an_object_cut_short_or_grown_is_noticed_by_the_reader
    an_object_that_was_removed_is_missing
    an_object_that_was_unstaged_is_no_longer_staged
    another_object_of_the_same_name_has_another_identity
    appending_continues_after_a_pause
    damage_to_any_byte_is_noticed_by_the_reader
    discarding_keeps_what_was_published
    intermediates_are_listed_in_ascending_order
    nothing_is_created_in_an_attempt_that_was_not_staged
    publishing_nothing_over_other_bytes_is_refused
    publishing_replaces_what_was_there
    publishing_twice_is_publishing_once
    settling_is_safe_at_any_time
    staged_bytes_are_invisible_until_they_are_published
    the_digest_is_that_of_what_was_appended
}
