//! How long to go on asking a driver that does not answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::CallError;
use tokio::time::Instant;

use crate::config::{Config, WorkerError};
use crate::notice::Notice;

/// Shared by everything that calls the driver: an answer to one call is news for all.
#[derive(Clone)]
pub(crate) struct Patience {
    config: Config,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug)]
struct Heard {
    /// The last answer; `None` while there was none ever.
    last: Option<Instant>,
    /// When the next message about silence is due.
    tell: Instant,
}

impl Patience {
    pub(crate) fn new(config: &Config) -> Self {
        let heard = Heard { last: None, tell: Instant::now() + TELL_FIRST };
        Self { config: config.clone(), heard: Arc::new(Mutex::new(heard)) }
    }

    /// The driver answered.
    pub(crate) fn heard(&self) {
        let now = Instant::now();
        self.with(|heard| *heard = Heard { last: Some(now), tell: now + TELL_FIRST });
    }

    /// A call brought no answer: says so now and then, and is an error when it is no use to try
    /// again.
    pub(crate) fn silence(&self, error: &CallError) -> Result<(), WorkerError> {
        let driver = self.config.driver.clone();
        match error {
            CallError::Denied { message } => {
                return Err(WorkerError::Denied { driver, message: message.clone() });
            }
            CallError::Protocol { message } => {
                return Err(WorkerError::Protocol { driver, message: message.clone() });
            }
            CallError::Unreachable { .. } => {}
        }
        let now = Instant::now();
        let (last, due) = self.with(|heard| {
            let due = now >= heard.tell;
            if due {
                heard.tell = now + TELL_AGAIN;
            }
            (heard.last, due)
        });
        let silent = last.map(|last| now - last);
        let left = silent.map(|silent| self.config.driver_timeout.saturating_sub(silent));
        match (silent, left) {
            (Some(silent), Some(Duration::ZERO)) => {
                return Err(WorkerError::DriverLost { driver, silent });
            }
            (_, Some(left)) if due => {
                (self.config.notify)(Notice::DriverSilent {
                    driver,
                    seen: error.to_string(),
                    left,
                });
            }
            (_, None) if due => {
                (self.config.notify)(Notice::Waiting { driver, seen: error.to_string() });
            }
            (_, Some(_) | None) => {}
        }
        Ok(())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        // Nothing can panic while it is held.
        look(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits longer after each failure, and never as long as another worker: a thousand that lost their
/// driver together must not come back together.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    failures: u32,
}

impl BackOff {
    pub(crate) async fn wait(&mut self) {
        let longest = BACK_OFF_FIRST.saturating_mul(1 << self.failures.min(8)).min(BACK_OFF_MAX);
        self.failures += 1;
        // Without random numbers everybody waits the longest: slower, but right.
        let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        tokio::time::sleep(longest.mul_f64(0.5 + share / 2.0)).await;
    }
}

/// Silence is normal for so long: workers may be started first.
const TELL_FIRST: Duration = Duration::from_secs(2);

/// And is told again so often.
const TELL_AGAIN: Duration = Duration::from_secs(10);

const BACK_OFF_FIRST: Duration = Duration::from_millis(20);

/// Short, so that a driver that starts is found at once: a refused connection costs nothing.
const BACK_OFF_MAX: Duration = Duration::from_millis(500);
