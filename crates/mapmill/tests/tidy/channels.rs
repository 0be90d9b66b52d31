//! I13: every queue has a limit, so a channel without one needs a reason.

use crate::source::is_word;
use crate::tree::{File, Finding, NOWHERE, hold, lines, repository};

/// I13.
#[test]
fn every_channel_has_a_limit_or_a_reason() {
    hold(&unbounded(repository(), &UNBOUNDED));
}

/// Files with one `std::sync::mpsc::channel()`, which has no limit of its own, and what limits it.
/// An async task cannot block until a thread has capacity, so these two stay.
const UNBOUNDED: [(&str, &str); 2] = [
    ("crates/driver/src/job.rs", "at most one errand for each attempt that reported"),
    ("crates/worker/src/text_thread.rs", "one assignment at a time, which `execute` asserts"),
];

fn unbounded(files: &[File], reasons: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let places: Vec<_> =
            file.code().filter(|(_, code)| is_unbounded(code)).map(|(line, _)| line).collect();
        let reason = reasons.iter().find(|(path, _)| *path == file.path);
        match (places.as_slice(), reason) {
            ([], Some(_)) => {
                findings.push(
                    file.finding(1, "no unbounded channel is left: remove it from UNBOUNDED"),
                );
            }
            ([], None) | ([_], Some(_)) => {}
            (places, _) => findings.extend(places.iter().map(|&line| {
                file.finding(
                    line,
                    "give the channel a capacity (`sync_channel`, `mpsc::channel(N)`)",
                )
            })),
        }
    }
    findings
}

/// `unbounded_channel` in any form, and a call of `channel` without an argument, but for `oneshot`.
fn is_unbounded(code: &str) -> bool {
    code.contains("unbounded")
        || code.match_indices("channel").any(|(at, name)| {
            let after = &code[at + name.len()..];
            let call = after.find('(').map_or("", |open| &after[open..]);
            let generic = after.starts_with("::<") || after.starts_with('(');
            is_word(code, at, name)
                && generic
                && call.starts_with("()")
                && !code[..at].ends_with("oneshot::")
        })
}

#[test]
fn an_unbounded_channel_is_found_and_so_is_an_unused_entry() {
    let path = "crates/worker/src/text_thread.rs";
    let listed = [(path, "one at a time")];
    let check =
        |text: &str, reasons: &[(&str, &str)]| lines(&unbounded(&[File::new(path, text)], reasons));

    assert_eq!(check("let (a, b) = mpsc::channel();\n", &[]), [1]);
    assert_eq!(check("let (a, b) = mpsc::channel::<(u8, u8)>(8);\n", &[]), NOWHERE);
    assert_eq!(check("let (a, b) = channel::<u8>();\n", &[]), [1]);
    assert_eq!(check("let (a, b) = oneshot::channel::<u8>();\n", &[]), NOWHERE);
    assert_eq!(check("use tokio::sync::mpsc::unbounded_channel as c;\n", &[]), [1]);
    assert_eq!(check("let (a, b) = mpsc::channel();\n", &listed), NOWHERE);
    assert_eq!(check("mpsc::channel();\nmpsc::channel();\n", &listed), [1, 2]);
    assert_eq!(check("let (a, b) = mpsc::channel(8);\n", &listed), [1]);
}
