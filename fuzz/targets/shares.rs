//! Fuzzes the shares of files that are compressed with an index.

#![no_main]

#[path = "../../crates/inputs/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::shares::check(data));
