//! Ends a worker of `mapmill run` together with its parent, however the parent ends.
//!
//! The parent holds the other end of a pipe, and never writes: when it is gone, even by SIGKILL,
//! the system closes the pipe, and a read returns. This works at every moment, also when the parent
//! dies before the worker has read for the first time. `PR_SET_PDEATHSIG` does not: it follows the
//! thread that started the process, and misses a parent that is dead when it is set.

use std::io::{self, Read};
use std::thread;

use crate::messages::{Failure, SystemError};

/// Runs `orphaned` when the parent has ended: stdin is the pipe.
pub(crate) fn watch(orphaned: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let wait = || {
        let mut stdin = io::stdin().lock();
        let is_open = |read: io::Result<usize>| match read {
            Ok(bytes) => bytes > 0,
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        };
        while is_open(stdin.read(&mut [0; 16])) {}
        orphaned();
    };
    let started = thread::Builder::new().name("lifeline".to_owned()).spawn(wait);
    started.map(drop).map_err(|error| Failure::start(SystemError::new("start a thread", error)))
}
