//! The claims of drivers in the shared folder, and what each driver does to the folder.
//!
//! As on a real one, a claim is a folder that is created exclusively, and then filled. A driver is
//! known to be dead on its own machine alone, and only as long as the machine was not started
//! again.
//!
//! A driver looks at the claims before each of its acts. So what an act changes after another
//! driver has claimed a later epoch can only be that of the last look before: a second act is a
//! finding, even if the results are right.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Beat, Claim, ClaimState, Claims, Holder, Operation, StoreError};

use crate::disk::SimulatedDisk;
use crate::random::Random;
use crate::shared_store::SharedStore;

/// The claims, on all machines.
#[derive(Clone, Debug)]
pub struct SimulatedClaims(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: Random,
    claims: BTreeMap<u64, Folder>,
    /// The highest epoch that was ever claimed.
    highest: u64,
    machines: Vec<Machine>,
    drivers: u64,
    /// A driver has done the job: no user starts another.
    is_done: bool,
    findings: Vec<String>,
}

/// What is in the folder of a claim.
#[derive(Clone, Debug)]
struct Folder {
    by: Identity,
    holder: Option<Holder>,
    beat: Option<Beat>,
    is_released: bool,
}

/// A driver, from its start to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Identity {
    machine: usize,
    /// How often the machine was started.
    boot: u64,
    number: u64,
}

#[derive(Clone, Debug, Default)]
struct Machine {
    boot: u64,
    /// The driver that runs, if one does.
    running: Option<u64>,
}

/// A change of the folder that a driver makes after it has looked at the claims.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Act {
    /// Everything up to the beginning of its epoch.
    Start,
    /// What an attempt has staged gets its final names.
    Publish(String),
    /// Records become durable.
    Record(u64),
    /// Objects are removed.
    Remove,
    /// What is staged is removed.
    Sweep(u64),
}

/// A driver that runs, as the folder sees it.
#[derive(Debug)]
pub struct DriverProcess {
    claims: SimulatedClaims,
    store: SharedStore,
    disk: SimulatedDisk,
    identity: Identity,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct Own {
    /// What it has claimed.
    epoch: Option<u64>,
    has_begun: bool,
    lists: u64,
    acts: u64,
    /// After another driver has claimed a later epoch.
    late: BTreeSet<Act>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedClaims {
    pub fn new(random: &Random, machines: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: random.fork(),
            claims: BTreeMap::new(),
            highest: 0,
            machines: vec![Machine::default(); machines],
            drivers: 0,
            is_done: false,
            findings: Vec::new(),
        })))
    }

    /// A driver starts on `machine`.
    pub fn start(
        &self,
        machine: usize,
        store: &SharedStore,
        disk: &SimulatedDisk,
    ) -> Arc<DriverProcess> {
        let mut state = self.state();
        state.drivers += 1;
        let (number, boot) = (state.drivers, state.machines[machine].boot);
        state.machines[machine].running = Some(number);
        Arc::new(DriverProcess {
            claims: self.clone(),
            store: store.clone(),
            disk: disk.clone(),
            identity: Identity { machine, boot, number },
            own: Mutex::default(),
        })
    }

    /// The driver on `machine` has ended, or was killed.
    pub fn end(&self, machine: usize) {
        self.state().machines[machine].running = None;
    }

    /// `machine` is started again.
    pub fn restart(&self, machine: usize) {
        self.state().machines[machine].boot += 1;
    }

    /// Loses claims that were not synced: none of them is ever synced.
    pub fn power_failure(&self) {
        let mut state = self.state();
        let random = state.random.clone();
        state.claims.retain(|_, _| random.percent(70));
        state.highest = state.claims.keys().last().copied().unwrap_or(0);
    }

    /// A driver has done the job.
    pub fn finish(&self) {
        self.state().is_done = true;
    }

    /// The highest epoch that was ever claimed.
    pub fn highest(&self) -> u64 {
        self.state().highest
    }

    pub fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl DriverProcess {
    pub fn machine(&self) -> usize {
        self.identity.machine
    }

    /// Its journal has its name.
    pub fn begin(&self) {
        lock(&self.own).has_begun = true;
    }

    /// Reports a change of the folder.
    pub fn act(&self, act: fn(u64) -> Act) {
        let mut own = lock(&self.own);
        own.acts += 1;
        let act = if own.has_begun { act(own.acts) } else { Act::Start };
        self.add(&mut own, act);
    }

    /// Reports that what `staging` holds gets its final names.
    pub fn publish(&self, staging: &str) {
        self.add(&mut lock(&self.own), Act::Publish(staging.to_owned()));
    }

    fn add(&self, own: &mut Own, act: Act) {
        let (epoch, mut state) = (own.epoch.unwrap_or(0), self.claims.state());
        if state.highest <= epoch {
            return;
        }
        own.late.insert(act);
        if own.late.len() > 1 {
            let (highest, late) = (state.highest, &own.late);
            state.findings.push(format!(
                "epoch {epoch} changed the folder without a look after epoch {highest} was claimed: \
                 {late:?}"
            ));
        }
    }

    /// Before any call: time passes, and it may fail.
    fn call(&self, operation: Operation) -> Result<MutexGuard<'_, State>, StoreError> {
        self.store.call_briefly(operation)?;
        Ok(self.claims.state())
    }

    /// As if the answer was lost.
    fn answer(&self, operation: Operation) -> Result<(), StoreError> {
        self.store.call_briefly(operation)
    }

    fn change(
        &self,
        epoch: u64,
        beat: Beat,
        change: impl Fn(&mut Folder),
    ) -> Result<(), StoreError> {
        let missing = || StoreError::Refused {
            operation: Operation::Renew,
            place: PathBuf::from(format!("claim {epoch}")),
            source: io::ErrorKind::NotFound.into(),
        };
        let mut state = self.call(Operation::Renew)?;
        let folder = state.claims.get_mut(&epoch).ok_or_else(missing)?;
        if folder.is_released || folder.beat != Some(beat) {
            return Err(missing());
        }
        change(folder);
        Ok(())
    }
}

/// The claims as the driver sees them.
#[derive(Clone)]
pub struct DriverClaims(pub Arc<DriverProcess>);

impl Claims for DriverClaims {
    fn list(&self) -> Result<Vec<u64>, StoreError> {
        let state = self.0.call(Operation::List)?;
        lock(&self.0.own).lists += 1;
        Ok(state.claims.keys().copied().collect())
    }

    fn claim(&self, epoch: u64, holder: &Holder) -> Result<bool, StoreError> {
        let (process, operation) = (&*self.0, Operation::Create);
        let mut state = process.call(operation)?;
        if state.claims.contains_key(&epoch) {
            return Ok(false);
        }
        if state.is_done && lock(&process.own).lists == 1 {
            // It would do a job anew that was done since it was started.
            let place = PathBuf::from("the job is done");
            return Err(StoreError::Refused { operation, place, source: io::Error::other("done") });
        }
        let by = process.identity;
        let folder = Folder { by, holder: None, beat: None, is_released: false };
        state.claims.insert(epoch, folder);
        state.highest = state.highest.max(epoch);
        drop(state);
        lock(&process.own).epoch = Some(epoch);
        process.disk.create_claim(epoch);
        process.answer(operation)?;
        if let Some(folder) = process.claims.state().claims.get_mut(&epoch) {
            folder.holder = Some(holder.clone());
            folder.beat = Some(Beat::FIRST);
        }
        process.answer(operation)?;
        Ok(true)
    }

    fn is_own(&self, epoch: u64) -> Result<bool, StoreError> {
        let state = self.0.call(Operation::List)?;
        Ok(state.claims.get(&epoch).is_some_and(|folder| folder.by == self.0.identity))
    }

    fn look(&self, epoch: u64) -> Result<Option<Claim>, StoreError> {
        let state = self.0.call(Operation::List)?;
        let Some(folder) = state.claims.get(&epoch) else { return Ok(None) };
        let (own, by) = (self.0.identity, folder.by);
        let is_here = (by.machine, by.boot) == (own.machine, own.boot);
        let is_running = by != own && state.machines[by.machine].running == Some(by.number);
        let claim_state = if folder.is_released {
            ClaimState::Released
        } else if folder.holder.is_some() && is_here && !is_running {
            ClaimState::Dead
        } else {
            ClaimState::Held(folder.beat)
        };
        Ok(Some(Claim { holder: folder.holder.clone(), state: claim_state }))
    }

    fn renew(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.0.change(epoch, beat, |folder| folder.beat = Some(beat.next()))
    }

    fn release(&self, epoch: u64, beat: Beat) -> Result<(), StoreError> {
        self.0.change(epoch, beat, |folder| folder.is_released = true)
    }

    fn remove(&self, epoch: u64) -> Result<(), StoreError> {
        self.0.call(Operation::Remove)?.claims.remove(&epoch);
        self.0.disk.remove_claim(epoch);
        Ok(())
    }
}
