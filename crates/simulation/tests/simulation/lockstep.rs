//! Blocking code in simulated time: a thread that runs only while the simulation waits for it.
//!
//! Attempts and commits are plain blocking code, and have threads in a real process. Here they have
//! threads too, so that other hosts can act between any two of their calls of the store. But such a
//! thread and the simulation take turns and never run at once: a seed always gives the same order.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::freezer::Freezer;
use crate::panics;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

type Ended = Result<(), Box<dyn Any + Send>>;

thread_local! {
    /// This thread's turns, if it takes any.
    static TURNS: RefCell<Option<Turns>> = const { RefCell::new(None) };
}

struct Turns {
    waits: mpsc::SyncSender<Wait>,
    /// Closed when the host has crashed.
    turns: mpsc::Receiver<()>,
}

/// The panic that ends a thread whose host has crashed.
struct Crashed;

/// Waits for `duration`, or not at all outside [`run`]. Does not return if the host crashes
/// meanwhile.
pub fn pause(duration: Duration) {
    if TURNS.with_borrow(Option::is_some) {
        block_on(Box::pin(async move { tokio::time::sleep(duration).await }));
    }
}

/// Waits until `wait` is ready. Only within [`run`]; does not return if the host crashes meanwhile.
pub fn block_on(wait: Wait) {
    let resumes = TURNS.with_borrow(|turns| {
        let Turns { waits, turns } = turns.as_ref().expect("this thread takes turns");
        waits.send(wait).is_ok() && turns.recv().is_ok()
    });
    if !resumes && !std::thread::panicking() {
        panic::resume_unwind(Box::new(Crashed));
    }
}

/// Runs `work` on a thread that takes turns with the caller. Dropping the future ends the thread at
/// its next pause.
pub fn run(work: Box<dyn FnOnce() + Send>) -> Wait {
    run_on(Freezer::default(), work)
}

/// The same on a machine that can be frozen.
pub fn run_on(machine: Freezer, work: Box<dyn FnOnce() + Send>) -> Wait {
    Box::pin(async move {
        machine.thawed().await;
        let mut worker = Worker::start(work);
        while let Ok(wait) = worker.waits.recv() {
            wait.await;
            machine.thawed().await;
            worker.resume();
        }
        worker.end();
    })
}

struct Worker {
    waits: mpsc::Receiver<Wait>,
    turns: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<Ended>>,
}

impl Worker {
    fn start(work: Box<dyn FnOnce() + Send>) -> Self {
        let (waits, waits_seen) = mpsc::sync_channel(1);
        let (turns, turns_seen) = mpsc::sync_channel(1);
        let seed = panics::seed();
        let work = move || {
            panics::set_seed(seed);
            TURNS.set(Some(Turns { waits, turns: turns_seen }));
            let ended = panic::catch_unwind(AssertUnwindSafe(work));
            TURNS.set(None);
            ended
        };
        let thread = std::thread::spawn(work);
        Self { waits: waits_seen, turns: Some(turns), thread: Some(thread) }
    }

    fn resume(&self) {
        let turns = self.turns.as_ref().expect("the turns are there until the worker is dropped");
        turns.send(()).expect("the thread waits for its turn");
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join().expect("the thread catches all panics");
        if let Err(panic) = ended
            && !panic.is::<Crashed>()
            && !std::thread::panicking()
        {
            panic::resume_unwind(panic);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.turns = None;
        self.end();
    }
}
