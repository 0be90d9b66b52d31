//! Proves: whole jobs on a simulated network, clock and disk, with everything going wrong.
//!
//! There is nothing to use here. The tests beside this file run the real driver and the real worker
//! under one seed, and nothing else of the house may depend on that.
