//! Proves: whole jobs on a simulated network, clock and disk, with faults of every kind.
//!
//! This crate has no code of its own. Its tests run the real driver and the real worker under one
//! seed, and no other crate may depend on them.
