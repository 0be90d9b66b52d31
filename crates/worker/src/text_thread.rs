//! Where the speaking thread puts work, and a text thread takes it.
//!
//! An attempt that is not wanted any more stops when it next looks up. One that never does, because
//! its text has met a defect or its disk does not answer, must not take the worker with it: another
//! would be sent the same task, until all of them hang. Its thread is left to itself, and the next
//! attempt gets a new one. A thread cannot be ended from outside; it ends with the process.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::attempt::{self, Job, Stop};
use crate::config::WorkerError;
use crate::machine::{Elsewhere, Machine, TextThread};
use crate::progress::Progress;
use crate::worker::describe;
use rpc::message::{Outcome, Task};

/// The end of the thread that speaks with the driver. One attempt at a time.
pub(crate) struct Desk {
    elsewhere: Elsewhere,
    start_thread: TextThread,
    /// To the text thread; `None` before the first attempt, and when the last one hangs.
    orders: Option<mpsc::Sender<Order>>,
    /// The attempt that lies on the desk.
    busy: Option<Busy>,
    /// What the last attempt has staged, as long as it may have to be discarded.
    staged: Option<Staged>,
    /// Attempts that did not look up, each on a thread of its own.
    hanging: Vec<Busy>,
}

struct Busy {
    progress: Arc<Progress>,
    staged: Staged,
    outcome: oneshot::Receiver<Result<Outcome, Stop>>,
}

/// What an attempt stages, or has staged.
#[derive(Clone)]
struct Staged {
    job: Arc<Job>,
    staging: String,
}

/// An attempt to execute.
pub(crate) struct Order {
    job: Arc<Job>,
    task: Task,
    progress: Arc<Progress>,
    done: oneshot::Sender<Result<Outcome, Stop>>,
}

impl Order {
    pub(crate) fn execute(self) {
        let Self { job, task, progress, done } = self;
        let outcome = attempt::execute(&job, &task, &progress);
        // Nobody waits if the worker is ending.
        let _ = done.send(outcome);
        if faults::is_wrong("worker::again") {
            let _ = attempt::execute(&job, &task, &progress);
        }
    }
}

impl Desk {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            elsewhere: Arc::clone(&machine.elsewhere),
            start_thread: Arc::clone(&machine.text_thread),
            orders: None,
            busy: None,
            staged: None,
            hanging: Vec::new(),
        }
    }

    /// Has an attempt executed. Dropping the future does not stop it: see [`clear`](Self::clear).
    ///
    /// # Errors
    ///
    /// When there is no thread to do it: too many hang, or the system has none.
    pub(crate) async fn execute(
        &mut self,
        job: Arc<Job>,
        task: Task,
        progress: Arc<Progress>,
    ) -> Result<Result<Outcome, Stop>, WorkerError> {
        assert!(self.busy.is_none(), "a second attempt while one is executed");
        let orders = match self.orders.take() {
            Some(orders) => orders,
            None => self.start_thread()?,
        };
        let (done, outcome) = oneshot::channel();
        let staged = Staged { job: Arc::clone(&job), staging: task.staging.clone() };
        self.busy = Some(Busy { progress: Arc::clone(&progress), staged, outcome });
        self.orders
            .insert(orders)
            .send(Order { job, task, progress, done })
            .expect("the text thread ends only after this desk lets go of it");
        Ok(self.wait().await)
    }

    /// What was staged is the driver's: it has published it.
    pub(crate) fn hand_over(&mut self) {
        self.staged = None;
    }

    /// Removes what the last attempt has staged, unless it was handed over. A future that is
    /// dropped has perhaps not done so; it can be called again.
    pub(crate) async fn discard(&mut self) {
        if let Some(staged) = self.staged.clone() {
            (self.elsewhere)(Box::new(move || attempt::discard(&staged.job, &staged.staging)))
                .await;
            self.staged = None;
        }
    }

    /// Abandons what lies on the desk, and waits until it has stopped; but not for ever.
    pub(crate) async fn clear(&mut self) {
        if let Some(busy) = &self.busy {
            busy.progress.abandon();
            // How it ended is of no interest any more.
            let _ = self.wait().await;
        }
    }

    async fn wait(&mut self) -> Result<Outcome, Stop> {
        let Busy { progress, outcome, .. } =
            self.busy.as_mut().expect("something lies on the desk");
        let hangs = async {
            progress.abandoned().await;
            tokio::time::sleep(LOOK_UP_MAX).await;
        };
        // Both branches are cancel safe: what comes later is waited for again, or is not wanted.
        let outcome = tokio::select! {
            biased;
            outcome = outcome => {
                Some(outcome.expect("the text thread answers every order, even when it panics"))
            }
            () = hangs => None,
        };
        let busy = self.busy.take().expect("something lies on the desk");
        // One that failed has discarded what was its own.
        let is_staged = outcome.as_ref().is_none_or(Result::is_ok);
        self.staged = is_staged.then(|| busy.staged.clone());
        outcome.unwrap_or_else(|| {
            let attempt = describe(busy.progress.attempt());
            tracing::warn!("{attempt} does not stop; going on without its thread");
            self.hanging.push(busy);
            // If it ever looks up it finds nobody to work for, and ends.
            self.orders = None;
            Err(Stop::Abandoned)
        })
    }

    fn start_thread(&mut self) -> Result<mpsc::Sender<Order>, WorkerError> {
        let still_hangs = |busy: &mut Busy| {
            let answer = busy.outcome.try_recv();
            answer.is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        };
        self.hanging.retain_mut(still_hangs);
        if self.hanging.len() >= HANGING_MAX {
            return Err(WorkerError::Hanging { attempts: self.hanging.len() });
        }
        let (orders, taken) = mpsc::channel();
        (self.start_thread)(taken)
            .map_err(|source| WorkerError::System { operation: "start a thread", source })?;
        Ok(orders)
    }
}

/// An attempt looks up after each block that it reads or writes. Chosen by eye: what a slow disk
/// may take for one, and some.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

/// As often as a task may fail by default: one poisoned task costs no worker. More would be no
/// bound on the memory and the cores that hanging attempts hold.
const HANGING_MAX: usize = 4;
