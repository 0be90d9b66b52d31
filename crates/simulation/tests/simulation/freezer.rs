//! A machine that can be frozen: its clock advances, its tasks and threads do not.
//!
//! Wrapped are all futures of a driver that act: its loop, its threads ([`crate::lockstep`]), the
//! acceptance of connections, and every read and write of one. The tasks of the server are left to
//! run: without connections they can only call the loop.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Of one machine. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Freezer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_frozen: bool,
    /// In the order in which they are woken.
    wakers: Vec<Waker>,
}

impl Freezer {
    /// From now on nothing of the machine runs.
    pub fn freeze(&self) {
        self.state().is_frozen = true;
    }

    pub fn thaw(&self) {
        let wakers = {
            let mut state = self.state();
            state.is_frozen = false;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ready while the machine is not frozen.
    pub fn poll_thawed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.is_frozen {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !state.wakers.iter().any(|other| other.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    pub async fn thawed(&self) {
        std::future::poll_fn(|context| self.poll_thawed(context)).await;
    }

    /// Runs `work` on this machine.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        std::future::poll_fn(|context| match self.poll_thawed(context) {
            Poll::Ready(()) => Pin::new(&mut work).poll(context),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
