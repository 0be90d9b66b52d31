//! Checks a finished job once more: every file against its record, and that no word was lost
//! between the phases (conservation).

use std::path::{Path, PathBuf};

use store::{Digest, Local, Name, Store, StoreError, Survey, VerifiedReader};

use crate::commits::Commits;
use crate::file_log::FileLog;
use crate::log::{JournalError, Log};
use crate::record::{Outcome, Record};

/// A job whose files are all as they were recorded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// Intermediates read; `None` if they were removed after the job.
    pub intermediates: Option<u64>,
    /// Outputs read.
    pub outputs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Words emitted, which are as many as were counted.
    pub words: u64,
}

/// There is nothing that could be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder cannot be read.
    #[error("cannot check {}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The journal cannot be read.
    #[error("cannot check the job")]
    Journal(#[source] JournalError),
    /// There is no journal.
    #[error("{} holds no journal of a job", path.display())]
    NoJob {
        /// The folder.
        path: PathBuf,
    },
    /// The job is running, or was cut off.
    #[error(
        "the job in {} is not done: {maps} of {map_tasks} map tasks and {reduces} of {reduce_tasks} \
         reduce tasks are",
        path.display()
    )]
    NotDone {
        /// The folder.
        path: PathBuf,
        /// Map tasks committed.
        maps: usize,
        /// `N`.
        map_tasks: u32,
        /// Reduce tasks committed.
        reduces: usize,
        /// `M`.
        reduce_tasks: u32,
    },
}

/// Something is not as it was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// As many words have to be counted as were emitted.
    #[error("bucket {bucket}: {emitted} words were emitted and {counted} counted")]
    Conservation {
        /// The bucket.
        bucket: u32,
        /// By all map tasks.
        emitted: u64,
        /// By the reduce task.
        counted: u64,
    },
    /// A file that the job did not make.
    #[error("{name} is not of this job")]
    Foreign {
        /// The file.
        name: String,
    },
    /// A file is missing, or other bytes are in it.
    #[error(transparent)]
    Object(StoreError),
}

/// Reads every file of the finished job in `files` and compares it with its record. Returns what is
/// wrong, if anything.
///
/// # Errors
///
/// When there is no finished job, or the folder cannot be read.
pub fn verify(files: &Path) -> Result<Result<Verified, Vec<Finding>>, VerifyError> {
    let unreadable = |source| VerifyError::Files { path: files.to_owned(), source };
    let Finished { commits, map_tasks, reduce_tasks, is_removed } = finished(files)?;
    let mut check = Check {
        store: Local::open(files).map_err(unreadable)?,
        block: vec![0; BLOCK_BYTES],
        seen: Verified { intermediates: (!is_removed).then_some(0), ..Verified::default() },
        findings: Vec::new(),
    };
    check.objects(&commits);
    check.words(&commits);
    check.strangers(&store::survey(files).map_err(unreadable)?, map_tasks, reduce_tasks);
    Ok(if check.findings.is_empty() { Ok(check.seen) } else { Err(check.findings) })
}

/// The records of a finished job.
pub(crate) struct Finished {
    pub(crate) commits: Commits,
    map_tasks: u32,
    reduce_tasks: u32,
    /// Whether the intermediates were removed.
    is_removed: bool,
}

/// Reads the journal of the finished job in `files`.
pub(crate) fn finished(files: &Path) -> Result<Finished, VerifyError> {
    let recorded = FileLog::in_folder(files).read_valid();
    let records = recorded.map_err(VerifyError::Journal)?.records;
    let Some(&Record::Begin { map_tasks, reduce_tasks, .. }) = records.first() else {
        return Err(VerifyError::NoJob { path: files.to_owned() });
    };
    let commits = Commits::of(&records);
    let (maps, reduces) = (commits.maps.len(), commits.reduces.len());
    let is_removed = records.last() == Some(&Record::IntermediatesRemoved);
    if !is_done(&records) || maps != map_tasks as usize || reduces != reduce_tasks as usize {
        let path = files.to_owned();
        return Err(VerifyError::NotDone { path, maps, map_tasks, reduces, reduce_tasks });
    }
    Ok(Finished { commits, map_tasks, reduce_tasks, is_removed })
}

/// Whether the records end with a job that is done.
pub fn is_done(records: &[Record]) -> bool {
    let end = match records {
        [rest @ .., Record::IntermediatesRemoved] => rest.last(),
        records => records.last(),
    };
    matches!(end, Some(Record::End { outcome: Outcome::Done }))
}

struct Check {
    store: Local,
    block: Vec<u8>,
    seen: Verified,
    findings: Vec<Finding>,
}

impl Check {
    fn objects(&mut self, commits: &Commits) {
        if let Some(mut intermediates) = self.seen.intermediates {
            for (&map, commit) in &commits.maps {
                for (name, digest) in commit.objects(map) {
                    self.object(&name, digest);
                    intermediates += 1;
                }
            }
            self.seen.intermediates = Some(intermediates);
        }
        for (&reduce, commit) in &commits.reduces {
            let (name, digest) = commit.object(reduce);
            self.object(&name, digest);
            self.seen.outputs += 1;
        }
    }

    fn object(&mut self, name: &Name, expected: Digest) {
        let object = self.store.open(name);
        let read = object
            .and_then(|object| VerifiedReader::new(object, expected, &mut self.block)?.verify());
        match read {
            Ok(()) => self.seen.bytes += expected.bytes,
            Err(error) => self.findings.push(Finding::Object(error)),
        }
    }

    fn words(&mut self, commits: &Commits) {
        for (&bucket, reduce) in &commits.reduces {
            let buckets = commits.maps.values().filter_map(|map| map.buckets.get(bucket as usize));
            let (emitted, counted) = (buckets.map(|made| made.words).sum(), reduce.words);
            self.seen.words += counted;
            if emitted != counted {
                self.findings.push(Finding::Conservation { bucket, emitted, counted });
            }
        }
    }

    fn strangers(&mut self, survey: &Survey, map_tasks: u32, reduce_tasks: u32) {
        let foreign = survey.foreign.iter().map(|path| path.display().to_string());
        let outside = survey.outside(map_tasks, reduce_tasks).into_iter();
        let names = foreign.chain(outside.map(|name| name.to_string()));
        self.findings.extend(names.map(|name| Finding::Foreign { name }));
    }
}

/// How much is read at once.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;
