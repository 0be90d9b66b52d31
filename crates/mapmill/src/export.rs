//! `mapmill export`: the counts of a finished job, in the order and the format of other programs.
//!
//! ```text
//! journal::Counts (merged by word, verified) --> cut: --min-count, --top
//!     --sort word  -------------------------------------> format --> destination
//!     --sort count --> ByCount (parts in a scratch file) -^
//! ```
//!
//! Nothing is shown before every output was verified: a file appears when it is whole, and before
//! words go to stdout in the order of the outputs, all outputs are read once more. So they are for
//! `--top`: which words are kept is known when all counts were seen.

mod by_count;
mod cut;
mod destination;
mod error;
mod groups;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod reading;
mod scratch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use journal::Counts;
use rpc::text::escaped;
use serde::Serialize;

use crate::flags::{ExportRequest, Format, Order};
use crate::messages::{self, Failure, Warning};
use crate::numbers::{self, plural};
use crate::verbosity::Verbosity;
use crate::way_out;

use by_count::ByCount;
use cut::Cut;
use destination::Destination;
use error::ExportError;
use lines::Lines;

/// `mapmill export`
pub(crate) fn print(request: &ExportRequest, is_interrupted: &AtomicBool) -> Result<(), Failure> {
    let counts = Counts::of(&request.files).map_err(|error| {
        let way_out = way_out::of_verify(&error);
        Failure::start(error).hint(way_out)
    })?;
    #[cfg(not(feature = "parquet"))]
    if request.format == Format::Parquet {
        return Err(ExportError::Unbuilt.into_failure());
    }
    let destination = Destination::open(request.output.as_deref()).map_err(Failure::start)?;
    match (Export { request, counts, is_interrupted }).run(destination) {
        Ok(report) => report.print(request),
        // The reader needs no more words.
        Err(ExportError::ReaderGone) => Ok(()),
        Err(error) => Err(error.into_failure()),
    }
}

/// Takes words and their counts.
type Each<'a> = dyn FnMut(&[u8], u64) -> Result<(), ExportError> + 'a;

/// Takes the words in their final order, and writes them in one format.
trait Sink {
    fn add(&mut self, word: &[u8], count: u64) -> Result<(), ExportError>;

    /// Writes what is left. Returns how many words are not written byte by byte, because the format
    /// has only UTF-8.
    fn finish(self: Box<Self>) -> Result<(Destination, u64), ExportError>;
}

struct Export<'a> {
    request: &'a ExportRequest,
    counts: Counts,
    is_interrupted: &'a AtomicBool,
}

impl Export<'_> {
    fn run(self, destination: Destination) -> Result<Report, ExportError> {
        let request = self.request;
        let mut report = Report::new(request);
        let to_stdout = request.output.is_none();
        let mut sink: Box<dyn Sink> = match request.format {
            Format::Csv => Box::new(Lines::csv(destination)),
            Format::Jsonl => Box::new(Lines::jsonl(destination)),
            #[cfg(feature = "parquet")]
            Format::Parquet => Box::new(parquet::Parquet::begin(destination, request.sort)?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => return Err(ExportError::Unbuilt),
            Format::Text => Box::new(Lines::text(destination)),
            Format::Tsv => Box::new(Lines::tsv(destination)),
        };
        let mut write = |word: &[u8], count: u64| {
            self.check_interrupted(report.kept.distinct_words)?;
            report.kept.add(count);
            sink.add(word, count)
        };
        let cut = self.cut(to_stdout)?;
        match request.sort {
            Order::Word => self.by_word(cut, &mut write)?,
            Order::Count => {
                let room = sorting_bytes(request.memory_bytes);
                let mut sorted = ByCount::new(scratch_folder(request), room);
                self.by_word(cut, &mut |word, count| sorted.add(word, count))?;
                sorted.finish(&mut write)?;
            }
        }
        let (destination, replaced) = sink.finish()?;
        report.bytes = destination.publish()?;
        report.words_not_utf8 = replaced;
        report.dropped = Totals {
            words: self.counts.words().saturating_sub(report.kept.words),
            distinct_words: self.counts.distinct_words().saturating_sub(report.kept.distinct_words),
        };
        Ok(report)
    }

    /// Which words are kept. Words that go to stdout in the order in which they are read are
    /// verified here: what was written to a pipe cannot be removed.
    fn cut(&self, to_stdout: bool) -> Result<Cut, ExportError> {
        let mut cut = Cut::at(self.request.min_count);
        let Some(top) = self.request.top else {
            if to_stdout && self.request.sort == Order::Word {
                self.counts.verify()?;
            }
            return Ok(cut);
        };
        let reading = reading_bytes(self.request.memory_bytes);
        let mut seen = 0;
        self.counts.by_output(reading, |_, count| {
            self.check_interrupted(seen)?;
            seen += 1;
            cut.see(count, top);
            Ok::<_, ExportError>(())
        })?;
        Ok(cut.most_frequent(top))
    }

    /// The words that are not cut, in the order of their bytes.
    fn by_word(&self, cut: Cut, each: &mut Each<'_>) -> Result<(), ExportError> {
        let words = self.counts.by_word(reading_bytes(self.request.memory_bytes))?;
        reading::read(words, cut, |batch| {
            self.check_interrupted(0)?;
            batch.words().try_for_each(|(word, count)| each(word, count))
        })
    }

    /// Looks at every 65,536th word.
    fn check_interrupted(&self, words: u64) -> Result<(), ExportError> {
        if words & 0xffff == 0 && self.is_interrupted.load(Ordering::Relaxed) {
            return Err(ExportError::Interrupted);
        }
        Ok(())
    }
}

/// Where the scratch file is: beside the file, on a disk with space for about as much; or in the
/// results folder, whose disk holds the outputs. `/tmp` may be memory, and would break `--memory`.
fn scratch_folder(request: &ExportRequest) -> PathBuf {
    let parent = request.output.as_deref().and_then(Path::parent);
    let beside = parent.map(|parent| match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent.to_owned(),
    });
    // Not beside a pipe or a device.
    let is_file = |path: &&Path| !path.exists() || path.is_file();
    let is_beside = request.output.as_deref().filter(is_file).is_some();
    beside.filter(|_| is_beside).unwrap_or_else(|| request.files.clone())
}

/// The buffers of the outputs get an eighth of the memory that the program does not take itself,
/// sorting gets three quarters, and the last eighth is for what is written.
fn reading_bytes(memory_bytes: usize) -> usize {
    memory_bytes.saturating_sub(PROGRAM_BYTES) / 8
}

fn sorting_bytes(memory_bytes: usize) -> usize {
    memory_bytes.saturating_sub(PROGRAM_BYTES) / 4 * 3
}

/// The program itself, without any words: 12 MiB were measured.
const PROGRAM_BYTES: usize = 16 << 20;

/// What `--json` prints; `docs/json.md` explains it.
#[derive(Debug, Serialize)]
struct Report {
    files: String,
    output: Option<String>,
    bytes: u64,
    kept: Totals,
    dropped: Totals,
    words_not_utf8: u64,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    /// The sum of the counts.
    words: u64,
    distinct_words: u64,
}

impl Totals {
    fn add(&mut self, count: u64) {
        self.words = self.words.saturating_add(count);
        self.distinct_words += 1;
    }
}

impl Report {
    fn new(request: &ExportRequest) -> Self {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        Self {
            files: name(&request.files),
            output: request.output.as_deref().map(name),
            bytes: 0,
            kept: Totals::default(),
            dropped: Totals::default(),
            words_not_utf8: 0,
        }
    }

    fn print(&self, request: &ExportRequest) -> Result<(), Failure> {
        if self.words_not_utf8 > 0 {
            let warning = Warning::NotUtf8 { words: self.words_not_utf8 };
            messages::warn(&warning, Verbosity::Normal);
        }
        let Some(output) = &self.output else { return Ok(()) };
        if request.json {
            return messages::json(self);
        }
        let Totals { words, distinct_words } = &self.kept;
        let share = match self.dropped.distinct_words {
            0 => String::new(),
            dropped => {
                let left_out = plural(dropped, "distinct word", "distinct words");
                let counted = plural(self.dropped.words, "word", "words");
                format!("; left out {left_out}, of {counted}")
            }
        };
        messages::say(format_args!(
            "wrote {}, of {}, to {} ({}){share}",
            plural(*distinct_words, "distinct word", "distinct words"),
            plural(*words, "word", "words"),
            escaped(output),
            numbers::bytes(self.bytes),
        ));
        Ok(())
    }
}
