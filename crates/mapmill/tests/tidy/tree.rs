//! The files of the repository, and findings about them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::source::Source;

/// A file that is committed, or would be with the next commit.
#[derive(Debug)]
pub struct File {
    /// From the top of the repository, `/`-separated.
    pub path: String,
    /// Empty for generated files, for texts of the sample and for what counting them gave.
    pub text: String,
    /// Only of Rust files.
    pub rust: Option<Source>,
    /// Whether all of it is compiled for tests and benchmarks only.
    pub is_test: bool,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs").then(|| Source::new(text));
        let is_test = path.contains("/tests/") || path.contains("/benches/");
        Self { path: path.to_owned(), text: text.to_owned(), rust, is_test }
    }

    /// The lines of its code that are not for tests, counted from 1.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let (tests, source) = self.outside_tests();
        source
            .into_iter()
            .flat_map(Source::lines)
            .filter(move |(line, _)| !tests.iter().any(|range| range.contains(line)))
    }

    /// Its string literals that are not for tests, each with its line.
    pub fn strings(&self) -> impl Iterator<Item = (usize, &str)> {
        let (tests, source) = self.outside_tests();
        source
            .into_iter()
            .flat_map(|source| source.strings.iter().map(|(line, text)| (*line, text.as_str())))
            .filter(move |(line, _)| !tests.iter().any(|range| range.contains(line)))
    }

    fn outside_tests(&self) -> (Vec<std::ops::RangeInclusive<usize>>, Option<&Source>) {
        let source = self.rust.as_ref().filter(|_| !self.is_test);
        (source.map(Source::test_lines).unwrap_or_default(), source)
    }

    /// The name of its crate.
    pub fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    pub fn finding(&self, line: usize, advice: impl fmt::Display) -> Finding {
        Finding { path: self.path.clone(), line, advice: advice.to_string() }
    }
}

/// A place that breaks a rule, and the way out.
#[derive(Debug)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.advice)
    }
}

/// Panics with what was found, one place a line.
#[track_caller]
pub fn hold(findings: &[Finding]) {
    let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// The lines of `findings`: what a test of a rule compares.
pub fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

/// No line at all.
pub const NOWHERE: [usize; 0] = [];

/// All files of the repository, sorted by path.
pub fn repository() -> &'static [File] {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(read_all);
    &FILES
}

/// The file at `path`, or a finding that it is missing.
pub fn file<'files>(files: &'files [File], path: &str) -> Result<&'files File, Finding> {
    files.iter().find(|file| file.path == path).ok_or_else(|| Finding {
        path: path.to_owned(),
        line: 1,
        advice: "is missing: write it".to_owned(),
    })
}

/// Whether `path` is a file of the repository, or a folder that contains one.
pub fn exists(files: &[File], path: &str) -> bool {
    let path = path.trim_end_matches('/');
    files.iter().any(|file| {
        file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read_all() -> Vec<File> {
    let paths = listed_by_git().unwrap_or_else(|| {
        let mut paths = BTreeSet::new();
        walk(&top(), "", &mut paths);
        paths
    });
    let mut files: Vec<File> = paths
        .iter()
        .filter_map(|path| {
            let generated = GENERATED_SOURCES.contains(&path.as_str());
            let data = generated || path.starts_with("files/") || path.starts_with("inputs/");
            let bytes = if data { Vec::new() } else { fs::read(top().join(path)).ok()? };
            let mut file = File::new(path, &String::from_utf8_lossy(&bytes));
            file.rust = file.rust.filter(|_| !generated);
            Some(file)
        })
        .collect();
    let tests = test_modules(&files);
    for file in &mut files {
        file.is_test |= tests.iter().any(|test| is_in_module(&file.path, test));
    }
    files
}

/// Written by programs, and compared by `crates/rpc/tests/generated.rs` and the stage `buf` of
/// `.ci/run`: rules of style are for people.
const GENERATED_SOURCES: [&str; 5] = [
    "crates/rpc/src/wire/pb.bin",
    "crates/rpc/src/wire/pb.rs",
    "crates/rpc/src/wire/pb/driver_client.rs",
    "crates/rpc/src/wire/pb/driver_server.rs",
    "proto/released.txtpb",
];

/// None outside a checkout, as in an unpacked archive.
fn listed_by_git() -> Option<BTreeSet<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .ok()?;
    let listing = String::from_utf8(output.stdout).ok()?;
    let paths: BTreeSet<_> = listing.split_terminator('\0').map(str::to_owned).collect();
    paths.contains("Cargo.toml").then_some(paths)
}

/// Lists the files below `folder`, except in generated folders.
fn walk(folder: &Path, prefix: &str, paths: &mut BTreeSet<String>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be listed");
    for entry in entries {
        let entry = entry.expect("a folder of the repository can be listed");
        let name = entry.file_name().into_string().expect("names in the repository are UTF-8");
        let path = format!("{prefix}{name}");
        if !entry.path().is_dir() {
            paths.insert(path);
        } else if !GENERATED.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{path}/"), paths);
        }
    }
}

const GENERATED: [&str; 6] = [".git", ".mapmill", ".venv", "__pycache__", "generated", "target"];

/// Modules that are compiled for tests only: their paths without `.rs`.
fn test_modules(files: &[File]) -> Vec<String> {
    let mut modules = Vec::new();
    for file in files {
        let Some(source) = &file.rust else { continue };
        let stem = file.path.trim_end_matches(".rs");
        let folder = ["/lib", "/main", "/mod"]
            .into_iter()
            .find_map(|name| stem.strip_suffix(name))
            .unwrap_or(stem);
        modules.extend(source.test_modules().map(|name| format!("{folder}/{name}")));
    }
    modules
}

fn is_in_module(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn the_repository_is_found() {
    let files = repository();

    assert!(file(files, "Cargo.toml").is_ok());
    assert!(file(files, "crates/mapmill/tests/tidy/tree.rs").is_ok_and(|file| file.is_test));
    assert!(exists(files, "crates/mapmill/tests/"));
    assert!(!exists(files, "crates/map"));
    assert!(file(files, "crates/mapmill/none.rs").is_err());
}

#[test]
fn the_walk_finds_what_git_lists() {
    let Some(listed) = listed_by_git() else { return };
    let mut walked = BTreeSet::new();
    walk(&top(), "", &mut walked);

    // What git ignores is found as well, and what was just deleted is not.
    let kept: Vec<_> = listed.iter().filter(|path| top().join(path).exists()).collect();
    assert!(kept.iter().all(|path| walked.contains(*path)));
}

#[test]
fn files_of_test_modules_do_not_count_as_code() {
    let lib = File::new("crates/store/src/lib.rs", "#[cfg(test)]\nmod contract;\n");
    let local = File::new("crates/store/src/local.rs", "#[cfg(test)]\nmod tests;\n");
    let modules = test_modules(&[lib, local]);

    assert_eq!(modules, ["crates/store/src/contract", "crates/store/src/local/tests"]);
    assert!(is_in_module("crates/store/src/contract.rs", &modules[0]));
    assert!(is_in_module("crates/store/src/local/tests/more.rs", &modules[1]));
    assert!(!is_in_module("crates/store/src/local.rs", &modules[1]));
}
