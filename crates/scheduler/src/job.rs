//! What a job is, how many failures end it, and its outcome.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::abilities::Abilities;
use crate::id::TaskId;

/// The work to be done, as far as the scheduler needs to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    /// The size of each map task in bytes, one entry a task. At least one; a task may be empty.
    pub map_bytes: Vec<u64>,
    /// What each map task needs of its worker. Map tasks beyond the end of the list need nothing:
    /// it is empty for a job that any worker can do.
    pub map_needs: Vec<Abilities>,
    /// How many reduce tasks there are. At least one. Their sizes come from the map reports.
    pub reduce_tasks: u32,
}

/// Limits that the scheduler enforces. Every wait and every retry has one, with an exception: a
/// worker that leaves in an orderly way, or disconnects before its attempt is delivered, costs the
/// task nothing, however often that happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a worker may be silent before it is considered dead and its task reassigned.
    pub worker_timeout: Duration,
    /// How long an attempt may make no progress before its task is reassigned.
    pub task_timeout: Duration,
    /// Failed attempts of one task that end the job; those of one worker count once while another
    /// could do the task. The intermediates of one map task may be lost as often, counted
    /// separately: the last time ends the job.
    pub failures_max: NonZeroU32,
    /// Attempts of one task lost with their workers, or to protocol violations, that end the job;
    /// those of one worker count once while another could do the task.
    /// Far above `failures_max`: a task that kills its workers must end the job, a fleet that is
    /// being killed must not.
    pub losses_max: NonZeroU32,
    /// Failed or lost attempts, of any tasks, that set a worker aside while others are alive.
    pub worker_failures_max: NonZeroU32,
    /// Whether idle workers race attempts that are far behind: `backup.rs` says which.
    pub backups: bool,
}

/// How the job ended. It never changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The user interrupted it.
    Cancelled,
    /// Every task is committed.
    Done,
    /// One task could not be done, so the job cannot.
    Failed(JobFailure),
}

/// Why the job failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JobFailure {
    /// The task that could not be done, see [`Scheduler::attempts`](crate::Scheduler::attempts).
    pub task: TaskId,
    /// What was wrong with it.
    pub reason: Reason,
}

/// What was wrong with the task that ended the job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// [`Limits::failures_max`] of its attempts failed.
    Failures,
    /// One attempt failed, and no other attempt could succeed.
    Fatal,
    /// [`Limits::losses_max`] of its attempts were lost with their workers.
    Losses,
    /// Its intermediates were lost [`Limits::failures_max`] times.
    Recalls,
}

/// Whether another attempt may succeed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// No: for example, the input is missing. The job fails at once.
    Fatal,
    /// Yes: for example, this worker's disk is full.
    Transient,
    /// Yes, on a worker with the abilities that the task needs, which this one turned out to lack.
    /// Says nothing about the task, and is no strike; if the task needs nothing, it is as
    /// [`Failure::Transient`].
    Unable,
    /// Yes, and it says nothing about the task: the worker's report is a protocol violation. Counts
    /// towards [`Limits::losses_max`], or a few malicious workers would end the job.
    Violation,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            worker_timeout: TIMEOUT,
            task_timeout: TIMEOUT,
            failures_max: FAILURES_MAX,
            losses_max: LOSSES_MAX,
            worker_failures_max: WORKER_FAILURES_MAX,
            backups: true,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Done => f.write_str("done"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
        }
    }
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Failures => write!(f, "{} failed too often", self.task),
            Reason::Fatal => write!(f, "{} cannot succeed", self.task),
            Reason::Losses => write!(f, "{} lost too many workers", self.task),
            Reason::Recalls => write!(f, "the intermediates of {} were lost too often", self.task),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fatal => "fatal",
            Self::Transient => "transient",
            Self::Unable => "unable",
            Self::Violation => "violation",
        })
    }
}

/// By default, a task without progress for this long is reassigned.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The default of Hadoop and Spark for attempts per task.
const FAILURES_MAX: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");

/// Chosen by eye: four times the bound on failures, so that killing workers all day ends no job,
/// and a task that always kills its worker still ends it within minutes.
const LOSSES_MAX: NonZeroU32 = NonZeroU32::new(16).expect("16 is not 0");

/// Below `FAILURES_MAX`, so that one broken worker is set aside before it could end the job.
const WORKER_FAILURES_MAX: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");
