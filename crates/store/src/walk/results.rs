//! Results of jobs that a walk meets. They are not input.
//!
//! A job over `.` that was killed and is started again meets its own intermediates; a job over `.`
//! with another results folder meets the results of the first one. Counting them would give wrong
//! results, silently.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use crate::layout::{self, Folder};
use crate::local::file_id;

/// Decides what is a result of a job, for the walks of one job.
#[derive(Clone, Copy)]
pub(super) struct Results {
    /// Device and inode of the job's own results folder, if it exists.
    own: Option<(u64, u64)>,
}

impl Results {
    pub(super) fn new(own: Option<&Path>) -> Self {
        let own = own.and_then(|own| fs::metadata(own).ok());
        Self { own: own.map(|metadata| file_id(&metadata)) }
    }

    /// Whether this folder is the results folder of a job.
    pub(super) fn is_folder(self, folder: &Path, id: (u64, u64)) -> bool {
        self.own == Some(id) || has_journal(folder)
    }

    /// Whether this folder is the results folder of another job.
    pub(super) fn is_folder_of_others(self, folder: &Path, id: (u64, u64)) -> bool {
        self.own != Some(id) && has_journal(folder)
    }

    /// Whether an entry of the results folder of a job holds its results.
    pub(super) fn has_name(name: &OsStr) -> bool {
        RESULTS.iter().any(|folder| name == folder.as_str())
    }

    /// Whether `target` is a results folder, or is inside results that `argument` is not inside.
    /// Both are real paths.
    pub(super) fn include(self, target: &Path, argument: &Path) -> bool {
        target.ancestors().any(|folder| {
            if self.is_own(folder) {
                return true;
            }
            let is_in = |path: &Path| {
                let mut folders = RESULTS.iter().map(|name| folder.join(name.as_str()));
                folders.any(|results| path.starts_with(results))
            };
            let is_result = target == folder || is_in(target);
            is_result && !is_in(argument) && has_journal(folder)
        })
    }

    fn is_own(self, folder: &Path) -> bool {
        // Without a results folder, do not ask the disk.
        self.own.is_some() && fs::metadata(folder).ok().map(|found| file_id(&found)) == self.own
    }
}

fn has_journal(folder: &Path) -> bool {
    match fs::symlink_metadata(folder.join(layout::journal().as_str())) {
        Ok(_) => true,
        // Another user's hidden folder may be inaccessible.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::symlink_metadata(folder.join(Folder::Hidden.as_str())).is_ok()
        }
        Err(_) => false,
    }
}

/// The visible folders of a results folder.
const RESULTS: [Folder; 2] = [Folder::Intermediate, Folder::Output];
