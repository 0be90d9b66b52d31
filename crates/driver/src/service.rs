//! Calls of workers become events of the loop, and its answers become theirs.

use rpc::limits::NEXT_TASK_WAIT;
use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use rpc::{Peer, Refusal};
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Event, Reply};

/// The driver as gRPC callers see it. Decides nothing.
pub(crate) struct Service {
    pub(crate) events: mpsc::Sender<Event>,
}

impl Service {
    /// Put a question to the loop and wait for its answer.
    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_closed| Refusal::Gone)?;
        heard(answer.await)
    }
}

impl rpc::Driver for Service {
    async fn register(&self, peer: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        self.ask(|reply| Event::Register { peer, register, reply }).await
    }

    async fn next_task(&self, peer: Peer, caller: Caller) -> Result<TaskAnswer, Refusal> {
        task_in_time(self.ask(|reply| Event::NextTask { peer, caller, reply })).await
    }

    async fn heartbeat(
        &self,
        peer: Peer,
        caller: Caller,
        running: Option<Running>,
    ) -> Result<Order, Refusal> {
        self.ask(|reply| Event::Heartbeat { peer, caller, running, reply }).await
    }

    async fn report(
        &self,
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, Refusal> {
        self.ask(|reply| Event::Report { peer, caller, attempt, outcome, reply, next: None }).await
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
        let report = |reply| Event::Report { peer, caller, attempt, outcome, reply, next };
        let verdict = self.ask(report).await?;
        // The loop lets go of the other end if it takes the question for too early. Whatever keeps
        // it from an answer is said again to who asks by itself.
        Ok((verdict, task_in_time(async { heard(answer.await) }).await.ok()))
    }

    async fn leave(&self, peer: Peer, caller: Caller) -> Result<(), Refusal> {
        self.ask(|reply| Event::Leave { peer, caller, reply }).await
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        self.ask(|reply| Event::Status { reply }).await
    }
}

/// The loop's answer. It drops a question when it has ended, or when the caller has asked anew.
fn heard<T>(answer: Result<Result<T, Refusal>, RecvError>) -> Result<T, Refusal> {
    answer.unwrap_or(Err(Refusal::Gone))
}

/// Giving up the wait loses nothing: an attempt that was granted meanwhile is the answer to the
/// next call.
async fn task_in_time(
    answer: impl Future<Output = Result<TaskAnswer, Refusal>>,
) -> Result<TaskAnswer, Refusal> {
    tokio::time::timeout(NEXT_TASK_WAIT, answer).await.unwrap_or(Ok(TaskAnswer::Wait))
}
