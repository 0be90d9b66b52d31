//! Fuzzes records of WET.

#![no_main]

#[path = "../../crates/inputs/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::wet::check(data));
