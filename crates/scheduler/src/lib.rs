//! Decides which worker runs which attempt of which task, and when to give up.
//!
//! This crate is the driver's brain with everything else removed. It performs no I/O, starts no
//! thread and reads no clock: callers feed it events with the time attached and carry out the
//! actions it hands back. The same events give the same actions, always, which is what lets one
//! test replay a day of failures in a millisecond, and a journal be the whole of recovery.
//!
//! The type to read first is [`Scheduler`]; the states of a task are drawn in `task.rs`; what
//! happens when something goes wrong is told by the transcripts in `tests/scenarios`.
//!
//! # The loop you write
//!
//! One owner, no lock. Hand every event to `handle_*`, then carry out the actions until there are
//! none, then wait for the next event or for [`Scheduler::poll_timeout`], whichever comes first:
//!
//! ```
//! use scheduler::{Action, Job, Limits, Outcome, Scheduler, Time, Verdict, WorkerId};
//! use std::time::Duration;
//!
//! let job = Job { map_bytes: vec![300, 700], reduce_tasks: 2 };
//! let mut scheduler = Scheduler::new(&job, Limits::default());
//! let now = Time(Duration::from_secs(1)); // since the driver's start
//! let worker = WorkerId(1);
//!
//! scheduler.handle_register(now, worker);
//! scheduler.handle_idle(now, worker);
//! let mut started = Vec::new();
//! while let Some(action) = scheduler.poll_action() {
//!     match action {
//!         Action::Start { attempt, worker, .. } => {
//!             // Tell the worker; some time later it reports.
//!             started.push(attempt.to_string());
//!             assert_eq!(scheduler.handle_done(now, worker, attempt), Verdict::Publishing);
//!         }
//!         Action::Publish { attempt } => {
//!             // Check the staged files, rename them, write the journal; then answer the worker,
//!             // which goes on to ask for the next task.
//!             let bucket_bytes: &[u64] = if started.len() <= 2 { &[40, 60] } else { &[] };
//!             scheduler.handle_published(now, attempt, bucket_bytes);
//!             scheduler.handle_idle(now, worker);
//!         }
//!         Action::Discard { attempt } => unreachable!("{attempt} did well"),
//!         Action::Exit { worker: told } => assert_eq!(told, worker),
//!     }
//! }
//!
//! // The larger map went first, and so did the larger bucket.
//! assert_eq!(started, ["m1.a0", "m0.a0", "r1.a0", "r0.a0"]);
//! assert_eq!(scheduler.outcome(), Some(&Outcome::Done));
//! ```
//!
//! # Two clocks for every attempt
//!
//! * *Dead*: the worker has not been heard from for [`Limits::worker_timeout`]. Every message of
//!   its own renews this. It is forgotten, and its attempt is lost.
//! * *Stuck*: the worker is heard from, but the progress of its attempt has not grown for
//!   [`Limits::task_timeout`]. The attempt has failed; the worker stays.
//!
//! A deadline has passed when `now` has reached it. Everything due is expired before an event is
//! looked at, so a report at the deadline is late even if nobody had noticed yet.
//!
//! # A race
//!
//! A *slow* attempt gets on, but would hold the job up. When nothing waits and somebody is idle,
//! such an attempt is raced by one more, its *backup*; the first to report wins, the other is
//! superseded. `backup.rs` says who is slow; [`Limits::backups`] is the switch.
//!
//! # A second life
//!
//! A caller that keeps a journal of what it published, and is started again, says so right after
//! [`Scheduler::new`]: [`Scheduler::restore_map`] and [`Scheduler::restore_reduce`], once for each
//! task whose record stands. Those are committed, everything else begins anew, attempt numbers
//! included: that no two attempts of a job share a name is for the caller to see to.
//!
//! # What is absent, on purpose
//!
//! Where data is, what is in it and how it travels; logging (the caller logs events and actions,
//! which print as the transcripts write them); hash maps, whose order is random.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod attempt;
mod backup;
mod deadlines;
mod id;
mod job;
mod pace;
mod progress;
mod scheduler;
mod snapshot;
mod task;
mod tasks;
mod time;
mod workers;

pub use crate::action::{Action, Heartbeat, Order, Verdict};
pub use crate::attempt::{AttemptRecord, End, Role};
pub use crate::id::{AttemptId, Phase, TaskId, WorkerId};
pub use crate::job::{Failure, Job, JobFailure, Limits, Outcome, Reason};
pub use crate::scheduler::Scheduler;
pub use crate::snapshot::{AttemptCounts, PhaseCounts, Snapshot, WorkerCounts};
pub use crate::time::Time;
