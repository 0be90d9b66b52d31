//! Mistakes in a patched copy of the real code.

use faults::mutants::plant;

use super::find;
use crate::shared_store::Mistakes;
use crate::world::Setting;
use crate::{everything, fleet, hold, one_at_a_time};

/// The control: what is found below is not the patches' doing.
#[test]
fn patched_copy_without_a_mistake_is_right() {
    let _alone = one_at_a_time();
    let seeds: Vec<u64> = (1..=40).collect();
    hold(&fleet::simulate_all(&seeds, &everything()));
}

#[test]
fn driver_without_a_fence_is_found() {
    check(&["no-fence"], "was given up");
}

#[test]
fn driver_that_does_not_look_at_the_claims_is_found() {
    check(&["no-check"], "without a look");
}

/// A worker that executes an attempt again, over what it has reported.
#[test]
fn attempt_that_is_executed_twice_is_found() {
    let mistakes = Mistakes { overwrites: true, ..Mistakes::default() };
    let setting = Setting { mistakes, ..everything() };
    check_in(&setting, &["executes-twice"], "before it was complete");
}

#[test]
fn epoch_that_is_not_raised_is_found() {
    check(&["same-epoch"], "was begun twice");
}

/// The journal is trusted, and was written too early. The output that is missing is found before
/// the end is recorded, and again by every driver that resumes the job.
#[test]
fn record_of_what_is_not_published_is_found() {
    check(&["records-first", "trusts-records"], "the job does not end");
}

#[test]
fn words_that_are_counted_twice_are_found() {
    check(&["counts-twice", "no-conservation"], "is wrong");
}

#[test]
fn output_that_is_not_checked_is_found() {
    check(&["no-checksum"], "is wrong");
}

#[track_caller]
fn check(mistakes: &'static [&'static str], consequence: &str) {
    check_in(&everything(), mistakes, consequence);
}

#[track_caller]
fn check_in(setting: &Setting, mistakes: &'static [&'static str], consequence: &str) {
    let _alone = one_at_a_time();
    let _planted = Planted::new(mistakes);
    find(setting, consequence, &mistakes.join(" with "));
}

/// Until it is dropped, the code makes these mistakes.
struct Planted;

impl Planted {
    fn new(mistakes: &'static [&'static str]) -> Self {
        plant(mistakes);
        Self
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(&[]);
    }
}
