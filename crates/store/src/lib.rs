//! Names to bytes: staged hidden, published at once, verified on every read.
//!
//! A worker writes what it makes below a [`Staging`] folder nobody looks into. The driver checks it
//! and gives it its final name in one step, so no reader ever sees half an object and no worker,
//! dead or late, can touch a final name. Every object travels with its [`Digest`]; whoever reads it
//! checks it again ([`VerifiedReader`]).
//!
//! The trait is [`Store`]; [`Local`] keeps it in a folder of a POSIX file system (local, or NFSv4
//! with its close-to-open rules). What another store must do as well is written in `contract.rs`.
//!
//! Beside the store stand the user's own files, which are only ever read: [`list_inputs`] plans
//! them, [`InputFile`] reads them and notices when they change under the job.
//!
//! Deliberately absent: any idea of what is in the bytes, async code, retries, clocks, and
//! decisions. Whether an attempt counts is the scheduler's to say. A sync that failed is not tried
//! again: after it the kernel may have dropped the bytes, and a second sync would succeed without
//! them.

pub mod layout;

mod anchor;
mod digest;
mod error;
mod input;
pub mod journal_file;
mod local;
mod lock;
mod owner;
mod roots;
mod store;
mod survey;
mod verified;
mod walk;

#[cfg(test)]
mod contract;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
#[cfg(test)]
mod watchdog;

pub use digest::{Digest, Digester};
pub use error::{Loss, Operation, StoreError, is_full};
pub use input::{Input, InputError, InputFile, Modified};
pub use layout::{BadName, Folder, Name, Staging};
pub use local::Local;
pub use lock::{FolderLock, LockError};
pub use owner::{OwnerError, require_ownership};
pub use roots::{Roots, below};
pub use store::{Check, Durability, Object, StagedObject, Store};
pub use survey::{Survey, survey};
pub use verified::{VerifiedObject, VerifiedReader};
pub use walk::list_inputs;
