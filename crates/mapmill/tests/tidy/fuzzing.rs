//! The seeds of every fuzz target are replayed by an ordinary test, and stay few and small.

use std::collections::BTreeSet;

use crate::tree::{File, Finding, NOWHERE, file, hold, lines, repository};

#[test]
fn every_fuzz_target_has_seeds_and_a_test_that_replays_them() {
    hold(&forgotten(repository()));
}

#[test]
fn seeds_stay_few_and_small() {
    hold(&too_many(repository(), SEEDS_MAX, SEED_BYTES_MAX));
}

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/targets/";
const SEEDS: &str = "fuzz/seeds/";

/// Of all targets together: every clone of the repository has them, and every test run reads them.
const SEEDS_MAX: usize = 310;
const SEED_BYTES_MAX: usize = 500 << 10;

fn forgotten(files: &[File]) -> Vec<Finding> {
    let manifest = match file(files, MANIFEST) {
        Ok(manifest) => manifest,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    let mut targets = BTreeSet::new();
    for target in files.iter().filter(|file| file.path.starts_with(TARGETS)) {
        let name = target.path[TARGETS.len()..].trim_end_matches(".rs");
        targets.insert(name);
        if !files.iter().any(|file| file.path.starts_with(&format!("{SEEDS}{name}/"))) {
            findings.push(target.finding(1, format!("give it a seed in {SEEDS}{name}/")));
        }
        let replay = format!("replay(\"{name}\"");
        if !files.iter().any(|file| file.path.starts_with("crates/") && file.text.contains(&replay))
        {
            findings.push(target.finding(1, format!("write a test that calls `{replay}, ...)`")));
        }
        if !manifest.text.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n")) {
            findings.push(manifest.finding(1, format!("name the target `{name}`")));
        }
    }
    for seed in files.iter().filter_map(|file| file.path.strip_prefix(SEEDS).map(|at| (file, at))) {
        let (file, at) = seed;
        if !at.split_once('/').is_some_and(|(name, _)| targets.contains(name)) {
            findings.push(file.finding(1, "no target reads it: move or remove it"));
        }
    }
    findings
}

fn too_many(files: &[File], seeds_max: usize, bytes_max: usize) -> Vec<Finding> {
    let seeds: Vec<_> = files.iter().filter(|file| file.path.starts_with(SEEDS)).collect();
    // Bytes that are not UTF-8 count three times.
    let bytes: usize = seeds.iter().map(|seed| seed.text.len()).sum();
    let mut findings = Vec::new();
    if let Some(last) = seeds.last().filter(|_| seeds.len() > seeds_max || bytes > bytes_max) {
        let advice = format!(
            "{} seeds with {bytes} bytes, at most {seeds_max} with {bytes_max}: `cargo fuzz cmin`",
            seeds.len()
        );
        findings.push(last.finding(1, advice));
    }
    findings
}

#[test]
fn a_forgotten_target_is_found() {
    let manifest = File::new(MANIFEST, "name = \"wire\"\npath = \"targets/wire.rs\"\n");
    let target = File::new("fuzz/targets/wire.rs", "//! Fuzzes.\n");
    let seed = File::new("fuzz/seeds/wire/a", "");
    let test = File::new("crates/rpc/src/wire/fuzz.rs", "replay::replay(\"wire\", check);\n");

    assert_eq!(lines(&forgotten(&[])), [1]);
    let mut files = vec![manifest, target, seed, test];
    assert_eq!(lines(&forgotten(&files)), NOWHERE);
    files[3] = File::new("crates/rpc/src/wire/fuzz.rs", "replay::replay(\"write\", check);\n");
    assert_eq!(lines(&forgotten(&files)), [1]);
    files[2] = File::new("fuzz/seeds/write/a", "");
    assert_eq!(lines(&forgotten(&files)), [1, 1, 1]);
    files[0] = File::new(MANIFEST, "name = \"write\"\npath = \"targets/write.rs\"\n");
    assert_eq!(lines(&forgotten(&files)), [1, 1, 1, 1]);
}

#[test]
fn too_many_seeds_are_found() {
    let seeds = [File::new("fuzz/seeds/wire/a", "abc"), File::new("fuzz/seeds/wire/b", "def")];

    assert_eq!(lines(&too_many(&seeds, 2, 6)), NOWHERE);
    assert_eq!(lines(&too_many(&seeds, 1, 6)), [1]);
    assert_eq!(lines(&too_many(&seeds, 2, 5)), [1]);
}
