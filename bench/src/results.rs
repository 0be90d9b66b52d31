//! Where contenders write: a fresh folder for each run, and when it is removed.
//!
//! ext4 without a journal looks at every inode that was freed in the last five minutes before it
//! makes a file (`recently_deleted` in a profile of the kernel): the next runs pay for what one run
//! removes. So the results of small texts, even thousands of files, stay until this program exits.
//! The others would fill the disk, and are few files: they are removed at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::say;

/// A folder of its own. What is in it is removed when this is dropped; the folder stays, empty, and
/// its modification time shows the next program when that was.
#[derive(Debug)]
pub(crate) struct Results {
    folder: PathBuf,
    /// How long before this was made.
    removed: Option<Duration>,
}

impl Results {
    /// In `folder`, in which everything else stays as it is.
    pub(crate) fn below(folder: &Path) -> io::Result<Self> {
        let folder = folder.join(NAME);
        let is_empty = || fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none());
        let changed = fs::metadata(&folder).and_then(|folder| folder.modified()).ok();
        let removed = changed.filter(|_| is_empty()).and_then(|at| at.elapsed().ok());
        fs::create_dir_all(&folder)?;
        Ok(Self { folder: folder.canonicalize()?, removed })
    }

    /// A note for a race in which many files are made.
    pub(crate) fn note(&self) -> Option<String> {
        let removed = self.removed.filter(|age| *age < FREED_AGE_MAX)?.as_secs();
        Some(format!(
            "The results of another run were removed {removed} s before this one began: on some \
             disks, files are made slowly for five minutes then."
        ))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Have `work` write its results of `text_bytes` into a fresh folder.
    pub(crate) fn with<T>(
        &self,
        text_bytes: u64,
        work: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let folder = self.fresh()?;
        let done = work(&folder);
        if text_bytes > KEPT_TEXT_BYTES_MAX {
            fs::remove_dir_all(folder)?;
        }
        done
    }

    /// A program that was killed may have left folders: they are removed with ours.
    fn fresh(&self) -> io::Result<PathBuf> {
        let mut number = 1;
        loop {
            let folder = self.folder.join(number.to_string());
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map(|()| folder),
            }
        }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let remove = |entry: io::Result<fs::DirEntry>| fs::remove_dir_all(entry?.path());
        let removed = fs::read_dir(&self.folder).and_then(|mut runs| runs.try_for_each(remove));
        if let Err(error) = removed {
            say::note(format!("{} is not empty: {error}", self.folder.display()));
        }
    }
}

const NAME: &str = "bench-results";

/// How long ext4 considers an inode recently freed (`RECENTCY_MIN` and `RECENTCY_DIRTY`).
const FREED_AGE_MAX: Duration = Duration::from_mins(5);

/// The text that all contenders count first, and the sample: a few hundred megabytes of results.
const KEPT_TEXT_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn every_run_has_a_fresh_folder_and_what_is_small_stays_until_the_end() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("theirs"), "").unwrap();
        let results = Results::below(scratch.path()).unwrap();
        let leave = |bytes| {
            results.with(bytes, |folder| {
                assert_eq!(fs::read_dir(folder)?.count(), 0);
                fs::write(folder.join("counts"), "a 1\n")?;
                Ok(folder.to_owned())
            })
        };

        let kept = [0, KEPT_TEXT_BYTES_MAX].map(|bytes| leave(bytes).unwrap());
        let large = leave(KEPT_TEXT_BYTES_MAX + 1).unwrap();

        assert!(kept[0] != kept[1] && kept.iter().all(|folder| folder.join("counts").exists()));
        assert!(!large.exists() && large.starts_with(results.folder()));
        drop(results);
        assert!(kept.iter().all(|folder| !folder.exists()));
        assert!(scratch.path().join("theirs").exists());
    }

    #[test]
    fn results_of_a_killed_program_are_not_reused_and_removed_in_the_end() {
        let scratch = tempfile::tempdir().unwrap();
        let left = scratch.path().join(NAME).join("1/files");
        fs::create_dir_all(&left).unwrap();

        let results = Results::below(scratch.path()).unwrap();
        let folder = results.with(0, |folder| Ok(folder.to_owned())).unwrap();

        assert!(!left.starts_with(&folder) && left.exists());
        assert_eq!(results.note(), None);
        drop(results);
        assert!(!left.exists());
    }

    #[test]
    fn run_soon_after_another_gets_a_note() {
        let scratch = tempfile::tempdir().unwrap();
        let note = || Results::below(scratch.path()).unwrap().note();
        assert_eq!(note(), None);
        assert!(note().unwrap().contains("removed 0 s before"));

        let folder = fs::File::open(scratch.path().join(NAME)).unwrap();
        folder.set_modified(SystemTime::now() - FREED_AGE_MAX).unwrap();
        assert_eq!(note(), None);
    }
}
