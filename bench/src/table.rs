//! A table for each race, in Markdown that is also readable as it is.

use bench::say;

use crate::flags::RaceName;
use crate::plan::mib;
use crate::race::{Outcome, Ratio, Row, spread};

/// The table of a race with its title and notes.
pub(crate) fn table(outcome: &Outcome) -> String {
    let head =
        ["", "text", "median", "fastest", "spread", "CPU", "largest process", "speed", "ratio"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in outcome.rows.iter().filter(|row| !row.samples.is_empty()) {
        rows.extend(cells(outcome, row));
    }
    if outcome.name == RaceName::Start {
        // It has no text to measure a speed over, and no contender to compare with.
        rows.iter_mut().for_each(|row| {
            row.truncate(7);
            row.remove(1);
        });
    }
    let mut text = format!("**{}**", outcome.title);
    let words = outcome.rows.iter().find_map(|row| {
        let sample = row.samples.last()?;
        Some((sample.words?, sample.distinct?))
    });
    if let Some((words, distinct)) = words.filter(|_| is_one_text(outcome)) {
        text += &format!(": {} words, {} different", grouped(words), grouped(distinct));
    }
    text += "\n\n";
    text += &markdown(&rows);
    for note in &outcome.notes {
        text += &format!("\nNote: {note}\n");
    }
    text
}

/// Whether all rows are about the same text, so that its words are worth a line.
fn is_one_text(outcome: &Outcome) -> bool {
    matches!(
        outcome.name,
        RaceName::Books | RaceName::Source | RaceName::Tls | RaceName::Wide | RaceName::Workers
    )
}

fn cells(outcome: &Outcome, row: &Row) -> Option<Vec<String>> {
    let wall = spread(row.walls())?;
    let speed = row.bytes as f64 / 1e6 / wall.median;
    let is_base = std::ptr::eq(row, &outcome.rows[row.base]);
    let ratio = if is_base {
        "1".to_owned()
    } else {
        outcome.ratio(row).map_or_else(String::new, ratio_text)
    };
    Some(vec![
        row.label.clone(),
        mib(row.bytes),
        seconds(wall.median),
        seconds(wall.least),
        format!("{:.2}", wall.most / wall.least),
        seconds(row.cpu_seconds()?),
        format!("{:.0} MiB", row.rss_bytes()? as f64 / f64::from(1 << 20)),
        format!("{speed:.0} MB/s"),
        ratio,
    ])
}

/// A ratio with the least and the most of any round.
pub(crate) fn ratio_text(ratio: Ratio) -> String {
    let Ratio { least, median, most } = ratio;
    let digits = match median {
        ..0.1 => 3,
        0.1..10.0 => 2,
        _ => 1,
    };
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

pub(crate) fn seconds(value: f64) -> String {
    if value < 0.1 { format!("{:.1} ms", value * 1e3) } else { format!("{value:.2} s") }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first row is the head; all columns but the first are numbers.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(4)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            text +=
                &if column == 0 { format!("| {cell}{pad} ") } else { format!("| {pad}{cell} ") };
        }
        text += "|\n";
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + usize::from(column == 0));
                text += &if column == 0 { format!("|{dashes}-") } else { format!("|{dashes}-:") };
            }
            text += "|\n";
        }
    }
    text
}

/// Print it for people at once.
pub(crate) fn print(outcome: &Outcome) {
    say::out(table(outcome));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let cell = |text: &str| text.to_owned();
        let rows = [vec![cell(""), cell("time")], vec![cell("mapmill"), cell("0.85 s")]];
        let wanted = "|         |   time |\n|---------|-------:|\n| mapmill | 0.85 s |\n";
        assert_eq!(markdown(&rows), wanted);
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(
            ["7", "1234", "123456"].map(|digits| grouped(digits.parse().unwrap())),
            ["7", "1,234", "123,456"]
        );
    }
}
