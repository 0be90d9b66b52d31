//! Fuzzes the messages between driver and worker.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rpc::fuzz::check(data));
