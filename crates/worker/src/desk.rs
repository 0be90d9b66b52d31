//! Where the speaking thread puts work, and the text thread takes it.

use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::attempt::{self, Job, Stop};
use crate::progress::Progress;
use rpc::message::{Outcome, Task};

/// The end of the thread that speaks with the driver. One attempt at a time.
pub(crate) struct Desk {
    orders: mpsc::Sender<Order>,
    /// The attempt that lies on the desk.
    busy: Option<Busy>,
}

struct Busy {
    progress: Arc<Progress>,
    outcome: oneshot::Receiver<Result<Outcome, Stop>>,
}

/// The end of the thread that does the text work.
pub(crate) struct Work {
    orders: mpsc::Receiver<Order>,
}

struct Order {
    job: Arc<Job>,
    task: Task,
    progress: Arc<Progress>,
    done: oneshot::Sender<Result<Outcome, Stop>>,
}

/// The two ends.
pub(crate) fn desk() -> (Desk, Work) {
    let (sender, receiver) = mpsc::channel();
    (Desk { orders: sender, busy: None }, Work { orders: receiver })
}

impl Desk {
    /// Has an attempt executed. Dropping the future does not stop it: see [`clear`](Self::clear).
    pub(crate) async fn execute(
        &mut self,
        job: Arc<Job>,
        task: Task,
        progress: Arc<Progress>,
    ) -> Result<Outcome, Stop> {
        assert!(self.busy.is_none(), "a second attempt while one is executed");
        let (done, outcome) = oneshot::channel();
        self.busy = Some(Busy { progress: Arc::clone(&progress), outcome });
        self.orders
            .send(Order { job, task, progress, done })
            .expect("the text thread ends only after this desk is dropped");
        self.wait().await
    }

    /// Abandons what lies on the desk, and waits until its staging is removed.
    pub(crate) async fn clear(&mut self) {
        if let Some(busy) = &self.busy {
            busy.progress.abandon();
            // How it ended is of no interest any more.
            let _ = self.wait().await;
        }
    }

    async fn wait(&mut self) -> Result<Outcome, Stop> {
        let busy = self.busy.as_mut().expect("something lies on the desk");
        let outcome = (&mut busy.outcome)
            .await
            .expect("the text thread answers every order, even when it panics");
        self.busy = None;
        outcome
    }
}

impl Work {
    /// Executes what comes, until the other end is dropped.
    pub(crate) fn execute_all(self) {
        for Order { job, task, progress, done } in self.orders {
            let outcome = attempt::execute(&job, &task, &progress);
            // Nobody waits if the worker is ending.
            let _ = done.send(outcome);
        }
    }
}
