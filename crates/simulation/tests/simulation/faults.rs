//! Carries out what the plan wants to go wrong, and heals it.

use std::time::Duration;

use turmoil::Sim;

use crate::plan::{HEALED_AFTER, Planned};
use crate::report::{Fault, Strikes};
use crate::shelf::Weather;
use crate::trace;
use crate::wires::Death;
use crate::world::{DRIVER, World, worker_name};

/// What is planned, and what is going on.
pub struct Faults {
    planned: Vec<Planned>,
    /// Damage that found nothing to damage yet; whether to something that is staged.
    pending: Vec<(Fault, bool)>,
    /// Deaths of the driver that wait until it publishes something, but no longer than until then.
    aimed: Vec<(Duration, Planned)>,
    /// What ends when.
    going_on: Vec<(Duration, Planned)>,
    /// Hosts that have cut their connections, and crash now.
    dying: Vec<Planned>,
    healed: bool,
}

impl Faults {
    pub fn new(world: &World) -> Self {
        let planned = world.plan.events.iter().rev().copied().collect();
        Self {
            planned,
            pending: Vec::new(),
            aimed: Vec::new(),
            going_on: Vec::new(),
            dying: Vec::new(),
            healed: false,
        }
    }

    /// Everything whose time has come.
    pub fn strike(&mut self, sim: &mut Sim<'_>, world: &World, strikes: &mut Strikes) {
        let now = sim.elapsed();
        for planned in std::mem::take(&mut self.dying) {
            crash(planned, sim, world);
        }
        if self.healed || world.progress().done && self.going_on.is_empty() {
            return;
        }
        if now >= HEALED_AFTER {
            self.healed = true;
            self.planned.clear();
            self.pending.clear();
            self.aimed.clear();
            for (end, _) in &mut self.going_on {
                *end = now;
            }
            world.shelf.heal();
            trace::tell("everything is healed");
        }
        let (over, going_on) = self.going_on.iter().copied().partition(|(end, _)| *end <= now);
        self.going_on = going_on;
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
        let is_publishing = world.shelf.is_publishing();
        let is_due = |(until, _): &mut (Duration, Planned)| is_publishing || *until <= now;
        for (_, planned) in self.aimed.extract_if(.., is_due).collect::<Vec<_>>() {
            self.begin(Planned { at: now, ..planned }, sim, world, strikes);
        }
        self.pending.retain(|&(fault, is_staged)| {
            !(if is_staged { world.shelf.flip_staged() } else { world.shelf.damage(fault) })
        });
    }

    /// Gives each link another latency every second. Not each packet: tokio draws lots for the
    /// order in which it wakes the tasks that wait for one thing, and the network would deal
    /// latencies out in that order.
    pub fn vary_latency(&self, sim: &Sim<'_>, world: &World) {
        if sim.elapsed().subsec_millis() > 0 {
            return;
        }
        for index in 0..world.plan.workers {
            let latency = world.random.millis(5, 50);
            let is_slow = |(_, planned): &(_, Planned)| {
                planned.fault == Fault::Latency && planned.worker == index
            };
            if !self.going_on.iter().any(is_slow) {
                sim.set_link_latency(DRIVER, worker_name(index), latency);
            }
        }
    }

    /// One fault at a time for each host and link, so that the end of one does not end another.
    fn is_busy(&self, planned: Planned) -> bool {
        self.going_on.iter().any(|(_, other)| match (place(planned.fault), place(other.fault)) {
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
        let worker = worker_name(planned.worker);
        let random = &world.random;
        trace::tell(&format!("{:?} of {worker} for {:?}", planned.fault, planned.lasts));
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
                let mut weather = Weather::default();
                if planned.fault == Fault::FailingStore {
                    weather.failing_percent = random.between(2, 40);
                }
                if planned.fault == Fault::SlowStore {
                    weather.slow = random.millis(500, 6_000);
                }
                weather.full = planned.fault == Fault::FullStore;
                world.shelf.set_weather(weather);
                self.going_on.push((planned.at + planned.lasts, planned));
                return;
            }
            Fault::CrashedDriver | Fault::CrashedWorker | Fault::CutPower | Fault::PowerFailure => {
                doom(planned, world);
                self.dying.push(planned);
            }
            Fault::HeldPackets => sim.hold(DRIVER, worker),
            Fault::Latency => sim.set_link_latency(DRIVER, worker, random.millis(100, 1_500)),
            Fault::OneWayPartition if random.percent(50) => sim.partition_oneway(DRIVER, worker),
            Fault::OneWayPartition => sim.partition_oneway(worker, DRIVER),
            Fault::Partition => sim.partition(DRIVER, worker),
        }
        strikes.count(planned.fault);
        self.going_on.push((planned.at + planned.lasts, planned));
    }
}

/// Hosts that are to crash cut their connections in the next step.
fn doom(planned: Planned, world: &World) {
    let is_power = matches!(planned.fault, Fault::CutPower | Fault::PowerFailure);
    let loud = !is_power && world.random.percent(70);
    let death = if loud { Death::Loud } else { Death::Silent };
    let progress = world.progress();
    if planned.fault != Fault::CrashedWorker {
        progress.driver_wires.request(death);
    }
    for (index, wires) in progress.worker_wires.iter().enumerate() {
        let is_it = planned.fault == Fault::CrashedWorker && index == planned.worker;
        if is_it || planned.fault == Fault::PowerFailure {
            wires.request(death);
        }
    }
}

/// Processes die, and with the power all that was not synced.
fn crash(planned: Planned, sim: &mut Sim<'_>, world: &World) {
    if planned.fault == Fault::CrashedWorker {
        sim.crash(worker_name(planned.worker));
        return;
    }
    sim.crash(DRIVER);
    if planned.fault == Fault::PowerFailure {
        for index in 0..world.plan.workers {
            sim.crash(worker_name(index));
        }
        world.shelf.power_failure();
    }
    if matches!(planned.fault, Fault::CutPower | Fault::PowerFailure) {
        world.disk.power_failure();
    }
}

fn end(planned: Planned, sim: &mut Sim<'_>, world: &World) {
    let worker = worker_name(planned.worker);
    trace::tell(&format!("{:?} of {worker} is over", planned.fault));
    match planned.fault {
        Fault::CutFile
        | Fault::FailingJournal
        | Fault::FlippedByte
        | Fault::LostFile
        | Fault::StoppedWorker => {}
        Fault::FailingStore | Fault::FullStore | Fault::SlowStore => {
            world.shelf.set_weather(Weather::default());
        }
        Fault::CrashedWorker => sim.bounce(worker),
        Fault::CrashedDriver => {
            if world.random.percent(30) {
                world.shelf.lose_output();
            }
            sim.bounce(DRIVER);
        }
        Fault::CutPower => sim.bounce(DRIVER),
        Fault::PowerFailure => {
            sim.bounce(DRIVER);
            for index in 0..world.plan.workers {
                sim.bounce(worker_name(index));
            }
        }
        Fault::HeldPackets => sim.release(DRIVER, worker),
        Fault::Latency => sim.set_link_latency(DRIVER, worker, Duration::from_millis(20)),
        Fault::OneWayPartition | Fault::Partition => sim.repair(DRIVER, worker),
    }
}

enum Place {
    Driver,
    Elsewhere,
    Link,
    Power,
    Store,
    Worker,
}

fn place(fault: Fault) -> Place {
    match fault {
        Fault::CrashedDriver | Fault::CutPower => Place::Driver,
        Fault::CutFile
        | Fault::FailingJournal
        | Fault::FlippedByte
        | Fault::LostFile
        | Fault::StoppedWorker => Place::Elsewhere,
        Fault::HeldPackets | Fault::Latency | Fault::OneWayPartition | Fault::Partition => {
            Place::Link
        }
        Fault::PowerFailure => Place::Power,
        Fault::FailingStore | Fault::FullStore | Fault::SlowStore => Place::Store,
        Fault::CrashedWorker => Place::Worker,
    }
}

/// So long the driver is watched for a moment that is worth a crash.
const AIM_MAX: Duration = Duration::from_secs(5);

/// All of them.
pub const EVERY_FAULT: [Fault; 16] = [
    Fault::CrashedWorker,
    Fault::CrashedDriver,
    Fault::CutFile,
    Fault::CutPower,
    Fault::FailingJournal,
    Fault::FailingStore,
    Fault::FlippedByte,
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
