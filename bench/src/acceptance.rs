//! The limits for Mapmill's speed and memory, and whether they hold.
//!
//! Ratios, not times: a ratio of two programs in one round is the same on most machines. The limits
//! are for the default sizes on two quiet cores; smaller texts show the fixed costs of a job.

use crate::flags::RaceName;
use crate::race::{Outcome, Row, over};
use crate::table::markdown;

/// A line of the list.
#[derive(Debug)]
pub(crate) struct Criterion {
    what: String,
    limit: Limit,
    /// None when it was not measured.
    found: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
    /// For comparison: its ratio describes the machine alone.
    Nothing,
}

impl Criterion {
    pub(crate) fn is_missed(&self) -> bool {
        match (self.limit, self.found) {
            (Limit::AtLeast(least), Some(found)) => found < least,
            (Limit::AtMost(most), Some(found)) => found > most,
            (Limit::Nothing, _) | (_, None) => false,
        }
    }

    fn cells(&self) -> Vec<String> {
        let limit = match self.limit {
            Limit::AtLeast(least) => format!("at least {least}"),
            Limit::AtMost(most) => format!("at most {most}"),
            Limit::Nothing => String::new(),
        };
        let found =
            self.found.map_or_else(|| "not measured".to_owned(), |found| format!("{found:.3}"));
        let verdict = match (self.limit, self.found) {
            (Limit::Nothing, _) | (_, None) => "",
            (Limit::AtLeast(_) | Limit::AtMost(_), Some(_)) if self.is_missed() => "MISSED",
            (Limit::AtLeast(_) | Limit::AtMost(_), Some(_)) => "yes",
        };
        vec![self.what.clone(), limit, found, verdict.to_owned()]
    }
}

/// The whole list.
pub(crate) fn criteria(outcomes: &[Outcome]) -> Vec<Criterion> {
    let mut criteria = Vec::new();
    let mut add = |what: &str, limit, found| {
        criteria.push(Criterion { what: what.to_owned(), limit, found });
    };
    let faster = |race, than| ratio(outcomes, race, than, "mapmill");

    add("books: time of mapmill / cp", AtMost(3.0), ratio(outcomes, Books, "mapmill", "cp"));
    add("books: time of wc -w / mapmill", AtLeast(6.0), faster(Books, "wc -w"));
    add("source: time of wc -w / mapmill", AtLeast(5.0), faster(Source, "wc -w"));
    add("source: time of Polars / mapmill", AtLeast(12.0), faster(Source, "Polars"));
    add("source: time of tr, mawk / mapmill", AtLeast(12.0), faster(Source, "tr, mawk"));

    let polars = ratio(outcomes, Wide, "Polars", MUCH).or_else(|| faster(Wide, "Polars"));
    add("wide: time of Polars / mapmill", AtLeast(3.0), polars);
    let rss = row(outcomes, Wide, MUCH).and_then(Row::rss_bytes);
    let rss = rss.map(|bytes| bytes as f64 / f64::from(1 << 20));
    add("wide: MiB of the largest process with --memory 512MiB", AtMost(600.0), rss);
    let little = ratio(outcomes, Wide, LITTLE, MUCH);
    add("wide: time with --memory 64MiB / 512MiB", AtMost(2.5), little);
    let same = row(outcomes, Wide, LITTLE)
        .zip(row(outcomes, Wide, MUCH))
        .map(|(little, much)| f64::from(u8::from(crcs(little).eq(crcs(much)))));
    add("wide: same bytes with --memory 64MiB (1: yes)", AtLeast(1.0), same);

    let speed = |script| ratio(outcomes, Scripts, "prose", script);
    add("scripts: speed of Cyrillic / ASCII, per byte", AtLeast(0.4), speed("cyrillic"));
    add("scripts: speed of Han / ASCII, per byte", AtLeast(0.4), speed("cjk"));

    let sizes = |label, measure| sizes(outcomes, label, measure);
    add("sizes: longest / shortest time per byte", AtMost(1.1), sizes("mapmill", per_byte));
    add("sizes: the same of cp, for comparison", Nothing, sizes("cp", per_byte));
    add("sizes: most / least memory of a process", AtMost(1.1), sizes("mapmill", memory));
    let two = ratio(outcomes, Workers, "1 worker", "2 workers");
    add("workers: time of one / two", AtLeast(1.8), two);

    let tls = ratio(outcomes, Tls, "with TLS", "without TLS");
    add("tls: time with / without", AtMost(1.02), tls);

    let time = |label| row(outcomes, Start, label).and_then(Row::median_seconds);
    let thousand = time("run, sample, -n 1000 -m 4");
    add("start: seconds for -n 1000 -m 4 over the sample", AtMost(1.0), thousand);
    add("start: seconds for one byte", AtMost(0.1), time("run, one byte"));
    add("start: seconds for --version", AtMost(0.02), time("--version"));
    criteria
}

use Limit::{AtLeast, AtMost, Nothing};
use RaceName::{Books, Scripts, Sizes, Source, Start, Tls, Wide, Workers};

const MUCH: &str = "mapmill --memory 512MiB";
const LITTLE: &str = "mapmill --memory 64MiB";

/// As a table. What was not measured is taken from `kept`, an earlier such table.
pub(crate) fn list(criteria: &[Criterion], kept: &str) -> String {
    let head = ["criterion", "limit", "found", "holds"].map(str::to_owned).to_vec();
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let kept: Vec<Vec<String>> = kept.lines().map(cells).collect();
    let mut rows = vec![head];
    rows.extend(criteria.iter().map(|criterion| {
        let cells = criterion.cells();
        let is_same = |row: &&Vec<String>| row.len() == cells.len() && row[..2] == cells[..2];
        let kept = kept.iter().find(is_same).filter(|_| criterion.found.is_none());
        kept.cloned().unwrap_or(cells)
    }));
    markdown(&rows)
}

fn row<'a>(outcomes: &'a [Outcome], race: RaceName, label: &str) -> Option<&'a Row> {
    outcomes.iter().find(|outcome| outcome.name == race)?.row(label)
}

/// The median over the rounds.
fn ratio(outcomes: &[Outcome], race: RaceName, label: &str, base: &str) -> Option<f64> {
    Some(over(row(outcomes, race, label)?, row(outcomes, race, base)?)?.median)
}

/// The largest over the smallest `measure`, over all sizes of the rows called `label`.
fn sizes(outcomes: &[Outcome], label: &str, measure: fn(&Row) -> Option<f64>) -> Option<f64> {
    let outcome = outcomes.iter().find(|outcome| outcome.name == Sizes)?;
    let rows = outcome.rows.iter().filter(|row| row.label == label);
    let found: Vec<f64> = rows.filter_map(measure).collect();
    let most = found.iter().copied().reduce(f64::max)?;
    Some(most / found.iter().copied().reduce(f64::min)?)
}

fn per_byte(row: &Row) -> Option<f64> {
    Some(row.median_seconds()? / row.bytes as f64)
}

fn memory(row: &Row) -> Option<f64> {
    row.rss_bytes().map(|bytes| bytes as f64)
}

fn crcs(row: &Row) -> impl Iterator<Item = Option<u32>> {
    // All rounds should agree, so the first of each does.
    row.samples.iter().map(|sample| sample.crc).take(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::process::Used;
    use crate::sample::Sample;

    use super::*;

    #[test]
    fn sizes_are_compared_for_each_contender_and_limited_for_mapmill_alone() {
        let row = |label: &str, bytes, seconds| {
            let used = Used { wall: Duration::from_secs(seconds), rss_bytes: 1, ..Used::default() };
            let samples = vec![Sample { used, words: None, distinct: None, crc: None }];
            Row { label: label.to_owned(), bytes, base: 0, samples }
        };
        let rows =
            vec![row("mapmill", 1, 2), row("cp", 1, 1), row("mapmill", 2, 6), row("cp", 2, 9)];
        let outcome = Outcome { name: Sizes, title: String::new(), rows, notes: Vec::new() };

        let criteria = criteria(&[outcome]);
        let cells = |what: &str| {
            criteria.iter().find(|criterion| criterion.what.contains(what)).unwrap().cells()[1..]
                .join("|")
        };

        assert_eq!(cells("longest / shortest"), "at most 1.1|1.500|MISSED");
        assert_eq!(cells("same of cp"), "|4.500|");
        assert_eq!(criteria.iter().filter(|criterion| criterion.is_missed()).count(), 1);
    }

    #[test]
    fn what_was_not_measured_is_not_missed() {
        let criteria = criteria(&[]);
        assert!(criteria.iter().all(|criterion| !criterion.is_missed()));
        assert!(list(&criteria, "").contains("not measured"));
    }

    #[test]
    fn what_is_not_measured_again_stays_in_the_table() {
        let criterion = |limit, found| Criterion { what: "speed".to_owned(), limit, found };
        let kept = list(&[criterion(AtLeast(2.0), Some(1.0))], "");

        assert_eq!(list(&[criterion(AtLeast(2.0), None)], &kept), kept);
        assert!(list(&[criterion(AtLeast(2.0), Some(3.0))], &kept).contains("yes"));
        // It was another limit that was missed.
        assert!(list(&[criterion(AtLeast(0.5), None)], &kept).contains("not measured"));
    }

    #[test]
    fn limits_hold_to_the_last_digit() {
        let criterion = |limit, found| Criterion { what: String::new(), limit, found: Some(found) };
        assert!(
            !criterion(AtMost(3.0), 3.0).is_missed() && criterion(AtMost(3.0), 3.01).is_missed()
        );
        assert!(
            !criterion(AtLeast(6.0), 6.0).is_missed() && criterion(AtLeast(6.0), 5.99).is_missed()
        );
    }
}
