//! What only some files may contain: I2, I4, I5, I7, I8, I9 and I10.

use crate::source::{has_word, is_word};
use crate::tree::{File, Finding, NOWHERE, file, hold, lines, repository};

/// I2. Clippy forbids functions and types by name; this forbids the modules that contain them.
#[test]
fn the_scheduler_uses_no_module_of_std_with_side_effects() {
    hold(&effectful_modules(repository()));
}

/// I4.
#[test]
fn the_state_of_a_task_is_private_to_its_module() {
    hold(&open_state(repository()));
}

/// I5. Clippy does not look into an `Option` or a tuple.
#[test]
fn no_match_in_the_engine_has_a_wildcard_arm() {
    hold(&wildcards(repository()));
}

/// I7.
#[test]
fn only_the_wire_names_protobuf_and_grpc_types() {
    hold(&wire_types(repository()));
}

/// I8.
#[test]
fn unsafe_occurs_in_listed_files_only() {
    hold(&unsafe_code(repository(), &UNSAFE_FILES));
}

/// I9.
#[test]
fn only_messages_and_the_benchmarks_write_to_the_terminal() {
    hold(&printing(repository()));
}

/// I9.
#[test]
fn only_main_ends_the_process() {
    hold(&exiting(repository()));
}

/// Libraries return cases. What a user can do about one is a matter of flags and commands.
#[test]
fn only_mapmill_names_its_flags_and_commands() {
    hold(&command_lines(repository()));
}

/// I10.
#[test]
fn only_the_layout_spells_object_names() {
    hold(&object_names(repository()));
}

/// All of them in `words`, each block with its `SAFETY` comment (clippy checks that).
const UNSAFE_FILES: [&str; 5] = [
    "crates/words/src/key/arm.rs",
    "crates/words/src/key/x86.rs",
    "crates/words/src/simd/arm.rs",
    "crates/words/src/simd/avx2.rs",
    "crates/words/src/simd/x86.rs",
];

const EFFECTFUL: [&str; 9] = ["env", "fs", "io", "net", "os", "process", "sync", "thread", "{"];

fn effectful_modules(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.krate() == Some("scheduler")) {
        for (line, code) in file.code() {
            for (at, path) in code.match_indices("std::") {
                let after = &code[at + path.len()..];
                if EFFECTFUL.iter().any(|name| after.starts_with(name)) {
                    findings.push(file.finding(
                        line,
                        "the scheduler does no I/O, starts nothing and shares nothing: let its \
                         caller do this (and write one `use std::...` a line)",
                    ));
                }
            }
        }
    }
    findings
}

const TASK: &str = "crates/scheduler/src/task.rs";

fn open_state(files: &[File]) -> Vec<Finding> {
    let task = match file(files, TASK) {
        Ok(task) => task,
        Err(finding) => return vec![finding],
    };
    let mut declared = 0;
    let mut findings = Vec::new();
    for (line, code) in task.code() {
        let declaration =
            has_word(code, "enum State") || code.trim_start().ends_with("state: State,");
        declared += usize::from(declaration);
        if declaration && has_word(code, "pub") {
            findings.push(task.finding(line, "remove `pub`: only this module changes a state"));
        }
    }
    if declared < 2 {
        let advice = "expected `enum State` and a field `state: State`: adapt this check to \
                      their new names";
        findings.push(task.finding(1, advice));
    }
    findings
}

/// Other crates match on texts and numbers as well, where clippy must suffice.
const ENGINE: [&str; 6] = ["driver", "journal", "rpc", "scheduler", "store", "worker"];

fn wildcards(files: &[File]) -> Vec<Finding> {
    let in_engine = |file: &File| file.krate().is_some_and(|krate| ENGINE.contains(&krate));
    places_outside(
        files,
        |file| !in_engine(file),
        |code| {
            let code = code.trim_start();
            ["_ =>", "_ if "].iter().any(|arm| code.starts_with(arm))
                || ["{ _ =>", "| _ =>", ", _ =>"].iter().any(|arm| code.contains(arm))
        },
        "name the variants that are left, so that a new one is a compile error here",
    )
}

fn wire_types(files: &[File]) -> Vec<Finding> {
    let wire =
        |path: &str| path == "crates/rpc/src/wire.rs" || path.starts_with("crates/rpc/src/wire/");
    words_outside(
        files,
        |file| wire(&file.path),
        &["pb", "prost", "tonic"],
        "name protobuf and gRPC types in crates/rpc/src/wire.rs only; use the types of rpc::message",
    )
}

fn unsafe_code(files: &[File], allowed: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(source) = &file.rust else { continue };
        let places = source.lines().filter(|(_, code)| has_word(code, "unsafe"));
        let listed = allowed.contains(&file.path.as_str());
        let places: Vec<_> = places.map(|(line, _)| line).collect();
        if listed && places.is_empty() {
            findings.push(file.finding(1, "no longer unsafe: remove it from UNSAFE_FILES"));
        } else if !listed {
            let advice = "write it in safe Rust; if it must be unsafe, list the file in \
                          UNSAFE_FILES and say why in the commit";
            findings.extend(places.iter().map(|&line| file.finding(line, advice)));
        }
    }
    findings
}

fn printing(files: &[File]) -> Vec<Finding> {
    let handles = ["io::stdout", "io::stderr", "stdout()", "stderr()"];
    places_outside(
        files,
        |file| PRINTING.contains(&&*file.path),
        |code| {
            handles.iter().any(|handle| {
                code.match_indices(handle).any(|(at, _)| {
                    // `child.stdout()` is something else.
                    !code[..at].ends_with('.') && is_word(code, at, handle.trim_end_matches("()"))
                })
            })
        },
        "hand the text to crates/mapmill/src/messages.rs, which handles closed pipes",
    )
}

fn exiting(files: &[File]) -> Vec<Finding> {
    places_outside(
        files,
        |file| file.path == "crates/mapmill/src/main.rs",
        |code| ["process::exit", "process::abort"].iter().any(|call| has_word(code, call)),
        "return an error: only crates/mapmill/src/main.rs ends the process",
    )
}

/// Files that print.
const PRINTING: [&str; 3] =
    ["bench/src/say.rs", "crates/mapmill/src/messages.rs", "crates/mapmill/src/terminal.rs"];

const LAYOUT: &str = "crates/store/src/layout.rs";

/// The crates that stage.
const STAGING: [&str; 3] = ["driver", "store", "worker"];

fn object_names(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path != LAYOUT) {
        for (line, text) in file.strings() {
            let spelled = ["mr-", "out-", ".mapmill", "intermediate/", "out/"]
                .iter()
                .any(|name| begins_in(text, name));
            // The folder of an attempt. In other crates such a text is for people.
            let staging = file.krate().is_some_and(|krate| STAGING.contains(&krate));
            let spelled = spelled || staging && text.contains("}.a");
            if spelled || ["intermediate", "out"].contains(&text) {
                let advice = format!("call {LAYOUT} for the name of an object");
                findings.push(file.finding(line, advice));
            }
        }
    }
    findings
}

/// Whether `name` occurs in `text` other than at the end of a longer word, as in "time-out-".
fn begins_in(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '-')
    })
}

const COMMANDS: [&str; 11] = [
    "mapmill certs",
    "mapmill clean",
    "mapmill completions",
    "mapmill driver",
    "mapmill man",
    "mapmill run",
    "mapmill status",
    "mapmill top",
    "mapmill verify",
    "mapmill why",
    "mapmill worker",
];

fn command_lines(files: &[File]) -> Vec<Finding> {
    let is_flag = |text: &str| {
        text.match_indices("--").any(|(at, dashes)| {
            text[at + dashes.len()..].starts_with(|after: char| after.is_ascii_lowercase())
                && !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '-')
        })
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.krate().is_some_and(|krate| krate != "mapmill")) {
        for (line, text) in file.strings() {
            let is_command = COMMANDS.iter().any(|command| has_word(text, command));
            if is_flag(text) || is_command || text.contains("MAPMILL_") {
                let advice = "return the case, and say in crates/mapmill/src/way_out.rs \
                              which flag or command helps";
                findings.push(file.finding(line, advice));
            }
        }
    }
    findings
}

fn words_outside(
    files: &[File],
    home: impl Fn(&File) -> bool,
    words: &[&str],
    advice: &str,
) -> Vec<Finding> {
    places_outside(files, home, |code| words.iter().any(|word| has_word(code, word)), advice)
}

/// The lines of code that are `wanted`, in files other than their `home`.
fn places_outside(
    files: &[File],
    home: impl Fn(&File) -> bool,
    wanted: impl Fn(&str) -> bool,
    advice: &str,
) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| !home(file))
        .flat_map(|file| {
            let lines = file.code().filter(|(_, code)| wanted(code));
            lines.map(|(line, _)| file.finding(line, advice)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_scheduler_with_side_effects_is_found() {
    let text = "use std::time::Duration;\nuse std::fs;\nuse std::{cmp, net};\n// std::io\n";
    let files = [File::new("crates/scheduler/src/job.rs", text)];
    assert_eq!(lines(&effectful_modules(&files)), [2, 3]);
}

#[test]
fn an_open_state_is_found() {
    let check = |text: &str| lines(&open_state(&[File::new(TASK, text)]));

    assert_eq!(check("enum State {}\nstruct Task {\n    state: State,\n}\n"), NOWHERE);
    assert_eq!(check("pub enum State {}\nstruct Task {\n    pub state: State,\n}\n"), [1, 3]);
    assert_eq!(check("enum Condition {}\n"), [1]);
    assert_eq!(lines(&open_state(&[])), [1]);
}

#[test]
fn a_wildcard_arm_is_found() {
    let text = "match a {\n    Some(B::C) => 1,\n    _ => 2,\n}\nmatch a { None | Some(_) => 1 }\n\
                match a { B::C => 1, _ => 2 }\nfn f(_: u8) {}\n";

    assert_eq!(lines(&wildcards(&[File::new("crates/driver/src/a.rs", text)])), [3, 6]);
    assert_eq!(lines(&wildcards(&[File::new("crates/words/src/a.rs", text)])), NOWHERE);
}

#[test]
fn a_protobuf_type_elsewhere_is_found() {
    let text = "use crate::wire::pb::Task;\n// prost::Message\nfn f(_: tonic::Status) {}\n";
    assert_eq!(lines(&wire_types(&[File::new("crates/rpc/src/auth.rs", text)])), [1, 3]);
    assert_eq!(lines(&wire_types(&[File::new("crates/driver/src/reports.rs", text)])), [1, 3]);
    assert_eq!(lines(&wire_types(&[File::new("crates/rpc/src/wire/server.rs", text)])), NOWHERE);
}

#[test]
fn unsafe_code_is_found_and_so_is_an_unused_entry() {
    let bad = [File::new("crates/words/src/gaps.rs", "fn f() {\n    unsafe { g() }\n}\n")];
    let good = [File::new("crates/words/src/gaps.rs", "// unsafe\n#![deny(unsafe_code)]\n")];

    assert_eq!(lines(&unsafe_code(&bad, &[])), [2]);
    assert_eq!(lines(&unsafe_code(&bad, &["crates/words/src/gaps.rs"])), NOWHERE);
    assert_eq!(lines(&unsafe_code(&good, &[])), NOWHERE);
    assert_eq!(lines(&unsafe_code(&good, &["crates/words/src/gaps.rs"])), [1]);
}

#[test]
fn printing_elsewhere_is_found() {
    let text =
        "use std::io::stdout;\nlet out = stdout();\nlet a = child.stdout();\nio::stderr();\n";
    assert_eq!(lines(&printing(&[File::new("crates/worker/src/map.rs", text)])), [1, 2, 4]);
    assert_eq!(lines(&printing(&[File::new("bench/src/main.rs", text)])), [1, 2, 4]);
    assert_eq!(lines(&printing(&[File::new("bench/src/say.rs", text)])), NOWHERE);
    assert_eq!(lines(&printing(&[File::new("crates/scheduler/benches/scale.rs", text)])), NOWHERE);
}

#[test]
fn exiting_elsewhere_is_found() {
    let text = "fn f() {\n    std::process::exit(1);\n}\n";
    assert_eq!(lines(&exiting(&[File::new("crates/mapmill/src/fleet.rs", text)])), [2]);
    assert_eq!(lines(&exiting(&[File::new("crates/mapmill/src/main.rs", text)])), NOWHERE);
}

#[test]
fn an_object_name_elsewhere_is_found() {
    let text = "f(\"mr-0-1\");\ng(\"time-out-\");\nh(\"{files}/.mapmill/x\");\n// \"out-1\"\n\
                i(\"out\");\n#[cfg(test)]\nmod tests { const J: &str = \"out-0\"; }\n";
    assert_eq!(lines(&object_names(&[File::new("crates/driver/src/reports.rs", text)])), [1, 3, 5]);
    assert_eq!(lines(&object_names(&[File::new(LAYOUT, text)])), NOWHERE);

    let text = "let attempt = format!(\"{letter}{index}.a{number}\");\n\
                layout::staging(session, &format!(\"m{task}.a0\"));\nf(\"{files}.tar\");\n";
    assert_eq!(lines(&object_names(&[File::new("crates/worker/src/attempt.rs", text)])), [1, 2]);
    assert_eq!(lines(&object_names(&[File::new("crates/scheduler/src/id.rs", text)])), NOWHERE);
}

#[test]
fn a_flag_or_command_in_a_library_is_found() {
    let check = |path: &str, text: &str| {
        let text = format!("fn f() {{\n    \"{text}\"\n}}\n");
        lines(&command_lines(&[File::new(path, &text)]))
    };
    for text in ["use --tls DIR", "--tls", "(mapmill certs issue)", "set MAPMILL_TOKEN"] {
        assert_eq!(check("crates/rpc/src/a.rs", text), [2], "{text}");
        assert_eq!(check("crates/mapmill/src/a.rs", text), NOWHERE);
        assert_eq!(check("crates/rpc/tests/a.rs", text), NOWHERE);
    }
    for text in ["no result of mapmill", "mapmill 0.1.0", "a--b", "-- a", "---begin"] {
        assert_eq!(check("crates/rpc/src/a.rs", text), NOWHERE, "{text}");
    }
}
