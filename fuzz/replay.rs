//! Replays the seeds of a fuzz target, so that `cargo test` keeps what fuzzing found.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Calls `check` with every file of `fuzz/seeds/<target>`, of which there must be some.
#[track_caller]
pub fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let seeds = fs::read_dir(&folder);
    let seeds = seeds.unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
    let mut replayed = 0;
    for seed in seeds {
        let seed = seed.expect("a folder that was opened can be listed").path();
        let data = fs::read(&seed).expect("a seed is a file that can be read");
        assert!(catch_unwind(|| check(&data)).is_ok(), "{} breaks `{target}`", seed.display());
        replayed += 1;
    }
    assert!(replayed > 0, "no seed in {}", folder.display());
}
