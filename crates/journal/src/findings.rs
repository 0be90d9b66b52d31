//! What map tasks have found in their inputs, besides words.

use serde::{Deserialize, Serialize};

/// What one map task has found in its splits.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Findings {
    /// Bytes that were not UTF-8.
    pub invalid_bytes: u64,
    /// Of the splits with such bytes, those with most, as their index in the task and the bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid_splits: Vec<(u32, u64)>,
    /// Records that were read, and files that are one document; older journals do not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub documents: u64,
    /// Records that were skipped because they are not what the format says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_records: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_bad_records: Vec<BadRecord>,
}

/// A record that is not what the format of its file says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BadRecord {
    /// The index of its split in the task.
    pub split: u32,
    /// Where it begins in the text of the file, after decompression, in bytes; of Parquet, the
    /// index of its row.
    pub offset: u64,
    /// Its number in the file, from 1, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What is wrong with it, for people.
    pub problem: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
