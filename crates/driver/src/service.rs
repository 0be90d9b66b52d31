//! gRPC calls become events of the loop, and its answers become theirs.

use rpc::limits::NEXT_TASK_WAIT;
use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use rpc::{Peer, Refusal};
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Call, Event, Reply, Request};

/// The driver as gRPC callers see it. Decides nothing.
pub(crate) struct Service {
    pub(crate) events: mpsc::Sender<Event>,
}

impl Service {
    /// Sends an event to the loop and waits for its answer.
    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_closed| Refusal::Gone)?;
        heard(answer.await)
    }

    async fn call<T>(
        &self,
        peer: Peer,
        caller: Caller,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Refusal> {
        self.ask(|reply| Event::Call(Call { peer, caller, request: request(reply) })).await
    }
}

impl rpc::Driver for Service {
    async fn register(&self, peer: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        self.ask(|reply| Event::Register { peer, register, reply }).await
    }

    async fn next_task(&self, peer: Peer, caller: Caller) -> Result<TaskAnswer, Refusal> {
        task_in_time(self.call(peer, caller, |reply| Request::NextTask { reply })).await
    }

    async fn heartbeat(
        &self,
        peer: Peer,
        caller: Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        self.call(peer, caller, |reply| Request::Heartbeat { running, reply }).await
    }

    async fn report(
        &self,
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Refusal> {
        let report = |reply| Request::Report { attempt, outcome, reply, next: None };
        self.call(peer, caller, report).await
    }

    async fn report_and_ask(
        &self,
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<(Verdict, Option<TaskAnswer>), Refusal> {
        let (next, answer) = oneshot::channel();
        let next = Some(next);
        let report = |reply| Request::Report { attempt, outcome, reply, next };
        let verdict = self.call(peer, caller, report).await?;
        // The loop drops the other end if the verdict comes without a next task. The worker then
        // asks in a call of its own.
        Ok((verdict, task_in_time(async { heard(answer.await) }).await.ok()))
    }

    async fn leave(&self, peer: Peer, caller: Caller) -> Result<(), Refusal> {
        self.call(peer, caller, |reply| Request::Leave { reply }).await
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        self.ask(|reply| Event::Status { reply }).await
    }
}

/// The loop's answer. It drops a call when it has ended, or when the worker has called again.
fn heard<T>(answer: Result<Result<T, Refusal>, RecvError>) -> Result<T, Refusal> {
    answer.unwrap_or(Err(Refusal::Gone))
}

/// To stop waiting loses nothing: an attempt that is assigned meanwhile is the answer to the next
/// call.
async fn task_in_time(
    answer: impl Future<Output = Result<TaskAnswer, Refusal>>,
) -> Result<TaskAnswer, Refusal> {
    tokio::time::timeout(NEXT_TASK_WAIT, answer).await.unwrap_or(Ok(TaskAnswer::Wait))
}
