//! Places at which tests strike the processes: that none is shipped (I17).

use std::fs;
use std::process::Command;

use crate::tree::{Finding, NOWHERE, hold, lines, top};

/// I17.
#[test]
fn nothing_but_tests_switches_the_faults_on() {
    hold(&shipped(&tree("no-dev")));

    // The tests do, or the rule would have looked for something that is not there.
    assert_ne!(lines(&shipped(&tree("all"))), NOWHERE);
    let program = fs::read(env!("CARGO_BIN_EXE_mapmill")).expect("the tests' program was built");
    assert!(program.windows(VARIABLE.len()).any(|bytes| bytes == VARIABLE), "see .ci/run");
}

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
    let packages = (1..).zip(tree.lines());
    let found = packages.filter(|(_, package)| package.starts_with("fail "));
    let finding = |(line, _)| Finding {
        path: "cargo tree".to_owned(),
        line,
        advice: "the feature `faults` is on: only [dev-dependencies] may ask for it".to_owned(),
    };
    found.map(finding).collect()
}

#[test]
fn a_fault_that_is_shipped_is_found() {
    assert_eq!(lines(&shipped("driver v0.1.0\nfail v0.5.1\nfailure v1.0.0\n")), [2]);
    assert_eq!(lines(&shipped("driver v0.1.0\nfailure v1.0.0\n")), NOWHERE);
}
