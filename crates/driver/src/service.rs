//! Calls of workers become events of the loop, and its answers become theirs.

use rpc::Gone;
use rpc::limits::NEXT_TASK_WAIT;
use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Event;

/// The driver as gRPC callers see it. Decides nothing.
pub(crate) struct Service {
    pub(crate) events: mpsc::Sender<Event>,
}

impl Service {
    /// Put a question to the loop and wait for its answer.
    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_closed| Gone)?;
        answer.await.map_err(|_dropped| Gone)
    }
}

impl rpc::Driver for Service {
    async fn register(&self, register: Register) -> Result<RegisterAnswer, Gone> {
        self.ask(|reply| Event::Register { register, reply }).await
    }

    async fn next_task(&self, caller: Caller) -> Result<TaskAnswer, Gone> {
        task_in_time(self.ask(|reply| Event::NextTask { caller, reply })).await
    }

    async fn heartbeat(&self, caller: Caller, running: Option<Running>) -> Result<Order, Gone> {
        self.ask(|reply| Event::Heartbeat { caller, running, reply }).await
    }

    async fn report(
        &self,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Gone> {
        self.ask(|reply| Event::Report { caller, attempt, outcome, reply, next: None }).await
    }

    async fn report_and_ask(
        &self,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<(Verdict, Option<TaskAnswer>), Gone> {
        let (next, answer) = oneshot::channel();
        let next = Some(next);
        let report = |reply| Event::Report { caller, attempt, outcome, reply, next };
        let verdict = self.ask(report).await?;
        // The loop lets go of the other end if it takes the question for too early.
        Ok((verdict, task_in_time(answer).await.ok()))
    }

    async fn leave(&self, caller: Caller) -> Result<(), Gone> {
        self.ask(|reply| Event::Leave { caller, reply }).await
    }

    async fn status(&self) -> Result<Status, Gone> {
        self.ask(|reply| Event::Status { reply }).await
    }
}

/// Giving up the wait loses nothing: an attempt that was granted meanwhile is the answer to the
/// next call.
async fn task_in_time<E>(
    answer: impl Future<Output = Result<TaskAnswer, E>>,
) -> Result<TaskAnswer, Gone> {
    match tokio::time::timeout(NEXT_TASK_WAIT, answer).await {
        Ok(answer) => answer.map_err(|_dropped| Gone),
        Err(_elapsed) => Ok(TaskAnswer::Wait),
    }
}
