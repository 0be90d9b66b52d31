//! Fuzzes counting lines.

#![no_main]

#[path = "../../crates/words/tests/checks/counter.rs"]
mod counter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| counter::check(data));
