//! The events of the loop, and the calls of workers.

use journal::Death;
use rpc::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use rpc::{Peer, Refusal};
use scheduler::AttemptId;
use store::Name;
use tokio::sync::oneshot;

use crate::cause::Cause;
use crate::claim::ClaimLost;
use crate::committer::{CommitterEvent, EndError};
use crate::ids;
use crate::status::Removing;

pub(crate) enum Event {
    /// A registered worker has called.
    Call(Call),
    /// The committer panicked: its errands would never be answered.
    CommitterDied,
    /// A worker process is dead, as its parent process reports.
    Died {
        instance: [u8; 16],
        death: Death,
    },
    /// The committer has done its last errand.
    Finished(Result<(), EndError>),
    /// The committer has found the intermediates that are lost besides the one that `attempt`
    /// named.
    FoundLost {
        attempt: AttemptId,
        names: Vec<(u32, Name)>,
    },
    /// What the committer removes in its last errand.
    Removing(Removing),
    /// An attempt's objects have their final names and are recorded, or not.
    Published {
        attempt: AttemptId,
        result: Result<(), Cause>,
    },
    Register {
        peer: Peer,
        register: Register,
        reply: Reply<RegisterAnswer>,
    },
    Status {
        reply: Reply<Status>,
    },
    /// Another driver may have taken over: this one ends.
    Superseded(ClaimLost),
}

impl From<CommitterEvent> for Event {
    fn from(told: CommitterEvent) -> Self {
        match told {
            CommitterEvent::Died => Self::CommitterDied,
            CommitterEvent::Finished(result) => Self::Finished(result),
            CommitterEvent::FoundLost { attempt, names } => Self::FoundLost { attempt, names },
            CommitterEvent::Removing(removing) => Self::Removing(removing),
            CommitterEvent::Published { attempt, result } => Self::Published { attempt, result },
            CommitterEvent::Superseded(lost) => Self::Superseded(lost),
        }
    }
}

/// Where an answer goes, or the reason why there is none.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A call of a worker that says it has registered.
pub(crate) struct Call {
    pub(crate) peer: Peer,
    pub(crate) caller: Caller,
    pub(crate) request: Request,
}

pub(crate) enum Request {
    Heartbeat {
        running: Option<Running>,
        reply: Reply<Order>,
    },
    /// The worker leaves the job for good.
    Leave {
        reply: Reply<()>,
    },
    NextTask {
        reply: Reply<TaskAnswer>,
    },
    Report {
        attempt: Attempt,
        outcome: Outcome,
        reply: Reply<Verdict>,
        /// The worker asks for its next task as well, unless the answer is stale, and does not wait
        /// for the disk.
        next: Option<Reply<TaskAnswer>>,
    },
}

impl Request {
    /// The attempt that the request names.
    pub(super) fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Heartbeat { running, .. } => {
                running.as_ref().map(|running| ids::attempt_id(running.attempt))
            }
            Self::Leave { .. } | Self::NextTask { .. } => None,
            Self::Report { attempt, .. } => Some(ids::attempt_id(*attempt)),
        }
    }

    /// Answers a caller that this session does not know: it has to register first.
    pub(super) fn answer_unknown(self) {
        // A reply that cannot be sent: the caller has disconnected. It calls again if it lives.
        match self {
            Self::Heartbeat { reply, .. } => drop(reply.send(Ok(Order::Register))),
            Self::Leave { reply } => drop(reply.send(Ok(()))),
            Self::NextTask { reply } => drop(reply.send(Ok(TaskAnswer::Register))),
            Self::Report { attempt, reply, .. } => {
                tracing::info!("stale report of {} from another session", ids::attempt_id(attempt));
                let _ = reply.send(Ok(Verdict::Stale));
            }
        }
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            Self::Heartbeat { reply, .. } => drop(reply.send(Err(refusal))),
            Self::Leave { reply } => drop(reply.send(Err(refusal))),
            Self::NextTask { reply } => drop(reply.send(Err(refusal))),
            Self::Report { reply, .. } => drop(reply.send(Err(refusal))),
        }
    }
}
