//! What inputs are, and what was found in them: our types to wire types and back.

use super::{Malformed, pb, text};
use crate::limits;
use crate::message::{BadRecord, Column, Findings, Format, Records};

impl From<Format> for pb::Format {
    fn from(format: Format) -> Self {
        use pb::format::Records as Wire;
        let records = match format.records {
            Records::WholeText => Wire::WholeText(pb::WholeText {}),
            Records::Csv { column, delimiter } => {
                let column = match column {
                    Column::Name(name) => pb::csv::Column::Name(name),
                    Column::Number(number) => pb::csv::Column::Number(number),
                };
                Wire::Csv(pb::Csv { column: Some(column), delimiter: delimiter.into() })
            }
            Records::JsonLines { field } => Wire::JsonLines(pb::JsonLines { field }),
            Records::Parquet { column } => Wire::Parquet(pb::Parquet { column }),
            Records::Wet => Wire::Wet(pb::Wet {}),
        };
        Self {
            compression: format.compression.unwrap_or_default(),
            encoding: format.encoding.unwrap_or_default(),
            records: Some(records),
        }
    }
}

/// `None` on the wire is plain text.
pub(super) fn format(format: Option<pb::Format>) -> Result<Format, Malformed> {
    use pb::format::Records as Wire;
    let Some(format) = format else { return Ok(Format::default()) };
    let records = match format.records.ok_or(Malformed("a format without records"))? {
        Wire::WholeText(pb::WholeText {}) => Records::WholeText,
        Wire::Csv(csv) => {
            let column = match csv.column.ok_or(Malformed("CSV without a column"))? {
                pb::csv::Column::Name(name) => Column::Name(name),
                pb::csv::Column::Number(0) => return Err(Malformed("a column with number 0")),
                pb::csv::Column::Number(number) => Column::Number(number),
            };
            let delimiter = u8::try_from(csv.delimiter).ok().filter(u8::is_ascii);
            let delimiter = delimiter.ok_or(Malformed("a delimiter that is not ASCII"))?;
            Records::Csv { column, delimiter }
        }
        Wire::JsonLines(pb::JsonLines { field }) => Records::JsonLines { field },
        Wire::Parquet(pb::Parquet { column }) => Records::Parquet { column },
        Wire::Wet(pb::Wet {}) => Records::Wet,
    };
    let named = |name: String| Some(name).filter(|name| !name.is_empty());
    Ok(Format { compression: named(format.compression), encoding: named(format.encoding), records })
}

impl From<&BadRecord> for pb::BadRecord {
    fn from(record: &BadRecord) -> Self {
        Self {
            split: record.split,
            offset: record.offset,
            number: record.number.unwrap_or(0),
            problem: record.problem.clone(),
        }
    }
}

/// The lists of what was found, as they are sent.
pub(super) fn lists(findings: &Findings) -> (Vec<pb::InvalidBytes>, Vec<pb::BadRecord>) {
    let invalid = |&(split, bytes): &(u32, u64)| pb::InvalidBytes { split, bytes };
    let invalid_splits = findings.invalid_splits.iter().map(invalid).collect();
    (invalid_splits, findings.first_bad_records.iter().map(Into::into).collect())
}

pub(super) fn findings(map: &pb::MapDone) -> Result<Findings, Malformed> {
    let lists = [map.invalid_splits.len(), map.first_bad_records.len()];
    if lists.iter().any(|&length| length > limits::FINDINGS_MAX) {
        return Err(Malformed("more than 10 findings of a kind"));
    }
    let bad_record = |record: &pb::BadRecord| BadRecord {
        split: record.split,
        offset: record.offset,
        number: Some(record.number).filter(|&number| number > 0),
        problem: text(&record.problem),
    };
    Ok(Findings {
        invalid_bytes: map.invalid_bytes,
        invalid_splits: map.invalid_splits.iter().map(|found| (found.split, found.bytes)).collect(),
        documents: map.documents,
        bad_records: map.bad_records,
        first_bad_records: map.first_bad_records.iter().map(bad_record).collect(),
    })
}
