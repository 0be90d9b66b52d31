//! Credentials of a driver and its callers: valid ones work, and others are refused, for the stated
//! reason, at both ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod authority;
mod driver;
mod frames;
mod log;
mod other_servers;
mod raw;
mod roles;
mod rotation;
mod slow;
mod tls;
