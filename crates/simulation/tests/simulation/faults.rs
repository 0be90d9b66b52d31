//! Injects the faults of the plan, and heals them.

use std::time::Duration;

use turmoil::Sim;

use crate::connections::Crash;
use crate::plan::{HEALED_AFTER, Planned};
use crate::report::{Fault, Strikes};
use crate::shared_store::Conditions;
use crate::trace;
use crate::world::{World, driver_name, worker_name};

/// Faults that are planned, and faults that are active.
pub struct Faults {
    planned: Vec<Planned>,
    /// Damage that found nothing to damage yet; whether it is to a staged object.
    pending: Vec<(Fault, bool)>,
    /// Crashes of the driver that wait until it publishes something, each until a time at most.
    aimed: Vec<(Duration, Planned)>,
    /// Faults with the times at which they end.
    active: Vec<(Duration, Planned)>,
    /// Hosts that have cut their connections and crash in this step.
    crashing: Vec<Planned>,
    healed: bool,
}

impl Faults {
    pub fn new(world: &World) -> Self {
        let planned = world.plan.events.iter().rev().copied().collect();
        Self {
            planned,
            pending: Vec::new(),
            aimed: Vec::new(),
            active: Vec::new(),
            crashing: Vec::new(),
            healed: false,
        }
    }

    /// Begins and ends the faults that are due.
    pub fn strike(&mut self, sim: &mut Sim<'_>, world: &World, strikes: &mut Strikes) {
        let now = sim.elapsed();
        for planned in std::mem::take(&mut self.crashing) {
            crash(planned, sim, world);
        }
        if self.healed || world.progress().done && self.active.is_empty() {
            return;
        }
        if now >= HEALED_AFTER {
            self.healed = true;
            self.planned.clear();
            self.pending.clear();
            self.aimed.clear();
            for (end, _) in &mut self.active {
                *end = now;
            }
            world.shared_store.heal();
            trace::tell("everything is healed");
        }
        let (over, active) = self.active.iter().copied().partition(|(end, _)| *end <= now);
        self.active = active;
        for (_, planned) in over as Vec<_> {
            end(planned, sim, world);
        }
        while let Some(planned) = self.planned.pop_if(|planned| planned.at <= now) {
            let is_aimed = matches!(place(planned.fault), Place::Driver | Place::Power);
            if is_aimed && world.random.percent(60) {
                self.aimed.push((now + AIM_MAX, planned));
            } else {
                self.begin(planned, sim, world, strikes);
            }
        }
        let publishing = world.shared_store.publishing();
        let is_due = |(until, _): &mut (Duration, Planned)| publishing.is_some() || *until <= now;
        for (_, planned) in self.aimed.extract_if(.., is_due).collect::<Vec<_>>() {
            let machine = publishing.unwrap_or(planned.machine);
            self.begin(Planned { at: now, machine, ..planned }, sim, world, strikes);
        }
        self.pending.retain(|&(fault, is_staged)| {
            !(if is_staged {
                world.shared_store.flip_staged()
            } else {
                world.shared_store.damage(fault)
            })
        });
    }

    /// Gives each link another latency every second. Not each packet: tokio wakes the tasks that
    /// wait for one thing in a random order, and the network would assign latencies in that order.
    pub fn vary_latency(&self, sim: &Sim<'_>, world: &World) {
        if sim.elapsed().subsec_millis() > 0 {
            return;
        }
        for machine in 0..world.plan.drivers.len() {
            for index in 0..world.plan.workers {
                let latency = world.random.millis(5, 50);
                let is_slow = |(_, planned): &(_, Planned)| {
                    planned.fault == Fault::Latency
                        && (planned.worker, planned.machine) == (index, machine)
                };
                if !self.active.iter().any(is_slow) {
                    sim.set_link_latency(driver_name(machine), worker_name(index), latency);
                }
            }
        }
    }

    /// Each host and link has one fault at a time, so that the end of one does not end another.
    fn is_busy(&self, planned: Planned) -> bool {
        self.active.iter().any(|(_, other)| match (place(planned.fault), place(other.fault)) {
            (Place::Driver, Place::Driver) => other.machine == planned.machine,
            (Place::Driver | Place::Power, Place::Driver | Place::Power) => true,
            (Place::Link, Place::Link) | (Place::Worker, Place::Worker) => {
                other.worker == planned.worker
            }
            (Place::Power, Place::Worker) | (Place::Worker, Place::Power) => true,
            (Place::Store, Place::Store) => true,
            (_, _) => false,
        })
    }

    fn begin(&mut self, planned: Planned, sim: &mut Sim<'_>, world: &World, strikes: &mut Strikes) {
        if world.progress().done || self.is_busy(planned) {
            return;
        }
        let (driver, worker) = (driver_name(planned.machine), worker_name(planned.worker));
        let random = &world.random;
        trace::tell(&format!("{:?} of {driver}, {worker} for {:?}", planned.fault, planned.lasts));
        match planned.fault {
            Fault::CutFile | Fault::FlippedByte | Fault::LostFile => {
                let is_staged = planned.fault == Fault::FlippedByte && random.percent(50);
                self.pending.push((planned.fault, is_staged));
                return;
            }
            Fault::StoppedWorker => world.progress().shutdowns[planned.worker].request(),
            Fault::FailingJournal => {
                world.disk.fail(1);
                return;
            }
            Fault::FailingStore | Fault::FullStore | Fault::SlowStore => {
                let mut conditions = Conditions::default();
                if planned.fault == Fault::FailingStore {
                    conditions.failing_percent = random.between(2, 40);
                }
                if planned.fault == Fault::SlowStore {
                    conditions.slow = random.millis(500, 6_000);
                }
                conditions.full = planned.fault == Fault::FullStore;
                world.shared_store.set_conditions(conditions);
                self.active.push((planned.at + planned.lasts, planned));
                return;
            }
            Fault::CrashedDriver | Fault::CrashedWorker | Fault::CutPower | Fault::PowerFailure => {
                request_crash(planned, world);
                self.crashing.push(planned);
            }
            Fault::FrozenDriver => world.machines[planned.machine].freeze(),
            Fault::HeldPackets => sim.hold(driver, worker),
            Fault::Latency => sim.set_link_latency(driver, worker, random.millis(100, 1_500)),
            Fault::OneWayPartition if random.percent(50) => sim.partition_oneway(driver, worker),
            Fault::OneWayPartition => sim.partition_oneway(worker, driver),
            Fault::Partition => sim.partition(driver, worker),
        }
        strikes.count(planned.fault);
        self.active.push((planned.at + planned.lasts, planned));
    }
}

/// Has the hosts that will crash cut their connections in the next step.
fn request_crash(planned: Planned, world: &World) {
    let is_power = matches!(planned.fault, Fault::CutPower | Fault::PowerFailure);
    let is_closing = !is_power && world.random.percent(70);
    let crash = if is_closing { Crash::Closing } else { Crash::Silent };
    let progress = world.progress();
    for (machine, connections) in progress.driver_connections.iter().enumerate() {
        let is_it = planned.fault != Fault::CrashedWorker && machine == planned.machine;
        if is_it || planned.fault == Fault::PowerFailure {
            connections.request(crash);
        }
    }
    for (index, connections) in progress.worker_connections.iter().enumerate() {
        let is_it = planned.fault == Fault::CrashedWorker && index == planned.worker;
        if is_it || planned.fault == Fault::PowerFailure {
            connections.request(crash);
        }
    }
}

/// Crashes the processes; if the power fails, what was not synced is lost as well.
fn crash(planned: Planned, sim: &mut Sim<'_>, world: &World) {
    if planned.fault == Fault::CrashedWorker {
        sim.crash(worker_name(planned.worker));
        return;
    }
    let all = 0..world.plan.drivers.len();
    let is_everywhere = planned.fault == Fault::PowerFailure;
    for machine in all.filter(|&machine| is_everywhere || machine == planned.machine) {
        sim.crash(driver_name(machine));
        world.claims.end(machine);
        if matches!(planned.fault, Fault::CutPower | Fault::PowerFailure) {
            world.claims.restart(machine);
            world.disk.power_failure(machine);
        }
    }
    if is_everywhere {
        for index in 0..world.plan.workers {
            sim.crash(worker_name(index));
        }
        world.shared_store.power_failure();
        world.claims.power_failure();
    }
}

fn end(planned: Planned, sim: &mut Sim<'_>, world: &World) {
    let (driver, worker) = (driver_name(planned.machine), worker_name(planned.worker));
    trace::tell(&format!("{:?} of {driver}, {worker} is over", planned.fault));
    match planned.fault {
        Fault::CutFile
        | Fault::FailingJournal
        | Fault::FlippedByte
        | Fault::LostFile
        | Fault::StoppedWorker => {}
        Fault::FailingStore | Fault::FullStore | Fault::SlowStore => {
            world.shared_store.set_conditions(Conditions::default());
        }
        Fault::CrashedWorker => sim.bounce(worker),
        Fault::CrashedDriver => {
            // Unless another driver may run, which has seen the output or taken the job for done.
            if world.random.percent(30) && world.plan.drivers.len() == 1 {
                world.shared_store.lose_output();
            }
            sim.bounce(driver);
        }
        Fault::CutPower => sim.bounce(driver),
        Fault::FrozenDriver => world.machines[planned.machine].thaw(),
        Fault::PowerFailure => {
            for machine in 0..world.plan.drivers.len() {
                sim.bounce(driver_name(machine));
            }
            for index in 0..world.plan.workers {
                sim.bounce(worker_name(index));
            }
        }
        Fault::HeldPackets => sim.release(driver, worker),
        Fault::Latency => sim.set_link_latency(driver, worker, Duration::from_millis(20)),
        Fault::OneWayPartition | Fault::Partition => sim.repair(driver, worker),
    }
}

/// What a fault occupies: most of these take one fault at a time.
enum Place {
    Driver,
    Link,
    Power,
    Store,
    /// Nothing that another fault could occupy at the same time.
    Unshared,
    Worker,
}

fn place(fault: Fault) -> Place {
    match fault {
        Fault::CrashedDriver | Fault::CutPower | Fault::FrozenDriver => Place::Driver,
        Fault::CutFile
        | Fault::FailingJournal
        | Fault::FlippedByte
        | Fault::LostFile
        | Fault::StoppedWorker => Place::Unshared,
        Fault::HeldPackets | Fault::Latency | Fault::OneWayPartition | Fault::Partition => {
            Place::Link
        }
        Fault::PowerFailure => Place::Power,
        Fault::FailingStore | Fault::FullStore | Fault::SlowStore => Place::Store,
        Fault::CrashedWorker => Place::Worker,
    }
}

/// How long a crash waits for the driver to publish something.
const AIM_MAX: Duration = Duration::from_secs(5);

/// All of them.
pub const EVERY_FAULT: [Fault; 17] = [
    Fault::CrashedWorker,
    Fault::CrashedDriver,
    Fault::CutFile,
    Fault::CutPower,
    Fault::FailingJournal,
    Fault::FailingStore,
    Fault::FlippedByte,
    Fault::FrozenDriver,
    Fault::FullStore,
    Fault::HeldPackets,
    Fault::Latency,
    Fault::LostFile,
    Fault::OneWayPartition,
    Fault::Partition,
    Fault::PowerFailure,
    Fault::SlowStore,
    Fault::StoppedWorker,
];
