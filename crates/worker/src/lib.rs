//! Runs attempts: everything of the worker process but its command line.
//!
//! [`run`] waits for a driver, registers, and executes one attempt after the other until the driver
//! says that the job is over. Two threads, so that neither waits for the other: the caller's
//! thread, with a small runtime, speaks with the driver ([`worker`]) and sends heartbeats
//! ([`heartbeat`]), so that a worker busy counting is never considered dead; a thread of its own
//! does the text work ([`attempt`]), as plain blocking code, and is replaced if it hangs
//! ([`text_thread`]).
//!
//! Deliberately absent: any decision about what counts. A worker stages and reports; it never
//! publishes.

mod assignment;
mod attempt;
mod backoff;
mod budget;
mod config;
mod digest;
mod driver_timeout;
mod failure;
mod findings;
mod format;
mod heartbeat;
mod job;
mod job_end;
mod machine;
mod map;
mod notice;
mod progress;
mod reduce;
mod registration;
#[cfg(feature = "simulation")]
pub mod simulation;
mod tally;
mod text_thread;
mod throttle;
mod worker;

pub use budget::MEMORY_BYTES_MIN;
pub use config::{Config, Patience, RootError, Shutdown, WorkerError, real_roots};
pub use job_end::HasEnded;
pub use notice::{Notice, Notify};

/// Works for one driver until its job is over. `has_ended` reads the job's journal, which this
/// crate does not know.
///
/// # Errors
///
/// When the driver refuses this worker, or does not answer for longer than the configuration
/// allows.
pub fn run(mut config: Config, has_ended: HasEnded) -> Result<(), WorkerError> {
    faults::arm();
    config.memory_bytes = faults::limit("worker::memory", config.memory_bytes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| WorkerError::System { operation: "start a runtime", source })?;
    let worked = runtime.block_on(worker::drive(config, machine::Machine::this(has_ended)));
    // Does not wait for a disk that does not answer: its results are no longer needed.
    runtime.shutdown_background();
    worked
}
