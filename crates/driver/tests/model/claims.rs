//! What must hold in every world, what every run must reach, and what must happen in some.

use stateright::Property;

use super::protocol::Protocol;
use super::world::{Attempt, Commit, Driver, File, Luck, Message, Standing, Worker, World};

pub type Claim = Property<Protocol>;

pub const HALF: &str = "no recorded name holds half a file";
pub const WINNER: &str = "recorded names hold what their winner staged";
pub const ACCEPTED: &str = "an accepted attempt is on record";
pub const ONCE: &str = "a task is recorded once";
pub const READ: &str = "a reader finds what was recorded";
pub const EXECUTED: &str = "an attempt that counts is executed once";
pub const FOREIGN: &str = "only the driver creates a final name";
pub const END: &str = "the job ends";

/// What must hold at every moment, and in the end.
pub fn always() -> Vec<Claim> {
    vec![
        Claim::always(HALF, |protocol, world| {
            every_recorded(protocol, world, |file, _| file.is_some_and(|file| file.is_whole))
        }),
        Claim::always(WINNER, |protocol, world| {
            every_recorded(protocol, world, |file, by| file.is_some_and(|file| file.by == by))
        }),
        Claim::always(ACCEPTED, |_, world| {
            every_reporting(world, |attempt| {
                let is_accepted = world.network.has(Message::Accepted(attempt))
                    || world.network.has(Message::AcceptedAgain(attempt));
                !is_accepted || world.journal.records[attempt.task()] == Some(attempt)
            })
        }),
        Claim::always("a job that is done has a record of every task", |protocol, world| {
            !world.journal.is_done || protocol.recorded(world).count() == protocol.tasks.len()
        }),
        Claim::always(ONCE, |_, world| !world.harm.recorded_twice),
        Claim::always(READ, |_, world| !world.harm.misread),
        Claim::always(EXECUTED, |_, world| !world.harm.executed_twice),
        Claim::always(FOREIGN, |_, world| !world.harm.foreign_name),
        // In a graph without cycles (see `World::age`), and for a state that is never left, this is
        // exact: no run can end anywhere else.
        Claim::eventually(END, |_, world| world.is_over()),
    ]
}

/// What must happen in some run when all processes may crash, or the model would prove less than it
/// seems to.
pub fn shows_crashes() -> Vec<Claim> {
    vec![
        Claim::sometimes("a late report is refused", |_, world| {
            some_reporting(world, |attempt| {
                attempt.epoch() == world.journal.epoch && world.network.has(Message::Stale(attempt))
            })
        }),
        Claim::sometimes("a report of an earlier epoch is refused", |_, world| {
            some_reporting(world, |attempt| {
                attempt.epoch() < world.journal.epoch && world.network.has(Message::Stale(attempt))
            })
        }),
        Claim::sometimes("a repeated report is accepted again", |_, world| {
            some_reporting(world, |attempt| world.network.has(Message::AcceptedAgain(attempt)))
        }),
        Claim::sometimes(
            "a task whose names a crash left without a record is attempted again",
            |_, world| {
                let is_left = |task: usize, attempt: Attempt| {
                    let found = world.folder.finals[task][0];
                    found.is_some_and(|file| file.by.epoch() < attempt.epoch())
                };
                (0..world.tasks.len()).any(|task| match world.tasks[task].standing {
                    Standing::Publishing(attempt) => {
                        world.journal.records[task].is_none() && is_left(task, attempt)
                    }
                    Standing::Committed(_) | Standing::Running(_) | Standing::Waiting => false,
                })
            },
        ),
        Claim::sometimes("a crash leaves a record that was not answered", |_, world| {
            world.driver == Driver::Down
                && some_reporting(world, |attempt| {
                    world.journal.records[attempt.task()] == Some(attempt)
                        && !world.network.has(Message::Accepted(attempt))
                })
        }),
        Claim::sometimes("a restart resumes from the records", |_, world| {
            world.journal.records.iter().flatten().any(|&winner| {
                winner.epoch() < world.journal.epoch && world.stands(Standing::Committed(winner))
            })
        }),
        Claim::sometimes("an attempt of an earlier epoch is executed", |_, world| {
            world.workers.iter().any(|worker| {
                matches!(worker, Worker::Executing(attempt) if attempt.epoch() < world.journal.epoch)
            })
        }),
        Claim::sometimes("the job is done, whatever went wrong", |_, world| {
            let Luck { driver_crashes, worker_crashes, repeats } = world.luck;
            world.driver == Driver::Over
                && world.journal.is_done
                && (driver_crashes, worker_crashes, repeats) == (0, 0, 0)
        }),
        Claim::sometimes("the job is given up", |_, world| {
            world.driver == Driver::Over && !world.journal.is_done
        }),
    ]
}

/// The same with a map.
pub fn shows_crashes_of_maps() -> Vec<Claim> {
    let mut claims = shows_crashes();
    claims.push(Claim::sometimes("a crash leaves some names of a map", |_, world| {
        let [first, last] = world.folder.finals[0];
        world.driver == Driver::Down && first.is_some() && last.is_none()
    }));
    claims
}

/// When assignments are repeated.
pub fn shows_repeats() -> Vec<Claim> {
    vec![
        Claim::sometimes("existing staging is left alone", |_, world| {
            world.network.iter().any(|message| matches!(message, Message::Failed(_)))
        }),
        Claim::sometimes("an attempt that is over is executed again", |_, world| {
            world.workers.iter().any(|&worker| match worker {
                Worker::Executing(attempt) => world.network.has(Message::Done(attempt)),
                Worker::Crashed | Worker::Idle | Worker::Reporting(_) => false,
            })
        }),
    ]
}

/// When two tasks are committed together.
pub fn shows_batches() -> Vec<Claim> {
    vec![
        Claim::sometimes(
            "one sync covers two records",
            |_, world| matches!(world.commit, Commit::Sync(batch) if batch.len() == 2),
        ),
        Claim::sometimes("a crash leaves names of two tasks and no record", |_, world| {
            world.driver == Driver::Down
                && world.journal.records == [None; 2]
                && world.folder.finals.iter().all(|files| files[0].is_some())
        }),
    ]
}

fn every_recorded(
    protocol: &Protocol,
    world: &World,
    holds: impl Fn(Option<File>, Attempt) -> bool,
) -> bool {
    protocol.recorded(world).all(|(task, winner)| {
        world.folder.finals[task][..protocol.files(task)].iter().all(|&file| holds(file, winner))
    })
}

fn every_reporting(world: &World, holds: impl Fn(Attempt) -> bool) -> bool {
    !some_reporting(world, |attempt| !holds(attempt))
}

fn some_reporting(world: &World, holds: impl Fn(Attempt) -> bool) -> bool {
    world.workers.iter().any(|worker| match *worker {
        Worker::Reporting(attempt) => holds(attempt),
        Worker::Crashed | Worker::Executing(_) | Worker::Idle => false,
    })
}
