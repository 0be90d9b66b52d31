//! Which crate may use which (I1, I6), and what all manifests have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::{File, Finding, file, hold, repository, top};

/// I1.
#[test]
fn scheduler_and_words_have_no_dependencies_and_store_has_few() {
    hold(&too_much(&members(), &locked(repository()), &ALONE));
}

/// I6, I19, I20.
#[test]
fn the_arrows_between_the_crates_are_these() {
    hold(&wrong_arrows(&members(), &ARROWS));
}

#[test]
fn every_crate_says_the_same_about_edition_and_licence() {
    hold(&odd_manifests(&members()));
}

#[test]
fn the_lock_file_is_kept_and_names_one_registry() {
    hold(&odd_sources(repository()));
}

#[test]
fn the_licences_are_there() {
    let licences = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];
    let missing = licences.map(|path| file(repository(), path).err());
    hold(&missing.into_iter().flatten().collect::<Vec<_>>());
}

/// All packages that these crates add to a program.
const ALONE: [(&str, &[&str]); 3] = [("scheduler", &[]), ("store", STORE), ("words", &[])];

/// Checksums, and system calls, with what these need.
const STORE: &[&str] =
    &["bitflags", "cfg-if", "crc32fast", "errno", "libc", "linux-raw-sys", "rustix"];

/// Packages with names that begin like this are for a platform that we do not support.
const OTHER_PLATFORM: &str = "windows";

/// Which crates of ours a crate may use, in code, tests and build script.
const ARROWS: [(&str, &[&str]); 12] = [
    // Measures; no crate may use it.
    ("bench", &["scheduler", "words"]),
    ("driver", &["faults", "inputs", "journal", "rpc", "scheduler", "store"]),
    ("faults", &[]),
    ("inputs", &[]),
    ("journal", &["faults", "store"]),
    // Only its tests use `faults`: they arm it.
    ("mapmill", &["driver", "faults", "journal", "rpc", "worker"]),
    ("rpc", &[]),
    ("scheduler", &[]),
    // Only tests; no crate may use it.
    ("simulation", &["driver", "faults", "rpc", "store", "worker"]),
    ("store", &[]),
    ("words", &[]),
    ("worker", &["faults", "inputs", "rpc", "store", "words"]),
];

const EDITION: &str = "2024";
const LICENCE: &str = "MIT OR Apache-2.0";

/// A crate of the workspace.
#[derive(Debug, Default)]
pub struct Member {
    pub name: String,
    /// From the top of the repository.
    pub folder: String,
    /// What its code uses, whatever the platform.
    pub normal: BTreeSet<String>,
    /// The same with tests, benchmarks and the build script.
    pub all: BTreeSet<String>,
    edition: String,
    licence: String,
    rust_version: String,
}

impl Member {
    fn finding(&self, advice: String) -> Finding {
        Finding { path: format!("{}/Cargo.toml", self.folder), line: 1, advice }
    }
}

/// The crates of the workspace, as cargo understands their manifests.
pub fn members() -> Vec<Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo runs, as it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo's metadata are JSON");
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    array(&metadata["packages"]).iter().map(|package| member(package, root)).collect()
}

fn member(package: &Value, root: &str) -> Member {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let manifest = text("manifest_path");
    let folder = manifest.strip_prefix(root).unwrap_or(&manifest);
    let name = |dependency: &Value| dependency["name"].as_str().map(str::to_owned);
    let dependencies = array(&package["dependencies"]);
    let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
    Member {
        name: text("name"),
        folder: folder.trim_matches('/').trim_end_matches("/Cargo.toml").to_owned(),
        normal: normal.filter_map(name).collect(),
        all: dependencies.iter().filter_map(name).collect(),
        edition: text("edition"),
        licence: text("license"),
        rust_version: text("rust_version"),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The dependencies of each package of the lock file, of any kind.
fn locked(files: &[File]) -> BTreeMap<String, BTreeSet<String>> {
    let lock = files.iter().find(|file| file.path == "Cargo.lock");
    let mut packages = BTreeMap::new();
    for package in lock.map_or("", |lock| &lock.text).split("[[package]]").skip(1) {
        let mut quoted = package.split('"').skip(1).step_by(2);
        let name = quoted.next().unwrap_or_default().to_owned();
        let list = package.split_once("dependencies = [").map_or("", |(_, list)| list);
        let names = list.split('"').skip(1).step_by(2);
        let names = names.filter_map(|name| Some(name.split(' ').next()?.to_owned()));
        packages.entry(name).or_insert_with(BTreeSet::new).extend(names);
    }
    packages
}

fn too_much(
    members: &[Member],
    locked: &BTreeMap<String, BTreeSet<String>>,
    alone: &[(&str, &[&str])],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, allowed) in alone {
        let Some(member) = members.iter().find(|member| member.name == *name) else {
            let advice = format!("no crate `{name}`: adapt ALONE to its new name");
            findings.push(Finding { path: "Cargo.toml".to_owned(), line: 1, advice });
            continue;
        };
        let mut brought = BTreeSet::new();
        let mut found: Vec<&String> = member.normal.iter().collect();
        while let Some(dependency) = found.pop() {
            if brought.insert(dependency.as_str()) {
                let needs = locked.get(dependency).into_iter().flatten();
                found.extend(needs.filter(|needed| !needed.starts_with(OTHER_PLATFORM)));
            }
        }
        for dependency in brought.iter().filter(|dependency| !allowed.contains(dependency)) {
            findings.push(member.finding(format!(
                "`{name}` adds `{dependency}`, and may add {}: do without, or do the work in \
                 another crate",
                listing(allowed)
            )));
        }
    }
    findings
}

fn wrong_arrows(members: &[Member], arrows: &[(&str, &[&str])]) -> Vec<Finding> {
    let ours: BTreeSet<_> = members.iter().map(|member| &member.name).collect();
    let mut findings = Vec::new();
    for member in members {
        let Some((_, allowed)) = arrows.iter().find(|(name, _)| *name == member.name) else {
            let advice =
                "is a new crate: list in ARROWS and in ARCHITECTURE.md which crates it may use";
            findings.push(member.finding(advice.to_owned()));
            continue;
        };
        for other in member.all.iter().filter(|other| ours.contains(other)) {
            if !allowed.contains(&other.as_str()) {
                findings.push(member.finding(format!(
                    "`{}` must not use `{other}`, and may use {}: pass in what it needs",
                    member.name,
                    listing(allowed)
                )));
            }
        }
    }
    findings
}

fn listing(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn odd_manifests(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        if member.edition != EDITION {
            findings.push(member.finding("write `edition.workspace = true`".to_owned()));
        }
        if member.licence != LICENCE {
            findings.push(member.finding("write `license.workspace = true`".to_owned()));
        }
        if member.rust_version.is_empty() {
            findings.push(member.finding("write `rust-version.workspace = true`".to_owned()));
        }
    }
    findings
}

fn odd_sources(files: &[File]) -> Vec<Finding> {
    let lock = match file(files, "Cargo.lock") {
        Ok(lock) => lock,
        Err(finding) => return vec![finding],
    };
    let public = concat!("\"registry+https://github.com/", "rust-lang/crates.io-index\"");
    let sources = (1..).zip(lock.text.lines()).filter(|(_, line)| line.starts_with("source = "));
    sources
        .filter(|(_, line)| !line.ends_with(public))
        .map(|(line, _)| lock.finding(line, "depend on published versions from crates.io only"))
        .collect()
}

#[test]
fn an_indirect_dependency_is_found() {
    let lock = File::new(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"near\"\nversion = \"1.0.0\"\ndependencies = [\n \
         \"far 2.0.0\",\n]\n\n[[package]]\nname = \"far\"\nversion = \"2.0.0\"\n",
    );
    let locked = locked(&[lock]);
    let members = [sample("words", &["near"])];
    let check = |allowed: &[&str]| too_much(&members, &locked, &[("words", allowed)]).len();

    assert_eq!(check(&[]), 2);
    assert_eq!(check(&["near"]), 1);
    assert_eq!(check(&["far", "near"]), 0);
    assert_eq!(too_much(&[], &locked, &[("words", &[])]).len(), 1);
}

#[test]
fn a_wrong_arrow_is_found() {
    let words = sample("words", &["store", "memchr"]);
    let members = [words, sample("store", &[])];

    assert_eq!(wrong_arrows(&members, &[("words", &[]), ("store", &[])]).len(), 1);
    assert_eq!(wrong_arrows(&members, &[("words", &["store"]), ("store", &[])]).len(), 0);
    assert_eq!(wrong_arrows(&members, &[("words", &["store"])]).len(), 1);
}

#[test]
fn an_odd_manifest_is_found() {
    assert_eq!(odd_manifests(&[sample("words", &[])]).len(), 3);
}

#[test]
fn a_dependency_from_elsewhere_is_found() {
    let lock = File::new("Cargo.lock", "source = \"git+https://example.org/x\"\n");
    assert_eq!(odd_sources(&[lock]).len(), 1);
    assert_eq!(odd_sources(&[]).len(), 1);
}

/// A crate that uses `dependencies`, to show a rule.
pub fn sample(name: &str, dependencies: &[&str]) -> Member {
    let all: BTreeSet<_> = dependencies.iter().map(|&name| name.to_owned()).collect();
    let folder = format!("crates/{name}");
    Member { name: name.to_owned(), folder, normal: all.clone(), all, ..Member::default() }
}
