//! Whether a job has ended, for a process that knows only its folder and its session.

use std::path::Path;

use store::{journal_file, layout};

use crate::lines::parse_line;
use crate::record::Record;

/// Whether the last record in `files` is the end of the job of `session` (`JOB-eEPOCH`), however
/// it ended. `false` also where the journal cannot be read.
///
/// Only the first and the last line are read: the journal of a large job takes hundreds of
/// megabytes, and a worker asks again and again while its driver is silent.
pub fn has_ended(files: &Path, session: &str) -> bool {
    let asked = session.rsplit_once("-e").map(|(job, _)| job);
    let journal = files.join(layout::journal().as_str());
    let first = journal_file::read_beginning(&journal, LINE_BYTES_MAX).ok();
    let last = journal_file::read_end(&journal, LINE_BYTES_MAX).ok();
    let line = |bytes: &[u8]| parse_line(bytes);
    let first = first.and_then(|bytes| line(bytes.split_inclusive(is_line_feed).next()?));
    let last = last.and_then(|bytes| line(bytes.split_inclusive(is_line_feed).next_back()?));
    matches!(first, Some(Record::Begin { job, .. }) if Some(job.as_str()) == asked)
        && last.is_some_and(|last| is_end(&last))
}

fn is_line_feed(byte: &u8) -> bool {
    *byte == b'\n'
}

fn is_end(last: &Record) -> bool {
    matches!(last, Record::End { .. } | Record::IntermediatesRemoved)
}

/// More than the lines of a beginning and of an end take.
const LINE_BYTES_MAX: u64 = 4096;

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
