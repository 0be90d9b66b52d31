//! Looks for the end of a job in its journal while the driver is silent.
//!
//! A driver answers for a moment after the job, and cannot know whether an answer has arrived: a
//! connection may break with it, and a worker may be stopped (SIGSTOP) for longer than that moment.
//! Without this, such a worker would wait for its whole timeout and report an error, although the
//! job is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rpc::message::{Registered, Session};

use crate::driver_timeout::DriverTimeout;
use crate::machine::{self, Machine, RunBlocking};

/// Whether the journal in a results folder has the end of the job that a session belongs to. May
/// wait for the disk. A `false` costs only time: the worker waits for the driver.
pub type HasEnded = Arc<dyn Fn(&Path, &Session) -> bool + Send + Sync>;

/// The job of one registration.
#[derive(Clone)]
pub(crate) struct JobEnd {
    driver_timeout: DriverTimeout,
    has_ended: HasEnded,
    run_blocking: RunBlocking,
    files: PathBuf,
    session: Session,
}

impl JobEnd {
    /// `None` on a machine without journals.
    pub(crate) fn new(
        machine: &Machine,
        driver_timeout: &DriverTimeout,
        registered: &Registered,
    ) -> Option<Self> {
        Some(Self {
            driver_timeout: driver_timeout.clone(),
            has_ended: Arc::clone(machine.has_ended.as_ref()?),
            run_blocking: Arc::clone(&machine.run_blocking),
            files: registered.files.clone(),
            session: registered.session.clone(),
        })
    }

    /// Ready when the driver is silent and the journal has the end of the job.
    pub(crate) async fn recorded(&self) {
        loop {
            self.driver_timeout.silent().await;
            let (has_ended, files) = (Arc::clone(&self.has_ended), self.files.clone());
            let session = self.session.clone();
            let look = move || has_ended(&files, &session);
            if machine::run_blocking(&self.run_blocking, look).await {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Ready when the end of `job` is recorded; never without one.
pub(crate) async fn recorded(job: Option<&JobEnd>) {
    match job {
        Some(job) => job.recorded().await,
        None => std::future::pending().await,
    }
}

/// Chosen by eye: a look costs a few system calls, and its result is wanted within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
