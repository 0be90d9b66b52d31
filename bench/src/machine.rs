//! The machine and the programs that are measured; missing ones are fetched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use bench::{say, top};

use crate::flags::Flags;
use crate::paper::{PAPER, SAMPLES};
use crate::process::output;
use crate::results::Results;
use crate::tools::Tools;

/// Build Mapmill, and have a Python with Polars.
pub(crate) fn tools(flags: &Flags) -> io::Result<Tools> {
    let mapmill = match &flags.mapmill {
        Some(program) => program.canonicalize()?,
        None => build()?,
    };
    let help = output(Command::new(&mapmill).args(["run", "--help"]))?;
    let folder = &flags.folder;
    let python = polars(folder).map_err(|error| say::note(format!("no Polars: {error}"))).ok();
    let results = Results::below(flags.results.as_ref().unwrap_or(folder))?;
    Ok(Tools { has_memory_flag: help.contains("--memory"), mapmill, python, results })
}

/// The program as it is shipped, beside this one.
fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--profile", "dist", "--package", "mapmill"])
        .current_dir(top())
        .status()?;
    if !status.success() {
        return Err(io::Error::other("cannot build mapmill"));
    }
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    Ok(target.join("dist/mapmill"))
}

/// A virtual environment below `folder`, kept for the next time.
fn polars(folder: &Path) -> io::Result<PathBuf> {
    let python = folder.join("venv/bin/python");
    let has_it = || output(Command::new(&python).args(["-c", "import polars"]));
    if has_it().is_err() {
        say::note("fetching Polars");
        output(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
        let wanted = top().join("bench/requirements.txt");
        let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
        output(Command::new(&python).args(pip).arg(wanted))?;
        has_it()?;
    }
    Ok(python)
}

/// The list for `BENCHMARKS.md`.
pub(crate) fn description(tools: &Tools) -> String {
    let first = |program: &str, arguments: &[&str]| {
        let printed = output(Command::new(program).args(arguments)).unwrap_or_default();
        printed.lines().next().unwrap_or("missing").to_owned()
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 =
        memory.split_whitespace().nth(1).and_then(|total| total.parse().ok()).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut df = Command::new("df");
    let file_system = output(df.arg("--output=fstype").arg(tools.results.folder()));
    let file_system = file_system.unwrap_or_default().lines().last().unwrap_or("").to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let polars = tools.python.as_ref().map_or_else(
        || "missing".to_owned(),
        |python| {
            let version = ["-c", "import polars; print(polars.__version__)"];
            output(Command::new(python).args(version)).unwrap_or_default()
        },
    );
    let source = output(Command::new("dpkg-query").args(["-Wf", "${Version}", "linux-source-6.1"]));
    [
        format!("* {}", first("date", &["-u", "+%Y-%m-%d"])),
        format!(
            "* {} ({cores} cores seen), {:.0} GiB of memory, results on {}, Linux {}",
            model.unwrap_or("an unknown CPU"),
            kib as f64 / f64::from(1 << 20),
            file_system.trim(),
            kernel.trim()
        ),
        format!(
            "* {} at {}, {}",
            first(&tools.mapmill.display().to_string(), &["--version"]),
            commit(&top()).unwrap_or_else(|_| "an unknown commit".to_owned()),
            first("rustc", &["--version"])
        ),
        format!(
            "* {}; {}; Polars {polars}; linux-source-6.1 {}",
            first("wc", &["--version"]),
            first("mawk", &["-W", "version"]),
            source.unwrap_or_else(|_| "missing".to_owned())
        ),
    ]
    .join("\n")
        + "\n"
}

/// The commit of the checkout `top`, and whether files have changed since. Files that `--write` has
/// written do not count: nothing that is measured depends on them.
fn commit(top: &Path) -> io::Result<String> {
    let git = || {
        let mut git = Command::new("git");
        git.arg("--no-optional-locks").current_dir(top);
        git
    };
    let commit = output(git().args(["describe", "--always"]))?;
    let written = [PAPER, SAMPLES].map(|path| format!(":(exclude){path}"));
    let status = ["status", "--porcelain", "--untracked-files=no", "--", "."];
    let changed = output(git().args(status).args(written))?;
    Ok(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: &str = "docs/bench/plot.svg";

    #[test]
    fn a_commit_is_dirty_when_more_has_changed_than_is_written_here() {
        // Nothing but Rust is needed to test; then the commit is unknown.
        if output(Command::new("git").arg("--version")).is_err() {
            return;
        }
        let checkout = tempfile::tempdir().unwrap();
        let top = checkout.path();
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            output(git.args(arguments).current_dir(top)).expect("git is there, as for the commit")
        };
        let write = |path: &str, text: &str| fs::write(top.join(path), text).unwrap();
        fs::create_dir_all(top.join(SAMPLES)).unwrap();
        git(&["init"]);
        ["main.rs", PAPER, PLOT].iter().for_each(|path| write(path, "1"));
        git(&["add", "."]);
        let author = ["-c", "user.name=author", "-c", "user.email=author@localhost"];
        git(&[&author[..], &["commit", "--no-gpg-sign", "-m", "all"]].concat());

        let clean = git(&["rev-parse", "--short", "HEAD"]);
        assert_eq!(commit(top).unwrap(), clean);
        [PAPER, PLOT].iter().for_each(|path| write(path, "22"));
        git(&["add", PAPER]);
        assert_eq!(commit(top).unwrap(), clean);
        write("main.rs", "22");
        assert_eq!(commit(top).unwrap(), format!("{clean}-dirty"));
    }
}
