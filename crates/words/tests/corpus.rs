//! The seeds of fuzzing words, as ordinary tests.

mod checks {
    pub mod counter;
    pub mod tokenizer;
}
mod line;
mod naive;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_have_the_words_that_the_oracle_finds() {
    replay::replay("tokenizer", checks::tokenizer::check);
}

#[test]
fn seeds_are_counted_as_an_ordered_map_does() {
    replay::replay("counter", checks::counter::check);
}
