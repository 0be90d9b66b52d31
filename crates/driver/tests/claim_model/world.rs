//! The state: a folder with its claims, its journal and its outputs, and the drivers that compete
//! for it.

/// Drivers in a world, at most.
pub const DRIVERS_MAX: usize = 3;

/// Outputs of a job, at most.
pub const OUTPUTS_MAX: usize = 2;

/// Epochs from 1 on. Every start of a driver claims one at most.
pub const EPOCHS_MAX: usize = 4;

/// Where a driver is: what it does next.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Lists the claims and the names in the highest, until that is free.
    Watch,
    /// `mkdir` of the next claim.
    Make,
    /// Lists the claims: its own must be the highest.
    Confirm,
    /// Removes its claim: a higher one was there.
    GiveBack,
    /// Removes the claims below its own, and with them the journals that their holders prepare.
    Fence,
    /// Removes everything that is staged.
    Sweep,
    /// Reads the journal, and writes its own beside it, in its claim.
    Read,
    /// Renames its journal in place.
    Begin,
    /// Checks the claims before the next batch, and before the end.
    Serve,
    /// Renames a staged output to its final name.
    Publish,
    /// Checks the claims before the record.
    Recheck,
    /// Appends the record of the output to the inode that it has open.
    Record,
    /// Removes the outputs of an earlier job that this one does not replace.
    Tidy,
    /// Compares every output with what was committed.
    Compare,
    /// An output is not its own: checks the claims.
    Doubt,
    /// Removes the outputs that are not its own.
    Remove,
    /// Checks the claims before the last record.
    CheckEnd,
    /// Appends the last record.
    End,
    /// Lists the claims once more: without a higher one, the last record counts.
    ConfirmEnd,
    /// Marks its claim as released.
    Release(Exit),
    Ended(Exit),
    /// Killed.
    Down,
}

impl Step {
    /// Whether the driver has a claim that it renews.
    pub fn is_holding(self) -> bool {
        Self::Fence <= self && !self.is_over()
    }

    /// Whether the driver's process exists and has a claim, confirmed or not.
    pub fn has_claim(self) -> bool {
        Self::Confirm <= self && !self.is_over()
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Down | Self::Ended(_))
    }

    /// Whether the driver has checked the claims and acts on it.
    fn is_in_batch(self) -> bool {
        matches!(self, Self::End | Self::Publish | Self::Record | Self::Remove | Self::Tidy)
    }

    /// What a driver does at once, within a tick, unless it is frozen.
    pub fn is_instant(self) -> bool {
        matches!(self, Self::Confirm | Self::GiveBack | Self::Make)
    }

    fn progress(self) -> u32 {
        match self {
            Self::Watch => 0,
            Self::Make => 1,
            Self::Confirm => 2,
            Self::GiveBack => 3,
            Self::Fence => 100,
            Self::Sweep => 101,
            Self::Read => 102,
            Self::Begin => 103,
            Self::Serve => 104,
            Self::Publish => 105,
            Self::Recheck => 106,
            Self::Record => 107,
            Self::Tidy => 180,
            Self::Compare => 181,
            Self::Doubt => 182,
            Self::Remove => 183,
            Self::CheckEnd => 184,
            Self::End => 185,
            Self::ConfirmEnd => 186,
            Self::Release(_) => 187,
            Self::Ended(_) | Self::Down => 1000,
        }
    }
}

/// How a driver ends.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Exit {
    /// 0: the job is done.
    Done,
    /// The journal that it has found is that of its own job, and done.
    Found,
    /// 1: an output was replaced.
    Failed,
    /// 3: another driver took over.
    Superseded,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Driver {
    pub step: Step,
    /// The epoch that it claims or holds; as long as it watches, the highest that it has seen.
    pub epoch: u8,
    /// Ticks of its own clock: since it has last renewed its claim, or since a watcher has seen the
    /// names in the highest claim change. Not counted above [`STILL`].
    pub age: u8,
    /// It was paused and has renewed its claim: a tick must pass before it checks.
    pub is_waiting: bool,
    /// The names have changed since it looked: a watcher does not know yet.
    pub is_unseen: bool,
    pub is_frozen: bool,
    /// It was frozen since its last look at the claims.
    pub was_frozen: bool,
    /// Its outputs that are staged, in bits.
    pub staged: u8,
    /// How often an output was no longer staged.
    pub retries: u8,
}

impl Driver {
    pub const NEW: Self = Self {
        step: Step::Watch,
        epoch: 0,
        age: 0,
        is_waiting: false,
        is_unseen: false,
        is_frozen: false,
        was_frozen: false,
        staged: 0,
        retries: 0,
    };

    /// It has not looked at the folder yet.
    pub fn is_new(&self) -> bool {
        self.step == Step::Watch && self.epoch == 0
    }

    /// Its last renewal is so old that a successor may be about to claim.
    pub fn is_overdue(&self) -> bool {
        self.step.is_holding() && self.age >= FENCE
    }

    /// Back to the list of claims.
    pub fn watch(&mut self, highest: u8) {
        self.step = Step::Watch;
        self.epoch = highest;
        self.age = 0;
        self.is_unseen = false;
    }

    /// Nothing of a process that has ended is left.
    pub fn end(&mut self, step: Step) {
        let epoch = self.epoch;
        *self = Self { step, epoch, ..Self::NEW };
    }
}

/// A claim's folder.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    pub holder: u8,
    pub is_released: bool,
}

/// A journal's inode.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Journal {
    pub job: u8,
    /// The outputs on record, in bits.
    pub recorded: u8,
    pub is_done: bool,
}

/// The file at a final name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Output {
    /// What is in it: the same job gives the same bytes.
    pub job: u8,
    pub by: u8,
}

/// What must never happen, noted because no later world would show it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Harm {
    pub claimed_twice: bool,
    /// A check has passed after a later claim was made.
    pub late_check: bool,
    /// A claim was taken from a driver that renews it.
    pub was_healthy: bool,
    /// A claim was made during another's batch, and neither had been frozen.
    pub overlap: bool,
    /// A journal has replaced that of a later epoch.
    pub older_journal: bool,
    /// An output was published after a later epoch had swept the staging.
    pub late_publication: bool,
    /// A record was appended to the journal of a later epoch.
    pub late_record: bool,
    /// An output was removed that a later epoch had published.
    pub late_removal: bool,
    /// A job's end has followed a comparison that should have failed.
    pub foreign_output: bool,
    /// A driver has ended with 0, and its end is not in the journal that counts.
    pub lost_end: bool,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Luck {
    pub freezes: u8,
    pub kills: u8,
    pub restarts: u8,
    /// Wall clocks that may be set forward.
    pub jumps: u8,
}

/// Everything at one moment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct World {
    pub drivers: [Driver; DRIVERS_MAX],
    /// By epoch; 0 has none.
    pub claims: [Option<Claim>; EPOCHS_MAX + 1],
    /// Epochs that have been claimed, in bits.
    pub claimed: u8,
    /// By the epoch that has created the inode.
    pub journals: [Journal; EPOCHS_MAX + 1],
    /// The epoch whose journal is in place; 0 for none.
    pub in_place: u8,
    /// The last epoch that has begun, and the last that has swept.
    pub begun: u8,
    pub swept: u8,
    pub outputs: [Option<Output>; OUTPUTS_MAX],
    /// Drivers whose wall clock was set forward, in bits.
    pub ahead: u8,
    pub harm: Harm,
    pub luck: Luck,
}

impl World {
    /// What a listing of the claims shows: it is answered by the server.
    pub fn highest(&self) -> u8 {
        let mut epochs = (1..=EPOCHS_MAX).rev();
        epochs.find(|&epoch| self.claims[epoch].is_some()).map_or(0, |epoch| epoch as u8)
    }

    pub fn has_claim(&self, driver: usize) -> bool {
        let claim = self.claims[usize::from(self.drivers[driver].epoch)];
        claim.is_some_and(|claim| usize::from(claim.holder) == driver)
    }

    /// The driver that holds the highest claim, if it still runs.
    pub fn holder(&self) -> Option<usize> {
        let epoch = self.highest();
        let holder = usize::from(self.claims[usize::from(epoch)]?.holder);
        let Driver { step, epoch: held, .. } = self.drivers[holder];
        (held == epoch && step.has_claim()).then_some(holder)
    }

    /// Whether the holder of the highest claim renews it in time.
    pub fn is_renewed(&self) -> bool {
        self.holder().is_some_and(|holder| {
            let driver = &self.drivers[holder];
            driver.step.is_holding() && !driver.is_frozen && driver.age < FENCE
        })
    }

    /// Whether a driver acts on a check that it has made, without having been frozen since.
    pub fn is_in_batch(&self) -> bool {
        self.drivers.iter().any(|driver| driver.step.is_in_batch() && !driver.was_frozen)
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        let is_left = |step| step == Step::Down && self.luck.restarts == 0;
        self.drivers
            .iter()
            .all(|driver| matches!(driver.step, Step::Ended(_)) || is_left(driver.step))
    }

    /// Grows with everything that happens: no run comes back to where it was, so each of them ends.
    pub fn age(&self) -> [u32; 6] {
        let Luck { freezes, kills, restarts, jumps } = self.luck;
        let left: u32 = [freezes, kills, restarts, jumps].map(u32::from).iter().sum();
        let sum = |of: fn(&Driver) -> u32| self.drivers.iter().map(of).sum::<u32>();
        let recorded: u32 = self.journals.iter().map(|journal| journal.recorded.count_ones()).sum();
        [
            1000 - left,
            sum(|driver| u32::from(!driver.is_frozen)),
            10 * recorded
                + sum(|driver| {
                    let Driver { step, epoch, retries, .. } = *driver;
                    let is_claiming = Step::Watch < step && step <= Step::GiveBack;
                    let seen =
                        if step <= Step::GiveBack { epoch - u8::from(is_claiming) } else { 0 };
                    step.progress() + 10 * u32::from(seen) + 20 * u32::from(retries)
                }),
            sum(|driver| match driver {
                driver if driver.is_frozen || driver.is_overdue() => 0,
                driver => 2 - u32::from(driver.is_waiting),
            }),
            sum(|driver| u32::from(driver.is_frozen == driver.is_unseen)),
            sum(|driver| u32::from(driver.age)),
        ]
    }
}

/// After so many ticks of 2 s since its last renewal, a holder commits nothing.
pub const FENCE: u8 = 4;

/// For so many ticks, a successor must have seen no change.
pub const STILL: u8 = 5;
