//! The conversation with the driver: register, ask for a task, have it executed, report, until the
//! job is over.
//!
//! ```text
//! (Register (NextTask (execute Report)*)*)*     and beside it, after each Register: Heartbeat*
//! ```
//!
//! The answer to a report may bring the next task, which saves asking for it.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rpc::message::{Attempt, Outcome, Task, TaskAnswer, Verdict, WordRule, WordRules};
use rpc::{CallError, Client};
use store::Roots;

use crate::backoff::Backoff;
use crate::config::{Config, WorkerError};
use crate::driver_timeout::DriverTimeout;
use crate::failure::Interrupted;
use crate::heartbeat::Heartbeat;
use crate::job::Job;
use crate::job_end::{self, JobEnd};
use crate::machine::{self, Machine};
use crate::notice::Notice;
use crate::progress::Progress;
use crate::registration::{Registration, RegistrationEnd, register};
use crate::tally::Tally;
use crate::text_thread::TextThread;

/// Works for a driver until its job is over.
pub(crate) async fn drive(config: Config, machine: Machine) -> Result<(), WorkerError> {
    let text_thread = TextThread::new(&machine);
    let mut worker = Worker::new(config, machine)?;
    let ended = drive_all(&mut worker, text_thread).await;
    if let Some(notice) = worker.tally.notice() {
        (worker.config.notify)(notice);
    }
    ended
}

/// One job, or one after the other.
async fn drive_all(worker: &mut Worker, mut text_thread: TextThread) -> Result<(), WorkerError> {
    loop {
        let ended = drive_job(worker, &mut text_thread).await;
        let silent = match ended {
            Ok(()) => None,
            Err(WorkerError::DriverLost { silent, .. }) if worker.config.patience.stays => {
                Some(silent)
            }
            Err(error) => return Err(error),
        };
        if !worker.config.patience.stays {
            return Ok(());
        }
        worker.stay(silent).await?;
    }
}

/// One registration after the other, until the job is over.
async fn drive_job(worker: &mut Worker, text_thread: &mut TextThread) -> Result<(), WorkerError> {
    let shutdown = worker.config.shutdown.clone();
    let driver_timeout = worker.driver_timeout.clone();
    let mut overdue = pin!(driver_timeout.first_answer_overdue());
    loop {
        let job_end = worker.job_end.clone();
        // All branches are cancel safe: the driver forgets a registration that is not used.
        let registered = tokio::select! {
            biased;
            registered = worker.register() => registered?,
            () = shutdown.requested() => return Err(WorkerError::Stopped { had_task: false }),
            error = &mut overdue => return Err(error),
            () = job_end::recorded(job_end.as_ref()) => None,
        };
        let Some(mut registration) = registered else {
            worker.note_job_over();
            return Ok(());
        };
        worker.is_between_jobs = false;
        worker.tally.registered();
        let end = worker.work(&mut registration, text_thread).await;
        if matches!(end, Ok(RegistrationEnd::Forgotten)) {
            worker.tally.discard();
        }
        let had_task = registration.is_executing;
        worker.tally.end(&registration.current);
        // Whatever the reason: no attempt continues.
        text_thread.stop().await;
        if matches!(end, Ok(RegistrationEnd::Stopped))
            && worker.client.leave(&registration.caller).await.is_ok()
        {
            // The driver may be publishing what this worker reported. It discards the rest itself.
            return Err(WorkerError::Stopped { had_task });
        }
        // No other process may know what this worker has staged: a driver that gave the worker up,
        // or is gone, swept the folder before that. If a driver has received the report after all,
        // it runs the task again. A disk that does not answer delays the worker for a limited time.
        let _ = tokio::time::timeout(DISCARD_MAX, text_thread.discard_staged()).await;
        match end? {
            RegistrationEnd::Forgotten => {
                let driver = worker.config.driver.to_string();
                (worker.config.notify)(Notice::Forgotten { driver });
            }
            RegistrationEnd::JobOver => {
                worker.note_job_over();
                return Ok(());
            }
            // If `Leave` was lost, the driver waits for a timeout. The worker need not.
            RegistrationEnd::Stopped => return Err(WorkerError::Stopped { had_task }),
        }
    }
}

struct Worker {
    config: Config,
    machine: Machine,
    client: Client,
    instance: [u8; 16],
    driver_timeout: DriverTimeout,
    /// The job of the last registration.
    job_end: Option<JobEnd>,
    /// Whether it has said that a job is over, and has not registered since.
    is_between_jobs: bool,
    tally: Tally,
}

impl Worker {
    fn new(config: Config, machine: Machine) -> Result<Self, WorkerError> {
        let client = (machine.connect)(&config).map_err(WorkerError::Address)?;
        let instance = match config.instance {
            Some(instance) => instance,
            None => random_instance(&machine)?,
        };
        let driver_timeout = DriverTimeout::new(&config);
        let tally = Tally::default();
        Ok(Self {
            config,
            machine,
            client,
            instance,
            driver_timeout,
            job_end: None,
            is_between_jobs: false,
            tally,
        })
    }

    /// Only once: between two jobs, a lingering driver of the last one answers so again.
    fn note_job_over(&self) {
        if !self.is_between_jobs {
            (self.config.notify)(Notice::JobOver);
        }
    }

    /// Prepares for the next driver. The last one is lost if it was `silent`.
    async fn stay(&mut self, silent: Option<Duration>) -> Result<(), WorkerError> {
        if let Some(notice) = std::mem::take(&mut self.tally).notice() {
            (self.config.notify)(notice);
        }
        if !self.is_between_jobs {
            let driver = self.config.driver.to_string();
            (self.config.notify)(Notice::Staying { driver, silent });
        }
        self.is_between_jobs = true;
        self.job_end = None;
        // What is known about the last driver may not hold for the next.
        self.client = (self.machine.connect)(&self.config).map_err(WorkerError::Address)?;
        let shutdown = self.config.shutdown.clone();
        // Both branches are cancel safe. Without the pause, calls to a lingering driver would be a
        // busy loop.
        tokio::select! {
            biased;
            () = shutdown.requested() => return Err(WorkerError::Stopped { had_task: false }),
            () = tokio::time::sleep(BETWEEN_JOBS) => {}
        }
        self.driver_timeout.restart();
        Ok(())
    }

    /// `None`: the job is over.
    async fn register(&mut self) -> Result<Option<Registration>, WorkerError> {
        let backoff = self.backoff();
        let (client, instance) = (&mut self.client, self.instance);
        register(client, instance, &self.config, &self.driver_timeout, backoff).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(&self.machine.random)
    }

    /// Executes tasks and sends heartbeats until either learns that this registration is over.
    async fn work(
        &mut self,
        registration: &mut Registration,
        text_thread: &mut TextThread,
    ) -> Result<RegistrationEnd, WorkerError> {
        let heartbeat = Heartbeat {
            client: self.client.clone(),
            caller: registration.caller.clone(),
            interval: registration.registered.heartbeat,
            current: registration.current.clone(),
            driver_timeout: self.driver_timeout.clone(),
            notify: Arc::clone(&self.config.notify),
        };
        let shutdown = self.config.shutdown.clone();
        let job_end = JobEnd::new(&self.machine, &self.driver_timeout, &registration.registered);
        self.job_end.clone_from(&job_end);
        // No branch is cancel safe, and none has to be: when one ends, the registration is over, a
        // call in flight no longer has consequences, and the caller stops the text thread.
        tokio::select! {
            biased;
            () = shutdown.requested() => Ok(RegistrationEnd::Stopped),
            end = heartbeat.run() => end,
            () = job_end::recorded(job_end.as_ref()) => Ok(RegistrationEnd::JobOver),
            end = self.execute_tasks(registration, text_thread) => end,
        }
    }

    async fn execute_tasks(
        &mut self,
        registration: &mut Registration,
        text_thread: &mut TextThread,
    ) -> Result<RegistrationEnd, WorkerError> {
        let mut backoff = self.backoff();
        // From the answer to the last report.
        let mut next = None;
        loop {
            let answer = match next.take() {
                Some(answer) => Ok(answer),
                None => self.client.next_task(&registration.caller).await,
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    self.driver_timeout.unanswered(&error)?;
                    backoff.wait().await;
                    continue;
                }
            };
            self.driver_timeout.answered();
            backoff.reset();
            match answer {
                TaskAnswer::Exit => return Ok(RegistrationEnd::JobOver),
                TaskAnswer::Register => return Ok(RegistrationEnd::Forgotten),
                TaskAnswer::Task(task) => {
                    next = self.execute(task, registration, text_thread).await?;
                }
                TaskAnswer::Wait => {}
            }
        }
    }

    /// Has a task executed, and reports it. Returns what to do next if the driver has said so.
    async fn execute(
        &mut self,
        task: Task,
        registration: &mut Registration,
        text_thread: &mut TextThread,
    ) -> Result<Option<TaskAnswer>, WorkerError> {
        let attempt = task.attempt;
        let progress = Progress::new(attempt);
        registration.current.set(Some(Arc::clone(&progress)));
        registration.is_executing = true;
        (self.config.notify)(Notice::Executing { attempt });
        let outcome = match self.job(registration).await {
            Ok(job) => text_thread.execute(job, task, progress).await?,
            Err(interrupted) => Err(interrupted),
        };
        faults::reach("worker::report", attempt.phase);
        registration.is_executing = false;
        let outcome = self.to_report(attempt, outcome);
        let (verdict, next) = match &outcome {
            Some(outcome) => {
                if let (Outcome::Failed(_), Some(progress)) = (outcome, registration.current.get())
                {
                    // It has stopped, and the user knows why: an order to abandon it is no news.
                    progress.abandon();
                }
                self.tally.reported(outcome);
                self.report(registration, attempt, outcome).await?
            }
            None => (Verdict::Stale, None),
        };
        if verdict == Verdict::Stale {
            self.tally.discard();
        }
        faults::reach("worker::answered", attempt.phase);
        match verdict {
            Verdict::Accepted | Verdict::Taken => text_thread.keep_staged(),
            // The driver discarded it when it revoked the attempt; perhaps before it was staged.
            Verdict::Stale => text_thread.discard_staged().await,
        }
        self.tally.end(&registration.current);
        Ok(next)
    }

    /// The job's results folder is opened with the first task, so that an error is that attempt's
    /// failure.
    async fn job(&self, registration: &mut Registration) -> Result<Arc<Job>, Interrupted> {
        if let Some(job) = &registration.job {
            return Ok(Arc::clone(job));
        }
        let registered = &registration.registered;
        let (roots, files) = (Roots::new(&self.config.roots), registered.files.clone());
        let open_store = Arc::clone(&self.machine.open_store);
        let open = move || open_store(&roots, &files).map(|store| (roots, store));
        let (roots, store) = machine::run_blocking(&self.machine.run_blocking, open).await?;
        let opened = Arc::new(Job {
            session: registered.session.clone(),
            store,
            roots,
            rules: rules(registered.rules),
            buckets: NonZeroU32::new(registered.buckets)
                .expect("checked on arrival, see rpc::wire"),
            throttle: self.config.throttle,
            memory_bytes: self.config.memory_bytes,
            skip_bad_records: registered.skip_bad_records,
        });
        registration.job = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// What to report. `None`: the attempt was abandoned.
    fn to_report(
        &self,
        attempt: Attempt,
        outcome: Result<Outcome, Interrupted>,
    ) -> Option<Outcome> {
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(Interrupted::Abandoned) => None,
            Err(Interrupted::Failed(failure)) => {
                let failure = failure.naming_input(|path| store::shown_input(&path).into_owned());
                (self.config.notify)(Notice::Failed { attempt, cause: failure.clone() });
                Some(Outcome::Failed(failure))
            }
        }
    }

    /// Reports until the driver has answered. Returns its verdict, and what to do next if it has
    /// said so.
    async fn report(
        &mut self,
        registration: &Registration,
        attempt: Attempt,
        outcome: &Outcome,
    ) -> Result<(Verdict, Option<TaskAnswer>), WorkerError> {
        let mut backoff = self.backoff();
        loop {
            let reported =
                self.client.report_and_ask(&registration.caller, attempt, outcome.clone());
            match reported.await {
                Ok((verdict, next)) => {
                    self.driver_timeout.answered();
                    if verdict == Verdict::Stale {
                        (self.config.notify)(Notice::Abandoned { attempt });
                    }
                    return Ok((verdict, next));
                }
                Err(error @ CallError::Protocol { .. })
                    if matches!(outcome, Outcome::Failed(_)) =>
                {
                    // A report of a failure is not worth ending the worker.
                    tracing::warn!(%error, "the driver does not understand a failure");
                    return Ok((Verdict::Stale, None));
                }
                Err(error) => self.driver_timeout.unanswered(&error)?,
            }
            backoff.wait().await;
        }
    }
}

/// How long a worker waits for its disk when a registration has ended.
const DISCARD_MAX: Duration = Duration::from_secs(10);

/// As long as the longest pause between two attempts to connect: a driver of a small job answers
/// for twice that time.
const BETWEEN_JOBS: Duration = Duration::from_millis(500);

/// Distinguishes this worker process from all others.
fn random_instance(machine: &Machine) -> Result<[u8; 16], WorkerError> {
    let mut instance = [0; 16];
    (machine.random)(&mut instance)
        .map_err(|source| WorkerError::System { operation: "get random numbers", source })?;
    Ok(instance)
}

fn rules(rules: WordRules) -> words::Rules {
    words::Rules {
        words: match rules.rule {
            WordRule::Letters => words::WordRule::Letters,
            WordRule::Whitespace => words::WordRule::Whitespace,
        },
        ignore_case: rules.ignore_case,
    }
}
