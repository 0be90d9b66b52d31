//! Fuzzes the certificates that a peer presents.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rpc::certs::fuzz::check(data));
