//! Fail points, and other features of tests: none is shipped (I17), and each fail point is used.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::tree::{File, Finding, NOWHERE, hold, lines, repository, top};

/// I17.
#[test]
fn only_tests_switch_on_what_is_for_tests() {
    hold(&shipped(&tree("no-dev,features")));

    // The tests do, or the rule would have looked for something that is not there.
    let tests = tree("all,features");
    for feature in TEST_FEATURES {
        assert!(
            tests.lines().any(|line| line.starts_with(feature)),
            "no {feature}: adapt the rule"
        );
    }
    let program = fs::read(env!("CARGO_BIN_EXE_mapmill")).expect("the tests' program was built");
    assert!(program.windows(VARIABLE.len()).any(|bytes| bytes == VARIABLE), "see .ci/run");
}

#[test]
fn every_fail_point_is_triggered_by_a_test() {
    hold(&idle(repository()));
}

/// What only [dev-dependencies] may ask for, as `cargo tree` names it.
const TEST_FEATURES: [&str; 3] =
    ["driver feature \"simulation\"", "faults feature \"armed\"", "worker feature \"simulation\""];

/// What `.ci/run` looks for in the program for users.
const VARIABLE: &[u8] = b"FAILPOINTS";

/// What a build of all our programs would compile. Resolved as for that build: cargo leaves the
/// features that tests need out of one without tests.
fn tree(edges: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--prefix", "none", "--edges", edges])
        .current_dir(top())
        .output()
        .expect("cargo runs, as it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names of packages are UTF-8")
}

fn shipped(tree: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(tree.lines()) {
        let feature = TEST_FEATURES.iter().find(|feature| text.starts_with(**feature));
        findings.extend(feature.map(|feature| Finding {
            path: "cargo tree".to_owned(),
            line,
            advice: format!("{feature} is on: only [dev-dependencies] may ask for it"),
        }));
    }
    findings
}

/// Fail points in the code that no test of the whole program names, and the reverse.
fn idle(files: &[File]) -> Vec<Finding> {
    let in_code = |file: &&File| {
        ["driver", "journal", "worker"]
            .iter()
            .any(|krate| file.path.starts_with(&format!("crates/{krate}/src/")))
    };
    let in_tests = |file: &&File| {
        file.path.strip_prefix("crates/mapmill/tests/").is_some_and(|name| !name.contains('/'))
    };
    let code: Vec<_> = files.iter().filter(in_code).flat_map(named).collect();
    let tests: Vec<_> = files.iter().filter(in_tests).flat_map(named).collect();
    let names = |points: &[(&File, usize, &str)]| -> BTreeSet<String> {
        points.iter().map(|(_, _, point)| (*point).to_owned()).collect()
    };
    let (triggered, there) = (names(&tests), names(&code));
    let unused = code.iter().filter(|(_, _, point)| !triggered.contains(*point));
    let unknown = tests.iter().filter(|(_, _, point)| !there.contains(*point));
    let unused = unused.map(|(file, line, point)| {
        file.finding(*line, format!("no test triggers {point}: name it in fail_points.rs"))
    });
    let unknown = unknown.map(|(file, line, point)| {
        file.finding(*line, format!("there is no longer a {point} in the code"))
    });
    unused.chain(unknown).collect()
}

/// The fail points that a file's strings name: `driver::answer` in
/// "driver::answer@map=return(kill)".
fn named(file: &File) -> Vec<(&File, usize, &str)> {
    let Some(source) = &file.rust else { return Vec::new() };
    let points = source.strings.iter().filter_map(|(line, text)| {
        let rest = text.strip_prefix("driver::").or_else(|| text.strip_prefix("worker::"))?;
        let name = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let end = rest.find(|letter| !name(letter)).unwrap_or(rest.len());
        let point = &text[..text.len() - rest.len() + end];
        (end > 0).then_some((file, *line, point))
    });
    points.collect()
}

#[test]
fn fail_point_without_a_test_is_found_and_test_without_its_fail_point() {
    let code = "reach(\"driver::a\", 1);\ntear(\"driver::b-c\", 1);\n// \"driver::d\"\n";
    let check = |tests: &str| {
        let files = [
            File::new("crates/journal/src/log.rs", code),
            File::new("crates/mapmill/tests/poison.rs", tests),
        ];
        lines(&idle(&files))
    };

    assert_eq!(check("\"driver::a@map=return(kill)\"\n(\"driver::b-c\")"), NOWHERE);
    assert_eq!(check("\"driver::a\""), [2]);
    assert_eq!(check("\"driver::a\" \"driver::b-c\"\n\"worker::a\""), [2]);
}

#[test]
fn a_fault_that_is_shipped_is_found() {
    let armed = "driver v0.1.0\nfaults feature \"armed\"\nfaults v0.1.0\n";
    assert_eq!(lines(&shipped(armed)), [2]);
    assert_eq!(lines(&shipped("driver v0.1.0\nfaults feature \"default\"\n")), NOWHERE);
}
