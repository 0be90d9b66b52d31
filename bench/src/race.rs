//! A race: several contenders in turn, round after round, and the ratios of their times.
//!
//! In turn, because a machine is faster or slower for minutes on end: what is compared is
//! the runs of one round, which had the same minute.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::say;

use crate::contender::Contender;
use crate::corpora::warm;
use crate::flags::RaceName;
use crate::sample::Sample;
use crate::tools::Tools;

#[derive(Debug)]
pub(crate) struct Race {
    pub(crate) name: RaceName,
    pub(crate) title: String,
    pub(crate) entries: Vec<Entry>,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) contender: Contender,
    pub(crate) inputs: Vec<PathBuf>,
    /// Of all inputs together.
    pub(crate) bytes: u64,
    pub(crate) rounds: u32,
    /// The index of the entry that this one is compared with.
    pub(crate) base: usize,
}

/// The results of a race.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: RaceName,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// For the reader of the table.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) bytes: u64,
    pub(crate) base: usize,
    /// One a round; empty when the contender could not run.
    pub(crate) samples: Vec<Sample>,
}

/// How many times as long one took as the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Race {
    /// # Errors
    ///
    /// When Mapmill fails. The failure of another contender is a note.
    pub(crate) fn run(self, tools: &Tools) -> io::Result<Outcome> {
        let makes_many_files = self.name == RaceName::Start;
        let mut notes: Vec<_> =
            tools.results.note().into_iter().filter(|_| makes_many_files).collect();
        let inputs: BTreeSet<_> = self.entries.iter().flat_map(|entry| &entry.inputs).collect();
        inputs.into_iter().try_for_each(|input| warm(input))?;
        let mut rows: Vec<Row> = self
            .entries
            .iter()
            .map(|entry| Row {
                label: entry.label.clone(),
                bytes: entry.bytes,
                base: entry.base,
                samples: Vec::new(),
            })
            .collect();
        let rounds = self.entries.iter().map(|entry| entry.rounds).max().unwrap_or(0);
        let mut out = vec![false; rows.len()];
        for round in 0..rounds {
            for (index, entry) in self.entries.iter().enumerate() {
                if round >= entry.rounds || out[index] {
                    continue;
                }
                let run = |folder: &Path| entry.contender.run(&entry.inputs, tools, folder);
                match tools.results.with(entry.bytes, run) {
                    Ok(sample) => {
                        let seconds = sample.used.wall.as_secs_f64();
                        say::note(format!("{}, round {}: {seconds:.3} s", entry.label, round + 1));
                        rows[index].samples.push(sample);
                    }
                    Err(error) if entry.contender.is_ours() => {
                        return Err(io::Error::other(format!("{}: {error}", entry.label)));
                    }
                    Err(error) => {
                        notes.push(format!("{} did not run: {error}.", entry.label));
                        out[index] = true;
                    }
                }
            }
        }
        notes.extend(self.disagreements(&rows));
        Ok(Outcome { name: self.name, title: self.title, rows, notes })
    }

    /// Contenders that count the same text, and know all letters, must find the same numbers.
    fn disagreements(&self, rows: &[Row]) -> Vec<String> {
        let mut found = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let other = &self.entries[entry.base];
            if entry.contender.is_ascii_only() || entry.inputs != other.inputs {
                continue;
            }
            let counts = |row: &Row| {
                let last = row.samples.last()?;
                last.words.map(|words| (words, last.distinct))
            };
            if let (Some(own), Some(base)) = (counts(&rows[index]), counts(&rows[entry.base]))
                && own != base
            {
                found.push(format!("{} counts {own:?}, {} {base:?}.", entry.label, other.label));
            }
        }
        found
    }
}

/// Have all contenders count a little ASCII text, in which all must find the same words.
///
/// # Errors
///
/// When one does not: then the race would not be over the same work.
pub(crate) fn all_agree(contenders: &[Contender], text: &Path, tools: &Tools) -> io::Result<()> {
    let mut known = None;
    let bytes = fs::metadata(text)?.len();
    for contender in contenders.iter().filter(|contender| contender.lacks(tools).is_none()) {
        let run = |folder: &Path| contender.run(&[text.to_owned()], tools, folder);
        let sample = tools.results.with(bytes, run)?;
        let counts = (sample.words, sample.distinct);
        let known = known.get_or_insert(counts);
        if counts != *known {
            let others = format!("the first of them {known:?}");
            return Err(io::Error::other(format!("{contender:?} counts {counts:?}, {others}")));
        }
    }
    Ok(())
}

impl Row {
    pub(crate) fn walls(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.used.wall.as_secs_f64()).collect()
    }

    pub(crate) fn median_seconds(&self) -> Option<f64> {
        Some(spread(self.walls())?.median)
    }

    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let cpu = |sample: &Sample| -> Duration { sample.used.cpu };
        let all = self.samples.iter().map(|sample| cpu(sample).as_secs_f64()).collect();
        Some(spread(all)?.median)
    }

    /// The most of all rounds.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        self.samples.iter().map(|sample| sample.used.rss_bytes).max()
    }
}

impl Outcome {
    pub(crate) fn row(&self, label: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.label == label && !row.samples.is_empty())
    }

    /// How many times as long `row` took as what it is compared with, round by round.
    pub(crate) fn ratio(&self, row: &Row) -> Option<Ratio> {
        over(row, &self.rows[row.base])
    }
}

/// How many times as long `row` took as `base`, round by round.
pub(crate) fn over(row: &Row, base: &Row) -> Option<Ratio> {
    spread(row.walls().iter().zip(base.walls()).map(|(own, base)| own / base).collect())
}

pub(crate) fn spread(mut values: Vec<f64>) -> Option<Ratio> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let upper = values[values.len() / 2];
    let lower = values[(values.len() - 1) / 2];
    Some(Ratio { least, median: f64::midpoint(lower, upper), most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_between_the_two_in_the_middle() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]).map(|found| found.median), Some(2.0));
        let four = spread(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((four.least, four.median, four.most), (1.0, 2.5, 4.0));
        assert!(spread(Vec::new()).is_none());
    }
}
