//! The protocol: what can happen in a world, and what must hold in all of them.

use stateright::Model;

use super::claims::{self, Claim};
use super::world::{
    ATTEMPTS_MAX, Attempt, Attempts, Commit, Driver, FILES_MAX, Folder, Harm, Journal, Luck,
    Message, Network, Past, Standing, TASKS_MAX, Task, WORKERS, Worker, World,
};

/// The protocol within bounds, and perhaps without one of its rules.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The tasks of the job. A reduce task waits for the maps before it.
    pub tasks: &'static [Kind],
    /// Attempts of a task in one epoch. When they are used up the job fails.
    pub attempts: u8,
    pub luck: Luck,
    pub fault: Option<Fault>,
    /// What must happen in some run.
    pub shows: fn() -> Vec<Claim>,
}

/// The files of a task, and how durable they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// [`FILES_MAX`] intermediates: verified whenever they are read, not durable.
    Map,
    /// One output: synced by its worker, and its name by the driver.
    Reduce,
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Only the driver gives files their final names; without it, workers do.
    DriverPublishes,
    /// The driver accepts reports of attempts that hold a lease only; without it, of all attempts,
    /// of this epoch and others.
    Fence,
    /// Names come before their record; without it the record comes first, and a restart accepts it
    /// without a check of the names.
    NamesBeforeRecord,
    /// A driver raises the epoch when it starts.
    NewEpoch,
    /// A worker creates its staging new; without it, it uses what is there.
    NewStaging,
    /// A report is accepted when its record is synced; without it, when it is written.
    RecordBeforeAnswer,
    /// The folder of outputs is synced before the record is written.
    Settle,
    /// Staging that exists already belongs to another execution; without it, a worker that finds it
    /// removes it when its report of that is stale.
    ExistingIsForeign,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A worker that has called is assigned a task.
    Grant {
        task: usize,
        worker: usize,
    },
    /// The lease of the task's attempt expires.
    Expire {
        task: usize,
    },
    /// The committer takes its next step.
    Commit,
    /// A task has no attempts left: the job has failed.
    GiveUp,
    /// The driver's process dies; what it has written stays.
    CrashDriver,
    /// The power fails: what was not synced may be on disk or not.
    CrashPower {
        names_lost: bool,
        records_lost: bool,
    },
    /// A driver reads the journal, sweeps the staging, records its epoch, and serves.
    Restart,
    /// A message arrives, perhaps not for the first time.
    Deliver(Message),
    /// A worker reads what it has to read and finishes its files.
    Finish {
        worker: usize,
    },
    /// A worker learns that its attempt has ended, or that the driver does not know it.
    Abandon {
        worker: usize,
    },
    CrashWorker {
        worker: usize,
    },
    /// Only with a fault: a worker renames its files.
    PublishItself {
        worker: usize,
    },
}

impl Protocol {
    pub fn is_without(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub fn files(&self, task: usize) -> usize {
        match self.tasks[task] {
            Kind::Map => FILES_MAX,
            Kind::Reduce => 1,
        }
    }

    pub fn maps(&self) -> impl Iterator<Item = usize> {
        (0..self.tasks.len()).filter(|&task| self.tasks[task] == Kind::Map)
    }

    pub fn outputs(&self) -> impl Iterator<Item = usize> {
        (0..self.tasks.len()).filter(|&task| self.tasks[task] == Kind::Reduce)
    }

    pub fn recorded(&self, world: &World) -> impl Iterator<Item = (usize, Attempt)> {
        let records = world.journal.records;
        (0..self.tasks.len()).filter_map(move |task| Some((task, records[task]?)))
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    /// A driver in its first epoch, and workers that wait for it.
    fn init_states(&self) -> Vec<World> {
        vec![World {
            driver: Driver::Up,
            journal: Journal { epoch: 1, records: [None; TASKS_MAX], is_done: false },
            tasks: [Task { standing: Standing::Waiting, granted: 0 }; TASKS_MAX],
            commit: Commit::Idle,
            workers: [Worker::Idle; WORKERS],
            network: Network::default(),
            folder: Folder {
                staged: [None; ATTEMPTS_MAX],
                finals: [[None; FILES_MAX]; TASKS_MAX],
                beneath: [None; TASKS_MAX],
            },
            past: Past { taken: [Attempts::default(); WORKERS], executed: Attempts::default() },
            harm: Harm::default(),
            luck: self.luck,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.is_over() {
            return;
        }
        self.driver_actions(world, actions);
        self.worker_actions(world, actions);
        actions.extend(world.network.iter().map(Action::Deliver));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = *world;
        let happens = match action {
            Action::Abandon { worker } => next.abandon(worker),
            Action::Commit => self.commit(&mut next),
            Action::CrashDriver => next.crash_driver(),
            Action::CrashPower { names_lost, records_lost } => {
                self.crash_power(&mut next, names_lost, records_lost)
            }
            Action::CrashWorker { worker } => next.crash_worker(worker),
            Action::Deliver(message) => self.deliver(&mut next, message),
            Action::Expire { task } => next.expire(task),
            Action::Finish { worker } => self.finish(&mut next, worker),
            Action::GiveUp => next.give_up(),
            Action::Grant { task, worker } => next.grant(task, worker),
            Action::PublishItself { worker } => self.publish_itself(&mut next, worker),
            Action::Restart => self.restart(&mut next),
        };
        if !happens {
            return None;
        }
        let may_cycle = self.fault.is_some();
        assert!(may_cycle || world.age() < next.age(), "{action:?} is a cycle in {world:#?}");
        Some(next)
    }

    fn properties(&self) -> Vec<Claim> {
        claims::always().into_iter().chain((self.shows)()).collect()
    }
}
