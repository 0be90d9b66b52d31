//! Attempts, phases, rules and digests as the scheduler or the store has them, and as they are on
//! the wire and in the journal.
//!
//! The leaf crates do not know each other, so the crate that knows all of them converts.

use journal::{BucketMade, MapCommit};
use rpc::message;
use scheduler::{AttemptId, Phase, TaskId};
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

pub(crate) fn map_commit(buckets: &[message::Bucket], invalid_bytes: u64) -> MapCommit {
    let made = |bucket: &message::Bucket| BucketMade {
        digest: digest(bucket.digest),
        words: bucket.words,
    };
    MapCommit { buckets: buckets.iter().map(made).collect(), invalid_bytes }
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
