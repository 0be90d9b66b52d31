//! `ARCHITECTURE.md` matches the code: its paths exist, its table of dependencies is exact (I15).

use std::collections::{BTreeMap, BTreeSet};

use crate::dependencies::{Member, members, sample};
use crate::source::{has_word, is_word};
use crate::tree::{File, Finding, NOWHERE, exists, file, hold, lines, repository};

/// I15.
#[test]
fn every_path_named_in_the_architecture_exists() {
    hold(&about(repository(), dead_paths));
}

/// I15.
#[test]
fn every_invariant_names_its_check() {
    hold(&about(repository(), unchecked));
}

/// I15.
#[test]
fn every_invariant_that_the_code_cites_is_written_down() {
    hold(&about(repository(), dead_citations));
}

/// I15.
#[test]
fn every_crate_is_on_the_map() {
    let members = members();
    hold(&about(repository(), |paper, _| uncharted(paper, &members)));
}

/// I1.
#[test]
fn every_dependency_is_in_the_table_with_a_reason() {
    let members = members();
    hold(&about(repository(), |paper, _| wrong_table(paper, &members)));
}

/// These may not be removed.
const REQUIRED: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 15, 16];

/// How names of files end.
const ENDINGS: [&str; 8] = [".lock", ".md", ".proto", ".py", ".rs", ".toml", ".txt", ".yml"];

fn about(files: &[File], rule: impl Fn(&File, &[File]) -> Vec<Finding>) -> Vec<Finding> {
    match file(files, "ARCHITECTURE.md") {
        Ok(paper) => rule(paper, files),
        Err(finding) => vec![finding],
    }
}

/// The texts in backticks, each with its line; fenced blocks are skipped.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|inside| (number, inside)));
        }
    }
    found
}

/// Whether this is the path of a file of the repository. A file that a job creates is not, and
/// neither is a name with a placeholder, as in `mr-<m>-<bucket>`.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*/".contains(&byte);
    text.bytes().all(plain)
        && (text.contains('/') || ENDINGS.iter().any(|ending| text.ends_with(ending)))
        && !text.starts_with(['/', '-', '*'])
        && !ENDINGS.contains(&text)
        && !text.contains(".mapmill")
}

/// Whether `path` exists, counted from the top or given by its last parts (`task.rs`).
fn is_kept(files: &[File], path: &str) -> bool {
    let path = path.trim_end_matches('/');
    if let Some((before, after)) = path.split_once('*') {
        return files
            .iter()
            .any(|file| file.path.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)));
    }
    exists(files, path)
        || files.iter().any(|file| {
            format!("/{}", file.path).contains(&format!("/{path}/"))
                || file.path.ends_with(&format!("/{path}"))
        })
}

fn dead_paths(paper: &File, files: &[File]) -> Vec<Finding> {
    let quoted = quoted(&paper.text).into_iter();
    quoted
        .filter(|(_, text)| is_path(text) && !is_kept(files, text))
        .map(|(line, path)| {
            paper.finding(line, format!("`{path}` does not exist: name the path that replaced it"))
        })
        .collect()
}

/// One invariant: its number, its line, and its paragraph.
fn invariants(text: &str) -> Vec<(u32, usize, String)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((_, after)) = line.split_once("**Architecture Invariant I") else { continue };
        let number = after.split(':').next().and_then(|number| number.parse().ok());
        let paragraph: Vec<_> =
            lines[at..].iter().take_while(|line| !line.trim().is_empty()).copied().collect();
        found.push((number.unwrap_or(0), at + 1, paragraph.join(" ")));
    }
    found
}

fn unchecked(paper: &File, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, line, paragraph) in invariants(&paper.text) {
        if number == 0 || !seen.insert(number) {
            let advice = "number it once: `**Architecture Invariant I7:**`";
            findings.push(paper.finding(line, advice));
        }
        let Some((_, check)) = paragraph.split_once("Checked by") else {
            let advice = format!("say after `Checked by` what checks I{number}");
            findings.push(paper.finding(line, advice));
            continue;
        };
        let prose: String = check.split('`').step_by(2).collect();
        let mut named = ["privacy", "review"].iter().any(|word| has_word(&prose, word));
        if has_word(&prose, "tidy") {
            named = true;
            if !is_tidy(files, number) {
                let advice = format!("no test of tidy cites I{number} in the comment above it");
                findings.push(paper.finding(line, advice));
            }
        }
        let names = check.split('`').skip(1).step_by(2);
        for name in names.map(|name| name.trim_end_matches(" = \"deny\"")) {
            if is_check(files, name) {
                named = true;
            } else if is_path(name) || name.contains(['_', ':']) {
                named = true;
                let advice = format!("`{name}` is neither a denied lint, nor a test, nor a file");
                findings.push(paper.finding(line, advice));
            }
        }
        if !named {
            let advice = "name a lint, a test or a file in backticks, or tidy, privacy or review";
            findings.push(paper.finding(line, advice));
        }
    }
    let missing = REQUIRED.iter().filter(|number| !seen.contains(number));
    findings.extend(missing.map(|number| paper.finding(1, format!("I{number} is missing"))));
    findings
}

/// Whether a test in the folder of this file cites `number` in the comment above it.
fn is_tidy(files: &[File], number: u32) -> bool {
    files.iter().filter(|file| file.path.starts_with("crates/mapmill/tests/tidy/")).any(|file| {
        let lines: Vec<&str> = file.text.lines().collect();
        lines.windows(2).any(|pair| {
            pair[0].starts_with("/// ")
                && cited(pair[0]).any(|cited| cited == number)
                && pair[1] == "#[test]"
        })
    })
}

/// Whether `name` is a lint that a manifest or a crate denies, a test, or a file that is kept.
fn is_check(files: &[File], name: &str) -> bool {
    let lint = name.strip_prefix("clippy::").unwrap_or(name);
    let denied = |file: &File| match &file.rust {
        Some(source) => source
            .attributes()
            .any(|(_, attribute)| attribute.starts_with("deny(") && has_word(attribute, lint)),
        None => {
            file.path == "Cargo.toml"
                && file.text.lines().any(|line| line == format!("{lint} = \"deny\""))
        }
    };
    let test = |file: &File| {
        file.rust.as_ref().is_some_and(|source| source.code.contains(&format!("fn {name}(")))
    };
    is_path(name) && is_kept(files, name) || files.iter().any(|file| denied(file) || test(file))
}

fn dead_citations(paper: &File, files: &[File]) -> Vec<Finding> {
    let known: BTreeSet<u32> =
        invariants(&paper.text).into_iter().map(|(number, ..)| number).collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.rust.is_some() || file.path.ends_with(".toml")) {
        let comments = (1..).zip(file.text.lines()).filter(|(_, line)| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        });
        for (number, comment) in comments {
            for invariant in cited(comment).filter(|invariant| !known.contains(invariant)) {
                let advice = format!("ARCHITECTURE.md has no I{invariant}: cite one that it has");
                findings.push(file.finding(number, advice));
            }
        }
    }
    findings
}

/// The numbers in "I7" and the like.
fn cited(comment: &str) -> impl Iterator<Item = u32> {
    comment.match_indices('I').filter_map(|(at, _)| {
        let digits = comment[at + 1..].split(|c: char| !c.is_ascii_digit()).next()?;
        let name = &comment[at..at + 1 + digits.len()];
        if is_word(comment, at, name) { digits.parse().ok() } else { None }
    })
}

fn uncharted(paper: &File, members: &[Member]) -> Vec<Finding> {
    let quoted = quoted(&paper.text);
    members
        .iter()
        .filter(|member| {
            !quoted.iter().any(|(_, text)| text.trim_end_matches('/') == member.folder)
        })
        .map(|member| paper.finding(1, format!("say what `{}` is for", member.folder)))
        .collect()
}

/// Rows of the table `| crate | dependency | reason |`. The first two may hold several names, with
/// commas between them: each of these crates has each of these dependencies.
fn rows(text: &str) -> (Option<usize>, Vec<(usize, Vec<&str>)>) {
    let mut lines = (1..).zip(text.lines());
    let header = lines.by_ref().find(|(_, line)| {
        cells(line).is_some_and(|cells| cells == ["crate", "dependency", "reason"])
    });
    let rows = lines.skip(1).map_while(|(number, line)| Some((number, cells(line)?)));
    (header.map(|(number, _)| number), rows.collect())
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').map(str::trim).collect())
}

fn wrong_table(paper: &File, members: &[Member]) -> Vec<Finding> {
    let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut wanted: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    for member in members {
        let foreign = member.normal.iter().filter(|name| !ours.contains(name.as_str()));
        wanted.extend(foreign.map(|name| ((member.name.as_str(), name.as_str()), ())));
    }
    let (header, rows) = rows(&paper.text);
    let Some(header) = header else {
        return vec![paper.finding(1, "write the table `| crate | dependency | reason |`")];
    };
    let mut findings = Vec::new();
    for (line, row) in rows {
        let [crates, dependencies, reason] = row.as_slice() else {
            findings.push(paper.finding(line, "a row has three cells"));
            continue;
        };
        if reason.is_empty() {
            findings.push(paper.finding(line, "give a reason: what does it save us?"));
        }
        for krate in names(crates) {
            for dependency in names(dependencies) {
                if wanted.remove(&(krate, dependency)).is_none() {
                    let advice =
                        format!("`{krate}` does not use `{dependency}`, or has two rows for it");
                    findings.push(paper.finding(line, advice));
                }
            }
        }
    }
    findings.extend(wanted.into_keys().map(|(krate, dependency)| {
        let advice = format!("`{krate}` uses `{dependency}`: add a row, or remove the dependency");
        paper.finding(header, advice)
    }));
    findings
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| !name.is_empty())
}

#[test]
fn a_dead_path_is_found() {
    let files = [
        File::new("crates/scheduler/src/task.rs", ""),
        File::new("crates/scheduler/tests/scenarios/dead.txt", ""),
    ];
    let check = |text: &str| lines(&dead_paths(&File::new("ARCHITECTURE.md", text), &files));

    assert_eq!(
        check("`crates/scheduler/src/task.rs`, `task.rs`, `scheduler/`, `src/task.rs`"),
        NOWHERE
    );
    assert_eq!(check("`crates/scheduler/tests/scenarios/*.txt`"), NOWHERE);
    assert_eq!(check("\n`crates/scheduler/src/tusk.rs`"), [2]);
    assert_eq!(check("`ask.rs`"), [1]);
    assert_eq!(check("`schedule/`"), [1]);
    assert_eq!(check("`crates/words/tests/*.txt`"), [1]);
    assert_eq!(
        check("`mr-<m>/<b>`, `files/.mapmill/x`, `cargo test`, `rpc::wire`, tusk.rs"),
        NOWHERE
    );
    assert_eq!(check("```\n`tusk.rs`\n```\n"), NOWHERE);
}

#[test]
fn an_invariant_without_check_is_found() {
    let files = [
        File::new("Cargo.toml", "exit = \"deny\"\n"),
        File::new("a.rs", "fn a_test() {}\n"),
        File::new("lib.rs", "#![deny(clippy::disallowed_types)]\n"),
        File::new("crates/mapmill/tests/tidy/a.rs", "/// I1, I2.\n#[test]\nfn b() {}\n/// I3.\n"),
    ];
    let all: String = REQUIRED
        .iter()
        .map(|number| format!("**Architecture Invariant I{number}:** a.\nChecked by `a_test`.\n\n"))
        .collect();
    let check = |from: &str, to: &str| {
        lines(&unchecked(&File::new("ARCHITECTURE.md", &all.replacen(from, to, 1)), &files))
    };

    assert_eq!(check("", ""), NOWHERE);
    assert_eq!(check("`a_test`", "`clippy::exit`, `clippy::disallowed_types`, `a.rs`"), NOWHERE);
    assert_eq!(check("`a_test`", "review"), NOWHERE);
    assert_eq!(check("`a_test`", "tidy"), NOWHERE);
    assert_eq!(check("I3:** a.\nChecked by `a_test`", "I3:** a.\nChecked by tidy"), [7]);
    assert_eq!(check("`a_test`", "`exit = \"deny\"` (no `HashMap`)"), NOWHERE);
    assert_eq!(check("`a_test`", "`HashMap`"), [1]);
    assert_eq!(check("`a_test`", "goodwill"), [1]);
    assert_eq!(check("`a_test`", "`another_test`"), [1]);
    assert_eq!(check("Checked by", "Verified by"), [1]);
    assert_eq!(check("Invariant I2:", "Invariant I1:"), [4, 1]);
}

#[test]
fn a_citation_of_an_unknown_invariant_is_found() {
    let paper = File::new("ARCHITECTURE.md", "**Architecture Invariant I7:** a.\n");
    let code = File::new("a.rs", "// I7, I70\n/// See I8.\nfn i() -> I9 {} // MI6\n");

    assert_eq!(lines(&dead_citations(&paper, &[code])), [1, 2]);
}

#[test]
fn a_crate_that_is_not_on_the_map_is_found() {
    let paper = File::new("ARCHITECTURE.md", "`crates/words/`: counts\n");

    assert_eq!(lines(&uncharted(&paper, &[sample("words", &[])])), NOWHERE);
    assert_eq!(lines(&uncharted(&paper, &[sample("word", &[])])), [1]);
}

#[test]
fn a_wrong_table_is_found() {
    let members = [sample("rpc", &["tokio", "tonic"]), sample("worker", &["rpc", "tokio"])];
    let head = "| crate | dependency | reason |\n|---|---|---|\n";
    let check = |rows: &str| {
        lines(&wrong_table(&File::new("ARCHITECTURE.md", &format!("{head}{rows}")), &members))
    };
    let tokio = "| rpc, worker | `tokio` | the gRPC stack |\n";
    let tonic = "| rpc | tonic | the gRPC stack |\n";

    assert_eq!(check(&format!("{tokio}{tonic}")), NOWHERE);
    assert_eq!(check(tokio), [1]);
    assert_eq!(check(&format!("{tokio}{tonic}| rpc | prost | the gRPC stack |\n")), [5]);
    assert_eq!(check(&format!("{tokio}{tonic}{tonic}")), [5]);
    assert_eq!(check(&format!("{tokio}| rpc | tonic | |\n")), [4]);
    assert_eq!(lines(&wrong_table(&File::new("ARCHITECTURE.md", ""), &members)), [1]);
}
