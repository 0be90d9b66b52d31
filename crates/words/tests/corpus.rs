//! What fuzzing found worth keeping about words, as ordinary tests.

mod checks {
    pub mod counter;
    pub mod tokenizer;
}
mod line;
mod naive;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_are_separated_as_the_naive_twin_does() {
    replay::replay("tokenizer", checks::tokenizer::check);
}

#[test]
fn seeds_are_counted_as_an_ordered_map_does() {
    replay::replay("counter", checks::counter::check);
}
