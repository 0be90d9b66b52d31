//! One registration with a driver: how it begins, what it holds, and why it ends.

use std::sync::Arc;

use rpc::Client;
use rpc::message::{Caller, Register, RegisterAnswer, Registered};

use crate::backoff::Backoff;
use crate::config::{Config, WorkerError, is_below};
use crate::driver_timeout::DriverTimeout;
use crate::format;
use crate::job::Job;
use crate::notice::Notice;
use crate::progress::CurrentAttempt;

/// A registration that the driver has accepted.
pub(crate) struct Registration {
    pub(crate) registered: Registered,
    /// Sent with every call.
    pub(crate) caller: Caller,
    pub(crate) current: CurrentAttempt,
    /// Whether an attempt is under way that is not reported yet.
    pub(crate) is_executing: bool,
    /// `None` before the first task.
    pub(crate) job: Option<Arc<Job>>,
}

/// Why a registration is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RegistrationEnd {
    /// The driver does not know this worker, or no longer.
    Forgotten,
    /// The job is over.
    JobOver,
    /// The user asked the worker to stop.
    Stopped,
}

impl Registration {
    fn new(registered: Registered) -> Self {
        let caller = Caller { session: registered.session.clone(), worker: registered.worker };
        Self {
            registered,
            caller,
            current: CurrentAttempt::default(),
            is_executing: false,
            job: None,
        }
    }
}

/// Registers this worker, and tries again until a driver answers. `None`: the job is over.
pub(crate) async fn register(
    client: &mut Client,
    instance: [u8; 16],
    config: &Config,
    driver_timeout: &DriverTimeout,
    mut backoff: Backoff,
) -> Result<Option<Registration>, WorkerError> {
    let register = Register {
        protocol: rpc::PROTOCOL,
        build: rpc::BUILD.to_owned(),
        instance,
        name: config.name.clone(),
        roots: config.roots.clone(),
        abilities: format::abilities().collect(),
    };
    let answer = loop {
        match client.register(&register).await {
            Ok(answer) => break answer,
            Err(error) => driver_timeout.unanswered(&error)?,
        }
        backoff.wait().await;
    };
    driver_timeout.answered();
    let outside_roots =
        |folders| Err(WorkerError::OutsideRoots { folders, roots: config.roots.clone() });
    match answer {
        RegisterAnswer::Exit => Ok(None),
        RegisterAnswer::OutsideRoots { folder, more } => {
            outside_roots([vec![folder], more].concat())
        }
        // A driver that ignores the worker's roots is refused here.
        RegisterAnswer::Registered(registered) if !is_below(&config.roots, &registered.files) => {
            outside_roots(vec![registered.files])
        }
        RegisterAnswer::Registered(registered) => {
            let worker = registered.number;
            let driver = match client.connected_to() {
                Some(driver) => driver.to_string(),
                None => config.driver.to_string(),
            };
            (config.notify)(Notice::Registered { driver, worker });
            Ok(Some(Registration::new(registered)))
        }
        RegisterAnswer::VersionMismatch { protocol, build } => {
            Err(WorkerError::VersionMismatch { theirs: build, their_protocol: protocol })
        }
    }
}
