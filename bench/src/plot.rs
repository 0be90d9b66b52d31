//! Two pictures, in SVG: time against size, and time against workers.
//!
//! Written by hand: a line, a dot and a text are all they need, and a library would bring fonts.

use std::fmt::Write;

use crate::flags::RaceName;
use crate::plan::mib;
use crate::race::{Outcome, Row, spread};
use crate::table::seconds;

/// A picture: its name, and its SVG.
pub(crate) fn plots(outcomes: &[Outcome]) -> Vec<(&'static str, String)> {
    let of = |name| outcomes.iter().find(|outcome| outcome.name == name);
    let size = of(RaceName::Growth).and_then(|outcome| Some(("time-and-size", growth(outcome)?)));
    let workers =
        of(RaceName::Workers).and_then(|outcome| Some(("time-and-workers", workers(outcome)?)));
    size.into_iter().chain(workers).collect()
}

fn growth(outcome: &Outcome) -> Option<String> {
    let mut lines: Vec<Line> = Vec::new();
    for row in &outcome.rows {
        let Some(point) = point(row, row.bytes as f64) else { continue };
        match lines.iter_mut().find(|line| line.label == row.label) {
            Some(line) => line.points.push(point),
            None => {
                lines.push(Line { label: row.label.clone(), points: vec![point], ideal: false })
            }
        }
    }
    let mut sizes: Vec<u64> = outcome.rows.iter().map(|row| row.bytes).collect();
    sizes.dedup();
    let ticks = sizes.into_iter().map(|bytes| (bytes as f64, mib(bytes))).collect();
    Chart {
        title: "Counting words: time against size of the text",
        across: "size of the text (made prose, in the page cache)",
        up: "time of the whole job (median; bars: fastest and slowest)",
        ticks,
        lines,
    }
    .draw()
}

fn workers(outcome: &Outcome) -> Option<String> {
    let number = |row: &Row| row.label.split(' ').next().and_then(|count| count.parse().ok());
    let points: Vec<_> = outcome.rows.iter().filter_map(|row| point(row, number(row)?)).collect();
    let first = *points.first()?;
    let ideal = points
        .iter()
        .map(|at| {
            let middle = first.middle * first.across / at.across;
            Point { across: at.across, least: middle, middle, most: middle }
        })
        .collect();
    let ticks = points.iter().map(|at| (at.across, format!("{:.0}", at.across))).collect();
    Chart {
        title: "Counting words: time against workers",
        across: "worker processes",
        up: "time of the whole job (median; bars: fastest and slowest)",
        ticks,
        lines: vec![
            Line { label: "mapmill, -m 8".to_owned(), points, ideal: false },
            Line { label: "n times as fast".to_owned(), points: ideal, ideal: true },
        ],
    }
    .draw()
}

fn point(row: &Row, across: f64) -> Option<Point> {
    let wall = spread(row.walls())?;
    Some(Point { across, least: wall.least, middle: wall.median, most: wall.most })
}

#[derive(Clone, Copy, Debug)]
struct Point {
    across: f64,
    least: f64,
    middle: f64,
    most: f64,
}

#[derive(Debug)]
struct Line {
    label: String,
    points: Vec<Point>,
    /// Dashed and grey: it was not run.
    ideal: bool,
}

/// Both axes are logarithmic: a line that rises by as much as it goes right is linear.
struct Chart {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    /// Along the bottom.
    ticks: Vec<(f64, String)>,
    lines: Vec<Line>,
}

impl Chart {
    /// None without at least two places along the bottom.
    fn draw(&self) -> Option<String> {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let least = all().map(|point| point.least).reduce(f64::min)?;
        let most = all().map(|point| point.most).reduce(f64::max)?;
        let across = Axis {
            from: self.ticks.first()?.0,
            to: self.ticks.last()?.0,
            start: LEFT,
            end: WIDTH - RIGHT,
        };
        // A margin of half a step above and below.
        let up = Axis { from: least / 1.3, to: most * 1.3, start: HEIGHT - BOTTOM, end: TOP };
        if across.from >= across.to {
            return None;
        }
        let mut svg = String::new();
        self.frame(&mut svg, &across, &up);
        for (index, line) in self.lines.iter().enumerate() {
            let colour = if line.ideal { GREY } else { COLOURS[index % COLOURS.len()] };
            line.draw(&mut svg, colour, &across, &up);
        }
        self.labels(&mut svg, &across, &up);
        svg += "</svg>\n";
        Some(svg)
    }

    fn frame(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let (middle, bottom) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - BOTTOM);
        *svg += &format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(svg, (LEFT, 24.0), "start", "font-weight=\"bold\" font-size=\"15\"", self.title);
        text(svg, (LEFT, 44.0), "start", "fill=\"#555\"", self.up);
        text(svg, (middle, HEIGHT - 14.0), "middle", "", self.across);
        for (value, label) in &self.ticks {
            let x = across.place(*value);
            rule(svg, (x, bottom), (x, TOP), "#eee");
            text(svg, (x, bottom + 20.0), "middle", "", label);
        }
        for value in decades(up.from, up.to) {
            let y = up.place(value);
            rule(svg, (LEFT, y), (WIDTH - RIGHT, y), "#ddd");
            text(svg, (LEFT - 8.0, y + 4.5), "end", "", &tick(value));
        }
        rule(svg, (LEFT, bottom), (WIDTH - RIGHT, bottom), "#444");
    }

    /// Behind the last point of each line, moved apart where they would overlap; in front of and
    /// above it where a line ends early, as the slowest do.
    fn labels(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let mut places: Vec<(f64, f64, usize)> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(last) = line.points.last() {
                places.push((up.place(last.middle), across.place(last.across), index));
            }
        }
        places.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut above = f64::MIN;
        for (y, x, index) in places {
            let line = &self.lines[index];
            let ends_early = x < across.end - 1.0;
            let y = if ends_early { y - 8.0 } else { y.max(above + LABEL_STEP) };
            if !ends_early {
                above = y;
            }
            let (x, anchor) = if ends_early { (x - 8.0, "end") } else { (x + 10.0, "start") };
            let colour = if line.ideal { GREY } else { COLOURS[index % COLOURS.len()] };
            let time = line.points.last().map_or(0.0, |point| point.middle);
            let label = format!("{}  {}", line.label, seconds(time));
            text(svg, (x, y + 4.5), anchor, &format!("fill=\"{colour}\""), &label);
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, colour: &str, across: &Axis, up: &Axis) {
        let mut path = String::new();
        for (index, point) in self.points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            let _ = write!(
                path,
                "{step}{:.1} {:.1} ",
                across.place(point.across),
                up.place(point.middle)
            );
        }
        let dashes = if self.ideal { " stroke-dasharray=\"5 5\"" } else { "" };
        *svg += &format!(
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\n",
            path.trim_end()
        );
        for point in self.points.iter().filter(|_| !self.ideal) {
            let (x, y) = (across.place(point.across), up.place(point.middle));
            rule(svg, (x, up.place(point.least)), (x, up.place(point.most)), colour);
            *svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n");
        }
    }
}

/// From values to places on the paper, by logarithms.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let share = (value / self.from).ln() / (self.to / self.from).ln();
        self.start + share * (self.end - self.start)
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let space = if style.is_empty() { "" } else { " " };
    *svg += &format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{space}{style} \
         xml:space=\"preserve\">{text}</text>\n"
    );
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    *svg += &format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\n",
        from.0, from.1, to.0, to.1
    );
}

/// 1, 2, 5, 10, ... between the two; where those are many, 1, 10, 100, ...
fn decades(from: f64, to: f64) -> Vec<f64> {
    let steps: &[f64] = if to / from > 100.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (-4..5).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    powers.filter(|value| (from..=to).contains(value)).collect()
}

fn tick(value: f64) -> String {
    if value < 0.999 { format!("{:.0} ms", value * 1e3) } else { format!("{value:.0} s") }
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
/// Space for the names of the lines.
const RIGHT: f64 = 190.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 62.0;
const LABEL_STEP: f64 = 17.0;

const GREY: &str = "#888888";

/// Distinguishable by most readers, also colour-blind ones (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#D55E00", "#000000", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(decades(0.8, 6.0), [1.0, 2.0, 5.0]);
        assert_eq!(decades(0.05, 60.0), [0.1, 1.0, 10.0]);
        assert_eq!([0.1, 0.5, 1.0, 50.0].map(tick), ["100 ms", "500 ms", "1 s", "50 s"]);
    }

    #[test]
    fn an_axis_turns_factors_into_distances() {
        let axis = Axis { from: 1.0, to: 100.0, start: 0.0, end: 10.0 };
        assert!((axis.place(10.0) - 5.0).abs() < 1e-9);
    }
}
