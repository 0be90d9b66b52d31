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
mod cause;
mod claim;
mod clean;
mod committer;
mod driver;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod ids;
mod job;
mod members;
mod plan;
mod progress;
mod recovery;
mod reports;
mod roster;
mod service;
#[cfg(feature = "simulation")]
pub mod simulation;
mod spec;
mod start;
mod status;
mod status_client;

pub use claim::{ClaimLost, OnConflict, Waiting};
pub use clean::{CleanError, Cleaned, clean};
pub use inputs::{Choice, Column, Encoding, Field, Kind, NotText};
pub use job::{EarlyEnd, JobError, Prepared, Witness};
pub use journal::Outcome;
pub use plan::default_map_tasks;
pub use recovery::{Difference, InputChange};
pub use scheduler::{Limits, Phase, TaskId};
pub use start::{Config, Differences, Listen, Reading, StartError, StoodBy, prepare, stand_by};
pub use status::{Backups, PhaseSnapshot, Removing, Resumed, Snapshot, Summary};
pub use status_client::{StatusClientError, fetch_status};
pub use store::{Arguments, Filter, Holder, LeftOut, ListingNotes, Repeated, host_name};
