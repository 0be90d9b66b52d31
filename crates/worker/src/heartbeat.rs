//! Tells the driver that the worker is alive, and carries out the order that the answer brings.

use std::time::Duration;

use rpc::Client;
use rpc::message::{Caller, Order};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::WorkerError;
use crate::driver_timeout::DriverTimeout;
use crate::notice::{Notice, Notify};
use crate::progress::{CurrentAttempt, Progress};
use crate::registration::RegistrationEnd;

/// The heartbeats of one registration.
pub(crate) struct Heartbeat {
    pub(crate) client: Client,
    pub(crate) caller: Caller,
    pub(crate) interval: Duration,
    pub(crate) current: CurrentAttempt,
    pub(crate) driver_timeout: DriverTimeout,
    pub(crate) notify: Notify,
}

impl Heartbeat {
    /// Sends heartbeats until the driver says that this registration is over, or is silent for too
    /// long.
    pub(crate) async fn run(mut self) -> Result<RegistrationEnd, WorkerError> {
        let mut ticks = interval(self.interval);
        // After a pause of this process one heartbeat says as much as ten.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let progress = self.current.get();
            let running = progress.as_ref().map(|progress| progress.running());
            let order = match self.client.heartbeat(&self.caller, running).await {
                Ok(order) => order,
                Err(error) => {
                    self.driver_timeout.unanswered(&error)?;
                    continue;
                }
            };
            self.driver_timeout.answered();
            match order {
                Order::Abandon => self.abandon(progress.as_deref()),
                Order::Continue => {}
                Order::Exit => return Ok(RegistrationEnd::JobOver),
                Order::Register => return Ok(RegistrationEnd::Forgotten),
            }
        }
    }

    fn abandon(&self, progress: Option<&Progress>) {
        if let Some(progress) = progress.filter(|progress| !progress.is_abandoned()) {
            (self.notify)(Notice::Abandoned { attempt: progress.attempt() });
            progress.abandon();
        }
    }
}
