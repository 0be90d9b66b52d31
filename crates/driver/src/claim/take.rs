//! Takes a claim: waits while another driver holds one, then claims the next epoch.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use store::{ClaimState, Claims, Holder, StoreError};

use super::{BlockingClock, DEAD_AFTER, Hold, LOOK_EVERY, named};

/// What a driver waits for before it starts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// It holds the claim, but the driver before it still has the address: that process is frozen,
    /// or is about to end.
    Address {
        /// As the user wrote it.
        address: String,
    },
    /// Another driver holds the claim.
    Claim {
        /// That driver, if the claim names it.
        holder: Option<Holder>,
        /// After what silence it counts as dead.
        silent_max: Duration,
    },
    /// It copies an input that can be read only once.
    Copy {
        /// What messages call it.
        input: String,
        /// The results folder, in which the copy is.
        files: PathBuf,
        /// Copied so far.
        bytes: u64,
        /// Whether that is all.
        is_complete: bool,
    },
}

impl Waiting {
    /// The holder for a message, in parentheses and after a space; empty if it is not known. What
    /// it says of itself is escaped.
    pub fn named_holder(&self) -> String {
        match self {
            Self::Address { .. } | Self::Copy { .. } => String::new(),
            Self::Claim { holder, .. } => named(holder.as_ref()),
        }
    }
}

/// What a driver does while another one is alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnConflict {
    /// It does not start.
    Refuse,
    /// It waits until the other one has ended or is dead.
    StandBy,
}

/// Why there is no claim. `E` says why the caller does not want it.
#[derive(Debug)]
pub(crate) enum TakeError<E> {
    /// Another driver is alive.
    InUse(Option<Holder>),
    /// The caller stopped waiting.
    Stopped,
    Store(StoreError),
    /// The caller does not want the claim.
    Unwanted(E),
}

/// A claim that was taken.
pub(crate) struct Taken {
    pub(crate) hold: Hold,
    /// Whether another driver held the claim first.
    pub(crate) has_waited: bool,
}

/// Questions to the caller of [`take`], while and after another driver holds the claim.
pub(crate) struct Ask<'a, E> {
    /// Every [`LOOK_EVERY`] while that driver may be alive: whether to continue to wait.
    pub(crate) waiting: &'a mut dyn FnMut(&Waiting) -> ControlFlow<()>,
    /// After the wait, with the epoch of that driver. If it was only paused, a claim stops it, so
    /// an error ends the wait without one.
    pub(crate) is_wanted: &'a mut dyn FnMut(u64) -> Result<(), E>,
}

/// Claims an epoch above `above` for `holder`, once no driver holds the highest. Until then,
/// `waiting` is called every [`LOOK_EVERY`].
///
/// # Errors
///
/// When another driver is alive and `on_conflict` is to refuse; when `waiting` returns `Break` or
/// `is_wanted` an error; when the store refuses.
pub(crate) fn take<E>(
    claims: &Arc<dyn Claims>,
    (holder, above): (&Holder, u64),
    on_conflict: OnConflict,
    clock: &dyn BlockingClock,
    Ask { waiting, is_wanted }: Ask<'_, E>,
) -> Result<Taken, TakeError<E>> {
    // The claim that was seen last, its state, and since when it is in that state.
    let mut seen = None;
    loop {
        let last = claims.list().map_err(TakeError::Store)?.last().copied();
        let claim = match last {
            Some(epoch) => claims.look(epoch).map_err(TakeError::Store)?,
            None => None,
        };
        let now = clock.now();
        let state = claim.as_ref().map(|claim| claim.state);
        let (since, has_moved) = match seen {
            Some((epoch, before, since)) if epoch == last && before == state => (since, false),
            Some((epoch, ..)) => (now, epoch == last),
            None => (now, false),
        };
        let is_held = matches!(state, Some(ClaimState::Held(_)));
        let holder_of_claim = claim.and_then(|claim| claim.holder);
        if is_held && has_moved && on_conflict == OnConflict::Refuse {
            return Err(TakeError::InUse(holder_of_claim));
        }
        let silent_for = now.saturating_duration_since(since);
        if !is_held || silent_for >= DEAD_AFTER {
            let has_waited = seen.is_some();
            if let Some(epoch) = last.filter(|_| has_waited) {
                is_wanted(epoch).map_err(TakeError::Unwanted)?;
            }
            let next = last.unwrap_or(0).max(above) + 1;
            let hold = try_claim(claims, holder, next, clock).map_err(TakeError::Store)?;
            if let Some(hold) = hold {
                return Ok(Taken { hold, has_waited });
            }
            // Another driver was faster: from now on, its claim is watched.
        }
        seen = Some((last, state, since));
        let told = Waiting::Claim { holder: holder_of_claim, silent_max: DEAD_AFTER };
        if is_held && waiting(&told).is_break() {
            return Err(TakeError::Stopped);
        }
        clock.sleep(LOOK_EVERY);
    }
}

fn try_claim(
    claims: &Arc<dyn Claims>,
    holder: &Holder,
    epoch: u64,
    clock: &dyn BlockingClock,
) -> Result<Option<Hold>, StoreError> {
    let now = clock.now();
    if !claims.claim(epoch, holder)? {
        return Ok(None);
    }
    faults::reach("driver::claimed", "");
    // A driver that was slow to get here may have claimed an epoch that was removed meanwhile.
    if claims.list()?.last() != Some(&epoch) {
        claims.remove(epoch)?;
        return Ok(None);
    }
    Ok(Some(Hold::new(Arc::clone(claims), epoch, now)))
}
