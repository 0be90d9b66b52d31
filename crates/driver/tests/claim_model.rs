//! A model of the claim on a folder, of which every run is checked (model checking): any driver may
//! be frozen or killed at any step.
//!
//! The model is not the code: it is what drivers on several machines do to one folder that each has
//! mounted, in steps between which anything else can happen. When the code changes its order,
//! change it here first.
//!
//! Modelled: drivers that watch the claims, make one, list again, fence and sweep what earlier
//! epochs have left, begin their journal as a new file, check, publish, record, compare, record the
//! end, and release. Drivers of one job, which write the same bytes, and of several. `mkdir`,
//! `rename` and a listing are answered by the server; a mount may cache that a name is absent
//! (which matters where a rule is left out), and has locks of its own. Time passes in ticks of 2 s,
//! in which a holder that runs renews its claim. A frozen driver wakes at any later time; its
//! monotonic clock counts the pause, or does not. Wall clocks differ.
//!
//! What it shows is of two kinds:
//!
//! * Whatever the clocks do, a driver that was superseded changes nothing that counts, because its
//!   successor has removed what it would rename: the journal that it prepares in its claim, and
//!   what it has staged. A driver exits with 0 only after a listing that follows its last record.
//! * Where clocks count pauses, no claim is taken from a driver that renews it, and none is made
//!   during a batch unless a driver was frozen in that batch, or the claimant before its `mkdir`.
//!
//! Not modelled: what a crash leaves of a batch of several files (`model.rs`); power failures; what
//! a driver that is not a standby does: exit where the others wait; a renewal that fails with an
//! error, whose driver ends as if it were killed; a mount whose listing is not fresh.
//!
//! Bounds: two or three drivers, two outputs, and the luck of each test.

use claim_model::properties;
use claim_model::protocol::{Fault, Protocol, Start};
use claim_model::world::Luck;
use exploration::print;

mod claim_model {
    pub mod driver;
    pub mod properties;
    pub mod protocol;
    pub mod world;
}
mod exploration;

#[test]
fn frozen_driver_is_superseded_and_does_no_harm() {
    let luck = Luck { freezes: 2, ..NONE };
    check(&Protocol { luck, properties: properties::shows_takeovers, ..job(PAIR) });
}

#[test]
fn killed_driver_is_superseded_by_its_restart_or_by_another() {
    let luck = Luck { freezes: 1, kills: 1, restarts: 1, jumps: 0 };
    check(&Protocol { luck, properties: properties::shows_restarts, ..job(PAIR) });
}

#[test]
fn three_drivers_have_one_holder() {
    let luck = Luck { freezes: 1, kills: 1, ..NONE };
    check(&Protocol { luck, ..job(THREE) });
}

/// Clocks decide when a claim is taken, and nothing else.
#[test]
fn clock_that_pauses_with_its_machine_does_no_harm() {
    let luck = Luck { freezes: 2, ..NONE };
    let properties = properties::always;
    check(&Protocol { is_suspended: true, luck, properties, ..job(PAIR) });
}

#[test]
fn drivers_of_other_jobs_do_no_harm() {
    let luck = Luck { freezes: 2, ..NONE };
    check(&Protocol { luck, ..job(OTHERS) });
}

/// Known: a driver that is frozen just before it removes the outputs that an earlier job left
/// beyond its own may remove an output of the job that has taken over since. The driver of that job
/// finds it missing when it compares, unless it has compared already.
#[test]
fn driver_of_another_job_may_remove_an_output_that_it_does_not_have() {
    let luck = Luck { freezes: 1, ..NONE };
    let others = Protocol { has_leftovers: true, luck, ..job(OTHERS) };
    check(&Protocol { properties: properties::shows_foreign, ..others.clone() });
    show_shortest(&others, properties::REMOVAL, "known");
}

/// If any one of the rules is left out, a property is violated, and the model finds it. Next to
/// each rule are that property, and the smallest bounds in which it is violated.
#[test]
fn every_rule_breaks_a_property_when_it_is_left_out() {
    let freezes = |freezes| Luck { freezes, ..NONE };
    let jump = Luck { jumps: 1, ..NONE };
    for (fault, property, drivers, has_leftovers, luck) in [
        (Fault::Check, properties::BATCH, PAIR, false, freezes(1)),
        (Fault::List, properties::BATCH, PAIR, false, freezes(1)),
        (Fault::Mkdir, properties::ONCE, PAIR, false, NONE),
        (Fault::ListAgain, properties::ONCE, THREE, false, freezes(1)),
        (Fault::HighestStays, properties::ONCE, PAIR, false, NONE),
        (Fault::MonotonicClock, properties::HEALTHY, PAIR, false, jump),
        (Fault::LockOfSameMachine, properties::HEALTHY, PAIR, false, NONE),
        (Fault::Pause, properties::OVERLAP, PAIR, false, freezes(1)),
        (Fault::FenceBeforeRead, properties::ORDER, PAIR, false, freezes(1)),
        (Fault::DraftInClaim, properties::ORDER, PAIR, false, freezes(1)),
        (Fault::NewInode, properties::RECORD, PAIR, false, freezes(1)),
        (Fault::Sweep, properties::PUBLICATION, PAIR, false, freezes(1)),
        (Fault::CheckAfterReport, properties::READ, OTHERS, false, freezes(1)),
        (Fault::DoubtBeforeRemoval, properties::REMOVAL, OTHERS, false, freezes(1)),
        (Fault::ConfirmEnd, properties::ZERO, PAIR, false, freezes(1)),
        (Fault::Compare, properties::BYTES, OTHERS, true, freezes(1)),
    ] {
        let mut sound = Protocol { has_leftovers, luck, ..job(drivers) };
        if has_leftovers {
            sound.properties = properties::with_leftovers;
        }
        check(&sound);
        let (protocol, what) =
            (Protocol { fault: Some(fault), ..sound }, format!("without {fault:?}"));
        show_shortest(&protocol, property, &what);
    }
}

/// Prints the shortest way to violate `property`.
#[track_caller]
fn show_shortest(protocol: &Protocol, property: &'static str, what: &str) {
    let trace = exploration::shortest(protocol, property);
    let trace = trace.unwrap_or_else(|| panic!("{what} \"{property}\" holds"));
    print(&format!("{what}, after {} steps not \"{property}\":", trace.len()));
    for action in trace {
        print(&format!("    {action:?}"));
    }
}

fn job(drivers: &'static [Start]) -> Protocol {
    Protocol {
        drivers,
        has_leftovers: false,
        is_suspended: false,
        luck: NONE,
        fault: None,
        properties: properties::timed,
    }
}

#[track_caller]
fn check(protocol: &Protocol) {
    let Protocol { drivers, luck, .. } = protocol;
    exploration::check(protocol, &format!("{} drivers, {luck:?}", drivers.len()));
}

const NONE: Luck = Luck { freezes: 0, kills: 0, restarts: 0, jumps: 0 };

/// Two drivers of one job.
const PAIR: &[Start] =
    &[Start { job: 0, outputs: 1, machine: 0 }, Start { job: 0, outputs: 1, machine: 1 }];

const THREE: &[Start] = &[
    Start { job: 0, outputs: 1, machine: 0 },
    Start { job: 0, outputs: 1, machine: 0 },
    Start { job: 0, outputs: 1, machine: 1 },
];

/// Two jobs, of which the first has fewer outputs.
const OTHERS: &[Start] =
    &[Start { job: 0, outputs: 1, machine: 0 }, Start { job: 1, outputs: 2, machine: 1 }];
