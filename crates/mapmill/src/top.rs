//! `mapmill top`: the most frequent words of finished jobs.
//!
//! Outputs are sorted by word, so they are merged as they are read: memory grows with the number of
//! files, not with the number of words.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{slice, thread};

use journal::Counts;
use rpc::text::escaped;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::flags::TopFlags;
use crate::machine;
use crate::messages::{self, Failure};
use crate::numbers::{bar_of, grouped};
use crate::terminal;
use crate::way_out;

/// A word and how often it occurs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Frequent {
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    pub(crate) word: String,
    pub(crate) count: u64,
}

/// `mapmill top`
pub(crate) fn print(flags: &TopFlags) -> Result<(), Failure> {
    machine::raise_open_files_limit();
    let mut files = Vec::new();
    for path in &flags.files {
        files.extend(outputs_in(path)?);
    }
    let best = merge(&files, flags.count.get() as usize).map_err(Failure::start)?;
    if best.heap.is_empty() {
        messages::say(format_args!("no words: the outputs are empty"));
    }
    if flags.json {
        return messages::json(&Report { top: best.into_frequent() });
    }
    if terminal::is_stdout_a_terminal() {
        let columns = terminal::columns_of_stdout().unwrap_or(terminal::COLUMNS);
        return messages::data(chart(&best.into_frequent(), columns).as_bytes());
    }
    // For a script, the lines of the outputs: nothing to cut, to unescape or to ungroup.
    let mut lines = Vec::new();
    for (word, count) in best.into_words() {
        lines.extend(word);
        lines.extend(format!(" {count}\n").as_bytes());
    }
    messages::data(&lines)
}

/// What `--json` prints; `docs/json.md` explains it.
#[derive(Serialize)]
struct Report {
    top: Vec<Frequent>,
}

/// The file itself; the outputs of a folder with results; or the visible files of another folder.
/// The results may have no journal, as those that are copied without hidden files.
fn outputs_in(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let error = |source| TopError::Read { path: path.to_owned(), source };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if journal::holds_job(path) {
        Counts::of(path).map_err(|error| {
            let way_out = way_out::of_verify(&error);
            Failure::start(error).hint(way_out)
        })?;
        return outputs_in(&journal::outputs(path));
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(|source| Failure::start(error(source)))? {
        let entry = entry.map_err(|source| Failure::start(error(source)))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    let outputs = journal::outputs(path);
    if files.is_empty() && outputs.is_dir() {
        return outputs_in(&outputs);
    }
    if files.is_empty() {
        return Err(Failure::start(TopError::Empty { path: path.to_owned() }));
    }
    files.sort();
    Ok(files)
}

/// The `most` most frequent words of the outputs of one job. No word is in two of them, so each is
/// searched on its own, and as many at once as there are cores.
pub(crate) fn most_frequent_of_job(
    outputs: &[PathBuf],
    most: usize,
) -> Result<Vec<Frequent>, Failure> {
    let next = AtomicUsize::new(0);
    let take_some = || -> Result<Best, TopError> {
        let mut best = Best::new(most);
        while let Some(output) = outputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            best.add(merge(slice::from_ref(output), most)?);
        }
        Ok(best)
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let best = thread::scope(|scope| {
        let others: Vec<_> =
            (1..cores.min(outputs.len())).map(|_| scope.spawn(take_some)).collect();
        let mut best = take_some();
        for other in others {
            let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            best = best.and_then(|mut best| {
                best.add(other?);
                Ok(best)
            });
        }
        best
    });
    Ok(best.map_err(Failure::start)?.into_frequent())
}

/// The `most` most frequent words in `files`. Of words with the same count, the first in the order
/// of bytes wins.
fn merge(files: &[PathBuf], most: usize) -> Result<Best, TopError> {
    let mut outputs = Vec::with_capacity(files.len());
    // The next word of each output, with the index of the output; the first word is on top.
    let mut heads = BinaryHeap::new();
    for (index, path) in files.iter().enumerate() {
        let mut output = Output::open(path)?;
        if output.advance()? {
            heads.push(Reverse((output.word().to_vec(), index)));
        }
        outputs.push(output);
    }
    let mut best = Best::new(most);
    while let Some(Reverse((word, index))) = heads.pop() {
        let mut count = outputs[index].count;
        while let Some(Reverse((same, other))) = heads.peek()
            && *same == word
        {
            let other = *other;
            heads.pop();
            let output = &mut outputs[other];
            count = count.saturating_add(output.count);
            if output.advance()? {
                heads.push(Reverse((output.word().to_vec(), other)));
            }
        }
        best.offer(&word, count);
        // The words after it in the same output, until another output has the next word.
        let output = &mut outputs[index];
        while output.advance()? {
            if heads.peek().is_some_and(|Reverse((next, _))| output.word() >= next.as_slice()) {
                heads.push(Reverse((output.word().to_vec(), index)));
                break;
            }
            best.offer(output.word(), output.count);
        }
    }
    Ok(best)
}

/// The most frequent words so far.
struct Best {
    most: usize,
    /// The word to evict first is on top.
    heap: BinaryHeap<Reverse<(u64, Reverse<Vec<u8>>)>>,
}

impl Best {
    fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, word: &[u8], count: u64) {
        if self.heap.len() >= self.most {
            let Some(Reverse((least, Reverse(last)))) = self.heap.peek() else { return };
            if (count, Reverse(word)) <= (*least, Reverse(last.as_slice())) {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(Reverse((count, Reverse(word.to_vec()))));
    }

    fn add(&mut self, other: Self) {
        for Reverse((count, Reverse(word))) in other.heap {
            self.offer(&word, count);
        }
    }

    /// The most frequent first.
    fn into_frequent(self) -> Vec<Frequent> {
        let shown = |(word, count): (Vec<u8>, u64)| {
            let word = String::from_utf8_lossy(&word).into_owned();
            Frequent { word, count }
        };
        self.into_words().map(shown).collect()
    }

    /// The same, with all bytes of the words.
    fn into_words(self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        let best = self.heap.into_sorted_vec().into_iter();
        best.map(|Reverse((count, Reverse(word)))| (word, count))
    }
}

/// Words, counts and bars, aligned, in lines that fit so many columns.
pub(crate) fn chart(frequent: &[Frequent], columns: usize) -> String {
    let words: Vec<_> =
        frequent.iter().map(|frequent| shorten(&frequent.word, (columns / 2).max(8))).collect();
    let word_columns = words.iter().map(|word| word.width()).max().unwrap_or(0);
    let counts = frequent.iter().map(|frequent| grouped(frequent.count).len()).max().unwrap_or(0);
    // Two columns before each.
    let left = columns.saturating_sub(2 + word_columns + 2 + counts + 2);
    let bar_columns = left.min(columns / 2);
    let most = frequent.first().map_or(1, |first| first.count.max(1));
    let mut lines = String::new();
    for (word, Frequent { count, .. }) in words.iter().zip(frequent) {
        let space = " ".repeat(word_columns - word.width());
        let bar = bar_of(*count as f64 / most as f64, bar_columns);
        let line = format!("  {word}{space}  {:>counts$}  {bar}", grouped(*count));
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// A word without control characters, cut to the width of its column. An ellipsis stands for the
/// rest.
fn shorten(word: &str, columns: usize) -> String {
    // A word may have megabytes, so it is cut before it is measured.
    let start: String = word.chars().take(columns + 1).collect();
    let mut shown = escaped(&start).to_string();
    if shown.width() <= columns && start.len() == word.len() {
        return shown;
    }
    while shown.width() >= columns {
        shown.pop();
    }
    shown + "…"
}

/// One output that is being read.
///
/// Lines are not copied out of the block: there may be millions, and nearly all are skipped.
struct Output {
    path: PathBuf,
    file: File,
    block: Vec<u8>,
    /// Bytes of `block` that have been read from the file.
    filled: usize,
    /// The offset in `block` of the next line.
    next: usize,
    line_number: u64,
    /// The range in `block` of the line's word.
    word: Range<usize>,
    count: u64,
}

impl Output {
    fn open(path: &Path) -> Result<Self, TopError> {
        let file = File::open(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() == io::ErrorKind::NotFound {
                true => TopError::Missing { path },
                false => TopError::Read { path, source },
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            block: vec![0; BLOCK_BYTES],
            filled: 0,
            next: 0,
            line_number: 0,
            word: 0..0,
            count: 0,
        })
    }

    /// The word of the current line.
    fn word(&self) -> &[u8] {
        &self.block[self.word.clone()]
    }

    /// Advances to the next line; `false` at the end.
    fn advance(&mut self) -> Result<bool, TopError> {
        self.line_number += 1;
        let mut searched = 0;
        let end = loop {
            let rest = &self.block[self.next + searched..self.filled];
            if let Some(way) = rest.iter().position(|&byte| byte == b'\n') {
                break self.next + searched + way;
            }
            searched += rest.len();
            if !self.read_more()? {
                return if searched == 0 { Ok(false) } else { Err(self.not_an_output()) };
            }
        };
        let (word_len, count) =
            parse(&self.block[self.next..end]).ok_or_else(|| self.not_an_output())?;
        let previous = std::mem::replace(&mut self.word, self.next..self.next + word_len);
        if self.line_number > 1 && *self.word() <= self.block[previous] {
            return Err(self.not_an_output());
        }
        self.count = count;
        self.next = end + 1;
        Ok(true)
    }

    /// Reads more bytes, and keeps the current line and all after it; `false` at the end of the
    /// file.
    fn read_more(&mut self) -> Result<bool, TopError> {
        let done = self.word.start;
        self.block.copy_within(done..self.filled, 0);
        self.filled -= done;
        self.next -= done;
        self.word = 0..self.word.end - done;
        if self.filled == self.block.len() {
            self.block.resize(2 * self.filled, 0);
        }
        let read = loop {
            match self.file.read(&mut self.block[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = read.map_err(|source| TopError::Read { path: self.path.clone(), source })?;
        self.filled += read;
        Ok(read > 0)
    }

    fn not_an_output(&self) -> TopError {
        TopError::NotAnOutput { path: self.path.clone(), line: self.line_number }
    }
}

/// The buffer of one output, which grows for longer lines. A job may have a thousand outputs.
const BLOCK_BYTES: usize = 64 << 10;

/// `word count`: the length of the word, and the count.
fn parse(line: &[u8]) -> Option<(usize, u64)> {
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    let digits = &line[space + 1..];
    let count = digits.iter().try_fold(0_u64, |count, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { count.checked_mul(10)?.checked_add(u64::from(digit)) }
    });
    if digits.is_empty() { None } else { Some((space, count?)) }
}

/// Why `top` cannot count a file.
#[derive(Debug)]
enum TopError {
    /// A folder without files.
    Empty { path: PathBuf },
    /// There is no such file or folder.
    Missing { path: PathBuf },
    /// A line is not `word count`, or out of order.
    NotAnOutput { path: PathBuf, line: u64 },
    /// The operating system refused to read it.
    Read { path: PathBuf, source: io::Error },
}

impl fmt::Display for TopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { path } => write!(
                f,
                "{} holds no outputs of a job; name them, or the folder `out` that holds them",
                path.display()
            ),
            Self::NotAnOutput { path, line } => write!(
                f,
                "{} is not an output of a job (those are in its folder `out`): line {line} is not \
                 a word and a count, or not in order",
                path.display()
            ),
            Self::Missing { path } => write!(
                f,
                "{} does not exist; run a job first, or name the outputs of one",
                path.display()
            ),
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
        }
    }
}

impl Error for TopError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Empty { .. } | Self::Missing { .. } | Self::NotAnOutput { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_a_job_have_the_same_top_one_by_one_as_together() {
        let folder = tempfile::tempdir().unwrap();
        let outputs: Vec<_> = (0..7).map(|output| folder.path().join(output.to_string())).collect();
        for (output, path) in outputs.iter().enumerate() {
            // Many have the same count, in every output.
            let line = |number: usize| format!("{:04} {}\n", 7 * number + output, number % 5);
            std::fs::write(path, (0..100).map(line).collect::<String>()).unwrap();
        }
        for most in [1, 2, 10, 150, 1_000] {
            let together = merge(&outputs, most).unwrap().into_frequent();
            assert_eq!(together.len(), most.min(700));
            assert_eq!(most_frequent_of_job(&outputs, most).unwrap(), together);
        }
        assert_eq!(merge(&outputs[..1], 2).unwrap().into_frequent()[1].word, "0063");
    }

    #[test]
    fn output_that_cannot_be_read_is_an_error_alone_and_together() {
        let folder = tempfile::tempdir().unwrap();
        let outputs: Vec<_> = (0..7).map(|output| folder.path().join(output.to_string())).collect();
        for missing in 0..outputs.len() {
            for (index, output) in outputs.iter().enumerate() {
                std::fs::write(output, format!("{index} 1\n")).unwrap();
            }
            std::fs::remove_file(&outputs[missing]).unwrap();
            let failure = most_frequent_of_job(&outputs, 3).unwrap_err();
            assert!(format!("{failure:?}").contains("Missing"), "{failure:?}");
        }
    }
}
