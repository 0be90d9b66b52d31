//! Calls that wait for their answer: for a task, or for a commit.

use std::collections::BTreeMap;

use rpc::message::{TaskAnswer, Verdict};
use scheduler::{AttemptId, WorkerId};

use super::event::Reply;

/// # Invariants
///
/// * At most one call for a task of each worker waits.
/// * An attempt in `reports` is being published: its report is kept in [`Reports`].
///
/// [`Reports`]: crate::reports::Reports
#[derive(Default)]
pub(super) struct PendingCalls {
    polls: BTreeMap<WorkerId, Reply<TaskAnswer>>,
    reports: BTreeMap<AttemptId, Vec<Reporter>>,
}

/// A worker that has reported an attempt.
pub(super) struct Reporter {
    pub(super) verdict: Reply<Verdict>,
    /// For its next task, if it asks for one in the same call.
    pub(super) next: Option<(WorkerId, Reply<TaskAnswer>)>,
}

impl PendingCalls {
    /// A call of `worker` waits for a task. One that waited before is dropped, and so answered: the
    /// worker has given it up to make this one.
    pub(super) fn hold_poll(&mut self, worker: WorkerId, reply: Reply<TaskAnswer>) {
        self.polls.insert(worker, reply);
    }

    /// The call of `worker` that waits for a task.
    pub(super) fn take_poll(&mut self, worker: WorkerId) -> Option<Reply<TaskAnswer>> {
        self.polls.remove(&worker)
    }

    /// A report of `attempt` waits until it is published.
    pub(super) fn hold_report(&mut self, attempt: AttemptId, reporter: Reporter) {
        let waiting = self.reports.entry(attempt).or_default();
        // A worker that repeats its report has given up the call before.
        waiting.retain(|reporter| !reporter.verdict.is_closed());
        waiting.push(reporter);
    }

    /// The reports of `attempt` that wait until it is published.
    pub(super) fn take_reports(&mut self, attempt: AttemptId) -> Vec<Reporter> {
        self.reports.remove(&attempt).unwrap_or_default()
    }

    /// Whether a report of `attempt` waits until it is published.
    pub(super) fn has_report(&self, attempt: AttemptId) -> bool {
        self.reports.contains_key(&attempt)
    }
}

#[cfg(test)]
mod tests {
    use scheduler::TaskId;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn repeated_report_replaces_the_call_that_was_given_up() {
        let attempt = AttemptId { task: TaskId::map(0), number: 0 };
        let mut pending = PendingCalls::default();
        let mut report = |given_up: bool| {
            let (verdict, answer) = oneshot::channel();
            pending.hold_report(attempt, Reporter { verdict, next: None });
            (!given_up).then_some(answer)
        };
        let _answers = [report(true), report(false), report(false)];

        assert_eq!(pending.take_reports(attempt).len(), 2);
        assert!(!pending.has_report(attempt));
    }
}
