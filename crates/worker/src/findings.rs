//! What a map attempt finds in its splits besides words.

use std::cmp::Reverse;

use rpc::limits::FINDINGS_MAX;
use rpc::message::{BadRecord, Failure, Findings, Split};

/// Counts split by split, and keeps the splits with most invalid bytes.
#[derive(Default)]
pub(crate) struct FindingsCount(Findings);

impl FindingsCount {
    /// The split with this index is read. It has `invalid_bytes` bytes that are no part of a UTF-8
    /// character.
    pub(crate) fn end_split(&mut self, split: u32, invalid_bytes: u64) {
        if invalid_bytes == 0 {
            return;
        }
        self.0.invalid_bytes += invalid_bytes;
        let splits = &mut self.0.invalid_splits;
        let index = splits.partition_point(|&(_, bytes)| bytes >= invalid_bytes);
        splits.insert(index, (split, invalid_bytes));
        splits.truncate(FINDINGS_MAX);
    }

    /// A document has ended.
    pub(crate) fn end_document(&mut self) {
        self.0.documents += 1;
    }

    /// A record of the split with this index is skipped.
    pub(crate) fn skip_record(&mut self, split: u32, record: &inputs::BadRecord) {
        self.0.bad_records += 1;
        if self.0.first_bad_records.len() < FINDINGS_MAX {
            let &inputs::BadRecord { offset, number, problem } = record;
            let problem = problem.to_string();
            self.0.first_bad_records.push(BadRecord { split, offset, number, problem });
        }
    }

    pub(crate) fn finish(self) -> Findings {
        debug_assert!(self.0.invalid_splits.is_sorted_by_key(|&(_, bytes)| Reverse(bytes)));
        self.0
    }
}

/// A bad record, where none is skipped. It is within the first `bytes_read` bytes of the file.
pub(crate) fn bad_record(record: &inputs::BadRecord, bytes_read: u64, split: &Split) -> Failure {
    // Where the text is the file, both offsets are where the record begins.
    let is_text = split.format.compression.is_none() && split.format.encoding.is_none();
    Failure::InputDamaged {
        path: split.path.clone(),
        offset: if is_text { record.offset } else { bytes_read },
        text_offset: record.offset,
        record: record.number,
        detail: format!("bad record: {}", record.problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_with_most_invalid_bytes_are_kept_in_order() {
        let mut count = FindingsCount::default();
        for split in 0..100 {
            count.end_split(split, u64::from(split * 37 % 50));
            count.end_document();
        }
        let findings = count.finish();
        assert_eq!(findings.documents, 100);
        assert_eq!(findings.invalid_bytes, 2 * (0..50).sum::<u64>());
        let bytes: Vec<u64> = findings.invalid_splits.iter().map(|&(_, bytes)| bytes).collect();
        assert_eq!(bytes, [49, 49, 48, 48, 47, 47, 46, 46, 45, 45]);
        assert!(
            findings
                .invalid_splits
                .iter()
                .all(|&(split, bytes)| u64::from(split * 37 % 50) == bytes)
        );
    }
}
