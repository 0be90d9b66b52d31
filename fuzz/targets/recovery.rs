//! Fuzzes resuming a job from its records.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driver::fuzz::check(&journal::fuzz::records(data)));
