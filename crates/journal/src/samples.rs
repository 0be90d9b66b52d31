//! Records for tests.

use store::Digest;

use crate::findings::Findings;
use crate::record::{BucketMade, Record, Span, WordRule};

/// The first record of a journal.
pub(crate) fn begin(epoch: u64) -> Record {
    Record::Begin {
        epoch,
        job: "00ff".to_owned(),
        build: "mapmill 0.1.0".to_owned(),
        started_unix_seconds: 1,
        map_tasks: 6,
        reduce_tasks: 4,
        words: WordRule::Letters,
        ignore_case: false,
    }
}

/// A map task is committed.
pub(crate) fn map(task: u32) -> Record {
    let digest = Digest { bytes: 5, crc32: u32::MAX };
    Record::Map {
        task,
        attempt: 0,
        worker: "w1 (host:7)".to_owned(),
        span: Some(Span { started_ms: 3, ended_ms: 7 }),
        buckets: [2, 0].map(|words| BucketMade { digest, words }).to_vec(),
        findings: Findings { invalid_bytes: 3, ..Findings::default() },
    }
}

/// A map task is recalled.
pub(crate) fn recalled(map: u32) -> Record {
    Record::Recalled { map, reduce: 0, attempt: 0, sentence: "gone".to_owned() }
}
