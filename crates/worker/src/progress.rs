//! What the text thread and the heartbeat share: how far the attempt is, and whether to continue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rpc::message::{Attempt, Running};
use tokio::sync::watch;

use crate::failure::Interrupted;

/// One attempt's counters. The text thread counts up, the heartbeat reads.
#[derive(Debug)]
pub(crate) struct Progress {
    attempt: Attempt,
    /// Grows with everything that brings the attempt closer to its end.
    steps: AtomicU64,
    bytes: AtomicU64,
    words: AtomicU64,
    abandoned: watch::Sender<bool>,
}

impl Progress {
    pub(crate) fn new(attempt: Attempt) -> Arc<Self> {
        Arc::new(Self {
            attempt,
            steps: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            words: AtomicU64::new(0),
            abandoned: watch::Sender::new(false),
        })
    }

    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    // The counters are relaxed: each is a number of its own, and nothing depends on two of them
    // together.

    /// The attempt has made progress, of whatever kind.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The attempt has made progress, and stops if it is abandoned.
    pub(crate) fn advance(&self) -> Result<(), Interrupted> {
        self.step();
        self.check_abandoned()
    }

    /// Stops the attempt if it is abandoned.
    pub(crate) fn check_abandoned(&self) -> Result<(), Interrupted> {
        if self.is_abandoned() { Err(Interrupted::Abandoned) } else { Ok(()) }
    }

    /// `bytes` more were read; `words` is the total so far.
    pub(crate) fn read(&self, bytes: u64, words: u64) {
        self.step();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.words.store(words, Ordering::Relaxed);
    }

    /// The attempt is no longer needed.
    pub(crate) fn abandon(&self) {
        self.abandoned.send_replace(true);
    }

    /// Ready once the attempt is abandoned.
    pub(crate) async fn abandoned(&self) {
        // The sender lives as long as this future borrows it.
        let _ = self.abandoned.subscribe().wait_for(|abandoned| *abandoned).await;
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        *self.abandoned.borrow()
    }

    pub(crate) fn running(&self) -> Running {
        Running {
            attempt: self.attempt,
            progress: self.steps.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            words: self.words.load(Ordering::Relaxed),
        }
    }
}

/// The attempt that the worker is executing or reporting, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct CurrentAttempt(Arc<Mutex<Option<Arc<Progress>>>>);

impl CurrentAttempt {
    pub(crate) fn set(&self, progress: Option<Arc<Progress>>) {
        *self.lock() = progress;
    }

    pub(crate) fn get(&self) -> Option<Arc<Progress>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Progress>>> {
        // Nothing can panic while it is held, and one assignment is never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
