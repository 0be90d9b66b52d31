//! Places at which a test can strike a process. In a build for users there are none.
//!
//! The feature `armed` is switched on by dependencies of tests alone. Without it a place is an
//! empty function, and the crate behind it is not even compiled. With it, places do what the
//! environment variable `FAILPOINTS` said when the process started:
//!
//! ```text
//! FAILPOINTS='driver::answer=return(kill)'                  the first time anything gets there
//! FAILPOINTS='driver::answer@reduce=1*off->return(kill)'    the second time a reduce task does
//! FAILPOINTS='driver::appended@map=return(28)'              the disk is full
//! FAILPOINTS='worker::map@3=panic'                          map task 3 meets a defect
//! FAILPOINTS='worker::map@3=return(abort)'                  ... or one that does not unwind
//! FAILPOINTS='worker::map@3=return(hang)'                   it never ends and never looks up
//! FAILPOINTS='worker::map@3=return(hoard)'                  it takes all memory it can get
//! FAILPOINTS='worker::memory=return(0)'                     no memory for words: all become runs
//! ```
//!
//! `return(kill)` ends the process there and then, as `kill -9` does. Where a disk may refuse, a
//! number is the error of the operating system. `sleep`, `pause`, `panic` and chances work as in
//! the crate `fail`.
//!
//! Deliberately absent: mistakes. No place changes what the code around it decides.

#[cfg(feature = "armed")]
pub use armed::{arm, limit, reach, refuse, tear};
#[cfg(not(feature = "armed"))]
pub use harmless::{arm, limit, reach, refuse, tear};

#[cfg(feature = "armed")]
mod armed;
#[cfg(not(feature = "armed"))]
mod harmless;
