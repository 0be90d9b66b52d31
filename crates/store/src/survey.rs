//! The files in the folders of a store before a job begins: results of ours, and foreign files.
//!
//! A survey is one listing of each folder, and opens no file: a job may have left ten million. It
//! changes nothing. A foreign file stops the job before it starts, so nothing may be created, swept
//! or replaced before that.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::anchor::{Anchor, is_met_link, kind};
use crate::error::{NOT_A_FOLDER, Operation, StoreError};
use crate::layout::{self, Folder, Name};
use crate::local::refused;

/// The visible files in the folders of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Survey {
    /// Visible entries that no job of Mapmill has made, sorted by path within each folder.
    pub foreign: Vec<PathBuf>,
    /// Map task and bucket of every intermediate.
    pub intermediates: Vec<(u32, u32)>,
    /// Bucket of every output.
    pub outputs: Vec<u32>,
}

impl Survey {
    /// Whether a job has left results here.
    pub fn has_results(&self) -> bool {
        !self.intermediates.is_empty() || !self.outputs.is_empty()
    }

    /// Results that a job with this many map tasks and buckets does not replace.
    pub fn outside(&self, map_count: u32, bucket_count: u32) -> Vec<Name> {
        let intermediates = self
            .intermediates
            .iter()
            .filter(|&&(map, bucket)| map >= map_count || bucket >= bucket_count)
            .map(|&(map, bucket)| layout::intermediate(map, bucket));
        let outputs = self
            .outputs
            .iter()
            .filter(|&&bucket| bucket >= bucket_count)
            .map(|&bucket| layout::output(bucket));
        intermediates.chain(outputs).collect()
    }
}

/// Survey the folders of the store at `root`, if there is one.
pub fn survey(root: &Path) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let top = match Anchor::open(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(survey),
        top => top.map_err(refused(Operation::List, root))?,
    };
    for folder in [Folder::Intermediate, Folder::Output] {
        let path = root.join(folder.as_str());
        let files = match top.list_kinds(folder.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            files => files.map_err(no_folder(&path))?,
        };
        for (file, listed) in files {
            if layout::is_hidden(&file) {
                continue;
            }
            let kind = if listed == FileType::Unknown {
                let below = Path::new(folder.as_str()).join(&file);
                let seen = top.entry(&below).and_then(|entry| entry.look());
                seen.map_err(refused(Operation::List, &path))?.as_ref().map(kind)
            } else {
                Some(listed)
            };
            if kind == Some(FileType::RegularFile) && layout::is_ours(folder, &file) {
                survey.intermediates.extend(layout::parse_intermediate(&file));
                survey.outputs.extend(layout::parse_output(&file));
            } else {
                survey.foreign.push(path.join(&file));
            }
        }
    }
    Ok(survey)
}

/// For `map_err`: the folder cannot be listed, perhaps because it is a link or a file.
fn no_folder(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<'_> {
    move |source| match is_met_link(&source) || source.kind() == io::ErrorKind::NotADirectory {
        true => StoreError::Tampered { place: path.to_owned(), found: NOT_A_FOLDER },
        false => StoreError::refused(Operation::List, path, source),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Local;

    #[test]
    fn a_folder_that_is_not_there_holds_nothing_and_is_not_created() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("files");

        assert_eq!(survey(&root).unwrap(), Survey::default());
        assert!(!root.exists());
    }

    #[test]
    fn our_results_are_told_from_foreign_files() {
        let (root, store) = new_store();
        for name in [layout::intermediate(0, 1), layout::intermediate(6, 0), layout::output(4)] {
            fs::write(store.path(&name), "").unwrap();
        }
        let folder = root.path().join(Folder::Output.as_str());
        // Our name, but a folder; our name, but a link; not our name; hidden, so ignored.
        fs::create_dir(store.path(&layout::output(2))).unwrap();
        symlink("/etc/passwd", store.path(&layout::output(3))).unwrap();
        fs::write(folder.join("thesis.txt"), "").unwrap();
        fs::write(folder.join(".gitkeep"), "").unwrap();

        let survey = survey(root.path()).unwrap();
        let foreign = [
            store.path(&layout::output(2)),
            store.path(&layout::output(3)),
            folder.join("thesis.txt"),
        ];
        assert_eq!(survey.foreign, foreign);
        assert_eq!(survey.intermediates, [(0, 1), (6, 0)]);
        assert_eq!(survey.outputs, [4]);
    }

    #[test]
    fn results_of_a_larger_job_are_outside_a_smaller_one() {
        let survey = Survey {
            foreign: Vec::new(),
            intermediates: vec![(0, 0), (0, 4), (5, 3), (6, 0)],
            outputs: vec![0, 3, 4],
        };
        assert!(survey.has_results());
        let outside = [layout::intermediate(0, 4), layout::intermediate(6, 0), layout::output(4)];
        assert_eq!(survey.outside(6, 4), outside);
        assert!(survey.outside(7, 5).is_empty());
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        symlink("/tmp", root.path().join(Folder::Output.as_str())).unwrap();
        let refusal = survey(root.path()).unwrap_err();
        assert!(matches!(refusal, StoreError::Tampered { found: NOT_A_FOLDER, .. }), "{refusal}");
    }

    fn new_store() -> (tempfile::TempDir, Local) {
        let root = tempfile::tempdir().unwrap();
        let store = Local::create(root.path()).unwrap();
        (root, store)
    }
}
