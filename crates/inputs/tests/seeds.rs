//! The seeds of the fuzz targets, and what fuzzing has found.

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn csv_of_seeds_is_read_as_crate_csv_does() {
    replay::replay("csv", checks::csv::check);
}

#[test]
fn compressed_seeds_are_read_or_damaged() {
    replay::replay("decompress", checks::decompress::check);
}

#[test]
fn encoded_seeds_are_decoded_as_at_once() {
    replay::replay("encoding", checks::encoding::check);
}

#[test]
fn seeds_are_text_or_refused() {
    replay::replay("examine", checks::examine::check);
}

#[test]
fn json_lines_of_seeds_are_read_as_by_building_a_tree() {
    replay::replay("json_lines", checks::json_lines::check);
}

#[test]
fn records_of_seeds_are_read_as_at_once() {
    replay::replay("wet", checks::wet::check);
}

#[test]
fn shares_of_seeds_are_read_as_the_whole() {
    replay::replay("shares", checks::shares::check);
}
