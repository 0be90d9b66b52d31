//! Fuzzes counting lines.

#![no_main]

#[path = "../../crates/words/tests/checks/counter.rs"]
mod counter;
#[path = "../../crates/words/tests/line/mod.rs"]
mod line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| counter::check(data));
