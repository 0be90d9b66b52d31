//! Compressing on CPUs that have AVX2 and not AVX-512: most of them.
//!
//! Two single instructions of AVX-512 are built from small ones here. Table lookup: a shuffle takes
//! four bits of an index and sixteen bytes of a table. Compressing: a table holds, for each eight
//! bits of a mask, the shuffle that moves the bytes of these bits together.
//!
//! The same things are unsafe as in `x86.rs`.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::x86_64::*;

use super::x86::{Outputs, add_with_carry, halves, join32};
use super::{Avx2, CHUNK, Compress};

impl Compress for Avx2 {
    /// With 6 it takes 0.85 of walking in source text, with 7 0.95, on a CPU (Zen 4) that does more
    /// at once than most CPUs that run this level.
    const BUCKETS_MAX: usize = 6;

    const SKIPS_EMPTY_CHUNKS: bool = true;

    type Bytes = [__m256i; 2];

    #[inline(always)]
    fn load(self, chunk: &[u8; CHUNK]) -> [__m256i; 2] {
        // SAFETY: the token says that the CPU has AVX2. The same goes for all others but `keep`.
        unsafe { halves(chunk) }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_set1_epi8(byte as i8); 2] }
    }

    #[inline(always)]
    fn look_up(self, table: [__m256i; 2], index: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { look_up(table, index) }
    }

    #[inline(always)]
    fn look_up_both(
        self,
        low: [__m256i; 2],
        high: [__m256i; 2],
        index: [__m256i; 2],
    ) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe {
            let [low, high] = [look_up(low, index), look_up(high, index)];
            std::array::from_fn(|half| {
                let seventh = _mm256_slli_epi16::<1>(index[half]);
                _mm256_blendv_epi8(low[half], high[half], seventh)
            })
        }
    }

    type AsciiTable = Nibbles;

    #[inline(always)]
    fn ascii_table(self, numbers: &[[u8; CHUNK]; 2], count: u8) -> Nibbles {
        let [low, high] = numbers;
        let mut tens = [0; 16];
        for (at, class) in low.iter().chain(high).step_by(16).enumerate() {
            tens[at] = *class;
        }
        let (ones, _) = low.as_chunks::<16>();
        // SAFETY: as above.
        unsafe {
            Nibbles {
                tens: sixteen(&tens),
                ones: sixteen(&ones[0]),
                count: _mm256_set1_epi8(count as i8),
            }
        }
    }

    #[inline(always)]
    fn look_up_ascii(self, table: Nibbles, bytes: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { [table.look_up(bytes[0]), table.look_up(bytes[1])] }
    }

    #[inline(always)]
    fn shift(self, [low, high]: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe {
            // For each sixteen bytes the sixteen behind them; behind the last, zeros.
            let behind_low = _mm256_permute2x128_si256::<0x21>(low, high);
            let behind_high = _mm256_permute2x128_si256::<0x81>(high, high);
            [_mm256_alignr_epi8::<1>(behind_low, low), _mm256_alignr_epi8::<1>(behind_high, high)]
        }
    }

    #[inline(always)]
    fn add(self, left: [__m256i; 2], right: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_add_epi8(left[0], right[0]), _mm256_add_epi8(left[1], right[1])] }
    }

    #[inline(always)]
    fn test(self, [low, high]: [__m256i; 2], bits: u8) -> u64 {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_set1_epi8(bits as i8);
            let zero = _mm256_setzero_si256();
            let low = _mm256_cmpeq_epi8(_mm256_and_si256(low, bits), zero);
            let high = _mm256_cmpeq_epi8(_mm256_and_si256(high, bits), zero);
            !join32(low, high)
        }
    }

    #[inline(always)]
    fn select(self, mask: u64, bytes: [__m256i; 2], others: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe {
            [
                _mm256_blendv_epi8(others[0], bytes[0], spread(mask as u32)),
                _mm256_blendv_epi8(others[1], bytes[1], spread((mask >> 32) as u32)),
            ]
        }
    }

    #[inline(always)]
    fn lower(self, bytes: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { [lower_half(bytes[0]), lower_half(bytes[1])] }
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
        bytes: [__m256i; 2],
        mask: impl Fn(usize) -> u64,
    ) {
        outputs.take_chunk();
        // SAFETY: the token says that the CPU has AVX2 and POPCNT. One was taken off, and there is
        // one call for each output.
        unsafe {
            // Written out: the compiler does not unroll so long a loop, and would then compute the
            // mask of each bucket from nothing (1.1 times the time with four, 1.2 with eight).
            compress_to(outputs, bytes, &mask, 0);
            compress_to(outputs, bytes, &mask, 1);
            compress_to(outputs, bytes, &mask, 2);
            compress_to(outputs, bytes, &mask, 3);
            compress_to(outputs, bytes, &mask, 4);
            compress_to(outputs, bytes, &mask, 5);
            compress_to(outputs, bytes, &mask, 6);
            compress_to(outputs, bytes, &mask, 7);
            for bucket in 8..BUCKETS {
                compress_to(outputs, bytes, &mask, bucket);
            }
        }
    }

    #[inline(always)]
    fn written<const BUCKETS: usize>(self, outputs: Outputs<'_, BUCKETS>) -> [usize; BUCKETS] {
        outputs.written()
    }
}

/// The bytes of ASCII modulo a count: the remainders of sixteen times their upper four bits, and of
/// the lower four. The sum of both is reduced by subtracting the count once.
#[derive(Clone, Copy)]
pub(crate) struct Nibbles {
    tens: __m256i,
    ones: __m256i,
    count: __m256i,
}

impl Nibbles {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_up(self, bytes: __m256i) -> __m256i {
        let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0xF));
        // The shuffle takes the lower four bits, and the highest, which is not set.
        let ones = _mm256_shuffle_epi8(self.ones, bytes);
        let sum = _mm256_add_epi8(_mm256_shuffle_epi8(self.tens, upper), ones);
        // A sum below the count stays as it is: minus the count it wraps around, and is larger.
        _mm256_min_epu8(sum, _mm256_sub_epi8(sum, self.count))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: [__m256i; 2], index: [__m256i; 2]) -> [__m256i; 2] {
    let [low, high] = table;
    let quarters = [
        _mm256_permute4x64_epi64::<0x44>(low),
        _mm256_permute4x64_epi64::<0xEE>(low),
        _mm256_permute4x64_epi64::<0x44>(high),
        _mm256_permute4x64_epi64::<0xEE>(high),
    ];
    [look_up_half(quarters, index[0]), look_up_half(quarters, index[1])]
}

/// The bytes at each index in a table of four quarters of sixteen bytes, each here twice.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up_half(quarters: [__m256i; 4], index: __m256i) -> __m256i {
    let within = _mm256_and_si256(index, _mm256_set1_epi8(0xF));
    // A blend takes the highest bits: they are the fifth and the sixth of the index.
    let odd = _mm256_slli_epi16::<3>(index);
    let upper = _mm256_slli_epi16::<2>(index);
    let [a, b, c, d] = [
        _mm256_shuffle_epi8(quarters[0], within),
        _mm256_shuffle_epi8(quarters[1], within),
        _mm256_shuffle_epi8(quarters[2], within),
        _mm256_shuffle_epi8(quarters[3], within),
    ];
    _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, odd), _mm256_blendv_epi8(c, d, odd), upper)
}

#[inline]
#[target_feature(enable = "avx2")]
fn lower_half(bytes: __m256i) -> __m256i {
    let letter = _mm256_sub_epi8(bytes, _mm256_set1_epi8(b'A' as i8));
    let upper = _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(25)), letter);
    _mm256_add_epi8(bytes, _mm256_and_si256(upper, _mm256_set1_epi8(0x20)))
}

/// A byte of ones for each bit that is set.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(mask: u32) -> __m256i {
    let mask = _mm256_set1_epi32(mask as i32);
    // Each byte of the mask eight times, and another bit of it in each of the eight.
    let bytes =
        _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(mask, bytes), bit), bit)
}

/// Append the bytes of the mask of `bucket` to its output, if there is one.
///
/// # Safety
///
/// The CPU has AVX2 and POPCNT. The caller has taken one off `chunks_left`, and calls this once for
/// each bucket.
#[inline(always)]
unsafe fn compress_to<const BUCKETS: usize>(
    outputs: &mut Outputs<'_, BUCKETS>,
    bytes: [__m256i; 2],
    mask: &impl Fn(usize) -> u64,
    bucket: usize,
) {
    // More than half of them are used: for these the comparison is left out at compile time.
    if bucket < BUCKETS && (2 * bucket <= BUCKETS || bucket < outputs.used) {
        // SAFETY: the output is used, and one chunk more than `chunks_left` fitted into it.
        outputs.ends[bucket] = unsafe { compress_chunk(outputs.ends[bucket], bytes, mask(bucket)) };
    }
}

/// Append the bytes of `mask` at `end`, eight by eight. Returns the new end.
///
/// # Safety
///
/// A chunk fits behind `end`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn compress_chunk(mut end: *mut u8, bytes: [__m256i; 2], mask: u64) -> *mut u8 {
    for (eight, kept) in eights(bytes).into_iter().zip(mask.to_le_bytes()) {
        let shuffle = &COMPRESSING[usize::from(kept)];
        // SAFETY: the load takes eight bytes, and the shuffle has eight. The store: each group
        // before this one has kept at most its eight bytes, so that eight more end within the chunk
        // that fits behind `end`; the last begins at 56 at most. So `end` never leaves the output.
        unsafe {
            let shuffle = _mm_loadl_epi64(shuffle.as_ptr().cast());
            _mm_storel_epi64(end.cast(), _mm_shuffle_epi8(eight, shuffle));
            end = end.add(kept.count_ones() as usize);
        }
    }
    end
}

/// Each eight bytes, in the lower half of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn eights([low, high]: [__m256i; 2]) -> [__m128i; 8] {
    let [a, b] = [_mm256_castsi256_si128(low), _mm256_extracti128_si256::<1>(low)];
    let [c, d] = [_mm256_castsi256_si128(high), _mm256_extracti128_si256::<1>(high)];
    [
        a,
        _mm_unpackhi_epi64(a, a),
        b,
        _mm_unpackhi_epi64(b, b),
        c,
        _mm_unpackhi_epi64(c, c),
        d,
        _mm_unpackhi_epi64(d, d),
    ]
}

/// The shuffle for each mask: the indexes of its bits.
static COMPRESSING: [[u8; 8]; 256] = {
    let mut shuffles = [[0; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let mut kept = 0;
        let mut bit = 0;
        while bit < 8 {
            if mask >> bit & 1 == 1 {
                shuffles[mask][kept] = bit as u8;
                kept += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    shuffles
};

/// The same sixteen bytes twice.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(table: &[u8; 16]) -> __m256i {
    // SAFETY: these are 16 bytes, and this load asks for no alignment.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())) }
}
