//! Fuzzes the numbers on the command line.

#![no_main]

#[allow(dead_code, reason = "the rest of the module is for the program")]
#[path = "../../crates/mapmill/src/numbers.rs"]
mod numbers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| numbers::fuzz::check(data));
