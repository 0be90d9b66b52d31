//! An attempt on its way to the thread that executes it.

use std::sync::Arc;

use rpc::message::{Outcome, Task};
use tokio::sync::oneshot;

use crate::attempt;
use crate::failure::Interrupted;
use crate::job::Job;
use crate::map::Buffers;
use crate::progress::Progress;

/// An attempt to execute.
pub(crate) struct Assignment {
    pub(crate) job: Arc<Job>,
    pub(crate) task: Task,
    pub(crate) progress: Arc<Progress>,
    pub(crate) done: oneshot::Sender<Result<Outcome, Interrupted>>,
}

impl Assignment {
    pub(crate) fn execute(self, buffers: &mut Buffers) {
        let Self { job, task, progress, done } = self;
        let outcome = attempt::execute(&job, &task, buffers, &progress);
        // The receiver is gone if the worker is ending.
        let _ = done.send(outcome);
    }
}
