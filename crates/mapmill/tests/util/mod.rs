//! What the tests of the whole program have in common. Each test binary uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod cluster;
pub mod command;
pub mod job;
pub mod journal;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod runs;
