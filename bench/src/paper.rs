//! Puts what was measured into `BENCHMARKS.md`, between marks, and samples and plots beside it.

use std::fs;
use std::io;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

use bench::say;

use crate::acceptance::{self, Criterion};
use crate::flags::RaceName;
use crate::plot;
use crate::race::{Outcome, Row};
use crate::table;

/// The results of one run of this program.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) machine: String,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) criteria: Vec<Criterion>,
    /// The table of the hot loops, if they were run.
    pub(crate) loops: Option<String>,
}

impl Findings {
    /// Write samples and plots, and nothing of any other run, to `folder`.
    pub(crate) fn leave(&self, folder: &Path) -> io::Result<()> {
        if self.outcomes.is_empty() {
            return Ok(());
        }
        self.leave_with(folder, &Value::Null)
    }

    /// Replace the tables of the same races in the paper of the checkout `top`, and the samples and
    /// plots beside it; races that were not run keep theirs.
    pub(crate) fn write(&self, top: &Path) -> io::Result<()> {
        let folder = top.join(SAMPLES);
        if !self.outcomes.is_empty() {
            fs::create_dir_all(&folder)?;
            let kept = match fs::read(folder.join(FILE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
                kept => serde_json::from_slice(&kept?)?,
            };
            self.leave_with(&folder, &kept)?;
        }

        let path = top.join(PAPER);
        let mut paper = fs::read_to_string(&path)?;
        for outcome in &self.outcomes {
            paper = fill(&paper, &outcome.name.name(), &table::table(outcome))?;
        }
        if !self.outcomes.is_empty() {
            let (_, kept, _) = part(&paper, "limits")?;
            paper = fill(&paper, "limits", &acceptance::list(&self.criteria, kept))?;
        }
        if let Some(loops) = &self.loops {
            paper = fill(&paper, "loops", loops)?;
        }
        fs::write(path, fill(&paper, "machine", &self.machine)?)
    }

    fn leave_with(&self, folder: &Path, kept: &Value) -> io::Result<()> {
        fs::write(folder.join(FILE), self.samples(kept))?;
        for (name, svg) in plot::plots(&self.outcomes) {
            fs::write(folder.join(format!("{name}.svg")), svg)?;
        }
        say::note(format!("samples and plots are in {}", folder.display()));
        Ok(())
    }

    /// Every sample there is, for programs; those of races that were not run are those of `kept`.
    fn samples(&self, kept: &Value) -> String {
        let kept = kept["races"].as_array().map_or(&[][..], Vec::as_slice);
        let races: Vec<Value> = RaceName::value_variants()
            .iter()
            .filter_map(|race| {
                let new = self.outcomes.iter().find(|outcome| outcome.name == *race);
                let old = || kept.iter().find(|old| old["race"] == race.name()).cloned();
                new.map(|outcome| self.race(outcome)).or_else(old)
            })
            .collect();
        format!("{:#}\n", json!({ "races": races }))
    }

    /// With the machine: other races may have been run on another, or over another commit.
    fn race(&self, outcome: &Outcome) -> Value {
        json!({
            "race": outcome.name.name(),
            "title": outcome.title,
            "machine": self.machine.lines().collect::<Vec<_>>(),
            "rows": outcome.rows.iter().map(row).collect::<Vec<_>>(),
            "notes": outcome.notes,
        })
    }
}

fn row(row: &Row) -> Value {
    let samples: Vec<Value> = row
        .samples
        .iter()
        .map(|sample| {
            json!({
                "seconds": sample.used.wall.as_secs_f64(),
                "cpu_seconds": sample.used.cpu.as_secs_f64(),
                "rss_bytes": sample.used.rss_bytes,
                "words": sample.words,
                "distinct_words": sample.distinct,
            })
        })
        .collect();
    json!({ "contender": row.label, "bytes": row.bytes, "samples": samples })
}

/// The text before the marks called `name`, between them, and after; the marks are in the outer
/// parts.
fn part<'a>(paper: &'a str, name: &str) -> io::Result<(&'a str, &'a str, &'a str)> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let start = paper.find(&open).map(|at| at + open.len());
    let end = start.and_then(|start| Some(start + paper[start..].find(&close)?));
    let (Some(start), Some(end)) = (start, end) else {
        return Err(io::Error::other(format!("{PAPER} has no marks `{}`", open.trim())));
    };
    Ok((&paper[..start], &paper[start..end], &paper[end..]))
}

/// Replace the text between the marks called `name`.
fn fill(paper: &str, name: &str, content: &str) -> io::Result<String> {
    let (before, _, after) = part(paper, name)?;
    Ok(format!("{before}\n{}\n\n{after}", content.trim()))
}

pub(crate) const PAPER: &str = "BENCHMARKS.md";
pub(crate) const SAMPLES: &str = "docs/bench";
const FILE: &str = "samples.json";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bench::top;

    use crate::process::Used;
    use crate::sample::Sample;

    use super::*;

    #[test]
    fn the_paper_has_marks_for_every_table() {
        let mut paper = fs::read_to_string(top().join(PAPER)).unwrap();
        let races = RaceName::value_variants().iter().map(|race| race.name());
        for name in races.chain(["limits", "machine"].map(str::to_owned)) {
            paper = fill(&paper, &name, "1").unwrap();
        }
    }

    #[test]
    fn what_stands_between_the_marks_is_replaced() {
        let paper = "a\n<!-- books -->\nold\n<!-- /books -->\nb\n";
        let filled = fill(paper, "books", "new\n").unwrap();

        assert_eq!(filled, "a\n<!-- books -->\n\nnew\n\n<!-- /books -->\nb\n");
        assert_eq!(fill(&filled, "books", "new").unwrap(), filled);
        assert!(fill(paper, "source", "new").is_err());
    }

    /// As if `label` had taken so many seconds.
    fn raced(name: RaceName, label: &str, seconds: u64) -> Findings {
        let used = Used { wall: Duration::from_secs(seconds), ..Used::default() };
        let samples = vec![Sample { used, words: None, distinct: None, crc: None }];
        let rows = vec![Row { label: label.to_owned(), bytes: 1 << 30, base: 0, samples }];
        let title = format!("{label} for {seconds} s");
        let outcomes = vec![Outcome { name, title, rows, notes: Vec::new() }];
        let machine = format!("* the {seconds}th machine");
        Findings { machine, criteria: acceptance::criteria(&outcomes), outcomes, loops: None }
    }

    #[test]
    fn what_was_not_measured_stays_as_it_is() {
        let checkout = tempfile::tempdir().unwrap();
        let read = |path: &str| fs::read_to_string(checkout.path().join(path)).unwrap();
        let samples = || -> Value {
            serde_json::from_str(&read("docs/bench/samples.json")).expect("it is JSON")
        };
        fs::copy(top().join(PAPER), checkout.path().join(PAPER)).unwrap();

        let byte = "run, one byte";
        for findings in [
            raced(RaceName::Start, byte, 7),
            raced(RaceName::Books, "mapmill", 3),
            raced(RaceName::Books, "mapmill", 5),
        ] {
            findings.write(checkout.path()).unwrap();
        }

        let races = samples()["races"].clone();
        let titles: Vec<_> = races.as_array().unwrap().iter().map(|race| &race["title"]).collect();
        assert_eq!(titles, ["mapmill for 5 s", "run, one byte for 7 s"]);
        assert_eq!(races[1]["machine"][0], "* the 7th machine");
        assert_eq!(races[1]["rows"][0]["samples"][0]["seconds"], 7.0);
        let paper = read(PAPER);
        let limits = part(&paper, "limits").unwrap().1;
        let limit = limits.lines().find(|line| line.contains("seconds for one byte")).unwrap();
        assert!(limit.contains("7.000") && limit.contains("MISSED"), "{limit}");

        let (outcomes, criteria) = (Vec::new(), acceptance::criteria(&[]));
        let loops = Some("| map |".to_owned());
        let findings = Findings { machine: "* another".to_owned(), outcomes, criteria, loops };
        findings.write(checkout.path()).unwrap();

        assert_eq!(samples()["races"], races);
        let filled = fill(&paper, "loops", "| map |").unwrap();
        assert_eq!(read(PAPER), fill(&filled, "machine", "* another").unwrap());
    }
}
