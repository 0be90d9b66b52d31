//! The disk of the journal: what was not synced is lost when the power of its writer fails.
//!
//! At least as strict as a real one: bytes and names are lost independently of each other, wholly
//! or in part, nothing becomes durable by itself, and what a sync has failed to write no later sync
//! writes. A process that dies loses only the second half of the write in progress.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use driver::simulation::{Disk, DiskFile};
use store::layout;

use crate::claims::{Act, DriverProcess};
use crate::lockstep;
use crate::random::Random;
use crate::world::FILES;

/// A call that makes something durable. Each can be left out, to see what that costs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Sync {
    /// Of the new journal, before it gets its name.
    File,
    /// Of the folder, after it has it.
    Folder,
    /// Of what was appended.
    Append,
}

/// Shared by all drivers.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

/// The disk as one driver sees it.
#[derive(Clone, Debug)]
pub struct DriverDisk(pub SimulatedDisk, pub Arc<DriverProcess>);

#[derive(Debug)]
struct State {
    random: Random,
    names: BTreeMap<PathBuf, Inode>,
    durable_names: BTreeMap<PathBuf, Inode>,
    files: Vec<Content>,
    /// Claims, each of which is a folder.
    claims: BTreeSet<PathBuf>,
    /// How many of the next writes and syncs fail.
    failures: u32,
    /// How many have failed.
    failed: u64,
    left_out: BTreeSet<Sync>,
    findings: Vec<String>,
}

type Inode = usize;

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// From here on a sync has failed: the bytes can be read, and no later sync writes them.
    forgotten_from: Option<usize>,
    /// Which machine writes it.
    machine: usize,
}

impl SimulatedDisk {
    pub fn new(random: &Random, left_out: BTreeSet<Sync>) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: random.fork(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            files: Vec::new(),
            claims: BTreeSet::new(),
            failures: 0,
            failed: 0,
            left_out,
            findings: Vec::new(),
        })))
    }

    /// From now on the next `count` writes and syncs fail.
    pub fn fail(&self, count: u32) {
        self.state().failures = count;
    }

    /// How many calls have failed.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }

    pub fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    /// A driver has claimed `epoch`.
    pub fn create_claim(&self, epoch: u64) {
        self.state().claims.insert(claim(epoch));
    }

    /// The claim of `epoch` is removed, with what is in it.
    pub fn remove_claim(&self, epoch: u64) {
        let (mut state, claim) = (self.state(), claim(epoch));
        state.names.retain(|path, _| !path.starts_with(&claim));
        state.claims.remove(&claim);
    }

    /// Loses what the driver on `machine` did not sync, all of it or a part.
    pub fn power_failure(&self, machine: usize) {
        let mut state = self.state();
        let state = &mut *state;
        let paths: BTreeSet<_> =
            state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for path in paths {
            let (now, durable) = (state.names.get(&path), state.durable_names.get(&path));
            let (now, durable) = (now.copied(), durable.copied());
            let is_lost = |inode: Inode| state.files[inode].machine == machine;
            if now != durable && now.or(durable).is_some_and(is_lost) && state.random.percent(75) {
                match durable {
                    Some(inode) => state.names.insert(path, inode),
                    None => state.names.remove(&path),
                };
            }
        }
        let State { names, durable_names, files, .. } = &mut *state;
        let is_lost = |inode: &Inode| files[*inode].machine == machine;
        durable_names.retain(|_, inode| !is_lost(inode));
        let durable = names.iter().filter(|(_, inode)| is_lost(inode));
        durable_names.extend(durable.map(|(path, inode)| (path.clone(), *inode)));
        for content in &mut state.files {
            if content.now == content.durable || content.machine != machine {
                continue;
            }
            // Nothing is ever overwritten: of what was appended any part may have reached the disk,
            // often none.
            let kept = content.durable.len();
            if content.forgotten_from.is_none() && state.random.percent(25) {
                let torn = state.random.between(kept, content.now.len());
                content.now.truncate(torn);
            } else {
                content.now.clone_from(&content.durable);
            }
            content.durable.clone_from(&content.now);
        }
        // A journal gets its name in one step: until then the old one keeps it.
        let journal = Path::new(FILES).join(layout::journal().as_str());
        if let Some(&inode) = state.names.get(&journal)
            && !state.files[inode].now.contains(&b'\n')
        {
            state.findings.push("the journal has its name and not its first record".to_owned());
        }
    }

    /// Before any call: time passes, and the driver may crash meanwhile.
    fn pause(&self) {
        let pause = self.state().random.millis(0, 12);
        lockstep::pause(pause);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fails(&mut self) -> io::Result<()> {
        if self.failures == 0 {
            return Ok(());
        }
        self.failures -= 1;
        self.failed += 1;
        Err(io::Error::from_raw_os_error(EIO))
    }
}

impl Disk for DriverDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.pause();
        let state = self.0.state();
        let inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.files[*inode].now.clone())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let Self(disk, process) = self;
        disk.pause();
        let mut state = disk.state();
        if !path.parent().is_some_and(|folder| state.claims.contains(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = state.files.len();
        state.files.push(Content { machine: process.machine(), ..Content::default() });
        state.names.insert(path.to_owned(), inode);
        let (disk, process) = (disk.clone(), Arc::clone(process));
        Ok(Box::new(OpenFile { disk, process, inode, sync: Sync::File }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.pause();
        let mut state = self.0.state();
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        self.1.act(|_| Act::Start);
        self.1.begin();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.pause();
        self.0.state().names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.pause();
        let mut state = self.0.state();
        state.fails()?;
        if !state.left_out.contains(&Sync::Folder) {
            let inside = |path: &Path| path.parent() == Some(folder);
            let State { names, durable_names, .. } = &mut *state;
            durable_names.retain(|path, _| !inside(path));
            let now = names.iter().filter(|(path, _)| inside(path));
            durable_names.extend(now.map(|(path, inode)| (path.clone(), *inode)));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: SimulatedDisk,
    process: Arc<DriverProcess>,
    inode: Inode,
    /// Which sync comes next.
    sync: Sync,
}

impl DiskFile for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.pause();
        let half = self.disk.state().random.below(bytes.len() + 1);
        let (first, second) = bytes.split_at(half);
        self.disk.state().files[self.inode].now.extend_from_slice(first);
        self.disk.pause();
        let mut state = self.disk.state();
        state.fails()?;
        state.files[self.inode].now.extend_from_slice(second);
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.pause();
        let bytes = usize::try_from(bytes).expect("it is in memory");
        let mut state = self.disk.state();
        let content = &mut state.files[self.inode];
        assert!(bytes >= content.durable.len(), "what is committed would be cut off");
        content.now.truncate(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.pause();
        let mut state = self.disk.state();
        let failed = state.fails();
        let sync = std::mem::replace(&mut self.sync, Sync::Append);
        if sync == Sync::Append {
            self.process.act(Act::Record);
        }
        let is_left_out = state.left_out.contains(&sync);
        let content = &mut state.files[self.inode];
        if failed.is_err() {
            content.forgotten_from.get_or_insert(content.durable.len());
        } else if !is_left_out {
            content.durable.clone_from(&content.now);
            if let Some(from) = content.forgotten_from {
                let to = content.durable.len();
                content.durable[from.min(to)..].fill(0);
            }
        }
        failed
    }
}

fn claim(epoch: u64) -> PathBuf {
    let draft = Path::new(FILES).join(layout::journal_draft(epoch).as_str());
    draft.parent().expect("it is in the claim").to_owned()
}

const EIO: i32 = 5;
