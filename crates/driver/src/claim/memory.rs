//! Claims in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use store::{Beat, Claim, ClaimState, Claims, Holder, Operation, StoreError};

use super::Hold;

#[derive(Default)]
pub(crate) struct MemoryClaims {
    claims: Mutex<BTreeMap<u64, Claim>>,
    /// While `true`, every call is refused.
    pub(crate) is_broken: Mutex<bool>,
    /// Epochs whose claim was removed, and made again by another driver.
    pub(crate) remade: Mutex<BTreeSet<u64>>,
    /// An epoch that another driver claims at the same time as the next claim is made.
    pub(crate) claimed_meanwhile: Mutex<Option<u64>>,
}

impl MemoryClaims {
    /// Sets the state of a claim, as if its holder had renewed it, ended or died.
    pub(crate) fn set(&self, epoch: u64, state: ClaimState) {
        let holder = Some(Holder { host: format!("h{epoch}"), ..Holder::default() });
        self.claims.lock().unwrap().insert(epoch, Claim { holder, state });
    }

    /// A driver has claimed an epoch, and has not said yet which one it is.
    pub(crate) fn set_unnamed(&self, epoch: u64) {
        let claim = Claim { holder: None, state: ClaimState::Held(None) };
        self.claims.lock().unwrap().insert(epoch, claim);
    }

    pub(crate) fn state(&self, epoch: u64) -> Option<ClaimState> {
        self.claims.lock().unwrap().get(&epoch).map(|claim| claim.state)
    }

    fn usable(&self) -> Result<(), StoreError> {
        if *self.is_broken.lock().unwrap() {
            let (operation, place) = (Operation::List, PathBuf::from("claims"));
            let source = io::Error::other("injected");
            return Err(StoreError::Refused { operation, place, source });
        }
        Ok(())
    }

    fn change(&self, epoch: u64, state: ClaimState) -> Result<(), StoreError> {
        self.usable()?;
        match self.claims.lock().unwrap().get_mut(&epoch) {
            Some(claim) => claim.state = state,
            None => {
                let (operation, place) = (Operation::Renew, PathBuf::from("claims"));
                let source = io::ErrorKind::NotFound.into();
                return Err(StoreError::Refused { operation, place, source });
            }
        }
        Ok(())
    }
}

impl Claims for MemoryClaims {
    fn list(&self) -> Result<Vec<u64>, StoreError> {
        self.usable()?;
        Ok(self.claims.lock().unwrap().keys().copied().collect())
    }

    fn claim(&self, epoch: u64, holder: &Holder) -> Result<bool, StoreError> {
        self.usable()?;
        let mut claims = self.claims.lock().unwrap();
        if claims.contains_key(&epoch) {
            return Ok(false);
        }
        let state = ClaimState::Held(Some(Beat::FIRST));
        claims.insert(epoch, Claim { holder: Some(holder.clone()), state });
        if let Some(other) = self.claimed_meanwhile.lock().unwrap().take() {
            claims.insert(other, Claim { holder: None, state });
        }
        Ok(true)
    }

    fn is_own(&self, epoch: u64) -> Result<bool, StoreError> {
        self.usable()?;
        let is_there = self.claims.lock().unwrap().contains_key(&epoch);
        Ok(is_there && !self.remade.lock().unwrap().contains(&epoch))
    }

    fn look(&self, epoch: u64) -> Result<Option<Claim>, StoreError> {
        self.usable()?;
        Ok(self.claims.lock().unwrap().get(&epoch).cloned())
    }

    fn renew(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.change(epoch, ClaimState::Held(Some(beat.next())))
    }

    fn release(&self, epoch: u64, _beat: Beat) -> Result<(), StoreError> {
        self.change(epoch, ClaimState::Released)
    }

    fn remove(&self, epoch: u64) -> Result<(), StoreError> {
        self.usable()?;
        self.claims.lock().unwrap().remove(&epoch);
        Ok(())
    }
}

/// A claim of epoch 1, which is renewed without a thread.
pub(crate) fn hold(claims: &Arc<MemoryClaims>) -> Hold {
    const HOUR: Duration = Duration::from_secs(3600);
    claims.set(1, ClaimState::Held(Some(Beat::FIRST)));
    let now = Instant::now();
    let hold = Hold::new(Arc::clone(claims) as Arc<dyn Claims>, 1, now);
    hold.state().renewed = now + HOUR;
    hold
}
