//! Remembers: the records of a job, written and read back.
//!
//! A task is committed when, and only when, its [`Record`] is durable in the [`Log`]. Records are
//! appended before any process is informed of a commit, so that neither a crash nor a power failure
//! invalidates an answer.
//!
//! Between the commits are *notes* on every attempt: [`Record::Started`], [`Record::Ended`] and
//! [`Record::Recalled`]. No answer depends on them, so they have no sync of their own: the next
//! commit's sync covers them, a power failure may lose the latest, and on a full disk they are left
//! out.
//!
//! An *epoch* is one driver's run of the job; it begins with [`Record::Begin`] or
//! [`Record::Resume`]. Its number is above all earlier ones, and durable before the first task is
//! assigned: no two attempts in the history of a folder share a name. Times count from the
//! beginning of their epoch.
//!
//! What a job is, and what happened to it, can be read without a driver: its [`Plan`], its
//! [`Commits`], its [`History`], whether its files are as recorded ([`verify()`]), and what it has
//! counted ([`Counts`]).
//!
//! Deliberately absent: decisions. The scheduler and the wire have types of their own for tasks,
//! attempts and failures; the driver converts them.

mod commits;
mod contact;
mod counts;
#[cfg(any(fuzzing, test))]
pub mod counts_fuzz;
mod disk;
mod end;
mod ending;
mod expansion;
mod file_log;
mod findings;
mod format;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod history;
mod lines;
mod log;
mod plan;
mod record;
#[cfg(test)]
mod samples;
mod validate;
mod verify;

pub use commits::{Commits, MapCommit, ReduceCommit, Winner};
pub use store::duration;

pub use contact::{Announcement, Contact, ContactError, announce, contact, holds_job, is_driven};
pub use counts::{ByWord, Counts, CountsError};
pub use disk::{Disk, DiskFault, DiskFile, ThisMachine};
pub use end::has_ended;
pub use ending::{Death, Ending, FailureKind, Users};
pub use expansion::Expansion;
pub use file_log::FileLog;
pub use findings::{BadRecord, Findings, JobFindings};
pub use format::{Column, Format, Records};
pub use history::{AttemptHistory, Epoch, Fate, History, HistoryError, SetAside, State, history};
pub use lines::{encode, parse};
pub use log::{JournalError, Log, Opening, Recorded};
pub use plan::{Plan, PlannedInput, PlannedSplit};
pub use record::{
    BucketMade, Outcome, Phase, Record, Span, Strikes, TaskId, WordRule, escape, unescape,
};
pub use validate::validate;
pub use verify::{Finding, Verified, VerifyError, is_done, verify};

/// The folder with the outputs of the job in `files`.
pub fn outputs(files: &std::path::Path) -> std::path::PathBuf {
    files.join(store::Folder::Output.as_str())
}
