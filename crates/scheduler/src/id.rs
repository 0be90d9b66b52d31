//! The names of tasks, attempts and workers.
//!
//! Every late, repeated or foreign message is judged by the ids it carries, so an id is never used
//! twice: attempts are numbered upward per task, and the caller gives each worker process a new id.
//! All ids print as the transcripts write them: `m3`, `m3.a0`, `w1`.

use std::fmt;

/// The two halves of a job.
///
/// Ordered as they run: no reduce task starts before every map task is committed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Input to intermediates.
    Map,
    /// Intermediates to output.
    Reduce,
}

/// One task of the job.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TaskId {
    /// Whether it maps or reduces.
    pub phase: Phase,
    /// Its index within the phase, from 0.
    pub index: u32,
}

/// One execution of a task by one worker. Never used twice in a job.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Which attempt at that task, from 0.
    pub number: u32,
}

/// One worker process. The caller gives every process that registers a new id.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WorkerId(pub u64);

impl TaskId {
    /// Map task `index`.
    #[must_use]
    pub const fn map(index: u32) -> Self {
        Self { phase: Phase::Map, index }
    }

    /// Reduce task `index`.
    #[must_use]
    pub const fn reduce(index: u32) -> Self {
        Self { phase: Phase::Reduce, index }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Reduce => "reduce",
        })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Phase::Map => write!(f, "m{}", self.index),
            Phase::Reduce => write!(f, "r{}", self.index),
        }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.a{}", self.task, self.number)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}
