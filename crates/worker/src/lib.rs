//! Runs attempts: everything of the worker process but its command line.
//!
//! [`run`] waits for a driver, registers, and executes one attempt after the other until the driver
//! says that the job is over. Two threads, so that neither keeps the other waiting: the caller's
//! thread does the text work ([`attempt`]), as plain blocking code; a thread of its own, with a
//! small runtime, speaks with the driver ([`worker`]) and sends heartbeats ([`heartbeat`]), so that
//! a worker busy counting is never taken for dead.
//!
//! Deliberately absent: any decision about what counts. A worker stages and reports; it never
//! publishes.

mod attempt;
mod config;
mod desk;
mod faults;
mod heartbeat;
mod map;
mod notice;
mod pace;
mod patience;
mod progress;
mod reduce;
mod worker;

pub use config::{Config, RootError, Stop, WorkerError, real_roots};
pub use notice::{Notice, Notify};
pub use rpc::{AddressError, Token, TokenError};

use std::thread;

/// Works for one driver until its job is over.
///
/// # Errors
///
/// When the driver refuses this worker, or falls silent for longer than the configuration allows
/// after it had spoken.
pub fn run(config: Config) -> Result<(), WorkerError> {
    faults::arm();
    let (desk, work) = desk::desk();
    let speaker = thread::Builder::new()
        .name("rpc".to_owned())
        .spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| WorkerError::System { operation: "start a runtime", source })?
                .block_on(worker::drive(config, desk))
        })
        .map_err(|source| WorkerError::System { operation: "start a thread", source })?;
    work.execute_all();
    speaker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
