//! The levels of x86-64.
//!
//! Two things are unsafe here: executing instructions that a CPU may lack, and the token proves
//! that it has them; and reading and writing chunks through pointers to them.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::x86_64::*;
use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr::null_mut;

use crate::char_set::CharSet;

use super::{CHUNK, Compress, Kernel, PARTITIONED_BUCKETS_MAX, Simd};

/// The CPU has AES, AVX2, BMI 1 and 2, LZCNT and POPCNT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Avx2(());

/// The CPU has what [`Avx2`] says, and AVX-512 F, BW, DQ, VL, VBMI and VBMI2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Avx512(());

impl Avx2 {
    /// A token, if this CPU has the instructions.
    pub(super) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        has_all.then_some(Self(()))
    }

    pub(super) fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "aes,avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn run<K: Kernel<Avx2>>(level: Avx2, kernel: K) -> K::Output {
            kernel.run(level)
        }
        // SAFETY: the token says that the CPU has these features.
        unsafe { run(self, kernel) }
    }
}

impl Avx512 {
    /// A token, if this CPU has the instructions.
    pub(super) fn detect() -> Option<Self> {
        let has_all = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2");
        has_all.then_some(Self(()))
    }

    pub(super) fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "aes,avx2,bmi1,bmi2,lzcnt,popcnt")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
        fn run<K: Kernel<Avx512>>(level: Avx512, kernel: K) -> K::Output {
            kernel.run(level)
        }
        // SAFETY: the token says that the CPU has these features.
        unsafe { run(self, kernel) }
    }
}

/// A kernel that runs at every level of this target but the scalar one.
pub(crate) trait OwnKernel<O>:
    Kernel<Avx2, Output = O> + Kernel<Avx512, Output = O>
{
}

impl<O, K: Kernel<Avx2, Output = O> + Kernel<Avx512, Output = O>> OwnKernel<O> for K {}

impl Simd for Avx2 {
    #[inline(always)]
    fn letters(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: the token says that the CPU has AVX2. The same goes for the next three.
        unsafe { letters_avx2(chunk) }
    }

    #[inline(always)]
    fn visible(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { visible_avx2(chunk) }
    }

    #[inline(always)]
    fn non_ascii(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { non_ascii_avx2(chunk) }
    }

    #[inline(always)]
    fn equal(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { equal_avx2(byte, chunk) }
    }

    #[inline(always)]
    fn at_least(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { at_least_avx2(byte, chunk) }
    }

    type Compressing = Self;

    #[inline(always)]
    fn compressing(self) -> Option<Self> {
        Some(self)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn letters_avx2(chunk: &[u8; CHUNK]) -> u64 {
    let [low, high] = halves(chunk);
    join32(letters_of_half(low), letters_of_half(high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn letters_of_half(bytes: __m256i) -> __m256i {
    // There is no unsigned comparison: x < 26 when the lesser of x and 25 is x.
    let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    let letter = _mm256_sub_epi8(folded, _mm256_set1_epi8(b'a' as i8));
    _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(25)), letter)
}

#[inline]
#[target_feature(enable = "avx2")]
fn visible_avx2(chunk: &[u8; CHUNK]) -> u64 {
    let [low, high] = halves(chunk);
    !join32(invisible_of_half(low), invisible_of_half(high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn invisible_of_half(bytes: __m256i) -> __m256i {
    // As above, for x < 5.
    let control = _mm256_sub_epi8(bytes, _mm256_set1_epi8(9));
    let control = _mm256_cmpeq_epi8(_mm256_min_epu8(control, _mm256_set1_epi8(4)), control);
    let space = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b' ' as i8));
    // Only the highest bit is looked at, and that of a high byte is set.
    _mm256_or_si256(_mm256_or_si256(control, space), bytes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn non_ascii_avx2(chunk: &[u8; CHUNK]) -> u64 {
    let [low, high] = halves(chunk);
    join32(low, high)
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal_avx2(byte: u8, chunk: &[u8; CHUNK]) -> u64 {
    let byte = _mm256_set1_epi8(byte as i8);
    let [low, high] = halves(chunk);
    join32(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
}

#[inline]
#[target_feature(enable = "avx2")]
fn at_least_avx2(byte: u8, chunk: &[u8; CHUNK]) -> u64 {
    let byte = _mm256_set1_epi8(byte as i8);
    let [low, high] =
        halves(chunk).map(|half| _mm256_cmpeq_epi8(_mm256_max_epu8(half, byte), half));
    join32(low, high)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn halves(chunk: &[u8; CHUNK]) -> [__m256i; 2] {
    let halves = chunk.as_ptr().cast::<__m256i>();
    // SAFETY: a chunk is two times 32 bytes, and this load asks for no alignment.
    unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] }
}

/// The highest bits of all bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join32(low: __m256i, high: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
}

impl Simd for Avx512 {
    #[inline(always)]
    fn letters(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: the token says that the CPU has AVX-512 BW. The same goes for the next three.
        unsafe { letters_avx512(chunk) }
    }

    #[inline(always)]
    fn visible(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { visible_avx512(chunk) }
    }

    #[inline(always)]
    fn non_ascii(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { non_ascii_avx512(chunk) }
    }

    #[inline(always)]
    fn equal(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { equal_avx512(byte, chunk) }
    }

    #[inline(always)]
    fn at_least(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { _mm512_cmpge_epu8_mask(whole(chunk), _mm512_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    fn find_leads(self, set: &CharSet, chunk: &[u8; CHUNK], two: u64, three: u64) -> (u64, u64) {
        // SAFETY: as above.
        unsafe { find_leads_avx512(set, chunk, two, three) }
    }

    type Compressing = Self;

    #[inline(always)]
    fn compressing(self) -> Option<Self> {
        Some(self)
    }
}

impl Compress for Avx512 {
    const BUCKETS_MAX: usize = PARTITIONED_BUCKETS_MAX;

    /// With that branch it takes 1.05 times as long.
    const SKIPS_EMPTY_CHUNKS: bool = false;

    type Bytes = __m512i;

    #[inline(always)]
    fn load(self, chunk: &[u8; CHUNK]) -> __m512i {
        // SAFETY: as above.
        unsafe { whole(chunk) }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn look_up(self, table: __m512i, index: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_permutexvar_epi8(index, table) }
    }

    #[inline(always)]
    fn look_up_both(self, low: __m512i, high: __m512i, index: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_permutex2var_epi8(low, index, high) }
    }

    type AsciiTable = [__m512i; 2];

    #[inline(always)]
    fn ascii_table(self, numbers: &[[u8; CHUNK]; 2], _: u8) -> [__m512i; 2] {
        [self.load(&numbers[0]), self.load(&numbers[1])]
    }

    #[inline(always)]
    fn look_up_ascii(self, [low, high]: [__m512i; 2], bytes: __m512i) -> __m512i {
        self.look_up_both(low, high, bytes)
    }

    #[inline(always)]
    fn shift(self, bytes: __m512i) -> __m512i {
        self.look_up(bytes, self.load(&NEXT))
    }

    #[inline(always)]
    fn add(self, left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi8(left, right) }
    }

    #[inline(always)]
    fn test(self, bytes: __m512i, bits: u8) -> u64 {
        // SAFETY: as above.
        unsafe { _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(bits as i8)) }
    }

    #[inline(always)]
    fn select(self, mask: u64, bytes: __m512i, others: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_mask_blend_epi8(mask, others, bytes) }
    }

    #[inline(always)]
    fn lower(self, bytes: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let letter = _mm512_sub_epi8(bytes, _mm512_set1_epi8(b'A' as i8));
            let upper = _mm512_cmplt_epu8_mask(letter, _mm512_set1_epi8(26));
            _mm512_mask_add_epi8(bytes, upper, bytes, _mm512_set1_epi8(32))
        }
    }

    #[inline(always)]
    fn add_with_carry(self, left: u64, right: u64, carry: u8) -> (u64, u8) {
        add_with_carry(left, right, carry)
    }

    type Outputs<'a, const BUCKETS: usize> = Outputs<'a, BUCKETS>;

    #[inline(always)]
    fn outputs<const BUCKETS: usize>(
        self,
        outputs: [Option<&mut [u8]>; BUCKETS],
    ) -> Outputs<'_, BUCKETS> {
        Outputs::new(outputs)
    }

    #[inline(always)]
    fn compress<const BUCKETS: usize>(
        self,
        outputs: &mut Outputs<'_, BUCKETS>,
        bytes: __m512i,
        mask: impl Fn(usize) -> u64,
    ) {
        outputs.take_chunk();
        // SAFETY: one was taken off, and there is a call for each eight outputs. Loops of eight are
        // short enough for the compiler to unroll them.
        unsafe { outputs.compress_eight::<0>(self, bytes, &mask) };
        if BUCKETS >= 8 {
            // More ends than registers: unless they stay in memory, they are moved there and back
            // all the time (1.15 times the time with sixteen).
            black_box(&mut outputs.ends);
        }
        if BUCKETS > 8 {
            // SAFETY: as above.
            unsafe { outputs.compress_eight::<8>(self, bytes, &mask) };
        }
        if BUCKETS > 16 {
            // SAFETY: as above.
            unsafe { outputs.compress_eight::<16>(self, bytes, &mask) };
        }
        const { assert!(BUCKETS <= 24) };
    }

    #[inline(always)]
    fn written<const BUCKETS: usize>(self, outputs: Outputs<'_, BUCKETS>) -> [usize; BUCKETS] {
        outputs.written()
    }
}

/// See [`Compress::add_with_carry`].
#[inline(always)]
pub(super) fn add_with_carry(left: u64, right: u64, carry: u8) -> (u64, u8) {
    // The compiler would gather plain additions into vectors, which costs more than the additions.
    let mut sum = 0;
    let carry = _addcarry_u64(carry, left, right, &mut sum);
    (sum, carry)
}

/// Outputs that are never filled to the end. One comparison shows that a chunk fits into all of
/// them.
///
/// # Invariants
///
/// * Behind each of the first `used` of `ends`, `chunks_left` chunks fit.
/// * `used` is more than half of `BUCKETS`.
pub(crate) struct Outputs<'a, const BUCKETS: usize> {
    starts: [*mut u8; BUCKETS],
    pub(super) ends: [*mut u8; BUCKETS],
    pub(super) used: usize,
    chunks_left: usize,
    outputs: PhantomData<&'a mut [u8]>,
}

impl<'a, const BUCKETS: usize> Outputs<'a, BUCKETS> {
    #[inline(always)]
    pub(super) fn new(outputs: [Option<&'a mut [u8]>; BUCKETS]) -> Self {
        let used = outputs.iter().take_while(|output| output.is_some()).count();
        assert!(2 * used > BUCKETS, "{used} outputs for {BUCKETS} buckets");
        let chunks_left =
            outputs.iter().flatten().map(|output| output.len() / CHUNK).min().unwrap_or(0);
        let starts = outputs.map(|output| output.map_or(null_mut(), <[u8]>::as_mut_ptr));
        Self { starts, ends: starts, used, chunks_left, outputs: PhantomData }
    }

    /// Take one off `chunks_left`, for a chunk in each output.
    #[inline(always)]
    pub(super) fn take_chunk(&mut self) {
        assert!(self.chunks_left > 0, "no space for a chunk in one of {}", self.used);
        self.chunks_left -= 1;
    }

    /// How many bytes are in each output.
    #[inline(always)]
    pub(super) fn written(self) -> [usize; BUCKETS] {
        std::array::from_fn(|bucket| self.ends[bucket].addr() - self.starts[bucket].addr())
    }

    /// Append to eight of the outputs, from `FIRST` on, the bytes of their masks.
    ///
    /// # Safety
    ///
    /// The caller has taken one off `chunks_left`, and calls this once for each eight outputs.
    #[inline(always)]
    unsafe fn compress_eight<const FIRST: usize>(
        &mut self,
        _: Avx512,
        bytes: __m512i,
        mask: &impl Fn(usize) -> u64,
    ) {
        for bucket in FIRST..BUCKETS.min(FIRST + 8) {
            if 2 * bucket > BUCKETS && bucket >= self.used {
                return;
            }
            let mask = mask(bucket);
            let end = &mut self.ends[bucket];
            // SAFETY: the token says that the CPU has AVX-512 VBMI2. The output is used, and one
            // chunk more than `chunks_left` fitted into it; a mask has no more bits than a chunk.
            unsafe {
                _mm512_storeu_si512(end.cast(), _mm512_maskz_compress_epi8(mask, bytes));
                *end = end.add(mask.count_ones() as usize);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn letters_avx512(chunk: &[u8; CHUNK]) -> u64 {
    let folded = _mm512_or_si512(whole(chunk), _mm512_set1_epi8(0x20));
    let letter = _mm512_sub_epi8(folded, _mm512_set1_epi8(b'a' as i8));
    _mm512_cmplt_epu8_mask(letter, _mm512_set1_epi8(26))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn visible_avx512(chunk: &[u8; CHUNK]) -> u64 {
    let bytes = whole(chunk);
    let control = _mm512_sub_epi8(bytes, _mm512_set1_epi8(9));
    let control = _mm512_cmplt_epu8_mask(control, _mm512_set1_epi8(5));
    let space = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b' ' as i8));
    !(control | space | _mm512_movepi8_mask(bytes))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn non_ascii_avx512(chunk: &[u8; CHUNK]) -> u64 {
    _mm512_movepi8_mask(whole(chunk))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn equal_avx512(byte: u8, chunk: &[u8; CHUNK]) -> u64 {
    _mm512_cmpeq_epi8_mask(whole(chunk), _mm512_set1_epi8(byte as i8))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn find_leads_avx512(set: &CharSet, chunk: &[u8; CHUNK], two: u64, three: u64) -> (u64, u64) {
    let bytes = whole(chunk);
    // Behind the last byte is the first; no character of the masks reaches so far.
    let next = _mm512_permutexvar_epi8(whole(&NEXT), bytes);
    // Five bits of the first byte and three of the second are the index of a byte in a table, and
    // three more of the second the index of a bit in it.
    let index = _mm512_ternarylogic_epi32::<0xCA>(
        _mm512_set1_epi8(0xF8_u8 as i8),
        _mm512_slli_epi16::<3>(bytes),
        _mm512_and_si512(_mm512_srli_epi16::<3>(next), _mm512_set1_epi8(7)),
    );
    let bit = _mm512_permutexvar_epi8(_mm512_and_si512(next, _mm512_set1_epi8(7)), whole(&BIT));
    let look_up = |table: &[u8; 128]| {
        let (halves, _) = table.as_chunks();
        _mm512_permutex2var_epi8(whole(&halves[0]), index, whole(&halves[1]))
    };
    let (two_tables, _) = set.two.as_chunks();
    let found = _mm512_mask_blend_epi8(
        _mm512_movepi8_mask(index),
        look_up(&two_tables[0]),
        look_up(&two_tables[1]),
    );
    let two_found = _mm512_mask_test_epi8_mask(two, found, bit);
    if three == 0 {
        return (two_found, 0);
    }
    let three_found = _mm512_mask_test_epi8_mask(three, look_up(&set.all), bit);
    let three_unsure = _mm512_mask_test_epi8_mask(three, look_up(&set.some), bit);
    (two_found | three_found, three_unsure)
}

/// The index of the next byte.
const NEXT: [u8; CHUNK] = {
    let mut next = [0; CHUNK];
    let mut at = 0;
    while at + 1 < CHUNK {
        next[at] = at as u8 + 1;
        at += 1;
    }
    next
};

/// A bit for each index below eight.
const BIT: [u8; CHUNK] = {
    let mut bit = [0; CHUNK];
    let mut at = 0;
    while at < 8 {
        bit[at] = 1 << at;
        at += 1;
    }
    bit
};

#[inline]
#[target_feature(enable = "avx512f")]
fn whole(chunk: &[u8; CHUNK]) -> __m512i {
    // SAFETY: a chunk is 64 bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) }
}
