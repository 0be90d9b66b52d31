//! What the machine gives this process: its limits, and its standard input.

/// Adds to the umask: other users cannot write a file that this process creates.
pub(crate) fn refuse_writes_by_others() {
    use rustix::fs::Mode;
    use rustix::process::umask;
    let others = Mode::WGRP | Mode::WOTH;
    // There is no call that only reads it.
    let mask = umask(others);
    umask(mask | others);
}

/// Raises the limit of open files to what the system allows: `top` opens all outputs at once, and a
/// driver has two connections for each worker. Without permission the limit stays as it is.
pub(crate) fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Whether a pipe is connected to standard input.
pub(crate) fn is_stdin_a_pipe() -> bool {
    use rustix::fs::{FileType, fstat};
    let seen = fstat(std::io::stdin());
    seen.is_ok_and(|seen| FileType::from_raw_mode(seen.st_mode) == FileType::Fifo)
}
