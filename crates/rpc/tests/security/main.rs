//! What a driver and its callers show each other: what is right works, and what is not is refused,
//! for the stated reason, at both ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod authority;
mod driver;
mod frames;
mod log;
mod raw;
mod roles;
mod rotation;
mod slow;
mod tls;
