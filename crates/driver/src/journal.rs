//! The job's history on disk. A task is committed when, and only when, its record is here.
//!
//! One record a line: `{"crc32":"9f0c21aa","record":{...}}`, where the checksum is taken over the
//! record's own bytes as they stand in the line. Records are appended and synced before anyone is
//! told of them, and the folder is synced when the journal is created, so that neither a crash nor
//! a power failure takes back what was said.
//!
//! A new job begins with a new journal, put in place of the old one in one step. A job that was cut
//! off goes on in the journal it has. Either way the epoch of this life is above all earlier ones,
//! and on disk before the first task is handed out: no two attempts in a folder's history share a
//! name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Digest;

use crate::faults;

/// One line of the journal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Record {
    /// A job begins. Always the first record.
    Begin {
        /// Grows with every life of a driver in this folder, from 1.
        epoch: u64,
        /// Chosen at random for this job.
        job: String,
        /// Program and version.
        build: String,
        /// Seconds since 1970, for people.
        started_unix_seconds: u64,
        /// `N`.
        map_tasks: u32,
        /// `M`.
        reduce_tasks: u32,
        /// The rule that says what a word is.
        words: String,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// An input of the job, in order. All of them follow `Begin`.
    Input {
        /// The path; bytes that are not UTF-8 are written as `\xHH`, and a backslash as `\\`.
        path: String,
        /// Its size.
        bytes: u64,
        /// Its modification time, seconds since 1970.
        modified_seconds: i64,
        /// Nanoseconds on top.
        modified_nanos: u32,
    },
    /// A map task is committed.
    Map {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// Who executed it.
        worker: String,
        /// Length, checksum and number of words of each bucket file.
        buckets: Vec<(u64, u32, u64)>,
        /// Bytes that were not UTF-8.
        invalid_bytes: u64,
    },
    /// A reduce task is committed.
    Reduce {
        /// Its index.
        task: u32,
        /// The number of the attempt that won.
        attempt: u32,
        /// Who executed it.
        worker: String,
        /// Length of the output.
        bytes: u64,
        /// Its checksum.
        crc32: u32,
        /// The sum of all counts.
        words: u64,
        /// Its lines.
        distinct_words: u64,
    },
    /// Another life of a driver goes on with the job.
    Resume {
        /// Above all earlier ones.
        epoch: u64,
        /// Program and version.
        build: String,
        /// Seconds since 1970, for people.
        started_unix_seconds: u64,
    },
    /// This life is over. Nothing follows a job that is done; the others may be resumed.
    End {
        /// [`DONE`], `failed` or `cancelled`.
        outcome: String,
    },
}

impl Record {
    /// As the journal spells it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "begin",
            Self::End { .. } => "end",
            Self::Input { .. } => "input",
            Self::Map { .. } => "map",
            Self::Reduce { .. } => "reduce",
            Self::Resume { .. } => "resume",
        }
    }

    /// The record of a map task's commit.
    pub(crate) fn map(
        task: u32,
        attempt: u32,
        worker: &str,
        buckets: &[(Digest, u64)],
        invalid_bytes: u64,
    ) -> Self {
        let buckets =
            buckets.iter().map(|(digest, words)| (digest.bytes, digest.crc32, *words)).collect();
        Self::Map { task, attempt, worker: worker.to_owned(), buckets, invalid_bytes }
    }
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A line in the middle is not what was written.
    #[error(
        "{} is damaged in line {line}; move the folder away, or start the job over with --fresh",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Writing failed before. What the file holds is not known: a record behind half a record would
    /// be part of the same line, and be lost with it.
    #[error("{} is not written any more, after what went wrong before", path.display())]
    GivenUp {
        /// The journal.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The journal, or its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// An append failed, or its sync.
    is_broken: bool,
}

impl Journal {
    /// Puts a new journal that holds `records` in the place of the one at `path`, if there is one,
    /// and syncs it.
    ///
    /// # Errors
    ///
    /// When the operating system refuses; the old journal is then untouched.
    pub fn create(path: &Path, records: &[Record]) -> Result<Self, JournalError> {
        let fresh = path.with_extension("new");
        let error = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { operation, path, source }
        };
        faults::reach("driver::begin", "");
        let mut file = File::create(&fresh).map_err(error("create", &fresh))?;
        let mut lines = Vec::new();
        for record in records {
            write_record(&mut lines, record);
        }
        file.write_all(&lines).map_err(error("write", &fresh))?;
        file.sync_all().map_err(error("sync", &fresh))?;
        faults::reach("driver::begin-written", "");
        fs::rename(&fresh, path).map_err(error("replace", path))?;
        faults::reach("driver::begin-renamed", "");
        let folder = path.parent().expect("a journal lies in a folder");
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(error("sync", folder))?;
        faults::reach("driver::begun", "");
        Ok(Self { file, path: path.to_owned(), is_broken: false })
    }

    /// Opens the journal at `path` to go on behind its last whole record, and appends and syncs
    /// `record`. What is left of a torn one is cut off: half a line would swallow the next.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn resume(path: &Path, history: &History, record: &Record) -> Result<Self, JournalError> {
        let error =
            |operation| move |source| JournalError::Io { operation, path: path.to_owned(), source };
        let file = File::options().append(true).open(path).map_err(error("open"))?;
        file.set_len(history.whole_bytes).map_err(error("cut"))?;
        let mut journal = Self { file, path: path.to_owned(), is_broken: false };
        journal.append(std::slice::from_ref(record))?;
        Ok(journal)
    }

    /// Appends `records` and syncs them, all with one sync.
    ///
    /// # Errors
    ///
    /// When the operating system refuses; and from then on, always.
    pub fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if self.is_broken {
            return Err(JournalError::GivenUp { path: self.path.clone() });
        }
        let appended = self.try_append(records);
        self.is_broken = appended.is_err();
        appended
    }

    fn try_append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let mut lines = Vec::new();
        for record in records {
            write_record(&mut lines, record);
        }
        let path = &self.path;
        let error =
            |operation| move |source| JournalError::Io { operation, path: path.clone(), source };
        let kind = records.first().map_or("", Record::kind);
        faults::reach("driver::append", kind);
        faults::tear("driver::torn", kind, &mut self.file, &lines);
        self.file.write_all(&lines).map_err(error("append to"))?;
        faults::reach("driver::appended", kind);
        self.file.sync_data().map_err(error("sync"))?;
        faults::reach("driver::recorded", kind);
        Ok(())
    }
}

/// How a job ended that nothing is left to do of.
pub const DONE: &str = "done";

/// What a journal says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// The length of their lines. What the file has behind it is torn.
    pub whole_bytes: u64,
}

/// The journal at `path`; an empty one if there is no such file.
///
/// The last line may be torn, when a driver died while writing it: nobody was told of it, so it is
/// left out.
///
/// # Errors
///
/// When the file cannot be read, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<History, JournalError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => {
            parse(&bytes).map_err(|line| JournalError::Damaged { path: path.to_owned(), line })
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(History::default()),
        Err(source) => Err(JournalError::Io { operation: "read", path: path.to_owned(), source }),
    }
}

/// A path as text: bytes that are not UTF-8 become `\xHH`, and a backslash `\\`, so that no two
/// paths look the same.
pub fn escape(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The history, or the number of the first damaged line.
fn parse(bytes: &[u8]) -> Result<History, usize> {
    let mut history = History::default();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse_line(line) {
            Some(record) => {
                history.records.push(record);
                history.whole_bytes += line.len() as u64;
            }
            None if lines.peek().is_none() => break,
            None => return Err(index + 1),
        }
    }
    Ok(history)
}

#[derive(Deserialize, Serialize)]
struct Line<'line> {
    crc32: String,
    #[serde(borrow)]
    record: &'line RawValue,
}

fn checksum(record: &RawValue) -> String {
    format!("{:08x}", Digest::of(record.get().as_bytes()).crc32)
}

fn write_record(lines: &mut Vec<u8>, record: &Record) {
    let record = serde_json::value::to_raw_value(record)
        .expect("a record holds numbers and text only, which JSON can express");
    let line = Line { crc32: checksum(&record), record: &record };
    serde_json::to_writer(&mut *lines, &line).expect("writing to memory cannot fail");
    lines.push(b'\n');
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let line: Line<'_> = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    (line.crc32 == checksum(line.record)).then_some(())?;
    serde_json::from_str(line.record.get()).ok()
}

#[cfg(test)]
impl Journal {
    /// A journal on a full disk.
    pub(crate) fn on_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = File::options().write(true).open(&path).expect("every Linux has /dev/full");
        Self { file, path, is_broken: false }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begin(epoch: u64) -> Record {
        Record::Begin {
            epoch,
            job: "00ff".to_owned(),
            build: "mapmill 0.1.0".to_owned(),
            started_unix_seconds: 1,
            map_tasks: 6,
            reduce_tasks: 4,
            words: "letters".to_owned(),
            ignore_case: false,
        }
    }

    fn map(task: u32) -> Record {
        let digest = Digest { bytes: 5, crc32: u32::MAX };
        Record::map(task, 0, "w1 (host:7)", &[(digest, 2), (digest, 0)], 3)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert_eq!(read(&path).unwrap().records, []);

        let mut journal = Journal::create(&path, &[begin(1)]).unwrap();
        journal.append(&[map(0), map(1)]).unwrap();
        journal.append(&[Record::End { outcome: "done".to_owned() }]).unwrap();

        let end = Record::End { outcome: "done".to_owned() };
        assert_eq!(read(&path).unwrap().records, [begin(1), map(0), map(1), end]);
    }

    /// Whatever the last line has lost, the next record does not become part of it.
    #[test]
    fn journal_is_resumed_behind_its_last_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut whole = Vec::new();
        write_record(&mut whole, &begin(1));
        let mut lines = whole.clone();
        write_record(&mut lines, &map(0));
        let resume =
            Record::Resume { epoch: 2, build: "mapmill 0.1.0".to_owned(), started_unix_seconds: 2 };
        for length in whole.len()..lines.len() {
            fs::write(&path, &lines[..length]).unwrap();
            let history = read(&path).unwrap();

            let mut journal = Journal::resume(&path, &history, &resume).unwrap();
            journal.append(&[map(1)]).unwrap();

            let expected = [begin(1), resume.clone(), map(1)];
            assert_eq!(read(&path).unwrap().records, expected, "{length} bytes");
        }
    }

    #[test]
    fn new_journal_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::create(&path, &[begin(1), map(0)]).unwrap();

        Journal::create(&path, &[begin(2)]).unwrap();

        assert_eq!(read(&path).unwrap().records, [begin(2)]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Half a record may be in the file: what is written behind it is lost with it, although its
    /// sync went well. So nothing is, even if there is room again.
    #[test]
    fn after_an_error_nothing_more_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(&path, &[begin(1)]).unwrap();

        let file = std::mem::replace(&mut journal.file, Journal::on_full_disk().file);
        let error = journal.append(&[map(0)]).unwrap_err();
        assert!(matches!(error, JournalError::Io { operation: "append to", .. }), "{error}");

        journal.file = file;
        let error = journal.append(&[map(1)]).unwrap_err();
        assert!(matches!(error, JournalError::GivenUp { .. }), "{error}");
        assert_eq!(read(&path).unwrap().records, [begin(1)]);
    }

    proptest! {
        #[test]
        fn any_records_are_read_again(records in prop::collection::vec(any_record(), 0..20)) {
            let mut lines = Vec::new();
            for record in &records {
                write_record(&mut lines, record);
            }
            let whole_bytes = lines.len() as u64;
            prop_assert_eq!(parse(&lines), Ok(History { records, whole_bytes }));
        }

        /// Nothing that happens to a file makes reading it panic, or a record that was not written.
        #[test]
        fn damage_never_makes_a_record(
            records in prop::collection::vec(any_record(), 1..5),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut: prop::sample::Index,
        ) {
            let mut lines = Vec::new();
            for record in &records {
                write_record(&mut lines, record);
            }
            for (index, byte) in damage {
                let index = index.index(lines.len());
                lines[index] = byte;
            }
            lines.truncate(cut.index(lines.len() + 1));
            if let Ok(History { records: read, .. }) = parse(&lines) {
                prop_assert!(read.len() <= records.len());
                prop_assert_eq!(&read[..], &records[..read.len()]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_two_paths_look_the_same(one in path(), other in path()) {
            prop_assert_eq!(one == other, escape(&one) == escape(&other));
        }
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let buckets = prop::collection::vec(any::<(u64, u32, u64)>(), 0..5);
        prop_oneof![
            any::<u64>().prop_map(begin),
            (any::<u32>(), any::<u32>(), any::<String>(), buckets, any::<u64>()).prop_map(
                |(task, attempt, worker, buckets, invalid_bytes)| Record::Map {
                    task,
                    attempt,
                    worker,
                    buckets,
                    invalid_bytes
                }
            ),
            (any::<String>(), any::<(u64, i64, u32)>()).prop_map(|(path, numbers)| {
                let (bytes, modified_seconds, modified_nanos) = numbers;
                Record::Input { path, bytes, modified_seconds, modified_nanos }
            }),
            (any::<String>(), any::<(u32, u32, u64, u32, u64, u64)>()).prop_map(
                |(worker, (task, attempt, bytes, crc32, words, distinct_words))| Record::Reduce {
                    task,
                    attempt,
                    worker,
                    bytes,
                    crc32,
                    words,
                    distinct_words
                }
            ),
            any::<String>().prop_map(|outcome| Record::End { outcome }),
        ]
    }

    /// Of few bytes, so that two of them are sometimes the same or nearly so.
    fn path() -> impl Strategy<Value = PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let byte = prop::sample::select(b"\\x5c\xff\xc3\xa9".as_slice());
        prop::collection::vec(byte, 0..6)
            .prop_map(|bytes| std::ffi::OsString::from_vec(bytes).into())
    }

    /// Cut the journal at every byte: the whole lines in front are read, the torn one is left out.
    #[test]
    fn torn_last_line_is_left_out() {
        let mut lines = Vec::new();
        write_record(&mut lines, &begin(1));
        let first = lines.len();
        write_record(&mut lines, &map(0));

        for length in 0..lines.len() {
            let expected = if length < first { (vec![], 0) } else { (vec![begin(1)], first) };
            let (records, whole_bytes) = (expected.0, expected.1 as u64);
            let history = Ok(History { records, whole_bytes });
            assert_eq!(parse(&lines[..length]), history, "{length} bytes");
        }
        let whole_bytes = lines.len() as u64;
        assert_eq!(parse(&lines), Ok(History { records: vec![begin(1), map(0)], whole_bytes }));
    }

    /// Flip every bit of the first of two lines: its number is told, and nothing is read as
    /// something else.
    #[test]
    fn damaged_line_in_the_middle_is_told() {
        let mut lines = Vec::new();
        write_record(&mut lines, &begin(1));
        let first = lines.len();
        write_record(&mut lines, &map(0));

        for index in 0..first - 1 {
            for bit in 0..8 {
                let mut damaged = lines.clone();
                damaged[index] ^= 1 << bit;
                // The case of a hexadecimal digit of the checksum is a bit, too.
                assert_eq!(parse(&damaged), Err(1), "byte {index}, bit {bit}");
            }
        }
    }
}
