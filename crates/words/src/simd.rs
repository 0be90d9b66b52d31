//! Which instructions this CPU has, detected once at run time, and what they do with 64 bytes.
//!
//! A hot loop is a [`Kernel`], written once over [`Simd`] or a trait that extends it.
//! [`Level::run`] compiles it for every level and jumps to the one for this CPU: once a block, so
//! that the dispatch costs nothing. A level holds a token that only detection creates, which makes
//! it sound to execute its instructions; the unsafe code for that is in `x86.rs`, `avx2.rs` and
//! `arm.rs`.
//!
//! [`Scalar`] is the specification: the answers of all other levels are compared with its answers
//! for every byte at every position. It is written so that the compiler can use the registers that
//! every CPU of the target has: SSE2 on x86-64, where there is no level for it, NEON on aarch64.
//!
//! # Invariants
//!
//! * A token of a level exists only where the CPU has all instructions of that level.
//! * Every level gives the same answers.

use std::fmt::Debug;
use std::sync::LazyLock;

use crate::char_set::CharSet;

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::{Neon, OwnKernel};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, OwnKernel};

/// Bytes processed together: one bit of a `u64` each, a cache line.
pub(crate) const CHUNK: usize = 64;

/// With more buckets, walking from word to word is faster than partitioning, at every level.
pub(crate) const PARTITIONED_BUCKETS_MAX: usize = 22;

/// Masks of a chunk: bit `i` describes `chunk[i]`.
pub(crate) trait Simd: Copy + Debug {
    /// The twenty-six letters of ASCII, in upper and in lower case.
    fn letters(self, chunk: &[u8; CHUNK]) -> u64;

    /// ASCII without its white space: not 9 to 13, not 32, not above 127.
    fn visible(self, chunk: &[u8; CHUNK]) -> u64;

    /// Above 127.
    fn non_ascii(self, chunk: &[u8; CHUNK]) -> u64;

    /// Equal to `byte`.
    fn equal(self, byte: u8, chunk: &[u8; CHUNK]) -> u64;

    /// Not less than `byte`.
    fn at_least(self, byte: u8, chunk: &[u8; CHUNK]) -> u64;

    /// The lead bytes of characters that are in `set`, and those of characters that must be looked
    /// up one by one. `two` has the lead bytes of the characters of two bytes, `three` of those of
    /// three; all of them are whole in the chunk.
    #[inline(always)]
    fn find_leads(self, set: &CharSet, chunk: &[u8; CHUNK], two: u64, three: u64) -> (u64, u64) {
        let _ = (set, chunk);
        (0, two | three)
    }

    /// The type of [`compressing`](Self::compressing).
    type Compressing: Compress;

    /// The same level, if it compresses bytes faster than words are copied one by one.
    fn compressing(self) -> Option<Self::Compressing>;
}

/// Moving and computing all bytes of a chunk together.
pub(crate) trait Compress: Simd {
    /// With more buckets, walking from word to word is faster in source text.
    const BUCKETS_MAX: usize;

    /// Whether a chunk costs so much that a branch for chunks without a word pays.
    const SKIPS_EMPTY_CHUNKS: bool;

    /// A chunk.
    type Bytes: Copy;

    fn load(self, chunk: &[u8; CHUNK]) -> Self::Bytes;

    /// `byte` everywhere.
    fn splat(self, byte: u8) -> Self::Bytes;

    /// The bytes of `table` at the lower six bits of each index.
    fn look_up(self, table: Self::Bytes, index: Self::Bytes) -> Self::Bytes;

    /// The bytes of `low` at the lower six bits of each index, or of `high` where the seventh bit
    /// is set.
    fn look_up_both(self, low: Self::Bytes, high: Self::Bytes, index: Self::Bytes) -> Self::Bytes;

    /// The table of [`look_up_ascii`](Self::look_up_ascii).
    type AsciiTable: Copy;

    /// The table of the bucket numbers of ASCII, which are in `numbers`: its bytes modulo `count`.
    fn ascii_table(self, numbers: &[[u8; CHUNK]; 2], count: u8) -> Self::AsciiTable;

    /// The bucket number of each byte; unspecified for one that is not ASCII.
    fn look_up_ascii(self, table: Self::AsciiTable, bytes: Self::Bytes) -> Self::Bytes;

    /// Each byte is the next one of `bytes`; the last is unspecified.
    fn shift(self, bytes: Self::Bytes) -> Self::Bytes;

    /// The sums of the bytes, without carries between them.
    fn add(self, left: Self::Bytes, right: Self::Bytes) -> Self::Bytes;

    /// Bit `i` is set when byte `i` has one of `bits`.
    fn test(self, bytes: Self::Bytes, bits: u8) -> u64;

    /// `bytes` where `mask` is set, `others` elsewhere.
    fn select(self, mask: u64, bytes: Self::Bytes, others: Self::Bytes) -> Self::Bytes;

    /// ASCII upper case to lower case.
    fn lower(self, bytes: Self::Bytes) -> Self::Bytes;

    /// The sum of all three, and its carry. A carry is 0 or 1.
    fn add_with_carry(self, left: u64, right: u64, carry: u8) -> (u64, u8);

    /// Outputs that are filled side by side, some of them absent.
    type Outputs<'a, const BUCKETS: usize>;

    /// Empty outputs. More than half of them are present, and these come first.
    fn outputs<const BUCKETS: usize>(
        self,
        outputs: [Option<&mut [u8]>; BUCKETS],
    ) -> Self::Outputs<'_, BUCKETS>;

    /// Append to each output the bytes of its mask, without gaps. The bytes behind them are
    /// unspecified.
    ///
    /// # Panics
    ///
    /// When this is called more often than a whole chunk fits into the smallest output.
    fn compress<const BUCKETS: usize>(
        self,
        outputs: &mut Self::Outputs<'_, BUCKETS>,
        bytes: Self::Bytes,
        mask: impl Fn(usize) -> u64,
    );

    /// How many bytes are in each output.
    fn written<const BUCKETS: usize>(self, outputs: Self::Outputs<'_, BUCKETS>)
    -> [usize; BUCKETS];
}

/// A loop to be compiled for every level `S` that can do what the loop needs.
pub(crate) trait Kernel<S> {
    /// The result of the loop.
    type Output;

    /// The loop. It must be `#[inline(always)]`, and so must be every function that it hands `simd`
    /// to: what is not inlined, a closure included, is compiled without the instructions of the
    /// level. The result is then as right, but slower than without levels.
    fn run(self, simd: S) -> Self::Output;
}

/// A kernel that runs at every level of this target but the scalar one: there is none.
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
pub(crate) trait OwnKernel<O> {}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
impl<O, K> OwnKernel<O> for K {}

/// Instructions to run a kernel with.
///
/// Public for tests and benches, which try all of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// What the compiler makes of plain code.
    Scalar,
    /// 32 bytes at once, and the bit tricks that came with them (BMI): CPUs since 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// 64 bytes at once, among them the permutations of bytes (VBMI2): CPUs since 2019.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 16 bytes at once: 64-bit ARM CPUs, but for a few without AES.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Level {
    /// The best that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: LazyLock<Level> =
            LazyLock::new(|| Level::all().pop().expect("the scalar level is always there"));
        *BEST
    }

    /// All that this CPU has, the best last.
    #[must_use]
    pub fn all() -> Vec<Self> {
        [
            Some(Self::Scalar),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "aarch64")]
            Neon::detect().map(Self::Neon),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Its usual name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
        }
    }

    /// Run `kernel` with the instructions of this level.
    #[inline]
    pub(crate) fn run<O>(self, kernel: impl Kernel<Scalar, Output = O> + OwnKernel<O>) -> O {
        match self {
            Self::Scalar => kernel.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(level) => level.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(level) => level.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(level) => level.run(kernel),
        }
    }
}

/// The specification, for every CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    #[inline(always)]
    fn letters(self, chunk: &[u8; CHUNK]) -> u64 {
        // Upper case is folded to lower case.
        pack(chunk.map(|byte| (byte | 0x20).wrapping_sub(b'a') < 26))
    }

    #[inline(always)]
    fn visible(self, chunk: &[u8; CHUNK]) -> u64 {
        pack(chunk.map(|byte| (byte.wrapping_sub(9) >= 5) & (byte != b' ') & (byte < 0x80)))
    }

    #[inline(always)]
    fn non_ascii(self, chunk: &[u8; CHUNK]) -> u64 {
        if chunk.iter().fold(0, |all, &byte| all | byte) < 0x80 {
            return 0;
        }
        pack(chunk.map(|byte| byte >= 0x80))
    }

    #[inline(always)]
    fn equal(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        pack(chunk.map(|other| other == byte))
    }

    #[inline(always)]
    fn at_least(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        pack(chunk.map(|other| other >= byte))
    }

    type Compressing = Self;

    #[inline(always)]
    fn compressing(self) -> Option<Self> {
        None
    }
}

impl Compress for Scalar {
    const BUCKETS_MAX: usize = PARTITIONED_BUCKETS_MAX;

    const SKIPS_EMPTY_CHUNKS: bool = false;

    type Bytes = Block;

    fn load(self, chunk: &Block) -> Block {
        *chunk
    }

    fn splat(self, byte: u8) -> Block {
        [byte; CHUNK]
    }

    fn look_up(self, table: Block, index: Block) -> Block {
        index.map(|byte| table[usize::from(byte & 0x3F)])
    }

    fn look_up_both(self, low: Block, high: Block, index: Block) -> Block {
        index.map(|byte| {
            let table = if byte & 0x40 == 0 { low } else { high };
            table[usize::from(byte & 0x3F)]
        })
    }

    type AsciiTable = [Block; 2];

    fn ascii_table(self, numbers: &[Block; 2], _: u8) -> [Block; 2] {
        *numbers
    }

    fn look_up_ascii(self, [low, high]: [Block; 2], bytes: Block) -> Block {
        self.look_up_both(low, high, bytes)
    }

    fn shift(self, bytes: Block) -> Block {
        std::array::from_fn(|at| bytes[(at + 1) % CHUNK])
    }

    fn add(self, left: Block, right: Block) -> Block {
        std::array::from_fn(|at| left[at].wrapping_add(right[at]))
    }

    fn test(self, bytes: Block, bits: u8) -> u64 {
        pack(bytes.map(|byte| byte & bits != 0))
    }

    fn select(self, mask: u64, bytes: Block, others: Block) -> Block {
        std::array::from_fn(|at| if mask >> at & 1 == 1 { bytes[at] } else { others[at] })
    }

    fn lower(self, bytes: Block) -> Block {
        bytes.map(|byte| byte.to_ascii_lowercase())
    }

    fn add_with_carry(self, left: u64, right: u64, carry: u8) -> (u64, u8) {
        let (sum, first) = left.overflowing_add(right);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (sum, u8::from(first | second))
    }

    type Outputs<'a, const BUCKETS: usize> = [Option<(&'a mut [u8], usize)>; BUCKETS];

    fn outputs<const BUCKETS: usize>(
        self,
        outputs: [Option<&mut [u8]>; BUCKETS],
    ) -> Self::Outputs<'_, BUCKETS> {
        outputs.map(|output| output.map(|output| (output, 0)))
    }

    fn compress<const BUCKETS: usize>(
        self,
        outputs: &mut Self::Outputs<'_, BUCKETS>,
        bytes: Block,
        mask: impl Fn(usize) -> u64,
    ) {
        for (bucket, output) in outputs.iter_mut().enumerate() {
            if let Some((output, written)) = output {
                for at in (0..CHUNK).filter(|at| mask(bucket) >> at & 1 == 1) {
                    output[*written] = bytes[at];
                    *written += 1;
                }
            }
        }
    }

    fn written<const BUCKETS: usize>(
        self,
        outputs: Self::Outputs<'_, BUCKETS>,
    ) -> [usize; BUCKETS] {
        outputs.map(|output| output.map_or(0, |(_, written)| written))
    }
}

/// A chunk in memory.
type Block = [u8; CHUNK];

/// Bit `i` is `flags[i]`.
#[inline(always)]
fn pack(flags: [bool; CHUNK]) -> u64 {
    let flags = flags.map(u8::from);
    let (groups, _) = flags.as_chunks::<8>();
    let mut mask = 0;
    for group in groups.iter().rev() {
        // Byte i holds bit 8i; multiplied by 2^(56 - 7i) it becomes bit 56 + i. No two of the
        // other products share a bit, so nothing is carried into these eight.
        mask = mask << 8 | u64::from_le_bytes(*group).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    }
    mask
}

#[cfg(test)]
mod tests;
