//! The lines of a window, classified by the table that counts them.
//!
//! In two steps, neither of which has a branch that depends on the text, since no CPU can predict
//! where words end and how long they are. First the ends of all lines, 64 bytes at a time, then the
//! lines between them, 32 at a time. Each table has a list of its own, so that its loop finds
//! nothing but words of its kind.

use std::ops::Range;

use crate::key::{GROUP, KeySimd, Slices};
use crate::simd::{CHUNK, Kernel, Level};
use crate::window::{WINDOW, Window};

/// The lines of a window.
#[derive(Debug)]
pub(crate) struct Lines {
    window: Window,
    /// The end of the line before the first, then the end of each line.
    ends: [u16; 1 + WINDOW + CHUNK],
    count: usize,
    /// Lines of up to [`TINY`](crate::key::TINY) bytes.
    tiny: List,
    /// Longer lines of up to [`SHORT`](crate::key::SHORT) bytes.
    short: List,
    /// Longer lines.
    long: List,
}

/// Some lines: see [`Slices`].
#[derive(Debug)]
pub(crate) struct List {
    starts: [u16; WINDOW + GROUP],
    sizes: [u16; WINDOW + GROUP],
    count: usize,
}

impl Lines {
    /// No lines. It is large, to be kept and filled again.
    pub(crate) fn new() -> Self {
        let mut ends = [0; _];
        // The line behind it begins at 0.
        ends[0] = u16::MAX;
        let window = [0; _];
        Self { window, ends, count: 0, tiny: List::new(), short: List::new(), long: List::new() }
    }

    /// The lines of the first [`WINDOW`] bytes of `text`, or of all of it if it is shorter.
    pub(crate) fn find(&mut self, level: Level, text: &[u8]) {
        let text = &text[..text.len().min(WINDOW)];
        let (window, rest) = self.window.split_at_mut(text.len());
        window.copy_from_slice(text);
        // To the end of the last chunk.
        rest[..text.len().next_multiple_of(CHUNK) - text.len()].fill(0);
        level.run(Find { lines: self, chunks: text.len().div_ceil(CHUNK) });
    }

    /// How many lines were found.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Where the line behind the last one begins.
    pub(crate) fn end(&self) -> usize {
        // Without any line, that is at 0.
        usize::from(self.ends[self.count].wrapping_add(1))
    }

    /// The text, and its lines with tiny words, with short ones, and with longer ones.
    pub(crate) fn parts(&self) -> (&Window, [&List; 3]) {
        (&self.window, [&self.tiny, &self.short, &self.long])
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    fn new() -> Self {
        Self { starts: [0; _], sizes: [0; _], count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The start and the size of each of these lines.
    #[inline(always)]
    pub(crate) fn iter(&self, range: Range<usize>) -> impl Iterator<Item = (u16, u16)> + Clone {
        // Shows the compiler that no index is out of bounds.
        let range = range.start..range.end.min(self.starts.len());
        range.map(|index| (self.starts[index], self.sizes[index]))
    }

    /// The slices behind its lines.
    #[inline(always)]
    fn slices(&mut self) -> Option<Slices<'_>> {
        let starts = self.starts.get_mut(self.count..)?.first_chunk_mut()?;
        let sizes = self.sizes.get_mut(self.count..)?.first_chunk_mut()?;
        Some(Slices { starts, sizes })
    }
}

struct Find<'a> {
    lines: &'a mut Lines,
    /// Of the window.
    chunks: usize,
}

impl<S: KeySimd> Kernel<S> for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let Self { lines, chunks } = self;
        let window = &lines.window[..chunks * CHUNK];
        lines.count = find_ends(simd, window, &mut lines.ends);
        classify(simd, lines);
    }
}

/// Write the positions of the newlines behind the first of `ends`. Returns how many there are.
#[inline(always)]
fn find_ends<S: KeySimd>(simd: S, window: &[u8], ends: &mut [u16; 1 + WINDOW + CHUNK]) -> usize {
    let (chunks, _) = window.as_chunks::<CHUNK>();
    let mut count = 0;
    let mut base = 0;
    for chunk in chunks {
        if let Some(slices) = ends[1 + count..].first_chunk_mut() {
            count += simd.line_ends(base, chunk, slices);
        }
        base += CHUNK as u16;
    }
    count
}

#[inline(always)]
fn classify<S: KeySimd>(simd: S, lines: &mut Lines) {
    let Lines { window: _, ends, count, tiny, short, long } = lines;
    let mut counts = [0; 3];
    for at in (0..*count).step_by(GROUP) {
        [tiny.count, short.count, long.count] = counts;
        let slices = (tiny.slices(), short.slices(), long.slices());
        let (Some(ends), (Some(tiny), Some(short), Some(long))) =
            (ends[at..].first_chunk(), slices)
        else {
            break;
        };
        let more = simd.classify_lines(ends, GROUP.min(*count - at), [tiny, short, long]);
        for (count, more) in counts.iter_mut().zip(more) {
            *count += more;
        }
    }
    [tiny.count, short.count, long.count] = counts;
}
