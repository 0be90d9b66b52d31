//! The lints behind I2, I3, I5, I8, I9 and I16: they are on, and off only where listed.

use crate::source::is_word;
use crate::tree::{File, Finding, NOWHERE, file, hold, lines, repository};

/// I5, I8, I9, I16.
#[test]
fn the_workspace_denies_what_the_invariants_forbid() {
    hold(&undenied(repository()));
}

/// I5, I8, I9, I16.
#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    hold(&crates_with_own_lints(repository()));
}

/// I5, I8, I9, I16.
#[test]
fn every_exception_to_a_lint_has_a_reason_and_weighty_ones_are_listed() {
    hold(&exceptions(repository(), &EXCEPTIONS));
}

/// I2, I3.
#[test]
fn the_scheduler_is_forbidden_time_threads_io_and_random_order() {
    hold(&free_scheduler(repository()));
}

/// Clippy takes the nearest `clippy.toml` and does not merge.
#[test]
fn a_crates_own_clippy_file_repeats_the_limits_of_the_workspace() {
    hold(&lost_limits(repository()));
}

/// The sections of the workspace's manifest, and what they must set to "deny".
const DENIED: [(&str, &[&str]); 2] = [
    ("workspace.lints.rust", &["missing_docs", "unsafe_code", "unused_must_use"]),
    (
        "workspace.lints.clippy",
        &[
            "dbg_macro",
            "exit",
            "match_wildcard_for_single_variants",
            "print_stderr",
            "print_stdout",
            concat!("to", "do"),
            "too_many_lines",
            "undocumented_unsafe_blocks",
            "unimplemented",
            "unwrap_used",
            "wildcard_enum_match_arm",
        ],
    ),
];

/// Where a lint that checks an invariant is off. The reason is at the place.
const EXCEPTIONS: [(&str, &str); 11] = [
    ("crates/mapmill/src/main.rs", "clippy::exit"),
    ("crates/rpc/src/wire.rs", "clippy::all"),
    ("crates/rpc/src/wire.rs", "missing_docs"),
    ("crates/scheduler/benches/scale.rs", "clippy::disallowed_methods"),
    ("crates/scheduler/benches/scale.rs", "clippy::disallowed_types"),
    ("crates/scheduler/tests/scenarios.rs", "clippy::disallowed_methods"),
    ("crates/words/src/key/arm.rs", "unsafe_code"),
    ("crates/words/src/key/x86.rs", "unsafe_code"),
    ("crates/words/src/simd/arm.rs", "unsafe_code"),
    ("crates/words/src/simd/avx2.rs", "unsafe_code"),
    ("crates/words/src/simd/x86.rs", "unsafe_code"),
];

/// Lints that tests may switch off without being listed.
const OFF_IN_TESTS: [&str; 4] =
    ["clippy::print_stderr", "clippy::print_stdout", "clippy::unwrap_used", "missing_docs"];

const SCHEDULER_CLIPPY: &str = "crates/scheduler/clippy.toml";
const SCHEDULER_LIB: &str = "crates/scheduler/src/lib.rs";

/// The least that clippy must know about the scheduler.
const DISALLOWED: [(&str, &[&str]); 2] = [
    (
        "disallowed-methods",
        &[
            "std::env::var",
            "std::fs::File::open",
            "std::fs::read",
            "std::fs::write",
            "std::io::stderr",
            "std::io::stdout",
            "std::process::exit",
            "std::thread::sleep",
            "std::thread::spawn",
            "std::time::Instant::now",
            "std::time::SystemTime::now",
        ],
    ),
    (
        "disallowed-types",
        &[
            "std::collections::HashMap",
            "std::collections::HashSet",
            "std::fs::File",
            "std::hash::RandomState",
            "std::net::TcpStream",
            "std::sync::Mutex",
            "std::thread::Builder",
            "std::time::Instant",
            "std::time::SystemTime",
        ],
    ),
];

fn undenied(files: &[File]) -> Vec<Finding> {
    let manifest = match file(files, "Cargo.toml") {
        Ok(manifest) => manifest,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    for (name, lints) in DENIED {
        let (line, entries) = section(&manifest.text, name);
        for lint in lints {
            let denied = format!("{lint} = \"deny\"");
            let forbidden = format!("{lint} = \"forbid\"");
            if !entries.contains(&denied.as_str()) && !entries.contains(&forbidden.as_str()) {
                findings.push(manifest.finding(line, format!("write `{denied}` in [{name}]")));
            }
        }
    }
    findings
}

fn crates_with_own_lints(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| ["bench/", "crates/"].iter().any(|top| file.path.starts_with(top)))
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        .filter(|file| section(&file.text, "lints").1 != ["workspace = true"])
        .map(|file| file.finding(1, "write `workspace = true` in [lints], and nothing else there"))
        .collect()
}

/// The line of the header `[name]` and the lines below it; the end of the text if there is none.
fn section<'text>(text: &'text str, name: &str) -> (usize, Vec<&'text str>) {
    let header = format!("[{name}]");
    let mut lines = (1..).zip(text.lines());
    let Some((line, _)) = lines.by_ref().find(|(_, line)| *line == header) else {
        return (text.lines().count().max(1), Vec::new());
    };
    let entries = lines.map(|(_, line)| line).take_while(|line| !line.starts_with('['));
    (line, entries.filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
}

fn exceptions(files: &[File], listed: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut idle = listed.to_vec();
    for file in files {
        let Some(source) = &file.rust else { continue };
        for (line, attribute) in source.attributes() {
            for (lints, has_reason) in switched_off(attribute) {
                if !has_reason {
                    findings.push(file.finding(line, "say why: `reason = \"...\"`"));
                }
                for lint in lints.into_iter().filter(|lint| is_weighty(lint, file.is_test)) {
                    idle.retain(|entry| *entry != (&file.path, lint));
                    if !listed.contains(&(&file.path, lint)) {
                        findings.push(file.finding(
                            line,
                            format!(
                                "keep to `{lint}`; if that is wrong here, add it to EXCEPTIONS"
                            ),
                        ));
                    }
                }
            }
        }
    }
    findings.extend(idle.into_iter().map(|(path, lint)| Finding {
        path: path.to_owned(),
        line: 1,
        advice: format!("no exception to `{lint}` is left: remove it from EXCEPTIONS"),
    }));
    findings
}

/// The lints that an attribute switches off or down, and whether it says why.
fn switched_off(attribute: &str) -> impl Iterator<Item = (Vec<&str>, bool)> {
    ["allow", "expect", "warn"].into_iter().flat_map(move |level| {
        let opened = attribute.match_indices(level).filter(move |(at, _)| {
            is_word(attribute, *at, level) && attribute[at + level.len()..].starts_with('(')
        });
        opened.map(move |(at, _)| {
            let inside = &attribute[at + level.len() + 1..];
            let inside = inside.split(')').next().unwrap_or(inside);
            let (reasons, lints): (Vec<_>, Vec<_>) = inside
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .partition(|part| part.starts_with("reason"));
            (lints, !reasons.is_empty())
        })
    })
}

/// Whether switching `lint` off weakens an invariant.
fn is_weighty(lint: &str, is_test: bool) -> bool {
    let [(_, rust), (_, clippy)] = DENIED;
    let groups = ["warnings", "clippy::all", "clippy::restriction"];
    let held = rust.contains(&lint)
        || lint.strip_prefix("clippy::").is_some_and(|lint| clippy.contains(&lint))
        || lint.starts_with("clippy::disallowed")
        || groups.contains(&lint);
    held && !(is_test && OFF_IN_TESTS.contains(&lint))
}

fn free_scheduler(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    match file(files, SCHEDULER_CLIPPY) {
        Ok(clippy) => {
            for (list, paths) in DISALLOWED {
                let (line, entries) = array(&clippy.text, list);
                for path in paths {
                    if !entries.iter().any(|entry| entry.contains(&format!("\"{path}\""))) {
                        let advice = format!("put `{path}` back into `{list}`");
                        findings.push(clippy.finding(line, advice));
                    }
                }
            }
        }
        Err(finding) => findings.push(finding),
    }
    match file(files, SCHEDULER_LIB) {
        Ok(lib) => {
            let attributes = lib.rust.iter().flat_map(|source| source.attributes());
            let denied: Vec<_> =
                attributes.filter(|(_, attribute)| attribute.starts_with("deny(")).collect();
            for lint in ["clippy::disallowed_methods", "clippy::disallowed_types"] {
                if !denied.iter().any(|(_, attribute)| attribute.contains(lint)) {
                    findings.push(lib.finding(1, format!("write `#![deny({lint})]`")));
                }
            }
        }
        Err(finding) => findings.push(finding),
    }
    findings
}

/// The line where the array `name` begins, and its lines; the end of the text if there is none.
fn array<'text>(text: &'text str, name: &str) -> (usize, Vec<&'text str>) {
    let open = format!("{name} = [");
    let mut lines = (1..).zip(text.lines());
    let Some((line, _)) = lines.by_ref().find(|(_, line)| *line == open) else {
        return (text.lines().count().max(1), Vec::new());
    };
    let entries = lines.map(|(_, line)| line.trim()).take_while(|line| *line != "]");
    (line, entries.filter(|line| !line.starts_with('#')).collect())
}

fn lost_limits(files: &[File]) -> Vec<Finding> {
    let workspace = match file(files, "clippy.toml") {
        Ok(workspace) => workspace,
        Err(finding) => return vec![finding],
    };
    let own = files.iter().filter(|file| file.path.ends_with("/clippy.toml"));
    own.flat_map(|own| {
        let lost =
            workspace.text.lines().filter(|limit| !own.text.lines().any(|line| line == *limit));
        lost.map(|limit| own.finding(1, format!("repeat `{limit}`"))).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn a_lint_that_is_not_denied_is_found() {
    let mut text = String::new();
    for (name, lints) in DENIED {
        text += &format!("[{name}]\n");
        text.extend(lints.iter().map(|lint| format!("{lint} = \"deny\"\n")));
    }
    let check = |text: &str| undenied(&[File::new("Cargo.toml", text)]).len();

    assert_eq!(check(&text), 0);
    assert_eq!(check(&text.replace("exit = \"deny\"", "exit = \"warn\"")), 1);
    assert_eq!(check(&text.replace("unsafe_code = \"deny\"", "# unsafe_code = \"deny\"")), 1);
    assert_eq!(check(&text.replace("[workspace.lints.clippy]", "[clippy]")), DENIED[1].1.len());
}

#[test]
fn a_crate_with_lints_of_its_own_is_found() {
    let check =
        |text: &str| lines(&crates_with_own_lints(&[File::new("crates/words/Cargo.toml", text)]));

    assert_eq!(check("[lints]\nworkspace = true\n\n[dependencies]\n"), NOWHERE);
    assert_eq!(check("[lints]\n# workspace = true\n"), [1]);
    assert_eq!(check("[dependencies]\n"), [1]);
}

#[test]
fn an_exception_without_reason_or_entry_is_found() {
    let path = "crates/words/src/table.rs";
    let check =
        |text: &str, listed: &[(&str, &str)]| lines(&exceptions(&[File::new(path, text)], listed));

    assert_eq!(check("#[expect(clippy::too_many_arguments, reason = \"a\")]\n", &[]), NOWHERE);
    assert_eq!(check("\n#[allow(dead_code)]\n", &[]), [2]);
    assert_eq!(check("#![allow(clippy::unwrap_used, reason = \"a\")]\n", &[]), [1]);
    assert_eq!(check("#[cfg_attr(test, warn(unsafe_code, reason = \"a\"))]\n", &[]), [1]);
    assert_eq!(check("#[allow(unsafe_code, reason = \"a\")]\n", &[(path, "unsafe_code")]), NOWHERE);
    assert_eq!(check("// #[allow(unsafe_code)]\n", &[(path, "unsafe_code")]), [1]);

    let test =
        File::new("crates/words/tests/a.rs", "#![expect(clippy::unwrap_used, reason = \"\")]");
    assert_eq!(lines(&exceptions(&[test], &[])), NOWHERE);
}

#[test]
fn a_scheduler_that_may_read_the_clock_is_found() {
    let mut text = String::new();
    for (list, paths) in DISALLOWED {
        text += &format!("{list} = [\n");
        text.extend(paths.iter().map(|path| format!("    {{ path = \"{path}\" }},\n")));
        text += "]\n";
    }
    let deny = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]\n";
    let check = |clippy: &str, lib: &str| {
        free_scheduler(&[File::new(SCHEDULER_CLIPPY, clippy), File::new(SCHEDULER_LIB, lib)]).len()
    };

    assert_eq!(check(&text, deny), 0);
    assert_eq!(check(&text.replace("Instant::now", "Instant::elapsed"), deny), 1);
    assert_eq!(check(&text.replace("disallowed-types", "types"), deny), DISALLOWED[1].1.len());
    assert_eq!(check(&text, &deny.replace("deny", "warn")), 2);
    assert_eq!(check(&text, &deny.replace(", clippy::disallowed_types", "")), 1);
    assert_eq!(free_scheduler(&[]).len(), 2);
}

#[test]
fn a_lost_limit_is_found() {
    let check = |own: &str| {
        let files = [
            File::new("clippy.toml", "too-many-lines-threshold = 70\n"),
            File::new("crates/words/clippy.toml", own),
        ];
        lost_limits(&files).len()
    };

    assert_eq!(check("too-many-lines-threshold = 70\nmsrv = \"1.95\"\n"), 0);
    assert_eq!(check("too-many-lines-threshold = 700\n"), 1);
}
