//! Attempts, phases, rules, abilities and digests as the scheduler or the store has them, and as
//! they are on the wire and in the journal.
//!
//! The leaf crates do not know each other, so the crate that knows all of them converts.

use journal::{BadRecord, BucketMade, Column, Findings, MapCommit, Records};
use rpc::Ability;
use rpc::message::{self, Stranded};
use scheduler::{Abilities, AttemptId, Phase, Scheduler, TaskId};
use store::Digest;

pub(crate) fn attempt_id(attempt: message::Attempt) -> AttemptId {
    let phase = match attempt.phase {
        message::Phase::Map => Phase::Map,
        message::Phase::Reduce => Phase::Reduce,
    };
    AttemptId { task: TaskId { phase, index: attempt.task }, number: attempt.number }
}

pub(crate) fn wire_attempt(attempt: AttemptId) -> message::Attempt {
    let phase = match attempt.task.phase {
        Phase::Map => message::Phase::Map,
        Phase::Reduce => message::Phase::Reduce,
    };
    message::Attempt { phase, task: attempt.task.index, number: attempt.number }
}

pub(crate) fn digest(digest: message::Digest) -> Digest {
    Digest { bytes: digest.bytes, crc32: digest.crc32 }
}

pub(crate) fn wire_digest(digest: Digest) -> message::Digest {
    message::Digest { bytes: digest.bytes, crc32: digest.crc32 }
}

pub(crate) fn map_commit(buckets: &[message::Bucket], findings: &message::Findings) -> MapCommit {
    let made = |bucket: &message::Bucket| BucketMade {
        digest: digest(bucket.digest),
        words: bucket.words,
    };
    let bad_record = |record: &message::BadRecord| BadRecord {
        split: record.split,
        offset: record.offset,
        number: record.number,
        problem: record.problem.clone(),
    };
    let findings = Findings {
        invalid_bytes: findings.invalid_bytes,
        invalid_splits: findings.invalid_splits.clone(),
        documents: findings.documents,
        bad_records: findings.bad_records,
        first_bad_records: findings.first_bad_records.iter().map(bad_record).collect(),
    };
    MapCommit { buckets: buckets.iter().map(made).collect(), findings }
}

/// A set of abilities: the scheduler's bit of each is its place in [`Ability::ALL`].
pub(crate) fn abilities(abilities: impl IntoIterator<Item = Ability>) -> Abilities {
    let bit = |ability| Ability::ALL.iter().position(|one| *one == ability);
    let bits = abilities.into_iter().filter_map(bit);
    bits.fold(Abilities::NONE, |all, bit| all.union(Abilities(1 << bit)))
}

/// The map tasks that wait and that no worker can do.
pub(crate) fn stranded(sched: &Scheduler) -> Vec<Stranded> {
    let name = |bit: u32| Ability::ALL[bit as usize].name().to_owned();
    let stranded = sched.stranded();
    stranded
        .map(|(needs, tasks)| Stranded { abilities: needs.bits().map(name).collect(), tasks })
        .collect()
}

pub(crate) fn wire_format(format: &journal::Format) -> message::Format {
    let records = match &format.records {
        None => message::Records::WholeText,
        Some(Records::Csv { column, delimiter }) => message::Records::Csv {
            column: match column {
                Column::Name(name) => message::Column::Name(name.clone()),
                Column::Number(number) => message::Column::Number(*number),
            },
            delimiter: u8::try_from(*delimiter).expect("delimiters are ASCII"),
        },
        Some(Records::JsonLines { field }) => message::Records::JsonLines { field: field.clone() },
        Some(Records::Parquet { column }) => message::Records::Parquet { column: column.clone() },
        Some(Records::Wet) => message::Records::Wet,
        Some(Records::Unknown) => unreachable!("a plan has formats of this version"),
    };
    let (compression, encoding) = (format.compression.clone(), format.encoding.clone());
    message::Format { compression, encoding, records }
}

/// A format as the journal records it.
pub(crate) fn recorded_format(format: &inputs::Format) -> journal::Format {
    let records = match &format.records {
        inputs::Records::None => None,
        inputs::Records::Csv { column, delimiter } => {
            let column = match column {
                inputs::Column::Name(name) => Column::Name(name.clone()),
                inputs::Column::Number(number) => Column::Number(number.get()),
            };
            Some(Records::Csv { column, delimiter: (*delimiter).into() })
        }
        inputs::Records::JsonLines { field } => {
            Some(Records::JsonLines { field: field.as_str().to_owned() })
        }
        inputs::Records::Parquet { column } => Some(Records::Parquet { column: column.clone() }),
        inputs::Records::Wet => Some(Records::Wet),
    };
    let compression = format.compression;
    let encoding = format.encoding;
    journal::Format {
        compression: (compression != inputs::Compression::None)
            .then(|| compression.name().to_owned()),
        encoding: (encoding != inputs::Encoding::UTF_8).then(|| encoding.name().to_owned()),
        records,
        whole: !format.is_cuttable(),
    }
}

pub(crate) fn recorded_rule(rule: message::WordRule) -> journal::WordRule {
    match rule {
        message::WordRule::Letters => journal::WordRule::Letters,
        message::WordRule::Whitespace => journal::WordRule::Whitespace,
    }
}

pub(crate) fn recorded_phase(phase: Phase) -> journal::Phase {
    match phase {
        Phase::Map => journal::Phase::Map,
        Phase::Reduce => journal::Phase::Reduce,
    }
}

pub(crate) fn recorded_task(task: TaskId) -> journal::TaskId {
    journal::TaskId { phase: recorded_phase(task.phase), index: task.index }
}

pub(crate) fn scheduled_task(phase: journal::Phase, index: u32) -> TaskId {
    match phase {
        journal::Phase::Map => TaskId::map(index),
        journal::Phase::Reduce => TaskId::reduce(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_digests_come_back_from_the_wire_unchanged() {
        for task in [TaskId::map(3), TaskId::reduce(5)] {
            let attempt = AttemptId { task, number: 2 };
            assert_eq!(attempt_id(wire_attempt(attempt)), attempt);
        }
        let sample = Digest { bytes: 7, crc32: 9 };
        assert_eq!(digest(wire_digest(sample)), sample);
    }
}
