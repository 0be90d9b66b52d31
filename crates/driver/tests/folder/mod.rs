//! A folder with one input, and a job over it whose results are beside the input.

use std::fs;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use driver::{Config, Limits, Listen, Prepared, StartError};
use journal::FileLog;
use rpc::message::{WordRule, WordRules};

/// Removed when it is dropped.
pub struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    /// `text` is the content of the input, `inputs/a`.
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(path.join("inputs")).unwrap();
        fs::write(path.join("inputs/a"), text).unwrap();
        Self { _folder: folder, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The results folder, which may not exist yet.
    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// Four reduce tasks, and as many map tasks as the driver chooses.
    pub fn config(&self) -> Config {
        Config {
            inputs: vec![self.path.join("inputs")].into(),
            files: self.files(),
            map_tasks: None,
            reduce_tasks: NonZeroU32::new(4).unwrap(),
            rules: WordRules { rule: WordRule::Letters, ignore_case: false },
            limits: Limits::default(),
            listen: Listen { address: "127.0.0.1:0".to_owned(), ..Listen::default() },
            fresh: false,
            drop_intermediates: false,
            reading: driver::Reading::default(),
            worker_wait: None,
        }
    }

    /// The journal in the results folder.
    pub fn log(&self) -> FileLog {
        FileLog::in_folder(&self.files())
    }
}

/// Without a wait for another driver.
pub fn prepare(config: Config) -> Result<Prepared, StartError> {
    driver::prepare(config, |_| ControlFlow::Break(()))
}
