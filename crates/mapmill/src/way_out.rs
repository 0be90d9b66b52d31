//! What a user can do about an error of a library, in a few words behind its sentence.
//!
//! Libraries return the case and name the thing; only here do flags and commands have names.

use driver::StartError;
use journal::{HistoryError, JournalError, VerifyError};

pub(crate) fn of_start(error: &StartError) -> Option<&'static str> {
    if let StartError::Journal(error) = error { of_journal(error) } else { None }
}

pub(crate) fn of_history(error: &HistoryError) -> Option<&'static str> {
    match error {
        HistoryError::Journal(error) => of_journal(error),
        HistoryError::NoJob { .. } => Some(NAME_FILES),
    }
}

pub(crate) fn of_verify(error: &VerifyError) -> Option<&'static str> {
    match error {
        VerifyError::Files { .. } => None,
        VerifyError::Journal(error) => of_journal(error),
        VerifyError::NoJob { .. } => Some(NAME_FILES),
        VerifyError::NotDone { .. } => Some("start it again with the same arguments"),
    }
}

fn of_journal(error: &JournalError) -> Option<&'static str> {
    match error {
        JournalError::Damaged { .. } => {
            Some("move the folder away, or start the job over with --fresh")
        }
        JournalError::Closed { .. } | JournalError::Fenced { .. } | JournalError::Io { .. } => None,
    }
}

const NAME_FILES: &str = "name the folder given to --files";
