//! Carries out commits, off the driver's loop: verify, publish, record, and only then answer.
//!
//! One thread and one queue, so that what is done to the folder and to the journal has one order.
//! The committer waits for disks so that the loop does not have to: heartbeats are answered while
//! gigabytes are synced. A disk that falls behind slows the workers down, not the loop: above
//! `PUBLISHING_FILES_MAX` queued files a report is answered only after its commit (backpressure).
//!
//! Group commit: a sync costs the disk much more than a record does, so commits are recorded
//! together. One sync is shared by the commits that arrive while the disk is busy, and, as long as
//! none of them is awaited, by those that arrive within a moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use journal::{JournalError, Log, Outcome, Record};
use rpc::text::with_causes;
use scheduler::AttemptId;
use store::{Digest, Durability, Folder, Name, Staging, Store, StoreError, layout};

use crate::cause::Cause;
use crate::claim::{BlockingClock, ClaimLost, Hold, MachineClock};
use crate::ids::scheduled_task;
use crate::recovery;
use crate::status::Removing;

mod discards;
mod outputs;

pub(crate) use discards::{DISCARDS_MAX, Discards};
pub(crate) use outputs::{Outputs, verify};

/// What the committer is to do.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Publish and record an attempt's objects.
    Commit(Commit),
    /// Remove what an attempt has staged.
    Discard(Staging),
    /// A reduce attempt has found that an intermediate is lost: find the others that are.
    FindLost {
        attempt: AttemptId,
        /// `M`.
        buckets: u32,
        /// The intermediates that it reads, by map task.
        expected: Vec<Digest>,
    },
    /// Write a record that no answer waits for.
    Note(Record),
    /// The job is over: record that, and leave nothing in the folder that does not belong there.
    Finish {
        /// For the last record.
        outcome: Outcome,
        /// Objects of an earlier job that this one does not replace. Only removed after success.
        leftovers: Vec<Name>,
    },
}

/// What the committer sends to the loop.
pub(crate) enum CommitterEvent {
    /// An attempt's objects have their final names and are recorded, or not.
    Published { attempt: AttemptId, result: Result<(), Cause> },
    /// These intermediates are lost, each of a different map task. Sent before the next commit is
    /// published, so that no map task is recalled for files of an earlier attempt.
    FoundLost { attempt: AttemptId, names: Vec<(u32, Name)> },
    /// The last errand is about to remove this.
    Removing(Removing),
    /// The last errand is done. An error: the end is not in the journal.
    Finished(Result<(), EndError>),
    /// Nothing more is committed: another driver may have taken over.
    Superseded(ClaimLost),
    /// The committer panicked: its errands would never be answered.
    Died,
}

/// Why the journal does not record the end of the job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// It cannot be written.
    #[error(transparent)]
    Journal(JournalError),
    /// An output is no longer what was committed. It was removed, so the job can be resumed.
    #[error("{0} was replaced")]
    Replaced(Name),
}

/// Sends an event to the loop; drops it if the loop has ended.
pub(crate) type Notify = Arc<dyn Fn(CommitterEvent) + Send + Sync>;

/// The queue of errands, and the clock by which a batch waits for more of them.
pub(crate) trait Errands: BlockingClock {
    /// The next errand, if there is one already.
    fn try_next(&mut self) -> Result<Errand, TryRecvError>;

    /// Waits for the next errand. `None` at the deadline, and when no more can come.
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Errand>;
}

impl BlockingClock for Receiver<Errand> {
    fn now(&self) -> Instant {
        MachineClock.now()
    }

    fn sleep(&self, duration: Duration) {
        MachineClock.sleep(duration);
    }
}

impl Errands for Receiver<Errand> {
    fn try_next(&mut self) -> Result<Errand, TryRecvError> {
        self.try_recv()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Errand> {
        let Some(deadline) = deadline else { return self.recv().ok() };
        self.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

/// An attempt that the scheduler has accepted.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) attempt: AttemptId,
    pub(crate) staging: Staging,
    pub(crate) objects: Vec<(Name, Digest)>,
    /// Intermediates are verified whenever they are read, so their length is enough here. An output
    /// is verified in full, because that is not done later, and made durable.
    pub(crate) durability: Durability,
    pub(crate) record: Record,
    /// A worker waits for it: the one that reported it, or all that are idle.
    pub(crate) is_awaited: bool,
}

pub(crate) struct Committer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hold: Arc<Hold>,
    pub(crate) journal: Box<dyn Log>,
    /// Whether the journal names no object yet.
    pub(crate) is_new_job: bool,
    /// Whether the intermediates are removed when the job is done.
    pub(crate) drop_intermediates: bool,
    pub(crate) notify: Notify,
    /// How long the record of a commit that is not awaited may wait for others.
    pub(crate) group_commit_wait: Duration,
    /// Staging of commits that were not awaited.
    pub(crate) discards: Discards,
    pub(crate) outputs: Outputs,
    /// Another driver may have taken over: the folder is no longer touched.
    pub(crate) is_superseded: bool,
}

/// What is recorded with one sync.
#[derive(Default)]
struct Batch {
    /// In the order of `records`.
    commits: Vec<Published>,
    records: Vec<Record>,
    notes: Vec<Record>,
    /// Until when the commits may wait for others. Without any there is nothing to wait for.
    deadline: Option<Instant>,
}

/// An attempt whose objects have their final names.
struct Published {
    attempt: AttemptId,
    staging: Staging,
    durability: Durability,
    is_awaited: bool,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.commits.len() + self.notes.len() >= BATCH_MAX
    }
}

impl Committer {
    /// Runs errands until no more can come.
    pub(crate) fn run(mut self, mut errands: impl Errands) {
        let _alarm = Alarm(Arc::clone(&self.notify));
        if self.may_commit(&errands) {
            self.remove_old_intermediates(&errands);
            self.outputs.identify(&*self.store);
        }
        while let Some(errand) = self.next_errand(&mut errands, None) {
            self.run_batch(errand, &mut errands);
        }
        if self.may_commit(&errands) {
            self.sweep();
        }
    }

    /// Whether this driver still holds the highest epoch. If not, the loop is informed, once.
    fn may_commit(&mut self, clock: &impl Errands) -> bool {
        if !self.is_superseded
            && let Err(lost) = self.hold.check(clock)
        {
            self.is_superseded = true;
            (self.notify)(CommitterEvent::Superseded(lost));
        }
        !self.is_superseded
    }

    /// Runs `first` and all errands that come in time to share its sync.
    fn run_batch(&mut self, first: Errand, errands: &mut impl Errands) {
        let mut batch = Batch::default();
        self.take(&mut batch, first, errands);
        while !batch.is_full() {
            let deadline = batch.deadline.unwrap_or_else(|| errands.now());
            let Some(errand) = self.next_errand(errands, Some(deadline)) else { break };
            self.take(&mut batch, errand, errands);
        }
        self.record(batch, errands);
    }

    /// The next errand. As long as there is none, carries out discards.
    fn next_errand(
        &mut self,
        errands: &mut impl Errands,
        deadline: Option<Instant>,
    ) -> Option<Errand> {
        loop {
            let is_late = deadline.is_some_and(|deadline| deadline <= errands.now());
            match errands.try_next() {
                Err(TryRecvError::Empty) if is_late => return None,
                Err(TryRecvError::Empty) if self.discards.carry_out_one() => {}
                Err(TryRecvError::Empty) => return errands.wait(deadline),
                errand => return errand.ok(),
            }
        }
    }

    fn take(&mut self, batch: &mut Batch, errand: Errand, clock: &impl Errands) {
        if self.is_superseded {
            // The folder belongs to the driver that has taken over.
            return;
        }
        match errand {
            Errand::Commit(commit) => self.take_commit(batch, commit, clock),
            Errand::Discard(staging) => self.discard(&staging),
            Errand::FindLost { attempt, buckets, expected } => {
                self.find_lost(attempt, buckets, &expected);
            }
            Errand::Note(note) => batch.notes.push(note),
            Errand::Finish { outcome, leftovers } => {
                self.record(std::mem::take(batch), clock);
                self.finish(outcome, &leftovers, clock);
            }
        }
    }

    /// Publishes at once what is recorded a little later: a record says that its objects have their
    /// names.
    fn take_commit(&mut self, batch: &mut Batch, commit: Commit, clock: &impl Errands) {
        // Before each commit: one that arrives in the middle of a batch may have been staged after
        // another driver had swept the staging, and could replace an output of that driver's job.
        if !self.may_commit(clock) {
            return;
        }
        match self.publish(&commit) {
            Ok(()) => {
                let Commit { attempt, staging, durability, record, is_awaited, objects: _ } =
                    commit;
                let now = clock.now();
                match is_awaited {
                    true => batch.deadline = Some(now),
                    false => batch.deadline = batch.deadline.or(Some(now + self.group_commit_wait)),
                }
                batch.commits.push(Published { attempt, staging, durability, is_awaited });
                batch.records.push(record);
            }
            Err(error) => self.tell_published(commit.attempt, Err(Cause::NotPublished(error))),
        }
    }

    /// Removes the intermediates of an earlier job, which no journal names any more. To rename
    /// files over them would be correct too, but slow: ext4 writes out at once what is renamed over
    /// another file (`auto_da_alloc`), and then the next sync of the journal waits for it.
    fn remove_old_intermediates(&mut self, clock: &impl Errands) {
        if self.is_new_job
            && let Err(error) = self.remove_intermediates(|_| {}, clock)
        {
            // What stays is replaced, or removed at the end.
            tracing::warn!(error = with_causes(&error), "old intermediates cannot be removed");
        }
    }

    /// Removes all intermediates. `begin` gets their number first.
    fn remove_intermediates(
        &mut self,
        begin: impl FnOnce(u64),
        clock: &impl Errands,
    ) -> Result<(), StoreError> {
        let all = self.store.intermediates()?;
        begin(all.len() as u64);
        self.remove_all(
            all.into_iter().map(|(map, bucket)| layout::intermediate(map, bucket)),
            clock,
        )
    }

    /// Removes objects as long as this driver may commit. If it was frozen since it last looked,
    /// those with these names may be of the driver that has taken over.
    fn remove_all(
        &mut self,
        names: impl Iterator<Item = Name>,
        clock: &impl Errands,
    ) -> Result<(), StoreError> {
        let mut valid_until = None;
        for name in names {
            if valid_until.is_none_or(|until| clock.now() >= until) {
                if !self.may_commit(clock) {
                    return Ok(());
                }
                valid_until = Some(clock.now() + LOOK_AGAIN);
            }
            self.store.remove(&name)?;
            faults::reach("driver::removed", "");
        }
        Ok(())
    }

    fn find_lost(&self, attempt: AttemptId, buckets: u32, expected: &[Digest]) {
        match recovery::find_lost(&*self.store, (attempt.task.index, buckets), expected) {
            Ok(names) => (self.notify)(CommitterEvent::FoundLost { attempt, names }),
            // Each is found by the reduce attempt that reads it.
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "cannot list lost intermediates")
            }
        }
    }

    /// A worker that had its task and not yet its staging folder when the job ended has made one
    /// since. By now all workers know of the end.
    fn sweep(&self) {
        if let Err(error) = self.store.sweep() {
            tracing::warn!(error = with_causes(&error), "staging is left behind");
        }
    }

    /// Writes what happened between the commits. Before the commits of the same batch: a map task
    /// that is recalled and committed again is committed.
    fn note(&mut self, notes: &[Record]) {
        if !notes.is_empty()
            && let Err(error) = self.journal.note(notes)
        {
            tracing::debug!(error = with_causes(&error), "notes are not in the journal");
        }
    }

    /// Records all that was published, then tells the loop.
    fn record(&mut self, batch: Batch, clock: &impl Errands) {
        let Batch { commits, records, mut notes, deadline: _ } = batch;
        // A commit's record says when its attempt began. On a disk that is almost full, a note that
        // says no more than that must not take the space of the records.
        let committed: BTreeSet<AttemptId> = commits.iter().map(|commit| commit.attempt).collect();
        notes.retain(|note| start_of(note).is_none_or(|attempt| !committed.contains(&attempt)));
        if commits.is_empty() && notes.is_empty() {
            return;
        }
        // For notes as well: on a file system that finds an open file by its path (SeaweedFS), what
        // a superseded driver appends lands in the journal of its successor, and damages it.
        if !self.may_commit(clock) {
            return;
        }
        self.note(&notes);
        if commits.is_empty() {
            return;
        }
        let has_outputs = commits.iter().any(|commit| commit.durability == Durability::Durable);
        if has_outputs && let Err(error) = self.settle() {
            // Which renames are on disk is not known: none of them may be recorded. After a failed
            // sync the job is over.
            tracing::error!(error = with_causes(&error), "outputs cannot be made durable");
            let mut error = Some(error);
            for commit in commits {
                let cause = error.take().map_or(Cause::Abandoned, Cause::NotDurable);
                self.tell_published(commit.attempt, Err(cause));
            }
            return;
        }
        if !self.may_commit(clock) {
            return;
        }
        let recorded = self.journal.append(&records);
        for commit in commits {
            faults::reach("driver::discard", commit.attempt.task.phase);
            match commit.is_awaited {
                true => self.discard(&commit.staging),
                false => self.discards.add(commit.staging),
            }
            faults::reach("driver::answer", commit.attempt.task.phase);
            let recorded = recorded.as_ref().map_err(|error| Cause::NotJournaled(error.copy()));
            self.tell_published(commit.attempt, recorded.copied());
        }
    }

    fn settle(&self) -> Result<(), StoreError> {
        faults::reach("driver::settle", "");
        self.store.settle(Folder::Output)?;
        faults::reach("driver::settled", "");
        Ok(())
    }

    fn publish(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let phase = commit.attempt.task.phase;
        faults::reach("driver::verify", phase);
        for (name, digest) in &commit.objects {
            if commit.durability == Durability::Durable {
                self.store.verify_staged(&commit.staging, name, *digest)?;
            }
        }
        faults::reach("driver::publish", phase);
        for (name, digest) in &commit.objects {
            self.store.publish(&commit.staging, name, *digest)?;
            faults::reach("driver::renamed", phase);
            if commit.durability == Durability::Durable {
                self.outputs.add(&*self.store, name, *digest);
            }
        }
        Ok(())
    }

    fn discard(&self, staging: &Staging) {
        discards::discard(&*self.store, staging);
    }

    fn finish(&mut self, outcome: Outcome, leftovers: &[Name], clock: &impl Errands) {
        faults::reach("driver::finish", outcome);
        if !self.may_commit(clock) {
            return;
        }
        let removing = Removing { staging_folders: self.discards.left(), ..Removing::default() };
        if removing != Removing::default() {
            (self.notify)(CommitterEvent::Removing(removing));
        }
        self.discards.finish();
        if let Err(error) = self.clean_up(leftovers, clock) {
            tracing::warn!(
                error = with_causes(&error),
                "the folder holds files that do not belong there"
            );
        }
        faults::reach("driver::tidied", outcome);
        let is_done = outcome == Outcome::Done;
        let replaced = is_done.then(|| self.outputs.find_replaced(&*self.store)).flatten();
        if !self.may_commit(clock) {
            return;
        }
        let drops = self.drop_intermediates && is_done;
        let mut records = vec![Record::End { outcome }];
        records.extend(drops.then_some(Record::IntermediatesRemoved));
        let result = match replaced {
            Some(output) => Err(self.remove_replaced(output)),
            None => self.journal.append(&records).map_err(EndError::Journal),
        };
        // Another driver may have read the journal before this record was in it.
        if !self.may_commit(clock) {
            return;
        }
        match &result {
            Ok(()) if drops => self.drop_intermediates(clock),
            Ok(()) | Err(EndError::Replaced(_)) => {}
            Err(EndError::Journal(error)) => {
                tracing::error!(error = with_causes(error), "the end of the job is not recorded");
            }
        }
        (self.notify)(CommitterEvent::Finished(result));
    }

    /// Called after the job is recorded as done, and its intermediates as removed: files that stay
    /// do no harm.
    fn drop_intermediates(&mut self, clock: &impl Errands) {
        let notify = Arc::clone(&self.notify);
        let begin = |intermediates| {
            let removing = Removing { intermediates, ..Removing::default() };
            notify(CommitterEvent::Removing(removing));
        };
        let removed = self.remove_intermediates(begin, clock);
        if let Err(error) = removed.and_then(|()| self.store.settle(Folder::Intermediate)) {
            tracing::warn!(
                error = with_causes(&error),
                "cannot remove all intermediates; the job is done without that"
            );
        }
    }

    /// The resumed job produces it again.
    fn remove_replaced(&self, output: Name) -> EndError {
        let removed = self.store.remove(&output).and_then(|()| self.store.settle(Folder::Output));
        if let Err(error) = removed {
            tracing::error!(error = with_causes(&error), "cannot remove a replaced output");
        }
        EndError::Replaced(output)
    }

    /// Before the job is recorded as done: after a crash in between, the next driver does it again.
    fn clean_up(&mut self, leftovers: &[Name], clock: &impl Errands) -> Result<(), StoreError> {
        self.remove_all(leftovers.iter().cloned(), clock)?;
        if self.is_superseded {
            return Ok(());
        }
        if !leftovers.is_empty() {
            self.store.settle(Folder::Intermediate)?;
            self.store.settle(Folder::Output)?;
        }
        self.store.sweep()?;
        Ok(())
    }

    fn tell_published(&self, attempt: AttemptId, result: Result<(), Cause>) {
        (self.notify)(CommitterEvent::Published { attempt, result });
    }
}

/// The attempt whose assignment is noted, if that is what is noted.
fn start_of(note: &Record) -> Option<AttemptId> {
    let &Record::Started { phase, task: index, attempt: number, .. } = note else { return None };
    Some(AttemptId { task: scheduled_task(phase, index), number })
}

/// Tells the loop when the committer panics: it would wait for an answer for ever.
struct Alarm(Notify);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)(CommitterEvent::Died);
        }
    }
}

/// How long a driver removes objects before it looks again whether it may. Less than another waits
/// before it takes over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Bounds how many commits wait for one sync.
const BATCH_MAX: usize = 256;

/// If the driver dies in between, the task is done again. A hundred syncs a second are little to a
/// disk: each takes 0.2 to 2 ms (ext4 on a virtual disk).
pub(crate) const GROUP_COMMIT_WAIT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
