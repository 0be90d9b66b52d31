//! Calls of workers become events of the loop, and its answers become theirs.

use rpc::limits::NEXT_TASK_WAIT;
use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use rpc::{Peer, Refusal};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Event;

/// The driver as gRPC callers see it. Decides nothing.
pub(crate) struct Service {
    pub(crate) events: mpsc::Sender<Event>,
}

impl Service {
    /// Put a question to the loop and wait for its answer.
    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_closed| Refusal::Gone)?;
        answer.await.map_err(|_dropped| Refusal::Gone)
    }
}

impl rpc::Driver for Service {
    async fn register(&self, _: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        self.ask(|reply| Event::Register { register, reply }).await
    }

    async fn next_task(&self, _: Peer, caller: Caller) -> Result<TaskAnswer, Refusal> {
        task_in_time(self.ask(|reply| Event::NextTask { caller, reply })).await
    }

    async fn heartbeat(
        &self,
        _: Peer,
        caller: Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        self.ask(|reply| Event::Heartbeat { caller, running, reply }).await
    }

    async fn report(
        &self,
        _: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Refusal> {
        self.ask(|reply| Event::Report { caller, attempt, outcome, reply, next: None }).await
    }

    async fn report_and_ask(
        &self,
        _: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<(Verdict, Option<TaskAnswer>), Refusal> {
        let (next, answer) = oneshot::channel();
        let next = Some(next);
        let report = |reply| Event::Report { caller, attempt, outcome, reply, next };
        let verdict = self.ask(report).await?;
        // The loop lets go of the other end if it takes the question for too early.
        Ok((verdict, task_in_time(answer).await.ok()))
    }

    async fn leave(&self, _: Peer, caller: Caller) -> Result<(), Refusal> {
        self.ask(|reply| Event::Leave { caller, reply }).await
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        self.ask(|reply| Event::Status { reply }).await
    }
}

/// Giving up the wait loses nothing: an attempt that was granted meanwhile is the answer to the
/// next call.
async fn task_in_time<E>(
    answer: impl Future<Output = Result<TaskAnswer, E>>,
) -> Result<TaskAnswer, Refusal> {
    match tokio::time::timeout(NEXT_TASK_WAIT, answer).await {
        Ok(answer) => answer.map_err(|_dropped| Refusal::Gone),
        Err(_elapsed) => Ok(TaskAnswer::Wait),
    }
}
