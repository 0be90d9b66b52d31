//! The claims of drivers, in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Beat, Claim, ClaimState, Claims, Holder, Operation, StoreError};

/// Claims of drivers on one machine, of which one runs at a time: whatever the last one has not
/// released was held by a driver that has crashed.
#[derive(Clone, Default)]
pub struct SimulatedClaims(Arc<Mutex<BTreeMap<u64, Claim>>>);

impl SimulatedClaims {
    fn claims(&self) -> MutexGuard<'_, BTreeMap<u64, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, epoch: u64, state: ClaimState) -> Result<(), StoreError> {
        match self.claims().get_mut(&epoch) {
            Some(claim) => {
                claim.state = state;
                Ok(())
            }
            None => Err(StoreError::Refused {
                operation: Operation::Renew,
                place: PathBuf::from(format!("claim {epoch}")),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }
}

impl Claims for SimulatedClaims {
    fn list(&self) -> Result<Vec<u64>, StoreError> {
        Ok(self.claims().keys().copied().collect())
    }

    fn claim(&self, epoch: u64, holder: &Holder) -> Result<bool, StoreError> {
        let mut claims = self.claims();
        if claims.contains_key(&epoch) {
            return Ok(false);
        }
        let state = ClaimState::Held(Some(Beat::FIRST));
        claims.insert(epoch, Claim { holder: Some(holder.clone()), state });
        Ok(true)
    }

    fn look(&self, epoch: u64) -> Result<Option<Claim>, StoreError> {
        let claim = self.claims().get(&epoch).cloned();
        Ok(claim.map(|claim| match claim.state {
            ClaimState::Held(_) => Claim { state: ClaimState::Dead, ..claim },
            ClaimState::Dead | ClaimState::Released => claim,
        }))
    }

    fn renew(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.change(epoch, ClaimState::Held(Some(beat.next())))
    }

    fn release(&self, epoch: u64, _beat: Beat) -> Result<(), StoreError> {
        self.change(epoch, ClaimState::Released)
    }

    fn remove(&self, epoch: u64) -> Result<(), StoreError> {
        self.claims().remove(&epoch);
        Ok(())
    }
}
