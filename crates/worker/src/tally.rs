//! What a worker has done, for the line at its end.

use rpc::message::Outcome;
use tokio::time::Instant;

use crate::notice::Notice;
use crate::progress::CurrentAttempt;

/// Counts from the first registration on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// `None`: this worker has never been registered.
    began: Option<Instant>,
    done: Counts,
    /// The task of the current attempt, if its success was reported.
    last: Counts,
    /// Read by all attempts, whatever their result.
    bytes: u64,
}

/// Tasks.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    map_tasks: u64,
    reduce_tasks: u64,
}

impl Tally {
    pub(crate) fn registered(&mut self) {
        self.began.get_or_insert_with(Instant::now);
    }

    /// A worker reports, and waits with the same call for its next task: it may end before a driver
    /// has answered. The task counts unless the answer is that it does not.
    pub(crate) fn reported(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(_) => self.last = Counts::default(),
            Outcome::Mapped { .. } => self.last = Counts { map_tasks: 1, reduce_tasks: 0 },
            Outcome::Reduced { .. } => self.last = Counts { map_tasks: 0, reduce_tasks: 1 },
        }
    }

    /// Nothing of the last report counts.
    pub(crate) fn discard(&mut self) {
        self.last = Counts::default();
    }

    /// The current attempt is over, if there is one.
    pub(crate) fn end(&mut self, current: &CurrentAttempt) {
        self.bytes += current.get().map_or(0, |progress| progress.running().bytes);
        current.set(None);
        let last = std::mem::take(&mut self.last);
        self.done.map_tasks += last.map_tasks;
        self.done.reduce_tasks += last.reduce_tasks;
    }

    /// `None` for a worker that was never registered: it has done nothing.
    pub(crate) fn notice(&self) -> Option<Notice> {
        let Counts { map_tasks, reduce_tasks } = self.done;
        let lasted = self.began?.elapsed();
        Some(Notice::Ended { map_tasks, reduce_tasks, bytes: self.bytes, lasted })
    }
}
