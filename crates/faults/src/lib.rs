//! Fail points: places where a test can make a process fail. A build for users has none.
//!
//! Only dependencies of tests switch on the feature `armed`. Without it a fail point is an empty
//! function, and the crate `fail` is not even compiled. With it, fail points do what the
//! environment variable `FAILPOINTS` said when the process started:
//!
//! ```text
//! FAILPOINTS='driver::answer=return(kill)'                  the first time it is reached
//! FAILPOINTS='driver::answer@reduce=1*off->return(kill)'    the second time by a reduce task
//! FAILPOINTS='driver::appended@map=return(28)'              the disk is full
//! FAILPOINTS='worker::map@3=panic'                          map task 3 triggers a defect
//! FAILPOINTS='worker::map@3=return(abort)'                  ... or one that does not unwind
//! FAILPOINTS='worker::map@3=return(hang)'                   it never ends and never checks
//! FAILPOINTS='worker::map@3=return(hoard)'                  it takes all memory it can get
//! FAILPOINTS='worker::memory=return(0)'                     no memory for words: all become runs
//! ```
//!
//! `return(kill)` ends the process at once, as `kill -9` does. Where a disk may fail, a number is
//! the error of the operating system. `sleep`, `pause`, `panic` and probabilities work as in the
//! crate `fail`.
//!
//! Deliberately absent: planted mistakes. No fail point changes what the code around it decides.

#[cfg(feature = "armed")]
pub use armed::{arm, limit, reach, refuse, tear};
#[cfg(not(feature = "armed"))]
pub use harmless::{arm, limit, reach, refuse, tear};

#[cfg(feature = "armed")]
mod armed;
#[cfg(not(feature = "armed"))]
mod harmless;
