//! The rules of admission, one by one.

use rpc::Role;

use super::*;

fn admission() -> Admission {
    let mut last = 1000;
    Admission::new(Box::new(move || {
        last += 1;
        Some(last)
    }))
}

fn anyone() -> Peer {
    Peer { identity: Identity::Anyone, address: Some(([127, 0, 0, 1], 4242).into()) }
}

fn holder_of(name: &str) -> Peer {
    let identity = Identity::Certified { role: Role::Worker, name: name.to_owned() };
    Peer { identity, address: None }
}

fn at(seconds: u64) -> Time {
    Time(Duration::from_secs(seconds))
}

fn instance(number: u64) -> [u8; 16] {
    u128::from(number).to_le_bytes()
}

fn admit(
    admission: &mut Admission,
    now: Time,
    peer: &Peer,
    number: u64,
) -> Result<Admitted, Refusal> {
    admission.admit(now, peer, instance(number), |_| true).map_err(|denial| denial.refusal)
}

#[test]
fn certificate_grants_its_name_and_what_begins_with_it() {
    for (name, is_own) in [
        ("w7", true),
        ("w7:", true),
        ("w7:host:123", true),
        ("", false),
        ("w", false),
        ("w70", false),
        ("W7", false),
        ("w7.host", false),
        (" w7", false),
        ("host:w7", false),
    ] {
        let checked = admission().check_name(at(0), &holder_of("w7"), name);
        assert_eq!(checked.is_ok(), is_own, "{name:?}: {checked:?}");
        for identity in [Identity::Anyone, Identity::Bearer] {
            let peer = Peer { identity, address: None };
            assert_eq!(admission().check_name(at(0), &peer, name), Ok(()), "{name:?}");
        }
    }
}

#[test]
fn worker_that_registers_again_keeps_its_number_and_its_id() {
    let mut admission = admission();
    let one = admit(&mut admission, at(0), &anyone(), 1).unwrap();
    let other = admit(&mut admission, at(0), &anyone(), 2).unwrap();

    assert_eq!((one.worker, other.worker), (WorkerId(0), WorkerId(1)));
    assert_ne!(one.id, other.id);
    assert_eq!(admit(&mut admission, at(9), &anyone(), 1), Ok(one));
    assert_eq!(admission.identify(at(9), &anyone(), one.id), Ok(Some(one.worker)));
    assert_eq!(admission.identify(at(9), &anyone(), 1), Ok(None));
}

#[test]
fn id_is_drawn_again_when_it_is_taken() {
    let mut drawn = [5, 5, 5, 6].into_iter();
    let mut admission = Admission::new(Box::new(move || drawn.next()));
    let ids = [1, 2].map(|number| admit(&mut admission, at(0), &anyone(), number).unwrap().id);

    assert_eq!(ids, [5, 6]);
    // No worker is admitted without one.
    assert!(matches!(admit(&mut admission, at(0), &anyone(), 3), Err(Refusal::Busy { .. })));
}

#[test]
fn id_and_instance_belong_to_the_identity_that_registered_them() {
    for other in [anyone(), holder_of("w2"), Peer { identity: Identity::Bearer, address: None }] {
        let mut admission = admission();
        let owner = admit(&mut admission, at(0), &holder_of("w1"), 1).unwrap();

        let called = admission.identify(at(0), &other, owner.id).unwrap_err();
        assert_eq!(called.refusal, Refusal::Denied { reason: Violation::Id.to_string() });
        let registered = admit(&mut admission, at(0), &other, 1).unwrap_err();
        assert_eq!(registered, Refusal::Denied { reason: Violation::Instance.to_string() });

        assert_eq!(admission.violations(), 2);
        assert_eq!(admission.identify(at(0), &holder_of("w1"), owner.id), Ok(Some(owner.worker)));
    }
}

#[test]
fn third_violation_shuts_out_and_not_the_second() {
    let attempt = "m0.a0";
    let violation = || Violation::Attempt(AttemptId { task: scheduler::TaskId::map(0), number: 0 });
    let mut admission = admission();
    let violator = admit(&mut admission, at(0), &anyone(), 1).unwrap();
    let same_address = admit(&mut admission, at(0), &anyone(), 2).unwrap();
    for count in 1..=2 {
        let denial = admission.note_violation(at(0), violator.worker, "w0 (a)", violation());
        assert!(denial.excluded.is_empty(), "after {count} violations");
        let Refusal::Denied { reason } = denial.refusal else { panic!("a violation is denied") };
        assert!(reason.starts_with(attempt), "{reason}");
        assert_eq!(admission.identify(at(0), &anyone(), violator.id), Ok(Some(violator.worker)));
    }

    assert_eq!(
        admission.note_violation(at(0), violator.worker, "w0 (a)", violation()).excluded,
        [violator.worker]
    );
    // No worker is excluded twice.
    assert!(
        admission.note_violation(at(0), violator.worker, "w0 (a)", violation()).excluded.is_empty()
    );

    assert_eq!(admission.identify(at(0), &anyone(), violator.id).unwrap_err().refusal, exclusion());
    assert_eq!(admit(&mut admission, at(0), &anyone(), 1), Err(exclusion()));
    // Its address is that of others as well.
    let identified = admission.identify(at(0), &anyone(), same_address.id);
    assert_eq!(identified, Ok(Some(same_address.worker)));
    assert!(admit(&mut admission, at(0), &anyone(), 3).is_ok());
}

#[test]
fn violations_count_for_the_certificate_except_those_of_a_broken_machine() {
    let attempt = AttemptId { task: scheduler::TaskId::map(0), number: 0 };
    let mut admission = admission();
    let [one, other] =
        [1, 2].map(|number| admit(&mut admission, at(0), &holder_of("w1"), number).unwrap().worker);
    let staged = || Violation::Staged(attempt, "it is too short".to_owned());
    for _ in 0..2 {
        assert!(admission.note_violation(at(0), one, "w0", staged()).excluded.is_empty());
        assert!(admission.note_violation(at(0), other, "w1", staged()).excluded.is_empty());
    }
    assert_eq!(admission.note_violation(at(0), one, "w0", staged()).excluded, [one]);
    assert_eq!(admission.check_name(at(0), &holder_of("w1"), "w1"), Ok(()));

    assert!(
        admission.note_violation(at(0), one, "w0", Violation::Attempt(attempt)).excluded.is_empty()
    );
    assert!(
        admission
            .note_violation(at(0), other, "w1", Violation::Report(attempt))
            .excluded
            .is_empty()
    );
    let denial = admission.check_name(at(0), &holder_of("w1"), "w2").unwrap_err();
    assert_eq!(denial.excluded, [one, other]);
    assert_eq!(
        admission.check_name(at(0), &holder_of("w1"), "w1").unwrap_err().refusal,
        exclusion()
    );
    // The worker whose name it used is not affected.
    assert_eq!(admission.check_name(at(0), &holder_of("w2"), "w2"), Ok(()));
}

/// 10,000 at once, twice: killed, and back before the driver knows that they were dead.
#[test]
fn large_fleet_may_register_at_once() {
    let mut admission = admission();
    for number in 0..20_000 {
        assert!(
            admit(&mut admission, at(0), &holder_of("fleet"), number).is_ok(),
            "worker {number}"
        );
    }
}

#[test]
fn workers_beyond_any_fleet_are_turned_away_and_other_identities_are_not() {
    let mut admission = admission();
    let admitted =
        (0..100_000).filter(|&it| admit(&mut admission, at(0), &anyone(), it).is_ok()).count();
    assert_eq!(admitted, 20_000);
    let refusal = admit(&mut admission, at(1), &anyone(), 100_000).unwrap_err();
    let reason = "there are too many workers already".to_owned();
    assert_eq!(refusal, Refusal::Busy { reason });

    assert!(admit(&mut admission, at(1), &holder_of("w1"), 200_000).is_ok());
    assert_eq!(admission.violations(), 0);
}

#[test]
fn registrations_above_the_rate_limit_are_told_to_retry() {
    let mut admission = admission();
    // Every worker dies at once.
    let mut register = |seconds, number| {
        admission
            .admit(at(seconds), &anyone(), instance(number), |_| false)
            .map_err(|denial| denial.refusal)
    };
    for number in 0..u64::from(REGISTRATIONS_BURST) {
        assert!(register(0, number).is_ok());
    }
    let reason = "too many new workers register at once".to_owned();
    assert_eq!(register(0, 1 << 32), Err(Refusal::Busy { reason }));
    let later = (0..1000).filter(|number| register(3, (1 << 33) + number).is_ok()).count();
    assert_eq!(later, 3 * REGISTRATIONS_A_SECOND as usize);
}

/// Workers that are killed and started anew, for two hours: none has to wait, and memory does not
/// grow.
#[test]
fn fleet_that_is_killed_for_hours_is_never_turned_away() {
    const ALIVE: u64 = 500;
    let mut admission = admission();
    let mut number = 0;
    for second in 0..7200 {
        for _ in 0..30 {
            let admitted = admission
                .admit(at(second), &anyone(), instance(number), |worker| worker.0 + ALIVE > number);
            assert!(admitted.is_ok(), "worker {number} after {second} s");
            number += 1;
        }
        assert!(admission.registrations.len() <= WORKERS_OF_ONE_IDENTITY_MAX);
    }
    assert_eq!(admission.by_id.len(), admission.registrations.len());
    assert_eq!(admission.by_instance.len(), admission.registrations.len());
    assert_eq!(admission.standings[&Identity::Anyone].workers, admission.registrations.len());
    assert_eq!(admission.next, WorkerId(number));
}
