//! Carries commits out, off the driver's loop: check, publish, record, and only then say so.
//!
//! One thread, one queue, so that what it does to the folder and to the journal has one order. It
//! waits for disks so that the loop does not have to: heartbeats are answered while gigabytes are
//! synced.
//!
//! A sync costs the disk much more than a record does, so commits are recorded together: those that
//! arrive while it is busy, and, as long as nobody waits for one of them, those that arrive within
//! a moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use journal::{Log, Outcome, Record};
use rpc::message::sentence;
use scheduler::AttemptId;
use store::{Digest, Durability, Folder, Name, Staging, Store, StoreError, layout};
use tokio::sync::mpsc;

use crate::cause::Cause;
use crate::driver::Event;
use crate::ids::scheduled_task;

/// What the committer is told to do.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Publish and record an attempt's objects.
    Commit(Commit),
    /// Remove what an attempt staged.
    Discard(Staging),
    /// Write a record that nobody waits for.
    Note(Record),
    /// The job is over: record that, and leave nothing in the folder that does not belong there.
    Finish {
        /// For the last record.
        outcome: Outcome,
        /// Objects of an earlier job that this one does not replace. Only removed after success.
        leftovers: Vec<Name>,
    },
}

/// An attempt that the scheduler has decided for.
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
    pub(crate) journal: Box<dyn Log>,
    /// Whether the journal names no object yet.
    pub(crate) is_new_job: bool,
    pub(crate) events: mpsc::Sender<Event>,
    /// How long a commit that nobody waits for does without its record, that others may share its
    /// sync.
    pub(crate) company_wait: Duration,
    /// Staging of commits that nobody waited for: removed when there is nothing else to do, and
    /// all of it at the end.
    pub(crate) litter: Vec<Staging>,
}

/// What is recorded with one sync.
#[derive(Default)]
struct Batch {
    /// Published, and in the order of `records`.
    commits: Vec<Published>,
    records: Vec<Record>,
    notes: Vec<Record>,
    /// Until when the commits may wait for company.
    until: Option<Instant>,
}

/// An attempt whose objects have their final names.
struct Published {
    attempt: AttemptId,
    staging: Staging,
    durability: Durability,
    is_awaited: bool,
}

impl Batch {
    /// For how long another errand may be waited for.
    fn patience(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn is_full(&self) -> bool {
        self.commits.len() + self.notes.len() >= BATCH_MAX
    }
}

impl Committer {
    /// Runs errands until nobody can send any.
    pub(crate) fn run(mut self, errands: &Receiver<Errand>) {
        let _alarm = Alarm(self.events.clone());
        self.arrive();
        loop {
            let errand = match errands.try_recv() {
                Err(TryRecvError::Empty) if self.tidy_one() => continue,
                Err(TryRecvError::Empty) => errands.recv().ok(),
                errand => errand.ok(),
            };
            let Some(errand) = errand else { break };
            self.work_off(errand, |this, batch| {
                loop {
                    let patience = batch.patience();
                    match errands.try_recv() {
                        Err(TryRecvError::Empty) if patience.is_zero() => return None,
                        Err(TryRecvError::Empty) if this.tidy_one() => {}
                        Err(TryRecvError::Empty) => return errands.recv_timeout(patience).ok(),
                        errand => return errand.ok(),
                    }
                }
            });
        }
        self.leave();
    }

    /// Runs `first` and all that waits behind it, and does not wait for more.
    pub(crate) fn work_off_waiting(&mut self, first: Errand, errands: &Receiver<Errand>) {
        self.work_off(first, |_, _| errands.try_recv().ok());
        while self.tidy_one() {}
    }

    fn work_off(
        &mut self,
        first: Errand,
        mut next: impl FnMut(&mut Self, &Batch) -> Option<Errand>,
    ) {
        let mut batch = Batch::default();
        self.take(&mut batch, first);
        while !batch.is_full()
            && let Some(errand) = next(self, &batch)
        {
            self.take(&mut batch, errand);
        }
        self.record(batch);
    }

    fn take(&mut self, batch: &mut Batch, errand: Errand) {
        match errand {
            Errand::Commit(commit) => self.take_commit(batch, commit),
            Errand::Discard(staging) => self.discard(&staging),
            Errand::Note(note) => batch.notes.push(note),
            Errand::Finish { outcome, leftovers } => {
                self.record(std::mem::take(batch));
                self.finish(outcome, &leftovers);
            }
        }
    }

    /// Publishes at once what is recorded a little later: a record says that its objects have their
    /// names.
    fn take_commit(&mut self, batch: &mut Batch, commit: Commit) {
        match self.publish(&commit) {
            Ok(()) => {
                let Commit { attempt, staging, durability, record, is_awaited, objects: _ } =
                    commit;
                let now = Instant::now();
                match is_awaited {
                    true => batch.until = Some(now),
                    false => batch.until = batch.until.or(Some(now + self.company_wait)),
                }
                batch.commits.push(Published { attempt, staging, durability, is_awaited });
                batch.records.push(record);
            }
            Err(error) => self.tell(commit.attempt, Err(Cause::NotPublished(error))),
        }
    }

    /// Removes the intermediates of an earlier job, which no journal names any more. To rename
    /// files over them would be right as well, and slow: ext4 writes out at once what is renamed
    /// over another file (`auto_da_alloc`), and then the next sync of the journal waits for it.
    pub(crate) fn arrive(&self) {
        let remove_all = || -> Result<(), StoreError> {
            for (map, bucket) in self.store.intermediates()? {
                self.store.remove(&layout::intermediate(map, bucket))?;
            }
            Ok(())
        };
        if self.is_new_job
            && let Err(error) = remove_all()
        {
            // What stays is replaced, or removed at the end.
            tracing::warn!(error = sentence(&error), "old intermediates cannot be removed");
        }
    }

    /// A worker that had its task and not yet its staging folder when the job ended has made one
    /// since. By now all workers know of the end.
    pub(crate) fn leave(&self) {
        if let Err(error) = self.store.sweep() {
            tracing::warn!(error = sentence(&error), "staging is left behind");
        }
    }

    /// Write what happened between the commits. Before the commits of the same batch: a map task
    /// that is recalled and committed again is committed.
    fn note(&mut self, notes: &[Record]) {
        if !notes.is_empty()
            && let Err(error) = self.journal.note(notes)
        {
            tracing::debug!(error = sentence(&error), "notes are not in the journal");
        }
    }

    /// Record all that was published, then tell.
    fn record(&mut self, batch: Batch) {
        let Batch { commits, records, mut notes, until: _ } = batch;
        // A commit's record says when its attempt began. Where there is little room, notes that
        // say no more than that must not take it from the records.
        let committed: BTreeSet<AttemptId> = commits.iter().map(|commit| commit.attempt).collect();
        notes.retain(|note| start_of(note).is_none_or(|attempt| !committed.contains(&attempt)));
        self.note(&notes);
        if commits.is_empty() {
            return;
        }
        let durable = commits.iter().any(|commit| commit.durability == Durability::Durable);
        if durable && let Err(error) = self.settle() {
            // Which renames are on disk is not known: none of them may be recorded. After a failed
            // sync the job is over.
            tracing::error!(error = sentence(&error), "outputs cannot be made durable");
            let mut error = Some(error);
            for commit in commits {
                let cause = error.take().map_or(Cause::Abandoned, Cause::NotDurable);
                self.tell(commit.attempt, Err(cause));
            }
            return;
        }
        let recorded = self.journal.append(&records);
        for commit in commits {
            faults::reach("driver::discard", commit.attempt.task.phase);
            match commit.is_awaited {
                true => self.discard(&commit.staging),
                false => self.litter.push(commit.staging),
            }
            faults::reach("driver::answer", commit.attempt.task.phase);
            self.tell(
                commit.attempt,
                recorded.as_ref().map_err(|error| Cause::NotJournaled(error.copy())).copied(),
            );
        }
    }

    fn settle(&self) -> Result<(), StoreError> {
        faults::reach("driver::settle", "");
        self.store.settle(Folder::Output)?;
        faults::reach("driver::settled", "");
        Ok(())
    }

    fn publish(&self, commit: &Commit) -> Result<(), StoreError> {
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
        }
        Ok(())
    }

    /// Removes a piece of litter, if there is one.
    fn tidy_one(&mut self) -> bool {
        let staging = self.litter.pop();
        staging.inspect(|staging| self.discard(staging)).is_some()
    }

    fn discard(&self, staging: &Staging) {
        if let Err(error) = self.store.discard(staging) {
            // It is swept at the end of the job, and again at the start of the next.
            tracing::warn!(%staging, error = sentence(&error), "staging is left behind for now");
        }
    }

    fn finish(&mut self, outcome: Outcome, leftovers: &[Name]) {
        faults::reach("driver::finish", outcome);
        // It is swept with everything else.
        self.litter.clear();
        if let Err(error) = self.clean_up(leftovers) {
            tracing::warn!(
                error = sentence(&error),
                "the folder holds files that do not belong there"
            );
        }
        faults::reach("driver::tidied", outcome);
        let result = self.journal.append(&[Record::End { outcome }]);
        if let Err(error) = &result {
            tracing::error!(error = sentence(error), "the journal has no end");
        }
        // If the loop is gone nobody waits for this.
        let _ = self.events.blocking_send(Event::Finished(result));
    }

    /// Before the job is called done: a driver that dies in between has to come back to it.
    fn clean_up(&self, leftovers: &[Name]) -> Result<(), StoreError> {
        for name in leftovers {
            self.store.remove(name)?;
        }
        if !leftovers.is_empty() {
            self.store.settle(Folder::Intermediate)?;
            self.store.settle(Folder::Output)?;
        }
        self.store.sweep()?;
        Ok(())
    }

    fn tell(&self, attempt: AttemptId, result: Result<(), Cause>) {
        // If the loop is gone nobody waits for this.
        let _ = self.events.blocking_send(Event::Published { attempt, result });
    }
}

/// The attempt that was given to its worker, if it is that which is noted.
fn start_of(note: &Record) -> Option<AttemptId> {
    let &Record::Started { phase, task: index, attempt: number, .. } = note else { return None };
    Some(AttemptId { task: scheduled_task(phase, index), number })
}

/// Tells the loop when the committer panics: it would wait for an answer for ever.
struct Alarm(mpsc::Sender<Event>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // If the loop is gone nobody waits for this.
            let _ = self.0.blocking_send(Event::CommitterDied);
        }
    }
}

/// Bounds what is told in one go.
const BATCH_MAX: usize = 256;

/// A driver that dies in between has to have the task done again. A hundred syncs a second are
/// little to a disk: each takes 0.2 to 2 ms (ext4 on a virtual disk).
pub(crate) const COMPANY_WAIT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
