//! Why an attempt did not commit, where the scheduler knows no more than that it failed.

use journal::{DiskFault, Ending, FailureKind, JournalError, Users};
use rpc::message::Failure;
use rpc::text::with_causes;
use store::{Loss, StoreError};

/// What was reported of an attempt, or found when its output was to be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// Nothing was wrong with it; the job ends because of another attempt.
    #[error("no longer needed")]
    Abandoned,
    /// With the bad records of this task, the job has more than it may have.
    #[error("{}", Ending::from(self))]
    BadRecords {
        /// In all map tasks so far.
        found: u64,
        /// The limit.
        max: u64,
        /// The first that the task has found, for people.
        first: Option<String>,
    },
    /// Counting found another number of words than mapping had emitted.
    #[error("{}", Ending::from(self))]
    Conservation {
        /// The bucket.
        bucket: u32,
        /// By all map tasks.
        emitted: u64,
        /// By the reduce task.
        counted: u64,
    },
    /// Publishing worked, but not syncing it: what is on disk is not known, and a second sync may
    /// succeed without the bytes. The job fails.
    #[error("not safe on the disk")]
    NotDurable(#[source] StoreError),
    /// Publishing worked, but not recording it: the job fails.
    #[error("not committed")]
    NotJournaled(#[source] JournalError),
    /// What was staged is not what was reported, or could not be published.
    #[error("not published")]
    NotPublished(#[source] StoreError),
    /// The worker reported a failure.
    #[error(transparent)]
    Reported(Failure),
    /// The report does not fit the task.
    #[error("{}", Ending::Violation)]
    Violation,
}

impl Cause {
    /// Whether the worker staged something other than it reported. Missing files are no violation:
    /// a worker that is told to stop, or has lost its driver, discards what it has just reported.
    /// Nor is a wrong checksum at the right length: all workers may share a disk that loses a bit.
    /// Both are failures, and a worker with three of those gets no more tasks while there is
    /// another.
    pub(crate) fn is_violation(&self) -> bool {
        match self {
            Self::NotPublished(error) => match error {
                StoreError::Lost { loss: Loss::WrongLength { .. }, .. }
                | StoreError::Tampered { .. } => true,
                StoreError::Lost { loss: Loss::Corrupt { .. } | Loss::Missing, .. }
                | StoreError::Begun { .. }
                | StoreError::Full { .. }
                | StoreError::Gone { .. }
                | StoreError::OutsideRoots { .. }
                | StoreError::Refused { .. } => false,
            },
            Self::Abandoned
            | Self::BadRecords { .. }
            | Self::Conservation { .. }
            | Self::NotDurable(_)
            | Self::NotJournaled(_)
            | Self::Reported(_)
            | Self::Violation => false,
        }
    }

    /// What was wrong with the disk, if it was that.
    pub(crate) fn disk(&self) -> Option<DiskFault> {
        match self {
            Self::NotDurable(StoreError::Full { .. })
            | Self::NotPublished(StoreError::Full { .. })
            | Self::Reported(Failure::DiskFull { .. }) => Some(DiskFault::Full),
            Self::NotDurable(_) => Some(DiskFault::Refused),
            Self::NotJournaled(error) => error.disk(),
            Self::Abandoned
            | Self::BadRecords { .. }
            | Self::Conservation { .. }
            | Self::NotPublished(_)
            | Self::Reported(_)
            | Self::Violation => None,
        }
    }

    /// Whether another attempt can succeed.
    pub(crate) fn severity(&self) -> scheduler::Failure {
        match self {
            Self::NotPublished(_) if self.is_violation() => scheduler::Failure::Violation,
            // The bytes of the plan are gone, or no worker can read them: whatever is counted now
            // would be another job.
            Self::Reported(
                Failure::InputChanged { .. }
                | Failure::InputDamaged { .. }
                | Failure::InputMissing { .. },
            )
            | Self::BadRecords { .. }
            | Self::Conservation { .. }
            | Self::NotDurable(_)
            | Self::NotJournaled(_) => scheduler::Failure::Fatal,
            Self::Reported(Failure::FormatUnknown { .. }) => scheduler::Failure::Unable,
            // Another worker, on another machine, may not meet it.
            Self::Reported(_) | Self::Abandoned | Self::NotPublished(_) => {
                scheduler::Failure::Transient
            }
            Self::Violation => scheduler::Failure::Violation,
        }
    }
}

impl From<&Cause> for Ending {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Abandoned => Self::Abandoned,
            Cause::BadRecords { found, max, first } => {
                Self::BadRecords { found: *found, max: *max, first: first.clone() }
            }
            &Cause::Conservation { bucket, emitted, counted } => {
                Self::Conservation { bucket, emitted, counted }
            }
            Cause::NotDurable(_) | Cause::NotJournaled(_) => {
                Self::NotCommitted { disk: cause.disk(), sentence: with_causes(cause) }
            }
            Cause::NotPublished(_) => {
                Self::Rejected { disk: cause.disk(), sentence: with_causes(cause) }
            }
            Cause::Reported(failure) => failed(failure),
            Cause::Violation => Self::Violation,
        }
    }
}

fn failed(failure: &Failure) -> Ending {
    let (name, path) = failure.about();
    let path = path.map(journal::escape);
    let users = failure.users().map(|users| Users { worker: users.worker, owner: users.owner });
    Ending::Failed { failure: FailureKind::from(name), path, users, sentence: failure.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_recorded_as_one() {
        let detail = "No space left on device (os error 28)".to_owned();
        let failure = Failure::DiskFull { path: "/data\\a".into(), os_error: 28, detail };
        let cause = Cause::Reported(failure);
        assert_eq!(cause.disk(), Some(DiskFault::Full));
        let expected = Ending::Failed {
            failure: FailureKind::DiskFull,
            path: Some("/data\\\\a".to_owned()),
            users: None,
            sentence: "no space for /data\\a: No space left on device (os error 28)".to_owned(),
        };
        assert_eq!(Ending::from(&cause), expected);
    }
}
