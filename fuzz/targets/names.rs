//! Fuzzes names that come from outside.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store::fuzz::names(data));
