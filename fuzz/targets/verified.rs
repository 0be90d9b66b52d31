//! Fuzzes reading an object that may not be what was written.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store::fuzz::verified(data));
