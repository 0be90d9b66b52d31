//! What must hold in every world, what every run must reach, and what must happen in some.

use super::protocol::Protocol;
use super::world::{Driver, Exit, Output, Step, World};

pub type Property = stateright::Property<Protocol>;

pub const ONCE: &str = "an epoch is claimed once";
pub const BATCH: &str = "no batch is begun after the next claim";
pub const HEALTHY: &str = "a driver that renews its claim keeps it";
pub const OVERLAP: &str = "a claim is made during no batch, unless a driver was frozen";
pub const ORDER: &str = "a journal replaces none of a later epoch";
pub const PUBLICATION: &str = "no output is published after the next epoch has swept";
pub const RECORD: &str = "no record is appended to the journal of a later epoch";
pub const REMOVAL: &str = "no output of a later epoch is removed";
pub const BYTES: &str = "a job that is done has compared its outputs";
pub const READ: &str = "what is on record is there";
pub const ZERO: &str = "the end of a driver that ends with 0 is in the journal that counts";
pub const END: &str = "a job ends";

/// What holds however the clocks go, as long as no outputs of an earlier job are removed.
pub fn always() -> Vec<Property> {
    let mut properties = with_leftovers();
    properties.push(Property::always(REMOVAL, |_, world| !world.harm.late_removal));
    properties
}

/// What holds although outputs of an earlier job are removed.
pub fn with_leftovers() -> Vec<Property> {
    vec![
        Property::always(ONCE, |_, world| !world.harm.claimed_twice),
        Property::always(BATCH, |_, world| !world.harm.late_check),
        Property::always(ORDER, |_, world| !world.harm.older_journal),
        Property::always(PUBLICATION, |_, world| !world.harm.late_publication),
        Property::always(RECORD, |_, world| !world.harm.late_record),
        Property::always(BYTES, |_, world| !world.harm.foreign_output),
        Property::always(ZERO, |_, world| !world.harm.lost_end),
        Property::always("of the drivers of a job one ends with 0", |protocol, world| {
            let is_done = |(_, driver): &(_, &Driver)| driver.step == Step::Ended(Exit::Done);
            let mut jobs = protocol.drivers.iter().zip(&world.drivers).filter(is_done);
            let first = jobs.next();
            first.is_none_or(|(first, _)| jobs.all(|(start, _)| start.job != first.job))
        }),
        Property::always(READ, |_, world| {
            let journal = world.journals[usize::from(world.in_place)];
            let is_there = |(index, output): (usize, Option<Output>)| {
                journal.recorded & 1 << index == 0
                    || output.is_some_and(|output| output.job == journal.job)
            };
            world.harm.late_removal || world.outputs.into_iter().enumerate().all(is_there)
        }),
        Property::always("a driver that runs is never stuck", |protocol, world| {
            let runs = |driver: &Driver| !driver.is_frozen && !driver.step.is_over();
            // It takes as long as everything else: only where no rule is left out.
            protocol.fault.is_some()
                || !world.drivers.iter().any(runs)
                || protocol.can_advance(world)
        }),
        // In a graph without cycles (see `World::age`), and for a state that is never left, this is
        // exact: no run can end anywhere else. Together with the claim before: no driver waits for
        // one that is frozen or killed.
        Property::eventually(END, |_, world| world.is_over() && has_ended(world)),
    ]
}

/// What holds also in time, where clocks count how long their processes are frozen.
pub fn timed() -> Vec<Property> {
    let mut properties = always();
    properties.push(Property::always(HEALTHY, |_, world| !world.harm.was_healthy));
    properties.push(Property::always(OVERLAP, |_, world| !world.harm.overlap));
    properties
}

/// The same, and what must happen in some run, or the model would prove less than it seems to.
pub fn shows_takeovers() -> Vec<Property> {
    let mut properties = timed();
    properties.extend([
        Property::sometimes("a frozen driver is superseded, wakes and ends with 3", |_, world| {
            ends(world, Exit::Superseded) && ends(world, Exit::Done)
        }),
        Property::sometimes("a driver wakes in a batch after its successor is done", |_, world| {
            ends(world, Exit::Done)
                && world.drivers.iter().any(|driver| {
                    let Driver { step, is_frozen, epoch, .. } = *driver;
                    step == Step::Publish && !is_frozen && epoch < world.begun
                })
        }),
        Property::sometimes("a driver frozen in a batch is superseded", |_, world| {
            let is_late = |driver: &Driver| driver.is_frozen && driver.epoch < world.begun;
            world.drivers.iter().any(|driver| driver.step == Step::Publish && is_late(driver))
        }),
        Property::sometimes("a driver frozen before it begins is superseded", |_, world| {
            let is_late = |driver: &Driver| driver.is_frozen && driver.epoch < world.begun;
            world.drivers.iter().any(|driver| driver.step == Step::Begin && is_late(driver))
        }),
        Property::sometimes("a paused driver renews its claim and keeps it", |_, world| {
            let is_paused = |driver: &Driver| driver.is_waiting && !driver.is_frozen;
            world.drivers.iter().any(is_paused)
                && world.drivers.iter().any(|driver| {
                    driver.step == Step::Watch && driver.is_unseen && !driver.is_frozen
                })
        }),
        Property::sometimes("a claim below the highest is given back", |_, world| {
            world.drivers.iter().any(|driver| driver.step == Step::GiveBack)
        }),
        Property::sometimes("a released claim is taken at once", |_, world| {
            ends(world, Exit::Done) && ends(world, Exit::Found) && is_lucky(world)
        }),
        Property::sometimes("a job is resumed", |_, world| {
            world.in_place > 1
                && world.drivers.iter().any(|driver| {
                    let journal = world.journals[usize::from(world.in_place)];
                    driver.step == Step::Serve
                        && driver.epoch == world.begun
                        && journal.recorded != 0
                })
        }),
    ]);
    properties
}

/// When a driver is killed and started again.
pub fn shows_restarts() -> Vec<Property> {
    let mut properties = timed();
    properties.extend([
        Property::sometimes("a job is done, whatever went wrong", |_, world| {
            ends(world, Exit::Done) && is_spent(world)
        }),
        Property::sometimes("a dead driver's claim is taken without waiting", |_, world| {
            // Nothing has made time pass.
            world.luck.kills == 0
                && world.luck.restarts == 0
                && ends(world, Exit::Done)
                && world.drivers.iter().all(|driver| driver.age == 0)
                && world.in_place > 1
        }),
    ]);
    properties
}

/// When drivers of several jobs want the folder, and remove what is not theirs.
pub fn shows_foreign() -> Vec<Property> {
    let mut properties = with_leftovers();
    properties.push(Property::sometimes("a job whose output is gone fails", |_, world| {
        ends(world, Exit::Failed)
    }));
    properties
}

/// The last driver to claim the folder has ended with the job, or has found an output replaced, or
/// was killed for good.
fn has_ended(world: &World) -> bool {
    let is_down = |driver: &Driver| driver.step == Step::Down;
    match world.claims[usize::from(world.highest())] {
        None => world.drivers.iter().any(is_down),
        Some(claim) => {
            let last = &world.drivers[usize::from(claim.holder)];
            is_down(last) || last.step != Step::Ended(Exit::Superseded)
        }
    }
}

fn ends(world: &World, exit: Exit) -> bool {
    world.drivers.iter().any(|driver| driver.step == Step::Ended(exit))
}

fn is_lucky(world: &World) -> bool {
    world.drivers.iter().all(|driver| driver.age == 0)
}

fn is_spent(world: &World) -> bool {
    let luck = world.luck;
    (luck.freezes, luck.kills, luck.restarts) == (0, 0, 0)
}
