//! Buckets: which one a word belongs to, and the pending lines of each.
//!
//! # Invariants
//!
//! * `lines[..used]` of a bucket is pending; the rest is spare, and was zeroed once. Because `len`
//!   includes the spare bytes, a short word is copied as sixteen bytes, whatever its length.
//! * `words` only grows. It counts a word when it starts, so it may be one ahead of the newlines.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::masks::{CHUNK, low_bits};
use crate::simd::Compress;

/// The bucket of a word that begins with the scalar value `first`.
///
/// The scalar value of a byte that is not valid UTF-8 is the byte. Every bucket number in Mapmill
/// is computed here.
#[must_use]
pub fn bucket_of(first: u32, buckets: NonZeroU32) -> u32 {
    first % buckets
}

/// What a map attempt holds between two writes: for each bucket the lines that are not written
/// yet, and the number of words so far.
#[derive(Debug)]
pub struct Buckets {
    buckets: Vec<Bucket>,
    /// [`bucket_of`] every ASCII character, so that most words cost no division.
    ascii: [u32; 128],
    count: NonZeroU32,
    /// Spare bytes that a bucket keeps when it is cleared.
    kept_bytes: usize,
}

#[derive(Debug, Default)]
struct Bucket {
    lines: Vec<u8>,
    used: usize,
    words: u64,
}

impl Buckets {
    /// `count` empty buckets.
    #[must_use]
    pub fn new(count: NonZeroU32) -> Self {
        let mut ascii = [0; 128];
        for (first, bucket) in (0..).zip(&mut ascii) {
            *bucket = bucket_of(first, count);
        }
        let mut buckets = Vec::new();
        buckets.resize_with(count.get() as usize, Bucket::default);
        let kept_bytes =
            (KEPT_BYTES / buckets.len()).clamp(KEPT_PER_BUCKET_MIN, KEPT_PER_BUCKET_MAX);
        Self { buckets, ascii, count, kept_bytes }
    }

    /// The lines of `bucket` that are not written yet, one word each. The last line may be the
    /// beginning of a word that is still being read.
    #[must_use]
    pub fn pending(&self, bucket: u32) -> &[u8] {
        let bucket = &self.buckets[bucket as usize];
        &bucket.lines[..bucket.used]
    }

    /// Forget the first `bytes` of what is pending in `bucket`: they have been written.
    ///
    /// The bucket keeps memory for the next lines, but so little that all buckets together keep
    /// little, however many there are.
    ///
    /// # Panics
    ///
    /// When less is pending.
    pub fn clear_first(&mut self, bucket: u32, bytes: usize) {
        let bucket = &mut self.buckets[bucket as usize];
        bucket.lines.copy_within(bytes..bucket.used, 0);
        bucket.used -= bytes;
        let kept_bytes = self.kept_bytes.max(bucket.used);
        if bucket.lines.len() > kept_bytes {
            bucket.lines.truncate(kept_bytes);
            bucket.lines.shrink_to_fit();
        }
    }

    /// Forget everything, and keep the memory.
    pub(crate) fn empty(&mut self) {
        for bucket in &mut self.buckets {
            (bucket.used, bucket.words) = (0, 0);
        }
    }

    /// Words that were put into `bucket` so far, written or not.
    #[must_use]
    pub fn words(&self, bucket: u32) -> u64 {
        self.buckets[bucket as usize].words
    }

    /// Words that were put into all buckets so far.
    pub(crate) fn words_total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.words).sum()
    }

    /// The bucket of a word that begins with the ASCII character `first`, if it is one.
    #[inline(always)]
    pub(crate) fn of_ascii(&self, first: u8) -> Option<u32> {
        self.ascii.get(usize::from(first)).copied()
    }

    /// The bucket of a word that begins with the scalar value `first`.
    pub(crate) fn of(&self, first: u32) -> u32 {
        bucket_of(first, self.count)
    }

    /// `bytes` of spare in each of the first buckets, up to `N`. What is written there becomes
    /// pending with [`advance`](Self::advance).
    pub(crate) fn reserve<const N: usize>(&mut self, bytes: usize) -> [Option<&mut [u8]>; N] {
        let mut buckets = self.buckets.iter_mut();
        [(); N].map(|()| {
            buckets.next().map(|bucket| {
                if bucket.used + bytes > bucket.lines.len() {
                    bucket.grow(bucket.used + bytes);
                }
                &mut bucket.lines[bucket.used..]
            })
        })
    }

    /// So many bytes were written to the spare of the first buckets. Each line that ends in them is
    /// a word.
    #[inline(always)]
    pub(crate) fn advance<S: Compress>(
        &mut self,
        simd: S,
        written: impl IntoIterator<Item = usize>,
    ) {
        for (bucket, written) in self.buckets.iter_mut().zip(written) {
            let used = bucket.used + written;
            let mut newlines = 0;
            while bucket.used < used {
                let chunk =
                    bucket.lines[bucket.used..].first_chunk().expect("chunks are written whole");
                let here = simd.equal(b'\n', chunk) & low_bits(used - bucket.used);
                newlines += u64::from(here.count_ones());
                bucket.used = (bucket.used + CHUNK).min(used);
            }
            bucket.words += newlines;
        }
    }

    /// Put the whole word `text[run]` into `bucket`.
    #[inline(always)]
    pub(crate) fn put_word(&mut self, bucket: u32, text: &[u8], run: Range<usize>) {
        let bucket = &mut self.buckets[bucket as usize];
        bucket.words += 1;
        let len = run.len();
        // Copy sixteen bytes, and let the next line overwrite those behind the word: one load and
        // one store, instead of a call that branches on the length.
        if len <= SHORT
            && let Some(from) = text[run.start..].first_chunk::<SHORT>()
            && let Some(to) = bucket.lines[bucket.used..].first_chunk_mut::<{ SHORT + 1 }>()
        {
            to[..SHORT].copy_from_slice(from);
            to[len] = b'\n';
            bucket.used += len + 1;
        } else {
            bucket.append(&text[run]);
            bucket.append(b"\n");
        }
    }

    /// Count a word that starts in `bucket`; its bytes follow by [`append`](Self::append).
    pub(crate) fn start_word(&mut self, bucket: u32) {
        self.buckets[bucket as usize].words += 1;
    }

    /// The open word of `bucket` is counted by [`advance`](Self::advance), not now.
    pub(crate) fn count_later(&mut self, bucket: u32) {
        self.buckets[bucket as usize].words -= 1;
    }

    /// Put the next bytes of a word, or the newline that ends it, into `bucket`.
    pub(crate) fn append(&mut self, bucket: u32, bytes: &[u8]) {
        self.buckets[bucket as usize].append(bytes);
    }
}

impl Bucket {
    fn append(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if end > self.lines.len() {
            self.grow(end);
        }
        self.lines[self.used..end].copy_from_slice(bytes);
        self.used = end;
    }

    /// Grow to at least `len` bytes, and one more short word behind them.
    #[cold]
    fn grow(&mut self, len: usize) {
        let len = (len + SHORT + 1).max(2 * self.lines.len()).max(LINES_MIN);
        // So that a reallocation does not copy the spare bytes.
        self.lines.truncate(self.used);
        self.lines.resize(len, 0);
    }
}

/// Words up to this length are copied without a branch on their length. Nearly every English word
/// fits, and it is one SSE register.
const SHORT: usize = 16;

/// Bytes of a bucket's first allocation.
const LINES_MIN: usize = 256;

/// Bytes that cleared buckets keep, all together: little of a worker's memory (256 MiB by default).
const KEPT_BYTES: usize = 16 << 20;

/// Below this a bucket would reallocate for every few lines; 10,000 of them still keep only 10 MB.
const KEPT_PER_BUCKET_MIN: usize = 1 << 10;

/// No write gains from being larger than this.
const KEPT_PER_BUCKET_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_the_scalar_value_modulo_the_count() {
        let four = NonZeroU32::new(4).unwrap();
        let buckets = Buckets::new(four);
        for (first, bucket) in [('a', 1), ('b', 2), ('c', 3), ('d', 0), ('é', 1), ('中', 1)] {
            assert_eq!(bucket_of(u32::from(first), four), bucket, "{first}");
            assert_eq!(buckets.of(u32::from(first)), bucket, "{first}");
        }
        assert_eq!(buckets.of_ascii(b'c'), Some(3));
        assert_eq!(buckets.of_ascii(0x80), None);
    }

    #[test]
    fn word_is_a_line_whatever_stands_behind_it() {
        let mut buckets = Buckets::new(NonZeroU32::MIN);
        let text = b"one two a-word-of-twenty-odd-bytes end";
        for run in [0..3, 4..7, 8..34, 35..38, 0..0] {
            buckets.put_word(0, text, run);
        }
        assert_eq!(buckets.pending(0), b"one\ntwo\na-word-of-twenty-odd-bytes\nend\n\n");
        assert_eq!(buckets.words(0), 5);
    }

    #[test]
    fn cleared_buckets_keep_little_however_many_they_are() {
        for count in [1, 4, 1_000, 10_000] {
            let mut buckets = Buckets::new(NonZeroU32::new(count).unwrap());
            for bucket in 0..count {
                let lines = vec![b'x'; (32 << 20) / count as usize];
                buckets.append(bucket, &lines);
                buckets.clear_first(bucket, lines.len());
                assert!(buckets.pending(bucket).is_empty());
            }
            let kept: usize = buckets.buckets.iter().map(|bucket| bucket.lines.capacity()).sum();
            assert!(kept <= KEPT_BYTES, "{count} buckets keep {kept} bytes");
        }
    }

    #[test]
    fn what_is_not_cleared_stays_pending() {
        let mut buckets = Buckets::new(NonZeroU32::MIN);
        buckets.put_word(0, b"written waiting", 0..7);
        buckets.put_word(0, b"written waiting", 8..15);
        buckets.clear_first(0, 8);
        buckets.append(0, b"too\n");
        assert_eq!(buckets.pending(0), b"waiting\ntoo\n");
        // However much it is.
        let lines = vec![b'x'; KEPT_BYTES];
        buckets.append(0, &lines);
        buckets.clear_first(0, 12);
        assert_eq!(buckets.pending(0), lines);
    }

    #[test]
    fn clearing_forgets_the_lines_and_not_the_words() {
        let mut buckets = Buckets::new(NonZeroU32::new(3).unwrap());
        buckets.put_word(1, b"again", 0..5);
        buckets.clear_first(1, 6);
        buckets.put_word(1, b"again", 0..5);

        assert_eq!(buckets.pending(1), b"again\n");
        assert_eq!((buckets.words(1), buckets.words_total()), (2, 2));
    }
}
