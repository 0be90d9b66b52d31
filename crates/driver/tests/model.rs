//! The commit protocol as a model, of which every run is checked: any process may die at any step.
//!
//! The model is not the code: it is what `committer.rs`, `driver.rs`, `recovery.rs`, the crate
//! `journal`, and the worker's `attempt.rs` and `worker.rs` send to each other and do to the
//! folder, in steps between which anything else can happen. When one of them changes its order,
//! change it here first.
//!
//! Modelled: a driver that grants attempts, revokes leases at any time, accepts reports, and
//! commits (check a file, rename it, the next, sync the folder, write the record, sync it, answer;
//! two tasks in one batch); that dies between any two of these steps, or with the power, which may
//! or may not keep what was not synced; that restarts, sweeps, raises its epoch, and accepts the
//! records whose names are there. Workers that create their staging, write, report until they are
//! answered, learn that they are no longer needed, die. A network in which reports and assignments
//! stay after they have arrived, so that each may arrive late, twice, or in another order. Only the
//! answer to a report belongs to its call, as in gRPC.
//!
//! Not modelled, because it adds nothing new:
//!
//! * Loss: a message that is never delivered is lost. (As an action of its own it made the worlds
//!   20 times as many.)
//! * A worker that is stopped and resumes later, the zombie: it is one that takes no step for as
//!   long. Nor heartbeats: what they would report, driver and worker may find out at any time.
//! * Staging that the driver has not removed yet after an attempt has ended. Its name is never used
//!   again, so only its own late worker could notice.
//! * What workers do after the end: they have nothing but their staging.
//!
//! Not modelled, because other tests check it: disks that are full or fail (`committer/tests.rs`),
//! torn and damaged records (the crate `journal`), intermediates that are lost, and their map
//! task's second record (the scheduler's `lost_*.txt`), two drivers (`claim_model.rs`), jobs that
//! failed and are resumed; and which of two racing attempts wins (the scheduler's `backup_*.txt`):
//! a superseded attempt is as one whose lease was revoked.
//!
//! Bounds: two workers, two epochs of the driver, and those of each test. A run that has become too
//! large ends at a number of worlds: the checker reads its time limit only when it shares work
//! between threads.

use exploration::print;
use model::claims;
use model::protocol::{Action, Fault, Kind, Protocol};
use model::world::Luck;

mod exploration;
mod model {
    pub mod claims;
    pub mod driver;
    pub mod protocol;
    pub mod worker;
    pub mod world;
}

/// One task deep: it may be attempted four times.
#[test]
fn one_task_is_committed_once_despite_crashes() {
    let luck = Luck { driver_crashes: 1, worker_crashes: 1, repeats: 0 };
    check(&Protocol { attempts: 2, luck, shows: claims::shows_crashes, ..job(&[Kind::Reduce]) });
}

/// Two tasks, one of which reads the files of the other.
#[test]
fn reduce_reads_what_its_map_has_on_record_despite_crashes() {
    let luck = Luck { driver_crashes: 1, worker_crashes: 1, repeats: 1 };
    let shows = claims::shows_crashes_of_maps;
    check(&Protocol { luck, shows, ..job(&[Kind::Map, Kind::Reduce]) });
}

/// Two tasks side by side.
#[test]
fn two_tasks_are_committed_with_one_sync_or_not_at_all() {
    let luck = Luck { driver_crashes: 1, worker_crashes: 0, repeats: 0 };
    check(&Protocol { luck, shows: claims::shows_batches, ..job(&[Kind::Map, Kind::Map]) });
}

#[test]
fn repeated_assignment_does_no_harm() {
    let luck = Luck { driver_crashes: 0, worker_crashes: 0, repeats: 1 };
    let tasks = &[Kind::Map, Kind::Reduce];
    check(&Protocol { attempts: 2, luck, shows: claims::shows_repeats, ..job(tasks) });
}

/// Without any one of the rules the results are wrong, and the model finds it. Next to each rule
/// stands the claim that breaks, and the smallest bounds in which it does.
#[test]
fn every_rule_breaks_a_claim_when_it_is_left_out() {
    let none = Luck { driver_crashes: 0, worker_crashes: 0, repeats: 0 };
    let crash = Luck { driver_crashes: 1, ..none };
    let repeats = |repeats| Luck { repeats, ..none };
    let reduce: &[Kind] = &[Kind::Reduce];
    let both: &[Kind] = &[Kind::Map, Kind::Reduce];
    for (fault, claim, tasks, attempts, luck) in [
        (Fault::DriverPublishes, claims::WINNER, reduce, 2, none),
        (Fault::Fence, claims::WINNER, reduce, 2, none),
        (Fault::NamesBeforeRecord, claims::READ, both, 1, crash),
        (Fault::NewEpoch, claims::HALF, reduce, 1, crash),
        (Fault::NewStaging, claims::HALF, reduce, 1, repeats(1)),
        (Fault::RecordBeforeAnswer, claims::ACCEPTED, reduce, 1, crash),
        (Fault::Settle, claims::HALF, reduce, 1, crash),
        (Fault::ExistingIsForeign, claims::HALF, reduce, 1, repeats(2)),
    ] {
        let sound = Protocol { attempts, luck, ..job(tasks) };
        check(&sound);
        let trace = shortest(&Protocol { fault: Some(fault), ..sound }, claim);
        print(&format!("without {fault:?}, after {} steps not \"{claim}\":", trace.len()));
        for action in trace {
            print(&format!("    {action:?}"));
        }
    }
}

fn job(tasks: &'static [Kind]) -> Protocol {
    let luck = Luck { driver_crashes: 0, worker_crashes: 0, repeats: 0 };
    Protocol { tasks, attempts: 1, luck, fault: None, shows: Vec::new }
}

#[track_caller]
fn check(protocol: &Protocol) {
    let Protocol { tasks, attempts, luck, .. } = protocol;
    exploration::check(protocol, &format!("{tasks:?}, {attempts} attempts, {luck:?}"));
}

/// The shortest way to break `claim`.
#[track_caller]
fn shortest(protocol: &Protocol, claim: &'static str) -> Vec<Action> {
    let shortest = exploration::shortest(protocol, claim);
    shortest.unwrap_or_else(|| panic!("without {:?} \"{claim}\" holds", protocol.fault))
}
