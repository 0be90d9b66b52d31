//! Bit planes: which bytes of a chunk go to which bucket.
//!
//! Let `word` have a bit for every byte of a word, and `first` one for the first byte of each of
//! some words. In the sum of both, a carry runs through each of these words and stops in the gap
//! behind it, so that the sum differs from `word` in exactly the bytes of these words and the gaps
//! behind them. A carry that leaves the chunk is a word that continues in the next one.
//!
//! ```text
//! chunk             t o _ b e _ o r _ n o t .      (the first byte is the lowest bit)
//! word              1 1 0 1 1 0 1 1 0 1 1 1 0
//! first             0 0 0 1 0 0 0 0 0 1 0 0 0      of the words of bucket 2
//! word + first      1 1 0 0 0 1 1 1 0 0 0 0 1
//! differs from word 0 0 0 1 1 1 0 0 0 1 1 1 1
//! ```
//!
//! A sum for each bucket would be sixteen for sixteen. But what a sum does for the words of one
//! bucket, it does as well for all words whose bucket number has a certain bit. So there is one sum
//! for each bit of the bucket number, and its result is a bit plane: four for sixteen buckets. The
//! bytes of bucket 5 are those in planes 0 and 2 and not in 1 and 3.
//!
//! Words are not counted here: each has a newline in what is written, and finding those costs less
//! than counting the words of each chunk for every bucket.
//!
//! # Invariants
//!
//! * When `inside` is 0, so is all of `open`.

use crate::masks::low_bits;
use crate::simd::Compress;

/// What continues from chunk to chunk: the outputs, and the open word. There is one output for each
/// bucket number of `PLANES` bits; the last ones may lead nowhere.
pub(crate) struct BitPlanes<'a, S: Compress, const PLANES: usize, const BUCKETS: usize> {
    outputs: S::Outputs<'a, BUCKETS>,
    /// The bits of the bucket number of the word that continues in the next chunk.
    open: [u8; PLANES],
    /// 1 when a word continues in the next chunk, else 0.
    inside: u64,
}

impl<'a, S: Compress, const PLANES: usize, const BUCKETS: usize> BitPlanes<'a, S, PLANES, BUCKETS> {
    /// Bit planes that lead to `outputs`. The first chunk continues a word of the bucket `open`.
    #[inline(always)]
    pub(crate) fn new(
        simd: S,
        outputs: [Option<&'a mut [u8]>; BUCKETS],
        open: Option<u32>,
    ) -> Self {
        Self {
            outputs: simd.outputs(outputs),
            open: std::array::from_fn(|plane| (open.unwrap_or(0) >> plane & 1) as u8),
            inside: u64::from(open.is_some()),
        }
    }

    /// The first bytes of the words in the next chunk, whose word mask is `word`.
    #[inline(always)]
    pub(crate) fn first_bytes(&self, word: u64) -> u64 {
        word & !self.behind(word)
    }

    /// The bytes behind a byte of a word.
    #[inline(always)]
    fn behind(&self, word: u64) -> u64 {
        word << 1 | self.inside
    }

    /// Append the words of the first `len` bytes of a chunk, whose word mask is `word`, to their
    /// outputs. `has_bit` returns for a bit the first bytes whose bucket number has it; the bits of
    /// other bytes are unspecified.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        simd: S,
        bytes: S::Bytes,
        word: u64,
        len: usize,
        has_bit: impl Fn(usize) -> u64,
    ) {
        let present = low_bits(len);
        let first = self.first_bytes(word);
        let kept = (word | self.behind(word)) & present;
        if S::SKIPS_EMPTY_CHUNKS && kept == 0 {
            // No word is open either, and nothing changes.
            return;
        }
        // A word that reaches the end of these bytes continues: let its carry leave.
        let filled = word | !present;
        let planes: [u64; PLANES] = std::array::from_fn(|plane| {
            let first = has_bit(plane) & first;
            let (sum, carry) = simd.add_with_carry(filled, first, self.open[plane]);
            self.open[plane] = carry;
            sum ^ filled
        });
        self.inside = word >> (len - 1) & 1;
        let lines = simd.select(word, bytes, simd.splat(b'\n'));
        // From the last plane to the first: then neighbouring buckets have most of it in common.
        simd.compress(&mut self.outputs, lines, |bucket| {
            (0..PLANES).rev().fold(kept, |mask, plane| match bucket >> plane & 1 {
                0 => mask & !planes[plane],
                _ => mask & planes[plane],
            })
        });
    }

    /// How many bytes were written to each output, and the bucket of the word that continues.
    #[inline(always)]
    pub(crate) fn finish(self, simd: S) -> ([usize; BUCKETS], Option<u32>) {
        let open = (0..PLANES).map(|plane| u32::from(self.open[plane]) << plane).sum();
        (simd.written(self.outputs), (self.inside == 1).then_some(open))
    }
}
