//! The protocol: what can happen in a world, and what must hold in all of them.

use stateright::Model;

use super::properties::Property;
use super::world::{
    DRIVERS_MAX, Driver, EPOCHS_MAX, Exit, Harm, Journal, Luck, OUTPUTS_MAX, STILL, Step, World,
};

/// The protocol within bounds, and perhaps without one of its rules.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub drivers: &'static [Start],
    /// Outputs of an earlier job are removed before the end.
    pub has_leftovers: bool,
    /// The clock of a machine pauses with its processes, as in a virtual machine that is paused.
    pub is_suspended: bool,
    pub luck: Luck,
    pub fault: Option<Fault>,
    pub properties: fn() -> Vec<Property>,
}

/// A driver that is started. It waits for the folder.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// A driver that finds another job than its own in the folder begins anew.
    pub job: u8,
    /// Outputs of the job.
    pub outputs: u8,
    pub machine: u8,
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A driver checks the claims before every batch.
    Check,
    /// A check follows the report of what it lets through; without it, the driver publishes what is
    /// reported after the check, in the same batch.
    CheckAfterReport,
    /// The driver compares the outputs before its end.
    Compare,
    /// A driver lists the claims once more between its last record and its exit with 0.
    ConfirmEnd,
    /// A driver prepares its journal in its claim; without it, beside the journal.
    DraftInClaim,
    /// A driver that finds an output replaced checks the claims before it removes that.
    DoubtBeforeRemoval,
    /// The claims below one's own are removed before the journal is read; without it, after the
    /// journal has begun.
    FenceBeforeRead,
    /// The highest claim stays; without it, it is removed when it is released.
    HighestStays,
    /// A check lists the claims; without it, it asks for the name of the next.
    List,
    /// After the claim is made, the claims are listed again.
    ListAgain,
    /// A lock that is free proves a death only on the machine of the holder.
    LockOfSameMachine,
    /// A claim is made by `mkdir`; without it, by `O_CREAT | O_EXCL`, which a mount may decide from
    /// its cache.
    Mkdir,
    /// A watcher counts by its own monotonic clock; without it, it compares the time at which the
    /// names were renewed with its own wall clock.
    MonotonicClock,
    /// Every epoch begins its journal as a new file; without it, it appends to what is there.
    NewInode,
    /// A holder that was paused renews its claim and waits for a tick before it checks.
    Pause,
    /// A driver sweeps the staging of all before it begins.
    Sweep,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A driver takes its next step.
    Take {
        driver: usize,
        step: Step,
    },
    /// The same, and its mount answers from its cache: the name is absent. Only where a rule is
    /// left out.
    TakeFromCache {
        driver: usize,
        step: Step,
    },
    /// A holder that was paused renews its claim.
    Renew {
        driver: usize,
    },
    /// 2 s pass, and drivers that run renew their claims.
    Tick,
    Freeze {
        driver: usize,
    },
    Wake {
        driver: usize,
    },
    Kill {
        driver: usize,
    },
    Restart {
        driver: usize,
    },
    /// A wall clock is set forward.
    Jump {
        driver: usize,
    },
}

impl Protocol {
    pub fn is_without(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn driver_actions(&self, world: &World, driver: usize, actions: &mut Vec<Action>) {
        let Driver { step, is_frozen, .. } = world.drivers[driver];
        let luck = world.luck;
        if step.is_over() {
            if step == Step::Down && luck.restarts > 0 {
                actions.push(Action::Restart { driver });
            }
            return;
        }
        match is_frozen {
            true => actions.push(Action::Wake { driver }),
            false => self.running_actions(world, driver, actions),
        }
        if luck.kills > 0 {
            actions.push(Action::Kill { driver });
        }
    }

    fn running_actions(&self, world: &World, driver: usize, actions: &mut Vec<Action>) {
        let Driver { step, .. } = world.drivers[driver];
        // Drivers that have not begun yet are all alike.
        if world.drivers[driver].is_new() && driver > 0 && world.drivers[driver - 1].is_new() {
            return;
        }
        actions.push(Action::Take { driver, step });
        let is_asked = step == Step::Serve && self.is_without(Fault::List);
        if is_asked || step == Step::Make && self.is_without(Fault::Mkdir) {
            actions.push(Action::TakeFromCache { driver, step });
        }
        if world.drivers[driver].is_overdue() {
            actions.push(Action::Renew { driver });
        }
        if world.luck.freezes > 0 && !world.drivers[driver].is_new() {
            actions.push(Action::Freeze { driver });
        }
    }

    /// What a driver does far more often than every 2 s is done before they have passed.
    fn may_tick(&self, world: &World) -> bool {
        let mut running =
            (0..self.drivers.len()).filter(|&driver| !world.drivers[driver].is_frozen);
        running.all(|driver| {
            let Driver { step, .. } = world.drivers[driver];
            let may_look = step == Step::Watch && self.has_news(world, driver);
            !step.is_instant() && !world.drivers[driver].is_overdue() && !may_look
        })
    }

    /// 2 s pass.
    fn tick(&self, world: &mut World) -> bool {
        let before = *world;
        let is_renewed = world.is_renewed();
        for driver in &mut world.drivers[..self.drivers.len()] {
            let is_counted = if driver.step.is_over() {
                // How old the last renewal of the dead is matters to a wall clock alone.
                driver.step == Step::Down && self.is_without(Fault::MonotonicClock)
            } else if driver.is_frozen {
                !self.is_suspended
            } else {
                driver.step == Step::Watch && !is_renewed
            };
            driver.is_waiting &= driver.is_frozen;
            driver.age = STILL.min(driver.age + u8::from(is_counted));
            driver.is_unseen |= driver.step == Step::Watch && driver.is_frozen && is_renewed;
        }
        *world != before
    }

    /// Whether a driver that runs can take a step, whatever the others do.
    pub fn can_advance(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions.into_iter().any(|action| {
            let is_progress =
                matches!(action, Action::Renew { .. } | Action::Take { .. } | Action::Tick);
            is_progress && self.next_state(world, action).is_some()
        })
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    /// An empty folder, and drivers that were started together.
    fn init_states(&self) -> Vec<World> {
        let mut drivers = [Driver::NEW; DRIVERS_MAX];
        for driver in &mut drivers[self.drivers.len()..] {
            driver.end(Step::Ended(Exit::Superseded));
        }
        vec![World {
            drivers,
            claims: [None; EPOCHS_MAX + 1],
            claimed: 0,
            journals: [Journal::default(); EPOCHS_MAX + 1],
            in_place: 0,
            begun: 0,
            swept: 0,
            outputs: [None; OUTPUTS_MAX],
            ahead: 0,
            harm: Harm::default(),
            luck: self.luck,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for driver in 0..self.drivers.len() {
            self.driver_actions(world, driver, actions);
            if world.luck.jumps > 0 {
                actions.push(Action::Jump { driver });
            }
        }
        if self.may_tick(world) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = *world;
        let happens = match action {
            Action::Take { driver, .. } => self.take(&mut next, driver, false),
            Action::TakeFromCache { driver, .. } => self.take(&mut next, driver, true),
            Action::Renew { driver } => self.renew(&mut next, driver),
            Action::Tick => self.tick(&mut next),
            Action::Freeze { driver } => next.freeze(driver),
            Action::Wake { driver } => next.wake(driver),
            Action::Kill { driver } => next.kill(driver),
            Action::Restart { driver } => next.restart(driver),
            Action::Jump { driver } => next.jump(driver),
        };
        if !happens {
            return None;
        }
        let may_cycle = self.fault.is_some();
        assert!(may_cycle || world.age() < next.age(), "{action:?} is a cycle in {world:#?}");
        Some(next)
    }

    fn properties(&self) -> Vec<Property> {
        (self.properties)()
    }
}
