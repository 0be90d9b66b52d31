//! A test that would hang fails instead.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The result of `work`, which must not block for ever.
#[track_caller]
pub(crate) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    // The thread is not joined: if it hangs, it ends with the test process.
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).expect("it panicked, or blocks for ever")
}

/// A thousand times what such a test takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);
