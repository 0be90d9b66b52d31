//! Tells the driver that the worker is alive, and hears what it wants.

use std::time::Duration;

use rpc::Client;
use rpc::message::{Caller, Order};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::WorkerError;
use crate::notice::{Notice, Notify};
use crate::patience::Patience;
use crate::progress::Current;
use crate::worker::{Parting, describe};

/// Beats until the driver says that this registration is over, or falls silent for too long.
pub(crate) async fn beat(
    mut client: Client,
    caller: &Caller,
    every: Duration,
    current: &Current,
    patience: &Patience,
    notify: &Notify,
) -> Result<Parting, WorkerError> {
    let mut ticks = interval(every);
    // After a pause of this process one heartbeat tells as much as ten.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let progress = current.get();
        let running = progress.as_ref().map(|progress| progress.running());
        match client.heartbeat(caller, running).await {
            Ok(order) => {
                patience.heard();
                match order {
                    Order::Abandon => {
                        if let Some(progress) = progress.filter(|progress| !progress.is_abandoned())
                        {
                            notify(Notice::Abandoned { attempt: describe(progress.attempt()) });
                            progress.abandon();
                        }
                    }
                    Order::Continue => {}
                    Order::Exit => return Ok(Parting::JobOver),
                    Order::Register => return Ok(Parting::Forgotten),
                }
            }
            Err(error) => patience.silence(&error)?,
        }
    }
}
