//! What the driver does: grant, accept reports, commit, die and restart.

use super::protocol::{Action, Fault, Kind, Protocol};
use super::world::{
    Attempt, Attempts, Commit, Driver, File, Message, Standing, Task, Worker, World,
};

impl Protocol {
    pub fn driver_actions(&self, world: &World, actions: &mut Vec<Action>) {
        match world.driver {
            Driver::Down => actions.push(Action::Restart),
            Driver::Up => self.serving_actions(world, actions),
            Driver::Over => {}
        }
        if world.luck.driver_crashes > 0 && world.driver == Driver::Up {
            actions.push(Action::CrashDriver);
            let mut outputs = self.outputs();
            let names =
                outputs.any(|task| world.folder.finals[task][0] != world.folder.beneath[task]);
            let records = matches!(world.commit, Commit::Sync(_));
            for (names_lost, records_lost) in [(false, true), (true, false), (true, true)] {
                if (names || !names_lost) && (records || !records_lost) {
                    actions.push(Action::CrashPower { names_lost, records_lost });
                }
            }
        }
    }

    fn serving_actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Commit);
        let mut is_publishing = world.commit != Commit::Idle;
        let mut is_exhausted = false;
        for (index, task) in world.tasks.iter().enumerate().take(self.tasks.len()) {
            match task.standing {
                Standing::Running(_) => actions.push(Action::Expire { task: index }),
                Standing::Waiting if !self.is_ready(world, index) => {}
                Standing::Waiting if task.granted == self.attempts => is_exhausted = true,
                Standing::Waiting => {
                    let workers = (0..world.workers.len()).filter(|&worker| world.may_ask(worker));
                    let grant = |worker| Action::Grant { task: index, worker };
                    actions.extend(workers.map(grant));
                }
                Standing::Publishing(_) => is_publishing = true,
                Standing::Committed(_) => {}
            }
        }
        if is_exhausted && !is_publishing {
            actions.push(Action::GiveUp);
        }
    }

    /// Reduce tasks start when every map task is committed.
    fn is_ready(&self, world: &World, task: usize) -> bool {
        let is_committed = |map: usize| matches!(world.tasks[map].standing, Standing::Committed(_));
        self.tasks[task] == Kind::Map || self.maps().all(is_committed)
    }

    /// A message for a driver that does not serve is dropped.
    pub fn handle_done(&self, world: &mut World, attempt: Attempt) -> bool {
        if world.driver != Driver::Up {
            return false;
        }
        let standing = &mut world.tasks[attempt.task()].standing;
        match *standing {
            Standing::Publishing(winner) if winner == attempt => return false,
            Standing::Committed(winner)
                if winner == attempt && winner.epoch() == world.journal.epoch =>
            {
                return world.answer(Message::AcceptedAgain(attempt), attempt);
            }
            Standing::Running(running) if running == attempt => {
                *standing = Standing::Publishing(attempt);
                return true;
            }
            Standing::Committed(_)
            | Standing::Publishing(_)
            | Standing::Running(_)
            | Standing::Waiting => {}
        }
        if self.is_without(Fault::Fence) && world.journal.records[attempt.task()] != Some(attempt) {
            *standing = Standing::Publishing(attempt);
            return true;
        }
        world.answer(Message::Stale(attempt), attempt)
    }

    pub fn handle_failed(&self, world: &mut World, attempt: Attempt) -> bool {
        if world.driver != Driver::Up {
            return false;
        }
        if world.is_live(attempt) {
            world.end(attempt);
            return true;
        }
        if self.is_without(Fault::ExistingIsForeign) {
            world.network.send(Message::FailedStale(attempt));
            return true;
        }
        false
    }

    pub fn restart(&self, world: &mut World) -> bool {
        world.sweep();
        if !self.is_without(Fault::NewEpoch) {
            world.journal.epoch += 1;
        }
        world.driver = Driver::Up;
        for (index, task) in world.tasks.iter_mut().enumerate() {
            // A record is accepted if its names are there.
            let record = world.journal.records[index].filter(|_| {
                let is_there = |file: &Option<File>| file.is_some_and(|file| file.is_whole);
                self.is_without(Fault::NamesBeforeRecord)
                    || world.folder.finals[index][..self.files(index)].iter().all(is_there)
            });
            task.standing = record.map_or(Standing::Waiting, Standing::Committed);
        }
        true
    }

    pub fn crash_power(&self, world: &mut World, names_lost: bool, records_lost: bool) -> bool {
        for task in self.outputs() {
            let (name, beneath) =
                (&mut world.folder.finals[task][0], &mut world.folder.beneath[task]);
            if names_lost {
                *name = *beneath;
            } else {
                *beneath = *name;
            }
        }
        if let Commit::Sync(batch) = world.commit
            && records_lost
        {
            for attempt in batch.iter() {
                world.journal.records[attempt.task()] = None;
            }
        }
        world.crash_driver()
    }

    /// The committer's next step: check, rename, sync the folder, write, sync, answer; and when
    /// everything is committed, the end.
    pub fn commit(&self, world: &mut World) -> bool {
        let record_first = self.is_without(Fault::NamesBeforeRecord);
        world.commit = match world.commit {
            Commit::Idle => {
                let queue = world.queue();
                if queue.is_empty() {
                    return self.finish_job(world);
                }
                if record_first {
                    Commit::Append(queue)
                } else {
                    return self.publish(world, queue, Attempts::default(), 0, false);
                }
            }
            Commit::Publish { left, published, file, is_checked } => {
                return self.publish(world, left, published, file, is_checked);
            }
            Commit::Settle(batch) => {
                for task in self.outputs() {
                    world.folder.beneath[task] = world.folder.finals[task][0];
                }
                self.after_names(batch)
            }
            Commit::Append(batch) => {
                for attempt in batch.iter() {
                    let record = world.journal.records[attempt.task()].replace(attempt);
                    world.harm.recorded_twice |= record.is_some();
                    if self.is_without(Fault::RecordBeforeAnswer) {
                        world.answer(Message::Accepted(attempt), attempt);
                    }
                }
                Commit::Sync(batch)
            }
            Commit::Sync(batch) if record_first => {
                let (published, file, is_checked) = (Attempts::default(), 0, false);
                Commit::Publish { left: batch, published, file, is_checked }
            }
            Commit::Sync(batch) => Commit::Answer(batch),
            Commit::Answer(mut batch) => {
                let attempt = batch.first().expect("a batch is over when every report is answered");
                world.discard(attempt);
                let standing = &mut world.tasks[attempt.task()].standing;
                if *standing == Standing::Publishing(attempt) {
                    *standing = Standing::Committed(attempt);
                }
                world.answer(Message::Accepted(attempt), attempt);
                batch.remove(attempt);
                if batch.is_empty() { Commit::Idle } else { Commit::Answer(batch) }
            }
            Commit::Sweep => {
                world.sweep();
                world.driver = Driver::Over;
                Commit::Idle
            }
        };
        true
    }

    /// One step of a publication: check a file, or rename it.
    ///
    /// In between anything can happen to it. The driver checks the checksum of outputs and the
    /// length of intermediates, which an unfinished file does not have: here they are the same.
    fn publish(
        &self,
        world: &mut World,
        left: Attempts,
        published: Attempts,
        file: usize,
        is_checked: bool,
    ) -> bool {
        let attempt = left.first().expect("a publication is over when nothing is left");
        let task = attempt.task();
        let staged = &mut world.folder.staged[attempt.index()];
        let next = if !is_checked {
            let is_staged = staged.is_some_and(|staged| staged.moved == file && staged.is_whole);
            // As after a rename whose answer was lost.
            let is_there =
                world.folder.finals[task][file] == Some(File { by: attempt, is_whole: true });
            if !is_staged && !is_there {
                return self.reject(world, left, published);
            }
            Commit::Publish { left, published, file, is_checked: true }
        } else {
            match staged {
                Some(staged) if staged.moved == file => {
                    staged.moved += 1;
                    let is_whole = staged.is_whole;
                    world.folder.finals[task][file] = Some(File { by: attempt, is_whole });
                }
                Some(_) | None => {
                    let there = Some(File { by: attempt, is_whole: true });
                    if world.folder.finals[task][file] != there {
                        return self.reject(world, left, published);
                    }
                }
            }
            self.after_file(attempt, left, published, file)
        };
        world.commit = next;
        true
    }

    fn after_file(
        &self,
        attempt: Attempt,
        mut left: Attempts,
        mut published: Attempts,
        file: usize,
    ) -> Commit {
        let (mut file, is_checked) = (file + 1, false);
        if file == self.files(attempt.task()) {
            file = 0;
            left.remove(attempt);
            published.insert(attempt);
        }
        if left.is_empty() {
            self.after_publishing(published)
        } else {
            Commit::Publish { left, published, file, is_checked }
        }
    }

    /// The reported files are not there: the attempt has failed.
    fn reject(&self, world: &mut World, mut left: Attempts, published: Attempts) -> bool {
        let attempt = left.first().expect("an attempt is being published");
        left.remove(attempt);
        world.end(attempt);
        world.answer(Message::Stale(attempt), attempt);
        let (file, is_checked) = (0, false);
        world.commit = match (left.is_empty(), published.is_empty()) {
            (false, _) => Commit::Publish { left, published, file, is_checked },
            (true, false) => self.after_publishing(published),
            (true, true) => Commit::Idle,
        };
        true
    }

    fn after_publishing(&self, batch: Attempts) -> Commit {
        let durable = batch.iter().any(|attempt| self.tasks[attempt.task()] == Kind::Reduce);
        if durable && !self.is_without(Fault::Settle) {
            Commit::Settle(batch)
        } else {
            self.after_names(batch)
        }
    }

    fn after_names(&self, batch: Attempts) -> Commit {
        if self.is_without(Fault::NamesBeforeRecord) {
            Commit::Answer(batch)
        } else {
            Commit::Append(batch)
        }
    }

    fn finish_job(&self, world: &mut World) -> bool {
        let is_committed = |task: &Task| matches!(task.standing, Standing::Committed(_));
        if !world.tasks[..self.tasks.len()].iter().all(is_committed) {
            return false;
        }
        world.journal.is_done = true;
        world.commit = Commit::Sweep;
        true
    }
}

impl World {
    /// A call of this worker for a task may be waiting at the driver.
    fn may_ask(&self, worker: usize) -> bool {
        let holds = |task: &Task| match task.standing {
            Standing::Running(attempt) => self.network.has(Message::Assign { attempt, worker }),
            Standing::Committed(_) | Standing::Publishing(_) | Standing::Waiting => false,
        };
        // Workers that were never assigned a task are all alike.
        let is_next = |other: usize| other >= worker || self.network.has_assigned(other);
        self.workers[worker] == Worker::Idle
            && !self.tasks.iter().any(holds)
            && (0..self.workers.len()).all(is_next)
    }

    pub fn grant(&mut self, task: usize, worker: usize) -> bool {
        let Task { standing, granted } = &mut self.tasks[task];
        let attempt = Attempt::new(self.journal.epoch, task, *granted);
        *standing = Standing::Running(attempt);
        *granted += 1;
        self.network.send(Message::Assign { attempt, worker });
        self.past.taken[worker].remove(attempt);
        true
    }

    pub fn expire(&mut self, task: usize) -> bool {
        let Standing::Running(attempt) = self.tasks[task].standing else { return false };
        self.end(attempt);
        true
    }

    /// An attempt ends without a commit. Its task waits again.
    fn end(&mut self, attempt: Attempt) {
        self.tasks[attempt.task()].standing = Standing::Waiting;
        self.discard(attempt);
    }

    pub fn give_up(&mut self) -> bool {
        self.sweep();
        self.driver = Driver::Over;
        true
    }

    /// Accepted reports that the committer has not begun to publish.
    fn queue(&self) -> Attempts {
        let mut queue = Attempts::default();
        for task in &self.tasks {
            if let Standing::Publishing(attempt) = task.standing {
                queue.insert(attempt);
            }
        }
        queue
    }

    pub fn crash_driver(&mut self) -> bool {
        self.luck.driver_crashes -= 1;
        self.driver = Driver::Down;
        self.commit = Commit::Idle;
        for task in &mut self.tasks {
            *task = Task { standing: Standing::Waiting, granted: 0 };
        }
        true
    }
}
