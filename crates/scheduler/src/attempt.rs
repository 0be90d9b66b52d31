//! The attempts at one task: on which worker each runs, and how it ended.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

use crate::id::WorkerId;
use crate::time::Time;

/// What became of one attempt. Its number is its position in
/// [`Scheduler::attempts`](crate::Scheduler::attempts).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttemptRecord {
    /// The worker that runs it, or ran it.
    pub worker: WorkerId,
    /// When it was granted.
    pub started: Time,
    /// Why it was granted.
    pub role: Role,
    /// When and how it ended; `None` while it runs or is being published.
    pub ended: Option<(Time, End)>,
    /// Its failure costs its task nothing: another attempt was live.
    pub(crate) is_spared: bool,
}

/// Why an attempt is granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// To race a live attempt at the same task, which is far behind.
    Backup,
    /// To do a task that waits: no other attempt at it is live.
    First,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The job ended before it did.
    Abandoned,
    /// It won: its output is the task's output. A map task may win again later, because its
    /// intermediates were lost; this stays the end of the attempt that won before.
    Committed,
    /// Its worker reported that it failed.
    Failed,
    /// Its worker left in an orderly way. No failure.
    Left,
    /// Its worker fell silent.
    Lost,
    /// It was reported done, but its staged output could not be published.
    Rejected,
    /// An intermediate that it needed was missing or damaged. No failure of its own.
    Starved,
    /// Its worker was heard from, but it made no progress.
    Stuck,
    /// Another attempt of the task was the first to report.
    Superseded {
        /// The number of that attempt.
        by: u32,
    },
    /// Its worker turned out to lack an ability that the task needs. No failure.
    Unable,
    /// Its worker never received it. No failure.
    Undelivered,
    /// Its worker's report of it is a protocol violation.
    Violation,
}

impl AttemptRecord {
    /// Whether it ended in a way that counts against its worker.
    #[must_use]
    pub fn is_strike(&self) -> bool {
        match self.ended {
            Some((_, End::Failed | End::Lost | End::Rejected | End::Stuck | End::Violation)) => {
                true
            }
            Some((
                _,
                End::Abandoned
                | End::Committed
                | End::Left
                | End::Starved
                | End::Superseded { .. }
                | End::Unable
                | End::Undelivered,
            ))
            | None => false,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "abandoned",
            Self::Committed => "committed",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Rejected => "rejected",
            Self::Starved => "starved",
            Self::Stuck => "stuck",
            Self::Superseded { by } => return write!(f, "superseded by a{by}"),
            Self::Unable => "unable",
            Self::Undelivered => "undelivered",
            Self::Violation => "violation",
        })
    }
}

/// The attempts at one task, in order. Most tasks have one, which is kept in place: a list of its
/// own for each of a million tasks would be slower and larger than the tasks.
#[derive(Debug)]
pub(crate) enum Attempts {
    None,
    One(AttemptRecord),
    More(Vec<AttemptRecord>),
}

impl Attempts {
    pub(crate) fn push(&mut self, attempt: AttemptRecord) {
        match self {
            Self::None => *self = Self::One(attempt),
            Self::One(first) => *self = Self::More(vec![*first, attempt]),
            Self::More(attempts) => attempts.push(attempt),
        }
    }
}

impl Deref for Attempts {
    type Target = [AttemptRecord];

    fn deref(&self) -> &[AttemptRecord] {
        match self {
            Self::None => &[],
            Self::One(attempt) => slice::from_ref(attempt),
            Self::More(attempts) => attempts,
        }
    }
}

impl DerefMut for Attempts {
    fn deref_mut(&mut self) -> &mut [AttemptRecord] {
        match self {
            Self::None => &mut [],
            Self::One(attempt) => slice::from_mut(attempt),
            Self::More(attempts) => attempts,
        }
    }
}
