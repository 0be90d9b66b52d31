//! Where a window of a text has lines, parted by the tables that count them.
//!
//! In two steps, neither of which has a branch that depends on the text: where words end, and how
//! long they are, cannot be foreseen. First the ends of all lines, 64 bytes at a time, then the
//! lines between them, 32 at a time. Each table has a list of its own, so that the loop that counts
//! it finds nothing but words of its kind.

use std::ops::Range;

use crate::key::{GROUP, KeySimd, Slices};
use crate::simd::{CHUNK, Kernel, Level};
use crate::window::{WINDOW, Window};

/// The lines of a window.
#[derive(Debug)]
pub(crate) struct Lines {
    window: Window,
    /// In front of each line and behind the last: the first is that of the line before.
    ends: [u16; 1 + WINDOW + CHUNK],
    count: usize,
    /// Of up to [`TINY`](crate::key::TINY) bytes.
    tiny: List,
    /// Longer ones of up to [`SHORT`](crate::key::SHORT) bytes.
    short: List,
    /// Longer ones.
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
    /// No lines. Large: to be kept and filled again.
    pub(crate) fn new() -> Self {
        let mut ends = [0; _];
        // Where the end of a line would lie whose next begins at 0.
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

    /// Where the line behind the last begins.
    pub(crate) fn end(&self) -> usize {
        // The line behind none begins at 0.
        usize::from(self.ends[self.count].wrapping_add(1))
    }

    /// The text, and its lines of tiny words, of short ones, and of longer ones.
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

    /// Where each of these lines begins, and its size.
    #[inline(always)]
    pub(crate) fn iter(&self, range: Range<usize>) -> impl Iterator<Item = (u16, u16)> + Clone {
        // The compiler sees here that all of them are there.
        let range = range.start..range.end.min(self.starts.len());
        range.map(|index| (self.starts[index], self.sizes[index]))
    }

    /// Behind what it holds.
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
        part(simd, lines);
    }
}

/// Write where the newlines are behind the first of `ends`; returns how many there are.
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
fn part<S: KeySimd>(simd: S, lines: &mut Lines) {
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
        let more = simd.part_lines(ends, GROUP.min(*count - at), [tiny, short, long]);
        for (count, more) in counts.iter_mut().zip(more) {
            *count += more;
        }
    }
    [tiny.count, short.count, long.count] = counts;
}
