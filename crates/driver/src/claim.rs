//! One driver at a time for a results folder, on all machines that see it (leader election).
//!
//! A driver claims an epoch ([`take()`]) before it reads the journal, and renews its claim every
//! [`RENEW_EVERY`] ([`Claimed`]). Another driver claims the next epoch only when the claim was
//! released, when its holder is proved dead, or when it was not renewed for [`DEAD_AFTER`]. The
//! committer checks before each batch of commits that its epoch is still the highest
//! ([`Hold::check`]); if not, this driver ends, and what it has not recorded does not count.
//!
//! No clocks of two machines are compared: a driver that waits measures on its own monotonic clock
//! for how long the claim made no progress.
//!
//! A driver that could not renew its claim for [`STALE_AFTER`] (it was stopped, its machine was
//! frozen, its file system did not answer) may count as dead for another driver that is about to
//! claim the next epoch. It commits nothing until it has renewed the claim, and [`SETTLE`] has
//! passed since: a driver that has not claimed by then has seen the renewal. Ending instead would
//! be as safe, but would cost the user a job that no other driver has taken over.
//!
//! A driver that is frozen between its check and a `rename` cannot change what its successor relies
//! on (fencing): the files that it would rename were staged before the check, and the successor,
//! once it has the claim, removes everything staged before it reads the journal. The same holds for
//! the journal itself, which each driver writes in its own claim first. `tests/claim_model.rs`
//! checks every order of these steps. What it removes may be its successor's, so it looks again at
//! intervals while it removes (`committer.rs`). One gap remains: one file, if it is frozen in the
//! very call that removes it. An output that is missing or replaced is found before the last record
//! (`committer/outputs.rs`).
//!
//! SeaweedFS finds an open file by its path: what a superseded driver appends to its journal lands
//! in the journal of its successor. So the driver checks before notes too. One gap remains there: a
//! driver that is frozen between its check and the write.

use std::borrow::Borrow;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rpc::text::{escaped, with_causes};
use store::{Beat, Claims, Holder, StoreError};

mod take;

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;

pub(crate) use take::{Ask, TakeError, Taken, take};
pub use take::{OnConflict, Waiting};

/// A monotonic clock, for code that may block its thread.
pub(crate) trait BlockingClock {
    fn now(&self) -> Instant;

    fn sleep(&self, duration: Duration);
}

/// The clock of this machine.
pub(crate) struct MachineClock;

impl BlockingClock for MachineClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Calls `renew`, which renews a claim or checks it, every [`RENEW_EVERY`] until the claim is lost.
pub(crate) async fn keep<Renewing>(mut renew: impl FnMut() -> Renewing) -> ClaimLost
where
    Renewing: Future<Output = Result<(), ClaimLost>>,
{
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(lost) = renew().await {
            return lost;
        }
    }
}

/// A claim that a thread renews until this value is dropped, which releases it.
pub(crate) struct Claimed {
    pub(crate) hold: Arc<Hold>,
    /// Ends the thread when it is dropped.
    stop: Option<SyncSender<()>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Claimed {
    pub(crate) fn new(hold: Hold) -> io::Result<Self> {
        let hold = Arc::new(hold);
        let (stop, stopped) = sync_channel(0);
        let (running, ended) = sync_channel(0);
        let renewed = Arc::clone(&hold);
        std::thread::Builder::new().name("claim".to_owned()).spawn(move || {
            let _running = running;
            let is_stopped = || stopped.recv_timeout(RENEW_EVERY) != Err(RecvTimeoutError::Timeout);
            while !is_stopped() && renewed.renew(&MachineClock).is_ok() {}
        })?;
        Ok(Self { hold, stop: Some(stop), ended })
    }
}

impl Borrow<Hold> for Claimed {
    fn borrow(&self) -> &Hold {
        &self.hold
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.stop = None;
        // Unless the file system does not answer: then the claim is neither released nor renewed.
        if self.ended.recv_timeout(SETTLE) == Err(RecvTimeoutError::Disconnected) {
            self.hold.release();
        }
    }
}

/// A claim that this driver holds, or has held.
pub(crate) struct Hold {
    claims: Arc<dyn Claims>,
    epoch: u64,
    state: Mutex<State>,
}

struct State {
    beat: Beat,
    /// When the last renewal that succeeded began.
    renewed: Instant,
    /// Nothing is committed before this time.
    settled: Instant,
    lost: Option<ClaimLost>,
}

impl State {
    fn new(now: Instant) -> Self {
        Self { beat: Beat::FIRST, renewed: now, settled: now, lost: None }
    }
}

/// Why this driver no longer drives the job.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimLost {
    /// The claim could not be renewed for too long.
    #[error(
        "this driver could not renew its claim for {} s ({refusal}), so another may have taken over",
        STALE_AFTER.as_secs()
    )]
    NotRenewed {
        /// Why the store refused.
        refusal: String,
    },
    /// The claim is gone, and there is no later one.
    #[error("the claim of this driver was removed, so another may have taken over")]
    Removed,
    /// Another driver has claimed a later epoch.
    #[error("another driver took over{}", named(.by.as_ref()))]
    TakenOver {
        /// The other driver, if its claim names it yet.
        by: Option<Holder>,
    },
}

pub(crate) fn named(holder: Option<&Holder>) -> String {
    // Any process that can write in the folder can have written it.
    holder.map_or_else(String::new, |holder| format!(" ({})", escaped(&holder.to_string())))
}

/// Why a listing of the claims does not show that this driver holds the highest.
#[derive(Debug)]
pub(crate) enum LookError {
    Lost(ClaimLost),
    Store(StoreError),
}

impl Hold {
    /// A claim of `epoch` that was made, or renewed, at `now`.
    fn new(claims: Arc<dyn Claims>, epoch: u64, now: Instant) -> Self {
        Self { claims, epoch, state: Mutex::new(State::new(now)) }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Removes the claims of earlier drivers, before the journal is read. A driver that was frozen
    /// before it began its epoch can then no longer begin it: its draft of the journal is in its
    /// claim.
    pub(crate) fn remove_earlier(&self) -> Result<(), StoreError> {
        let mut earlier = self.claims.list()?.into_iter().filter(|&epoch| epoch < self.epoch);
        earlier.try_for_each(|epoch| self.claims.remove(epoch))
    }

    /// Renews the claim, and checks whether another driver has claimed a later epoch.
    ///
    /// # Errors
    ///
    /// When the claim is lost.
    pub(crate) fn renew(&self, clock: &dyn BlockingClock) -> Result<(), ClaimLost> {
        let (began, beat, lost) = {
            let state = self.state();
            (clock.now(), state.beat, state.lost.clone())
        };
        if let Some(lost) = lost {
            return Err(lost);
        }
        // Not the beat of another driver that has claimed the same epoch.
        let looked = self.look();
        let renewed =
            looked.and_then(|()| self.claims.renew(self.epoch, beat).map_err(LookError::Store));
        match renewed {
            Ok(()) => {
                let mut state = self.state();
                state.beat = beat.next();
                if is_stale(state.renewed, began) {
                    state.settled = clock.now() + SETTLE;
                }
                state.renewed = began;
                Ok(())
            }
            // A driver that takes over removes the claim: then a second look finds the later one.
            Err(LookError::Store(error)) => match self.look() {
                Err(lost @ LookError::Lost(_)) => self.refuse(lost, clock.now()),
                Ok(()) | Err(LookError::Store(_)) => {
                    self.refuse(LookError::Store(error), clock.now())
                }
            },
            Err(lost @ LookError::Lost(_)) => self.refuse(lost, clock.now()),
        }
    }

    /// Whether the claim is known to be lost.
    pub(crate) fn is_lost(&self) -> Result<(), ClaimLost> {
        self.state().lost.clone().map_or(Ok(()), Err)
    }

    /// Whether another driver has claimed a later epoch, as far as that can be seen.
    pub(crate) fn is_taken_over(&self) -> bool {
        matches!(self.look(), Err(LookError::Lost(ClaimLost::TakenOver { .. })))
    }

    /// Returns once this driver may commit. Waits while that is unknown.
    ///
    /// # Errors
    ///
    /// When the claim is lost.
    pub(crate) fn check(&self, clock: &dyn BlockingClock) -> Result<(), ClaimLost> {
        loop {
            let is_valid = {
                let (state, now) = (self.state(), clock.now());
                if let Some(lost) = &state.lost {
                    return Err(lost.clone());
                }
                now >= state.settled && !is_stale(state.renewed, now)
            };
            if is_valid {
                match self.look() {
                    // Listing the claims may have taken long.
                    Ok(()) if !is_stale(self.state().renewed, clock.now()) => return Ok(()),
                    Ok(()) => {}
                    Err(error) => self.refuse(error, clock.now())?,
                }
            }
            clock.sleep(CHECK_EVERY);
        }
    }

    /// `lost`, with the driver that has taken over. It may have claimed the folder without having
    /// said yet which one it is: waits for that, up to [`NAMED_WITHIN`].
    pub(crate) fn named(&self, mut lost: ClaimLost, clock: &dyn BlockingClock) -> ClaimLost {
        let ends = clock.now() + NAMED_WITHIN;
        while lost == (ClaimLost::TakenOver { by: None }) && clock.now() < ends {
            clock.sleep(CHECK_EVERY);
            if let Ok(Some(last)) = self.claims.list().map(|epochs| epochs.last().copied()) {
                lost = self.taken_over(last);
            }
        }
        lost
    }

    /// This driver ends: the next one need not wait.
    pub(crate) fn release(&self) {
        let (beat, is_lost) = {
            let state = self.state();
            (state.beat, state.lost.is_some())
        };
        if is_lost {
            return;
        }
        faults::reach("driver::release", "");
        if let Err(error) = self.claims.release(self.epoch, beat) {
            tracing::debug!(error = with_causes(&error), "cannot release the claim");
        }
        faults::reach("driver::released", "");
    }

    /// Checks that this epoch is the highest.
    pub(crate) fn look(&self) -> Result<(), LookError> {
        let epochs = self.claims.list().map_err(LookError::Store)?;
        let lost = match epochs.last() {
            Some(&last) if last > self.epoch => self.taken_over(last),
            Some(&last) if last == self.epoch => {
                if self.claims.is_own(last).map_err(LookError::Store)? {
                    return Ok(());
                }
                ClaimLost::Removed
            }
            Some(_) | None => ClaimLost::Removed,
        };
        Err(LookError::Lost(self.lose(lost)))
    }

    /// Tolerates an error of the store until the claim is stale: then the claim is lost.
    fn refuse(&self, error: LookError, now: Instant) -> Result<(), ClaimLost> {
        let error = match error {
            LookError::Lost(lost) => return Err(lost),
            LookError::Store(error) => error,
        };
        let refusal = with_causes(&error);
        tracing::debug!(error = refusal, "cannot renew the claim");
        let renewed = self.state().renewed;
        match is_stale(renewed, now) {
            true => Err(self.lose(ClaimLost::NotRenewed { refusal })),
            false => Ok(()),
        }
    }

    fn taken_over(&self, by_epoch: u64) -> ClaimLost {
        let claim = self.claims.look(by_epoch).ok().flatten();
        ClaimLost::TakenOver { by: claim.and_then(|claim| claim.holder) }
    }

    /// Keeps the first reason.
    fn lose(&self, lost: ClaimLost) -> ClaimLost {
        self.state().lost.get_or_insert(lost).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another driver may claim the next epoch soon, if the last renewal began at `renewed`.
fn is_stale(renewed: Instant, now: Instant) -> bool {
    now.saturating_duration_since(renewed) >= STALE_AFTER
}

/// How often a driver renews its claim: five renewals may be late or lost before the driver counts
/// as dead.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(2);

/// How long a claim must go without a renewal before another driver takes over.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(10);

/// When a driver that cannot renew its claim stops committing. The difference from [`DEAD_AFTER`]
/// allows for clocks that run at different rates, and for a file system that shows a renewal late.
const STALE_AFTER: Duration = Duration::from_secs(8);

/// How long a driver that was stopped waits to commit after it has renewed its claim. Another
/// driver looks every [`LOOK_EVERY`]; the rest allows for a file system that shows a renewal late.
const SETTLE: Duration = Duration::from_secs(2);

/// How often a waiting driver looks at the claims.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a driver that was superseded waits for the name of its successor. On SeaweedFS another
/// mount shows the file with it up to a second after the folder of the claim.
const NAMED_WITHIN: Duration = Duration::from_secs(3);

/// How often a waiting committer checks the claim again.
const CHECK_EVERY: Duration = Duration::from_millis(50);
