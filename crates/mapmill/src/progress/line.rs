//! A running phase in a line, with as many of its numbers as fit.

use std::time::Duration;

use driver::{PhaseSnapshot, Snapshot};
use unicode_width::UnicodeWidthStr;

use crate::numbers::{bar_of, bytes, coarse, grouped, plural, rate, whole_seconds};

/// The parts of a line, the least important last. A narrow terminal shows the first five alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    Percent,
    Left,
    Lost,
    Rate,
    Name,
    Bar,
    Tasks,
    Workers,
    Bytes,
    Words,
}

/// The line for a terminal with so many columns.
pub(super) fn fitting(
    name: &str,
    phase: &PhaseSnapshot,
    snapshot: &Snapshot,
    columns: usize,
) -> String {
    let mut last = PARTS.len();
    loop {
        let line = line(name, phase, snapshot, &PARTS[..last], false);
        if line.width() <= columns {
            return line;
        }
        // All numbers are shortened before one of the first five is dropped.
        let line = self::line(name, phase, snapshot, &PARTS[..last], true);
        if line.width() <= columns && last <= SHORTENED {
            return line;
        }
        last -= 1;
        if last == 0 {
            return String::new();
        }
    }
}

/// A line with all numbers, for a log.
pub(super) fn whole(name: &str, phase: &PhaseSnapshot, snapshot: &Snapshot) -> String {
    let counts = phase.counts;
    let left = time_left(phase).map(|left| format!(", {} left", whole_seconds(left)));
    format!(
        "{name:<6} {} %: {} of {}, {} of {} ({}){}; {}, {} lost",
        percent(phase),
        counts.committed,
        plural(counts.tasks, "task", "tasks"),
        bytes(counts.bytes_done),
        bytes(counts.bytes_total),
        rate(phase.bytes_since_resume(), phase.elapsed),
        left.unwrap_or_default(),
        plural(snapshot.workers, "worker", "workers"),
        plural(lost(snapshot), "attempt", "attempts"),
    )
}

fn line(
    name: &str,
    phase: &PhaseSnapshot,
    snapshot: &Snapshot,
    parts: &[Part],
    is_short: bool,
) -> String {
    let mut shown = parts.to_vec();
    shown.sort_by_key(|part| ORDER.iter().position(|one| one == part));
    let texts = shown.into_iter().filter_map(|part| text(part, name, phase, snapshot, is_short));
    texts.collect::<Vec<_>>().join(if is_short { " " } else { "  " })
}

fn text(
    part: Part,
    name: &str,
    phase: &PhaseSnapshot,
    snapshot: &Snapshot,
    is_short: bool,
) -> Option<String> {
    let counts = phase.counts;
    Some(match part {
        Part::Name if is_short => name.to_owned(),
        Part::Name => format!("{name:<6}"),
        Part::Bar => bar_of(share(phase), BAR),
        Part::Percent if is_short => format!("{}%", percent(phase)),
        Part::Percent => format!("{:>3} %", percent(phase)),
        Part::Tasks => format!("{}/{}", counts.committed, counts.tasks),
        Part::Bytes => bytes(counts.bytes_done),
        Part::Words => format!("{} words", grouped(counts.words)),
        Part::Rate => rate(phase.bytes_since_resume(), phase.elapsed),
        Part::Left if is_short => format!("{} left", coarse(time_left(phase)?)),
        Part::Left => format!("{} left", whole_seconds(time_left(phase)?)),
        Part::Workers => plural(snapshot.workers, "worker", "workers"),
        Part::Lost => format!("{} lost", grouped(lost(snapshot))),
    })
}

fn lost(snapshot: &Snapshot) -> u64 {
    snapshot.attempts.lost + snapshot.attempts.failed
}

fn share(phase: &PhaseSnapshot) -> f64 {
    let counts = phase.counts;
    (counts.bytes_done as f64 / counts.bytes_total.max(1) as f64).min(1.0)
}

/// 100 only when all tasks are committed: bytes that were read may have to be read again.
pub(super) fn percent(phase: &PhaseSnapshot) -> u64 {
    let percent = (share(phase) * 100.0) as u64;
    if phase.counts.committed < phase.counts.tasks { percent.min(99) } else { percent }
}

/// The time left at this driver's average rate; `None` while the rate is unreliable.
fn time_left(phase: &PhaseSnapshot) -> Option<Duration> {
    let (counts, read) = (phase.counts, phase.bytes_since_resume());
    if read == 0 || phase.elapsed < Duration::from_secs(1) {
        return None;
    }
    let left = counts.bytes_total.saturating_sub(counts.bytes_done) as f64;
    let pace = phase.elapsed.as_secs_f64() / read as f64;
    Duration::try_from_secs_f64(left * pace).ok()
}

/// By importance.
const PARTS: [Part; 10] = [
    Part::Percent,
    Part::Left,
    Part::Lost,
    Part::Rate,
    Part::Name,
    Part::Bar,
    Part::Tasks,
    Part::Workers,
    Part::Bytes,
    Part::Words,
];

/// As they stand in the line.
const ORDER: [Part; 10] = [
    Part::Name,
    Part::Bar,
    Part::Percent,
    Part::Tasks,
    Part::Bytes,
    Part::Words,
    Part::Rate,
    Part::Left,
    Part::Workers,
    Part::Lost,
];

/// A line with no more parts than these may be shortened.
const SHORTENED: usize = 5;

/// Columns of the bar.
const BAR: usize = 10;

#[cfg(test)]
mod tests {
    use driver::Resumed;
    use rpc::message::{AttemptCounts, PhaseStatus};

    use super::*;

    fn phase(bytes_done: u64, bytes_total: u64, seconds: u64) -> PhaseSnapshot {
        let counts = PhaseStatus {
            tasks: 1234,
            running: 64,
            committed: 1034,
            bytes_total,
            bytes_done,
            words: 9_876_543_210,
        };
        PhaseSnapshot { counts, elapsed: Duration::from_secs(seconds), resumed: Resumed::default() }
    }

    fn snapshot(lost: u64) -> Snapshot {
        let attempts = AttemptCounts { lost, ..AttemptCounts::default() };
        Snapshot { workers: 128, attempts, ..Snapshot::default() }
    }

    #[test]
    fn a_narrow_line_keeps_percent_rate_time_left_and_lost_attempts() {
        let (phase, snapshot) = (phase(450 << 20, 1000 << 20, 71), snapshot(12));
        for (columns, line) in [
            (
                120,
                "map     ████▌        45 %  1034/1234  450.0 MiB  9,876,543,210 words  6.3 MiB/s  \
                 1 min 27 s left  128 workers  12 lost",
            ),
            (
                100,
                "map     ████▌        45 %  1034/1234  450.0 MiB  6.3 MiB/s  1 min 27 s left  128 \
                 workers  12 lost",
            ),
            (79, "map     ████▌        45 %  1034/1234  6.3 MiB/s  1 min 27 s left  12 lost"),
            (64, "map     ████▌        45 %  6.3 MiB/s  1 min 27 s left  12 lost"),
            (60, "map      45 %  6.3 MiB/s  1 min 27 s left  12 lost"),
            (40, "map 45% 6.3 MiB/s 1 min left 12 lost"),
        ] {
            assert_eq!(fitting("map", &phase, &snapshot, columns), line, "{columns}");
        }
    }

    #[test]
    fn no_line_is_wider_than_its_terminal_and_none_is_cut() {
        let cases = [
            (phase(0, 1000, 0), snapshot(0)),
            (phase(1, u64::MAX, 100_000_000), snapshot(123_456)),
            (phase(1023 << 30, 1 << 50, 3599), snapshot(16)),
            (phase(1000, 1000, 60), snapshot(0)),
        ];
        for (phase, snapshot) in cases {
            for columns in 0..=160 {
                for name in ["map", "reduce"] {
                    let line = fitting(name, &phase, &snapshot, columns);
                    assert!(line.width() <= columns, "{columns}: {line}");
                    let is_whole = line.is_empty() || line.ends_with(" lost") || columns < 39;
                    assert!(is_whole, "{columns}: {line}");
                    if columns >= 39 {
                        for part in ["%", "/s", "lost"] {
                            assert!(line.contains(part), "{columns}: {line}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_of_a_log_has_all_numbers() {
        let line = whole("map", &phase(450 << 20, 1000 << 20, 71), &snapshot(1));
        let expected = "map    45 %: 1034 of 1,234 tasks, 450.0 MiB of 1000.0 MiB (6.3 MiB/s), \
                        1 min 27 s left; 128 workers, 1 attempt lost";
        assert_eq!(line, expected);
    }

    /// What an earlier driver has read was not read in this one's time.
    #[test]
    fn rate_and_time_left_of_a_resumed_job_are_those_of_this_driver() {
        let mut phase = phase(600 << 20, 1000 << 20, 10);
        phase.resumed = Resumed { tasks: 600, bytes: 500 << 20 };
        let line = whole("map", &phase, &snapshot(0));
        assert!(line.contains("(10.0 MiB/s), 40 s left"), "{line}");

        phase.resumed.bytes = phase.counts.bytes_done;
        let line = whole("map", &phase, &snapshot(0));
        assert!(line.contains("(0 B/s); "), "{line}");
    }

    #[test]
    fn only_a_phase_whose_tasks_are_all_committed_is_at_100_percent() {
        let mut phase = phase(1000, 1000, 10);
        assert_eq!(percent(&phase), 99);
        phase.counts.committed = phase.counts.tasks;
        assert_eq!(percent(&phase), 100);
    }
}
