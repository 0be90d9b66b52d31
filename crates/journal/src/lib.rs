//! Remembers: the records of a job, written and read back. A task is committed when, and only when,
//! its record is here.
//!
//! One record a line: `{"crc32":"9f0c21aa","record":{...}}`, where the checksum is taken over the
//! record's own bytes as they stand in the line. Records are appended and synced before anyone is
//! told of them, and the folder is synced when the journal is created, so that neither a crash nor
//! a power failure takes back what was said.
//!
//! Between the commits stands the story of every attempt: [`Record::Started`], [`Record::Ended`]
//! and [`Record::Recalled`]. These are *notes*: nobody is told anything because of them, so they
//! are appended without a sync of their own, the next commit's sync is theirs as well, and where
//! there is no room for one the job goes on without it. A power failure may take back the latest.
//! Whatever is said "since the life began" counts from the last [`Record::Begin`] or
//! [`Record::Resume`] before it.
//!
//! A new job begins with a new journal, put in place of the old one in one step. A job that was cut
//! off goes on in a copy of the journal it has, put in place in the same way. Either way the epoch
//! of this life is above all earlier ones, and on disk before the first task is handed out: no two
//! attempts in a folder's history share a name.

mod commits;
mod disk;
mod ending;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod history;
mod log;
mod plan;
mod record;
mod validate;
mod verify;

pub use commits::{MapCommit, Recovered, ReduceCommit, commits, last_epoch};
pub use disk::{Disk, DiskFault, DiskFile, ThisMachine};
pub use ending::{AttemptStory, Death, Ending, FailureKind, Fate};
pub use history::{History, HistoryError, Life, State, history};
pub use log::{Journal, JournalError, Recorded, read, read_job, read_job_on};
pub use plan::{Plan, PlannedSplit};
pub use record::{CANCELLED, DONE, FAILED, Phase, Record, Span, TaskId, escape};
pub use validate::validate;
pub use verify::{Finding, Verified, VerifyError, verify};
