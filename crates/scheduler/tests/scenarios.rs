//! What happens when something goes wrong, as transcripts.
//!
//! Each file in `scenarios/` is one scenario: events, `----`, and their effects. To see what a
//! change does to them all, run `REWRITE=1 cargo test -p scheduler --test scenarios` and read the
//! diff; commit it only if you can explain it. `script/mod.rs` describes the language.
#![expect(clippy::disallowed_methods, reason = "the test reads and rewrites its transcripts")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use script::Script;

#[expect(dead_code, reason = "shared with the properties, which print what this one parses")]
mod script;

#[test]
fn every_transcript_happens_as_it_is_written() {
    let rewrite = std::env::var_os("REWRITE").is_some();
    let mut differences = String::new();
    for path in transcripts() {
        let written = fs::read_to_string(&path).expect("a transcript is text");
        let Ok(played) = catch_unwind(|| play(&path, &written)) else {
            differences += &format!("{}\n  panics, see above\n", path.display());
            continue;
        };
        if played == written {
            continue;
        }
        if rewrite {
            fs::write(&path, &played).expect("a transcript can be rewritten");
        } else {
            differences += &difference(&path, &written, &played);
        }
    }
    assert!(differences.is_empty(), "{differences}\nREWRITE=1 accepts what happens now");
}

#[test]
fn every_transcript_begins_with_what_it_is_about() {
    for path in transcripts() {
        let written = fs::read_to_string(&path).expect("a transcript is text");
        assert!(written.starts_with("# "), "{} does not start with a comment", path.display());
    }
}

/// Run every line again; the transcript with the output it has now.
fn play(path: &Path, transcript: &str) -> String {
    let mut script = None;
    let mut played = Vec::new();
    for block in transcript.trim_end().split("\n\n") {
        let inputs: Vec<&str> = block.lines().take_while(|&line| line != "----").collect();
        let mut outputs = Vec::new();
        for line in inputs.iter().filter(|line| !line.starts_with('#')) {
            if line.starts_with("job ") {
                let (job, limits) = script::parse_job(line);
                script = Some(Script::new(&job, limits));
            } else {
                let script: &mut Script =
                    script.as_mut().unwrap_or_else(|| panic!("no job in {}", path.display()));
                outputs.extend(script.execute(line));
            }
        }
        played.push(format_block(&inputs, &outputs));
    }
    played.join("\n\n") + "\n"
}

/// A block without output says so, unless it only prepares the job.
fn format_block(inputs: &[&str], outputs: &[String]) -> String {
    let mut block = inputs.join("\n");
    let prepares =
        inputs.iter().all(|line| PREPARATIONS.iter().any(|start| line.starts_with(start)));
    if !outputs.is_empty() {
        block += "\n----\n";
        block += &outputs.join("\n");
    } else if !prepares {
        block += "\n----\n(nothing)";
    }
    block
}

fn difference(path: &Path, written: &str, played: &str) -> String {
    let same = written.lines().zip(played.lines()).take_while(|(old, new)| old == new).count();
    let line = same + 1;
    let nth = |text: &str| text.lines().nth(line - 1).unwrap_or("(the end)").to_owned();
    format!("{}:{line}\n  written: {}\n  happens: {}\n", path.display(), nth(written), nth(played),)
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(folder).expect("the scenarios are beside this file");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are transcripts");
    paths
}

/// How a line starts that only prepares the job.
const PREPARATIONS: [&str; 4] = ["#", "job ", "register ", "restore "];
