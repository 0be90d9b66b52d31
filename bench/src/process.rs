//! One process from its start to its end, and the resources it used.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::{ResUse, Wait4};

/// A process and the children it waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// User and system time of all of them.
    pub(crate) cpu: Duration,
    /// The most that any one of them had resident. No less than this program has itself: a process
    /// begins as a copy of its parent.
    pub(crate) rss_bytes: u64,
}

/// Run `command`, which must succeed. Its output goes to `NAME.stdout` and `NAME.stderr` in
/// `folder`, and so do its temporary files, such as those of sort.
pub(crate) fn run(name: &str, command: &mut Command, folder: &Path) -> io::Result<Used> {
    let stderr = folder.join(format!("{name}.stderr"));
    command.stdin(Stdio::null()).env("TMPDIR", folder);
    command.stdout(File::create(folder.join(format!("{name}.stdout")))?);
    command.stderr(File::create(&stderr)?);
    let started = Instant::now();
    let child = command
        .spawn()
        .map_err(|error| io::Error::other(format!("cannot start {command:?}: {error}")))?;
    let ResUse { status, rusage } = child.wait4()?;
    let wall = started.elapsed();
    if !status.success() {
        let printed = fs::read_to_string(&stderr).unwrap_or_default();
        let last = printed.lines().last().unwrap_or("no output");
        return Err(io::Error::other(format!("{name}: {status}: {last}")));
    }
    Ok(Used { wall, cpu: rusage.utime + rusage.stime, rss_bytes: rusage.maxrss })
}

/// What `command` prints, without the last newline; an error if it fails.
pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_go_where_results_go() {
        let folder = tempfile::tempdir().unwrap();
        run("made", &mut Command::new("mktemp"), folder.path()).unwrap();
        let made = fs::read_to_string(folder.path().join("made.stdout")).unwrap();
        assert_eq!(Path::new(&made).parent(), Some(folder.path()));
    }
}
