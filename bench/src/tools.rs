//! The programs that contenders need, and where their results go.

use std::env;
use std::path::PathBuf;

use crate::results::Results;

#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) mapmill: PathBuf,
    /// A Python that has Polars; none where it cannot be installed.
    pub(crate) python: Option<PathBuf>,
    /// Whether `mapmill run` has `--memory`.
    pub(crate) has_memory_flag: bool,
    /// All contenders write there.
    pub(crate) results: Results,
}

pub(crate) fn is_installed(name: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|folder| folder.join(name).is_file())
}
