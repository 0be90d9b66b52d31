//! Fuzzes reading the outputs of a job.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::counts_fuzz::check(data));
