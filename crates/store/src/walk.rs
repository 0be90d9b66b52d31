//! The input files that the user's arguments name.
//!
//! A folder is walked level by level (breadth first), with a queue: the length of a path limits the
//! depth of a tree, not the stack of our thread, and a link is followed where it is met first, so
//! that folders full of links to each other do not give paths of more links than the system
//! follows.
//!
//! A walk ends because every link is followed at most once and a tree without links is finite. Each
//! argument is a walk of its own, so that `a a` gives every file twice, as `cat a a` does, however
//! it is reached. A file that is counted more than once is noted, by its device and inode: the user
//! may not have intended it.
//!
//! Results of jobs are left out where a walk meets them, and counted where an argument names them
//! (`files/out`). Of an argument that is a results folder itself, `intermediate` and `out` are left
//! out: to count both would count every word twice.
//!
//! A filter decides by the names alone, before an entry is opened: what it does not take cannot
//! cause an error.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{io, iter};

use crate::input::{Input, Modified, measure};
use crate::input_error::{InputError, unreadable};
use crate::layout;
use crate::local::file_id;

use results::Results;

pub use filter::Filter;

/// The files that the arguments of a job name.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by path as the user would write it. A file that was named twice is there twice.
    pub inputs: Vec<Input>,
    /// What the user may not have intended.
    pub notes: ListingNotes,
}

/// What a user may not have intended with the arguments.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListingNotes {
    /// A file is counted more than once.
    pub repeated: Option<Repeated>,
    /// Results of jobs are not counted.
    pub left_out: Option<LeftOut>,
}

/// Results of jobs that are not counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The first folder or link to them, as the user would write it.
    pub path: PathBuf,
    /// How many more there are.
    pub more: usize,
}

/// A file that is counted more than once. Its paths are as the user would write them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repeated {
    /// Its first path.
    pub path: PathBuf,
    /// Another path of it, if there is one: through a link, a hard link, or another spelling.
    pub other: Option<PathBuf>,
    /// How often it is counted.
    pub times: usize,
    /// How many other files are counted more than once.
    pub more: usize,
}

/// What the user names as input.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Which files of the folders are inputs; `None` for all.
    pub filter: Option<Filter>,
}

impl From<Vec<PathBuf>> for Arguments {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self { paths, filter: None }
    }
}

/// As [`Arguments::list`], without a filter.
pub fn list_inputs(paths: &[PathBuf], results: Option<&Path>) -> Result<Listing, InputError> {
    Arguments::from(paths.to_owned()).list(results)
}

impl Arguments {
    /// All files that the arguments name. The results of the job will be in the folder `results`.
    ///
    /// Files are taken, folders are walked. A hidden name is skipped in a folder, and taken as an
    /// argument; so is what the filter does not take. Everything else that cannot be read is an
    /// error, and so is an argument without a file, such as a folder where nothing is mounted: a
    /// job that does not start is better than a count that silently lacks a file.
    pub fn list(&self, results: Option<&Path>) -> Result<Listing, InputError> {
        let Self { paths, filter } = self;
        let results = Results::new(results);
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        let mut without_files = Vec::new();
        let mut has_filtered = false;
        for argument in paths {
            let before = found.len();
            let walk = Walk::new(&mut found, &mut left_out, results, argument);
            let filtered = walk.filtered_by(filter.as_ref()).run()?;
            has_filtered |= filtered;
            if found.len() == before && !filtered {
                without_files.push(argument.clone());
            }
        }
        if !without_files.is_empty() {
            return Err(InputError::NoFiles { arguments: without_files, filter: None });
        }
        if found.is_empty() {
            let filter = filter.as_ref().filter(|_| has_filtered).map(ToString::to_string);
            return Err(InputError::NoFiles { arguments: paths.clone(), filter });
        }
        found.sort_by(|(_, a), (_, b)| {
            a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes())
        });
        let more = left_out.len().saturating_sub(1);
        let left_out = left_out.into_iter().next().map(|path| LeftOut { path, more });
        let notes = ListingNotes { repeated: find_repeated(&found), left_out };
        let absolute = |(_, input): (FileId, Input)| {
            let path = std::path::absolute(&input.path).map_err(unreadable(&input.path))?;
            Ok(Input { path, ..input })
        };
        Ok(Listing { inputs: found.into_iter().map(absolute).collect::<Result<_, _>>()?, notes })
    }
}

/// The first file in `found` that is there more than once.
fn find_repeated(found: &[(FileId, Input)]) -> Option<Repeated> {
    let mut times = HashMap::<FileId, usize>::new();
    for (id, _) in found {
        *times.entry(*id).or_default() += 1;
    }
    let files = times.values().filter(|&&times| times > 1).count();
    let (id, first) = found.iter().find(|(id, _)| times[id] > 1)?;
    let mut others = found.iter().filter(|(other, _)| other == id).map(|(_, input)| &input.path);
    let other = others.find(|other| other.as_os_str() != first.path.as_os_str());
    Some(Repeated {
        path: first.path.clone(),
        other: other.cloned(),
        times: times[id],
        more: files - 1,
    })
}

/// The walk through one argument.
struct Walk<'found> {
    /// The argument, as the user has typed it.
    top: &'found Path,
    /// Decides which entries are taken; `None` for all.
    filter: Option<&'found Filter>,
    /// Whether it has not taken one.
    has_filtered: bool,
    /// Found so far; the paths as the user would write them.
    found: &'found mut Vec<(FileId, Input)>,
    /// Results of jobs that are not input.
    left_out: &'found mut Vec<PathBuf>,
    /// Decides which those are.
    results: Results,
    /// The real path of the argument.
    argument: PathBuf,
    /// Links followed so far.
    links: HashSet<FileId>,
    /// Folders entered so far.
    folders: Vec<Entered>,
    /// Folders whose entries were not visited yet, as paths and indexes of `folders`.
    pending: VecDeque<(PathBuf, usize)>,
}

/// A folder that was entered, directly or through a link.
struct Entered {
    id: FileId,
    /// Index of the folder in which it was met; none for the argument.
    from: Option<usize>,
    /// Whether it is the argument and the results folder of another job.
    has_results: bool,
}

/// Device and inode.
type FileId = (u64, u64);

impl<'found> Walk<'found> {
    fn new(
        found: &'found mut Vec<(FileId, Input)>,
        left_out: &'found mut Vec<PathBuf>,
        results: Results,
        argument: &'found Path,
    ) -> Self {
        Self {
            top: argument,
            filter: None,
            has_filtered: false,
            found,
            left_out,
            results,
            // If this fails, the walk begins with the same error.
            argument: fs::canonicalize(argument).unwrap_or_default(),
            links: HashSet::new(),
            folders: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    fn filtered_by(self, filter: Option<&'found Filter>) -> Self {
        Self { filter, ..self }
    }

    /// Returns whether there are entries that the filter has not taken.
    fn run(mut self) -> Result<bool, InputError> {
        let metadata = fs::symlink_metadata(self.top).map_err(unreadable(self.top))?;
        self.visit(self.top.to_owned(), metadata.file_type(), None)?;
        while let Some((folder, index)) = self.pending.pop_front() {
            for (name, kind) in read_entries(&folder).map_err(unreadable(&folder))? {
                let path = folder.join(&name);
                if self.folders[index].has_results && Results::has_name(&name) {
                    self.left_out.push(path);
                } else {
                    self.visit(path, kind, Some(index))?;
                }
            }
        }
        Ok(self.has_filtered)
    }

    /// Whether the entry is an input, or a folder with inputs. Every entry is asked about once.
    fn takes(&mut self, path: &Path, is_folder: bool, from: Option<usize>) -> bool {
        let takes = |filter: &Filter| {
            let below = path.strip_prefix(self.top).unwrap_or(path);
            filter.takes(below, is_folder)
        };
        let takes = from.is_none() || self.filter.is_none_or(takes);
        self.has_filtered |= !takes;
        takes
    }

    /// `kind` is that of the entry itself, not of the target of a link.
    fn visit(
        &mut self,
        path: PathBuf,
        kind: FileType,
        from: Option<usize>,
    ) -> Result<(), InputError> {
        if kind.is_symlink() {
            let leads_to_folder = || fs::metadata(&path).is_ok_and(|target| target.is_dir());
            let is_folder = self.filter.is_some() && leads_to_folder();
            if self.takes(&path, is_folder, from) { self.follow(path, from) } else { Ok(()) }
        } else if !self.takes(&path, kind.is_dir(), from) {
            Ok(())
        } else if kind.is_dir() {
            let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
            self.enter(path, &metadata, from);
            Ok(())
        } else {
            self.take(path)
        }
    }

    fn follow(&mut self, path: PathBuf, from: Option<usize>) -> Result<(), InputError> {
        let link = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
        let target = match fs::metadata(&path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let target = fs::read_link(&path).map_err(unreadable(&path))?;
                return Err(InputError::Dangling { path, target });
            }
            Err(source) => return Err(InputError::Unreadable { path, source }),
        };
        if self.is_inside(file_id(&target), from) || !self.links.insert(file_id(&link)) {
            return Ok(());
        }
        if from.is_some() {
            let real = fs::canonicalize(&path).map_err(unreadable(&path))?;
            if self.results.include(&real, &self.argument) {
                self.left_out.push(path);
                return Ok(());
            }
        }
        if target.is_dir() {
            self.enter(path, &target, from);
            return Ok(());
        }
        self.take(path)
    }

    /// Whether the folder `from` is the one with this id, or was reached through it.
    fn is_inside(&self, id: FileId, from: Option<usize>) -> bool {
        let mut way_back = iter::successors(from, |&index| self.folders[index].from);
        way_back.any(|index| self.folders[index].id == id)
    }

    fn enter(&mut self, path: PathBuf, metadata: &Metadata, from: Option<usize>) {
        let id = file_id(metadata);
        if from.is_some() && self.results.is_folder(&path, id) {
            self.left_out.push(path);
            return;
        }
        let has_results = from.is_none() && self.results.is_folder_of_others(&path, id);
        self.pending.push_back((path, self.folders.len()));
        self.folders.push(Entered { id, from, has_results });
    }

    fn take(&mut self, path: PathBuf) -> Result<(), InputError> {
        let metadata = measure(&path)?;
        let modified = Modified::of(&metadata);
        let input = Input { path, bytes: metadata.len(), modified };
        self.found.push((file_id(&metadata), input));
        Ok(())
    }
}

/// The visible entries of a folder, sorted bytewise.
fn read_entries(folder: &Path) -> io::Result<Vec<(OsString, FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !layout::is_hidden(&name) {
            entries.push((name, entry.file_type()?));
        }
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    Ok(entries)
}

mod filter;
mod results;
#[cfg(test)]
mod tests;
