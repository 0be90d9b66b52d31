//! `mapmill verify`: compares the files of a finished job with its journal.

use std::error::Error;
use std::fmt;

use journal::{Finding, Verified};
use rpc::text::{escaped, with_causes};
use serde::Serialize;

use crate::flags::VerifyFlags;
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural};
use crate::way_out;

/// `mapmill verify`
pub(crate) fn print(flags: &VerifyFlags) -> Result<(), Failure> {
    let verified = journal::verify(&flags.files).map_err(|error| {
        let way_out = way_out::of_verify(&error);
        Failure::start(error).hint(way_out)
    })?;
    if flags.json {
        messages::json(&Report::of(flags, &verified))?;
        return verified.map(drop).map_err(|findings| damaged(flags, &findings));
    }
    match verified {
        Ok(Verified { intermediates, outputs, bytes: read, words }) => {
            let outputs = plural(outputs, "output file", "output files");
            let checked = match intermediates {
                Some(count) => {
                    let files = plural(count, "intermediate file", "intermediate files");
                    format!("{files} and {outputs} are")
                }
                None => {
                    format!("the intermediates were removed and are not checked; {outputs} are")
                }
            };
            let line = format!(
                "{}: {checked} as recorded ({}); {} emitted, and as many counted\n",
                escaped(&flags.files.to_string_lossy()),
                bytes(read),
                plural(words, "word", "words"),
            );
            messages::data(line.as_bytes())
        }
        Err(findings) => {
            for finding in &findings {
                messages::say(format_args!("{finding}"));
            }
            Err(damaged(flags, &findings))
        }
    }
}

/// What `--json` prints; `docs/json.md` explains it.
#[derive(Serialize)]
struct Report {
    files: String,
    state: &'static str,
    /// `null` if there are problems.
    verified: Option<Totals>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Totals {
    /// `null` if they were removed.
    intermediates: Option<u64>,
    outputs: u64,
    bytes: u64,
    words: u64,
}

impl Report {
    fn of(flags: &VerifyFlags, verified: &Result<Verified, Vec<Finding>>) -> Self {
        let files = flags.files.to_string_lossy().into_owned();
        match verified {
            Ok(Verified { intermediates, outputs, bytes, words }) => {
                let (intermediates, outputs) = (*intermediates, *outputs);
                let totals = Totals { intermediates, outputs, bytes: *bytes, words: *words };
                Self { files, state: "as_recorded", verified: Some(totals), problems: Vec::new() }
            }
            Err(findings) => {
                let problems = findings.iter().map(|finding| with_causes(finding)).collect();
                Self { files, state: "damaged", verified: None, problems }
            }
        }
    }
}

fn damaged(flags: &VerifyFlags, findings: &[Finding]) -> Failure {
    let (files, count) = (flags.files.display().to_string(), findings.len() as u64);
    Failure::output(Damaged { files, count })
}

/// How many problems there are. Each has been printed before.
#[derive(Debug)]
struct Damaged {
    files: String,
    count: u64,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = plural(self.count, "problem", "problems");
        write!(f, "{problems} in {}; run the job again", self.files)
    }
}

impl Error for Damaged {}
