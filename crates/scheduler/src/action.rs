//! What the scheduler wants done, and what it answers.
//!
//! All of it prints in the words of the transcripts (`start m3.a0 on w1`), so that a driver's log
//! of events and actions can be pasted into `tests/scenarios` and becomes a test.

use std::fmt;

use crate::attempt::Role;
use crate::id::{AttemptId, WorkerId};

/// Something the caller should do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Throw away what `attempt` staged: it expired, failed, or was abandoned. Comes once for every
    /// attempt that did not win. Its worker may still be writing, and may be gone.
    Discard {
        /// Whose staging.
        attempt: AttemptId,
    },
    /// Answer `worker`, which asked for work, that the job is over.
    Exit {
        /// Whom to tell.
        worker: WorkerId,
    },
    /// Check what `attempt` staged, publish it, and record that; then call
    /// [`handle_published`](crate::Scheduler::handle_published) or
    /// [`handle_publish_failed`](crate::Scheduler::handle_publish_failed). Comes once an attempt.
    Publish {
        /// Whose staging.
        attempt: AttemptId,
    },
    /// Answer `worker`, which asked for work, with this attempt. Comes again, for the same attempt,
    /// when the worker asks again without having reported.
    Start {
        /// What to do.
        attempt: AttemptId,
        /// Who does it.
        worker: WorkerId,
        /// Why it is granted.
        role: Role,
    },
}

/// What a heartbeat says about the attempt its worker is busy with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// What it is busy with.
    pub attempt: AttemptId,
    /// How far it is, in any unit that only grows while work is done. It starts at 0.
    pub progress: u64,
    /// How many bytes of its task it has read: by that it is told who is slow.
    pub bytes: u64,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Order {
    /// Stop that attempt: it is not live any more, or never was this worker's.
    Abandon,
    /// Go on.
    Continue,
    /// The job is over.
    Exit,
    /// Nobody here knows you (any more).
    Register,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// It is settled: the output is the task's output (or was, until it was lost), or the failure
    /// is noted.
    Accepted,
    /// The output is being published. Answer the worker when that has gone well or badly.
    Publishing,
    /// Someone else won, or the lease ran out. Nothing changed.
    Stale,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discard { attempt } => write!(f, "discard {attempt}"),
            Self::Exit { worker } => write!(f, "exit {worker}"),
            Self::Publish { attempt } => write!(f, "publish {attempt}"),
            Self::Start { attempt, worker, role: Role::Backup } => {
                write!(f, "start {attempt} on {worker} as backup")
            }
            Self::Start { attempt, worker, role: Role::First } => {
                write!(f, "start {attempt} on {worker}")
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandon => "abandon",
            Self::Continue => "continue",
            Self::Exit => "exit",
            Self::Register => "register",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Publishing => "publishing",
            Self::Stale => "stale",
        })
    }
}
