//! What a worker tells the people in front of it.

use std::sync::Arc;
use std::time::Duration;

use rpc::message::Attempt;

/// Something worth a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// The driver told the worker that its attempt is not wanted any more.
    Abandoned {
        /// Which.
        attempt: Attempt,
    },
    /// The driver does not answer.
    DriverSilent {
        /// Its address.
        driver: String,
        /// What was seen last.
        seen: String,
        /// How long the worker will still wait.
        left: Duration,
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
        cause: String,
    },
    /// The driver has given this worker up, as dead, or is not the one it registered with. Whatever
    /// it was doing counts no more.
    Forgotten {
        /// The driver's address.
        driver: String,
    },
    /// The job is over.
    JobOver,
    /// The driver knows this worker now.
    Registered {
        /// Its address.
        driver: String,
        /// The worker's number.
        worker: u64,
    },
    /// No driver answered yet. Workers may be started first, so this is not an error.
    Waiting {
        /// Where a driver is expected.
        driver: String,
        /// What was seen last.
        seen: String,
    },
}

/// Takes notices. Called from several threads; must not take long.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;
