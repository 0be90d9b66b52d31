//! The contenders: Mapmill, and what a user would use instead.
//!
//! All of them read files that are in the page cache and write their results to the same disk. All
//! but `wc` (which counts words, not how often each occurs) and `cp` (which only copies) do the
//! same work; their definitions of a word differ a little where text is not ASCII.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::top;

use crate::cluster;
use crate::process::run;
use crate::sample::Sample;
use crate::tools::{Tools, is_installed};

/// One program, or pipeline of programs.
#[derive(Clone, Debug)]
pub(crate) enum Contender {
    /// `mapmill driver` and two of `mapmill worker`, with certificates or without.
    Cluster { tls: bool },
    /// Copies the text: the least that the disk and the kernel cost.
    Cp,
    /// `mapmill run`: a driver and its workers, each a process. `mapmill driver` would do the same
    /// work, but stays for a second at least, to be found by workers that are started later.
    Mapmill { workers: u32, reduce_tasks: u32, memory: Option<&'static str> },
    /// `mapmill` with these arguments; {} is a fresh folder.
    MapmillCommand { arguments: Vec<String> },
    /// The data frame library, by `bench/polars_count.py`.
    Polars,
    /// A word a line, counted by awk.
    TrMawk,
    /// A word a line, sorted, counted.
    TrSortUniq,
    /// Counts all words and keeps none.
    Wc,
}

impl Contender {
    /// Whether it is Mapmill, which must not fail.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Cluster { .. } | Self::Mapmill { .. } | Self::MapmillCommand { .. })
    }

    /// Whether a run over a gigabyte takes more than some seconds.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Polars | Self::TrMawk | Self::TrSortUniq)
    }

    /// What it needs that is missing.
    pub(crate) fn lacks(&self, tools: &Tools) -> Option<String> {
        if matches!(self, Self::Polars) && tools.python.is_none() {
            return Some("no Python with Polars".to_owned());
        }
        let missing = self.needs().iter().find(|name| !is_installed(name))?;
        Some(format!("no `{missing}` on this machine"))
    }

    /// The commands it is made of.
    fn needs(&self) -> &'static [&'static str] {
        match self {
            Self::Cluster { .. } => &["sh"],
            Self::Cp => &["cp"],
            Self::Mapmill { .. } | Self::MapmillCommand { .. } | Self::Polars => &[],
            Self::TrMawk => &["tr", "mawk"],
            Self::TrSortUniq => &["tr", "sort", "uniq"],
            Self::Wc => &["wc"],
        }
    }

    /// Whether bytes other than ASCII letters separate its words.
    pub(crate) fn is_ascii_only(&self) -> bool {
        matches!(self, Self::TrMawk | Self::TrSortUniq)
    }

    /// Count `inputs` once; all files are written in `scratch`.
    pub(crate) fn run(
        &self,
        inputs: &[PathBuf],
        tools: &Tools,
        scratch: &Path,
    ) -> io::Result<Sample> {
        match self {
            Self::Cluster { tls } => cluster::count(inputs, *tls, tools, scratch),
            Self::Cp => {
                let mut copy = Command::new("cp");
                // The others count a repeated file twice; cp would copy it once.
                copy.args((inputs.len() > 1).then_some("--backup=numbered"));
                Ok(Sample::of_process(run("cp", copy.args(inputs).arg(scratch), scratch)?))
            }
            Self::Mapmill { workers, reduce_tasks, memory } => {
                mapmill(inputs, *workers, *reduce_tasks, *memory, tools, scratch)
            }
            Self::MapmillCommand { arguments } => {
                let files = scratch.join("files").display().to_string();
                let arguments = arguments.iter().map(|argument| argument.replace("{}", &files));
                let mut command = Command::new(&tools.mapmill);
                let command = command.args(arguments).args(inputs).current_dir(scratch);
                Ok(Sample::of_process(run("mapmill", command, scratch)?))
            }
            Self::Polars => polars(inputs, tools, scratch),
            Self::TrMawk => pipeline(TR_MAWK, inputs, scratch),
            Self::TrSortUniq => pipeline(TR_SORT_UNIQ, inputs, scratch),
            Self::Wc => {
                let mut count = Command::new("wc");
                count.env("LC_ALL", "C.UTF-8").arg("-w").args(inputs);
                let used = run("wc", &mut count, scratch)?;
                Ok(Sample::of_process(used))
            }
        }
    }
}

const TR_MAWK: &str = r#"cat "$@" | LC_ALL=C tr -cs A-Za-z '\n' |
    mawk '{ c[$0]++ } END { for (w in c) print w, c[w] }'"#;

const TR_SORT_UNIQ: &str = r#"cat "$@" | LC_ALL=C tr -cs A-Za-z '\n' | LC_ALL=C sort |
    uniq -c | awk '{ print $2, $1 }'"#;

/// A line of shell that leaves lines of `word count` on its standard output.
fn pipeline(line: &str, inputs: &[PathBuf], scratch: &Path) -> io::Result<Sample> {
    let mut shell = Command::new("sh");
    // One file needs no `cat`.
    let line = match inputs {
        [_] => line.replacen("cat \"$@\" |", "<\"$1\"", 1),
        _ => line.to_owned(),
    };
    let used = run("shell", shell.arg("-c").arg(line).arg("sh").args(inputs), scratch)?;
    Sample::of_counts(used, &scratch.join("shell.stdout"))
}

fn polars(inputs: &[PathBuf], tools: &Tools, scratch: &Path) -> io::Result<Sample> {
    let python = tools.python.as_deref().ok_or_else(|| io::Error::other("no Polars"))?;
    let counts = scratch.join("counts");
    let mut command = Command::new(python);
    let command = command.arg(top().join("bench/polars_count.py")).arg(&counts).args(inputs);
    let used = run("polars", command, scratch)?;
    Sample::of_counts(used, &counts)
}

fn mapmill(
    inputs: &[PathBuf],
    workers: u32,
    reduce_tasks: u32,
    memory: Option<&str>,
    tools: &Tools,
    scratch: &Path,
) -> io::Result<Sample> {
    let mut command = Command::new(&tools.mapmill);
    command.args(["run", "--json", "--quiet", "--workers", &workers.to_string()]);
    command.args(["--reduce-tasks", &reduce_tasks.to_string()]);
    command.args(memory.into_iter().flat_map(|bytes| ["--memory", bytes]));
    command.args([OsStr::new("--files"), scratch.join("files").as_os_str()]).args(inputs);
    let used = run("mapmill", command.current_dir(scratch), scratch)?;

    Sample::of_report(used, &fs::read(scratch.join("mapmill.stdout"))?)
}

#[cfg(test)]
mod tests {
    use crate::results::Results;

    use super::*;

    #[test]
    fn a_copy_is_as_large_as_all_inputs_together() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        fs::write(&text, "a b\n").unwrap();
        let results = Results::below(folder.path()).unwrap();
        let tools =
            Tools { mapmill: PathBuf::new(), python: None, has_memory_flag: false, results };

        for times in [1, 2, 8] {
            let copied = tools.results.with(0, |scratch| {
                Contender::Cp.run(&vec![text.clone(); times], &tools, scratch)?;
                fs::read_dir(scratch)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
            });
            let copied: u64 = copied.unwrap();
            assert_eq!(copied, 4 * times as u64);
        }
    }
}
