//! Hands attempts to the text thread, and replaces that thread if it hangs.
//!
//! An abandoned attempt stops when it next checks. One that never checks, because its text triggers
//! a defect or its disk does not answer, must not block the worker: the task would be reassigned to
//! another worker, until all of them hang. The stuck thread is left behind, and the next attempt
//! gets a new one. A thread cannot be ended from outside; it ends with the process.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use rpc::message::{Outcome, Task};
use tokio::sync::oneshot;

use crate::assignment::Assignment;
use crate::config::WorkerError;
use crate::failure::Interrupted;
use crate::job::Job;
use crate::machine::{Machine, RunBlocking, StartTextThread};
use crate::progress::Progress;

/// The text thread, as seen from the thread that speaks with the driver. It executes one attempt at
/// a time.
pub(crate) struct TextThread {
    run_blocking: RunBlocking,
    start: StartTextThread,
    /// Leads to the thread; `None` before the first attempt, and when the last one hangs.
    assignments: Option<mpsc::Sender<Assignment>>,
    /// The attempt that the thread executes.
    executing: Option<Executing>,
    /// What the last attempt has staged, as long as it may have to be discarded.
    staged: Option<Staged>,
    /// Abandoned attempts that did not stop, each on a thread of its own.
    hanging: Vec<Executing>,
}

struct Executing {
    progress: Arc<Progress>,
    staged: Staged,
    outcome: oneshot::Receiver<Result<Outcome, Interrupted>>,
}

/// What an attempt stages, or has staged.
#[derive(Clone)]
struct Staged {
    job: Arc<Job>,
    staging: String,
}

impl TextThread {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            run_blocking: Arc::clone(&machine.run_blocking),
            start: Arc::clone(&machine.start_text_thread),
            assignments: None,
            executing: None,
            staged: None,
            hanging: Vec::new(),
        }
    }

    /// Has an attempt executed. Dropping the future does not stop it: see [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// When there is no thread to execute it: too many hang, or the system has none.
    pub(crate) async fn execute(
        &mut self,
        job: Arc<Job>,
        task: Task,
        progress: Arc<Progress>,
    ) -> Result<Result<Outcome, Interrupted>, WorkerError> {
        assert!(self.executing.is_none(), "a second attempt while one is executed");
        let assignments = match self.assignments.take() {
            Some(assignments) => assignments,
            None => self.start()?,
        };
        let (done, outcome) = oneshot::channel();
        let staged = Staged { job: Arc::clone(&job), staging: task.staging.clone() };
        self.executing = Some(Executing { progress: Arc::clone(&progress), staged, outcome });
        self.assignments
            .insert(assignments)
            .send(Assignment { job, task, progress, done })
            .expect("the text thread ends only after its sender is dropped");
        Ok(self.wait().await)
    }

    /// The driver has taken what was staged, so it is not discarded.
    pub(crate) fn keep_staged(&mut self) {
        self.staged = None;
    }

    /// Removes what the last attempt has staged, unless the driver has taken it. If the future is
    /// dropped, this may not be done; it can be called again.
    pub(crate) async fn discard_staged(&mut self) {
        if let Some(staged) = self.staged.clone() {
            (self.run_blocking)(Box::new(move || staged.job.discard(&staged.staging))).await;
            self.staged = None;
        }
    }

    /// Abandons the attempt that is executed, and waits a limited time until it has stopped.
    pub(crate) async fn stop(&mut self) {
        if let Some(executing) = &self.executing {
            executing.progress.abandon();
            // How it ended no longer matters.
            let _ = self.wait().await;
        }
    }

    async fn wait(&mut self) -> Result<Outcome, Interrupted> {
        let Executing { progress, outcome, .. } =
            self.executing.as_mut().expect("an attempt is executed");
        let hangs = async {
            progress.abandoned().await;
            tokio::time::sleep(STOP_MAX).await;
        };
        // Both branches are cancel safe: a later outcome is waited for again, or is not needed.
        let outcome = tokio::select! {
            biased;
            outcome = outcome => Some(
                outcome.expect("the text thread answers every assignment, even when it panics"),
            ),
            () = hangs => None,
        };
        let executing = self.executing.take().expect("an attempt is executed");
        // A failed attempt has discarded what it staged.
        let is_staged = outcome.as_ref().is_none_or(Result::is_ok);
        self.staged = is_staged.then(|| executing.staged.clone());
        outcome.unwrap_or_else(|| {
            let attempt = executing.progress.attempt();
            tracing::warn!("{attempt} does not stop; continuing on a new thread");
            self.hanging.push(executing);
            // If the attempt ever checks, its thread finds the channel closed, and ends.
            self.assignments = None;
            Err(Interrupted::Abandoned)
        })
    }

    fn start(&mut self) -> Result<mpsc::Sender<Assignment>, WorkerError> {
        let still_hangs = |executing: &mut Executing| {
            let answer = executing.outcome.try_recv();
            answer.is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        };
        self.hanging.retain_mut(still_hangs);
        if self.hanging.len() >= HANGING_MAX {
            return Err(WorkerError::Hanging { attempts: self.hanging.len() });
        }
        let (assignments, errands) = mpsc::channel();
        (self.start)(errands)
            .map_err(|source| WorkerError::System { operation: "start a thread", source })?;
        Ok(assignments)
    }
}

/// An attempt checks whether it is abandoned after each block that it reads or writes. Chosen by
/// eye: what a slow disk may take for one block, and some more.
const STOP_MAX: Duration = Duration::from_secs(2);

/// As often as a task may fail by default, so that one task that hangs every attempt ends no
/// worker. A limit, because stuck attempts hold memory and cores.
const HANGING_MAX: usize = 4;
