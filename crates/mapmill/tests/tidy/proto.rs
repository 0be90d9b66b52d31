//! The `.proto` is all that the author of another worker has, so everything in it is explained.

use crate::tree::{File, Finding, file, hold, lines, repository};

#[test]
fn everything_in_the_proto_is_explained() {
    match file(repository(), "proto/mapmill/v1/mapmill.proto") {
        Ok(proto) => hold(&unexplained(proto)),
        Err(finding) => hold(&[finding]),
    }
}

/// Fields of plain types that mean the same everywhere, and are explained once:
/// `Registered` says what a session and a worker are, the head of the file what a path is.
const EXPLAINED: [&str; 3] = ["path", "session", "worker"];

/// A service, a call, a message and an enum have a comment right above. So has a field, unless its
/// type is a message or an enum of the file, which has one.
fn unexplained(proto: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut commented = false;
    let mut in_enum = false;
    for (number, line) in (1..).zip(proto.text.lines()) {
        let line = line.trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        in_enum = words.first() == Some(&"enum") || in_enum && line != "}";
        let needed = match words.as_slice() {
            ["enum" | "message" | "rpc" | "service", name, ..] => {
                Some(name.split('(').next().unwrap_or(name))
            }
            [.., kind, name, "=", _] if !in_enum => {
                let is_plain = kind.starts_with(|first: char| first.is_ascii_lowercase());
                (is_plain && !EXPLAINED.contains(name)).then_some(*name)
            }
            _ => None,
        };
        if let Some(name) = needed.filter(|_| !commented) {
            let advice = format!("write a comment above `{name}`: what it says, in which unit");
            findings.push(proto.finding(number, advice));
        }
        commented = line.starts_with("//");
    }
    findings
}

#[test]
fn what_is_not_explained_is_found() {
    let text = "message A {\n  // In bytes.\n  uint64 size = 1;\n  uint64 start = 2;\n  B b = 3;\n  \
                repeated fixed32 sums = 4;\n  string session = 5;\n}\n// B.\nenum B {\n  B_A = \
                0;\n}\nservice S {\n  rpc C(A) returns (A);\n}\n// D.\nmessage D {}\n";
    let proto = File::new("a.proto", text);

    assert_eq!(lines(&unexplained(&proto)), [1, 4, 6, 13, 14]);
}
