//! What a driver does with the folder, step by step; anything can happen in between.

use super::protocol::{Fault, Protocol};
use super::world::{
    Claim, Driver, EPOCHS_MAX, Exit, Journal, OUTPUTS_MAX, Output, STILL, Step, World,
};

impl Protocol {
    /// The driver's next step. `is_cached`: its mount answers from its cache.
    pub fn take(&self, world: &mut World, driver: usize, is_cached: bool) -> bool {
        match world.drivers[driver].step {
            Step::Watch => return self.look(world, driver),
            Step::Make => self.make(world, driver, is_cached),
            Step::Confirm => self.confirm(world, driver),
            Step::GiveBack => world.give_back(driver),
            Step::Fence => {
                world.remove_claims_below(driver);
                let is_first = !self.is_without(Fault::FenceBeforeRead);
                world.drivers[driver].step = if is_first { Step::Sweep } else { Step::Serve };
            }
            Step::Sweep => self.sweep(world, driver),
            Step::Read => self.read(world, driver),
            Step::Begin => self.begin(world, driver),
            Step::Serve => return self.serve(world, driver, is_cached),
            Step::Publish => self.publish(world, driver),
            Step::Recheck => return self.check(world, driver, false, Step::Record),
            Step::Record => self.record(world, driver),
            Step::Tidy => self.tidy(world, driver),
            Step::Compare => self.compare(world, driver),
            Step::Doubt => return self.check(world, driver, false, Step::Remove),
            Step::Remove => self.remove(world, driver),
            Step::CheckEnd => return self.check(world, driver, false, Step::End),
            Step::End => {
                let journal = self.journal(world, driver);
                world.journals[journal].is_done = true;
                world.drivers[driver].step = Step::ConfirmEnd;
            }
            Step::ConfirmEnd => self.confirm_end(world, driver),
            Step::Release(exit) => self.release(world, driver, exit),
            Step::Ended(_) | Step::Down => return false,
        }
        true
    }

    /// Whether a look at the claims would change what the driver knows or does.
    pub fn has_news(&self, world: &World, driver: usize) -> bool {
        let Driver { epoch, is_unseen, .. } = world.drivers[driver];
        is_unseen || epoch != world.highest() || self.is_free(world, driver)
    }

    /// Whether the highest claim is free for the driver, which has looked at it.
    fn is_free(&self, world: &World, driver: usize) -> bool {
        let epoch = world.highest();
        let Some(claim) = world.claims[usize::from(epoch)] else { return true };
        let by = usize::from(claim.holder);
        let is_same_machine = self.drivers[by].machine == self.drivers[driver].machine;
        let is_locked = match is_same_machine {
            true => world.holder().is_some(),
            // Each machine has a lock of its own.
            false => !self.is_without(Fault::LockOfSameMachine),
        };
        let is_confirmed = world.claimed & 1 << epoch != 0;
        let is_still = if self.is_without(Fault::MonotonicClock) {
            let is_ahead = |driver: usize| world.ahead & 1 << driver != 0;
            world.drivers[by].age == STILL || is_ahead(driver) && !is_ahead(by)
        } else {
            world.drivers[driver].age == STILL
        };
        claim.is_released || is_confirmed && !is_locked || is_still
    }

    fn look(&self, world: &mut World, driver: usize) -> bool {
        if !self.has_news(world, driver) {
            return false;
        }
        let highest = world.highest();
        let seen = &mut world.drivers[driver];
        if seen.is_unseen || seen.epoch != highest {
            seen.watch(highest);
        }
        if self.is_free(world, driver) {
            let claim = world.claims[usize::from(highest)];
            let is_held = claim.is_some_and(|claim| !claim.is_released);
            world.harm.was_healthy |= is_held && world.is_renewed();
            let next = highest.max(world.in_place) + 1;
            let driver = &mut world.drivers[driver];
            (driver.epoch, driver.was_frozen) = (next, false);
            driver.step = Step::Make;
        }
        true
    }

    fn make(&self, world: &mut World, driver: usize, is_cached: bool) {
        let epoch = usize::from(world.drivers[driver].epoch);
        assert!(epoch <= EPOCHS_MAX, "beyond the bounds");
        if world.claims[epoch].is_some() && !is_cached {
            let highest = world.highest();
            world.drivers[driver].watch(highest);
            return;
        }
        // A lower one will be given back.
        let is_highest = epoch > usize::from(world.highest());
        let was_frozen = world.drivers[driver].was_frozen;
        world.harm.overlap |= is_highest && world.is_in_batch() && !was_frozen;
        world.claims[epoch] = Some(Claim { holder: driver as u8, is_released: false });
        world.drivers[driver].age = 0;
        world.drivers[driver].step = Step::Confirm;
    }

    fn confirm(&self, world: &mut World, driver: usize) {
        let epoch = world.drivers[driver].epoch;
        if world.highest() != epoch && !self.is_without(Fault::ListAgain) {
            world.drivers[driver].step = Step::GiveBack;
            return;
        }
        world.harm.claimed_twice |= world.claimed & 1 << epoch != 0;
        world.claimed |= 1 << epoch;
        let is_first = !self.is_without(Fault::FenceBeforeRead);
        world.drivers[driver].step = if is_first { Step::Fence } else { Step::Sweep };
    }

    fn sweep(&self, world: &mut World, driver: usize) {
        if !self.is_without(Fault::Sweep) {
            for other in &mut world.drivers {
                other.staged = 0;
            }
        }
        world.swept = world.swept.max(world.drivers[driver].epoch);
        world.drivers[driver].step = Step::Read;
    }

    /// The records that count are those whose outputs are there.
    fn read(&self, world: &mut World, driver: usize) {
        let job = self.drivers[driver].job;
        let found = world.journals[usize::from(world.in_place)];
        let mut journal = Journal { job, ..Journal::default() };
        if world.in_place != 0 && found.job == job {
            if found.is_done {
                world.drivers[driver].step = Step::Release(Exit::Found);
                return;
            }
            let is_there = |output: &usize| world.outputs[*output].is_some();
            let there =
                (0..OUTPUTS_MAX).filter(is_there).fold(0, |bits, output| bits | 1 << output);
            journal.recorded = found.recorded & there;
        }
        world.journals[usize::from(world.drivers[driver].epoch)] = journal;
        world.drivers[driver].step = Step::Begin;
    }

    /// The rename fails if the claim's folder is gone, and with it what is to be renamed.
    fn begin(&self, world: &mut World, driver: usize) {
        let epoch = world.drivers[driver].epoch;
        if !world.has_claim(driver) && !self.is_without(Fault::DraftInClaim) {
            world.drivers[driver].end(Step::Ended(Exit::Superseded));
            return;
        }
        world.harm.older_journal |= world.begun > epoch;
        world.begun = world.begun.max(epoch);
        if world.in_place == 0 || !self.is_without(Fault::NewInode) {
            world.in_place = epoch;
        }
        let is_last = self.is_without(Fault::FenceBeforeRead);
        world.drivers[driver].step = if is_last { Step::Fence } else { Step::Serve };
    }

    /// The inode to which the driver appends.
    fn journal(&self, world: &World, driver: usize) -> usize {
        let is_new = !self.is_without(Fault::NewInode);
        usize::from(if is_new { world.drivers[driver].epoch } else { world.in_place })
    }

    /// The output that comes next.
    fn next_output(&self, world: &World, driver: usize) -> Option<usize> {
        let recorded = world.journals[self.journal(world, driver)].recorded;
        let outputs = usize::from(self.drivers[driver].outputs);
        (0..outputs).find(|output| recorded & 1 << output == 0)
    }

    fn serve(&self, world: &mut World, driver: usize, is_cached: bool) -> bool {
        let output = self.next_output(world, driver);
        let step = match output {
            Some(_) => Step::Publish,
            None if self.has_leftovers => Step::Tidy,
            None => Step::Compare,
        };
        let happens = self.check(world, driver, is_cached, step);
        // It was reported before.
        if let Some(output) = output
            && world.drivers[driver].step == Step::Publish
        {
            world.drivers[driver].staged |= 1 << output;
        }
        happens
    }

    /// A check of the claims. If they show no successor, `step` comes next.
    fn check(&self, world: &mut World, driver: usize, is_cached: bool, step: Step) -> bool {
        let Driver { epoch, is_waiting, .. } = world.drivers[driver];
        let is_paused = world.drivers[driver].is_overdue() || is_waiting;
        if is_paused && !self.is_without(Fault::Pause) {
            return false;
        }
        let is_batch = world.drivers[driver].step == Step::Serve;
        let is_alone = world.highest() == epoch && world.has_claim(driver);
        let is_skipped = is_batch && self.is_without(Fault::Check)
            || step == Step::Remove && self.is_without(Fault::DoubtBeforeRemoval);
        let passes = if is_batch && self.is_without(Fault::List) {
            is_cached || world.claims.get(usize::from(epoch) + 1).is_none_or(Option::is_none)
        } else {
            is_alone || is_skipped
        };
        if !passes {
            world.drivers[driver].end(Step::Ended(Exit::Superseded));
            return true;
        }
        world.harm.late_check |= world.highest() > epoch;
        world.drivers[driver].was_frozen = false;
        world.drivers[driver].step = step;
        true
    }

    /// What a successor has swept cannot be renamed.
    fn publish(&self, world: &mut World, driver: usize) {
        let Some(output) = self.next_output(world, driver) else {
            // In a journal that another driver appends to.
            world.drivers[driver].step = Step::Serve;
            return;
        };
        let Driver { epoch, staged, .. } = world.drivers[driver];
        if staged & 1 << output == 0 && !self.is_without(Fault::CheckAfterReport) {
            world.drivers[driver].retries += 1;
            world.drivers[driver].step = Step::Serve;
            return;
        }
        world.harm.late_publication |= world.swept > epoch;
        world.outputs[output] = Some(Output { job: self.drivers[driver].job, by: epoch });
        world.drivers[driver].staged &= !(1 << output);
        world.drivers[driver].step = Step::Recheck;
    }

    fn record(&self, world: &mut World, driver: usize) {
        let Some(output) = self.next_output(world, driver) else {
            // In a journal that another driver appends to.
            world.drivers[driver].step = Step::Serve;
            return;
        };
        let journal = self.journal(world, driver);
        let is_late = world.begun > world.drivers[driver].epoch;
        world.harm.late_record |= is_late && journal == usize::from(world.in_place);
        world.journals[journal].recorded |= 1 << output;
        world.drivers[driver].step = Step::Serve;
    }

    fn tidy(&self, world: &mut World, driver: usize) {
        for output in usize::from(self.drivers[driver].outputs)..OUTPUTS_MAX {
            world.remove_output(driver, output);
        }
        world.drivers[driver].step = Step::Compare;
    }

    fn compare(&self, world: &mut World, driver: usize) {
        let is_own = self.foreign_outputs(world, driver).next().is_none();
        let step = if is_own || self.is_without(Fault::Compare) {
            world.harm.foreign_output |= !is_own;
            Step::CheckEnd
        } else {
            Step::Doubt
        };
        world.drivers[driver].step = step;
    }

    /// Outputs that are not those of the driver's job.
    fn foreign_outputs(&self, world: &World, driver: usize) -> impl Iterator<Item = usize> {
        let (outputs, job) = (world.outputs, self.drivers[driver].job);
        (0..usize::from(self.drivers[driver].outputs))
            .filter(move |&output| outputs[output].is_none_or(|output| output.job != job))
    }

    /// So that a driver that resumes the job makes them again.
    fn remove(&self, world: &mut World, driver: usize) {
        let before = *world;
        for output in self.foreign_outputs(&before, driver) {
            world.remove_output(driver, output);
        }
        world.drivers[driver].step = Step::Release(Exit::Failed);
    }

    fn confirm_end(&self, world: &mut World, driver: usize) {
        let is_alone = world.highest() == world.drivers[driver].epoch;
        if !is_alone && !self.is_without(Fault::ConfirmEnd) {
            world.drivers[driver].end(Step::Ended(Exit::Superseded));
            return;
        }
        let journal = self.journal(world, driver);
        world.harm.lost_end |= journal != usize::from(world.in_place);
        world.drivers[driver].step = Step::Release(Exit::Done);
    }

    fn release(&self, world: &mut World, driver: usize, exit: Exit) {
        if world.has_claim(driver) {
            let claim = &mut world.claims[usize::from(world.drivers[driver].epoch)];
            if self.is_without(Fault::HighestStays) {
                *claim = None;
            } else if let Some(claim) = claim {
                claim.is_released = true;
            }
        }
        world.drivers[driver].end(Step::Ended(exit));
    }

    /// A holder that was paused renews its claim. A watcher sees it.
    pub fn renew(&self, world: &mut World, driver: usize) -> bool {
        if !world.has_claim(driver) {
            world.drivers[driver].end(Step::Ended(Exit::Superseded));
            return true;
        }
        (world.drivers[driver].age, world.drivers[driver].is_waiting) = (0, true);
        if world.holder() == Some(driver) {
            for watcher in &mut world.drivers {
                watcher.is_unseen |= watcher.step == Step::Watch;
            }
        }
        true
    }
}

impl World {
    fn give_back(&mut self, driver: usize) {
        if self.has_claim(driver) {
            self.claims[usize::from(self.drivers[driver].epoch)] = None;
        }
        let highest = self.highest();
        self.drivers[driver].watch(highest);
    }

    fn remove_claims_below(&mut self, driver: usize) {
        self.claims[..usize::from(self.drivers[driver].epoch)].fill(None);
    }

    fn remove_output(&mut self, driver: usize, output: usize) {
        let removed = self.outputs[output].take();
        let epoch = self.drivers[driver].epoch;
        self.harm.late_removal |= removed.is_some_and(|output| output.by > epoch);
    }

    pub fn freeze(&mut self, driver: usize) -> bool {
        self.luck.freezes -= 1;
        (self.drivers[driver].is_frozen, self.drivers[driver].was_frozen) = (true, true);
        true
    }

    pub fn wake(&mut self, driver: usize) -> bool {
        self.drivers[driver].is_frozen = false;
        true
    }

    pub fn kill(&mut self, driver: usize) -> bool {
        self.luck.kills -= 1;
        self.drivers[driver].end(Step::Down);
        true
    }

    pub fn restart(&mut self, driver: usize) -> bool {
        self.luck.restarts -= 1;
        self.drivers[driver] = Driver::NEW;
        true
    }

    pub fn jump(&mut self, driver: usize) -> bool {
        self.luck.jumps -= 1;
        self.ahead |= 1 << driver;
        true
    }
}
