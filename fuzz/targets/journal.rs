//! Fuzzes reading a journal and appending to it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::fuzz::check(data));
