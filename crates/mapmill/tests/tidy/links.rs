//! Links between papers lead to files and headings that exist.

use crate::tree::{File, Finding, NOWHERE, exists, hold, lines, repository};

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    hold(&dead_links(repository()));
}

fn dead_links(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for paper in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, target) in links(&paper.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if path.is_empty() { paper.path.clone() } else { resolve(&paper.path, path) };
            if !exists(files, &path) {
                findings.push(paper.finding(number, format!("`{path}` does not exist")));
                continue;
            }
            let linked = files.iter().find(|file| file.path == path);
            let is_known = |linked: &File| headings(&linked.text).any(|known| known == anchor);
            if !anchor.is_empty() && !linked.is_some_and(is_known) {
                findings.push(paper.finding(number, format!("`{path}` has no heading #{anchor}")));
            }
        }
    }
    findings
}

/// The targets of links and images, each with its line; other sites are skipped.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.contains("://")).map(move |target| (number, target))
    })
}

/// `link` as seen from the folder of `from`, counted from the top.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a paper's headings, as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|&c| c.is_alphanumeric() || "-_".contains(c)).collect()
    })
}

#[test]
fn a_dead_link_is_found() {
    let files = [
        File::new("README.md", "# Mapmill\n"),
        File::new("docs/words.md", "# The rules, exactly\n"),
        File::new("docs/man/mapmill.1", ""),
    ];
    let check = |path: &str, text: &str| {
        let mut files: Vec<_> =
            files.iter().map(|file| File::new(&file.path, &file.text)).collect();
        files.push(File::new(path, text));
        lines(&dead_links(&files))
    };

    assert_eq!(check("a.md", "[a](docs/words.md), [b](docs/man), [c](https://a.b/c)\n"), NOWHERE);
    assert_eq!(check("a.md", "[a](docs/words.md#the-rules-exactly) [b](README.md#words)\n"), [1]);
    assert_eq!(check("docs/a.md", "[a](words.md) ![b](../README.md)\n[c](README.md)\n"), [2]);
    assert_eq!(check("a.md", "# Some title\n[a](#some-title)\n[b](#another)\n"), [3]);
}
