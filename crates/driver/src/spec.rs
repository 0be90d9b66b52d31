//! What a job is: its tasks, its folders, and what a worker has to know about them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::{Plan, PlannedSplit};
use rpc::message::{Outcome, Register, Registered, Session, Split, Task, WordRules, Work};
use scheduler::{Abilities, AttemptId, Job, Phase, TaskId};
use store::{Digest, Staging, layout};

use crate::admission::Admitted;
use crate::ids;

/// Fixed before the loop starts.
pub(crate) struct JobSpec {
    pub(crate) session: Session,
    pub(crate) plan: Arc<Plan>,
    pub(crate) rules: WordRules,
    pub(crate) reduce_tasks: u32,
    /// The folder that receives the results.
    pub(crate) files: PathBuf,
    /// Every folder that a worker must be allowed to use.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) heartbeat: Duration,
    /// How many bad records workers may skip, in all map tasks; `None`: the first one fails its
    /// task, and the job.
    pub(crate) bad_records_max: Option<u64>,
}

impl JobSpec {
    /// The job as the scheduler sees it.
    pub(crate) fn for_scheduler(&self) -> Job {
        let maps = 0..self.plan.map_tasks().get();
        let map_bytes = maps.clone().map(|task| self.plan.task_bytes(task)).collect();
        let mut map_needs: Vec<Abilities> = maps
            .map(|task| self.plan.splits(task).map(needs).fold(Abilities::NONE, Abilities::union))
            .collect();
        if map_needs.iter().all(|needs| *needs == Abilities::NONE) {
            map_needs.clear();
        }
        Job { map_bytes, map_needs, reduce_tasks: self.reduce_tasks }
    }

    /// The answer to a worker that takes part.
    pub(crate) fn registered(&self, Admitted { worker, id }: Admitted) -> Registered {
        Registered {
            session: self.session.clone(),
            worker: id,
            number: worker.0,
            heartbeat: self.heartbeat,
            files: self.files.clone(),
            rules: self.rules,
            buckets: self.reduce_tasks,
            skip_bad_records: self.bad_records_max.is_some(),
        }
    }

    /// The folders that a worker would need and may not use.
    pub(crate) fn folders_outside(&self, register: &Register) -> impl Iterator<Item = &PathBuf> {
        let roots = &register.roots;
        let is_allowed = |folder: &PathBuf| {
            roots.is_empty() || roots.iter().any(|root| folder.starts_with(root))
        };
        self.folders.iter().filter(move |folder| !is_allowed(folder))
    }

    /// An attempt as its worker needs it. `intermediates` are those that it reads, if it reduces.
    pub(crate) fn describe(
        &self,
        attempt: AttemptId,
        intermediates: impl FnOnce(u32) -> Vec<Digest>,
    ) -> Task {
        let index = attempt.task.index;
        let work = match attempt.task.phase {
            Phase::Map => Work::Map { splits: self.plan.splits(index).map(split).collect() },
            Phase::Reduce => {
                let digests = intermediates(index).into_iter().map(ids::wire_digest);
                Work::Reduce { intermediates: digests.collect() }
            }
        };
        let staging = self.staging(attempt).to_string();
        Task { attempt: ids::wire_attempt(attempt), staging, work }
    }

    /// Where the objects of an attempt are staged.
    pub(crate) fn staging(&self, attempt: AttemptId) -> Staging {
        let phase = match attempt.task.phase {
            Phase::Map => layout::Phase::Map,
            Phase::Reduce => layout::Phase::Reduce,
        };
        layout::staging(&self.session.0, phase, attempt.task.index, attempt.number)
    }

    /// How many bytes of the input a task reads.
    pub(crate) fn input_bytes(&self, task: TaskId) -> u64 {
        match task.phase {
            Phase::Map => self.plan.task_bytes(task.index),
            Phase::Reduce => 0,
        }
    }

    /// Whether a successful report has the form of a task of `phase`, with numbers that are
    /// possible for a job over these inputs. Lengths are compared with the files before they
    /// count; so a number of words that fits its length cannot be so large that a sum of them
    /// overflows.
    pub(crate) fn is_possible(&self, phase: Phase, outcome: &Outcome) -> bool {
        let expansion = ids::recorded_rule(self.rules.rule).expansion();
        let input_bytes = self.plan.text_bytes_max();
        match (phase, outcome) {
            (Phase::Map, Outcome::Mapped { buckets, .. }) => {
                let bytes = buckets.iter().map(|made| made.digest.bytes);
                buckets.len() == self.reduce_tasks as usize
                    && buckets.iter().all(|made| expansion.fits(made.words, made.digest.bytes))
                    && expansion.allows(bytes.fold(0, u64::saturating_add), input_bytes)
            }
            (Phase::Reduce, Outcome::Reduced { output, words, distinct_words }) => {
                distinct_words <= words && expansion.allows(output.bytes, input_bytes)
            }
            (Phase::Map, Outcome::Failed(_) | Outcome::Reduced { .. })
            | (Phase::Reduce, Outcome::Failed(_) | Outcome::Mapped { .. }) => false,
        }
    }

    /// The first bad record that a map task has reported, for people.
    pub(crate) fn first_bad_record(&self, map: u32, outcome: &Outcome) -> Option<String> {
        let Outcome::Mapped { findings, .. } = outcome else { return None };
        let record = findings.first_bad_records.first()?;
        let split = self.plan.splits(map).nth(record.split as usize)?;
        let place = match record.number {
            Some(number) => format!("record {number}"),
            None => format!("the record at byte {}", record.offset),
        };
        let path = rpc::text::escaped(&split.input.path.to_string_lossy()).to_string();
        Some(format!("{place} of {path} ({})", record.problem))
    }

    /// How many objects a task makes.
    pub(crate) fn objects(&self, phase: Phase) -> usize {
        match phase {
            Phase::Map => self.reduce_tasks as usize,
            Phase::Reduce => 1,
        }
    }
}

/// What a worker must be able to read for a split.
fn needs(split: PlannedSplit<'_>) -> Abilities {
    match split.format.is_plain() {
        true => Abilities::NONE,
        false => ids::abilities(ids::wire_format(split.format).needs()),
    }
}

fn split(split: PlannedSplit<'_>) -> Split {
    Split {
        path: split.input.path.clone(),
        start: split.start,
        end: split.end,
        file_bytes: split.input.bytes,
        modified_seconds: split.input.modified.seconds,
        modified_nanos: split.input.modified.nanoseconds,
        format: ids::wire_format(split.format),
    }
}
