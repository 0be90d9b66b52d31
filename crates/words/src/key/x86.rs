//! Keys in the registers of x86-64.
//!
//! Two things are unsafe here: executing instructions that a CPU may lack, and the token of the
//! level proves that it has them; and reading and writing arrays through pointers to them.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::x86_64::*;

use super::{GROUP, KeySimd, SHORT, ShortKey, Slices, TINY, write_positions};
use crate::hash::Seed;
use crate::simd::{Avx2, Avx512, CHUNK, Simd};

/// Both levels do the same with a key.
macro_rules! keys {
    ($level:ty, $ends:item, $part:item) => {
        impl KeySimd for $level {
            #[inline(always)]
            fn low_bits(self, bits: u64, count: u32) -> u64 {
                // SAFETY: the token says that the CPU has BMI2.
                unsafe { _bzhi_u64(bits, count) }
            }

            type Register = __m128i;

            #[inline(always)]
            fn load_masked(self, bytes: &ShortKey, mask: &ShortKey) -> __m128i {
                // SAFETY: the token says that the CPU has AVX2 and AES. The same goes for the next
                // four.
                unsafe { _mm_and_si128(load(bytes), load(mask)) }
            }

            #[inline(always)]
            fn store(self, key: __m128i) -> ShortKey {
                // SAFETY: as above.
                unsafe { bytes_avx2(key) }
            }

            #[inline(always)]
            fn equals(self, key: __m128i, bytes: &ShortKey) -> bool {
                // SAFETY: as above.
                unsafe { is_avx2(key, bytes) }
            }

            #[inline(always)]
            fn hash(self, key: __m128i, seed: &Seed) -> u64 {
                // SAFETY: as above.
                unsafe { hash_aes(key, seed) }
            }

            #[inline(always)]
            fn prefetch<T>(self, place: &T) {
                // SAFETY: every CPU has this instruction, and a reference is a valid address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
            }

            #[inline(always)]
            $ends

            #[inline(always)]
            $part
        }
    };
}

keys!(
    Avx2,
    fn line_ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_positions(base, self.equal(b'\n', chunk), ends)
    },
    fn classify_lines(
        self,
        ends: &[u16; GROUP + 1],
        count: usize,
        slices: [Slices<'_>; 3],
    ) -> [usize; 3] {
        // SAFETY: the token says that the CPU has AVX2 and POPCNT.
        unsafe { part_avx2(ends, count, slices) }
    }
);

keys!(
    Avx512,
    fn line_ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        let newlines = self.equal(b'\n', chunk);
        // SAFETY: the token says that the CPU has AVX-512 BW and VBMI2.
        unsafe { write_ends_avx512(base, newlines, ends) };
        newlines.count_ones() as usize
    },
    fn classify_lines(
        self,
        ends: &[u16; GROUP + 1],
        count: usize,
        slices: [Slices<'_>; 3],
    ) -> [usize; 3] {
        // SAFETY: the token says that the CPU has AVX-512 BW and VBMI2.
        unsafe { part_avx512(ends, count, slices) }
    }
);

#[inline]
#[target_feature(enable = "avx2")]
fn bytes_avx2(key: __m128i) -> ShortKey {
    let mut bytes = [0; _];
    // SAFETY: these are 16 bytes, and this store asks for no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), key) };
    bytes
}

#[inline]
#[target_feature(enable = "avx2")]
fn is_avx2(key: __m128i, bytes: &ShortKey) -> bool {
    let different = _mm_xor_si128(key, load(bytes));
    _mm_testz_si128(different, different) != 0
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn hash_aes(key: __m128i, seed: &Seed) -> u64 {
    let seed = _mm_set_epi64x(seed.0[1].cast_signed(), seed.0[0].cast_signed());
    // A round spreads each byte over four; the second, over all sixteen.
    let once = _mm_aesenc_si128(_mm_xor_si128(key, seed), seed);
    _mm_cvtsi128_si64(_mm_aesenc_si128(once, seed)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &ShortKey) -> __m128i {
    // SAFETY: these are 16 bytes, and this load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
fn write_ends_avx512(base: u16, newlines: u64, ends: &mut [u16; CHUNK]) {
    let base = _mm512_set1_epi16(base.cast_signed());
    let found = _mm512_maskz_compress_epi8(newlines, load_chunk(&POSITIONS));
    let (low, high) = (_mm512_castsi512_si256(found), _mm512_extracti64x4_epi64::<1>(found));
    let halves = ends.as_mut_ptr().cast::<__m512i>();
    // SAFETY: `ends` has two times 32 positions, and these stores ask for no alignment.
    unsafe {
        _mm512_storeu_si512(halves, _mm512_add_epi16(_mm512_cvtepu8_epi16(low), base));
        _mm512_storeu_si512(halves.add(1), _mm512_add_epi16(_mm512_cvtepu8_epi16(high), base));
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn part_avx2(ends: &[u16; GROUP + 1], count: usize, mut slices: [Slices<'_>; 3]) -> [usize; 3] {
    let mut counts = [0; 3];
    for at in (0..count).step_by(LANES) {
        let (Some(before), Some(ends)) = (ends[at..].first_chunk(), ends[at + 1..].first_chunk())
        else {
            break;
        };
        let (before, ends) = (load_lanes(before), load_lanes(ends));
        let starts = _mm_add_epi16(before, _mm_set1_epi16(1));
        let lens = _mm_sub_epi16(ends, starts);
        let bits = _mm_slli_epi16::<3>(_mm_sub_epi16(ends, before));
        // There is no unsigned comparison: x <= 7 when the lesser of x and 7 is x.
        let tiny = _mm_cmpeq_epi16(_mm_min_epu16(lens, _mm_set1_epi16(TINY as i16)), lens);
        let short = _mm_cmpeq_epi16(_mm_min_epu16(lens, _mm_set1_epi16(SHORT as i16)), lens);
        // A byte for each lane, and a bit of each byte: tiny ones below, up to short ones above.
        let both = _mm_movemask_epi8(_mm_packs_epi16(tiny, short)).cast_unsigned();
        let all = 0xFF >> LANES.saturating_sub(count - at);
        let (tiny, up_to_short) = (both & all, both >> LANES & all);
        let parts = [(bits, tiny), (lens, up_to_short & !tiny), (lens, all & !up_to_short)];
        for ((slices, count), (sizes, mask)) in slices.iter_mut().zip(&mut counts).zip(parts) {
            let order = load(&PACKED[mask as usize]);
            // No more than this came before: eight more fit.
            let from = *count % GROUP;
            if let Some(slices) = slices.starts[from..].first_chunk_mut() {
                store_lanes(slices, _mm_shuffle_epi8(starts, order));
            }
            if let Some(slices) = slices.sizes[from..].first_chunk_mut() {
                store_lanes(slices, _mm_shuffle_epi8(sizes, order));
            }
            *count += mask.count_ones() as usize;
        }
    }
    counts
}

/// Numbers of sixteen bits in a register of SSE.
const LANES: usize = 8;

/// `PACKED[mask]` moves the lanes of `mask` together.
static PACKED: [ShortKey; 1 << LANES] = {
    let mut packed = [[0; _]; 1 << LANES];
    let mut mask = 0;
    while mask < packed.len() {
        let (mut lane, mut to) = (0, 0);
        while lane < LANES {
            if mask >> lane & 1 == 1 {
                packed[mask][2 * to] = 2 * lane as u8;
                packed[mask][2 * to + 1] = 2 * lane as u8 + 1;
                to += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    packed
};

#[inline]
#[target_feature(enable = "avx2")]
fn load_lanes(lanes: &[u16; LANES]) -> __m128i {
    // SAFETY: these are 16 bytes, and this load asks for no alignment.
    unsafe { _mm_loadu_si128(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_lanes(lanes: &mut [u16; LANES], register: __m128i) {
    // SAFETY: these are 16 bytes, and this store asks for no alignment.
    unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast(), register) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi2,popcnt")]
fn part_avx512(ends: &[u16; GROUP + 1], count: usize, slices: [Slices<'_>; 3]) -> [usize; 3] {
    let ends = ends.as_ptr().cast::<__m512i>();
    // SAFETY: these are two times 32 ends, which overlap in all but the first and the last, and
    // these loads ask for no alignment.
    let (before, ends) =
        unsafe { (_mm512_loadu_si512(ends), _mm512_loadu_si512(ends.byte_add(size_of::<u16>()))) };
    let starts = _mm512_add_epi16(before, _mm512_set1_epi16(1));
    let lens = _mm512_sub_epi16(ends, starts);
    let all = _bzhi_u32(u32::MAX, count as u32);
    let tiny = _mm512_mask_cmple_epu16_mask(all, lens, _mm512_set1_epi16(TINY as i16));
    let up_to_short = _mm512_mask_cmple_epu16_mask(all, lens, _mm512_set1_epi16(SHORT as i16));
    let mut counts = [0; 3];
    let bits = _mm512_slli_epi16::<3>(_mm512_sub_epi16(ends, before));
    let parts = [(bits, tiny), (lens, up_to_short & !tiny), (lens, all & !up_to_short)];
    for ((slices, count), (sizes, mask)) in slices.into_iter().zip(&mut counts).zip(parts) {
        *count = mask.count_ones() as usize;
        // Few groups have a longer word.
        if mask != 0 {
            let starts = _mm512_maskz_compress_epi16(mask, starts);
            let sizes = _mm512_maskz_compress_epi16(mask, sizes);
            // SAFETY: each slice has 32 numbers, and these stores ask for no alignment.
            unsafe {
                _mm512_storeu_si512(slices.starts.as_mut_ptr().cast(), starts);
                _mm512_storeu_si512(slices.sizes.as_mut_ptr().cast(), sizes);
            }
        }
    }
    counts
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_chunk(chunk: &[u8; CHUNK]) -> __m512i {
    // SAFETY: a chunk is 64 bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) }
}

/// 0 to 63.
static POSITIONS: [u8; CHUNK] = {
    let mut positions = [0; CHUNK];
    let mut at = 0;
    while at < CHUNK {
        positions[at] = at as u8;
        at += 1;
    }
    positions
};
