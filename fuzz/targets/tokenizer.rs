//! Fuzzes separating text into words.

#![no_main]

#[path = "../../crates/words/tests/naive/mod.rs"]
mod naive;
#[path = "../../crates/words/tests/checks/tokenizer.rs"]
mod tokenizer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenizer::check(data));
