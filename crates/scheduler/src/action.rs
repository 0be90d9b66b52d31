//! The scheduler's actions for its caller, and its answers to workers.
//!
//! All of them print as the transcripts write them (`start m3.a0 on w1`), so that a driver's log of
//! events and actions, pasted into `tests/scenarios`, becomes a test.

use std::fmt;

use crate::attempt::Role;
use crate::id::{AttemptId, WorkerId};
use crate::snapshot::Strikes;

/// Something the caller should do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Delete the staging of `attempt`: it expired, failed, or was abandoned. Comes once for every
    /// attempt that did not win. Its worker may still be writing, or may be dead.
    Discard {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Answer `worker`, which asked for work, that the job is over.
    Exit {
        /// The worker.
        worker: WorkerId,
    },
    /// Check the staging of `attempt`, publish it, and record that; then call
    /// [`handle_published`](crate::Scheduler::handle_published) or
    /// [`handle_publish_failed`](crate::Scheduler::handle_publish_failed). Comes at most once for
    /// an attempt.
    Publish {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Report to people that `worker` has failed or lost so many attempts that it gets no more
    /// tasks while others are alive. Emitted once for each worker.
    SetAside {
        /// The worker.
        worker: WorkerId,
        /// Its attempts that failed or were lost.
        strikes: Strikes,
    },
    /// Answer `worker`, which asked for work, with this attempt. Comes again, for the same attempt,
    /// when the worker asks again without having reported.
    Start {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerId,
        /// Why it is granted.
        role: Role,
    },
}

/// What a heartbeat says about the attempt that its worker runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// The attempt.
    pub attempt: AttemptId,
    /// How far it is, in any unit that grows only while work is done. It starts at 0.
    pub progress: u64,
    /// How many bytes of its task it has read: this shows which attempt is slow.
    pub bytes: u64,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Order {
    /// Stop that attempt: it is no longer live, or never was this worker's.
    Abandon,
    /// Continue with that attempt, or wait.
    Continue,
    /// The job is over.
    Exit,
    /// The worker is not registered, or was forgotten: register first.
    Register,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// It is final: the output is the task's output (or was, until it was lost), or the failure is
    /// counted.
    Accepted,
    /// The output is being published. Answer the worker when that has succeeded or failed.
    Publishing,
    /// Another attempt won, or the lease expired. Nothing changed.
    Stale,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discard { attempt } => write!(f, "discard {attempt}"),
            Self::Exit { worker } => write!(f, "exit {worker}"),
            Self::Publish { attempt } => write!(f, "publish {attempt}"),
            Self::SetAside { worker, strikes } => write!(f, "set aside {worker}: {strikes}"),
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
