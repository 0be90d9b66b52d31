//! The shared results folder: a store in memory whose calls take time, fail, and lose objects.
//!
//! It outlives the hosts that use it, as a file server does. It also observes: a call that must
//! never happen becomes a finding, even if the results are right.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{
    Digest, Digester, Durability, Folder, Identity, Loss, Name, Object, Operation, StagedObject,
    Staging, Store, StoreError, VerifiedReader, layout,
};

use crate::claims::{Act, DriverProcess};
use crate::lockstep;
use crate::random::Random;
use crate::report::{Fault, Strikes};

/// The folder itself, shared by all hosts.
#[derive(Clone, Debug)]
pub struct SharedStore(Arc<Mutex<State>>);

/// The two kinds of processes that use the folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum User {
    Driver,
    Worker,
}

/// Mistakes of the processes that use the folder, for the simulation to find.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mistakes {
    /// An attempt is staged again, over what it has staged.
    pub overwrites: bool,
    /// Workers publish what they have staged, as only the driver may.
    pub workers_publish: bool,
}

/// How calls behave at present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// How many percent of the calls fail with EIO.
    pub failing_percent: usize,
    /// Appending and creating fail with ENOSPC.
    pub full: bool,
    /// How much longer each call takes.
    pub slow: Duration,
}

#[derive(Debug)]
struct State {
    staged: BTreeMap<Staging, BTreeMap<String, Bytes>>,
    objects: BTreeMap<Name, Published>,
    mistakes: Mistakes,
    injector: Injector,
    observed: Observed,
}

/// Makes calls take time and fail, and damages objects.
#[derive(Debug)]
struct Injector {
    random: Random,
    conditions: Conditions,
    /// How long a call takes at most.
    call_millis_max: usize,
    strikes: Strikes,
}

/// What was seen of the calls, to tell at the end whether the folder is as it should be.
#[derive(Debug, Default)]
struct Observed {
    /// Every attempt that was ever begun.
    begun: BTreeSet<Staging>,
    begun_twice: BTreeSet<Staging>,
    /// Attempts that the driver has discarded.
    discarded: BTreeSet<Staging>,
    /// Objects that were damaged and not published again since.
    damaged: BTreeSet<Name>,
    /// The machine whose driver is about to publish something.
    publishing: Option<usize>,
    /// The driver failed to sweep when it last tried.
    unswept: bool,
    /// Attempts that their workers failed to discard.
    refused: BTreeSet<Staging>,
    /// How often an attempt read what it had written for itself.
    read_again: u64,
    findings: Vec<String>,
}

type Bytes = Arc<Mutex<Inode>>;

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// How many of them survive a power failure.
    durable_bytes: usize,
    /// Its writer has said that it is complete.
    finished: bool,
    /// The driver has begun to verify it: damage from then on is like damage a year later, which no
    /// process could notice.
    checked: bool,
}

#[derive(Debug)]
struct Published {
    inode: Bytes,
    /// The name survives a power failure.
    settled: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedStore {
    pub fn new(random: &Random, call_millis_max: usize, mistakes: Mistakes) -> Self {
        let injector = Injector {
            random: random.fork(),
            conditions: Conditions::default(),
            call_millis_max,
            strikes: Strikes::default(),
        };
        Self(Arc::new(Mutex::new(State {
            staged: BTreeMap::new(),
            objects: BTreeMap::new(),
            mistakes,
            injector,
            observed: Observed::default(),
        })))
    }

    /// The folder as `user` sees it.
    pub fn seen_by(&self, user: User) -> Arc<dyn Store> {
        Arc::new(StoreHandle { shared: self.clone(), user, process: None })
    }

    /// The folder as the driver `process` sees it.
    pub fn seen_by_driver(&self, process: &Arc<DriverProcess>) -> Arc<dyn Store> {
        let process = Some(Arc::clone(process));
        Arc::new(StoreHandle { shared: self.clone(), user: User::Driver, process })
    }

    pub fn set_conditions(&self, conditions: Conditions) {
        self.state().injector.conditions = conditions;
    }

    /// From now on no call fails or takes long.
    pub fn heal(&self) {
        let mut state = self.state();
        state.injector.conditions = Conditions::default();
        state.injector.call_millis_max = 20;
    }

    /// Damages one published intermediate, or something staged. Returns whether there was any.
    pub fn damage(&self, fault: Fault) -> bool {
        let mut state = self.state();
        let intermediate = |name: &&Name| name.as_str().starts_with(Folder::Intermediate.as_str());
        let names: Vec<Name> = state.objects.keys().filter(intermediate).cloned().collect();
        let names: Vec<Name> =
            names.into_iter().filter(|name| !state.objects[name].inode_is_empty()).collect();
        if names.is_empty() {
            return false;
        }
        let name = state.injector.random.pick(&names).clone();
        let inode = Arc::clone(&state.objects[&name].inode);
        let mut inode = lock(&inode);
        let length = inode.bytes.len();
        let at = state.injector.random.below(length);
        if fault == Fault::CutFile {
            inode.bytes.truncate(at);
        } else if fault == Fault::FlippedByte {
            inode.bytes[at] ^= 1 << state.injector.random.below(8);
        } else {
            assert_eq!(fault, Fault::LostFile, "the others do no damage");
            state.objects.remove(&name);
        }
        state.observed.damaged.insert(name);
        state.injector.strikes.count(fault);
        true
    }

    /// Changes a bit of an output that is complete and unpublished. Returns whether there was any.
    pub fn flip_staged(&self) -> bool {
        let mut state = self.state();
        let staged = state.staged.values().flatten();
        let outputs = staged.filter(|(file, _)| layout::parse_output(file).is_some());
        let is_whole = |inode: &&Bytes| {
            let inode = lock(inode);
            inode.finished && !inode.checked && !inode.bytes.is_empty()
        };
        let Some(inode) = outputs.map(|(_, inode)| inode).find(is_whole).map(Arc::clone) else {
            return false;
        };
        let mut inode = lock(&inode);
        let at = state.injector.random.below(inode.bytes.len());
        inode.bytes[at] ^= 1 << state.injector.random.below(8);
        state.injector.strikes.count(Fault::FlippedByte);
        true
    }

    /// The machine whose driver is about to publish something.
    pub fn publishing(&self) -> Option<usize> {
        self.state().observed.publishing
    }

    /// One output is gone, while no driver runs. Returns whether there was any.
    pub fn lose_output(&self) -> bool {
        let mut state = self.state();
        let output = |name: &&Name| name.as_str().starts_with(Folder::Output.as_str());
        let names: Vec<Name> = state.objects.keys().filter(output).cloned().collect();
        if names.is_empty() {
            return false;
        }
        let name = state.injector.random.pick(&names).clone();
        state.objects.remove(&name);
        state.injector.strikes.count(Fault::LostFile);
        true
    }

    /// Loses what was not synced, all of it or a part.
    pub fn power_failure(&self) {
        let mut state = self.state();
        let random = state.injector.random.clone();
        let inodes = state.objects.values().map(|published| Arc::clone(&published.inode));
        let staged = state.staged.values().flat_map(BTreeMap::values).map(Arc::clone);
        for inode in inodes.chain(staged) {
            let inode = &mut *lock(&inode);
            if inode.durable_bytes < inode.bytes.len() && random.percent(50) {
                let kept = random.between(inode.durable_bytes, inode.bytes.len());
                if random.percent(50) {
                    inode.bytes.truncate(kept);
                } else {
                    // The length was written, and the bytes were not.
                    inode.bytes[kept..].fill(0);
                }
            }
            inode.durable_bytes = inode.bytes.len();
        }
        // Lost intermediates are made again when a reader misses them, but not after the last one.
        let is_durable = |name: &Name| name.as_str().starts_with(Folder::Output.as_str());
        let unsafe_names: Vec<Name> =
            state.objects.keys().filter(|name| !is_durable(name)).cloned().collect();
        state.observed.damaged.extend(unsafe_names);
        state.objects.retain(|_, published| published.settled || random.percent(50));
        state.objects.values_mut().for_each(|published| published.settled = true);
    }

    /// How often an attempt read what it had written for itself.
    pub fn read_again(&self) -> u64 {
        self.state().observed.read_again
    }

    pub fn strikes(&self) -> Strikes {
        self.state().injector.strikes.clone()
    }

    pub fn findings(&self) -> Vec<String> {
        self.state().observed.findings.clone()
    }

    /// Attempts that are still staged, unless the faults made it impossible to remove them.
    pub fn left_behind(&self) -> Vec<String> {
        let state = self.state();
        if state.observed.unswept {
            return Vec::new();
        }
        let left = state.staged.keys().filter(|staging| !state.observed.refused.contains(*staging));
        left.map(ToString::to_string).collect()
    }

    /// Attempts that were begun twice.
    pub fn begun_twice(&self) -> Vec<String> {
        self.state().observed.begun_twice.iter().map(ToString::to_string).collect()
    }

    /// Objects that are not as they were published, because of a fault.
    pub fn damaged(&self) -> BTreeSet<Name> {
        self.state().observed.damaged.clone()
    }

    /// All final objects.
    pub fn objects(&self) -> BTreeMap<Name, Vec<u8>> {
        let state = self.state();
        let bytes = |published: &Published| lock(&published.inode).bytes.clone();
        state.objects.iter().map(|(name, published)| (name.clone(), bytes(published))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Published {
    fn inode_is_empty(&self) -> bool {
        lock(&self.inode).bytes.is_empty()
    }
}

/// The folder as one user sees it.
#[derive(Clone)]
struct StoreHandle {
    shared: SharedStore,
    user: User,
    /// Which driver it is, in a simulation of whole jobs.
    process: Option<Arc<DriverProcess>>,
}

impl StoreHandle {
    /// Before any call: time passes, and the host may crash meanwhile; then the call may fail.
    fn begin(&self, operation: Operation) -> Result<MutexGuard<'_, State>, StoreError> {
        let is_publishing = operation == Operation::Publish;
        let machine = || self.process.as_ref().map_or(0, |process| process.machine());
        if is_publishing {
            self.shared.state().observed.publishing = Some(machine());
        }
        let begun = self.shared.begin(operation);
        match begun {
            Ok(mut state) => {
                state.observed.publishing.take_if(|_| is_publishing);
                Ok(state)
            }
            Err(error) => {
                self.shared.state().observed.publishing.take_if(|_| is_publishing);
                Err(error)
            }
        }
    }

    fn act(&self, act: fn(u64) -> Act) {
        if let Some(process) = &self.process {
            process.act(act);
        }
    }

    fn verify(&self, object: Box<dyn Object>, expected: Digest) -> Result<(), StoreError> {
        let mut block = [0; 4096];
        VerifiedReader::new(object, expected, &mut block)?.verify()
    }
}

impl SharedStore {
    fn begin(&self, operation: Operation) -> Result<MutexGuard<'_, State>, StoreError> {
        let pause = {
            let state = self.state();
            state.injector.random.millis(0, state.injector.call_millis_max)
                + state.injector.conditions.slow
        };
        lockstep::pause(pause);
        self.answer(operation)
    }

    /// A call that reads or writes a name alone.
    pub fn call_briefly(&self, operation: Operation) -> Result<(), StoreError> {
        let pause = {
            let state = self.state();
            let most = state.injector.call_millis_max.min(NAME_MILLIS_MAX);
            state.injector.random.millis(0, most) + state.injector.conditions.slow / 4
        };
        lockstep::pause(pause);
        self.answer(operation).map(drop)
    }

    fn answer(&self, operation: Operation) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.state();
        let conditions = state.injector.conditions;
        if !conditions.slow.is_zero() {
            state.injector.strikes.count(Fault::SlowStore);
        }
        let place = PathBuf::from("/simulated");
        if state.injector.random.percent(conditions.failing_percent) {
            state.injector.strikes.count(Fault::FailingStore);
            let source = io::Error::from_raw_os_error(EIO);
            return Err(StoreError::Refused { operation, place, source });
        }
        if conditions.full && matches!(operation, Operation::Append | Operation::Create) {
            state.injector.strikes.count(Fault::FullStore);
            let source = io::Error::from_raw_os_error(ENOSPC);
            return Err(StoreError::Full { operation, place, source });
        }
        Ok(state)
    }
}

impl State {
    /// An incomplete object is a finding: no worker has reported it, so the driver must not read
    /// it.
    fn require_finished(&mut self, inode: &Bytes, name: &Name) {
        if !lock(inode).finished {
            self.observed
                .findings
                .push(format!("{name} was to be published before it was complete"));
        }
    }

    fn staged(&self, staging: &Staging, name: &Name) -> Result<Bytes, StoreError> {
        let inode = self.staged.get(staging).and_then(|files| files.get(name.file()));
        let missing = || StoreError::Gone { name: layout::staged(staging, name) };
        inode.map(Arc::clone).ok_or_else(missing)
    }
}

impl Store for StoreHandle {
    fn intermediates(&self) -> Result<Vec<(u32, u32)>, StoreError> {
        let state = self.begin(Operation::List)?;
        let names = state.objects.keys().map(Name::file);
        let mut found: Vec<_> = names.filter_map(layout::parse_intermediate).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn identify(&self, name: &Name) -> Result<Option<Identity>, StoreError> {
        let state = self.begin(Operation::Open)?;
        Ok(state.objects.get(name).map(|published| {
            let number = Arc::as_ptr(&published.inode).addr() as u64;
            Identity { bytes: lock(&published.inode).bytes.len() as u64, number }
        }))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        let state = self.begin(Operation::Open)?;
        let published = state.objects.get(name);
        let published = published
            .ok_or_else(|| StoreError::Lost { name: name.clone(), loss: Loss::Missing })?;
        Ok(self.shared.opened(name.clone(), &published.inode))
    }

    fn stage(&self, staging: &Staging) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Create)?;
        if state.staged.contains_key(staging) && state.mistakes.overwrites {
            return Ok(());
        }
        if state.staged.contains_key(staging) {
            return Err(StoreError::Begun { name: staging.name().clone() });
        }
        if !state.observed.begun.insert(staging.clone()) {
            state.observed.begun_twice.insert(staging.clone());
        }
        state.staged.insert(staging.clone(), BTreeMap::new());
        Ok(())
    }

    fn create(
        &self,
        staging: &Staging,
        name: &Name,
        durability: Durability,
    ) -> Result<Box<dyn StagedObject>, StoreError> {
        let mut state = self.begin(Operation::Create)?;
        let staged = layout::staged(staging, name);
        let overwrites = state.mistakes.overwrites;
        let Some(files) = state.staged.get_mut(staging) else {
            return Err(StoreError::Gone { name: staged });
        };
        let inode = match files.get(name.file()) {
            Some(_) if !overwrites => return Err(StoreError::Begun { name: staged }),
            Some(inode) => Arc::clone(inode),
            None => Bytes::default(),
        };
        *lock(&inode) = Inode::default();
        files.insert(name.file().to_owned(), Arc::clone(&inode));
        drop(state);
        let (staging, name) = (staging.clone(), name.clone());
        Ok(Box::new(StagedBytes {
            handle: self.clone(),
            staging,
            name,
            inode,
            durability,
            digester: Digester::new(),
            paused: false,
        }))
    }

    fn open_staged(&self, staging: &Staging, name: &Name) -> Result<Box<dyn Object>, StoreError> {
        let mut state = self.begin(Operation::Open)?;
        let inode = state.staged(staging, name)?;
        state.observed.read_again += 1;
        drop(state);
        Ok(self.shared.opened(layout::staged(staging, name), &inode))
    }

    fn unstage(&self, staging: &Staging, name: &Name) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Discard)?;
        if let Some(files) = state.staged.get_mut(staging) {
            files.remove(name.file());
        }
        Ok(())
    }

    fn verify_staged(
        &self,
        staging: &Staging,
        name: &Name,
        expected: Digest,
    ) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Open)?;
        let inode = state.staged(staging, name)?;
        state.require_finished(&inode, name);
        lock(&inode).checked = true;
        drop(state);
        self.verify(self.shared.opened(layout::staged(staging, name), &inode), expected)
    }

    fn publish(&self, staging: &Staging, name: &Name, expected: Digest) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Publish)?;
        if let Some(process) = &self.process {
            process.publish(staging.name().as_str());
        }
        if self.user != User::Driver {
            state.observed.findings.push(format!("a worker published {name}"));
        }
        if state.observed.discarded.contains(staging) {
            state
                .observed
                .findings
                .push(format!("{name} was to be published after {staging} was given up"));
        }
        let Ok(inode) = state.staged(staging, name) else {
            let missing = StoreError::Gone { name: layout::staged(staging, name) };
            let Some(published) = state.objects.get(name) else { return Err(missing) };
            let object = self.shared.opened(name.clone(), &published.inode);
            drop(state);
            return match self.verify(object, expected) {
                Err(StoreError::Lost { .. }) => Err(missing),
                answer => answer,
            };
        };
        state.require_finished(&inode, name);
        let found_bytes = lock(&inode).bytes.len() as u64;
        if found_bytes != expected.bytes {
            let loss = Loss::WrongLength { expected_bytes: expected.bytes, found_bytes };
            return Err(StoreError::Lost { name: layout::staged(staging, name), loss });
        }
        if let Some(files) = state.staged.get_mut(staging) {
            files.remove(name.file());
        }
        state.objects.insert(name.clone(), Published { inode, settled: false });
        state.observed.damaged.remove(name);
        Ok(())
    }

    fn settle(&self, folder: Folder) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Sync)?;
        for (name, published) in &mut state.objects {
            published.settled |= name.as_str().starts_with(folder.as_str());
        }
        Ok(())
    }

    fn discard(&self, staging: &Staging) -> Result<(), StoreError> {
        if self.user == User::Worker {
            self.shared.state().observed.refused.insert(staging.clone());
        }
        let mut state = self.begin(Operation::Discard)?;
        match self.user {
            User::Driver => state.observed.discarded.insert(staging.clone()),
            User::Worker => state.observed.refused.remove(staging),
        };
        state.staged.remove(staging);
        Ok(())
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.shared.state().observed.unswept = true;
        let mut state = self.begin(Operation::Discard)?;
        state.observed.unswept = false;
        self.act(Act::Sweep);
        let swept = std::mem::take(&mut state.staged);
        Ok(swept.len() as u64)
    }

    fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut state = self.begin(Operation::Remove)?;
        self.act(|_| Act::Remove);
        state.objects.remove(name);
        Ok(())
    }
}

impl SharedStore {
    fn opened(&self, name: Name, inode: &Bytes) -> Box<dyn Object> {
        let bytes = lock(inode).bytes.len() as u64;
        Box::new(OpenBytes { shared: self.clone(), name, inode: Arc::clone(inode), bytes, at: 0 })
    }
}

struct OpenBytes {
    shared: SharedStore,
    name: Name,
    inode: Bytes,
    bytes: u64,
    at: usize,
}

impl Object for OpenBytes {
    fn name(&self) -> &Name {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
        drop(self.shared.begin(Operation::Read)?);
        let inode = lock(&self.inode);
        let left = inode.bytes.get(self.at..).unwrap_or_default();
        let length = left.len().min(block.len());
        block[..length].copy_from_slice(&left[..length]);
        self.at += length;
        Ok(length)
    }
}

struct StagedBytes {
    handle: StoreHandle,
    staging: Staging,
    name: Name,
    inode: Bytes,
    durability: Durability,
    digester: Digester,
    /// The file has to be opened again, and is found only if it is still there.
    paused: bool,
}

impl StagedObject for StagedBytes {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let state = self.handle.begin(Operation::Append)?;
        if self.paused {
            let inode = state.staged(&self.staging, &self.name)?;
            if !Arc::ptr_eq(&inode, &self.inode) {
                let name = layout::staged(&self.staging, &self.name);
                return Err(StoreError::Gone { name });
            }
        }
        self.paused = false;
        lock(&self.inode).bytes.extend_from_slice(bytes);
        self.digester.update(bytes);
        Ok(())
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn finish(self: Box<Self>) -> Result<Digest, StoreError> {
        let mistakes = self.handle.begin(Operation::Sync)?.mistakes;
        let digest = self.digester.digest();
        let mut inode = lock(&self.inode);
        inode.finished = true;
        if self.durability == Durability::Durable {
            inode.durable_bytes = inode.bytes.len();
        }
        drop(inode);
        if mistakes.workers_publish && self.handle.user == User::Worker {
            let _ = self.handle.publish(&self.staging, &self.name, digest);
        }
        Ok(digest)
    }
}

/// How long a call takes at most that reads or writes a name alone.
const NAME_MILLIS_MAX: usize = 20;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
