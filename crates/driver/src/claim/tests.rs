//! How a claim is taken, kept and lost, on a clock that the tests move.

use std::cell::RefCell;
use std::ops::ControlFlow;

use store::ClaimState;

use super::memory::MemoryClaims;
use super::take::Taken;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A clock whose time passes in `sleep` alone, in which others act.
struct TestClock<'a> {
    now: RefCell<Instant>,
    others: Box<dyn Fn(Duration) + 'a>,
    began: Instant,
}

impl<'a> TestClock<'a> {
    /// `others` gets the time since the beginning.
    fn new(others: impl Fn(Duration) + 'a) -> Self {
        let began = Instant::now();
        Self { now: RefCell::new(began), others: Box::new(others), began }
    }

    fn alone() -> Self {
        Self::new(|_| {})
    }

    fn pass(&self, duration: Duration) {
        *self.now.borrow_mut() += duration;
    }

    fn elapsed(&self) -> Duration {
        self.now() - self.began
    }
}

impl BlockingClock for TestClock<'_> {
    fn now(&self) -> Instant {
        *self.now.borrow()
    }

    fn sleep(&self, duration: Duration) {
        self.pass(duration);
        (self.others)(self.elapsed());
    }
}

fn held(beat: u64) -> ClaimState {
    ClaimState::Held(Some(Beat(beat)))
}

fn take_with(
    claims: &Arc<MemoryClaims>,
    on_conflict: OnConflict,
    clock: &TestClock<'_>,
) -> Result<Taken, TakeError<Unwanted>> {
    let claims: Arc<dyn Claims> = Arc::clone(claims) as Arc<dyn Claims>;
    // A longer wait counts as forever.
    let mut waiting = |_: &Waiting| match clock.elapsed() < 300 * SECOND {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let ask = Ask { waiting: &mut waiting, is_wanted: &mut |_| Ok(()) };
    take(&claims, (&Holder::default(), 0), on_conflict, clock, ask)
}

/// Why a test does not want a claim.
#[derive(Debug)]
struct Unwanted;

#[track_caller]
fn epoch_of(taken: Result<Taken, TakeError<Unwanted>>) -> u64 {
    taken.unwrap_or_else(|error| panic!("{error:?}")).hold.epoch()
}

#[test]
fn claim_without_a_holder_is_taken_at_once() {
    for state in [ClaimState::Released, ClaimState::Dead] {
        let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
        assert_eq!(epoch_of(take_with(&claims, OnConflict::Refuse, &clock)), 1);
        claims.set(7, state);
        assert_eq!(epoch_of(take_with(&claims, OnConflict::Refuse, &clock)), 8);
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }
}

#[test]
fn claim_that_is_renewed_is_refused_as_soon_as_that_is_seen() {
    let claims = Arc::new(MemoryClaims::default());
    claims.set(3, held(5));
    let clock = TestClock::new(|elapsed| {
        if elapsed >= 2 * SECOND {
            claims.set(3, held(6));
        }
    });
    let refused = take_with(&claims, OnConflict::Refuse, &clock);
    let Err(TakeError::InUse(Some(holder))) = refused else { panic!("it is taken") };
    assert_eq!(holder.host, "h3");
    assert!(clock.elapsed() < 3 * SECOND);
}

#[test]
fn claim_that_is_not_renewed_for_ten_seconds_by_the_waiting_drivers_clock_is_taken() {
    let claims = Arc::new(MemoryClaims::default());
    claims.set(3, held(5));
    let clock = TestClock::alone();
    assert_eq!(epoch_of(take_with(&claims, OnConflict::Refuse, &clock)), 4);
    assert!((10 * SECOND..11 * SECOND).contains(&clock.elapsed()), "{:?}", clock.elapsed());

    // One that died before its first beat.
    claims.set(5, ClaimState::Held(None));
    let clock = TestClock::alone();
    assert_eq!(epoch_of(take_with(&claims, OnConflict::Refuse, &clock)), 6);
    assert!(clock.elapsed() >= 10 * SECOND);
}

#[test]
fn standby_waits_as_long_as_the_claim_is_renewed() {
    for (end, delay) in [(Some(ClaimState::Released), 0), (Some(ClaimState::Dead), 0), (None, 10)] {
        let claims = Arc::new(MemoryClaims::default());
        claims.set(3, held(0));
        let clock = TestClock::new(|elapsed| match end {
            _ if elapsed < 60 * SECOND => claims.set(3, held(elapsed.as_secs() / 2)),
            Some(end) if claims.state(4).is_none() => claims.set(3, end),
            Some(_) | None => {}
        });
        let taken = take_with(&claims, OnConflict::StandBy, &clock);
        let taken = taken.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(taken.hold.epoch(), 4);
        assert!(taken.has_waited);
        // The last beat was seen two seconds before the end, at most.
        let due = (58 + delay) * SECOND;
        assert!((due..due + 3 * SECOND).contains(&clock.elapsed()), "{:?}", clock.elapsed());
    }
}

#[test]
fn driver_that_was_slow_to_claim_gives_back_an_epoch_below_the_highest() {
    let claims = Arc::new(MemoryClaims::default());
    *claims.claimed_meanwhile.lock().unwrap() = Some(9);
    let clock = TestClock::new(|elapsed| claims.set(9, held(elapsed.as_millis() as u64)));

    let taken = take_with(&claims, OnConflict::Refuse, &clock);

    assert!(matches!(taken, Err(TakeError::InUse(_))));
    assert_eq!(claims.state(1), None, "given back");
}

/// All claims were removed, and another driver has begun with the first epoch again.
#[test]
fn claim_of_the_same_epoch_that_another_driver_has_made_is_no_claim_of_this_one() {
    let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
    let hold = hold(&claims, &clock);
    assert_eq!(hold.check(&clock), Ok(()));
    claims.remade.lock().unwrap().insert(1);
    let before = claims.state(1);

    assert_eq!(hold.check(&clock), Err(ClaimLost::Removed));
    assert_eq!(hold.renew(&clock), Err(ClaimLost::Removed));
    hold.release();
    assert_eq!(claims.state(1), before, "the claim of the other is not released");
}

/// It was silent, and may be only paused: a claim would stop it.
#[test]
fn driver_that_is_silent_is_not_stopped_for_a_claim_that_is_not_wanted() {
    let claims = Arc::new(MemoryClaims::default());
    claims.set(3, held(7));
    let mut asked = Vec::new();
    let ask = Ask {
        waiting: &mut |_| ControlFlow::Continue(()),
        is_wanted: &mut |epoch| {
            asked.push(epoch);
            Err(Unwanted)
        },
    };
    let dynamic = Arc::clone(&claims) as Arc<dyn Claims>;
    let taking = (&Holder::default(), 0);

    let taken = take(&dynamic, taking, OnConflict::Refuse, &TestClock::alone(), ask);

    assert!(matches!(taken, Err(TakeError::Unwanted(Unwanted))));
    assert_eq!(asked, [3]);
    assert_eq!(claims.list().unwrap(), [3]);
}

#[test]
fn wait_ends_when_its_caller_breaks_it_off() {
    let claims = Arc::new(MemoryClaims::default());
    claims.set(3, held(0));
    let clock = TestClock::new(|elapsed| claims.set(3, held(elapsed.as_secs())));
    assert!(matches!(take_with(&claims, OnConflict::StandBy, &clock), Err(TakeError::Stopped)));
}

/// A claim of epoch 1.
fn hold(claims: &Arc<MemoryClaims>, clock: &TestClock<'_>) -> Hold {
    take_with(claims, OnConflict::Refuse, clock).unwrap_or_else(|error| panic!("{error:?}")).hold
}

#[test]
fn check_finds_a_later_epoch_and_a_claim_that_is_gone() {
    let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
    let hold = hold(&claims, &clock);
    assert_eq!(hold.check(&clock), Ok(()));
    claims.set(2, held(0));
    let lost = hold.check(&clock).unwrap_err();
    assert_eq!(lost.to_string(), "another driver took over (process 0 on h2)");
    // It is lost for good, and not released: it is not the highest.
    claims.remove(2).unwrap();
    assert_eq!(hold.check(&clock), Err(lost.clone()));
    assert_eq!(hold.renew(&clock), Err(lost));
    hold.release();
    assert_ne!(claims.state(1), Some(ClaimState::Released));

    let claims = Arc::new(MemoryClaims::default());
    let hold = self::hold(&claims, &clock);
    claims.remove(1).unwrap();
    assert_eq!(hold.check(&clock), Err(ClaimLost::Removed));
}

#[test]
fn driver_that_was_stopped_commits_only_after_it_has_renewed_its_claim_and_waited() {
    let claims = Arc::new(MemoryClaims::default());
    let clock = TestClock::alone();
    let hold = hold(&claims, &clock);
    clock.pass(7 * SECOND);
    assert_eq!(hold.check(&clock), Ok(()), "it is not stale yet");
    assert_eq!(clock.elapsed(), 7 * SECOND);

    clock.pass(30 * SECOND);
    let stopped_until = clock.elapsed();
    let renewing = |elapsed: Duration| {
        if elapsed >= stopped_until + SECOND && claims.state(1) == Some(held(0)) {
            let renewal = TestClock {
                began: clock.began,
                now: RefCell::new(clock.began + elapsed),
                others: Box::new(|_| {}),
            };
            hold.renew(&renewal).unwrap();
        }
    };
    let resumed = TestClock {
        began: clock.began,
        now: RefCell::new(clock.now()),
        others: Box::new(renewing),
    };
    assert_eq!(hold.check(&resumed), Ok(()));
    assert!(resumed.elapsed() >= stopped_until + SECOND + SETTLE, "{:?}", resumed.elapsed());
}

#[test]
fn driver_that_was_stopped_and_superseded_ends() {
    let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
    let hold = hold(&claims, &clock);
    clock.pass(30 * SECOND);
    claims.set(2, held(0));
    let clock = TestClock {
        began: clock.began,
        now: clock.now,
        others: Box::new(|_| {
            let _ = hold.renew(&TestClock::alone());
        }),
    };
    assert!(matches!(hold.check(&clock), Err(ClaimLost::TakenOver { .. })));
}

#[test]
fn driver_that_was_superseded_waits_for_the_name_of_its_successor() {
    let unnamed = ClaimLost::TakenOver { by: None };
    for (names_itself, text) in [(true, " (process 0 on h2)"), (false, "")] {
        let claims = Arc::<MemoryClaims>::default();
        let clock = TestClock::new(|elapsed| {
            if names_itself && elapsed >= SECOND {
                claims.set(2, held(0));
            }
        });
        let hold = hold(&claims, &clock);
        claims.set_unnamed(2);

        let lost = hold.check(&clock).unwrap_err();
        assert_eq!(lost, unnamed);
        let named = hold.named(lost, &clock);
        assert_eq!(named.to_string(), format!("another driver took over{text}"));
        assert!(clock.elapsed() <= NAMED_WITHIN + CHECK_EVERY);
    }
}

#[test]
fn claim_that_cannot_be_renewed_is_lost_after_eight_seconds() {
    let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
    let hold = hold(&claims, &clock);
    *claims.is_broken.lock().unwrap() = true;
    assert_eq!(hold.renew(&clock), Ok(()));
    clock.pass(7 * SECOND);
    assert_eq!(hold.renew(&clock), Ok(()));
    clock.pass(SECOND);
    let lost = hold.renew(&clock).unwrap_err();
    assert_eq!(hold.check(&clock), Err(lost.clone()));
    let expected = "this driver could not renew its claim for 8 s (cannot list claims: injected), \
                    so another may have taken over";
    assert_eq!(lost.to_string(), expected);
}

#[test]
fn store_that_fails_for_a_while_only_delays() {
    let claims = Arc::new(MemoryClaims::default());
    let clock = TestClock::new(|elapsed| *claims.is_broken.lock().unwrap() = elapsed < 3 * SECOND);
    *claims.is_broken.lock().unwrap() = false;
    let hold = hold(&claims, &clock);
    *claims.is_broken.lock().unwrap() = true;
    assert_eq!(hold.check(&clock), Ok(()));
    assert!(clock.elapsed() >= 3 * SECOND);
}

#[test]
fn epoch_is_above_that_of_the_journal_and_earlier_claims_are_removed() {
    let (claims, clock) = (Arc::new(MemoryClaims::default()), TestClock::alone());
    claims.set(2, ClaimState::Released);
    let dynamic = Arc::clone(&claims) as Arc<dyn Claims>;
    let mut waiting = |_: &Waiting| ControlFlow::Break(());
    let holder = Holder::default();
    let ask = Ask { waiting: &mut waiting, is_wanted: &mut |_| Err(Unwanted) };
    let taken = take(&dynamic, (&holder, 5), OnConflict::Refuse, &clock, ask);
    let hold = taken.unwrap_or_else(|error| panic!("{error:?}")).hold;
    assert_eq!(hold.epoch(), 6);
    hold.remove_earlier().unwrap();
    assert_eq!(claims.list().unwrap(), [6]);
    hold.renew(&clock).unwrap();
    hold.release();
    assert_eq!(claims.state(6), Some(ClaimState::Released));
}

#[test]
fn dropped_claim_is_released() {
    let claims = Arc::new(MemoryClaims::default());
    let claimed = Claimed::new(memory::hold(&claims)).unwrap();
    assert_eq!(claims.state(1), Some(held(0)));
    drop(claimed);
    assert_eq!(claims.state(1), Some(ClaimState::Released));
}
