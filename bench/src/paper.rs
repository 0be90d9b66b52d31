//! Puts what was measured into `BENCHMARKS.md`, between marks, and all samples beside the plots.

use std::fs;
use std::io;

use serde_json::{Value, json};

use bench::top;

use crate::race::{Outcome, Row};

/// Replace what stands in the paper between the marks called `name`.
///
/// # Errors
///
/// When there are no such marks.
pub(crate) fn fill(paper: &str, name: &str, content: &str) -> io::Result<String> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let parts = paper
        .split_once(&open)
        .and_then(|(before, rest)| rest.split_once(&close).map(|(_, after)| (before, after)));
    let Some((before, after)) = parts else {
        return Err(io::Error::other(format!("BENCHMARKS.md has no marks `{}`", open.trim())));
    };
    Ok(format!("{before}{open}\n{}\n\n{close}{after}", content.trim()))
}

/// Write `parts`, each with its name, into the paper.
pub(crate) fn write(parts: &[(String, String)]) -> io::Result<()> {
    let path = top().join("BENCHMARKS.md");
    let mut paper = fs::read_to_string(&path)?;
    for (name, content) in parts {
        paper = fill(&paper, name, content)?;
    }
    fs::write(path, paper)
}

/// Every sample there is, for programs.
pub(crate) fn samples(outcomes: &[Outcome], machine: &str) -> String {
    let row = |row: &Row| {
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
    };
    let races: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let rows: Vec<Value> = outcome.rows.iter().map(row).collect();
            json!({ "race": outcome.title, "rows": rows, "notes": outcome.notes })
        })
        .collect();
    let all = json!({ "machine": machine.lines().collect::<Vec<_>>(), "races": races });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use crate::flags::RaceName;

    use super::*;

    #[test]
    fn the_paper_has_marks_for_every_table() {
        let mut paper = fs::read_to_string(top().join("BENCHMARKS.md")).unwrap();
        let races = RaceName::value_variants().iter().filter_map(RaceName::to_possible_value);
        let races = races.map(|race| race.get_name().to_owned());
        for name in races.chain(["limits", "loops", "machine"].map(str::to_owned)) {
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
}
