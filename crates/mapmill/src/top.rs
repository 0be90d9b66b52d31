//! The most frequent words of finished jobs.
//!
//! Outputs are sorted by word, so they are merged as they are read: the memory this takes depends
//! on the number of files and not on the number of words.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::flags::TopFlags;
use crate::messages::{self, Failure};
use crate::numbers::{bar_of, grouped};

/// A word and how often it occurs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Frequent {
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    pub(crate) word: String,
    pub(crate) count: u64,
}

/// `mapmill top`
pub(crate) fn print(flags: &TopFlags) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in &flags.files {
        files.extend(outputs_in(path)?);
    }
    let frequent = most_frequent(&files, flags.count.get() as usize)?;
    messages::data(chart(&frequent).as_bytes())
}

/// The file itself, or the visible files of a folder.
fn outputs_in(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let error = |source| TopError::Read { path: path.to_owned(), source };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(|source| Failure::start(error(source)))? {
        let entry = entry.map_err(|source| Failure::start(error(source)))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Err(Failure::start(TopError::Empty { path: path.to_owned() }));
    }
    files.sort();
    Ok(files)
}

/// The `most` most frequent words over `files`; the first in the order of bytes among equals.
pub(crate) fn most_frequent(files: &[PathBuf], most: usize) -> Result<Vec<Frequent>, Failure> {
    let mut outputs = Vec::with_capacity(files.len());
    for path in files {
        outputs.push(Output::open(path).map_err(Failure::start)?);
    }
    // The next line of each output; on top is the first word of all.
    let mut next = BinaryHeap::new();
    for index in 0..outputs.len() {
        advance(&mut outputs, index, &mut next)?;
    }
    // The best so far; on top is the one to give up first.
    let mut best = BinaryHeap::new();
    while let Some(Reverse((word, index))) = next.pop() {
        let mut count = advance(&mut outputs, index, &mut next)?;
        while let Some(Reverse((same, index))) = next.peek()
            && *same == word
        {
            let index = *index;
            next.pop();
            count = count.saturating_add(advance(&mut outputs, index, &mut next)?);
        }
        best.push(Reverse((count, Reverse(word))));
        if best.len() > most {
            best.pop();
        }
    }
    let best = best.into_sorted_vec().into_iter();
    Ok(best
        .map(|Reverse((count, Reverse(word)))| Frequent {
            word: String::from_utf8_lossy(&word).into_owned(),
            count,
        })
        .collect())
}

/// The word at the head of an output, and which output that is. Smallest first.
type Head = Reverse<(Vec<u8>, usize)>;

/// Puts the next word of an output among the heads. Returns the count of the word that was there.
fn advance(
    outputs: &mut [Output],
    index: usize,
    next: &mut BinaryHeap<Head>,
) -> Result<u64, Failure> {
    let output = &mut outputs[index];
    let count = output.count;
    if output.advance().map_err(Failure::start)? {
        next.push(Reverse((output.word.clone(), index)));
    }
    Ok(count)
}

/// Words, counts and bars, aligned.
pub(crate) fn chart(frequent: &[Frequent]) -> String {
    const BAR: usize = 40;
    let words: Vec<_> = frequent.iter().map(|frequent| shorten(&frequent.word)).collect();
    let word_columns = words.iter().map(|word| word.width()).max().unwrap_or(0);
    let counts = frequent.iter().map(|frequent| grouped(frequent.count).len()).max().unwrap_or(0);
    let most = frequent.first().map_or(1, |first| first.count.max(1));
    let mut lines = String::new();
    for (word, Frequent { count, .. }) in words.iter().zip(frequent) {
        let space = " ".repeat(word_columns - word.width());
        let bar = bar_of(*count as f64 / most as f64, BAR);
        let line = format!("  {word}{space}  {:>counts$}  {bar}", grouped(*count));
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// A word as a terminal can show it, cut to a column. An ellipsis stands for the rest.
fn shorten(word: &str) -> String {
    // A word may have megabytes: it is cut before anybody measures it.
    let start: String = word.chars().take(WORD_COLUMNS_MAX + 1).collect();
    let mut shown = messages::printable(&start).into_owned();
    if shown.width() <= WORD_COLUMNS_MAX && start.len() == word.len() {
        return shown;
    }
    while shown.width() >= WORD_COLUMNS_MAX {
        shown.pop();
    }
    shown + "…"
}

/// Longer words are cut in a chart.
const WORD_COLUMNS_MAX: usize = 40;

/// One output being read.
struct Output {
    path: PathBuf,
    reader: BufReader<File>,
    line_number: u64,
    line: Vec<u8>,
    word: Vec<u8>,
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
            reader: BufReader::with_capacity(64 << 10, file),
            line_number: 0,
            line: Vec::new(),
            word: Vec::new(),
            count: 0,
        })
    }

    /// Goes to the next line; `false` at the end.
    fn advance(&mut self) -> Result<bool, TopError> {
        self.line.clear();
        self.line_number += 1;
        let read = self.reader.read_until(b'\n', &mut self.line);
        if read.map_err(|source| TopError::Read { path: self.path.clone(), source })? == 0 {
            return Ok(false);
        }
        let (word, count) = parse(&self.line).ok_or_else(|| self.not_an_output())?;
        if self.line_number > 1 && word <= self.word.as_slice() {
            return Err(self.not_an_output());
        }
        self.count = count;
        self.word = word.to_vec();
        Ok(true)
    }

    fn not_an_output(&self) -> TopError {
        TopError::NotAnOutput { path: self.path.clone(), line: self.line_number }
    }
}

/// `word count\n`
fn parse(line: &[u8]) -> Option<(&[u8], u64)> {
    let line = line.strip_suffix(b"\n")?;
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    let count = std::str::from_utf8(&line[space + 1..]).ok()?.parse().ok()?;
    Some((&line[..space], count))
}

/// A file is not what `top` can count.
#[derive(Debug)]
enum TopError {
    /// A folder without files.
    Empty { path: PathBuf },
    /// There is no such file or folder.
    Missing { path: PathBuf },
    /// A line is not `word count`, or not in order.
    NotAnOutput { path: PathBuf, line: u64 },
    /// The operating system refused.
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
                "{} is not an output of a job, which are in its folder `out`: line {line} is not a \
                 word and a count, in order",
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
