//! Runs the scheduler: everything of the driver process but its command line.
//!
//! [`prepare`] checks a [`Config`] completely before it touches anything, and gives a [`Prepared`]
//! job that listens; [`Prepared::run`] drives it to its end. Inside, one task owns the scheduler
//! and never waits ([`driver`]); a thread of its own carries out what takes time ([`committer`]);
//! gRPC calls are turned into events ([`service`]).
//!
//! Deliberately absent: the text. A driver hands out byte ranges and collects checksums; no word
//! ever passes through.

mod admission;
mod committer;
mod disk;
mod driver;
mod history;
mod ids;
mod job;
pub mod journal;
mod members;
mod plan;
mod recovery;
mod reports;
mod roster;
mod service;
pub mod simulation;
mod spec;
mod start;
mod status;
mod status_client;
mod story;
mod verify;

pub use history::{History, HistoryError, Life, State, history};
pub use job::{JobError, Prepared, Witness};
pub use plan::default_map_tasks;
pub use scheduler::{Limits, Phase, TaskId};
pub use start::{Config, StartError, prepare};
pub use status::{DiskFault, PhaseSnapshot, Snapshot, Summary};
pub use status_client::{StatusClientError, fetch_status};
pub use story::{AttemptStory, Death, Ending, FailureKind, Fate};
pub use verify::{Finding, Verified, VerifyError, verify};
