//! Names to bytes: staged hidden, published at once, verified on every read.
//!
//! A worker writes its objects below a [`Staging`] folder, where no reader looks. The driver checks
//! them and gives each its final name in one step, so no reader ever sees half an object and no
//! worker, dead or late, can touch a final name. Every object travels with its [`Digest`], and each
//! reader checks it again ([`VerifiedReader`]).
//!
//! The trait is [`Store`]; [`Local`] implements it in a folder of a POSIX file system (local, or
//! NFSv4 with its close-to-open rules). `contract.rs` tests what every other store must do as well.
//!
//! Beside the store are the user's own files, which are only read: [`Arguments`] lists them,
//! [`InputFile`] reads them and notices when they change during the job. What can be read only once
//! ([`Stream`]) is copied first ([`InputCopy`]).
//!
//! Deliberately absent: the meaning of the bytes, async code, retries, clocks, and decisions: the
//! scheduler decides whether an attempt counts. A sync that failed is not repeated: after it the
//! kernel may have dropped the bytes, and a second sync would succeed without them.

pub mod layout;

mod anchor;
mod claims;
mod digest;
pub mod duration;
mod error;
mod input;
mod input_error;
pub mod journal_file;
mod local;
mod lock;
mod owner;
mod roots;
mod store;
mod stream;
mod survey;
mod verified;
mod walk;

#[cfg(test)]
mod contract;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
#[cfg(test)]
mod watchdog;

pub use claims::{Beat, Claim, ClaimState, Claims, Holder, LocalClaims, Sign, host_name};
pub use digest::{Digest, Digester};
pub use error::{Loss, Operation, StoreError, is_full};
pub use input::{Input, InputFile, ListedFile, Modified};
pub use input_error::InputError;
pub use layout::{BadName, Folder, Name, Staging, is_input_copy, shown_input};
pub use local::{InputCopy, Local};
pub use lock::{FolderLock, LockError};
pub use owner::{OwnerError, Users, require_ownership};
pub use roots::{Roots, below};
pub use store::{Durability, Identity, Object, StagedObject, Store};
pub use stream::{OpenStream, Stream};
pub use survey::{Survey, survey};
pub use verified::{VerifiedObject, VerifiedReader};
pub use walk::{Arguments, Filter, LeftOut, Listing, ListingNotes, Repeated, list_inputs};
