//! Mistakes that the simulation has to find: one of the simulated store, the others in a patched
//! copy of the real code.
//!
//! The patches in `crates/simulation/mutants/` each plant one, switched on by name. No build but
//! that of `.ci/run mutants` applies them, and no other has the feature `mutants`.

use crate::report::Report;
use crate::shared_store::Mistakes;
use crate::world::Setting;
use crate::{everything, fleet, one_at_a_time, say};

#[cfg(feature = "mutants")]
mod patched;

#[test]
fn worker_that_publishes_is_found() {
    let _alone = one_at_a_time();
    let mistakes = Mistakes { workers_publish: true, ..Mistakes::default() };
    find(&Setting { mistakes, ..everything() }, "a worker published", "worker that publishes");
}

#[track_caller]
fn find(setting: &Setting, consequence: &str, mistake: &str) {
    let seeds: Vec<u64> = (1..=200).collect();
    let found: Option<Report> = fleet::search(&seeds, setting, consequence);
    let found = found.unwrap_or_else(|| panic!("{mistake} was not found"));
    say(&format!("{mistake} is found at seed {}: {:?}", found.seed, found.findings));
}
