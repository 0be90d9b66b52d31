//! Carries commits out, off the driver's loop: check, publish, record, and only then say so.
//!
//! One thread, one queue, so that what it does to the folder and to the journal has one order. It
//! waits for disks so that the loop does not have to: heartbeats are answered while gigabytes are
//! synced. Commits that arrive while it is busy are recorded together, with one sync.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use rpc::message::sentence;
use scheduler::AttemptId;
use store::{Check, Digest, Folder, Name, Staging, Store, StoreError, layout};
use tokio::sync::mpsc;

use crate::book::Cause;
use crate::driver::Event;
use crate::faults;
use crate::journal::{Journal, Record};

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
        outcome: &'static str,
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
    /// Intermediates are checked whenever they are read, so their length is enough here; an output
    /// is checked in full, because nobody does it later, and made durable.
    pub(crate) check: Check,
    pub(crate) record: Record,
}

pub(crate) struct Committer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Journal,
    /// Whether the journal names no object yet.
    pub(crate) is_new_job: bool,
    pub(crate) events: mpsc::Sender<Event>,
}

impl Committer {
    /// Runs errands until nobody can send any.
    pub(crate) fn run(mut self, errands: &Receiver<Errand>) {
        let _alarm = Alarm(self.events.clone());
        self.arrive();
        while let Ok(errand) = errands.recv() {
            self.work_off(errand, errands);
        }
        self.leave();
    }

    /// Runs `first` and all that waits behind it.
    pub(crate) fn work_off(&mut self, first: Errand, errands: &Receiver<Errand>) {
        /// Bounds how long the first of a batch waits for the others.
        const BATCH_MAX: usize = 256;

        let (mut batch, mut notes) = (Vec::new(), Vec::new());
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Errand::Commit(commit)) => batch.push(commit),
                Ok(Errand::Discard(staging)) => self.discard(&staging),
                Ok(Errand::Note(note)) => notes.push(note),
                Ok(Errand::Finish { outcome, leftovers }) => {
                    self.note(&mut notes);
                    self.commit(&mut batch);
                    self.finish(outcome, &leftovers);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            if batch.len() + notes.len() >= BATCH_MAX {
                break;
            }
            next = errands.try_recv();
        }
        self.note(&mut notes);
        self.commit(&mut batch);
    }

    /// Removes the intermediates of an earlier job, which no journal names any more. To rename files
    /// over them would be right as well, and slow: ext4 writes out at once what is renamed over
    /// another file (`auto_da_alloc`), and then the next sync of the journal waits for all of it.
    pub(crate) fn arrive(&self) {
        let remove_all = || -> Result<(), StoreError> {
            for file in self.store.list(Folder::Intermediate)? {
                if let Some((map, bucket)) = layout::parse_intermediate(&file) {
                    self.store.remove(&layout::intermediate(map, bucket))?;
                }
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
    /// since. By now everybody was told.
    pub(crate) fn leave(&self) {
        if let Err(error) = self.store.sweep() {
            tracing::warn!(error = sentence(&error), "staging is left behind");
        }
    }

    /// Write what happened between the commits. Before the commits of the same batch: a map task
    /// that is recalled and committed again is committed.
    fn note(&mut self, notes: &mut Vec<Record>) {
        if !notes.is_empty()
            && let Err(error) = self.journal.note(notes)
        {
            tracing::debug!(error = sentence(&error), "a part of the story is not in the journal");
        }
        notes.clear();
    }

    /// Publish each, record all that worked, then tell. In this order: a record says that its
    /// objects have their names.
    fn commit(&mut self, batch: &mut Vec<Commit>) {
        if batch.is_empty() {
            return;
        }
        if faults::is_wrong("driver::journal-first") {
            let records: Vec<Record> = batch.iter().map(|commit| commit.record.clone()).collect();
            let _ = self.journal.append(&records);
        }
        let mut published = Vec::new();
        for commit in batch.drain(..) {
            match self.publish(&commit) {
                Ok(()) => published.push(commit),
                Err(error) => self.tell(commit.attempt, Err(Cause::NotPublished(error))),
            }
        }
        if published.is_empty() {
            return;
        }
        let durable = published.iter().any(|commit| commit.check == Check::Checksum);
        if durable && let Err(error) = self.settle() {
            // Which renames are on disk is not known: none of them may be recorded. After a failed
            // sync the job is over.
            tracing::error!(error = sentence(&error), "outputs cannot be made durable");
            let mut error = Some(error);
            for commit in published {
                let cause = error.take().map_or(Cause::Abandoned, Cause::NotDurable);
                self.tell(commit.attempt, Err(cause));
            }
            return;
        }
        let records: Vec<Record> = published.iter().map(|commit| commit.record.clone()).collect();
        let recorded = self.journal.append(&records);
        for commit in published {
            faults::reach("driver::discard", commit.attempt.task.phase);
            self.discard(&commit.staging);
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
            if commit.check == Check::Checksum && !faults::is_wrong("driver::no-checksum") {
                self.store.verify_staged(&commit.staging, name, *digest, commit.check)?;
            }
        }
        faults::reach("driver::publish", phase);
        for (name, digest) in &commit.objects {
            self.store.publish(&commit.staging, name, *digest)?;
            faults::reach("driver::renamed", phase);
        }
        Ok(())
    }

    fn discard(&self, staging: &Staging) {
        if let Err(error) = self.store.discard(staging) {
            // It is swept at the end of the job, and again at the start of the next.
            tracing::warn!(%staging, error = sentence(&error), "staging is left behind for now");
        }
    }

    fn finish(&mut self, outcome: &'static str, leftovers: &[Name]) {
        faults::reach("driver::finish", outcome);
        if let Err(error) = self.clean_up(leftovers) {
            tracing::warn!(
                error = sentence(&error),
                "the folder holds files that do not belong there"
            );
        }
        faults::reach("driver::tidied", outcome);
        let result = self.journal.append(&[Record::End { outcome: outcome.to_owned() }]);
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

#[cfg(test)]
mod tests;
