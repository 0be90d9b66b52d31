//! Keys in the registers of x86-64.
//!
//! What is unsafe here is executing instructions that a CPU may lack, which the token of the level
//! proves that it has, and reading and writing arrays through pointers to them.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::x86_64::*;

use super::{KEY, Keys, Seed, write_ends};
use crate::simd::{Avx2, Avx512, CHUNK, Simd};

/// Both levels do the same with a key.
macro_rules! keys {
    ($level:ty, $ends:item) => {
        impl Keys for $level {
            type Key = __m128i;

            #[inline(always)]
            fn key(self, bytes: &[u8; KEY], mask: &[u8; KEY]) -> __m128i {
                // SAFETY: the token says that the CPU has AVX2 and AES. The same goes for the next
                // four.
                unsafe { key_avx2(bytes, mask) }
            }

            #[inline(always)]
            fn bytes(self, key: __m128i) -> [u8; KEY] {
                // SAFETY: as above.
                unsafe { bytes_avx2(key) }
            }

            #[inline(always)]
            fn is(self, key: __m128i, bytes: &[u8; KEY]) -> bool {
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
                // SAFETY: every CPU has this instruction, and a reference is a place.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
            }

            #[inline(always)]
            $ends
        }
    };
}

keys!(
    Avx2,
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_ends(base, self.equal(b'\n', chunk), ends)
    }
);

keys!(
    Avx512,
    fn ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        let newlines = self.equal(b'\n', chunk);
        // SAFETY: the token says that the CPU has AVX-512 BW and VBMI2.
        unsafe { write_ends_avx512(base, newlines, ends) };
        newlines.count_ones() as usize
    }
);

#[inline]
#[target_feature(enable = "avx2")]
fn key_avx2(bytes: &[u8; KEY], mask: &[u8; KEY]) -> __m128i {
    _mm_and_si128(load(bytes), load(mask))
}

#[inline]
#[target_feature(enable = "avx2")]
fn bytes_avx2(key: __m128i) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    // SAFETY: these are 16 bytes, and this store asks for no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), key) };
    bytes
}

#[inline]
#[target_feature(enable = "avx2")]
fn is_avx2(key: __m128i, bytes: &[u8; KEY]) -> bool {
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
fn load(bytes: &[u8; KEY]) -> __m128i {
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
    // SAFETY: `ends` has room for two times 32 positions, and these stores ask for no alignment.
    unsafe {
        _mm512_storeu_si512(halves, _mm512_add_epi16(_mm512_cvtepu8_epi16(low), base));
        _mm512_storeu_si512(halves.add(1), _mm512_add_epi16(_mm512_cvtepu8_epi16(high), base));
    }
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
