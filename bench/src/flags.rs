//! The flags.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use bench::top;

/// Time Mapmill and other programs over the same texts, in turn
///
/// Builds the program, makes the texts (kept for the next time), warms the cache, and prints a
/// table for each race. The results of contenders are removed, at the latest at the end.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Flags {
    /// The size of the text of the main race; the others keep their proportion to it
    ///
    /// Below the default the fixed costs of a job dominate.
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = bytes)]
    pub(crate) size: u64,

    /// Rounds of each race, at most three for slow contenders [default: depends on the race]
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<u32>,

    /// A rough result in three minutes: --size 64MiB --runs 3, and nothing that takes long
    #[arg(long)]
    pub(crate) quick: bool,

    /// Run these races only
    #[arg(long, value_name = "RACE,...", value_delimiter = ',')]
    pub(crate) only: Vec<RaceName>,

    /// Keep the texts in DIR
    #[arg(long, value_name = "DIR", default_value_os_t = top().join("target/bench"))]
    pub(crate) folder: PathBuf,

    /// Have contenders write into DIR instead, such as /dev/shm: then no disk is measured
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,

    /// Measure this program instead of building one
    #[arg(long, value_name = "FILE")]
    pub(crate) mapmill: Option<PathBuf>,

    /// Write the tables into BENCHMARKS.md, the plots and all samples into docs/bench
    ///
    /// With --only, those of these races alone.
    #[arg(long)]
    pub(crate) write: bool,

    /// Exit with code 1 when a limit for speed or memory is missed
    #[arg(long)]
    pub(crate) check: bool,

    /// Make the texts, and nothing else
    #[arg(long)]
    pub(crate) texts: bool,
}

/// The races.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RaceName {
    /// English books, a gigabyte: Mapmill, cp, wc
    Books,
    /// Real source text: Mapmill, wc, Polars, tr and mawk
    Source,
    /// Twenty million different words: Mapmill with more and less memory, Polars
    Wide,
    /// Mapmill over ASCII, Cyrillic, Han and a mix
    Scripts,
    /// Mapmill over newlines alone, and over long words
    Shapes,
    /// Mapmill and cp over 1, 2, 4 and 8 gigabytes
    Sizes,
    /// Mapmill with 1, 2 and 4 workers
    Workers,
    /// A driver and two workers, with certificates and without
    Tls,
    /// The fixed cost of a job with nothing to count
    Start,
    /// All contenders over prose of growing size, for the plot
    Growth,
    /// No race: the hot loops by themselves, as `cargo bench -p bench` runs them
    Loops,
}

impl RaceName {
    /// As it is typed, and as the marks of its table name it.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("none is hidden from --only");
        value.get_name().to_owned()
    }
}

impl Flags {
    /// With the values that `--quick` implies.
    pub(crate) fn settled(mut self) -> Self {
        if self.quick {
            self.size = 64 << 20;
            self.runs = Some(3);
        }
        self
    }

    pub(crate) fn wants(&self, race: RaceName) -> bool {
        if self.only.is_empty() {
            return !(self.quick && race == RaceName::Loops);
        }
        self.only.contains(&race)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        unit => return Err(format!("unknown unit `{unit}`; expected K, M, or G")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{digits}` is not a number"))?;
    let bytes = number.checked_shl(shift).filter(|bytes| bytes >> shift == number);
    bytes.filter(|&bytes| bytes >= 1 << 20).ok_or_else(|| "at least 1MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("32M"), Ok(32 << 20));
        assert!(bytes("1").is_err() && bytes("1TB").is_err() && bytes("M").is_err());
    }

    #[test]
    fn loops_are_run_with_everything_but_not_for_an_impression() {
        let wants =
            |typed: &[&str]| Flags::parse_from([&["bench"], typed].concat()).wants(RaceName::Loops);
        assert!(wants(&[]) && wants(&["--only", "loops", "--quick"]));
        assert!(!wants(&["--quick"]) && !wants(&["--only", "books"]));
    }
}
