//! Mistakes that are planted in the real code, each of which the simulation has to find.

use crate::report::Report;
use crate::shelf::Mistakes;
use crate::world::Setting;
use crate::{alone, everything, fleet, say};

/// A driver that takes reports of attempts that it has given up.
#[test]
fn driver_without_a_fence_is_found() {
    check(&["driver::no-fence"], "was given up");
}

/// A worker that executes an attempt again, over what it has reported.
#[test]
fn attempt_that_is_executed_twice_is_found() {
    let mistakes = Mistakes { overwrites: true, ..Mistakes::default() };
    let setting = Setting { mistakes, ..everything() };
    check_in(&setting, &["worker::again"], "before it was complete");
}

/// A driver that names its attempts as its last life did.
#[test]
fn epoch_that_is_not_raised_is_found() {
    check(&["driver::same-epoch"], "was begun twice");
}

#[test]
fn worker_that_publishes_is_found() {
    let mistakes = Mistakes { workers_publish: true, ..Mistakes::default() };
    check_in(&Setting { mistakes, ..everything() }, &[], "a worker published");
}

/// A driver that records first, and believes its records without looking.
#[test]
fn record_of_what_is_not_published_is_found() {
    check(&["driver::journal-first", "driver::no-redo"], "is missing");
}

/// A driver that does not compare the words emitted with the words counted.
#[test]
fn words_that_are_counted_twice_are_found() {
    check(&["worker::doubles", "driver::no-conservation"], "is wrong");
}

/// A driver that publishes outputs without reading them.
#[test]
fn output_that_is_not_checked_is_found() {
    check(&["driver::no-checksum"], "is wrong");
}

#[track_caller]
fn check(places: &[&str], consequence: &str) {
    check_in(&everything(), places, consequence);
}

#[track_caller]
fn check_in(setting: &Setting, places: &[&str], consequence: &str) {
    let _alone = alone();
    let planted = Planted::new(places);
    let seeds: Vec<u64> = (1..=200).collect();
    let found: Option<Report> = fleet::search(&seeds, setting, consequence);
    drop(planted);
    let found = found.unwrap_or_else(|| panic!("{places:?} was not found"));
    say(&format!("{places:?}, seed {}: {:?}", found.seed, found.findings));
}

/// As long as it lives, the code makes these mistakes.
struct Planted<'places>(&'places [&'places str]);

impl<'places> Planted<'places> {
    fn new(places: &'places [&'places str]) -> Self {
        for place in places {
            fail::cfg(*place, "return").expect("what to do is well-formed");
        }
        Self(places)
    }
}

impl Drop for Planted<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|place| fail::remove(*place));
    }
}
