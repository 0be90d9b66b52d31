//! Checks what neither the compiler nor clippy can: which crate uses which, what is named where.
//!
//! Each rule is a function from files to findings, so that it can be shown a file that breaks it:
//! a rule that cannot fail is noticed. A finding says where, and what to do about it. The
//! invariants (`I7`) are those of `ARCHITECTURE.md`; the rest is house style, see
//! `CONTRIBUTING.md`.
//!
//! Where a rule does not hold everywhere, the places are listed beside it, each with a reason. Such
//! a list only shrinks: an entry that is no longer needed is a finding too.

mod architecture;
mod borders;
mod channels;
mod dependencies;
mod faults;
mod fuzzing;
mod language;
mod links;
mod lints;
mod mutants;
mod proto;
mod security;
mod source;
mod text;
mod tree;
