//! Whether a job has ended, for a process that knows only its folder and its session.

use std::io;
use std::path::Path;

use store::{journal_file, layout};

use crate::file_log::FileLog;
use crate::lines::parse_line;
use crate::log::Log;
use crate::record::Record;

/// Whether the last record in `files` is the end of the job of `session` (`JOB-eEPOCH`), however
/// it ended. `false` also where the journal cannot be read.
///
/// The whole journal is read only if its last record is an end: this is called again and again
/// while a driver is silent, and the journal of a large job takes hundreds of megabytes.
pub fn has_ended(files: &Path, session: &str) -> bool {
    ends_with_end(files).unwrap_or(false)
        && FileLog::in_folder(files).read().is_ok_and(|recorded| {
            let asked = session.rsplit_once("-e").map(|(job, _)| job);
            let records = recorded.records;
            matches!(
                (records.first(), records.last()),
                (Some(Record::Begin { job, .. }), Some(last))
                    if Some(job.as_str()) == asked && is_end(last)
            )
        })
}

fn ends_with_end(files: &Path) -> io::Result<bool> {
    let tail = journal_file::read_end(&files.join(layout::journal().as_str()), END_BYTES_MAX)?;
    let last = tail.split_inclusive(|&byte| byte == b'\n').next_back().and_then(parse_line);
    Ok(last.as_ref().is_some_and(is_end))
}

fn is_end(last: &Record) -> bool {
    matches!(last, Record::End { .. } | Record::IntermediatesRemoved)
}

/// More than the line of an end takes.
const END_BYTES_MAX: u64 = 512;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lines::encode;
    use crate::record::{Outcome, WordRule};

    fn begin(job: &str) -> Record {
        Record::Begin {
            epoch: 1,
            job: job.to_owned(),
            build: "mapmill 1".to_owned(),
            started_unix_seconds: 1,
            map_tasks: 1,
            reduce_tasks: 1,
            words: WordRule::Letters,
            ignore_case: false,
        }
    }

    fn resume() -> Record {
        Record::Resume { epoch: 2, build: "mapmill 1".to_owned(), started_unix_seconds: 2 }
    }

    #[test]
    fn job_has_ended_when_its_last_record_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join(layout::journal().as_str());
        fs::create_dir_all(journal.parent().unwrap()).unwrap();
        let write = |records: &[Record]| fs::write(&journal, encode(records)).unwrap();
        let has_ended = |session| has_ended(folder.path(), session);
        assert!(!has_ended("ab-e1"));
        write(&[begin("ab")]);
        assert!(!has_ended("ab-e1"));
        for outcome in [Outcome::Cancelled, Outcome::Done, Outcome::Failed] {
            write(&[begin("ab"), Record::End { outcome }]);
            assert!(has_ended("ab-e1"), "{outcome}");
            // Another epoch of the job, and another job.
            assert!(has_ended("ab-e2"));
            assert!(!has_ended("cd-e1"));
        }
        write(&[begin("ab"), Record::End { outcome: Outcome::Done }, Record::IntermediatesRemoved]);
        assert!(has_ended("ab-e1"));
        // It is resumed.
        write(&[begin("ab"), Record::End { outcome: Outcome::Cancelled }, resume()]);
        assert!(!has_ended("ab-e1"));
        // The end is torn.
        let mut lines = encode(&[begin("ab"), Record::End { outcome: Outcome::Done }]);
        lines.pop();
        fs::write(&journal, lines).unwrap();
        assert!(!has_ended("ab-e1"));
    }
}
