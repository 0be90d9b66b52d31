//! Whole jobs under simulation: the real driver and the real workers, and a seed that decides which
//! faults strike.

mod check;
mod claims;
mod connections;
#[path = "../../../store/src/contract.rs"]
#[allow(clippy::unwrap_used, reason = "it is a file of tests, in its own crate")]
mod contract;
mod disk;
mod drivers;
mod faults;
mod fleet;
mod freezer;
mod lockstep;
mod oracle;
mod panics;
mod plan;
mod planted;
mod random;
mod report;
mod shared_store;
mod trace;
mod world;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use disk::Sync;
use faults::EVERY_FAULT;
use random::Random;
use report::{DriverCounts, Fault, Report, Total};
use shared_store::{Mistakes, SharedStore, User};
// What the contract finds at the top of its own crate.
use store::{Digest, Durability, Local, Loss, Object, Store, StoreError, VerifiedReader, layout};
use world::Setting;

/// All faults of networks, processes, disks and the store; each really strikes.
#[test]
fn no_fault_costs_a_word_or_the_end_of_the_job() {
    let _alone = one_at_a_time();
    let first = from_environment("MAPMILL_SEED").unwrap_or_else(|| {
        let random = RandomState::new().hash_one(());
        random % 1_000_000_000
    });
    let count = from_environment("MAPMILL_SEEDS").unwrap_or(SEEDS);
    say(&format!("to see this again: MAPMILL_SEED={first} MAPMILL_SEEDS={count}"));
    let seeds: Vec<u64> = (first..first + count).collect();

    let reports = fleet::simulate_all(&seeds, &everything());

    hold(&reports);
    let total = Total::of(&reports);
    say(&total.to_string());
    if count >= SEEDS {
        for fault in EVERY_FAULT {
            assert!(total.strikes.0.contains_key(&fault), "{fault:?} never struck");
        }
        assert!(total.stale_reports > 0, "no report ever came too late");
        let DriverCounts { starts, takeovers, superseded, not_needed } = total.drivers;
        assert!(starts > total.jobs, "no driver ever resumed a job");
        assert!(takeovers > 0, "no driver ever took over from one on another machine");
        assert!(superseded > 0, "no driver was ever superseded");
        assert!(not_needed > 0, "no driver ever stood by to the end of the job");
        assert!(total.runs_read > 1000, "no worker had too little memory for its words");
        assert!(total.struck >= STRUCK_MIN, "most jobs were over before much went wrong: {total}");
    }
}

/// How many jobs are simulated by default, and how many of them must be struck by many kinds of
/// faults. A third ends before.
const SEEDS: u64 = 800;
const STRUCK_MIN: u64 = 500;

/// Seeds that once found something. They mean something else as soon as the simulation draws its
/// random numbers in another order, and cost nothing then.
#[test]
fn seeds_that_once_found_a_defect_find_none() {
    let _alone = one_at_a_time();
    let kept = include_str!("kept-seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds = kept.filter_map(|line| line.split_whitespace().next());
    let seeds: Vec<u64> =
        seeds.map(|seed| seed.parse().expect("a line begins with a seed")).collect();

    hold(&fleet::simulate_all(&seeds, &everything()));
}

#[test]
fn same_seed_gives_the_same_trace() {
    let _alone = one_at_a_time();
    let seeds: Vec<u64> = (1..=12).collect();
    // The two threads do not share the seeds in the same way twice.
    let (once, again) =
        (fleet::simulate_all(&seeds, &everything()), fleet::simulate_all(&seeds, &everything()));

    let mut traces = BTreeSet::new();
    for (once, again) in once.iter().zip(&again) {
        let difference = once.log.iter().zip(&again.log).find(|(once, again)| once != again);
        assert_eq!(once.trace, again.trace, "seed {}: {difference:?}", once.seed);
        assert_eq!(once.virtual_time, again.virtual_time, "seed {}", once.seed);
        traces.insert(once.trace);
    }
    assert_eq!(traces.len(), seeds.len(), "seeds that differ give traces that differ");
}

/// The driver's machine loses its power, again and again.
#[test]
fn no_power_failure_undoes_what_the_journal_has_recorded() {
    let _alone = one_at_a_time();
    let seeds: Vec<u64> = (1..=200).collect();

    let reports = fleet::simulate_all(&seeds, &power_failures(BTreeSet::new()));

    hold(&reports);
    say(&Total::of(&reports).to_string());
}

#[test]
fn every_sync_of_the_journal_is_missed_when_it_is_left_out() {
    let _alone = one_at_a_time();
    let seeds: Vec<u64> = (1..=200).collect();
    for (sync, consequence) in [
        (Sync::File, "not its first record"),
        (Sync::Folder, "tasks were committed"),
        (Sync::Append, "tasks were committed"),
    ] {
        let setting = power_failures(BTreeSet::from([sync]));

        let found = fleet::search(&seeds, &setting, consequence);

        let found = found.unwrap_or_else(|| panic!("the sync of {sync:?} is not missed"));
        say(&format!("without the sync of {sync:?}, seed {}: {:?}", found.seed, found.findings));
    }
}

/// Without faults it keeps what every store promises.
#[test]
fn simulated_store_is_held_to_the_contract_of_all_stores() {
    for (clause, check) in contract::CLAUSES {
        say(clause);
        check(&*SharedStore::new(&Random::new(1), 0, Mistakes::default()).seen_by(User::Driver));
    }
}

fn everything() -> Setting {
    Setting { faults: EVERY_FAULT.to_vec(), ..Setting::default() }
}

fn power_failures(left_out: BTreeSet<Sync>) -> Setting {
    let faults = vec![Fault::CutPower, Fault::CutPower, Fault::CutPower, Fault::StoppedWorker];
    Setting { faults, left_out, ..Setting::default() }
}

#[track_caller]
fn hold(reports: &[Report]) {
    let bad: Vec<&Report> = reports.iter().filter(|report| !report.findings.is_empty()).collect();
    let seeds: Vec<u64> = bad.iter().map(|report| report.seed).collect();
    let reports: String = bad.iter().take(3).map(|report| report.text()).collect();
    assert!(
        bad.is_empty(),
        "these seeds went wrong: {seeds:?} (one alone: MAPMILL_SEED={} MAPMILL_SEEDS=1; keep it in \
         kept-seeds.txt)\n{reports}",
        seeds[0]
    );
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// One test at a time: each uses all cores, and a planted mistake is made by all simulations.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stdout, reason = "how much was simulated is part of the result")]
fn say(line: &str) {
    println!("{line}");
}
