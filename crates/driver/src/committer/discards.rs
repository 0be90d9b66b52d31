//! Removes the empty staging folders of attempts that are committed.
//!
//! A folder takes a disk as long to remove as a file to rename, and no answer depends on it. So a
//! separate thread removes them in parallel with the commits. Removed at the end of the job, 40,000
//! of them took twice as long as the job itself; removed only while the committer is idle, they
//! pile up to the end when it is busy. Workers cannot remove them: a worker that has its next task
//! already does not learn when the files of the last one have moved.
//!
//! The queue is bounded: when commits are faster than removals, the committer waits (backpressure).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rpc::text::with_causes;
use store::{Staging, Store};

/// The staging folders that are to be removed, and the thread that removes them.
///
/// # Invariants
///
/// * At most `max` folders wait, and one more is being removed.
pub(crate) struct Discards {
    store: Arc<dyn Store>,
    max: usize,
    /// Folders that the caller's thread removes: all of them, until there is a thread for it.
    waiting: VecDeque<Staging>,
    thread: Option<Thread>,
}

struct Thread {
    queue: SyncSender<Staging>,
    /// How many were queued and are not removed.
    left: Arc<AtomicU64>,
    handle: JoinHandle<()>,
}

impl Discards {
    /// Without a thread, until [`use_a_thread`](Self::use_a_thread).
    pub(crate) fn new(store: Arc<dyn Store>, max: usize) -> Self {
        Self { store, max, waiting: VecDeque::new(), thread: None }
    }

    pub(crate) fn use_a_thread(&mut self) -> io::Result<()> {
        let (queue, stagings) = sync_channel(self.max);
        let (store, left) = (Arc::clone(&self.store), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&left);
        let thread = std::thread::Builder::new().name("discards".to_owned());
        let handle = thread.spawn(move || run(&*store, &stagings, &counted))?;
        self.thread = Some(Thread { queue, left, handle });
        Ok(())
    }

    /// Queues `staging` for removal. Waits while too many are queued.
    pub(super) fn add(&mut self, staging: Staging) {
        let Some(Thread { queue, left, .. }) = &self.thread else {
            self.waiting.push_back(staging);
            if self.waiting.len() > self.max {
                self.carry_out_one();
            }
            return;
        };
        left.fetch_add(1, Ordering::Relaxed);
        // Without a receiver the thread has panicked: the folder is swept at the end of the job.
        let _ = queue.send(staging);
    }

    /// Removes one of the folders left to the caller's thread; `false` if there is none.
    pub(super) fn carry_out_one(&mut self) -> bool {
        let staging = self.waiting.pop_front();
        staging.inspect(|staging| discard(&*self.store, staging)).is_some()
    }

    /// How many are not removed yet.
    pub(super) fn left(&self) -> u64 {
        let queued = self.thread.as_ref().map_or(0, |thread| thread.left.load(Ordering::Relaxed));
        queued + self.waiting.len() as u64
    }

    /// Returns when all are removed.
    pub(super) fn finish(&mut self) {
        while self.carry_out_one() {}
        if let Some(Thread { queue, handle, .. }) = self.thread.take() {
            drop(queue);
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn run(store: &dyn Store, stagings: &Receiver<Staging>, left: &AtomicU64) {
    for staging in stagings {
        discard(store, &staging);
        left.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Removes what an attempt has staged and not published.
pub(super) fn discard(store: &dyn Store, staging: &Staging) {
    if let Err(error) = store.discard(staging) {
        // It is swept at the end of the job, and again at the start of the next.
        tracing::warn!(%staging, error = with_causes(&error), "staging is left behind for now");
    }
}

/// They take a second where a disk needs a millisecond for each. Chosen by eye.
pub(crate) const DISCARDS_MAX: usize = 1000;
