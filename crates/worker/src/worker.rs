//! The conversation with the driver: register, ask, have it executed, report, until the job is
//! over.
//!
//! ```text
//! (Register (NextTask (execute Report)*)*)*     and beside it, after each Register: Heartbeat*
//! ```
//!
//! The answer to a report may bring the next task with it, and spares asking for it.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::message::{
    Attempt, Caller, Outcome, Phase, Register, RegisterAnswer, Registered, TaskAnswer, Verdict,
    WordRule, WordRules,
};
use rpc::{CallError, Client};
use store::Roots;

use crate::attempt::{Job, Stop};
use crate::config::{Config, WorkerError, is_below};
use crate::desk::Desk;
use crate::heartbeat;
use crate::machine::Machine;
use crate::notice::Notice;
use crate::patience::{BackOff, Patience};
use crate::progress::{Current, Progress};

/// Why a registration is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parting {
    /// The driver does not know this worker (any more).
    Forgotten,
    /// The job is over.
    JobOver,
    /// The user wants the worker to stop.
    Stopped,
}

/// Works for a driver until its job is over.
pub(crate) async fn drive(config: Config, machine: Machine) -> Result<(), WorkerError> {
    let mut desk = Desk::new(&machine);
    let mut worker = Worker::new(config, machine)?;
    let stop = worker.config.stop.clone();
    loop {
        // Both branches are cancel safe: a registration that nobody waits for is forgotten.
        let registered = tokio::select! {
            biased;
            registered = worker.register() => registered?,
            () = stop.requested() => return Err(WorkerError::Stopped),
        };
        let Some(registered) = registered else {
            (worker.config.notify)(Notice::JobOver);
            return Ok(());
        };
        let parting = worker.work(&registered, &mut desk).await;
        // Whatever the reason: nothing goes on.
        desk.clear().await;
        if matches!(parting, Ok(Parting::Stopped))
            && worker.client.leave(&caller(&registered)).await.is_ok()
        {
            // Perhaps it is publishing what we have reported. The rest it discards itself.
            return Err(WorkerError::Stopped);
        }
        // Nobody else may know of it: a driver that has gone on without us, or is gone, has swept
        // before we staged it. If one has heard our report after all, it has the task done again.
        // A disk that does not answer keeps nobody here.
        let _ = tokio::time::timeout(DISCARD_MAX, desk.discard()).await;
        match parting? {
            Parting::Forgotten => {
                let driver = worker.config.driver.clone();
                (worker.config.notify)(Notice::Forgotten { driver });
            }
            Parting::JobOver => {
                (worker.config.notify)(Notice::JobOver);
                return Ok(());
            }
            // That it was not heard costs the driver a timeout, and us nothing.
            Parting::Stopped => return Err(WorkerError::Stopped),
        }
    }
}

fn caller(registered: &Registered) -> Caller {
    Caller { session: registered.session.clone(), worker: registered.worker }
}

struct Worker {
    config: Config,
    machine: Machine,
    client: Client,
    instance: [u8; 16],
    patience: Patience,
}

impl Worker {
    fn new(config: Config, machine: Machine) -> Result<Self, WorkerError> {
        let client = (machine.connect)(&config).map_err(WorkerError::Address)?;
        let mut instance = [0; 16];
        (machine.random)(&mut instance)
            .map_err(|source| WorkerError::System { operation: "get random numbers", source })?;
        let patience = Patience::new(&config);
        Ok(Self { config, machine, client, instance, patience })
    }

    /// Presents this worker until a driver answers. `None`: the job is over.
    async fn register(&mut self) -> Result<Option<Registered>, WorkerError> {
        let register = Register {
            protocol: rpc::PROTOCOL,
            build: rpc::BUILD.to_owned(),
            instance: self.instance,
            name: self.config.name.clone(),
            roots: self.config.roots.clone(),
        };
        let mut back_off = BackOff::new(&self.machine.random);
        let answer = loop {
            match self.client.register(&register).await {
                Ok(answer) => break answer,
                Err(error) => self.patience.silence(&error)?,
            }
            back_off.wait().await;
        };
        self.patience.heard();
        match answer {
            RegisterAnswer::Exit => Ok(None),
            RegisterAnswer::OutsideRoots { folder } => {
                Err(WorkerError::OutsideRoots { folder, roots: self.config.roots.clone() })
            }
            // A driver that does not look at our roots does not get past them.
            RegisterAnswer::Registered(registered)
                if !is_below(&self.config.roots, &registered.files) =>
            {
                let roots = self.config.roots.clone();
                Err(WorkerError::OutsideRoots { folder: registered.files, roots })
            }
            RegisterAnswer::Registered(registered) => {
                let (driver, worker) = (self.config.driver.clone(), registered.number);
                (self.config.notify)(Notice::Registered { driver, worker });
                Ok(Some(registered))
            }
            RegisterAnswer::VersionMismatch { protocol, build } => {
                Err(WorkerError::VersionMismatch { theirs: build, their_protocol: protocol })
            }
        }
    }

    /// Works and beats until one of the two hears that this registration is over.
    async fn work(
        &mut self,
        registered: &Registered,
        desk: &mut Desk,
    ) -> Result<Parting, WorkerError> {
        let caller = caller(registered);
        let current = Current::default();
        let notify = Arc::clone(&self.config.notify);
        let (client, patience) = (self.client.clone(), self.patience.clone());
        let beats =
            heartbeat::beat(client, &caller, registered.heartbeat, &current, &patience, &notify);
        let stop = self.config.stop.clone();
        // No branch is cancel safe, and none has to be: when one ends, the registration is over, a
        // call in flight has no consequence any more, and the caller clears the desk.
        tokio::select! {
            biased;
            () = stop.requested() => Ok(Parting::Stopped),
            parting = beats => parting,
            parting = self.do_tasks(registered, &caller, &current, desk) => parting,
        }
    }

    async fn do_tasks(
        &mut self,
        registered: &Registered,
        caller: &Caller,
        current: &Current,
        desk: &mut Desk,
    ) -> Result<Parting, WorkerError> {
        let mut job = None;
        let mut back_off = BackOff::new(&self.machine.random);
        // What came with the answer to the last report.
        let mut next = None;
        loop {
            let answer = match next.take() {
                Some(answer) => Ok(answer),
                None => self.client.next_task(caller).await,
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    self.patience.silence(&error)?;
                    back_off.wait().await;
                    continue;
                }
            };
            self.patience.heard();
            back_off.reset();
            match answer {
                TaskAnswer::Exit => return Ok(Parting::JobOver),
                TaskAnswer::Register => return Ok(Parting::Forgotten),
                TaskAnswer::Task(task) => {
                    let attempt = task.attempt;
                    let progress = Progress::new(attempt);
                    current.set(Some(Arc::clone(&progress)));
                    (self.config.notify)(Notice::Executing { attempt: describe(attempt) });
                    let outcome = match self.job(&mut job, registered).await {
                        Ok(job) => desk.execute(job, task, progress).await?,
                        Err(stop) => Err(stop),
                    };
                    faults::reach("worker::report", phase_name(attempt.phase));
                    let verdict;
                    (verdict, next) = self.report(caller, attempt, outcome).await?;
                    faults::reach("worker::answered", phase_name(attempt.phase));
                    match verdict {
                        Verdict::Accepted | Verdict::Taken => desk.hand_over(),
                        // The driver has removed it when it gave the attempt up; perhaps before we
                        // began.
                        Verdict::Stale => desk.discard().await,
                    }
                    current.set(None);
                }
                TaskAnswer::Wait => {}
            }
        }
    }

    /// The job's results folder is opened with the first task, so that not being able to is that
    /// attempt's failure.
    async fn job(
        &self,
        job: &mut Option<Arc<Job>>,
        registered: &Registered,
    ) -> Result<Arc<Job>, Stop> {
        if let Some(job) = job {
            return Ok(Arc::clone(job));
        }
        let (roots, files) = (Roots::new(&self.config.roots), registered.files.clone());
        let open_store = Arc::clone(&self.machine.open_store);
        let open = move || open_store(&roots, &files).map(|store| (roots, store));
        let (roots, store) = self.machine.elsewhere(open).await?;
        let opened = Arc::new(Job {
            session: registered.session.clone(),
            store,
            roots,
            rules: rules(registered.rules),
            buckets: NonZeroU32::new(registered.buckets)
                .expect("checked on arrival, see rpc::wire"),
            throttle: self.config.throttle,
            memory_bytes: self.config.memory_bytes,
            map_room: Mutex::default(),
        });
        *job = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Reports until the driver has heard, and returns what it said, and what to do next if it
    /// said that as well.
    async fn report(
        &mut self,
        caller: &Caller,
        attempt: Attempt,
        outcome: Result<Outcome, Stop>,
    ) -> Result<(Verdict, Option<TaskAnswer>), WorkerError> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(Stop::Abandoned) => return Ok((Verdict::Stale, None)),
            Err(Stop::Failed(failure)) => {
                let (attempt, cause) = (describe(attempt), failure.to_string());
                (self.config.notify)(Notice::Failed { attempt, cause });
                Outcome::Failed(failure)
            }
        };
        let mut back_off = BackOff::new(&self.machine.random);
        loop {
            match self.client.report_and_ask(caller, attempt, outcome.clone()).await {
                Ok((verdict, next)) => {
                    self.patience.heard();
                    if verdict == Verdict::Stale {
                        (self.config.notify)(Notice::Abandoned { attempt: describe(attempt) });
                    }
                    return Ok((verdict, next));
                }
                Err(error @ CallError::Protocol { .. })
                    if matches!(outcome, Outcome::Failed(_)) =>
                {
                    // Saying why it failed is not worth the worker's life.
                    tracing::warn!(%error, "the driver does not understand a failure");
                    return Ok((Verdict::Stale, None));
                }
                Err(error) => self.patience.silence(&error)?,
            }
            back_off.wait().await;
        }
    }
}

/// How long a worker that has nothing more to do here waits for its disk.
const DISCARD_MAX: Duration = Duration::from_secs(10);

/// For people: `map task 3, attempt 0`.
pub(crate) fn describe(attempt: Attempt) -> String {
    format!("{} task {}, attempt {}", phase_name(attempt.phase), attempt.task, attempt.number)
}

pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Map => "map",
        Phase::Reduce => "reduce",
    }
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
