//! `mapmill verify`: compares the files of a finished job with its journal.

use std::error::Error;
use std::fmt;

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
    match verified {
        Ok(journal::Verified { intermediates, outputs, bytes: read, words }) => {
            let line = format!(
                "{}: {} and {} are as recorded ({}); {} emitted, and as many counted\n",
                flags.files.display(),
                plural(intermediates, "intermediate file", "intermediate files"),
                plural(outputs, "output file", "output files"),
                bytes(read),
                plural(words, "word", "words"),
            );
            messages::data(line.as_bytes())
        }
        Err(findings) => {
            for finding in &findings {
                messages::say(format_args!("{finding}"));
            }
            let count = findings.len() as u64;
            Err(Failure::output(Damaged { files: flags.files.display().to_string(), count }))
        }
    }
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
        write!(f, "{problems} in {}; run the job again with --fresh", self.files)
    }
}

impl Error for Damaged {}
