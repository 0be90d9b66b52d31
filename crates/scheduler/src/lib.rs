//! Decides which worker runs which attempt of which task, and when to give up.
//!
//! The decisions of the driver, and nothing else of it. This crate performs no I/O, starts no
//! thread and reads no clock: callers feed it events with the time attached and carry out the
//! actions it returns. The same events always give the same actions, so one test can replay a day
//! of failures in a millisecond, and a journal is all that recovery needs.
//!
//! The type to read first is [`Scheduler`]; the states of a task are drawn in `task.rs`; the
//! transcripts in `tests/scenarios` show what happens when something goes wrong.
//!
//! # The loop you write
//!
//! One owner, no lock. Hand every event to `handle_*`, then carry out the actions until there are
//! none, then wait for the next event or for [`Scheduler::poll_timeout`], whichever comes first:
//!
//! ```
//! use scheduler::{Abilities, Action, Job, Limits, Outcome, Scheduler, Time, Verdict, WorkerId};
//! use std::time::Duration;
//!
//! let job = Job { map_bytes: vec![300, 700], map_needs: Vec::new(), reduce_tasks: 2 };
//! let mut scheduler = Scheduler::new(&job, Limits::default());
//! let now = Time(Duration::from_secs(1)); // since the driver's start
//! let worker = WorkerId(1);
//!
//! scheduler.handle_register(now, worker, Abilities::NONE);
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
//!             // which asks for the next task.
//!             let bucket_bytes: &[u64] = if started.len() <= 2 { &[40, 60] } else { &[] };
//!             scheduler.handle_published(now, attempt, bucket_bytes);
//!             scheduler.handle_idle(now, worker);
//!         }
//!         Action::Discard { attempt } => unreachable!("{attempt} succeeded"),
//!         Action::Exit { worker: waiting } => assert_eq!(waiting, worker),
//!         Action::SetAside { worker, .. } => unreachable!("{worker} failed nothing"),
//!     }
//! }
//!
//! // The larger map task started first, and so did the larger bucket.
//! assert_eq!(started, ["m1.a0", "m0.a0", "r1.a0", "r0.a0"]);
//! assert_eq!(scheduler.outcome(), Some(&Outcome::Done));
//! ```
//!
//! # Two clocks for every attempt
//!
//! * *Dead*: the worker has not been heard from for [`Limits::worker_timeout`]. Every message of
//!   the worker renews this. The worker is forgotten, and its attempt is lost.
//! * *Stuck*: the worker is heard from, but the progress of its attempt has not grown for
//!   [`Limits::task_timeout`]. The attempt has failed; the worker stays.
//!
//! A deadline has passed when `now` has reached it. All passed deadlines expire before an event is
//! handled, so a report at the deadline is late even if no timeout was handled before.
//!
//! # Bad workers
//!
//! One bad worker must not end a healthy job. Each attempt that a worker fails or loses is a
//! *strike*; after [`Limits::worker_failures_max`] strikes it is *set aside* (Spark says excluded,
//! Hadoop blacklisted): it gets no task while a worker in good standing is alive. While another
//! worker could do the task, a worker is not given a task that it has failed or lost, and what it
//! failed or lost counts once towards each bound. And it *rests* after each strike (exponential
//! backoff): for a time that doubles until it commits, while a healthy worker is alive. A worker
//! that is alone gets every task at once, and may end the job.
//!
//! # Abilities
//!
//! A map task may *need* abilities that not every worker has, for example to read a kind of file:
//! [`Job::map_needs`]. Only a worker that has them all gets the task; wherever this page says
//! "another worker" or "a healthy worker", one is meant that could do the task. A worker may
//! find out that it cannot do it all the same ([`Failure::Unable`]): then it lacks these abilities
//! for the rest of the job, which is no strike. [`Scheduler::stranded`] says what no worker can do.
//!
//! # Stragglers
//!
//! A *slow* attempt makes progress, but would hold the job up. When no task waits and a worker is
//! idle, a second attempt, its *backup*, races it; the first to report wins, and the other is
//! superseded. `backup.rs` says which attempt is slow; [`Limits::backups`] is the switch.
//!
//! # Resuming
//!
//! A caller that keeps a journal of what it published, and is started again, says so right after
//! [`Scheduler::new`]: [`Scheduler::restore_map`] and [`Scheduler::restore_reduce`], once for each
//! task with a valid record. Those tasks are committed, and all others start anew. So do attempt
//! numbers: the caller must ensure that no two attempts of a job share a name.
//!
//! # What is absent, on purpose
//!
//! Where data is, what it contains and how it travels; logging (the caller logs events and actions,
//! which print as the transcripts write them); hash maps, whose order is random.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod abilities;
mod action;
mod attempt;
mod backup;
mod deadlines;
mod id;
mod job;
mod pace;
mod pools;
mod progress;
mod scheduler;
mod snapshot;
mod task;
mod tasks;
mod time;
mod waiting;
mod workers;

pub use crate::abilities::Abilities;
pub use crate::action::{Action, Heartbeat, Order, Verdict};
pub use crate::attempt::{AttemptRecord, End, Role};
pub use crate::id::{AttemptId, Phase, TaskId, WorkerId};
pub use crate::job::{Failure, Job, JobFailure, Limits, Outcome, Reason};
pub use crate::scheduler::Scheduler;
pub use crate::snapshot::{AttemptCounts, PhaseCounts, Snapshot, Strikes, WorkerCounts};
pub use crate::time::Time;
