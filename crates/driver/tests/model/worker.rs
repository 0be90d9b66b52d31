//! What workers do: execute, report, take answers, and die.

use super::protocol::{Action, Fault, Kind, Protocol};
use super::world::{Attempt, Driver, File, Message, Staged, Worker, World};

impl Protocol {
    pub fn worker_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (worker, state) in world.workers.iter().enumerate() {
            let attempt = match *state {
                Worker::Executing(attempt) => {
                    actions.push(Action::Finish { worker });
                    attempt
                }
                Worker::Reporting(attempt) => {
                    if self.is_without(Fault::DriverPublishes) {
                        actions.push(Action::PublishItself { worker });
                    }
                    attempt
                }
                Worker::Crashed | Worker::Idle => continue,
            };
            if world.driver == Driver::Up && !world.is_live(attempt) {
                actions.push(Action::Abandon { worker });
            }
            if world.luck.worker_crashes > 0 {
                actions.push(Action::CrashWorker { worker });
            }
        }
    }

    /// A message that changes nothing does not arrive: its receiver is gone, or knows it already.
    pub fn deliver(&self, world: &mut World, message: Message) -> bool {
        match message {
            Message::Accepted(attempt) | Message::AcceptedAgain(attempt) => {
                world.end_report(attempt).is_some()
            }
            Message::Assign { attempt, worker } => self.take_assignment(world, attempt, worker),
            Message::Done(attempt) => self.handle_done(world, attempt),
            Message::Failed(attempt) => self.handle_failed(world, attempt),
            Message::FailedStale(attempt) => world.folder.staged[attempt.index()].take().is_some(),
            Message::Stale(attempt) => {
                let is_reporting = world.end_report(attempt).is_some();
                if is_reporting {
                    world.discard(attempt);
                }
                is_reporting
            }
        }
    }

    /// Taken by an idle worker; or, if it is repeated, by one that reports this very attempt.
    fn take_assignment(&self, world: &mut World, attempt: Attempt, worker: usize) -> bool {
        let is_idle = world.workers[worker] == Worker::Idle;
        let is_there = world.folder.staged[attempt.index()].is_some();
        if world.past.taken[worker].contains(attempt) {
            let is_reporting = world.workers[worker] == Worker::Reporting(attempt);
            let may_come = is_idle || is_reporting && is_there;
            if world.luck.repeats == 0 || !may_come {
                return false;
            }
            world.luck.repeats -= 1;
        } else if !is_idle {
            return false;
        }
        world.past.taken[worker].insert(attempt);
        if is_there && !self.is_without(Fault::NewStaging) {
            world.network.send(Message::Failed(attempt));
            return true;
        }
        world.harm.executed_twice |= world.past.executed.contains(attempt) && world.counts(attempt);
        world.past.executed.insert(attempt);
        world.folder.staged[attempt.index()] = Some(Staged { is_whole: false, moved: 0 });
        if is_idle {
            world.workers[worker] = Worker::Executing(attempt);
        }
        true
    }

    pub fn finish(&self, world: &mut World, worker: usize) -> bool {
        let Worker::Executing(attempt) = world.workers[worker] else { return false };
        if self.tasks[attempt.task()] == Kind::Reduce {
            world.harm.misread |= !self.maps().all(|map| self.is_as_recorded(world, map));
        }
        if let Some(staged) = &mut world.folder.staged[attempt.index()] {
            staged.is_whole = true;
        }
        // If it was removed meanwhile the worker may not have noticed.
        world.network.send(Message::Done(attempt));
        world.workers[worker] = Worker::Reporting(attempt);
        true
    }

    fn is_as_recorded(&self, world: &World, map: usize) -> bool {
        let Some(by) = world.journal.records[map] else { return false };
        let files = &world.folder.finals[map][..self.files(map)];
        files.iter().all(|&file| file == Some(File { by, is_whole: true }))
    }

    pub fn publish_itself(&self, world: &mut World, worker: usize) -> bool {
        let Worker::Reporting(attempt) = world.workers[worker] else { return false };
        let Some(staged) = &mut world.folder.staged[attempt.index()] else { return false };
        let files = self.files(attempt.task());
        if staged.moved == files {
            return false;
        }
        for file in &mut world.folder.finals[attempt.task()][staged.moved..files] {
            *file = Some(File { by: attempt, is_whole: staged.is_whole });
        }
        staged.moved = files;
        world.harm.foreign_name = true;
        true
    }
}

impl World {
    /// The worker that reports `attempt` has its answer.
    fn end_report(&mut self, attempt: Attempt) -> Option<()> {
        let worker = self.workers.iter_mut();
        *worker.into_iter().find(|worker| **worker == Worker::Reporting(attempt))? = Worker::Idle;
        self.drop_answers(attempt);
        Some(())
    }

    /// A call that has ended is not answered any more.
    fn drop_answers(&mut self, attempt: Attempt) {
        self.network.remove(Message::Accepted(attempt));
        self.network.remove(Message::AcceptedAgain(attempt));
        self.network.remove(Message::Stale(attempt));
    }

    /// An attempt that is executed is discarded. One that is reported stays for the next sweep.
    pub fn abandon(&mut self, worker: usize) -> bool {
        match self.workers[worker] {
            Worker::Executing(attempt) => self.discard(attempt),
            Worker::Reporting(attempt) => self.drop_answers(attempt),
            Worker::Crashed | Worker::Idle => {}
        }
        self.workers[worker] = Worker::Idle;
        true
    }

    pub fn crash_worker(&mut self, worker: usize) -> bool {
        self.luck.worker_crashes -= 1;
        if let Worker::Reporting(attempt) = self.workers[worker] {
            self.drop_answers(attempt);
        }
        self.workers[worker] = Worker::Crashed;
        true
    }
}
