//! What a worker tells its user.

use std::sync::Arc;
use std::time::Duration;

use rpc::OtherServer;
use rpc::message::{Attempt, Failure};

/// An event that the user should see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// The driver no longer needs an attempt.
    Abandoned {
        /// Which.
        attempt: Attempt,
    },
    /// The driver does not answer.
    DriverSilent {
        /// Its address.
        driver: String,
        /// Why the last call failed.
        error: String,
        /// How long the worker continues to wait.
        left: Duration,
    },
    /// The worker ends, after it was registered at least once.
    Ended {
        /// Map tasks whose success was reported, and not refused.
        map_tasks: u64,
        /// Reduce tasks, likewise.
        reduce_tasks: u64,
        /// Read by all attempts, whatever their result.
        bytes: u64,
        /// Since the first registration.
        lasted: Duration,
    },
    /// An attempt begins.
    Executing {
        /// Which.
        attempt: Attempt,
    },
    /// An attempt failed.
    Failed {
        /// Which.
        attempt: Attempt,
        /// Why.
        cause: Failure,
    },
    /// The driver considered this worker dead, or was started again. The attempt that the worker
    /// was executing no longer counts.
    Forgotten {
        /// The driver's address.
        driver: String,
    },
    /// The job is over.
    JobOver,
    /// No driver has answered yet, but another server does.
    OtherServer {
        /// Where a driver is expected.
        driver: String,
        /// What is known of it.
        server: OtherServer,
    },
    /// The driver has registered this worker.
    Registered {
        /// Its address.
        driver: String,
        /// The worker's number.
        worker: u64,
    },
    /// The job is over, or its driver is lost, and the worker waits for the next driver.
    Staying {
        /// Where it is expected.
        driver: String,
        /// For how long the driver was silent, if it is lost.
        silent: Option<Duration>,
    },
    /// No driver has answered yet. Workers may be started first, so this is not an error.
    Waiting {
        /// Where a driver is expected.
        driver: String,
        /// Why the last call failed.
        error: String,
    },
}

/// Receives notices. Called from several threads; must return soon.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;
