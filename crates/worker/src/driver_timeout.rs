//! How long a worker keeps calling a driver that does not answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::CallError;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{Config, WorkerError};
use crate::notice::Notice;

/// Shared by everything that calls the driver: an answer to one call counts for all.
#[derive(Clone)]
pub(crate) struct DriverTimeout {
    config: Config,
    contact: Arc<Mutex<Contact>>,
    /// Notified when a driver that has answered falls silent.
    fell_silent: Arc<Notify>,
}

#[derive(Debug)]
struct Contact {
    /// Whether the driver has ever answered.
    ever: bool,
    /// Begins with the first unanswered call after the last answer, not with that answer: if this
    /// process was stopped meanwhile (SIGSTOP, a frozen machine), the driver was not silent.
    silence: Option<Silence>,
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    /// When the next notice about it is due, and the time between two of them.
    notify: Instant,
    notify_every: Duration,
}

impl Silence {
    fn new() -> Self {
        let since = Instant::now();
        Self { since, notify: since + NOTIFY_AFTER, notify_every: NOTIFY_EVERY }
    }

    /// Before the driver of the next job: it may be started a day later.
    fn between_jobs() -> Self {
        let since = Instant::now();
        Self { since, notify: since + NOTIFY_BETWEEN_JOBS, notify_every: NOTIFY_BETWEEN_JOBS }
    }
}

impl DriverTimeout {
    pub(crate) fn new(config: &Config) -> Self {
        let contact = Contact { ever: false, silence: Some(Silence::new()) };
        let fell_silent = Arc::default();
        Self { config: config.clone(), contact: Arc::new(Mutex::new(contact)), fell_silent }
    }

    /// The driver answered.
    pub(crate) fn answered(&self) {
        self.with(|contact| *contact = Contact { ever: true, silence: None });
    }

    /// The job is over, and the worker waits for the first answer of another driver.
    pub(crate) fn restart(&self) {
        let silence = Some(Silence::between_jobs());
        self.with(|contact| *contact = Contact { ever: false, silence });
    }

    /// A call was not answered. Notifies the user from time to time.
    ///
    /// # Errors
    ///
    /// When another call cannot help, or the driver has been silent for too long.
    pub(crate) fn unanswered(&self, error: &CallError) -> Result<(), WorkerError> {
        let driver = self.config.driver.to_string();
        match error {
            CallError::Denied(denial) => {
                return Err(WorkerError::Denied { driver, source: denial.clone() });
            }
            CallError::Protocol { message } => {
                return Err(WorkerError::Protocol { driver, message: message.clone() });
            }
            CallError::OtherServer(_) | CallError::Unreachable { .. } => {}
        }
        let (silent, due) = self.with(|contact| {
            let silence = contact.silence.get_or_insert_with(Silence::new);
            let now = Instant::now();
            let due = now >= silence.notify;
            if due {
                silence.notify = now + silence.notify_every;
            }
            (contact.ever.then_some(now - silence.since), due)
        });
        if silent.is_some() {
            self.fell_silent.notify_one();
        }
        let left = silent.map(|silent| self.config.patience.later.saturating_sub(silent));
        match (silent, left) {
            (Some(silent), Some(Duration::ZERO)) => {
                return Err(WorkerError::DriverLost { driver, silent });
            }
            (_, Some(left)) if due => {
                (self.config.notify)(Notice::DriverSilent {
                    driver,
                    error: error.to_string(),
                    left,
                });
            }
            (_, None) if due => {
                let notice = if let CallError::OtherServer(server) = error {
                    Notice::OtherServer { driver, server: *server }
                } else {
                    Notice::Waiting { driver, error: error.to_string() }
                };
                (self.config.notify)(notice);
            }
            (_, Some(_) | None) => {}
        }
        Ok(())
    }

    /// Ready while a driver that has answered before leaves calls unanswered.
    pub(crate) async fn silent(&self) {
        while !self.with(|contact| contact.ever && contact.silence.is_some()) {
            self.fell_silent.notified().await;
        }
    }

    /// Ready when no driver has answered in the time allowed for its first answer.
    pub(crate) async fn first_answer_overdue(&self) -> WorkerError {
        let Some(waited) = self.config.patience.first else { return std::future::pending().await };
        tokio::time::sleep(waited).await;
        if self.with(|contact| contact.ever) {
            return std::future::pending().await;
        }
        WorkerError::NoDriver { driver: self.config.driver.to_string(), waited }
    }

    fn with<T>(&self, update: impl FnOnce(&mut Contact) -> T) -> T {
        // Nothing can panic while it is held.
        update(&mut self.contact.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// So much silence is normal: workers may be started first.
const NOTIFY_AFTER: Duration = Duration::from_secs(2);

const NOTIFY_EVERY: Duration = Duration::from_secs(10);

const NOTIFY_BETWEEN_JOBS: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use rpc::{Denial, OtherServer};

    use super::*;
    use crate::config::{Patience, Shutdown};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn worker_waits_for_its_first_driver_as_long_as_it_takes() {
        let (timeout, notices) = driver_timeout();
        for _ in 0..100 {
            timeout.unanswered(&unreachable()).unwrap();
            tokio::time::advance(SECOND).await;
        }

        // After 2 s, and every 10 s.
        assert_eq!(notices.try_iter().count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn worker_waits_for_its_first_driver_as_long_as_its_user_allows() {
        let (timeout, _) = with_first(Some(60 * SECOND));
        let began = Instant::now();

        let overdue = timeout.first_answer_overdue().await;

        assert_eq!(began.elapsed(), 60 * SECOND);
        let expected = "no driver has answered at host:1 for 1 min; giving up";
        assert_eq!(overdue.to_string(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn first_answer_ends_the_wait_for_a_driver() {
        let (timeout, _) = with_first(Some(60 * SECOND));
        timeout.answered();

        let overdue = tokio::time::timeout(3600 * SECOND, timeout.first_answer_overdue());

        assert!(overdue.await.is_err(), "the driver has answered");
    }

    /// A driver may be started there later.
    #[tokio::test(start_paused = true)]
    async fn worker_waits_where_another_server_answers() {
        let (timeout, notices) = driver_timeout();
        let other = CallError::OtherServer(OtherServer::Http1);
        for _ in 0..20 {
            timeout.unanswered(&other).unwrap();
            tokio::time::advance(SECOND).await;
        }

        let driver = "host:1".to_owned();
        let expected = Notice::OtherServer { driver, server: OtherServer::Http1 };
        assert_eq!(notices.try_iter().collect::<Vec<_>>(), [expected.clone(), expected]);
    }

    #[tokio::test(start_paused = true)]
    async fn driver_that_is_silent_for_the_timeout_is_lost() {
        let (timeout, notices) = driver_timeout();
        timeout.answered();
        for _ in 0..30 {
            timeout.unanswered(&unreachable()).unwrap();
            tokio::time::advance(SECOND).await;
        }
        let left = |notice| {
            let Notice::DriverSilent { left, .. } = notice else { panic!("{notice:?}") };
            left.as_secs()
        };
        assert_eq!(notices.try_iter().map(left).collect::<Vec<_>>(), [28, 18, 8]);

        let lost = timeout.unanswered(&unreachable()).unwrap_err();
        let expected = "the driver at host:1 has not answered for 30 s; giving up";
        assert_eq!(lost.to_string(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_ends_the_silence() {
        let (timeout, notices) = driver_timeout();
        timeout.answered();
        for _ in 0..5 {
            timeout.unanswered(&unreachable()).unwrap();
            tokio::time::advance(29 * SECOND).await;
            timeout.unanswered(&unreachable()).unwrap();
            timeout.answered();
        }
        assert_eq!(notices.try_iter().count(), 5);
    }

    /// SIGSTOP, or a frozen machine. The connection is broken then, as the worker has not answered
    /// the driver's pings; but the driver was not silent.
    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_worker_was_stopped_is_not_silence_of_the_driver() {
        let (timeout, notices) = driver_timeout();
        timeout.answered();
        tokio::time::advance(3600 * SECOND).await;

        timeout.unanswered(&unreachable()).unwrap();

        assert_eq!(notices.try_iter().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_calls_are_not_repeated() {
        let (timeout, _) = driver_timeout();
        let denied = CallError::Denied(Denial::TlsRequired);
        assert!(matches!(timeout.unanswered(&denied), Err(WorkerError::Denied { .. })));
        let breach = CallError::Protocol { message: "what".to_owned() };
        assert!(matches!(timeout.unanswered(&breach), Err(WorkerError::Protocol { .. })));
    }

    fn unreachable() -> CallError {
        CallError::Unreachable { message: "connection refused".to_owned() }
    }

    fn driver_timeout() -> (DriverTimeout, std::sync::mpsc::Receiver<Notice>) {
        with_first(None)
    }

    fn with_first(first: Option<Duration>) -> (DriverTimeout, std::sync::mpsc::Receiver<Notice>) {
        let (sender, notices) = std::sync::mpsc::channel();
        let config = Config {
            driver: "host:1".into(),
            roots: Vec::new(),
            name: "me".to_owned(),
            instance: None,
            patience: Patience { first, later: 30 * SECOND, stays: false },
            credentials: rpc::Credentials::default(),
            throttle: None,
            memory_bytes: 256 << 20,
            shutdown: Shutdown::default(),
            notify: Arc::new(move |notice| {
                // Not every test looks at them.
                let _ = sender.send(notice);
            }),
        };
        (DriverTimeout::new(&config), notices)
    }
}
