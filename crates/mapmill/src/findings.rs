//! What was found in the inputs besides words, as the report and `mapmill why` show it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::JobFindings;
use rpc::text::escaped;
use serde::Serialize;

use crate::numbers::plural;

#[derive(Serialize)]
pub(crate) struct InvalidFile {
    path: String,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct BadRecord {
    path: String,
    /// Where it begins in the text of the file.
    offset: u64,
    /// From 1; `null` if it is not known.
    number: Option<u64>,
    problem: String,
}

/// How many files have each format: `512 files: gzip, JSON lines, field text`.
pub(crate) fn formats(formats: &BTreeMap<String, usize>) -> String {
    let one = |(format, files): (&String, &usize)| {
        format!("{}: {}", plural(*files as u64, "file", "files"), escaped(format))
    };
    formats.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What was found in the inputs, as JSON shows it.
pub(crate) fn invalid_files(findings: &JobFindings) -> Vec<InvalidFile> {
    let file = |(path, bytes): &(PathBuf, u64)| InvalidFile {
        path: path.to_string_lossy().into_owned(),
        bytes: *bytes,
    };
    findings.invalid_files.iter().map(file).collect()
}

/// What was skipped in the inputs, as JSON shows it.
pub(crate) fn bad_records(findings: &JobFindings) -> Vec<BadRecord> {
    let record = |(path, record): &(PathBuf, journal::BadRecord)| BadRecord {
        path: path.to_string_lossy().into_owned(),
        offset: record.offset,
        number: record.number,
        problem: record.problem.clone(),
    };
    findings.first_bad_records.iter().map(record).collect()
}

/// What was found in the inputs, for people: a heading and a line each.
pub(crate) fn finding_lines(findings: &JobFindings) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let shown = |path: &Path| escaped(&path.to_string_lossy()).to_string();
    let in_file = |(path, bytes): &(PathBuf, u64)| {
        format!("{} in {}", plural(*bytes, "byte", "bytes"), shown(path))
    };
    match findings.invalid_files.as_slice() {
        [] if findings.invalid_bytes == 0 => {}
        [only] => lines.push(("not UTF-8", in_file(only))),
        files => {
            lines.push(("not UTF-8", plural(findings.invalid_bytes, "byte", "bytes")));
            lines.extend(files.iter().take(FILES_SHOWN_MAX).map(|file| ("", in_file(file))));
        }
    }
    if findings.bad_records > 0 {
        lines.push(("skipped", plural(findings.bad_records, "bad record", "bad records")));
        for (path, record) in &findings.first_bad_records {
            let place = match record.number {
                Some(number) => format!("record {number}"),
                None => format!("at byte {}", record.offset),
            };
            let problem = escaped(&record.problem);
            lines.push(("", format!("{place} of {}: {problem}", shown(path))));
        }
    }
    lines
}

/// Files with invalid bytes that the summary names. JSON has ten.
const FILES_SHOWN_MAX: usize = 3;
